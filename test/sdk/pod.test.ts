// A filter as a WASI command gives what a node gives: a winter of the river against the simulation, and against a native node byte for byte.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { readRiver } from "../../host/demo/river.ts";
import { build } from "../../host/lib/build/build.ts";
import { makePod } from "../../host/lib/build/pod.ts";
import { emulate, missing } from "../../host/lib/emulate.ts";
import { Node } from "../../host/lib/node.ts";
import { simulate } from "../../host/lib/simulate.ts";
import { newProject, wasmote } from "../harness/command.ts";
import { feeding } from "../harness/feeding.ts";
import { pack, provisioned } from "../harness/module.ts";
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
    ];
    const { code, out, err } = run(file, `${records.join("\r\n")}`);
    expect(code, err).toBe(0);
    expect(out).toEqual([
      '{"n":"out","t":11,"vs":"NaN"}',
      '{"n":"out","t":12,"v":10}',
      '{"n":"out","t":13,"v":10}',
      '{"n":"out","t":13.5,"v":-0.001}',
      '{"n":"out","t":13.5,"v":7}',
    ]);
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
  ])("says of %j that it is no sample, and goes on", (bad) => {
    const { code, out, err } = run(flood, `${lineOf(1234, 0)}${bad}\n${lineOf(1235, 1)}`);
    expect(code).toBe(65);
    expect(err).toMatch(/1 lines are no samples/);
    expect(out.filter((line) => line.includes('"flow"')).length).toBe(2);
  });

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
  }, 120_000);
});
