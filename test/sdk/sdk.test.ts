// The sensor SDK: examples build, their sizes are known, and what is generated is what the contract says.
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, test } from "vitest";
import { generate, vectors } from "../../host/gen.ts";
import { build, BuildError } from "../../host/lib/build/build.ts";
import { missingEngine } from "../../host/lib/engine.ts";
import { Simulation } from "../../host/lib/simulate.ts";
import { digestOf, openPackage } from "../../host/lib/package.ts";
import { packageVectors } from "../../host/vectors.ts";
import { scratch } from "../harness/target.ts";
import { readFacts, readMemory } from "../../host/lib/build/section.ts";

const root = new URL("../../", import.meta.url).pathname;
const folder = join(root, "assembly/examples");
const examples = readdirSync(folder).map((file) => basename(file, ".ts"));

test("generated files are what the contract says", async () => {
  for (const [path, text] of Object.entries({ ...generate(), ...(await vectors()) })) {
    const squeeze = (source: string) => source.replaceAll(/[\s,"]+/g, "");
    expect(squeeze(readFileSync(join(root, path), "utf8")), path).toBe(squeeze(text));
  }
});

test("examples keep their sizes", async () => {
  const sizes: Record<string, number> = {};
  for (const name of examples)
    sizes[name] = (await build(join(folder, `${name}.ts`))).module.length;
  expect(sizes["flood-alarm"]).toBeLessThanOrEqual(1024);
  expect(sizes["moving-average"]).toBeLessThanOrEqual(300);
  await expect(`${JSON.stringify(sizes, null, 2)}\n`).toMatchFileSnapshot("../golden/sizes.json");
});

test("an example says what it is, in pages of 16 KiB, and V8 takes all but the page size", async () => {
  const { module, facts } = await build(join(folder, "flood-alarm.ts"));
  expect(readFacts(module)).toEqual(facts);
  expect(facts.sensors).toEqual(["level"]);
  expect(facts.parameters).toEqual([{ name: "limit", initial: 200, minimum: 0, maximum: 2000 }]);
  expect(readMemory(module)).toEqual({ minimum: 1, maximum: 1, pageBits: 14 });
});

/** The faults of a program, as `line:column message`; none when it builds. */
async function faults(program: string | readonly string[]): Promise<string[]> {
  using folder_ = scratch();
  const file = join(folder_.path, "program.ts");
  writeFileSync(file, typeof program === "string" ? program : program.join("\n"));
  try {
    await build(file);
    return [];
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    // What is shown has the line of each fault, and a mark.
    for (const { line } of error.faults)
      if (line > 0)
        expect(error.message).toContain(readFileSync(file, "utf8").split("\n")[line - 1]);
    return error.faults.map(({ line, column, message }) => `${line}:${column} ${message}`);
  }
}

describe("a program that is wrong is refused with its line", () => {
  const head = 'import { every, onRequest, output, parameter, sensor } from "wasmote";';
  test.each<[what: string, lines: string[], expected: RegExp[]]>([
    [
      "a name that is not there",
      [head, 'const level = sensor("level");', "level.onSample((value) => nothing(value));"],
      [/^3:27 Cannot find name 'nothing'/],
    ],
    ["a type that does not fit", [head, 'const x: i32 = "a";'], [/^2:16 Type '~?.*' is not/]],
    [
      "JavaScript's Math, and a number that would lose something",
      [
        head,
        'const out = output("out");',
        "every(1000, () => out.publish(Math.max(1, 2)));",
        "const count: i32 = 1.5 + 1;",
      ],
      [
        /^4:20 .* explicit cast: write <i32>\(…\) where that is meant\.$/,
        /^3:31 .* explicit cast: Math is of f64, Mathf of f32\.$/,
      ],
    ],
    [
      "a name that the SDK has not",
      ['import { request } from "wasmote";'],
      [/^1:10 Module 'wasmote' has no exported member 'request'/],
    ],
    [
      "a sensor without a name",
      [head, "const level = sensor();"],
      [/^2:15 the name .* is missing/],
    ],
    [
      "a name that is computed",
      [head, 'const a = "level";', "const level = sensor(a);"],
      [/^3:22 the name of a sensor must be a text in quotes/],
    ],
    ["a name with a space", [head, 'const a = output("a b");'], [/^2:11 "a b" is not a name/]],
    [
      "an output that is declared twice",
      [head, 'const a = output("a");', 'const b = output("a");'],
      [/^3:11 the output "a" is declared twice/],
    ],
    [
      "a parameter that is declared twice",
      [head, 'const a = parameter("a", 1), b = parameter("a", 2);'],
      [/^2:34 the parameter "a" is declared twice/],
    ],
    [
      "seventeen outputs",
      [head, ...Array.from({ length: 17 }, (_, i) => `const o${i} = output("o${i}");`)],
      [/^18:13 a program has at most 16 outputs/],
    ],
    [
      "an initial value outside its range",
      [head, 'const a = parameter("a", 5, 0, 4);'],
      [/^2:11 5 is not between 0 and 4/],
    ],
    [
      "an initial value that is computed while the program runs",
      [head, "let b: f32 = 3;", 'const a = parameter("a", b);'],
      [/^3:26 this must be a number that is known before the program runs/],
    ],
    [
      "a unit that is none",
      [head, 'const a = output("a", "m\\"");'],
      [/^2:11 .* is no SenML unit/],
    ],
    [
      "periods that have nothing in common",
      [head, "every(1000, () => {});", "every(333, () => {});"],
      [/^3:1 with the other periods the module would be woken every 1 ms/],
    ],
    ["a period of nothing", [head, "every(0, () => {});"], [/^2:1 the period is a whole number/]],
    [
      "a timer that is not declared at the top level",
      [
        'import { every, timer } from "wasmote";',
        "every(1000, () => { timer(() => {}).start(5); });",
      ],
      [/^2:21 timer stands at the top level/],
    ],
    [
      "two request handlers",
      [head, "onRequest((r) => {});", "onRequest((r) => {});"],
      [/^3:1 a program has one request handler/],
    ],
    [
      "a constant that is defined by itself",
      [head, "const b: f32 = c + 1, c: f32 = b;", "every(b, () => {});"],
      [/^3:7 this must be a number/, /^3:1 the period/],
    ],
    [
      "a handler that is the name of no function",
      [head, 'const level = sensor("level");', "level.onSample(f);"],
      [/^3:16 the handler must be written here/],
    ],
    [
      "a named handler of two values",
      [head, "function f(a: i32, b: i32): void {}", "every(1000, f);"],
      [/^3:13 this handler takes nothing/],
    ],
    [
      "a handler of two values",
      [head, 'const level = sensor("level");', "level.onSample((a, b) => {});"],
      [/^3:16 this handler takes one value/],
    ],
    [
      "a handler of no sensor",
      [head, "let level = 1;", "level.onSample((v) => {});"],
      [/^3:1 onSample belongs to a sensor declared above/],
    ],
    [
      "a sensor without a variable",
      [head, 'sensor("level").onSample((v) => {});'],
      [/^2:1 declare the sensor first/],
    ],
    [
      "declarations inside functions",
      [
        head,
        'const level = sensor("level");',
        "function late(): void {",
        '  const a = output("a");',
        "  every(1, () => {});",
        "  level.onSample((v) => {});",
        "}",
        "late();",
      ],
      [/^4:13 output stands at the top level/, /^5:3 every stands/, /^6:3 onSample stands/],
    ],
    [
      "a declaration in an expression",
      [head, 'const level = true ? sensor("a") : sensor("b");'],
      [/^2:22 sensor stands at the top level/, /^2:36 sensor stands/],
    ],
    [
      "a declaration by the name of the SDK",
      ['import * as w from "wasmote";', 'const level = w.sensor("a b");'],
      [/^2:15 "a b" is not a name/],
    ],
  ])("%s", async (_, lines, expected) => {
    const found = await faults(lines);
    expect(found.length, found.join("\n")).toBe(expected.length);
    expected.forEach((one, index) => expect(found[index]).toMatch(one));
  });

  const unbuilt = missingEngine("wasmote");
  test.skipIf(unbuilt)(
    `what a node's engine would refuse, the build refuses${unbuilt ? ` (skipped: ${unbuilt})` : ""}`,
    async () => {
      expect(
        await faults([
          "// @ts-ignore",
          '@external("env", "shell")',
          "declare function shell(): void;",
          "shell();",
        ]),
      ).toEqual(["2:1 this needs env.shell, which no node has"]);
      expect(
        await faults([head, "let r: f64 = 0;", "every(1, () => {", "  r = Math.random();", "});"]),
      ).toEqual(["4:7 this needs env.seed, which no node has"]);
      // Blocks that are nested deeper than a node has room to validate.
      const depth = 70;
      const nested = [
        head,
        'const level = sensor("level");',
        'const out = output("out");',
        "let n = 0;",
        "level.onSample((value) => {",
        ...Array.from({ length: depth }, (_, i) => `while (value > ${i}) { out.publish(${i});`),
        "}".repeat(depth),
        "});",
      ];
      const [deep] = await faults(nested);
      expect(deep).toMatch(/^\d+:\d+ no node takes this: unsupported at byte \d+: /);
      expect(Number(deep?.split(":")[0])).toBeGreaterThan(30);
    },
  );
});

test("periods and ranges may be constant expressions, and handlers functions with a name", async () => {
  using folder_ = scratch();
  const file = join(folder_.path, "program.ts");
  writeFileSync(
    file,
    `import { every, onRequest, output, parameter, Request, sensor } from "wasmote";
     const second = 1_000, minute = 60 * second;
     const level = sensor("level");
     const out = output("out");
     const limit = parameter("limit", -(2 + 3) * 0x10, -minute, <f32>1.5e3 * 2 ** 3);
     every(5 * minute, report);
     level.onSample(take);
     onRequest(answer);
     let sum: f32 = 0;
     function take(value: f32): void { sum += value; }
     function report(): void { out.publish(sum); }
     function answer(request: Request): void { request.reply(0x45, \`sum \${sum}\`); }`,
  );
  const { module, facts } = await build(file);
  expect(facts.tick).toBe(300_000);
  expect(facts.parameters).toEqual([
    { name: "limit", initial: -80, minimum: -60_000, maximum: 12_000 },
  ]);
  const simulation = new Simulation(module);
  simulation.sample({ at: 1, sensor: "level", value: 2.5 });
  simulation.sample({ at: 2, sensor: "level", value: 2 });
  simulation.request(3, 1, "");
  simulation.until(300_000);
  expect(simulation.happenings).toEqual([
    { at: 3, kind: "reply", status: "2.05", text: "sum 4.5" },
    { at: 300_000, kind: "output", name: "out", value: 4.5 },
  ]);
});

test('import from "wasmote" resolves by AssemblyScript\'s own rules, with its own compiler', async () => {
  using folder_ = scratch();
  mkdirSync(join(folder_.path, "node_modules"));
  symlinkSync(root, join(folder_.path, "node_modules/wasmote"));
  cpSync(join(folder, "dead-band.ts"), join(folder_.path, "main.ts"));
  const asc = join(root, "node_modules/assemblyscript/bin/asc.js");
  const ran = spawnSync(process.execPath, [asc, "main.ts", "--noEmit"], {
    cwd: folder_.path,
    encoding: "utf8",
  });
  expect(ran.stderr).not.toContain("ERROR");
  expect(ran.status).toBe(0);
});

describe("package vectors", () => {
  const { keys, packages } = packageVectors();
  const trusted = Buffer.from(keys[0] ?? "", "hex");
  const read = (text: string) => openPackage(Buffer.from(text, "hex"));

  test.each(packages.filter(({ expected }) => expected === "ok"))(
    "$name is read here as it is on the node",
    (one) => {
      const opened = read(one.package);
      const { manifest, module } = opened;
      expect(manifest).toMatchObject({ class: "test", version: "1" });
      expect(module.length).toBe(manifest.size);
      expect(Buffer.from(digestOf(module))).toEqual(Buffer.from(manifest.digest));
      expect(opened.verify(trusted)).toBe(true);
    },
  );

  test.each(packages.filter(({ expected }) => ["signature", "unknown-key"].includes(expected)))(
    "$name is not of the trusted key",
    (one) => {
      expect(read(one.package).verify(trusted)).toBe(false);
    },
  );
});
