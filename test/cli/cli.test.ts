// The command line without a node: projects, errors, help, completion, doctor.
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { fileURLToPath } from "node:url";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { delimiter, join } from "node:path";
import { describe, expect, test } from "vitest";
import { missingEngine } from "../../host/lib/engine.ts";
import { command, root } from "../../host/setup.mjs";
import { begin, newProject, wasmote, wasmoteIn, wasmoteJson } from "../harness/command.ts";
import { scratch } from "../harness/target.ts";

describe("a project", () => {
  test("made by new builds, checks, runs in three engines, and tests", async () => {
    using folder = scratch();
    const project = await newProject(folder.path);
    const { output, bytes } = await wasmoteJson<{ output: string; bytes: number }>(
      project,
      "build",
    );
    expect(readFileSync(join(project, output)).length).toBe(bytes);
    expect(bytes).toBeLessThan(600);
    const checked = await wasmoteJson<{ runs: number }>(project, "check");
    expect(checked).toMatchObject({ bytes, faults: [] });
    // The project's own samples, over and over.
    expect(checked.runs).toBeGreaterThan(2000);
    const ran = await wasmote(project, "run", "--samples", "samples.csv", "--engine", "all");
    const without = missingEngine("wasm3");
    expect(ran).toMatchObject({
      code: 0,
      err: without === undefined ? "" : `without wasm3: ${without}\n`,
    });
    expect(ran.out).toContain("2.000  alarm = 1\n");
    expect(ran.out).toContain("5.000  alarm = 0\n");
    const tested = await wasmote(project, "test");
    expect(tested.out, tested.err).toContain("pass 1");
    expect(tested.code).toBe(0);
  });

  test("check says what it costs in words, and run draws", async () => {
    using folder = scratch();
    const project = await newProject(folder.path);
    const { out } = await wasmote(project, "check");
    expect(out).toMatch(/^module +\d+ bytes, and \d+ of branch table in flash$/m);
    expect(out).toMatch(/^RAM +\d+ bytes: memory 16384, stack \d+, globals \d+, tables 0$/m);
    expect(out).toMatch(/^stack +\d+ bytes at worst, \d+ calls? deep$/m);
    expect(out).toMatch(
      /^fuel +\d+ at most \(\d+ on average, \d+ at the start, in \d+ samples; the \d+ given samples over and over\)$/m,
    );
    expect(out).toMatch(/^code +\d+ bytes, compiled by boards with room for it$/m);
    expect(out).toMatch(
      /^time +about \d+ us a run on a Cortex-M4F at 168 MHz, \d+ us interpreted$/m,
    );
    const chart = await wasmote(project, "run", "--samples", "samples.csv", "--chart");
    expect(chart.out).toMatch(/^alarm = 0\n1 ┤█\n(?: +┤█\n)+0 ┤█▁\n {2}└2 s … 5 s\n$/);
  });

  test("run takes samples from standard input, and shows a trap with its line", async () => {
    using folder = scratch();
    const project = await newProject(folder.path);
    const live = begin(project, ["run"]);
    live.child.stdin.write("level 3500\n");
    await live.shows(/alarm = 1\n/);
    live.child.stdin.end("level 100\n");
    expect(await live.ended).toMatchObject({ code: 0, err: "" });
    expect(live.ran.out).toMatch(/alarm = 0\n.*gpio 0 = 0\n$/);
    const lines = [
      'import { sensor } from "wasmote";',
      'const level = sensor("level");',
      "const list = new StaticArray<i32>(4);",
      "function mark(at: i32): void {",
      "  if (at > 3) unreachable();",
      "  list[at] = 1;",
      "}",
      "level.onSample((value) => {",
      "  mark(<i32>value);",
      "  mark(<i32>value / 2);",
      "});",
    ];
    writeFileSync(join(project, "src/bad.ts"), lines.join("\n"));
    const trapped = begin(project, ["run", "src/bad.ts"]);
    trapped.child.stdin.end("level 2\nlevel 9\n");
    const { code, err } = await trapped.ended;
    expect(code).toBe(6);
    expect(err).toMatch(
      /error: src\/bad\.ts:5:\d+: trap: unreachable\n {2} {2}if \(at > 3\) unreach/,
    );
    expect(err).toMatch(/\n +\^\n?/);
    const checked = await wasmote(project, "check", "src/bad.ts");
    expect(checked.code).toBe(6);
    expect(checked.err).toContain("src/bad.ts:5:");
  });

  test("check finds what is kept at each sample, though the samples are few, and not what is let go", async () => {
    using folder = scratch();
    const project = await newProject(folder.path);
    const lines = [
      'import { output, sensor } from "wasmote";',
      'const level = sensor("level");',
      'const out = output("out");',
      "const all: StaticArray<f32>[] = [];",
      "level.onSample((value) => {",
      "  const list = new StaticArray<f32>(8);",
      "  list[<i32>value & 7] = value;",
      "  out.publish(list[3]);",
      "  all.push(list);",
      "});",
    ];
    writeFileSync(join(project, "src/leak.ts"), lines.join("\n"));
    const { code, err } = await wasmote(project, "check", "src/leak.ts");
    expect(code).toBe(6);
    expect(err).toMatch(/it traps after \d+ runs\n.*leak.ts:[678]:\d+: trap: out of memory/s);
    expect(err).toMatch(
      /what to do: keep less, or give handlers more: heap = 16384 in wasmote.toml/,
    );
    const long = [
      'import { Code, onRequest } from "wasmote";',
      `onRequest((request) => request.reply(Code.CONTENT, "${"x".repeat(600)}"));`,
    ];
    writeFileSync(join(project, "src/long.ts"), long.join("\n"));
    expect((await wasmote(project, "check", "src/long.ts")).out).toMatch(
      /^requests +(\d+) of \1 were answered 5\.00 reply > 512 bytes: app\/x\/$/m,
    );
    const deep = [
      ...lines.slice(0, 3),
      "function depth(n: i32): i32 { return n <= 0 ? 0 : 1 + depth(n - 1); }",
      "level.onSample((value) => out.publish(<f32>depth(<i32>value)));",
    ];
    writeFileSync(join(project, "src/deep.ts"), deep.join("\n"));
    const called = await wasmote(project, "run", "src/deep.ts", "--samples", "samples.csv");
    expect(called.code).toBe(6);
    expect(called.err).toMatch(/deep\.ts:4:\d+: trap: call stack exhausted\n/);
    expect(called.err).toMatch(
      /, \d+ times\n.*\n {2}what to do: call less deep: a loop needs no stack/,
    );
    const fine = lines.filter((line) => !line.includes("all"));
    writeFileSync(join(project, "src/fine.ts"), fine.join("\n"));
    expect((await wasmote(project, "check", "src/fine.ts")).code).toBe(0);
  });

  test("is not made where something is", async () => {
    using folder = scratch();
    mkdirSync(join(folder.path, "river"));
    writeFileSync(join(folder.path, "river/file"), "");
    const ran = await wasmote(folder.path, "new", "river");
    expect(ran.code).toBe(1);
    expect(ran.err).toMatch(/is not empty\n {2}what to do: /);
  });

  test("signs packages, each with a number of its own", async () => {
    using folder = scratch();
    const project = await newProject(folder.path);
    const first = await wasmoteJson(project, "package", "--class", "stm32f407");
    expect(first).toMatchObject({ output: "river.wpkg", sequence: 1, class: "stm32f407" });
    expect(await wasmoteJson(project, "package", "--class", "stm32f407")).toMatchObject({
      sequence: 2,
    });
    const other = await wasmoteJson<{ file: string; public: string }>(project, "keygen", "b.pem");
    expect(other.public).toMatch(/^[0-9a-f]{64}$/);
    expect(readFileSync(join(project, "b.pem"), "utf8")).toContain("PRIVATE KEY");
    const again = await wasmote(project, "keygen", "b.pem");
    expect(again.err).toMatch(/is already there\n {2}what to do: a key that nodes trust/);
    const record = await wasmoteJson<{ file: string }>(project, "provision", "--name", "wye");
    expect(readFileSync(record.file).subarray(0, 4).toString()).toBe("WMPR");
    expect(record).toMatchObject({ address: "0x8003800" });
  });
});

describe("errors say what was wrong and what to do", () => {
  test("a source that does not compile is shown with its line", async () => {
    using folder = scratch();
    writeFileSync(
      join(folder.path, "bad.ts"),
      'import { sensor } from "wasmote";\nlet x: i32 = "a";\n',
    );
    const ran = await wasmote(folder.path, "build", "bad.ts");
    expect(ran.code).toBe(3);
    expect(ran.err).toMatch(/bad\.ts:2:14: .*\n {2}let x: i32 = "a";\n {15}\^/);
  });

  test.each([
    [["info"], 2, /no node was named\n {2}what to do: add --node/],
    [["info", "--node", "wye"], 2, /there is no node wye in wasmote.toml/],
    [["info", "--node", "http://x"], 2, /not an address of a node: write coap:/],
    [["info", "--node", "serial:/dev/none"], 4, /No such file.*\n {2}what to do: `wasmote scan`/s],
    [["info", "--node", "coap://127.0.0.1", "--timeout", "x"], 2, /x is not a time-out/],
    [["build", "none.ts"], 1, /there is no file .*none\.ts/],
    [["package", "--class", "x"], 1, /begin a project with `wasmote new/],
    [["fly"], 2, /unknown command 'fly'/],
    [["build", "--fast"], 2, /unknown option '--fast'/],
    [["run", "x.wasm"], 1, /there is no file/],
    [
      ["run", "--engine", "jvm"],
      2,
      /there is no engine jvm\n {2}what to do: there are: wasmote, wasm3/,
    ],
    [["emulate", "toaster"], 2, /there is no machine toaster\n {2}what to do: there are: native/],
    [["provision", "--public", "abc"], 2, /abc is not a public key/],
    [["put", "app/params/x", "1"], 2, /no node was named/],
    [["params", "limit"], 2, /limit is not an assignment\n {2}what to do: write: wasmote params/],
    [["scan", "--seconds", "no"], 2, /no is not a time/],
    [["test"], 1, /there are no tests in/],
    [
      ["completion", "csh"],
      2,
      /there is no completion for csh\n {2}what to do: there is one for: bash/,
    ],
  ] as const)("%j", async (words, code, message) => {
    using folder = scratch();
    const ran = await wasmote(folder.path, ...words);
    expect(ran.err).toMatch(message);
    expect(ran.code).toBe(code);
    expect(ran.err).not.toContain("fault of wasmote's");
  });

  test("a port at which nothing listens, and a node that does not answer", async () => {
    using folder = scratch();
    const silent = createSocket("udp4").bind(0, "127.0.0.1");
    await once(silent, "listening");
    const { port } = silent.address();
    const waiting = await wasmote(
      folder.path,
      "info",
      "--node",
      `coap://127.0.0.1:${port}`,
      "--timeout",
      "0.5",
    );
    expect(waiting.code).toBe(4);
    expect(waiting.err).toMatch(/does not answer.*\n {2}what to do: .*`wasmote scan`/s);
    silent.close();
    const refused = await wasmote(folder.path, "info", "--node", `coap://127.0.0.1:${port}`);
    expect(refused.code).toBe(4);
    expect(refused.err).toMatch(/nothing listens at coap:.*\n {2}because: .*ECONNREFUSED/);
  });

  test("without probe-rs, flash and provision say how to get it", async () => {
    using folder = scratch();
    const project = await newProject(folder.path);
    writeFileSync(join(project, "image.elf"), "");
    for (const words of [
      ["flash", "image.elf"],
      ["provision", "--flash"],
    ]) {
      const ran = await wasmoteIn(project, { PATH: folder.path }, ...words);
      expect(ran.code).toBe(1);
      expect(ran.err).toMatch(/probe-rs is not on the PATH\n {2}what to do: .*cargo install/);
    }
  });

  test("probe-rs gets what it needs, and when it fails its probes are named", async () => {
    using folder = scratch();
    const project = await newProject(folder.path);
    writeFileSync(join(project, "image.elf"), "");
    const tool = join(folder.path, "probe-rs");
    const stub = (lines: string[]) => {
      writeFileSync(tool, ["#!/bin/sh", `echo "$@" >> ${folder.path}/called`, ...lines].join("\n"));
      chmodSync(tool, 0o755);
    };
    const path = { PATH: `${folder.path}${delimiter}${process.env["PATH"]}` };
    stub(["exit 0"]);
    const flashed = await wasmoteIn(project, path, "flash", "image.elf", "--json");
    expect(flashed, flashed.err).toMatchObject({ code: 0 });
    expect(JSON.parse(flashed.out)).toEqual({ image: "image.elf", chip: "STM32F407VGTx" });
    expect((await wasmoteIn(project, path, "provision", "--flash")).code).toBe(0);
    const called = readFileSync(join(folder.path, "called"), "utf8").split("\n");
    expect(called[0]).toBe("download --chip STM32F407VGTx --restore-unwritten --verify image.elf");
    expect(called[2]).toMatch(
      /^download --chip STM32F407VGTx --restore-unwritten --binary-format bin --base-address 0x8003800 .*provision\.bin$/,
    );
    stub(['[ "$1" = list ] && exit 0', "exit 1"]);
    const none = await wasmoteIn(project, path, "flash", "image.elf");
    expect(none.err).toMatch(/probe-rs ended with 1\n {2}what to do: no probe is found/);
    stub(['[ "$1" = list ] && echo "[0]: STLink V2" && exit 0', "exit 1"]);
    const busy = await wasmoteIn(project, path, "flash", "image.elf");
    expect(busy.err).toMatch(/the probe is there \(\[0\]: STLink V2\)/);
  });

  test("without QEMU, emulate says how to get it", async () => {
    using folder = scratch();
    const ran = await wasmoteIn(folder.path, { PATH: folder.path }, "emulate", "qemu-stm32");
    expect(ran.code).toBe(1);
    const built = existsSync(join(root, "dist/stm32f407-qemu.elf"));
    expect(ran.err).toMatch(built ? /no qemu-system-arm/ : /has not been built/);
    expect(ran.err).toMatch(/what to do: npm run build/);
  });

  test("a file that is no module is refused with its place", async () => {
    using folder = scratch();
    writeFileSync(join(folder.path, "x.wasm"), Buffer.from("0061736d0100000001", "hex"));
    for (const verb of ["run", "check", "build"]) {
      const ran = await wasmote(folder.path, verb, "x.wasm");
      expect(ran.code).toBe(3);
      expect(ran.err).not.toContain("fault of wasmote's");
    }
    writeFileSync(join(folder.path, "x.wpkg"), "no package");
    const ran = await wasmote(folder.path, "push", "x.wpkg", "--node", "coap://127.0.0.1");
    expect(ran).toMatchObject({ code: 3 });
    expect(ran.err).toMatch(/no package: .*\n {2}what to do: make one with `wasmote package`/);
  });
});

describe("help", () => {
  test("every verb has one of its own, with an example, and takes --json where it prints", async () => {
    using folder = scratch();
    const help = await wasmote(folder.path, "--help");
    const verbs = [...help.out.matchAll(/^ {2}([a-z]+) /gm)].map(([, name]) => name ?? "");
    const own = verbs.filter((name) => !["wasmote", "help"].includes(name));
    // That the list is read: verbs come, and none of them is to be left out below.
    expect(own.length).toBeGreaterThan(30);
    expect(help.out).toContain("Exit codes:");
    // Neither here nor below a line is longer than a terminal: it would be broken within a word. Examples are there to be copied.
    const long = (text: string) =>
      text.split("\n").filter((one) => one.length > 80 && !one.startsWith("  wasmote "));
    expect(long(help.out)).toEqual([]);
    const helps = await Promise.all(own.map((name) => wasmote(folder.path, name, "--help")));
    for (const [index, { out, code }] of helps.entries()) {
      expect(code).toBe(0);
      expect(out, own[index]).toMatch(/Examples?:\n {2}/);
      expect(long(out), own[index]).toEqual([]);
      if (!["test", "completion"].includes(own[index]!))
        expect(out, own[index]).toContain("--json");
    }
  });

  test.each(["bash", "zsh", "fish"])("completion for %s knows verbs and options", async (shell) => {
    using folder = scratch();
    const { out, code } = await wasmote(folder.path, "completion", shell);
    expect(code).toBe(0);
    for (const word of ["push", "observe", "rollback", "record"]) expect(out).toContain(word);
    // The shell itself has to take it; bash is asked what it completes.
    if (!command(shell)) return;
    const script = join(folder.path, "script");
    writeFileSync(script, out);
    expect(spawnSync(shell, ["-n", script]).status).toBe(0);
    if (shell !== "bash") return;
    const ask = (words: string[]) =>
      spawnSync(
        "bash",
        [
          "-c",
          `. ${script}; COMP_WORDS=(wasmote ${words.join(" ")}); COMP_CWORD=${words.length}; _wasmote; echo "\${COMPREPLY[@]}"`,
        ],
        { encoding: "utf8" },
      ).stdout.trim();
    expect(ask(["rollb"])).toBe("rollback");
    expect(ask(["observe", "--re"])).toBe("--record");
  });

  test("what takes long shows on a terminal that it is under way, and elsewhere does not", async () => {
    using folder = scratch();
    writeFileSync(
      join(folder.path, "main.ts"),
      'import { every } from "wasmote";\nevery(9, () => {});\n',
    );
    const words = ["build", "main.ts"];
    if (command("script")) {
      const line = [process.execPath, join(root, "dist/wasmote.js"), ...words].join(" ");
      const { stdout } = spawnSync("script", ["-qec", line, "/dev/null"], {
        cwd: folder.path,
        encoding: "utf8",
      });
      // A machine may be so fast that there is nothing to show; that the line is taken away again always shows.
      expect(stdout).toContain("\r\u001b[K");
      expect(stdout).toContain("main.wasm: ");
    }
    writeFileSync(
      join(folder.path, "main.ts"),
      'import { every } from "wasmote";\nevery(8, () => {});\n',
    );
    expect(await wasmote(folder.path, ...words)).toMatchObject({ code: 0, err: "" });
  });

  test("output is coloured on a terminal alone, and not where NO_COLOR is set", async () => {
    using folder = scratch();
    const plain = await wasmote(folder.path, "info");
    // oxlint-disable-next-line no-control-regex
    expect(plain.err).not.toMatch(/\u001b\[/);
    if (!command("script")) return;
    const onTerminal = (env: Record<string, string>) =>
      spawnSync(
        "script",
        ["-qec", `${process.execPath} ${join(root, "dist/wasmote.js")} info`, "/dev/null"],
        { cwd: folder.path, encoding: "utf8", env: { ...process.env, ...env } },
      ).stdout;
    expect(onTerminal({ NO_COLOR: "" })).toContain("\u001b[31merror:\u001b[0m");
    expect(onTerminal({ NO_COLOR: "1" })).toContain("error:");
    expect(onTerminal({ NO_COLOR: "1" })).not.toContain("\u001b[31m");
  });

  test("the version comes without loading the verbs or any package", async () => {
    using folder = scratch();
    // V8 writes down which scripts it ran.
    const coverage = join(folder.path, "coverage");
    const ran = await wasmoteIn(folder.path, { NODE_V8_COVERAGE: coverage }, "--version");
    expect(ran).toMatchObject({ code: 0, out: "0.1.0\n" });
    const loaded = readdirSync(coverage).flatMap((name) =>
      (
        JSON.parse(readFileSync(join(coverage, name), "utf8")) as { result: { url: string }[] }
      ).result.map(({ url }) => url),
    );
    const own = loaded.filter((url) => url.startsWith("file:"));
    // The entry, and what it shares with the library: package.json. A verb, or a package, is many times as much.
    const bytes = own.reduce((sum, url) => sum + statSync(fileURLToPath(url)).size, 0);
    expect(own.some((url) => url.endsWith("/dist/wasmote.js"))).toBe(true);
    expect(own.filter((url) => !/\/dist\/[\w-]+\.js$/.test(url))).toEqual([]);
    expect(bytes).toBeLessThan(8_192);
  });
});

test("doctor says what is missing and how to get it", async () => {
  using folder = scratch();
  const findings = await wasmoteJson<{ what: string; ok: boolean; mend?: string }[]>(
    folder.path,
    "doctor",
  );
  expect(findings.find(({ what }) => what === "a key for packages")).toMatchObject({
    ok: false,
    mend: "wasmote keygen",
  });
  expect(findings.find(({ what }) => what === "emulated: native")).toMatchObject({ ok: true });
  const ran = await wasmote(
    folder.path,
    "doctor",
    "--node",
    "coap://127.0.0.1:1",
    "--timeout",
    "1",
  );
  expect(ran.code).toBe(6);
  expect(ran.out).toMatch(/failed {3}coap:.* answers \(.*\)\n +mend it with: wasmote scan/);
});

test("a wasmote.toml that cannot be read is named, with what is wrong", async () => {
  using folder = scratch();
  const file = join(folder.path, "wasmote.toml");
  for (const [text, message] of [
    ["main = [", /wasmote\.toml: /],
    ["main = 5\n", /wasmote\.toml: main is not a text\n {2}what to do: write: main = /],
    ["[nodes]\nwye = 3\n", /wasmote\.toml: wye is not a text/],
  ] as const) {
    writeFileSync(file, text);
    const ran = await wasmote(folder.path, "build");
    expect(ran.code).toBe(2);
    expect(ran.err).toMatch(message);
  }
});

test("scan names what is in wasmote.toml, and when it was last seen", async () => {
  using folder = scratch();
  writeFileSync(
    join(folder.path, "wasmote.toml"),
    '[nodes]\nwye = "coap://127.0.0.1:1"\nusk = "coap://127.0.0.1:2"\n',
  );
  mkdirSync(join(folder.path, ".wasmote"));
  const before = new Date(Date.now() - 3 * 3600_000).toISOString();
  writeFileSync(
    join(folder.path, ".wasmote/seen.json"),
    JSON.stringify({ "coap://127.0.0.1:1": before }),
  );
  const { out } = await wasmote(folder.path, "scan", "--seconds", "0.3");
  expect(out).toMatch(
    /coap:\/\/127\.0\.0\.1:1 +wye {2}\(wasmote\.toml; silent, last seen 3 hours ago\)/,
  );
  expect(out).toMatch(/coap:\/\/127\.0\.0\.1:2 +usk {2}\(wasmote\.toml; silent, never seen/);
});
