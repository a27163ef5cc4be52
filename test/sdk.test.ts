// The sensor SDK: examples build, their sizes are known, and what is generated is what the contract says.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, test } from "vitest";
import { generate } from "../host/gen.ts";
import { build, BuildError } from "../host/lib/build.ts";
import { digestOf, openPackage } from "../host/lib/package.ts";
import { packageVectors } from "../host/vectors.ts";
import { scratch } from "./harness/target.ts";
import { readFacts, readMemory } from "../host/lib/section.ts";

const root = new URL("../", import.meta.url).pathname;
const folder = join(root, "assembly/examples");
const examples = readdirSync(folder).map((file) => basename(file, ".ts"));

test("generated files are what the contract says", () => {
  for (const [path, text] of Object.entries(generate())) {
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
  await expect(`${JSON.stringify(sizes, null, 2)}\n`).toMatchFileSnapshot("golden/sizes.json");
});

test("an example says what it is, in pages of 16 KiB, and V8 takes all but the page size", async () => {
  const { module, facts } = await build(join(folder, "flood-alarm.ts"));
  expect(readFacts(module)).toEqual(facts);
  expect(facts.sensors).toEqual(["level"]);
  expect(facts.parameters).toEqual([{ name: "limit", initial: 200, minimum: 0, maximum: 2000 }]);
  expect(readMemory(module)).toEqual({ minimum: 1, maximum: 1, pageBits: 14 });
});

test("a program that does not compile is refused with its line", async () => {
  using folder_ = scratch();
  const file = join(folder_.path, "broken.ts");
  const program = [
    'import { sensor } from "wasmote";',
    'const level = sensor("level");',
    "level.onSample((value) => undefined_name(value));",
  ];
  writeFileSync(file, program.join("\n"));
  const error = await build(file).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(BuildError);
  expect((error as BuildError).faults[0]).toMatchObject({ file: "broken.ts", line: 3, column: 27 });
  expect((error as Error).message).toContain(program[2]);
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
