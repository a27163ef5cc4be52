// The engine against the official WebAssembly test suite, through the command a user has for it: on this computer, in slices
// of fuel, with every trust checked, and on an emulated Cortex-M4F. What is left out is counted exactly.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { environment, root } from "../../host/setup.mjs";

const manifest = join(root, "firmware/Cargo.toml");

/** The command, as `npm run -s conformance` has it. */
function command(words: string[], features: string[] = []): string[] {
  return `run --quiet --locked --profile host --manifest-path ${manifest} -p wasmote-conformance`
    .split(" ")
    .concat(features, "--", words);
}

/** Runs the command; the first build of it takes a while. */
function output(words: string[], features: string[] = []): string {
  return execFileSync("cargo", command(words, features), {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    maxBuffer: 1 << 26,
  });
}

function conformance(words: string[], features: string[] = []): unknown {
  return JSON.parse(output([...words, "--json"], features));
}

/** Every file of the suite, what passes of it, and what is left out and why: reviewed, and written with UPDATE_GOLDEN=1. */
function expectListed(list: string, name: string): void {
  const golden = join(root, "test/golden", name);
  if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(golden, list);
  expect(list).toBe(readFileSync(golden, "utf8"));
}

/** 576 of the text format, 16 with several memories, 6 of 64-bit memories. */
const whole = { passed: 27_621, failed: 0, skipped: 598 };

/** On the emulated board: four need more memory than it has. */
const there = { passed: whole.passed - 4, failed: 0, skipped: whole.skipped + 4 };

interface Measured {
  kernel: string;
  result: number;
  fuel: number;
  instructions: number;
  native: number;
}

const limit = 600_000;
const emulated =
  environment().qemu?.ok === true && existsSync(join(root, "dist/machine.elf"))
    ? ""
    : " (skipped: no QEMU or no image for the chip)";

describe("the official test suite", () => {
  test("passes here, file by file as listed", { timeout: limit }, () => {
    const list = output(["--list"]);
    expectListed(list, "conformance.txt");
    expect(list.trim().split("\n").at(-1)).toBe(
      `${whole.passed} passed, 0 failed, ${whole.skipped} skipped`,
    );
  });

  test("has its counts, and nothing else, as JSON", { timeout: limit }, () => {
    expect(output(["--json", "2.0/address", "2.0/const"])).toMatch(
      /^\{"passed":\d+,"failed":0,"skipped":\d+\}\n$/,
    );
  });

  test.each([
    [["--slice", "0"], /^conformance: --slice is at least 1/],
    [["--slice", "-1"], /^conformance: cannot parse argument "-1"/],
    [["--target", "z80"], /^conformance: --target is laptop or cortex-m4\nusage: /],
    [["--growth"], /give --target cortex-m4/],
    [["--all"], /^conformance: invalid option '--all'\nusage: /],
    [["2.0/nothing"], /^conformance: no file of the suite has such a name/],
  ])("refuses %j", { timeout: limit }, (words, told) => {
    const { status, stderr, stdout } = spawnSync("cargo", command(words), { encoding: "utf8" });
    expect([status, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(told);
  });

  test("passes when a run is suspended wherever it can be", { timeout: limit }, () => {
    expect(conformance(["--slice", "1"])).toEqual(whole);
  });

  test("passes with every trust turned into a check", { timeout: limit }, () => {
    expect(conformance([], ["--features", "checked"])).toEqual(whole);
  });

  test("so do the engine's own tests and random modules", { timeout: limit }, () => {
    const words = `test --quiet --locked --manifest-path ${manifest} --features checked`.split(" ");
    const output = execFileSync(
      "cargo",
      [...words, "-p", "wasmote-engine", "-p", "wasmote-conformance"],
      {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "pipe"],
        maxBuffer: 1 << 26,
        env: { ...process.env, WASMOTE_MODULES: "600", WASMOTE_MUTANTS: "3000" },
      },
    );
    const passed = [...output.matchAll(/^test result: ok\. (\d+) passed; 0 failed/gm)];
    expect(passed.reduce((sum, [, count]) => sum + Number(count), 0)).toBeGreaterThan(8);
  });

  test.skipIf(emulated)(`passes on a Cortex-M4F${emulated}`, { timeout: limit }, () => {
    expectListed(output(["--target", "cortex-m4", "--list"]), "conformance-cortex-m4.txt");
  });

  test.skipIf(emulated)(
    `random modules and those fuzzing keeps come to the same there as here, to the bit and to the unit of fuel${emulated}`,
    { timeout: 2 * limit },
    () => {
      const words = `test --quiet --locked --manifest-path ${manifest} -p wasmote-conformance`;
      const output = execFileSync(
        "cargo",
        [...words.split(" "), "--test", "random", "--", "--ignored"],
        { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], maxBuffer: 1 << 26 },
      );
      expect(output).toMatch(/^test result: ok\. 10 passed; 0 failed/m);
    },
  );

  test.skipIf(emulated)(
    `passes there when a run is suspended wherever it can be${emulated}`,
    { timeout: 2 * limit },
    () => {
      expect(conformance(["--target", "cortex-m4", "--slice", "1"])).toEqual(there);
    },
  );

  test.skipIf(emulated).each([[[]], [["--slice", "64"]], [["--slice", "1"]]])(
    `passes there through the compiler, %j${emulated}`,
    { timeout: limit },
    (slice) => {
      const words = ["--target", "cortex-m4", "--compiled", ...slice];
      expect(conformance(words)).toEqual(there);
    },
  );

  test.skipIf(emulated)(`is compiled but for two modules${emulated}`, { timeout: limit }, () => {
    const list = output(["--target", "cortex-m4", "--compiled", "--list"]);
    const last = list.trim().split("\n").slice(-8);
    expect(last).toContain("2 left out: modules interpreted as a whole");
  });
});

interface Growth {
  shape: string;
  sizes: { bytes: number; instructions: number; refused: string }[];
}

describe("validation", () => {
  test.skipIf(emulated)(
    `takes instructions in proportion to the module's size, whatever its shape${emulated}`,
    { timeout: limit },
    () => {
      const shapes = conformance(["--growth", "--target", "cortex-m4"]) as Growth[];
      expect(shapes.length).toBeGreaterThan(15);
      for (const { shape, sizes } of shapes) {
        const each = sizes.map(({ bytes, instructions }) => instructions / bytes);
        // A sort by name is what grows by a logarithm; what carries thousands of types is refused at a stated sum of them.
        expect(Math.max(...each) / each[0]!, shape).toBeLessThan(
          shape.includes("names") ? 1.3 : 1.1,
        );
        // A tenth above what was measured.
        expect(Math.max(...each), shape).toBeLessThan(2000);
      }
      expect(shapes.filter(({ sizes }) => sizes.some(({ refused }) => refused !== "")).length).toBe(
        5,
      );
    },
  );
});

describe("kernels", () => {
  const facts = ({ kernel, result, fuel }: Measured) => ({ kernel, result, fuel });

  test.skipIf(emulated)(
    `come to the same compiled, and take fewer instructions${emulated}`,
    { timeout: limit },
    () => {
      const words = ["--measure", "--target", "cortex-m4"];
      const interpreted = conformance(words) as Measured[];
      const compiled = conformance([...words, "--compiled"]) as Measured[];
      expect(compiled.map(facts)).toEqual(interpreted.map(facts));
      for (const [index, { kernel, instructions }] of compiled.entries())
        expect(instructions, kernel).toBeLessThan(interpreted[index]!.instructions);
    },
  );

  test(
    "results and fuel are the same with every trust turned into a check",
    { timeout: limit },
    () => {
      const here = conformance(["--measure"]) as Measured[];
      const checked = conformance(["--measure"], ["--features", "checked"]) as Measured[];
      expect(here.length).toBeGreaterThan(3);
      expect(checked.map(facts)).toEqual(here.map(facts));
    },
  );

  test.skipIf(emulated)(
    `results and fuel are the same here and on a Cortex-M4F, within their instructions${emulated}`,
    { timeout: limit },
    () => {
      const here = conformance(["--measure"]) as Measured[];
      const there = conformance(["--measure", "--target", "cortex-m4"]) as Measured[];
      expect(there.map(facts)).toEqual(here.map(facts));
      // Instructions against the same in C; a tenth above what was measured is a regression.
      const most: Record<string, number> = { fib: 17.3, sieve: 25.5, gemm: 27.2 };
      for (const { kernel, instructions, native } of there.filter(({ native }) => native > 0)) {
        expect(instructions / native, kernel).toBeLessThan(most[kernel] ?? 0);
      }
    },
  );
});
