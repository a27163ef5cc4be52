// Packages as the laptop reads and writes them: the vectors that the node's tests read too, cut short anywhere, and the example in PACKAGE.md.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { digestOf, keyId, openPackage, type OpenedPackage } from "../host/lib/package.ts";
import type { PackageVector } from "../host/vectors.ts";

const read = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8");
const { keys, packages } = JSON.parse(read("vectors/package.json")) as {
  keys: string[];
  packages: PackageVector[];
};
const bytesOf = (hex: string) => new Uint8Array(Buffer.from(hex, "hex"));
const [trusted = new Uint8Array()] = keys.map(bytesOf);
const good = bytesOf(packages[0]?.package ?? "");

/** What a node that trusts the first key can find out from the bytes alone. */
function verdict(bytes: Uint8Array): string {
  let opened: OpenedPackage;
  try {
    opened = openPackage(bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(RangeError);
    return "malformed";
  }
  const { manifest, module } = opened;
  if (!Buffer.from(keyId(trusted)).equals(opened.key)) return "unknown-key";
  if (!opened.verify(trusted)) return "signature";
  const whole = module.length === manifest.size;
  return whole && Buffer.from(digestOf(module)).equals(manifest.digest) ? "ok" : "digest";
}

test("every vector is what it says, as far as its bytes tell", () => {
  const own = new Set(["ok", "malformed", "unknown-key", "signature", "digest"]);
  for (const { name, expected, package: hex } of packages) {
    // What else is refused depends on the node: its class, what it has, what it has run.
    expect(verdict(bytesOf(hex)), name).toBe(own.has(expected) ? expected : "ok");
  }
  expect(packages.length).toBeGreaterThan(60);
});

test("a package cut short anywhere is malformed in its envelope, and of another digest behind it", () => {
  const envelope = good.length - openPackage(good).module.length;
  for (let length = 0; length < good.length; length++) {
    expect(verdict(good.subarray(0, length)), `${length} bytes`).toBe(
      length < envelope ? "malformed" : "digest",
    );
  }
});

test("a bit that flips anywhere is noticed", () => {
  for (let bit = 0; bit < good.length * 8; bit++) {
    const bytes = Uint8Array.from(good);
    bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expect(verdict(bytes), `bit ${bit}`).not.toBe("ok");
  }
});

test("the example in PACKAGE.md is the first vector, byte by byte", () => {
  const [, block = ""] =
    /## An example[^]*?```text\n([^`]*)```/.exec(read("../firmware/node/PACKAGE.md")) ?? [];
  const lines = block.trim().split("\n");
  expect(lines.length).toBeGreaterThan(20);
  let at = 0;
  for (const line of lines) {
    const [, hex = "", cut = "", what = ""] = /^([0-9a-f]+)(\.\.\.)? +(.*)$/.exec(line) ?? [];
    expect(hex.length % 2, line).toBe(0);
    const shown = Buffer.from(good).toString("hex", at, at + hex.length / 2);
    expect(shown, `byte ${at}: ${line}`).toBe(hex);
    // What is cut says how long it is.
    const [, length] = /(\d+) bytes/.exec(what) ?? [];
    at += cut ? Number(length) : hex.length / 2;
  }
  expect(at).toBe(good.length);
});
