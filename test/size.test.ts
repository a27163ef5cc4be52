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

  test.skipIf(reason)(`takes at most 64 KiB, soft floats included${reason}`, () => {
    const { parts } = readImage(path, (symbol) => (mentioned.test(symbol) ? "engine" : "rest"));
    const size = parts.get("engine") ?? 0;
    expect(size).toBeGreaterThan(30_000);
    expect(size).toBeLessThanOrEqual(64 * 1024);
  });

  test.skipIf(reason)(`has no static RAM${reason}`, () => {
    const names = execFileSync("nm", ["--demangle", path], { encoding: "utf8" }).split("\n");
    const own = names.filter((line) => line.includes("wasmote_engine"));
    expect(own.length).toBeGreaterThan(20);
    expect(own.filter((line) => /^\S+ [bBdD] /.test(line))).toEqual([]);
  });
});
