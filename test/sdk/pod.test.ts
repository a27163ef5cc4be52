// A filter as a WASI command gives what a node gives: a winter of the river against the simulation, and against a native node byte for byte.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { readRiver } from "../../host/demo/river.ts";
import { build } from "../../host/lib/build/build.ts";
import { exportNames, readFacts } from "../../host/lib/build/section.ts";
import { imports } from "../../host/lib/contract.ts";
import { writeLayout } from "../../host/lib/build/oci.ts";
import { compileAdapter, makePod } from "../../host/lib/build/pod.ts";
import { emulate, missing } from "../../host/lib/emulate.ts";
import { Node } from "../../host/lib/node.ts";
import { simulate } from "../../host/lib/simulate.ts";
import { newProject, wasmote } from "../harness/command.ts";
import { feeding } from "../harness/feeding.ts";
import { pack, provisioned } from "../harness/module.ts";
import { missingTools, tool } from "../harness/tools.ts";
import { scratch } from "../harness/target.ts";

interface Line {
  n: string;
  t: number;
  v?: number;
  vs?: string;
}

/** What runs a pod: WASI of Node.js. */
const runner = `
import { WASI } from "node:wasi";
import { readFileSync } from "node:fs";
const wasi = new WASI({ version: "preview1", returnOnExit: true });
const module = await WebAssembly.compile(readFileSync(process.argv[1]));
process.exitCode = wasi.start(await WebAssembly.instantiate(module, wasi.getImportObject()));
`;

/** The same by wasmtime, of the Bytecode Alliance. */
const wasmtime = `
import sys
from wasmtime import Config, Engine, ExitTrap, Linker, Module, Store, WasiConfig
engine = Engine(Config())
store = Store(engine)
wasi = WasiConfig()
wasi.stdin_file, wasi.stdout_file = sys.argv[2], sys.argv[3]
wasi.inherit_stderr()
store.set_wasi(wasi)
linker = Linker(engine)
linker.define_wasi()
instance = linker.instantiate(store, Module.from_file(engine, sys.argv[1]))
try:
    instance.exports(store)["_start"](store)
except ExitTrap as ended:
    sys.exit(ended.code)
`;

function run(file: string, input: string) {
  const words = ["--no-warnings", "--input-type=module", "-e", runner, file];
  const { status, stdout, stderr } = spawnSync(process.execPath, words, {
    input,
    encoding: "utf8",
  });
  return { code: status, out: stdout.split("\n").filter(Boolean), err: stderr };
}

const lineOf = (value: number, index: number) =>
  `${JSON.stringify({ n: "level", t: 1000 + index / 10, v: value })}\n`;

describe("a pod", () => {
  const levels = readRiver().map(({ level }) => level);
  let folder: ReturnType<typeof scratch>;
  let flood: string;
  beforeAll(async () => {
    folder = scratch();
    flood = join(folder.path, "flood.wasm");
    const { module } = await build("assembly/examples/flood-alarm.ts");
    writeFileSync(flood, await makePod(module));
    return () => folder[Symbol.dispose]();
  });

  test("publishes and logs through a winter what the simulation does", async () => {
    const { module } = await build("assembly/examples/flood-alarm.ts");
    const samples = levels.map((value, index) => ({ at: index * 100, sensor: "level", value }));
    const { happenings } = simulate(module, samples);
    const { code, out, err } = run(flood, levels.map(lineOf).join(""));
    expect(code, err).toBe(0);
    const published = out.map((line) => {
      const { n, v } = JSON.parse(line) as Line;
      return { name: n, value: Math.fround(v ?? Number.NaN) };
    });
    expect(published).toEqual(
      happenings.flatMap((one) =>
        one.kind === "output" ? [{ name: one.name, value: one.value }] : [],
      ),
    );
    expect(err.split("\n").filter(Boolean)).toEqual(
      happenings.flatMap((one) => (one.kind === "log" ? [one.text] : [])),
    );
    expect(published.length).toBeGreaterThan(levels.length);
  });

  test("has every import of the contract", async () => {
    const { module } = await build("assembly/examples/flood-alarm.ts");
    const there = exportNames(await compileAdapter(readFacts(module)));
    const left = Object.entries(imports).filter(([, { link }]) => !there.includes(link));
    expect(left.map(([name]) => name)).toEqual([]);
  });

  const reason = missing("native");
  test.skipIf(reason !== undefined)(
    `writes numbers as a node does, byte for byte${reason ? ` (skipped: ${reason})` : ""}`,
    async () => {
      const board = await provisioned(
        (options) => emulate({ machine: "native", ...options }),
        folder.path,
      );
      try {
        await using node = await Node.connect(board.address);
        await node.push(await pack("native", "flood-alarm", 1));
        for (const level of levels.filter((_, index) => index % 97 === 0).slice(0, 12)) {
          const [line = ""] = run(flood, lineOf(level, 0)).out;
          const value = /"v":([^}]*)\}/.exec(line)?.[1];
          const same = (text: string) => text === value;
          await feeding(board, "level", level, async () => {
            for await (const { payload } of node.notifications("outputs/flow"))
              if (same(payload.toString())) return;
          });
        }
      } finally {
        await board.stop();
      }
    },
  );

  test("ticks by the time of the samples, has parameters, and NaN as text", async () => {
    const source = join(folder.path, "ticks.ts");
    writeFileSync(
      source,
      `import { every, output, parameter, sensor } from "wasmote";
const level = sensor("level");
const rain = sensor("rain");
const out = output("out");
const factor = parameter("factor", 2.5, 0, 10);
every(1000, () => { out.publish(level.value * factor.value); });
rain.onSample((value) => { out.publish(value); });
`,
    );
    const { module } = await build(source);
    const file = join(folder.path, "ticks.wasm");
    writeFileSync(file, await makePod(module));
    const records = [
      '{"n":"wind","t":10,"v":1}',
      '{"v":4,"n":"level","t":11.5,"u":"mm"}',
      ' { "n" : "rain" , "t" : 1.35e1 , "v" : -0.1e-2 } ',
      "",
      '{"n":"rain","t":13,"v":7}',
      // What a node says of a sensor that is not well: it has no value any more, and no handler runs.
      '{"n":"level","t":13.6,"vs":"silent"}',
      '{"n":"rain","t":13.6,"vs":"no echo"}',
      '{"n":"rain","t":14.6,"v":1}',
    ];
    const { code, out, err } = run(file, `${records.join("\r\n")}`);
    expect(code, err).toBe(0);
    expect(out).toEqual([
      '{"n":"out","t":11,"vs":"NaN"}',
      '{"n":"out","t":12,"v":10}',
      '{"n":"out","t":13,"v":10}',
      '{"n":"out","t":13.5,"v":-0.001}',
      '{"n":"out","t":13.5,"v":7}',
      '{"n":"out","t":14,"vs":"NaN"}',
      '{"n":"out","t":14.6,"v":1}',
    ]);
  });

  test("tells texts, whole numbers and records, a field a record as a node does", async () => {
    const source = join(folder.path, "kinds.ts");
    writeFileSync(
      source,
      `import { Level, log, output, sensor } from "wasmote";
class Day { wet: bool = false; number: i32 = 0; total: f64 = 0; rain: f32 = 0; }
const level = sensor("level");
const state = output<string>("state");
const count = output<i32>("count");
const size = output<u32>("size");
const big = output<i64>("big");
const wet = output<bool>("wet");
const day = output<Day>("day");
const plain = output("plain");
const today = new Day();
level.onSample((value) => {
  log("heard", Level.WARNING);
  state.publish(\`"\${value}" \\\\ \n é \${value > 5 ? "${"é".repeat(40)}" : ""}\`);
  count.publish(-<i32>value);
  size.publish(4294967295);
  big.publish(<i64>value * -10000000000);
  wet.publish(value > 5);
  today.wet = value > 5;
  today.number++;
  today.total = value / 8;
  today.rain = value / 0;
  day.publish(today);
  plain.publish(value);
});
`,
    );
    const { module } = await build(source);
    const file = join(folder.path, "kinds.wasm");
    writeFileSync(file, await makePod(module));
    const { code, out, err } = run(file, '{"n":"level","t":1,"v":3}\n{"n":"level","t":2,"v":7}\n');
    expect(code, err).toBe(0);
    expect(err).toBe("heard\nheard\n");
    const records = out.map((line) => JSON.parse(line) as Line & { vb?: boolean });
    const { happenings } = simulate(module, [
      { at: 0, sensor: "level", value: 3 },
      { at: 1000, sensor: "level", value: 7 },
    ]);
    const expected = happenings.flatMap(({ at, ...one }) => {
      const t = at / 1000 + 1;
      const as = (n: string, value: unknown) => {
        if (typeof value === "string") return { n, t, vs: value };
        if (typeof value === "boolean") return { n, t, vb: value };
        const v = Number(value);
        return Number.isFinite(v) ? { n, t, v } : { n, t, vs: String(v) };
      };
      if (one.kind === "output") return [as(one.name, one.value)];
      if (one.kind !== "told") return [];
      const { name, value } = one;
      if (typeof value !== "object") return [as(name, value)];
      return Object.entries(value).map(([field, part]) => as(`${name}/${field}`, part));
    });
    expect(records).toEqual(expected);
    expect(records.length).toBe(20);
  });

  test.each([
    "{",
    "[]",
    '{"n":"level"}',
    '{"v":1}',
    '{"n":"level","v":"1"}',
    '{"n":"level","v":1e}',
    '{"n":"level","v":.5}',
    '{"n":"level","v":1}x',
    '{"n":"level","v":nan}',
    '{"n":"le\\u0076el","v":1}',
    '{"n":{"n":"level"},"v":1}',
    `{"n":"level","v":1,"x":"${"y".repeat(5000)}"}`,
    "\u0000",
    '{"n":"level","v":01}',
    '{"n":"level","v":1.}',
    // Milliseconds instead of seconds, and what no clock has.
    '{"n":"level","t":1700000000000,"v":1}',
    '{"n":"level","t":1e300,"v":1}',
    '{"n":"level","t":1e999,"v":1}',
    // What says that the rest means something else (RFC 8428 §4.1, §4.4).
    '{"bn":"urn:dev:mac:0024befffe804ff1/","n":"level","v":1}',
    '{"bt":1.3e9,"n":"level","t":1,"v":1}',
    '{"n":"level","v":1,"unit_":2}',
  ])("says of %j that it is no sample, and goes on", (bad) => {
    const { code, out, err } = run(flood, `${lineOf(1234, 0)}${bad}\n${lineOf(1235, 1)}`);
    expect(code).toBe(65);
    expect(err).toMatch(/^1 line is no sample: line 2\. A sample is written \{"n":"level",/m);
    expect(out.filter((line) => line.includes('"flow"')).length).toBe(2);
  });

  test("counts lines that are no samples, and names the first; times before the first sample's day are times", () => {
    const records = ['{"n":"level","t":-20,"v":1}', "", "x", '{"n":"level","t":-10.5,"v":2}', "y"];
    const { code, out, err } = run(flood, records.join("\n"));
    expect(code).toBe(65);
    expect(err).toMatch(/^2 lines are no samples: the first is line 3\. /m);
    const times = out.flatMap((line) =>
      line.includes('"flow"') ? [(JSON.parse(line) as Line).t] : [],
    );
    expect(times).toEqual([-20, -10.5]);
  });

  test.skipIf(missingTools !== undefined)(
    `gives in wasmtime what it gives in Node.js, byte for byte${missingTools === undefined ? "" : ` (skipped: ${missingTools})`}`,
    () => {
      const input = join(folder.path, "winter.jsonl");
      const output = join(folder.path, "winter.out");
      const text = levels.map(lineOf).join("");
      writeFileSync(input, text);
      const { status, stderr } = spawnSync(tool("python"), ["-c", wasmtime, flood, input, output], {
        encoding: "utf8",
      });
      expect(status, stderr).toBe(0);
      const written = readFileSync(output, "utf8");
      expect(written.length).toBeGreaterThan(text.length / 2);
      expect(written === `${run(flood, text).out.join("\n")}\n`).toBe(true);
    },
    120_000,
  );

  test("is an OCI artefact whose parts have the digests that it says, the same for the same module", () => {
    using own = scratch();
    const module = readFileSync(flood);
    const layout = join(own.path, "layout");
    const digest = writeLayout(layout, module, "flood");
    const read = (path: string) => readFileSync(join(layout, path));
    const blob = ({ digest: name, size }: { digest: string; size: number }) => {
      const bytes = read(`blobs/${name.replace(":", "/")}`);
      expect(bytes.length).toBe(size);
      expect(`sha256:${createHash("sha256").update(bytes).digest("hex")}`).toBe(name);
      return bytes;
    };
    const json = (bytes: Buffer) => JSON.parse(bytes.toString()) as Record<string, never>;
    expect(json(read("oci-layout"))).toEqual({ imageLayoutVersion: "1.0.0" });
    const [entry] = json(read("index.json"))["manifests"]! as [never];
    expect(entry).toMatchObject({ digest });
    const { config, layers } = json(blob(entry));
    const [layer] = layers! as [{ digest: string; size: number; mediaType: string }];
    expect(layer.mediaType).toBe("application/wasm");
    expect(blob(layer).equals(module)).toBe(true);
    expect(json(blob(config!))).toMatchObject({ os: "wasip1", layerDigests: [layer.digest] });
    // Written over itself it is the same; a folder of something else is left alone.
    expect(writeLayout(layout, module, "flood")).toBe(digest);
    expect(readdirSync(join(layout, "blobs/sha256")).length).toBe(3);
    writeFileSync(join(own.path, "file"), "");
    expect(() => writeLayout(own.path, module, "flood")).toThrow(/no OCI layout/);
    expect(readdirSync(own.path).toSorted()).toEqual(["file", "layout"]);
  });

  test("says what begins anew with each run", async () => {
    using own = scratch();
    const project = await newProject(own.path);
    writeFileSync(
      join(project, "counts.ts"),
      `import { output, sensor, state } from "wasmote";
const level = sensor("level");
const out = output("out");
const seen = state("seen", 0);
level.onSample(() => { seen.value += 1; out.publish(f32(seen.value)); });
`,
    );
    const words = ["pod", "counts.ts", "-o", "counts.wasm", "--oci", "counts", "--json"];
    const made = await wasmote(project, ...words);
    expect(made.code, made.err).toBe(0);
    const file = join(project, "counts.wasm");
    const { manifest } = JSON.parse(made.out) as { manifest: string };
    expect(JSON.parse(made.out)).toMatchObject({ forgets: ["seen"], oci: "counts" });
    expect(writeLayout(join(own.path, "same"), readFileSync(file), "counts")).toBe(manifest);
    expect(run(file, lineOf(1, 0) + lineOf(1, 1)).out.at(-1)).toMatch(/"v":2}/);
    expect(run(file, lineOf(1, 0)).out.at(-1)).toMatch(/"v":1}/);
  }, 300_000);

  test("is made by a verb; what traps ends it", async () => {
    const project = await newProject(folder.path);
    const made = await wasmote(project, "pod", "-o", "river.wasm", "--json");
    expect(made.code, made.err).toBe(0);
    const { bytes } = JSON.parse(made.out) as { bytes: number };
    expect(readFileSync(join(project, "river.wasm")).length).toBe(bytes);
    expect(bytes).toBeLessThan(6000);
    const source = join(folder.path, "trap.ts");
    writeFileSync(
      source,
      'import { sensor } from "wasmote";\nconst level = sensor("level");\nlevel.onSample((value) => {\n  if (value > 2) unreachable();\n});\n',
    );
    const { module } = await build(source);
    const file = join(folder.path, "trap.wasm");
    writeFileSync(file, await makePod(module));
    expect(run(file, lineOf(1, 0)).code).toBe(0);
    expect(run(file, lineOf(3, 0))).toMatchObject({
      code: 1,
      err: expect.stringMatching(/unreachable/) as string,
    });
  }, 300_000);
});
