// What a module says beside singles, on every target: texts, integers and records as outputs, answers in formats and of several
// blocks, lines of the log with a level and their place, and memory that is used up, by its name.
import { decode } from "cbor2";
import { describe, expect, test } from "vitest";
import { build } from "../../host/lib/build/build.ts";
import { encodeFacts, noFacts, readFacts, type Facts } from "../../host/lib/build/section.ts";
import { LogReader, shownLine } from "../../host/lib/log.ts";
import { Node } from "../../host/lib/node.ts";
import { Simulation } from "../../host/lib/simulate.ts";
import { first, pack, provisioned } from "../harness/module.ts";
import { feeding } from "../harness/feeding.ts";
import { eachTarget, scratch } from "../harness/target.ts";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

const program = `
import { cbor, Code, fixed, Format, Level, log, onRequest, output, sensor } from "wasmote";
class Day { number: i32 = 0; rain: f32 = 0; wet: bool = false; total: f64 = 0; }
const level = sensor("level");
const state = output<string>("state");
const count = output<i32>("count");
const big = output<i64>("big", "By");
const day = output<Day>("day", "mm");
const plain = output("plain");
const today = new Day();
let n = 0;
let words = "";
level.onSample((value) => {
  n++;
  plain.publish(value);
  count.publish(-n);
  big.publish(<i64>n * 10000000000);
  words = value > 3 ? "high" : "low";
  today.number = n;
  today.rain = value;
  today.wet = value > 3;
  today.total = value / 4;
  day.publish(today);
  log("heard " + words, Level.WARNING);
  state.publish(\`\${words} \${fixed(value, 1)} "é"\`);
});
onRequest((request) => {
  if (request.at("cbor")) {
    cbor.begin();
    cbor.map(3);
    cbor.text("level");
    cbor.float(level.value);
    cbor.text("list");
    cbor.array(4);
    cbor.int(-500);
    cbor.int(70000);
    cbor.double(0.1);
    cbor.none();
    cbor.text("on");
    cbor.boolean(true);
    return request.replyCbor();
  }
  if (request.at("long")) {
    cbor.begin();
    cbor.array(50);
    for (let i = 0; i < 50; i++) cbor.double(<f64>(i + n * 1000));
    n++;
    return request.replyCbor(Code.CONTENT);
  }
  if (request.at("huge")) return request.replyBytes(Code.CONTENT, Format.OCTETS, 0, 513);
  request.reply(Code.CONTENT, \`{"n":\${n}}\`, Format.JSON);
});
`;

/** Runs out of memory at its second sample. */
const leaks = `
import { log, sensor } from "wasmote";
const level = sensor("level");
const all: StaticArray<u8>[] = [];
level.onSample((value) => {
  log("taking");
  if (value > 5) {
    for (let i = 0; i < 100; i++) {
      all.push(new StaticArray<u8>(1000));
    }
  }
});
`;

async function built(text: string) {
  using folder = scratch();
  const file = join(folder.path, "program.ts");
  writeFileSync(file, text);
  return await build(file);
}

eachTarget("what a module says", (start, target) => {
  test("is text, integers and records in every format, and is observed", async () => {
    using folder = scratch();
    const board = await provisioned(start, folder.path);
    await using node = await Node.connect(board.address);
    await node.push(await pack(target, program, 1));
    // Nothing yet, in every format.
    expect(await node.get("outputs/state", { accept: "text" })).toBe("");
    expect(JSON.parse(await node.get("outputs/day", { accept: "json" }))).toEqual({
      value: null,
      unit: "mm",
    });
    expect(JSON.parse(await node.get("outputs/count", { accept: "senml+json" }))).toEqual([
      { bn: "wye/", n: "count", vs: "none" },
    ]);
    const seen = await feeding(board, "level", 7, () =>
      first(node.observe("outputs/state"), ({ text }) => text === 'high 7.0 "é"'),
    );
    expect(seen).toMatchObject({ value: Number.NaN, text: 'high 7.0 "é"' });
    const record = await first(node.observe("outputs/day"));
    expect(record.text).toMatch(/^number \d+, rain 7, wet true, total 1\.75$/);
    const { value: counted } = await first(node.observe("outputs/count"));
    expect(counted).toBeLessThan(0);
    expect(Number.isInteger(counted)).toBe(true);
    expect(await node.get("outputs/state", { accept: "text" })).toBe('high 7.0 "é"');
    const json = async (name: string) =>
      JSON.parse(await node.get(`outputs/${name}`, { accept: "json" })) as Record<string, unknown>;
    expect(await json("state")).toMatchObject({ value: 'high 7.0 "é"', unit: "" });
    const day = await json("day");
    expect(day).toMatchObject({ value: { rain: 7, wet: true, total: 1.75 }, unit: "mm" });
    expect(day["age"]).toEqual(expect.any(Number));
    const cbor = await node.request("GET", "outputs/day", { accept: "cbor" });
    expect(decode(cbor.payload)).toMatchObject({ value: { rain: 7, wet: true }, unit: "mm" });
    const big = decode<{ value: bigint | number }>(
      (await node.request("GET", "outputs/big", { accept: "cbor" })).payload,
    );
    expect(Number(big.value) % 10_000_000_000).toBe(0);
    expect(Number(big.value)).toBeGreaterThan(2 ** 32);
    const pack_ = async (name: string) =>
      JSON.parse(await node.get(`outputs/${name}`, { accept: "senml+json" })) as object[];
    const time = expect.any(Number) as number;
    expect(await pack_("state")).toEqual([{ bn: "wye/", n: "state", vs: 'high 7.0 "é"', t: time }]);
    expect(await pack_("day")).toEqual([
      { bn: "wye/", n: "day/number", v: time, u: "mm", t: time },
      { n: "day/rain", v: 7, u: "mm", t: time },
      { n: "day/wet", vb: true, u: "mm", t: time },
      { n: "day/total", v: 1.75, u: "mm", t: time },
    ]);
    const senml = await node.request("GET", "outputs/state", { accept: "senml+cbor" });
    const [first_] = decode<Map<number, unknown>[]>(senml.payload, { preferMap: true });
    expect([...first_!]).toEqual([
      [-2, "wye/"],
      [0, "state"],
      [3, 'high 7.0 "é"'],
      [6, time],
    ]);
    // An output of singles is what it was.
    expect(await node.get("outputs/plain", { accept: "text" })).toBe("7");
    expect((await node.app()).outputs).toEqual(["state", "count", "big", "day", "plain"]);
  });

  test("is an answer in a format, and of several blocks is one answer", async () => {
    using folder = scratch();
    const board = await provisioned(start, folder.path);
    await using node = await Node.connect(board.address);
    await node.push(await pack(target, program, 1));
    const json = await node.request("GET", "app/x/json");
    expect([json.format, JSON.parse(json.payload.toString())]).toEqual([50, { n: 0 }]);
    const cbor = await node.request("GET", "app/x/cbor");
    expect(cbor.format).toBe(60);
    expect(decode(cbor.payload)).toEqual({
      level: Number.NaN,
      list: [-500, 70_000, 0.1, null],
      on: true,
    });
    // Whoever has not shown where it is gets a small block first, and asks once more: this is over with the first long answer.
    await node.request("GET", "app/x/long");
    // Each block is of the same run: a second one would have other numbers.
    for (const [method, size] of [
      ["GET", 1024],
      ["GET", 64],
      ["POST", 256],
      ["FETCH", 128],
      ["PUT", 128],
    ] as const) {
      const { n } = JSON.parse((await node.request("GET", "app/x/n")).payload.toString()) as {
        n: number;
      };
      const { payload, format } = await node.request(method, "app/x/long", {
        options: [{ name: "Block2", value: Buffer.of(Math.log2(size) - 4) }],
      });
      expect([method, format]).toEqual([method, 60]);
      expect(payload.length).toBe(2 + 50 * 9);
      const numbers = decode<number[]>(payload);
      expect(numbers).toEqual(numbers.map((_, index) => index + n * 1000));
    }
    // More than the longest answer is a mistake of the module's, and no half of one.
    const refused = node.request("GET", "app/x/huge");
    await expect(refused).rejects.toMatchObject({ status: "5.03" });
    expect(await node.log()).toContainEqual(expect.stringContaining("host function failed"));
  });

  test("is a line with its level and its place, of the package that said it", async () => {
    using folder = scratch();
    const board = await provisioned(start, folder.path);
    await using node = await Node.connect(board.address);
    await node.push(await pack(target, program, 1));
    await feeding(board, "level", 7, () => first(node.observe("outputs/plain")));
    const { places, functions, sources } = await built(program);
    const kept = { digest: "", folder: process.cwd(), places, functions, sources };
    const reader = new LogReader((sequence) => (sequence === 1 ? kept : undefined));
    const lines = (await node.log()).map((line) => reader.read(line));
    const said = lines.find(({ text }) => text === "heard high");
    const line = program.split("\n").findIndex((one) => one.includes("Level.WARNING)")) + 1;
    expect(said).toMatchObject({ from: "module", level: "warning", place: { line, own: true } });
    expect(shownLine(said!)).toMatch(
      new RegExp(`^\\d+\\.\\d{3} program\\.ts:${line}:\\d+ warning: heard high$`),
    );
    // A trap of the user's own code has its place.
    const trap = (file: RegExp) => {
      const { offset } = places.find((place) => file.test(place.file))!;
      const text = `1.000 node: package 1: trap: unreachable in function 3 at byte ${offset}`;
      return shownLine(reader.read(text)).slice(text.length);
    };
    expect(trap(/program\.ts$/)).toMatch(/^, program\.ts:\d+:\d+$/);
  });

  test("is out of memory by its name, where it happens", async () => {
    using folder = scratch();
    const board = await provisioned(start, folder.path);
    await using node = await Node.connect(board.address);
    await node.push(await pack(target, leaks, 1));
    const failed = first(node.watchApp(), ({ event }) => event?.what === "trap");
    const { event } = await feeding(board, "level", 9, () => failed);
    expect(event).toMatchObject({ what: "trap", trap: "out of memory", sequence: 1 });
    expect(await node.log()).toContainEqual(
      expect.stringMatching(/node: package 1: trap: out of memory in function \d+ at byte \d+$/),
    );
    // The same as on this computer, to the byte.
    const { module } = await built(leaks);
    const here = new Simulation(module);
    here.sample({ at: 0, sensor: "level", value: 9 });
    const last = here.happenings.at(-1);
    expect(last).toMatchObject({ kind: "trap", ended: { trap: "out of memory" } });
    expect(last?.kind === "trap" && last.ended.backtrace[0]?.offset).toBe(event?.offset);
  });
});

describe("types of outputs", () => {
  const faults = (text: string) =>
    built(`import { output } from "wasmote";\n${text}`).then(
      () => "",
      (error: Error) => error.message,
    );

  test("are read back as they were written", async () => {
    const { facts, module } = await built(program);
    expect(facts.outputs.map(({ name, type }) => [name, type])).toEqual([
      ["state", "text"],
      ["count", [{ name: "", type: "i32" }]],
      ["big", [{ name: "", type: "i64" }]],
      [
        "day",
        [
          { name: "number", type: "i32" },
          { name: "rain", type: "f32" },
          { name: "wet", type: "bool" },
          { name: "total", type: "f64" },
        ],
      ],
      ["plain", undefined],
    ]);
    expect(readFacts(module)).toEqual(facts);
    // A module of singles says nothing of types.
    const single: Facts = { ...noFacts, outputs: [{ name: "out", unit: "" }] };
    expect(encodeFacts(single).length).toBe(11);
  });

  test("that no node could tell are refused with the line", async () => {
    expect(await faults('const a = output<string[]>("a");')).toContain("an output takes string");
    expect(await faults('class A { a: string = ""; }\nconst a = output<A>("a");')).toContain(
      "a field of a record is one of",
    );
    const fields = Array.from({ length: 7 }, (_, at) => `f${at}: f64 = 0;`).join(" ");
    expect(await faults(`class A { ${fields} }\nconst a = output<A>("a");`)).toContain(
      "takes at most 48 bytes: this is 56",
    );
    const seven = Array.from({ length: 7 }, (_, at) => `const o${at} = output<i32>("o${at}");`);
    expect(await faults(seven.join("\n"))).toContain("at most 6 outputs with a type");
    expect(
      await faults(
        'const a = output<i32>("a");\nexport function f(): f32 { return a.value; }\nf();',
      ),
    ).toContain("only an output of f32 can be read");
  });

  test("a text is cut at 48 bytes between characters, and a long log line at its own length", async () => {
    const { module } = await built(`
import { log, output, sensor } from "wasmote";
const level = sensor("level");
const out = output<string>("out");
let text = "";
level.onSample((value) => {
  text = "a" + "é".repeat(40);
  out.publish(text);
  out.publish(\`\${text}!\`);
  log(text);
});`);
    const simulation = new Simulation(module);
    simulation.sample({ at: 0, sensor: "level", value: 1 });
    const cut = `a${"é".repeat(23)}`;
    expect(simulation.happenings).toEqual([
      { at: 0, kind: "told", name: "out", value: cut },
      { at: 0, kind: "told", name: "out", value: cut },
      { at: 0, kind: "log", text: `a${"é".repeat(40)}` },
    ]);
  });
});
