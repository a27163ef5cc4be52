#!/usr/bin/env node
// `wasmote`: the command line. Each verb is a file beside this one, loaded when it is called.
import { Command, Option } from "commander";
import { exitCode, VerbError } from "./context.ts";
import packageFile from "../../package.json" with { type: "json" };

type Action = (...words: never[]) => Promise<void>;

const node = () =>
  new Option("-n, --node <node>", "address (coap://HOST, serial:/dev/PORT) or name of the node");
const json = () => new Option("--json", "print JSON");
const key = () => new Option("--key <file>", "the key to sign with (.wasmote/key.pem)");

const program = new Command("wasmote")
  .description("Write sensor logic in TypeScript, push it over the air, watch it run.")
  .version(packageFile.version)
  .showHelpAfterError("(wasmote --help lists the verbs)")
  .configureHelp({ showGlobalOptions: false })
  .addHelpText(
    "after",
    `
Examples:
  wasmote new river && cd river && wasmote run --samples samples.csv
  wasmote emulate native &                a node on this computer
  wasmote push --node coap://127.0.0.1:5683
  wasmote observe outputs/flow

Exit codes:
  0 done   1 failed   2 wrong words   3 the source does not build   4 the node cannot be reached
  5 the node refused   6 a check found something`,
  );

/** Declares a verb whose file exports a function of its name. */
function verb(words: string, what: string, load: () => Promise<object>): Command {
  const name = words.split(" ")[0] ?? "";
  return program
    .command(words)
    .description(what)
    .action(async (...given) => {
      const module = (await load()) as Record<string, Action>;
      const run = module[`${name}Verb`];
      if (!run) throw new Error(`${name} is not there`);
      await (run as (...words: unknown[]) => Promise<void>)(...given);
    });
}

verb("new <folder>", "begin a project", () => import("./new.ts"));
verb("build [file]", "compile a source into a module", () => import("./build.ts"))
  .option("-o, --output <file>", "where the module goes (NAME.wasm)")
  .addOption(json());
verb("check [file]", "say what a module will cost and whether it fits", () => import("./check.ts"))
  .option("--samples <csv>", "samples to measure fuel on")
  .addOption(node())
  .addOption(json());
verb("run [file]", "run a module here, on samples", () => import("./run.ts"))
  .option("--samples <csv>", "samples: a column for each sensor; otherwise lines on standard input")
  .option("--engine <name>", "wasmote, wasm3 or v8; all compares them", "wasmote")
  .option("--param <name=value...>", "values of parameters")
  .option("--replay <file>", "a recording of `observe --record`: its outputs are compared")
  .option("--chart", "draw the outputs")
  .addOption(json());
verb("test", "run the project's own tests", () => import("./test.ts"));
verb("keygen [file]", "make a key for signing packages", () => import("./keygen.ts")).addOption(
  json(),
);
verb("package [file]", "make and sign a package", () => import("./package.ts"))
  .option("-o, --output <file>", "where it goes (NAME.wpkg)")
  .option("--sequence <n>", "its sequence number (the last one plus one)")
  .option("--class <class>", "the class of boards it is for")
  .addOption(key())
  .addOption(json());
verb("push [file]", "build, sign and install on a node", () => import("./push.ts"))
  .addOption(node())
  .addOption(key())
  .option("--no-wait", "do not wait for the first output")
  .addOption(json());
verb("watch [file]", "push at every change, and show the outputs", () => import("./watch.ts"))
  .addOption(node())
  .addOption(key());
verb("scan", "look for nodes: the network, serial ports, wasmote.toml", () => import("./scan.ts"))
  .option("--seconds <n>", "how long to listen", "2")
  .addOption(json());
verb("use [node]", "choose the node for the verbs that follow", () => import("./use.ts"));
verb("info", "what a node is and has", () => import("./info.ts"))
  .addOption(node())
  .addOption(json());
verb("observe [paths...]", "values as they come in", () => import("./observe.ts"))
  .addOption(node())
  .option("--count <n>", "end after so many values")
  .option("--record <file>", "keep them, for `run --replay`")
  .option("--chart", "draw them")
  .addOption(json());
verb("get <path>", "read a resource", () => import("./resource.ts")).addOption(node());
verb("put <path> <value>", "write a resource", () => import("./resource.ts")).addOption(node());
verb(
  "params [assignments...]",
  "read parameters, or set them: limit=150",
  () => import("./params.ts"),
)
  .addOption(node())
  .addOption(json());
verb("logs", "the log of the node and its module", () => import("./logs.ts"))
  .addOption(node())
  .option("-f, --follow", "go on with what comes in")
  .addOption(json());
verb("rollback", "return to the previous package", () => import("./rollback.ts"))
  .addOption(node())
  .addOption(json());
verb("remove", "remove the package that runs", () => import("./remove.ts"))
  .addOption(node())
  .addOption(json());
verb("emulate [machine]", "start a node here: native, qemu-stm32", () => import("./emulate.ts"))
  .option("--flash <file>", "its flash, made when it does not exist")
  .option("--name <name>", "its name")
  .option("--dev", "a native node that takes packages without a known key")
  .addOption(json());
verb("flash [image]", "write firmware to a board with probe-rs", () => import("./flash.ts")).option(
  "--chip <chip>",
  "the chip's name for probe-rs",
  "STM32F407VGTx",
);
verb("provision [output]", "make a provisioning record: name, keys", () => import("./provision.ts"))
  .option("--name <name>", "the node's name", "wasmote")
  .option("--vendor <vendor>", "only packages of this vendor", "")
  .option("--public <hex...>", "public keys, 32 bytes each (the project's key)")
  .option("--dev", "take packages without a known key")
  .option("--flash", "write it to the board with probe-rs")
  .option("--chip <chip>", "the chip's name for probe-rs", "STM32F407VGTx");
verb("doctor", "what is missing here, and what is wrong with a node", () => import("./doctor.ts"))
  .addOption(node())
  .addOption(json());
program
  .command("completion")
  .description('a completion script for bash: eval "$(wasmote completion)"')
  .action(() => {
    const names = program.commands.map((command) => command.name()).join(" ");
    process.stdout.write(
      `_wasmote() { [ "$COMP_CWORD" = 1 ] && COMPREPLY=($(compgen -W "${names}" -- "\${COMP_WORDS[1]}")) || COMPREPLY=($(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}")); }\ncomplete -F _wasmote wasmote\n`,
    );
  });

/** Whoever reads the output has gone: nothing is wrong. */
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
});

program.exitOverride();
try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

function report(error: unknown): number {
  const { name, code, message, advice } = error as {
    name?: string;
    code?: string | number;
    message?: string;
    advice?: string;
  };
  if (name === "CommanderError")
    return code === "commander.helpDisplayed" ||
      code === "commander.version" ||
      code === "commander.help"
      ? 0
      : exitCode.usage;
  const say = (text: string) => process.stderr.write(`${text}\n`);
  if (error instanceof VerbError) {
    say(`error: ${message}`);
    if (advice !== undefined) say(`  what to do: ${advice}`);
    return error.code;
  }
  if (name === "BuildError") {
    say(message ?? "");
    return exitCode.source;
  }
  if (name === "ModuleError") {
    say(`error: the module is not accepted: ${message}`);
    return exitCode.source;
  }
  if (name === "NodeError") {
    say(`error: ${message}`);
    const cause = (error as Error).cause;
    if (cause instanceof Error && !message?.includes(cause.message))
      say(`  because: ${cause.message}`);
    const next: Record<string, string> = {
      timeout: "is it on, and is the address right? `wasmote scan` lists the nodes that answer",
      link: "`wasmote scan` lists the ports; another program may have this one open",
      refused: "`wasmote check --node NODE` compares the module with the node",
      answer: "`wasmote info` and `wasmote logs` show the node's state",
    };
    if (next[String(code)] !== undefined) say(`  what to do: ${next[String(code)]}`);
    if (code === "refused" || code === "answer") return exitCode.refused;
    return code === "address" ? exitCode.usage : exitCode.unreachable;
  }
  if (name === "AbortError") return 130;
  if (["SamplesError", "RangeError"].includes(name ?? "")) {
    say(`error: ${message}`);
    return exitCode.failed;
  }
  say(
    `error: ${(error as Error).stack ?? String(error)}\n  this is a fault of wasmote's: please report it`,
  );
  return exitCode.failed;
}
