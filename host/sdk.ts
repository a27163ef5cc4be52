// `npm run gen`, the second half: writes docs/sdk.md, the reference page of the SDK. Every example in it is built and run for its
// size and fuel; every difference from plain AssemblyScript is tried. test/sdk/sdk-page.test.ts fails when the page is another one.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, BuildError, type Built } from "./lib/build/build.ts";
import { runFuel, Simulation, type Sample } from "./lib/simulate.ts";
import { temporaryFolder } from "./lib/temporary.ts";

interface Block {
  name: string;
  what: string;
  /** The program below its import and `level`, `out`. */
  example: string;
}

/** Building blocks, each in the smallest program that uses it. */
export const blocks: readonly Block[] = [
  {
    name: "sensor, output",
    what: "A sensor of the node, and a value that is published at `/outputs/NAME`. The floor of all sizes below.",
    example: "level.onSample((value) => out.publish(value));",
  },
  {
    name: "sensor.value",
    what: "The newest sample, for handlers of other things: NaN before the first, and once the sensor is silent or faulty, so that no old value passes for the present one.",
    example: `every(1000, () => {
  if (!isNaN(level.value)) out.publish(level.value);
});`,
  },
  {
    name: "output.value",
    what: "What was published last; NaN before the first.",
    example: `level.onSample((value) => {
  if (value !== out.value) out.publish(value);
});`,
  },
  {
    name: "parameter",
    what: "A number that the operator changes while the module runs.",
    example: `const limit = parameter("limit", 3000, 0, 10000);
level.onSample((value) => {
  if (value > limit.value) out.publish(value);
});`,
  },
  {
    name: "state",
    what: "A number that survives resets, updates and rollbacks: saved within ten minutes, read at `/app/state/NAME`.",
    example: `const total = state("total", 0);
level.onSample((value) => {
  total.value += value;
  out.publish(f32(total.value));
});`,
  },
  {
    name: "state of a record",
    what: "Numbers that belong together: after a power cut all of them are of the same moment.",
    example: `class Day {
  number: i32 = 0;
  rain: f32 = 0;
}
const day = state("day", new Day());
level.onSample((value) => {
  const today = dateOf(unix());
  if (today !== day.value.number) day.value.rain = 0;
  day.value.number = today;
  day.value.rain += value;
  out.publish(day.value.rain);
});`,
  },
  {
    name: "every",
    what: "A period; several are allowed. The handler may be a function with a name.",
    example: `every(60 * 1000, () => out.publish(level.value));`,
  },
  {
    name: "timer",
    what: "Something that happens once, later, to a tenth of a second.",
    example: `const off = timer(() => gpio(0, false));
level.onSample((value) => {
  gpio(0, true);
  off.start(5000);
});`,
  },
  {
    name: "log",
    what: "A line in the node's log. A template is put together in place, without memory.",
    example: "level.onSample((value) => log(`level ${value} mm`));",
  },
  {
    name: "log with a level",
    what: "`Level.ERROR`, `WARNING` or `DEBUG`. `wasmote logs` shows the line of the source that each line comes from.",
    example: `level.onSample((value) => {
  if (value < 0) log("no echo", Level.WARNING);
});`,
  },
  {
    name: "output of a text",
    what: "Up to 48 bytes, put together in place; `get` and `observe` show it as it is. Six outputs may have a type.",
    example: `const mood = output<string>("mood");
level.onSample((value) => mood.publish(value > 3000 ? "flood" : "calm"));`,
  },
  {
    name: "output of another number",
    what: "`bool`, `i32`, `u32`, `i64` and `f64` beside `f32`, which is the default.",
    example: `const count = output<i32>("count");
let samples = 0;
level.onSample(() => count.publish(++samples));`,
  },
  {
    name: "output of a record",
    what: "An object of a class whose fields are numbers: they are told together.",
    example: `class Peak {
  level: f32 = 0;
  at: u32 = 0;
}
const peak = output<Peak>("peak", "mm");
const highest = new Peak();
level.onSample((value) => {
  if (value <= highest.level) return;
  highest.level = value;
  highest.at = now();
  peak.publish(highest);
});`,
  },
  {
    name: "fixed, quoted",
    what: "A number with so many digits behind the point; `quoted(text)` is a text as JSON has it.",
    example: "level.onSample((value) => log(`${fixed(value / 1000, 2)} m`));",
  },
  {
    name: "onRequest",
    what: "Answers `/app/x/…`: text and numbers in one template, up to 512 bytes, which a client may read in blocks; a format may follow.",
    example: `onRequest((request) => {
  if (!request.at("level")) return request.reply(Code.NOT_FOUND);
  request.reply(Code.CONTENT, \`{"level":\${level.value}}\`, Format.JSON);
});`,
  },
  {
    name: "cbor, replyCbor",
    what: "A reply in CBOR; `replyBytes` answers with any bytes in any format.",
    example: `onRequest((request) => {
  cbor.begin();
  cbor.map(1);
  cbor.text("level");
  cbor.float(level.value);
  request.replyCbor();
});`,
  },
  {
    name: "request.decimal, request.number",
    what: "The payload as a number: NaN or 0 where there is none.",
    example: `let set: f32 = 0;
onRequest((request) => {
  set = request.decimal();
  request.reply(isNaN(set) ? Code.BAD_REQUEST : Code.CHANGED);
});
every(1000, () => out.publish(set));`,
  },
  {
    name: "MovingAverage",
    what: "Mean of the last samples: 20 bytes of memory and 4 a sample.",
    example: `const mean = new MovingAverage(8);
level.onSample((value) => out.publish(mean.next(value)));`,
  },
  {
    name: "Median",
    what: "Takes single wrong samples out: 8 bytes of memory a sample.",
    example: `const median = new Median(5);
level.onSample((value) => out.publish(median.next(value)));`,
  },
  {
    name: "Window",
    what: "Minimum, maximum and median of the last samples.",
    example: `const window = new Window(10);
level.onSample((value) => {
  window.push(value);
  out.publish(window.maximum - window.minimum);
});`,
  },
  {
    name: "History",
    what: "The last samples by their age: 4 bytes of memory a sample.",
    example: `const past = new History(60);
level.onSample((value) => {
  past.push(value);
  out.publish(value - past.at(59));
});`,
  },
  {
    name: "Smoothing",
    what: "Exponential smoothing.",
    example: `const smooth = new Smoothing(0.1);
level.onSample((value) => out.publish(smooth.next(value)));`,
  },
  {
    name: "Hysteresis",
    what: "A switch with two thresholds.",
    example: `const high = new Hysteresis();
level.onSample((value) => {
  if (high.next(value, 2000, 3000)) out.publish(<f32>high.on);
});`,
  },
  {
    name: "DeadBand",
    what: "Lets through what has changed enough.",
    example: `const band = new DeadBand();
level.onSample((value) => {
  if (band.next(value, 50)) out.publish(value);
});`,
  },
  {
    name: "RateOfChange",
    what: "Change in each second.",
    example: `const rate = new RateOfChange();
level.onSample((value) => out.publish(rate.next(value, now())));`,
  },
  {
    name: "Calibration",
    what: "From raw values to what they mean, through points that were measured: 8 bytes of memory a point.",
    example: `const curve = new Calibration(3);
curve.point(0, -40);
curve.point(512, 25);
curve.point(1023, 125);
level.onSample((value) => out.publish(curve.value(value)));`,
  },
  {
    name: "RatingTable",
    what: "Flow of a river from its level, by points.",
    example: `const rating = new RatingTable(3);
rating.point(0, 0);
rating.point(1000, 20);
rating.point(3000, 150);
level.onSample((value) => out.publish(rating.flow(value)));`,
  },
  {
    name: "ratingCurve",
    what: "The same by a formula: `scale · (level - zero)^1.5`.",
    example: "level.onSample((value) => out.publish(ratingCurve(value / 1000, 20)));",
  },
  {
    name: "Goertzel",
    what: "Strength of one frequency, and the root mean square, in blocks of samples.",
    example: `const block = new Goertzel(64, 1.4142135);
level.onSample((value) => {
  if (block.next(value)) out.publish(block.amplitude);
});`,
  },
  {
    name: "unix, hourOf, dateOf",
    what: "The wall clock in UTC; also minuteOf, secondOf, weekdayOf, yearOf, monthOf, dayOf, daysOf.",
    example: `level.onSample((value) => {
  if (hourOf(unix()) === 6) out.publish(<f32>dateOf(unix()));
});`,
  },
  {
    name: "texts, arrays and maps that are kept",
    what: "Plain AssemblyScript. What nothing refers to any more is collected between handlers.",
    example: `const last: string[] = [];
level.onSample((value) => {
  last.push(value.toString());
  if (last.length > 5) last.shift();
});
onRequest((request) => request.reply(Code.CONTENT, last.join(",")));`,
  },
];

/** Where a module differs from plain AssemblyScript: a program, and a fault of the build or what it logs for samples of 1, 2, 3. */
export const differences: readonly {
  what: string;
  example: string;
  fault?: RegExp;
  logs?: string[];
  trap?: RegExp;
}[] = [
  {
    what: "`assert` is kept, without its message: it traps, and the laptop shows the line.",
    example: 'level.onSample((value) => { assert(value < 3, "too high"); log("fine"); });',
    logs: ["fine", "fine"],
    trap: /unreachable/,
  },
  {
    what: "`throw` traps, and there is no `catch`: the node starts the module again or goes back to the one before.",
    example: 'level.onSample((value) => { if (value > 1) throw new Error("no"); log("fine"); });',
    logs: ["fine"],
    trap: /unreachable/,
  },
  {
    what: "`try` and `catch` are not in the language.",
    example: "level.onSample((value) => { try { log('a'); } catch (e) { log('b'); } });",
    fault: /Not implemented: Exceptions/,
  },
  {
    what: "A function that is written inside another cannot use its variables (closures).",
    example:
      "level.onSample((value) => { const twice = (): f32 => value * 2; out.publish(twice()); });",
    fault: /Not implemented: Closures/,
  },
  {
    what: "A number does not change its type by itself where it would lose something: write `<f32>count`.",
    example: "let count = 0; level.onSample((value) => out.publish(count));",
    fault: /requires an explicit cast: write <f32>/,
  },
  {
    what: "`i32` divided by `i32` is an `i32`, and whole numbers wrap.",
    example: "let seven = 7; level.onSample((value) => log(`${seven / 2} ${<u8>(250 + seven)}`));",
    logs: ["3 1", "3 1", "3 1"],
  },
  {
    what: "`console.log` and `Math.random` need a host that a node is not; `log` and `now` are there.",
    example: 'level.onSample((value) => console.log("x"));',
    fault: /needs env\.console\.log, which no node has/,
  },
  {
    what: "`Date.now()` likewise: `unix()` is the wall clock.",
    example: "level.onSample((value) => log(Date.now().toString()));",
    fault: /needs env\.Date\.now, which no node has/,
  },
  {
    what: "A number as a text has the fewest digits that read back, as in JavaScript, and `5` for 5; plain AssemblyScript writes 5.0, and an `f32` as 0.30000001192092896.",
    example: "level.onSample((value) => log(`${value / 10}`));",
    logs: ["0.1", "0.2", "0.3"],
  },
  {
    what: "Objects are collected between handlers only: what one handler makes has to fit at once.",
    example:
      "level.onSample((value) => { for (let i = 0; i < 40; i++) new StaticArray<u8>(1000); log('x'); });",
    logs: [],
    trap: /out of memory/,
  },
  {
    what: "Objects of unmanaged classes, as the building blocks are, are never collected: one made in a handler is refused.",
    example: "level.onSample((value) => { const h = new Hysteresis(); if (h.on) log('x'); });",
    fault: /make it once, at the top level/,
  },
  {
    what: "`sensor`, `output`, `parameter`, `timer`, `every`, `onRequest` and `onSample` stand at the top level; names are texts in quotes.",
    example: 'function late(): void { output("late"); } level.onSample((value) => late());',
    fault: /stands at the top level/,
  },
  {
    what: "Exports of a program stay inside the module; the node sees only those of the contract.",
    example: "export function mine(): void {} level.onSample((value) => log('x'));",
    logs: ["x", "x", "x"],
  },
];

/** The keys of wasmote.toml. */
const keys = [
  ["main", "the source", '"src/main.ts"', ""],
  ["name", "the package's name", "the file's", "32 letters, digits, `-`, `_`, `.`"],
  ["version", "the package's version", '"0.1.0"', "32 bytes"],
  ["vendor", "whose packages they are", "none", "32 bytes"],
  ["class", "the class of boards", "the node's", "32 bytes"],
  ["samples", "CSV for check and run", "none", ""],
  [
    "heap",
    "bytes of memory that handlers have at least",
    "fitted; 4096 where they allocate",
    "16,777,216",
  ],
  ["open", "whether packages go to nodes that anybody may change, without asking", "false", ""],
  ["[nodes]", "addresses by name", "none", ""],
  ["[gateways]", "addresses of gateways by name; their nodes are GATEWAY/NODE", "none", ""],
  ["[groups]", "lists of names of nodes", "none", ""],
];

const names = `Calibration, cbor, Code, dateOf, DeadBand, every, fixed, Format, Goertzel, gpio, History, hourOf, Hysteresis, Level, log, Median, Method,
  MovingAverage, now, onRequest, output, parameter, quoted, RateOfChange, ratingCurve, RatingTable, sensor, Smoothing, state, timer, unix, Window`;

/** The whole program of an example. */
export function programOf(example: string): string {
  return `import { ${names} } from "wasmote";
const level = sensor("level");
const out = output("out");
${example}
`;
}

export async function buildText(program: string): Promise<Built> {
  using scratch = temporaryFolder("sdk");
  const folder = scratch.path;
  const file = join(folder, "example.ts");
  writeFileSync(file, program);
  return await build(file);
}

const samples: Sample[] = Array.from({ length: 300 }, (_, index) => ({
  at: index * 1000,
  sensor: "level",
  value: Math.fround(2500 + 2000 * Math.sin(index / 9)),
}));

/** Fuel of the dearest run of each handler. */
async function measured({
  example,
}: Block): Promise<{ bytes: number; memory: string; fuel: number }> {
  const { module, memory } = await buildText(programOf(example));
  const simulation = new Simulation(module);
  for (const sample of samples) simulation.sample(sample);
  for (const [path, payload] of [
    ["level", ""],
    ["", "12.5"],
  ] as const)
    simulation.request(samples.at(-1)!.at, 1, path, payload);
  if (simulation.trapped) throw new Error(`${example} traps`);
  const [, ...runs] = simulation.fuel;
  const own = memory.start > 0 ? `${memory.start}` : "";
  return {
    bytes: module.length,
    memory: memory.collected ? "collected" : own,
    fuel: Math.max(...runs),
  };
}

/** What becomes of a difference's program. */
export async function tried(
  example: string,
): Promise<{ fault?: string; logs: string[]; trap?: string }> {
  let built: Built;
  try {
    built = await buildText(programOf(example));
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    return { fault: error.faults.map(({ message }) => message).join("\n"), logs: [] };
  }
  const simulation = new Simulation(built.module);
  [1, 2, 3].forEach((value, at) => simulation.sample({ at, sensor: "level", value }));
  const logs = simulation.happenings.flatMap((one) => (one.kind === "log" ? [one.text] : []));
  const trap = simulation.happenings.find((one) => one.kind === "trap");
  return { logs, ...(trap?.kind === "trap" ? { trap: trap.ended.trap ?? "" } : {}) };
}

export async function sdkPage(): Promise<string> {
  const rows: string[] = [];
  for (const block of blocks) {
    const { bytes, memory, fuel } = await measured(block);
    rows.push(`| ${block.name} | ${bytes} | ${memory} | ${fuel} |`);
  }
  const table = (head: string, lines: string[]) => [
    `| ${head} |`,
    `|${" --- |".repeat(head.split("|").length)}`,
    ...lines,
  ];
  const verdict = ({ fault, trap, logs }: (typeof differences)[number]) =>
    fault ? "refused by the build" : trap ? "traps" : logs ? "runs" : "";
  return [
    "# The SDK, block by block",
    "",
    "Generated by `npm run gen` from host/sdk.ts. Not for editing: a test builds and runs every example, and compares.",
    "",
    "Each size is that of the whole module of the example, of which some 100 bytes are the handler and the names around it. The",
    "memory is what objects of the start take, in bytes; fuel is that of the dearest run over 300 samples and two requests, of the",
    `${runFuel.toLocaleString("en")} that a node grants. Whole programs are in assembly/examples and assembly/recipes.`,
    "",
    ...table("block | module, bytes | objects, bytes | fuel", rows),
    "",
    "## Examples",
    "",
    "All of them begin with",
    "",
    "```ts",
    'import { … } from "wasmote";',
    'const level = sensor("level");',
    'const out = output("out");',
    "```",
    ...blocks.flatMap(({ name, what, example }) => [
      "",
      `**${name}.** ${what}`,
      "",
      "```ts",
      example,
      "```",
    ]),
    "",
    "## What differs from plain AssemblyScript",
    "",
    ...table(
      "rule | example | outcome",
      differences.map(
        (one) =>
          `| ${one.what} | \`\`${one.example.replaceAll("|", "\\|")}\`\` | ${verdict(one)} |`,
      ),
    ),
    "",
    "## Memory",
    "",
    "A module has pages of 16 KiB. The build runs the start of the program and fits the pages to it. Where handlers allocate, it puts in a",
    "collector, which runs after a handler when half of what was free has been taken: the dearest run includes that. `check` says",
    "what the memory holds, and runs every handler often. What is kept for ever traps as out of memory. `heap` asks for more.",
    "",
    "## wasmote.toml",
    "",
    ...table(
      "key | what | without it | at most",
      keys.map(
        (row) =>
          `| ${row[0]?.startsWith("[") ? row[0] : `\`${row[0]}\``} | ${row.slice(1).join(" | ")} |`,
      ),
    ),
    "",
    "A module has at most 16 sensors, 16 outputs, 16 parameters, 16 timers and one request handler; a request has at most 256 bytes with",
    "its path, a log line 96, a text of an output 48, a reply 512.",
    "",
  ].join("\n");
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  writeFileSync(new URL("../docs/sdk.md", import.meta.url), await sdkPage());
