// `npm start`: a board is started, a filter written in TypeScript is built, priced, signed and pushed to it, a winter of river
// data goes by, and the filter is replaced by a better and by a broken one. All of it is real; nothing is played back.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { build } from "../lib/build.ts";
import { emulate, machines, missing, type Machine } from "../lib/emulate.ts";
import { inspect } from "../lib/engine.ts";
import { Node } from "../lib/node.ts";
import { generateKey, makeFlash, makePackage } from "../lib/package.ts";
import { simulate } from "../lib/simulate.ts";
import { picture, type Mark } from "./picture.ts";
import { flowOf, readRiver } from "./river.ts";
import { createScreen, type Point } from "./screen.ts";

const usage = `usage: npm start -- [--target native|qemu-stm32] [--plain] [--picture FILE]
`;

/** What a package says of each board that can be had here. */
const classes: Record<Machine, string> = {
  native: "native",
  "qemu-stm32": "stm32f407",
  "qemu-mps2": "mps2-an386",
};
const file = (name: string) => new URL(`../../assembly/${name}.ts`, import.meta.url).pathname;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      target: { type: "string" },
      plain: { type: "boolean", default: false },
      picture: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return;
  }
  const screen = createScreen(process.stdout, values.plain);
  const folder = mkdtempSync(join(tmpdir(), "wasmote-demo-"));
  const began = Date.now();
  try {
    const machine = choose(values.target, (text) => screen.say(text));
    const key = generateKey();
    const flash = join(folder, "flash");
    writeFileSync(flash, makeFlash({ name: "wye", keys: [key.publicKey] }));

    screen.step(`A board: ${machine === "native" ? "a process" : "an emulated STM32F407"}`);
    const board = await emulate({ machine, flash });
    await using node = await Node.connect(board.address);
    const info = await node.info();
    screen.table([
      ["address", board.address.replace(/\/dev\/pts\/\d+|:\d+$/, "")],
      ["RAM for modules", `${(info["limits"] as Record<string, number>)["memory"]} bytes`],
      ["trusts", "one key, made just now"],
    ]);

    const days = readRiver();
    const samples = days.map(({ level }, day) => ({
      at: day * 1000,
      sensor: "level",
      value: level,
    }));
    let sequence = 0;
    const prepare = async (source: string) => {
      const built = await build(file(source));
      const { footprint, table } = inspect(built.module);
      const name = source.split("/").at(-1) ?? source;
      const { facts } = built;
      const packed = makePackage(
        built.module,
        {
          vendor: "",
          class: classes[machine],
          sequence: ++sequence,
          name,
          version: String(sequence),
          needs: {
            ram: footprint.total,
            table,
            fuel: 0,
            sensors: facts.sensors.length,
            outputs: facts.outputs.length,
          },
        },
        key,
      );
      return { ...built, footprint, packed, name };
    };

    screen.step("A filter: assembly/examples/flood-alarm.ts");
    const first = await prepare("examples/flood-alarm");
    const expected = simulate(first.module, samples);
    const fuel = Math.max(...expected.fuel);
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
    let alarm = false;
    let version = "0";
    let arrived = () => {};
    const follow = async (path: string, use: (value: number) => void) => {
      for await (const { value } of node.observe(path, ending.signal)) {
        use(value);
        arrived();
      }
    };
    const following: Promise<void>[] = [];

    const push = async (program: Awaited<ReturnType<typeof prepare>>) => {
      const start = Date.now();
      await node.push(program.packed);
      version = (await node.app()).version ?? version;
      return Date.now() - start;
    };
    let missed = 0;
    let day = 0;
    /** The level sensor shows a day; what the node makes of it is awaited. */
    const pass = async () => {
      const { date, level } = days[day++ % days.length]!;
      const flow = flowOf(level);
      board.feed("level", level);
      const deadline = Date.now() + 1000;
      while (!(Math.abs(newest - flow) <= flow / 1000) && Date.now() < deadline) {
        await new Promise<void>((resolve_) => {
          const timer = setTimeout(resolve_, deadline - Date.now());
          arrived = () => {
            clearTimeout(timer);
            resolve_();
          };
        });
      }
      if (!(Math.abs(newest - flow) <= flow / 1000)) missed++;
      alarm = Number(await node.get("outputs/alarm").catch(() => "0")) > 0;
      const point = { date, flow: newest, alarm, version };
      points.push(point);
      screen.point(point);
    };

    screen.step("Pushed over CoAP, while the river rises");
    const installed = await push(first);
    following.push(follow("outputs/flow", (value) => (newest = value)));
    const half = Math.floor(days.length / 2);
    while (day < half) await pass();

    screen.step("A better filter, while data flows: assembly/demo/flood-early.ts");
    const spent = (await node.stats())["fuel_max"];
    const second = await prepare("demo/flood-early");
    marks.push({ at: points.length, text: "second filter" });
    missed = 0;
    const pushing = push(second);
    let done = false;
    void pushing.finally(() => (done = true)).catch(() => {});
    while (!done) await pass();
    const replaced = await pushing;
    screen.say(`   replaced; ${missed} samples went by without an output`);
    while (day < days.length - 20) await pass();

    screen.step("A broken filter: assembly/demo/flood-broken.ts");
    const third = await prepare("demo/flood-broken");
    marks.push({ at: points.length, text: "broken filter, and back" });
    await push(third);
    // The highest day of that winter.
    const peak = days.reduce(
      (most, one, index) => (one.level > days[most]!.level ? index : most),
      0,
    );
    board.feed("level", days[peak]!.level);
    let app = await node.app();
    for await (const state of node.watchApp(AbortSignal.timeout(20_000))) {
      app = state;
      if (app.returned) break;
    }
    const { event } = app;
    const place = third.places.findLast(({ offset }) => offset <= (event?.offset ?? 0));
    version = app.version ?? version;
    screen.table([
      [
        "it trapped",
        `${event?.trap ?? event?.what ?? "?"} at assembly/demo/${place?.file ?? "?"}:${place?.line ?? 0}`,
      ],
      ["the node", `returned to ${app.name ?? "?"} by itself`],
    ]);
    if (!app.returned) throw new Error("the node did not return to the filter before");
    while (day < days.length) await pass();

    ending.abort();
    await Promise.allSettled(following);
    await board.stop();
    screen.step("In figures");
    const outputs = points.filter(({ flow }) => Number.isFinite(flow)).length;
    screen.table([
      ["module, package", `${first.module.length} and ${first.packed.length} bytes`],
      ["RAM of the module", `${first.footprint.total} bytes`],
      ["fuel of a run", `${fuel} at most in the simulation, ${spent ?? "?"} on the node`],
      ["days shown", `${outputs} of ${points.length}`],
      [
        "times",
        `installed in ${installed} ms, replaced in ${replaced} ms, all in ${((Date.now() - began) / 1000).toFixed(1)} s`,
      ],
    ]);
    screen.step("To try next");
    screen.say("   npx wasmote new my-river");
    screen.say("   npx wasmote emulate native --dev");
    screen.say("   npx wasmote --help");
    if (values.picture !== undefined) {
      mkdirSync(dirname(resolve(values.picture)), { recursive: true });
      writeFileSync(values.picture, picture(points, marks));
    }
  } finally {
    screen.end();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The target that was asked for, or the best there is. */
function choose(wanted: string | undefined, say: (text: string) => void): Machine {
  if (wanted !== undefined) {
    if (!machines.includes(wanted as Machine)) {
      throw new Error(
        `there is no target ${wanted}; there are: ${machines.join(", ")}. A real board has a sensor of its own: \`npx wasmote push --node ${wanted}\``,
      );
    }
    const reason = missing(wanted as Machine);
    if (reason !== undefined) throw new Error(reason);
    return wanted as Machine;
  }
  const reason = missing("qemu-stm32");
  if (reason === undefined) return "qemu-stm32";
  say(`No emulated board (${reason}): the node runs as a process instead.`);
  return "native";
}

try {
  await main();
} catch (error) {
  process.stderr.write(`demonstration: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
