// What the images for the chip may take, as promises that fail the build: all of it, and the engine alone.
import { execFile } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import binaryen from "binaryen";
import { describe, expect, test } from "vitest";
import { root } from "../../host/setup.mjs";
import { readImage } from "../bench/elf.ts";
import { budgets, partOf } from "../bench/size.ts";
import { noMachine } from "../harness/machine.ts";
import { scratch } from "../harness/target.ts";

describe.each(budgets)("$image", ({ image, flash, ram }) => {
  const path = join(root, "dist", image);
  const reason = existsSync(path) ? "" : " (skipped: it has not been built here)";
  test.skipIf(reason)(`keeps within its flash and RAM${reason}`, () => {
    const found = readImage(path, partOf);
    expect(found.flash).toBeLessThanOrEqual(flash);
    expect(found.ram).toBeLessThanOrEqual(ram);
  });
});

describe("the engine alone", () => {
  const path = join(root, "dist/engine.elf");
  const reason = existsSync(path) ? "" : " (skipped: it has not been built here)";

  test.skipIf(reason)(`is all there, its loop in assembly too${reason}`, () => {
    const { flash, parts } = readImage(path, (symbol) =>
      symbol.startsWith("wasmote_engine_") ? "fast loop" : "other",
    );
    expect(flash).toBeGreaterThan(50_000);
    expect(parts.get("fast loop")).toBeGreaterThan(10_000);
  });

  test.skipIf(reason)(`leaves out the disassembly alone, as every board does${reason}`, () => {
    const images = [...budgets.map(({ image }) => image), "mps2-an386.elf"];
    const built = images.map((image) => join(root, "dist", image)).filter(existsSync);
    expect(built).toContain(path);
    expect(built.filter((image) => readFileSync(image).includes("i32.rotl"))).toEqual([]);
  });

  const emulated = reason || (noMachine && ` (skipped: ${noMachine})`);
  test.skipIf(emulated)(`runs modules as it is${emulated}`, async () => {
    using folder = scratch();
    const module = binaryen
      .parseText(
        `(module
          (import "host" "f" (func $host (param i32) (result i32)))
          (memory 1) (table 1 funcref) (elem (i32.const 0) $long) (data (i32.const 8) "\\05")
          (type $nothing (func (result i32)))
          (global (export "g") (mut i32) (i32.const 7))
          (func $long (result i32) (local i32)
            (loop (br_if 0 (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 5000))))
            (local.get 0))
          (func (export "indirect") (result i32) (call_indirect (type $nothing) (i32.const 0)))
          (func (export "double") (result i32)
            (i32.trunc_f64_s (f64.div (f64.sqrt (f64.convert_i32_u (i32.const 90000))) (f64.const 2.5))))
          (func (export "memory") (result i32)
            (memory.copy (i32.const 101) (i32.const 8) (i32.const 1)) (i32.load8_u (i32.const 101)))
          (func (export "host") (result i32) (i32.add (call $host (i32.const 1)) (i32.const 3)))
          (func (export "trap") (result i32) (i32.div_s (i32.const 1) (i32.const 0))))`,
      )
      .emitBinary();
    const sum = 5000 + 120 + 5 + 3;
    const given = (expected: number) => {
      const words = Buffer.alloc(8);
      words.writeUInt32LE(expected, 0);
      words.writeUInt32LE(module.length, 4);
      const file = join(folder.path, `given-${expected}`);
      writeFileSync(file, Buffer.concat([words, module]));
      return runAlone(path, file);
    };
    expect(await given(sum)).toBe(0);
    // It says so when something else comes out.
    expect(await given(sum + 1)).toBe(1);
  });
});

/** Runs the image with a file where it expects its module, and says how it ended. */
function runAlone(image: string, file: string): Promise<number | string> {
  const words =
    "-M mps2-an386 -icount shift=0 -display none -monitor none -serial none -semihosting-config enable=on,target=native";
  return new Promise((resolve) => {
    const child = execFile(
      "qemu-system-arm",
      [
        ...words.split(" "),
        "-kernel",
        image,
        "-device",
        `loader,file=${file},addr=0x21000000,force-raw=on`,
      ],
      { timeout: 120_000 },
      (error) => resolve(error ? (error.code ?? error.message) : 0),
    );
    child.stdin?.end();
  });
}
