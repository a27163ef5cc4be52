// `npm start`: a board is started, a filter written in TypeScript is built, priced, signed and pushed to it, a winter of river
// data goes by, and the filter is replaced by a better and by a broken one. All of it is real; nothing is played back.
import { mkdirSync, readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { parseArgs } from "node:util";
import { build } from "../lib/build/build.ts";
import { machines } from "../lib/emulate.ts";
import { inspect } from "../lib/engine.ts";
import { guarded } from "../lib/keys.ts";
import type { Node, NodeInfo } from "../lib/node.ts";
import { makePackage } from "../lib/package.ts";
import { simulate } from "../lib/simulate.ts";
import { placeOf } from "../lib/sourcemap.ts";
import { picture, type Mark } from "./picture.ts";
import { flowOf, readRiver } from "./river.ts";
import { createScreen, type Point, type Screen } from "./screen.ts";
import { openStage, type Level, type Stage } from "./stage.ts";
import { refuseForeign } from "../cli/result.ts";
import { writeOutput } from "../lib/state.ts";
import { temporaryFolder } from "../lib/temporary.ts";

const usage = `usage: npm start -- [--target TARGET] [--plain] [--picture FILE] [--key FILE] [--samples N]

  --target   ${machines.join(", ")}, or a board of yours: serial:/dev/ttyACM0, coap://192.168.1.20
  --plain    lines instead of a chart, as without a terminal
  --picture  draws the run as an SVG file
  --key      the key your board trusts (.wasmote/key.pem)
  --samples  samples of your board's level sensor that each filter sees (20)
`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      target: { type: "string" },
      plain: { type: "boolean", default: false },
      picture: { type: "string" },
      key: { type: "string", default: ".wasmote/key.pem" },
      samples: { type: "string", default: "20" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return;
  }
  const samples = Number(values.samples);
  if (!Number.isInteger(samples) || samples < 1)
    throw new Error(`--samples ${values.samples}: a whole number from 1 on is wanted`);
  if (values.picture !== undefined) refuseForeign(values.picture, "a picture of `npm start`");
  const screen = createScreen(process.stdout, values.plain);
  using scratch = temporaryFolder("demo");
  const folder = scratch.path;
  let stage: Stage | undefined;
  // Ctrl-C and its relatives: boards end with this process; the terminal and the folder are put right before.
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.once(name, () => {
      screen.end();
      scratch[Symbol.dispose]();
      process.kill(process.pid, name);
    });
  try {
    const real = { key: values.key, samples };
    stage = await openStage(values.target, folder, real, (text) => screen.say(text));
    const { points, marks } = await play(stage, screen);
    if (values.picture !== undefined) {
      mkdirSync(dirname(resolve(values.picture)), { recursive: true });
      writeOutput(values.picture, picture(points, marks));
    }
  } finally {
    await stage?.node.close();
    await stage?.stop();
    screen.end();
  }
}

/** Builds a program of assembly/ and packs it for a node. */
async function pack(source: string, nodeClass: string, sequence: number, key: Stage["key"]) {
  const file = new URL(`../../assembly/${source}.ts`, import.meta.url).pathname;
  const built = await build(file);
  const { footprint, table } = inspect(built.module);
  const name = source.split("/").at(-1) ?? source;
  const { sensors, outputs } = built.facts;
  const needs = {
    ram: footprint.total,
    table,
    fuel: 0,
    sensors: sensors.length,
    outputs: outputs.length,
  };
  const manifest = {
    vendor: "",
    class: nodeClass,
    sequence,
    name,
    version: String(sequence),
    needs,
  };
  const packed = makePackage(built.module, manifest, key);
  return { ...built, file, footprint, packed, name };
}

/** What is said of the board. */
function about({ address }: Node, { limits, security, keys }: NodeInfo): [string, string][] {
  return [
    ["address", address.replace(/\/dev\/pts\/\d+|:\d+$/, "")],
    ["RAM for modules", `${limits["memory"]} bytes`],
    ["security", guarded(security)],
    ["trusts", keys === 1 ? "one key, made just now" : `${keys} keys`],
  ];
}

/** The story from its beginning to its end. */
async function play(stage: Stage, screen: Screen): Promise<{ points: Point[]; marks: Mark[] }> {
  const began = performance.now();
  const { node, key } = stage;
  screen.step(`A board: ${stage.title}`);
  const info = await node.info();
  screen.table(about(node, info));

  // Never installed twice, never downwards: a board of yours may have seen packages before.
  let sequence = (await node.app()).highest;
  const prepare = (source: string) => pack(source, info.class, ++sequence, key);

  screen.step("A filter: assembly/examples/flood-alarm.ts");
  const first = await prepare("examples/flood-alarm");
  const winter = readRiver().map(({ level }, day) => ({
    at: day * 1000,
    sensor: "level",
    value: level,
  }));
  const fuel = Math.max(...simulate(first.module, winter).fuel);
  screen.table([
    ["module", `${first.module.length} bytes`],
    ["RAM", `${first.footprint.total} bytes`],
    ["fuel", `${fuel} a run at most, over the whole winter`],
    ["package", `${first.packed.length} bytes, signed`],
  ]);

  // What comes from the node, from here to the end.
  const points: Point[] = [];
  const marks: Mark[] = [];
  const ending = new AbortController();
  let newest = Number.NaN;
  let version = "0";
  let alarm = false;
  let missed = 0;
  let arrived = () => {};
  const follow = async () => {
    for await (const { value } of node.observe("outputs/flow", ending.signal)) {
      newest = value;
      arrived();
    }
  };
  /** What the node makes of a sample is awaited. */
  const pass = async ({ date, level }: Level) => {
    const flow = flowOf(level);
    const expected = () => Math.abs(newest - flow) <= flow / 1000 + 0.001;
    const deadline = performance.now() + stage.patience;
    while (!expected() && performance.now() < deadline) {
      await new Promise<void>((woken) => {
        const timer = setTimeout(woken, deadline - performance.now());
        arrived = () => {
          clearTimeout(timer);
          woken();
        };
      });
    }
    if (!expected()) missed++;
    // A filter that has just come has said nothing yet of the alarm: it stays as it is.
    const said = await node.get("outputs/alarm").catch(() => "");
    if (said !== "") alarm = Number(said) > 0;
    const point = { date, level, flow: newest, alarm, version };
    points.push(point);
    screen.point(point);
  };
  const push = async (program: Awaited<ReturnType<typeof pack>>) => {
    const start = performance.now();
    await node.push(program.packed);
    version = (await node.app()).version ?? version;
    return Math.round(performance.now() - start);
  };
  const [before, between, after] = stage.acts;

  screen.step("Pushed over CoAP, while the river rises");
  const installed = await push(first);
  const following = follow();
  for (let sample = 0; sample < before; sample++) await pass(await stage.next());

  screen.step("A better filter, while data flows: assembly/demo/flood-early.ts");
  const spent = (await node.stats()).fuel_max;
  const second = await prepare("demo/flood-early");
  marks.push({ at: points.length, text: "second filter" });
  missed = 0;
  let pushing = true;
  const replacing = push(second).finally(() => (pushing = false));
  // Nothing is left unheard when a sample fails first.
  replacing.catch(() => {});
  let sample = 0;
  for (; pushing; sample++) await pass(await stage.next());
  const replaced = await replacing;
  screen.say(`   replaced; ${missed} samples went by without an output`);
  for (; sample < between; sample++) await pass(await stage.next());

  screen.step("A broken filter: assembly/demo/flood-broken.ts");
  const third = await prepare("demo/flood-broken");
  marks.push({ at: points.length, text: "broken filter, and back" });
  await push(third);
  let app = await node.app();
  if (stage.flood() !== undefined) {
    for await (const state of node.watchApp(AbortSignal.timeout(30_000))) {
      app = state;
      if (app.returned) break;
    }
    if (!app.returned) throw new Error("the node did not return to the filter before");
  } else {
    for (let left = after; left > 0 && !app.returned; left--) {
      await pass(await stage.next());
      app = await node.app();
    }
  }
  if (app.returned) {
    const place = placeOf(third.places, app.event?.offset ?? 0);
    const line = readFileSync(third.file, "utf8").split("\n")[(place?.line ?? 0) - 1] ?? "";
    screen.table([
      [
        "it trapped",
        `${app.event?.trap ?? app.event?.what ?? "?"} at assembly/demo/${place?.file ?? "?"}:${place?.line ?? 0}:${place?.column ?? 0}`,
      ],
      ["", line.trim()],
      ["the node", `returned to ${app.name ?? "?"} by itself`],
    ]);
  } else {
    await node.rollback();
    app = await node.app();
    screen.say(
      `   The river stayed too low for its mistake to show: returned to ${app.name ?? "?"} by hand.`,
    );
  }
  version = app.version ?? version;
  for (let left = after; left > 0; left--) await pass(await stage.next());
  ending.abort();
  await following.catch(() => {});

  screen.step("In figures");
  const outputs = points.filter(({ flow }) => Number.isFinite(flow)).length;
  screen.table([
    ["module, package", `${first.module.length} and ${first.packed.length} bytes`],
    ["RAM of the module", `${first.footprint.total} bytes`],
    ["fuel of a run", `${fuel} at most in the simulation, ${spent ?? "?"} on the node`],
    ["samples shown", `${outputs} of ${points.length}`],
    [
      "times",
      `installed in ${installed} ms, replaced in ${replaced} ms, all in ${((performance.now() - began) / 1000).toFixed(1)} s`,
    ],
  ]);
  suggest(screen);
  return { points, marks };
}

function suggest(screen: Screen): void {
  screen.step("To try next");
  screen.say("   npm link");
  screen.say("   wasmote new my-river");
  screen.say("   wasmote emulate native --dev");
  screen.say("   wasmote gateway --demo");
  screen.say("   wasmote --help");
}

try {
  await main();
} catch (error) {
  process.stderr.write(`demonstration: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
