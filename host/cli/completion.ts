// Prints what a shell needs to complete verbs, their options and, after the verbs that take one, files.
import type { Command } from "commander";
import { UserError } from "../lib/errors.ts";

interface Verb {
  name: string;
  what: string;
  options: { flag: string; what: string }[];
}

function verbs(program: Command): Verb[] {
  return program.commands.map((command) => ({
    name: command.name(),
    what: command.description(),
    options: command.options.map(({ long, flags, description }) => ({
      flag: long ?? flags,
      what: description,
    })),
  }));
}

const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;

const shells: Record<string, (list: Verb[]) => string> = {
  bash: (list) => `_wasmote() {
  local word=\${COMP_WORDS[COMP_CWORD]} options=
  if [ "$COMP_CWORD" = 1 ]; then
    COMPREPLY=($(compgen -W "${list.map(({ name }) => name).join(" ")}" -- "$word"))
    return
  fi
  case \${COMP_WORDS[1]} in
${list.map(({ name, options }) => `    ${name}) options="${options.map(({ flag }) => flag).join(" ")}" ;;`).join("\n")}
  esac
  case $word in
    -*) COMPREPLY=($(compgen -W "$options" -- "$word")) ;;
    *) COMPREPLY=($(compgen -f -- "$word")) ;;
  esac
}
complete -F _wasmote wasmote
`,
  zsh: (list) => `#compdef wasmote
_wasmote() {
  if (( CURRENT == 2 )); then
    local -a verbs=(
${list.map(({ name, what }) => `      ${quoted(`${name}:${what.replaceAll(":", "\\:")}`)}`).join("\n")}
    )
    _describe verb verbs
    return
  fi
  case $words[2] in
${list
  .map(({ name, options }) => {
    const specs = options.map(({ flag, what }) =>
      quoted(`${flag}[${what.replaceAll(/[[\]:]/g, "\\$&")}]`),
    );
    return `    ${name}) _arguments ${[...specs, "'*:file:_files'"].join(" ")} ;;`;
  })
  .join("\n")}
  esac
}
compdef _wasmote wasmote
`,
  fish: (list) =>
    list
      .flatMap(({ name, what, options }) => [
        `complete -c wasmote -n __fish_use_subcommand -a ${name} -d ${quoted(what)}`,
        ...options.map(
          ({ flag, what: meaning }) =>
            `complete -c wasmote -n '__fish_seen_subcommand_from ${name}' -l ${flag.slice(2)} -d ${quoted(meaning)}`,
        ),
      ])
      .join("\n") + "\n",
};

export function completion(program: Command, shell = "bash"): void {
  const make = shells[shell];
  if (make === undefined)
    throw new UserError(
      `there is no completion for ${shell}`,
      `there is one for: ${Object.keys(shells).join(", ")}`,
      "usage",
    );
  process.stdout.write(make(verbs(program)));
}
