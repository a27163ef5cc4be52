// What people write and what files hold that is not as it should be: it works, or a sentence says what to do; never silence, a guess or
// a stack trace. And what a node says, as a terminal may show it.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { encode } from "cbor2";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { normalAddress } from "../../host/lib/coap/address.ts";
import { Node } from "../../host/lib/node.ts";
import { readSamples } from "../../host/lib/samples.ts";
import { oneLine, printable, safeJson, shortest } from "../../host/lib/text.ts";
import { root } from "../../host/setup.mjs";
import { newProject, wasmote } from "../harness/command.ts";
import { peer, reply, uintOf } from "../harness/peer.ts";
import { scratch } from "../harness/target.ts";

test("addresses are taken as short as they are clear, in any case", () => {
  for (const [given, address] of [
    ["127.0.0.1", "coap://127.0.0.1"],
    ["127.0.0.1:5684", "coap://127.0.0.1:5684"],
    ["COAP://127.0.0.1", "coap://127.0.0.1"],
    ["localhost", "coap://localhost"],
    ["wye.local", "coap://wye.local"],
    ["wye:5683", "coap://wye:5683"],
    ["[::1]:5683", "coap://[::1]:5683"],
    ["fe80::1", "coap://[fe80::1]"],
    ["/dev/ttyUSB0", "serial:/dev/ttyUSB0"],
    ["Serial:/dev/ttyUSB0", "serial:/dev/ttyUSB0"],
    ["COM3", "serial:COM3"],
    ["http://x", "http://x"],
    ["wye", undefined],
  ] as const)
    expect(normalAddress(given), given).toBe(address);
});

test("samples are read as spreadsheets and loggers write them", () => {
  const two = [
    { at: 0, sensor: "level", value: 5 },
    { at: 1000, sensor: "level", value: 6.5 },
  ];
  for (const text of [
    "time,level\n0,5\n1000,6.5\n",
    '"time","level"\r\n"0","5"\r\n"1000","6.5"\r\n',
    "\ufefftime;level\n0;5\n1000;6.5",
    '# a comment\n\ntime,level,"a, b"\n0,5,\n1000,6.5,\n',
    "Time, level \n0, 5\n1000, 6.5\n",
  ])
    expect(readSamples(text), text).toEqual(two);
  for (const text of ["", "a\0b", 'time,level\n0,"5\n', "time,level\nx,5\n", "1,2\n3,4\n"])
    expect(() => readSamples(text), JSON.stringify(text)).toThrow(/./);
});

test("numbers are in the fewest digits that read back, text is shown as it is safe", () => {
  for (const [value, text] of [
    [Math.fround(12.2), "12.2"],
    [Math.fround(0.1), "0.1"],
    [16_777_216, "16777216"],
    [Math.fround(3.4e38), "3.4e+38"],
    [0.1, "0.1"],
    [Number.NaN, "NaN"],
    [-0, "0"],
  ] as const)
    expect(shortest(value)).toBe(text);
  const bad = "a\u001b[2J\u0007b\u202ec\u2066d\u0085e\u00ade\nf";
  expect(printable(bad)).toBe("a\ufffd[2J\ufffdb\ufffdc\ufffdd\ufffde\ufffde\nf");
  expect(oneLine(bad)).not.toContain("\n");
  expect(JSON.parse(safeJson({ bad }))).toEqual({ bad });
  // oxlint-disable-next-line no-control-regex
  expect(safeJson({ bad, more: "\u{e0041}" })).toMatch(/^[\u0020-\u007e]*$/);
});

describe("a verb", () => {
  const folder = scratch();
  let project = "";
  beforeAll(async () => {
    project = await newProject(folder.path);
    const write = (name: string, content: string | Uint8Array) =>
      writeFileSync(join(project, name), content);
    write("binary.csv", Buffer.from([0, 255, 1, 2]));
    write("other.csv", "time,rain\n0,1\n");
    write("quoted.csv", '"time","level"\n"0","3500"\n');
    write("noise.ts", Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0, 1]));
    write("module.ts", Buffer.from("0061736d01000000", "hex"));
    write("half.jsonl", '{"parameters":{}}\n{"at":1,"pa');
    write("null.jsonl", '{"parameters":{}}\nnull\n');
    mkdirSync(join(project, "folder"));
    mkdirSync(join(project, "folder.wpkg"));
    const recorded = (name: string, parameters: string, path = "sensors/level", value = "1") =>
      write(name, `{"parameters":${parameters}}\n{"at":0,"path":"${path}","value":${value}}\n`);
    recorded("list.jsonl", "[1]");
    recorded("nothing.jsonl", "null");
    recorded("text.jsonl", '{"limit":"x"}');
    recorded("other.jsonl", '{"height":5}');
    recorded("beyond.jsonl", '{"limit":1e9}');
    recorded("value.jsonl", "{}", "sensors/level", '{"a":1}');
    recorded("sensor.jsonl", "{}", "sensors/rain");
    write("deep.ts", `let x = ${"(".repeat(3000)}1${")".repeat(3000)};`);
    write("long.ts", `export function f(): i32 { return ${"1+".repeat(20_000)}1; }`);
  });
  afterAll(() => folder[Symbol.dispose]());

  test.each([
    [["run", "--samples", "binary.csv"], 2, /binary\.csv: this is not text/],
    [["check", "--samples", "binary.csv"], 2, /binary\.csv: this is not text/],
    [
      ["run", "--samples", "other.csv"],
      2,
      /no samples for any sensor .* its columns are rain\n.*level/,
    ],
    [["run", "--samples", "folder"], 2, /folder is a folder/],
    [["model", "folder"], 2, /folder is a folder/],
    [["push", "folder.wpkg", "-n", "127.0.0.1:1"], 2, /folder\.wpkg is a folder/],
    [["run", "--samples", "none.csv"], 1, /there is no file none\.csv/],
    [["run", "--replay", "half.jsonl"], 2, /half\.jsonl:2: this is not a line of a recording/],
    [["run", "--replay", "null.jsonl"], 2, /null\.jsonl:2: this is not a line of a recording/],
    ...["list", "nothing", "text"].map(
      (name) =>
        [["run", "--replay", `${name}.jsonl`], 2, /l is not a recording\n.*make one/] as const,
    ),
    [["run", "--replay", "other.jsonl"], 2, /no parameter height\n.*it has: limit/],
    [["run", "--replay", "beyond.jsonl"], 2, /limit = 1000000000 is out of range\n/],
    [["run", "--replay", "value.jsonl"], 2, /value\.jsonl:2: this is not a line of a recording/],
    [["run", "--replay", "sensor.jsonl"], 2, /samples of rain, .* none of them\n.*takes: level/],
    [["scan", "--seconds", "1e400"], 2, /1e400 is not a time\n.*--seconds 6/],
    ...["coaps://127.0.0.1", "coap://127.0.0.1:-1", "serial:/dev/null?baud=0", "http://a"].map(
      (node) =>
        [
          ["info", "-n", node],
          2,
          /is not an address of a node: .*\n(?:.*\n)?.*what to do/,
        ] as const,
    ),
    [
      ["run", "--samples", "samples.csv", "--param", "limit=10001"],
      2,
      /limit = 10001 is out of range\n.*0 to 10000/,
    ],
    [
      ["run", "--samples", "samples.csv", "--param", "limt=1"],
      2,
      /no parameter limt\n.*it has: limit/,
    ],
    [
      ["run", "--samples", "samples.csv", "--param", "limit=1=2"],
      2,
      /limit=1=2 is not an assignment/,
    ],
    [["params", "limit=1=2", "-n", "127.0.0.1:1"], 2, /limit=1=2 is not an assignment/],
    [["build", "noise.ts"], 3, /noise\.ts is not a source: it is not text/],
    [["build", "module.ts"], 3, /is not a source: .*\n.*it is a module: call it NAME\.wasm/],
    [
      ["build", "samples.csv"],
      3,
      /samples\.csv is not a source: a source is a file of AssemblyScript/,
    ],
    [["build", "folder"], 3, /folder is a folder, not a source/],
    [["provision", "--name", "a name that is far too long for any node"], 2, /is not a name/],
    [
      ["provision", "--public", ...Array.from({ length: 5 }, () => "ab".repeat(32))],
      2,
      /5 keys are too many/,
    ],
    [["get", "a%2", "-n", "127.0.0.1:1"], 2, /a%2 is not a path/],
    [["emulate", "--speed", "0"], 2, /0 is not a speed/],
    [["feed", "nobody", "level", "1"], 2, /no node nobody is emulated on this computer/],
  ] as const)("%j says what is wrong", async (words, code, message) => {
    const ran = await wasmote(project, ...words);
    expect(ran.err).toMatch(message);
    expect(ran.err).toMatch(/\n {2}what to do: /);
    expect(ran.code).toBe(code);
  });

  test.each(["deep", "long"])(
    "says what to do about an expression without end: %s",
    async (name) => {
      const ran = await wasmote(project, "build", `${name}.ts`, "--json");
      expect(ran.err).toMatch(new RegExp(`^${name}.ts: this is nested too deeply .*: take the`));
      expect(JSON.parse(ran.out)).toMatchObject({ error: { code: "source", exit: 3 } });
      expect(ran.code).toBe(3);
    },
  );

  test("takes what is well-formed though unusual", async () => {
    const ran = await wasmote(project, "run", "--samples", "quoted.csv");
    expect(ran.out).toContain("alarm = 1");
  });

  test("fails with JSON where --json is given, with the places of a fault", async () => {
    writeFileSync(
      join(project, "src/bad.ts"),
      'import { sensor } from "wasmote";\nlet x: i32 = "a";\n',
    );
    const ran = await wasmote(project, "build", "src/bad.ts", "--json");
    expect(ran.code).toBe(3);
    const { error } = JSON.parse(ran.out) as { error: { faults: object[] } };
    expect(error).toMatchObject({ code: "source", exit: 3 });
    expect(error.faults[0]).toMatchObject({ file: "bad.ts", line: 2, column: 14 });
  });

  test.skipIf(!existsSync("/dev/full"))("says when the disk is full", async () => {
    const full = await wasmote(project, "build", "-o", "/dev/full");
    expect(full.code).toBe(1);
    expect(full.err).toMatch(/ENOSPC.*\n {2}what to do: the disk is full/);
    const line = `"${process.execPath}" "${join(root, "dist/wasmote.js")}" completion bash > /dev/full`;
    const { status, stderr } = spawnSync("sh", ["-c", line], { encoding: "utf8" });
    expect(stderr).toMatch(/the output cannot be written: .*ENOSPC/);
    expect(status).toBe(1);
  });

  test("shows what a node says decoded and without what moves the cursor, and asks with a query", async () => {
    const queries: string[] = [];
    await using strange = await peer((request, send) => {
      const all = (name: string) =>
        request.options.filter((one) => one.name === name).map(({ value }) => String(value));
      queries.push(...all("Uri-Query"));
      const text = all("Uri-Path").join("/") === "text";
      const payload = text
        ? Buffer.from("\u001b]0;x\u0007\u202eevil\n")
        : encode({ "key\u001b[2J": "\u202evalue", bytes: new Uint8Array([1, 2]), big: 2n ** 63n });
      const options = [{ name: "Content-Format", value: Buffer.from(text ? [] : [60]) }];
      send(reply(request, "2.05", { payload: Buffer.from(payload), options: options as never }));
    });
    for (const words of [
      ["get", "app?a=1&b=%20c"],
      ["get", "text"],
      ["get", "app", "--json"],
    ]) {
      const ran = await wasmote(project, ...words, "--node", strange.address);
      expect(ran.code, ran.err).toBe(0);
      expect(ran.out + ran.err).not.toMatch(
        // oxlint-disable-next-line no-control-regex
        /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/,
      );
      if (words[1] !== "text") expect(ran.out).toMatch(/"bytes": ?"0102"/);
    }
    expect(queries).toEqual(["a=1", "b= c"]);
  });

  test("sends a body that is larger than a datagram block by block", async () => {
    const body = Buffer.alloc(3000, 0x62);
    const taken: Buffer[] = [];
    await using large = await peer((request, send) => {
      const block = request.options.find(({ name }) => name === "Block1");
      expect(uintOf(request, "Block1")).toBeDefined();
      taken.push(request.payload);
      send(reply(request, "2.04", { options: (block ? [block] : []) as never }));
    });
    await using node = await Node.connect(large.address);
    await node.put("x", body.toString());
    expect(Buffer.concat(taken)).toEqual(body);
    await expect(node.put("x".repeat(3000), "y")).rejects.toMatchObject({ name: "NodeError" });
  });
});
