// The verbs with their words, options and examples. Each verb is a file beside this one, loaded when it is called.
import { Command, Option } from "commander";
import packageFile from "../../package.json" with { type: "json" };
import { UserError } from "../lib/errors.ts";
import { patienceOf } from "./context.ts";
import { interruptedCode } from "./interruption.ts";
import { oneLine } from "../lib/text.ts";
import { report } from "./report.ts";

const json = () => new Option("--json", "print JSON");
const key = () => new Option("--key <file>", "the key to sign with (.wasmote/key.pem)");
const chip = () =>
  new Option("--chip <chip>", "the chip's name for probe-rs").default("STM32F407VGTx");
const samples = () => new Option("--samples <csv>", "samples: a column for each sensor");
const force = () => new Option("--force", "write over a file that is somebody's own");
const gateway = () => [
  new Option("--gateway <url>", "the gateway (WASMOTE_GATEWAY, else the one on this computer)"),
  new Option("--token <token>", "a token of the gateway's (WASMOTE_TOKEN)"),
];
const heap = () =>
  new Option("--heap <bytes>", "memory that handlers have at least, beyond what the start takes");
/** What every verb has that talks to a node. */
const node = () => [
  new Option(
    "-n, --node <node>",
    "address (HOST, coap://HOST, /dev/PORT) or name of the node",
  ).argParser((given: string, before: string[] | undefined) => [...(before ?? []), given]),
  new Option("--timeout <seconds>", "how long the node may take")
    .default("30")
    .argParser((timeout: string) => {
      patienceOf({ timeout });
      return timeout;
    }),
  json(),
];
/** What a verb has besides that is for several nodes at once. */
const several = () => [
  ...node(),
  new Option("--all", "every node of wasmote.toml"),
  new Option(
    "--canary",
    "try the first node on its own; go on with the others if all went well there",
  ),
];

export const program = new Command("wasmote")
  .description("Write sensor logic in TypeScript, push it over the air, watch it run.")
  .version(packageFile.version)
  // What is wrong with the words is told as every other error is, with --json too.
  .configureOutput({ outputError: () => {} })
  // The longest verb leaves less than 40 of 80 columns, which Commander would not break lines for.
  .configureHelp({ minWidthToWrap: 24 })
  .addHelpText(
    "after",
    `
Examples:
  wasmote new river && cd river && wasmote run --samples samples.csv
  wasmote emulate --name wye &              a node on this computer
  wasmote push --node wye
  wasmote observe outputs/alarm --node wye

A node is an address, coap://HOST[:PORT] or serial:/dev/ttyACM0[?baud=115200],
for short HOST.DOMAIN, 192.168.1.20 or /dev/ttyACM0; or a name: from
wasmote.toml, or one that \`wasmote emulate --name\` runs in this project.
Without --node it is that of WASMOTE_NODE, or the one that \`wasmote use\` chose.
push, info, observe, params, rollback and remove take several: --node more than
once, a group of wasmote.toml, or --all; their exit code is that of the worst.

With --json the result is one JSON document a line on standard output, a failure
{"error":{"code":…,"message":…,"exit":…}}.

Exit codes:
  0 done
  1 failed: a file that is not there, a tool that is missing
  2 wrong words: an option, a name or a setting that is not as it should be
  3 the source does not build
  4 the node cannot be reached
  5 the node refused
  6 a check found something
  130 interrupted by Ctrl-C

Ctrl-C is the regular end of observe, watch, logs --follow, rollout --follow,
retrain --every, gateway, emulate and run on live samples: they end with 0.`,
  );

/** An option that takes a value does not take the next option for it. */
function valued(option: Option): Option {
  if (!option.required) return option;
  const { parseArg, flags } = option;
  return option.argParser((given: string, before: unknown) => {
    if (/^--[a-z]/.test(given))
      throw new UserError(
        `${flags}: the value is missing, ${given} is an option`,
        `write it as ${flags.split(/[ ,]+/).find((flag) => flag.startsWith("--"))}=${given} if it is meant`,
        "usage",
      );
    if (parseArg !== undefined) return parseArg(given, before as never);
    return option.variadic ? [...((before as string[] | undefined) ?? []), given] : given;
  });
}

/** Declares a verb, whose file exports a function of its name. */
function verb(
  words: string,
  what: string,
  load: () => Promise<object>,
  options: Option[],
  examples: string[],
): void {
  const name = words.split(" ")[0] ?? "";
  const command = program
    .command(words)
    .description(what)
    .action(async (...given: unknown[]) => {
      const module = (await load()) as Record<string, (...words: unknown[]) => Promise<void>>;
      const run_ = module[`${name}Verb`];
      if (!run_) throw new Error(`${name} is not there`);
      await run_(...given);
    });
  for (const option of options) command.addOption(valued(option));
  const lines = examples.map((example) => `  wasmote ${example}`);
  command.addHelpText("after", `\nExample${lines.length > 1 ? "s" : ""}:\n${lines.join("\n")}`);
}

verb(
  "new <folder>",
  "begin a project",
  () => import("./new.ts"),
  [new Option("--open", "nodes that it makes answer everybody, and not only it"), json()],
  ["new river"],
);
verb(
  "build [file]",
  "compile a source into a module",
  () => import("./build.ts"),
  [new Option("-o, --output <file>", "where the module goes (NAME.wasm)"), force(), heap(), json()],
  ["build", "build src/other.ts -o other.wasm"],
);
verb(
  "check [file]",
  "say what a module will cost and whether it fits",
  () => import("./check.ts"),
  [
    samples(),
    heap(),
    new Option("--disassemble", "show what boards compile each line to"),
    ...node(),
  ],
  ["check --samples samples.csv", "check --node serial:/dev/ttyACM0", "check --disassemble"],
);
verb(
  "model <file>",
  "make a source or a module of a neural network in ONNX",
  () => import("./model.ts"),
  [
    new Option("-o, --output <file>", "where it goes (NAME.ts, or NAME.wasm)"),
    new Option("--module", "make a module: each input a sensor, each output an output"),
    new Option("--arithmetic <kind>", "f32; int8: weights in bytes; integer: products too").default(
      "f32",
    ),
    new Option("--inputs <names>", "names of the inputs, with commas (those in the file)"),
    new Option("--outputs <names>", "names of the outputs"),
    new Option("--samples <csv>", "rows of inputs, for the error against ONNX Runtime"),
    force(),
    json(),
  ],
  ["model flood.onnx", "model flood.onnx --arithmetic int8 --module --samples days.csv"],
);
verb(
  "place <file>",
  "run a model or a module on the node, at the gateway or in the cloud",
  () => import("./place.ts"),
  [
    new Option("--on <place>", "node, gateway, cloud; auto: where it costs least").default("auto"),
    new Option(
      "--link <link>",
      "how the node is reached: ethernet, serial, ieee802154, lora",
    ).default("ethernet"),
    new Option("--feed <sensor=resource...>", "what feeds a sensor there: level=wye/sensors/level"),
    new Option(
      "--station <node>",
      "a flood alarm by its days: moves, and no alarm is lost or doubled",
    ),
    new Option("--rain <node>", "the station that has the rain, where it is another"),
    new Option("--gateway <url>", "the gateway"),
    new Option("--cloud <url>", "a second gateway, as the cloud"),
    new Option("--cloud-token <token>", "of the cloud"),
    new Option("--token <token>", "of the gateways (WASMOTE_TOKEN)"),
    new Option("--dry-run", "say where it would go, and why"),
    key(),
    ...node(),
  ],
  [
    "place flood.onnx --dry-run --link lora",
    "place evening.onnx --station wye --on cloud --gateway GATEWAY:8080 --cloud CLOUD:8080",
    "place src/main.ts --on gateway --gateway http://127.0.0.1:8080 --feed level=wye/sensors/level",
  ],
);
verb(
  "flood",
  "a winter of floods on two emulated stations, a gateway and a cloud: alarms, moves, cut links, and the figures",
  () => import("./flood.ts"),
  [
    new Option("--winter <year>", "that begins in this year, 1970 to 2016").default("2013"),
    new Option("--days <n>", "only the first so many, at least 10"),
    new Option("--pace <ms>", "how long a day takes at least").default("350"),
    new Option("--machine <machine>", "what the stations run on: qemu-mps2, native"),
    new Option("--listen <port>", "where the dashboard is; 0: a free port").default("0"),
    new Option("--plain", "lines instead of a chart"),
    json(),
  ],
  ["flood", "flood --winter 2000 --machine native --plain"],
);
verb(
  "retrain <placement>",
  "train a flood alarm on what a gateway has gathered; a better one goes to one node, then all",
  () => import("./retrain.ts"),
  [
    ...gateway(),
    new Option("--history <csv>", "older days: day, rain, flow (the river Wye's)"),
    new Option("--gaugings <csv>", "level in mm, flow in m3/s: the rating curve is estimated anew"),
    new Option("--only-parameters", "train nothing; estimate threshold and rating of what runs"),
    new Option("--trained <folder>", "what examples/flood/train.py made already"),
    new Option("--rounds <n>", "of the training").default("30"),
    new Option("--seeds <n>", "networks that are tried").default("3"),
    new Option("--teachers <n>", "networks that each learns from").default("5"),
    new Option("--select <nodes...>", "nodes that get it, * at the end for any rest (the station)"),
    new Option("--soak <seconds>", "how long a node runs it before it is judged").default("60"),
    new Option("--dry-run", "train and judge, and send nothing"),
    new Option("--every <seconds>", "a round each so often, until it is interrupted"),
    key(),
    json(),
  ],
  [
    "retrain wye-flood --gateway http://127.0.0.1:8080",
    "retrain wye-flood --only-parameters --gaugings gauged.csv",
    "retrain wye-flood --every 604800",
  ],
);
verb(
  "run [file]",
  "run a module here, on samples",
  () => import("./run.ts"),
  [
    samples(),
    new Option("--engine <name>", "wasmote, wasm3 or v8; all compares them").default("wasmote"),
    new Option("--param <name=value...>", "values of parameters"),
    new Option("--replay <file>", "a recording of `observe --record`: its outputs are compared"),
    new Option("--chart", "draw the outputs"),
    heap(),
    ...node(),
  ],
  [
    "run --samples samples.csv --engine all",
    "run --samples samples.csv --chart",
    "run                      (samples as lines on standard input: level 1234)",
    "run --node wye           (on the samples of a node's sensors)",
    "run --replay day.jsonl",
  ],
);
verb(
  "test",
  "run the project's own tests",
  () => import("./test.ts"),
  [new Option("--junit <file>", "write what came of them as JUnit's XML"), force(), json()],
  ["test", "test --junit tests.xml"],
);
verb(
  "keygen [file]",
  "make a key for signing packages",
  () => import("./keygen.ts"),
  [new Option("--import <file>", "take over a key from elsewhere"), json()],
  ["keygen", "keygen other.pem"],
);
verb(
  "package [file]",
  "make and sign a package",
  () => import("./package.ts"),
  [
    new Option("-o, --output <file>", "where it goes (NAME.wpkg)"),
    force(),
    new Option("--sequence <n>", "its sequence number (the last one plus one)"),
    new Option("--class <class>", "the class of boards it is for"),
    heap(),
    key(),
    json(),
  ],
  ["package --class stm32f407", "package --class stm32f407 --sequence 12 -o river.wpkg"],
);
verb(
  "pod [file]",
  "make a WASI command of a filter: SenML lines in, SenML lines out",
  () => import("./pod.ts"),
  [
    new Option("-o, --output <file>", "where it goes (NAME.pod.wasm)"),
    force(),
    new Option("--oci <folder>", "an OCI image layout beside it, as registries take"),
    heap(),
    json(),
  ],
  ["pod", "pod river.ts && wasmtime river.pod.wasm < samples.jsonl"],
);
verb(
  "push [file]",
  "build, sign and install on a node; or install a package (.wpkg)",
  () => import("./push.ts"),
  [
    key(),
    new Option("--wait <seconds>", "how long to wait for the first output").default("10"),
    new Option("--no-wait", "do not wait for it"),
    heap(),
    new Option("--again", "send a module that runs there already"),
    new Option("--sequence <n>", "the package's sequence number (the next one)"),
    new Option("--restart-sequence", "begin the node's numbers anew, where they are used up"),
    new Option("--interpreted", "from now on the node interprets what it runs"),
    new Option("--compiled", "from now on it compiles what it can").conflicts("interpreted"),
    ...several(),
  ],
  [
    "push",
    "push src/other.ts --node wye",
    "push river.wpkg",
    "push --all --canary          (every node of wasmote.toml, the first one first)",
    "push -n upstream             (a group of wasmote.toml)",
  ],
);
verb(
  "watch [file]",
  "push at every change, and show the outputs",
  () => import("./watch.ts"),
  [key(), heap(), ...node()],
  ["watch --node wye"],
);
verb(
  "scan",
  "look for nodes: the networks, serial ports, wasmote.toml",
  () => import("./scan.ts"),
  [new Option("--seconds <n>", "how long to listen").default("6"), json()],
  ["scan", "scan --seconds 2 --json"],
);
verb(
  "use [node]",
  "choose the node for the verbs that follow",
  () => import("./use.ts"),
  [json()],
  ["use serial:/dev/ttyACM0", "use wye"],
);
verb(
  "info",
  "what a node is and has",
  () => import("./info.ts"),
  [new Option("-v, --verbose", "every counter there is"), ...several()],
  ["info", "info -v", "info --all --json"],
);
verb(
  "observe [paths...]",
  "values as they come in",
  () => import("./observe.ts"),
  [
    new Option("--count <n>", "end after so many values"),
    new Option("--record <file>", "keep them, for `run --replay`"),
    force(),
    new Option("--chart", "draw them"),
    ...several(),
  ],
  ["observe", "observe outputs/alarm sensors/level --chart", "observe --record day.jsonl"],
);
verb("get <path>", "read a resource", () => import("./resource.ts"), node(), [
  "get sensors/level",
  'get ".well-known/core?rt=wasmote.sensor"',
]);
verb("put <path> <value>", "write a resource", () => import("./resource.ts"), node(), [
  "put app/params/limit 150",
]);
verb("post <path> [value]", "send to a resource", () => import("./resource.ts"), node(), [
  "post app/x/reset",
  "post app/x/calibrate 12.5",
]);
verb("delete <path>", "delete a resource", () => import("./resource.ts"), node(), [
  "delete app/staged",
]);
verb(
  "params [assignments...]",
  "read parameters, or set them",
  () => import("./params.ts"),
  several(),
  ["params", "params limit=150", "params limit=150 --all"],
);
verb(
  "logs",
  "the log of the node and its module",
  () => import("./logs.ts"),
  [new Option("-f, --follow", "go on with what comes in"), ...node()],
  ["logs", "logs --follow"],
);
verb(
  "rollback [digest]",
  "return to the previous package, or to a module that was built here",
  () => import("./rollback.ts"),
  [key(), ...several()],
  ["rollback", "rollback 3f2a91"],
);
verb("remove", "remove the package that runs", () => import("./remove.ts"), several(), ["remove"]);
verb(
  "emulate [machine]",
  "start a node here: native, qemu-stm32, qemu-mps2, renode",
  () => import("./emulate.ts"),
  [
    new Option("--flash <file>", "its flash, made when it does not exist"),
    new Option(
      "--name <name>",
      "its name: other verbs find it by --node NAME, and it keeps its flash",
    ),
    new Option("--link <link>", "native: udp or serial; renode: serial or ethernet").choices([
      "udp",
      "serial",
      "ethernet",
    ]),
    new Option("--dev", "a native node that takes packages without a known key"),
    new Option("--open", "it answers everybody, and not only this project"),
    new Option("--samples <file>", "play a CSV, or a recording, into its sensors"),
    new Option("--speed <n>", "so many times as fast as they were").default("1"),
    json(),
  ],
  [
    "emulate --name wye &",
    "emulate qemu-stm32 --name wye",
    "emulate --samples day.jsonl --speed 60",
  ],
);
verb(
  "feed <node> <sensor> <value>",
  "give a sensor of a node that is emulated here a value",
  () => import("./feed.ts"),
  [json()],
  ["feed wye level 3500"],
);
verb(
  "rollout <what> [package]",
  "bring a package to the nodes of a gateway in waves: start, status, pause, resume, approve, halt",
  () => import("./rollout.ts"),
  [
    ...gateway(),
    new Option(
      "--select <nodes>",
      "names, * at the end stands for any rest; all without",
    ).argParser((given: string, before: string[] | undefined) => [...(before ?? []), given]),
    new Option("--waves <waves>", "how many nodes get it when (1,1%,10%,100%)"),
    new Option("--silence <seconds>", "silence that counts as a failure (120)"),
    new Option("--soak <seconds>", "time to run before it is judged (60)"),
    new Option("--tolerate <share>", "nodes that may fail (0.01)"),
    new Option("--at-once <nodes>", "nodes that are sent to at once (8)"),
    new Option("--approve", "wait for `rollout approve` between waves"),
    new Option(
      "--shadow <hours>",
      "first, what it makes of the last hours of the nodes that get it first",
    ),
    new Option("--go", "begin at once; without, every node is checked and nothing is sent"),
    new Option("-f, --follow", "show how it goes until it has ended"),
    json(),
  ],
  [
    "rollout start river.wpkg --select 'wye-*'",
    "rollout start river.wpkg --shadow 48",
    "rollout start 1 --follow",
    "rollout status 1",
    "rollout halt 1",
  ],
);
verb(
  "history <node> <resource>",
  "what a gateway has kept of a resource",
  () => import("./history.ts"),
  [
    ...gateway(),
    new Option("--since <time>", "from then on: 90s, 15m, 2h, 7d ago, or a moment (1d)"),
    new Option("--until <time>", "up to then, likewise (now)"),
    new Option("--step <step>", "raw: every value; 1m, 1h: what each step of time had").default(
      "raw",
    ),
    new Option("--limit <n>", "so many lines at most, the oldest first").default("10000"),
    json(),
  ],
  [
    "history wye outputs/flow",
    "history wye sensors/level --since 7d --step 1h",
    "history river/wye outputs/alarm --json      (the gateway river of wasmote.toml)",
  ],
);
verb(
  "gateway",
  "nodes on the web: HTTP, live values, history, alarms, dashboard",
  () => import("./gateway.ts"),
  [
    new Option("--listen <address>", "where it serves HTTP (127.0.0.1:8080; port 0: a free one)"),
    new Option("--data <folder>", "where it keeps everything (gateway-data)"),
    new Option("--config <file>", "its settings (gateway.toml)"),
    new Option("--directory <address>", "takes registrations of nodes there (RFC 9176), over CoAP"),
    new Option("--discover", "looks for nodes on the networks here"),
    new Option("--demo", "starts three nodes here, with a winter of the river Wye"),
    new Option("--new-token", "makes another token for an administrator, where the first was lost"),
    json(),
  ],
  ["gateway --demo", "gateway --listen 0.0.0.0:8080 --directory 0.0.0.0:5683"],
);
verb(
  "flash [image]",
  "write firmware to a board with probe-rs",
  () => import("./flash.ts"),
  [chip(), json()],
  ["flash", "flash --chip STM32F407VETx"],
);
verb(
  "provision [output]",
  "make a provisioning record: name, keys, a security context",
  () => import("./provision.ts"),
  [
    new Option("--name <name>", "the node's name").default("wasmote"),
    new Option("--vendor <vendor>", "only packages of this vendor").default(""),
    new Option("--public <hex...>", "public keys, 32 bytes each (the project's key)"),
    new Option("--dev", "take packages without a known key"),
    new Option("--open", "answer everybody, and not only those who have a security context"),
    new Option("--hidden", "no answer at all to whoever has no security context"),
    new Option(
      "--initiator <rights=credential...>",
      "others to exchange keys with (`wasmote keys identity` there)",
    ),
    new Option(
      "--height <millimetres>",
      "from the bed up to the ranger: level = height - distance",
    ),
    new Option("--directory <address>", "resource directory where the node registers by itself"),
    new Option("--lifetime <seconds>", "for so long at a time (600)"),
    new Option("--flash", "write it to the board with probe-rs"),
    force(),
    chip(),
    json(),
  ],
  ["provision --name wye --height 4200 --flash"],
);
verb(
  "keys [action] [place]",
  "who may do what with a node: list, add, rotate, revoke, claim, exchange, identity, forget",
  () => import("./keys.ts"),
  [
    new Option("--rights <rights>", "of a context to add: read, operate, install, admin, or all"),
    new Option("-o, --output <folder>", "where a context goes that is added: for aiocoap, libcoap"),
    ...node(),
  ],
  [
    "keys --node wye",
    "keys add --rights read,operate --output dashboard-keys",
    "keys rotate",
    "keys revoke 3",
    "keys claim --node serial:/dev/ttyUSB0",
    "keys exchange",
  ],
);
verb(
  "doctor",
  "what is missing here, and what is wrong with a node",
  () => import("./doctor.ts"),
  node(),
  ["doctor", "doctor --node wye"],
);
program
  .command("completion [shell]")
  .description("a completion script for bash, zsh or fish")
  .addHelpText(
    "after",
    `
Examples:
  eval "$(wasmote completion bash)"
  wasmote completion zsh > ~/.zfunc/_wasmote
  wasmote completion fish > ~/.config/fish/completions/wasmote.fish`,
  )
  .action(async (shell: string | undefined) => {
    const { completion } = await import("./completion.ts");
    completion(program, shell);
  });

/** Runs the verb that the command line names; what goes wrong becomes a message and an exit code. */
export async function run(): Promise<void> {
  process.stdout.on("error", lostOutput);
  process.stderr.on("error", () => {});
  program.exitOverride();
  for (const command of program.commands) command.exitOverride();
  try {
    const [first, second] = process.argv.slice(2);
    // Commander shows all of the help for a verb that there is none of, as if nothing were wrong.
    if (first === "help" && second !== undefined && !program.commands.some(isVerb(second)))
      throw new UserError(
        `there is no verb ${oneLine(second)}`,
        "`wasmote --help` lists them",
        "usage",
      );
    await program.parseAsync();
    process.exitCode ??= interruptedCode() ?? 0;
  } catch (error) {
    process.exitCode = report(error, process.argv.includes("--json"));
  }
  await end();
}

const isVerb = (name: string) => (command: Command) =>
  command.name() === name ||
  command.aliases().includes(name) ||
  name === "help" ||
  name.startsWith("-");

/** Whoever reads the output has gone, and nothing is wrong; or what was printed is nowhere. */
function lostOutput(error: NodeJS.ErrnoException): void {
  if (error.code === "EPIPE") process.exit(0);
  process.stderr.write(`error: the output cannot be written: ${error.message}\n`);
  process.exit(1);
}

/** How long what is still open may go on once the verb is done: a name that is being resolved, a port that takes no bytes. */
const linger = 200;

/** Everything has been closed by its owner; handles that the system still holds must not keep the verb from ending. */
async function end(): Promise<void> {
  for (const stream of [process.stdout, process.stderr])
    await new Promise((resolve) => stream.write("", resolve));
  setTimeout(() => process.exit(), linger).unref();
}
