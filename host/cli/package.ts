// Signs a module for a class of boards.
import type { Machine } from "../lib/emulate.ts";
import { emulatedHere } from "../lib/emulated.ts";
import { UserError } from "../lib/errors.ts";
import { signProgram } from "../lib/install.ts";
import { textFault } from "../lib/names.ts";
import { signingKey } from "../lib/project.ts";
import { nextSequence, takeSequence } from "../lib/sequence.ts";
import { print, project } from "./context.ts";
import { load, type MemoryOptions } from "./program.ts";
import { refuseResult, writeResult, type Writing } from "./result.ts";

export async function packageVerb(
  file: string | undefined,
  options: MemoryOptions & {
    output?: string;
    sequence?: string;
    class?: string;
    key?: string;
    force?: boolean;
    json?: boolean;
  },
): Promise<void> {
  const program = await load(file, options);
  const boardClass = options.class ?? project().class;
  if (boardClass === "")
    throw new UserError(
      "no class of boards was named",
      `add --class ${suggested()}, or class = "${suggested()}" to wasmote.toml; \`wasmote info\` shows a node's`,
      "usage",
    );
  const fault = textFault(boardClass);
  if (fault !== undefined) throw new UserError(fault, `add --class ${suggested()}`, "usage");
  const key = signingKey(project(), options.key);
  const own = `${program.name}.wpkg`;
  const writing: Writing = { kind: "a package", given: options.output, own, force: options.force };
  // Before a number is taken, which there is no second time.
  refuseResult(writing);
  const sequence =
    options.sequence === undefined
      ? nextSequence(project(), { highest: 0, era: 0 })
      : takeSequence(project(), Number(options.sequence));
  const bytes = signProgram(project(), program, key, { sequence, boardClass });
  const output = writeResult(bytes, writing);
  print(
    options.json,
    { output, bytes: bytes.length, sequence, class: boardClass },
    () => `${output}: ${bytes.length} bytes, sequence ${sequence}, for ${boardClass}`,
  );
}

const classes: Record<Machine, string> = {
  native: "native",
  "qemu-stm32": "stm32f407",
  "qemu-mps2": "mps2-an386",
  renode: "stm32f407",
};

/** The class of the nodes that are emulated here, where they have one; else the real board's. */
function suggested(): string {
  const here = new Set(emulatedHere().map(({ machine }) => classes[machine as Machine]));
  const [only = "stm32f407"] = here;
  return here.size === 1 ? only : "stm32f407";
}
