// What the images for the chip may take, as promises that fail the build: all of it, and the engine alone.
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { root } from "../host/setup.mjs";
import { readImage } from "./bench/elf.ts";
import { budgets, partOf } from "./bench/size.ts";

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
  // The image of the conformance suite has one of everything; a node has the validator twice, for two kinds of table.
  const path = join(root, "dist/machine.elf");
  const reason = existsSync(path) ? "" : " (skipped: it has not been built here)";
  const mentioned = /wasmote_engine|libm|compiler_builtins|__aeabi_/;

  test.skipIf(reason)(
    `takes at most 64 KiB without its loop in assembly, soft floats included, and 76 with it${reason}`,
    () => {
      const { parts } = readImage(path, (symbol) =>
        symbol.startsWith("wasmote_engine_") ? "fast" : mentioned.test(symbol) ? "engine" : "rest",
      );
      const [engine = 0, fast = 0] = [parts.get("engine"), parts.get("fast")];
      expect(engine).toBeGreaterThan(30_000);
      expect(engine).toBeLessThanOrEqual(64 * 1024);
      // The loop in assembly comes on top: two to three times the speed for these bytes. With it the engine is beyond the
      // 64 KiB that it was to take.
      expect(fast).toBeGreaterThan(10_000);
      expect(fast).toBeLessThanOrEqual(16 * 1024);
      expect(engine + fast).toBeLessThanOrEqual(76 * 1024);
      // What has no size of its own could hide more of it.
      expect(parts.get("constants without a name") ?? 0).toBeLessThan(2048);
    },
  );

  test.skipIf(reason)(`has no static RAM${reason}`, () => {
    const names = execFileSync("nm", ["--demangle", path], { encoding: "utf8" }).split("\n");
    const own = names.filter((line) => line.includes("wasmote_engine"));
    expect(own.length).toBeGreaterThan(20);
    expect(own.filter((line) => /^\S+ [bBdD] /.test(line))).toEqual([]);
  });
});
