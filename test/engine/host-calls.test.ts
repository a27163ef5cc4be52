// What host calls cost: each is charged in fuel what it takes on the emulated chip, so that a slice of fuel is a slice of time.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import binaryen from "binaryen";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { customSection, imports } from "../../host/lib/contract.ts";
import {
  customBody,
  encodeFacts,
  joinSections,
  noFacts,
  sections,
} from "../../host/lib/build/section.ts";
import { emulate, missing, type Emulated } from "../../host/lib/emulate.ts";
import { Node } from "../../host/lib/node.ts";
import { makeFlash, makePackage } from "../../host/lib/package.ts";
import { classOf, first, key } from "../harness/module.ts";

/** QEMU's time goes on by 8 ns with each instruction. */
const instructionsPerMicro = 125;
/** How many calls a run makes: fewer than the queue to the server has places. */
const calls = 24;
/** The fuel of a slice (firmware/node/src/runner/mod.rs). */
const slice = 10_000;
/** The most instructions that a unit of fuel may be, whatever it is spent on. */
const most = 40;

/** What is called `calls` times in each run, as the text of one call. */
const bodies: Record<keyof typeof imports, string> = {
  read: "(drop (call $f (i32.const 15)))",
  publish: "(call $f (i32.const 15) (f32.const 1.5))",
  parameter: "(drop (call $f (i32.const 15)))",
  now: "(drop (call $f))",
  unix: "(drop (call $f))",
  log: "(call $f (i32.const 0) (i32.const 96))",
  gpio: "(call $f (i32.const 0) (local.get 0))",
  // A longer one waits for its place, as a full queue is waited for.
  reply: "(call $f (i32.const 69) (i32.const 0) (i32.const 128))",
  answer: "(call $f (i32.const 69) (i32.const 50) (i32.const 0) (i32.const 128))",
  note: "(call $f (i32.const 4) (i32.const 0) (i32.const 96))",
  tell: "(call $f (i32.const 15) (i32.const 0) (i32.const 48))",
};

interface Calls {
  name: keyof typeof imports;
  /** What stands before them in their function. */
  before?: string;
  /** What the memory begins with. */
  text?: string;
}

/** The same where it could cost more: behind long code in its function, and with a text that is not UTF-8. */
const dearer: Record<string, Calls> = {
  "log at the end of a long function": {
    name: "log",
    before: `(if (local.get 0) (then ${"(drop (i32.add (local.get 0) (i32.const 1)))".repeat(800)}))`,
  },
  "log of broken characters": { name: "log", text: "\\f0\\9f\\98".repeat(32) },
  "tell of broken characters": { name: "tell", text: "\\f0\\9f\\98".repeat(32) },
};
const plain = Object.keys(imports).map((name): [string, Calls] => [
  name,
  { name: name as keyof typeof imports },
]);

const answers = (name: string) => name === "reply" || name === "answer";

/** A module whose ticks, or whose answers to requests, call one import. */
function caller({ name, before = "", text: said = "ä".repeat(96) }: Calls): Uint8Array {
  const { link, parameters, result } = imports[name];
  const type = `${parameters.map((p) => `(param ${p})`).join(" ")} ${result ? `(result ${result})` : ""}`;
  const many = `(loop $again ${bodies[name]}
    (br_if $again (i32.lt_s (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const ${calls}))))`;
  const handler = answers(name)
    ? `(func (export "request") (param i32 i32 i32) ${bodies[name]})`
    : `(func (export "tick") (local i32) ${before} ${many})`;
  const text = `(module (import "wasmote" "${link}" (func $f ${type})) (memory 512 (pagesize 1))
    (data (i32.const 0) "${said}") (global (export "buffer") i32 (i32.const 256)) ${handler})`;
  const parsed = binaryen.parseText(text);
  parsed.setFeatures(binaryen.Features.All);
  const many16 = Array.from({ length: 16 }, (_, n) => `n${n}`);
  const facts = {
    ...noFacts,
    sensors: many16.map(() => "level"),
    // Only some may have a type: the dearest to find is the last.
    outputs: many16.map((output, number) => ({
      name: output,
      unit: "",
      ...(name === "tell" && number >= 10 ? { type: "text" as const } : {}),
    })),
    parameters: many16.map((p) => ({ name: p, initial: 1, minimum: 0, maximum: 10 })),
    tick: answers(name) ? 0 : 50,
    buffer: 64,
  };
  return joinSections([
    ...sections(parsed.emitBinary()),
    { id: 0, body: customBody(customSection, encodeFacts(facts)) },
  ]);
}

const reason = missing("qemu-stm32");
if (reason !== undefined) console.log(`skipped: ${reason}`);

describe.skipIf(reason !== undefined)("on the emulated chip", () => {
  let folder: string;
  let board: Emulated;
  let node: Node;
  let sequence = 0;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "wasmote-"));
    const flash = join(folder, "flash");
    writeFileSync(flash, makeFlash({ name: "wye", keys: [key.publicKey] }));
    board = await emulate({ machine: "qemu-stm32", flash });
    node = await Node.connect(board.address);
  });
  afterAll(async () => {
    await node?.close();
    await board?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test.each([...plain, ...Object.entries(dearer)])(
    "a slice of fuel spent on %s is no longer than one spent on computing",
    async (what, made) => {
      const { name } = made;
      sequence += 1;
      const module = caller(made);
      const needs = { ram: 0, table: 0, fuel: 0, sensors: 1, outputs: 16 };
      const about = { vendor: "", class: classOf("qemu-stm32"), name, version: "1" };
      await node.push(makePackage(module, { ...about, sequence, needs }, key));
      await first(node.watchApp(), (app) => app.sequence === sequence);
      // The shortest of several runs: the server and the timer interrupt the others.
      let stats = { runs: 0, fuel: 0, micros: 0 };
      for (let last = 0, shortest = Infinity; last < 12;) {
        if (answers(name)) await node.request("GET", "app/x/y");
        const now = JSON.parse(await node.get("stats", { accept: "json" })) as typeof stats;
        last = now.runs;
        if (now.runs > 1 && now.micros < shortest) {
          stats = now;
          shortest = now.micros;
        }
      }
      const instructions = stats.micros * instructionsPerMicro;
      const each = instructions / stats.fuel;
      console.log(
        `${what}: ${stats.fuel} fuel, ${instructions} instructions, ${each.toFixed(1)} a unit; ` +
          `a slice at 168 MHz takes ${((each * slice) / 168e3).toFixed(2)} ms`,
      );
      expect(each).toBeLessThan(most);
    },
  );
});
