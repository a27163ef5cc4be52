// The command line as people use it: the bundle in dist/, in a folder of its own, against nodes that are emulated.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { root } from "../host/setup.mjs";
import { readKey, makeFlash } from "../host/lib/package.ts";
import { eachTarget, scratch } from "./harness/target.ts";

const program = join(root, "dist/wasmote.js");

interface Ran {
  code: number | null;
  out: string;
  err: string;
}

const running = new Set<ReturnType<typeof spawn>>();
afterEach(() => {
  for (const child of running) child.kill("SIGKILL");
});

function start(folder: string, words: string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [program, ...words], {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  running.add(child);
  const ran: Ran = { code: null, out: "", err: "" };
  child.stdout.on("data", (text: Buffer) => (ran.out += text.toString()));
  child.stderr.on("data", (text: Buffer) => (ran.err += text.toString()));
  const ended = once(child, "close").then(([code]) => {
    running.delete(child);
    ran.code = code as number | null;
    return ran;
  });
  return { child, ran, ended };
}

/** Runs a verb to its end. */
function wasmote(folder: string, ...words: string[]): Promise<Ran> {
  const { child, ended } = start(folder, words);
  child.stdin.end();
  return ended;
}

/** A project made by `new`. */
async function newProject(folder: string): Promise<string> {
  expect(await wasmote(folder, "new", "river")).toMatchObject({ code: 0, err: "" });
  return join(folder, "river");
}

describe("a project", () => {
  test("made by new builds, checks, runs in three engines, and tests", async () => {
    using folder = scratch();
    const project = await newProject(folder.path);
    const built = await wasmote(project, "build", "--json");
    expect(built).toMatchObject({ code: 0, err: "" });
    const { output, bytes } = JSON.parse(built.out) as { output: string; bytes: number };
    expect(readFileSync(join(project, output)).length).toBe(bytes);
    expect(bytes).toBeLessThan(600);
    const checked = await wasmote(project, "check", "--samples", "samples.csv", "--json");
    expect(JSON.parse(checked.out)).toMatchObject({ bytes, faults: [], runs: 7 });
    const ran = await wasmote(project, "run", "--samples", "samples.csv", "--engine", "all");
    expect(ran).toMatchObject({ code: 0, err: "" });
    expect(ran.out).toContain("2.000  alarm = 1\n");
    expect(ran.out).toContain("5.000  alarm = 0\n");
    const tested = await wasmote(project, "test");
    expect(tested.out, tested.err).toContain("pass 1");
    expect(tested.code).toBe(0);
  });

  test("is not made where something is", async () => {
    using folder = scratch();
    mkdirSync(join(folder.path, "river"));
    writeFileSync(join(folder.path, "river/file"), "");
    const ran = await wasmote(folder.path, "new", "river");
    expect(ran.code).toBe(1);
    expect(ran.err).toMatch(/is not empty\n {2}what to do: /);
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
    [["info", "--node", "http://x"], 2, /no address of a node: write coap:/],
    [["info", "--node", "serial:/dev/none"], 4, /none/],
    [["build", "none.ts"], 1, /there is no file .*none\.ts/],
    [["package", "--class", "x"], 1, /begin a project with `wasmote new/],
    [["fly"], 2, /unknown command 'fly'/],
    [["run", "x.wasm"], 1, /there is no file/],
    [["emulate", "toaster"], 2, /there is no machine toaster\n {2}what to do: there are: native/],
    [["provision", "--public", "abc"], 2, /abc is no public key/],
    [["put", "app/params/x", "1"], 2, /no node was named/],
  ] as const)("%j", async (words, code, message) => {
    using folder = scratch();
    const ran = await wasmote(folder.path, ...words);
    expect(ran.err).toMatch(message);
    expect(ran.code).toBe(code);
    expect(ran.err).not.toContain("fault of wasmote's");
  });

  test("without probe-rs, flash says how to get it", async () => {
    using folder = scratch();
    writeFileSync(join(folder.path, "image.elf"), "");
    const { child, ended } = start(folder.path, ["flash", "image.elf"], { PATH: folder.path });
    child.stdin.end();
    const ran = await ended;
    expect(ran.code).toBe(1);
    expect(ran.err).toMatch(/probe-rs is not on the PATH\n {2}what to do: .*cargo install/);
  });

  test("a file that is no module is refused with its place", async () => {
    using folder = scratch();
    writeFileSync(join(folder.path, "x.wasm"), Buffer.from("0061736d0100000001", "hex"));
    const ran = await wasmote(folder.path, "run", "x.wasm");
    expect(ran.code).not.toBe(0);
    expect(ran.err).not.toContain("fault of wasmote's");
  });
});

test("every verb has a help of its own, and the version comes without them", async () => {
  using folder = scratch();
  const help = await wasmote(folder.path, "--help");
  const verbs = [...help.out.matchAll(/^ {2}([a-z]+) /gm)].map(([, name]) => name ?? "");
  expect(verbs.length).toBeGreaterThan(22);
  expect(help.out).toContain("Exit codes:");
  const completion = await wasmote(folder.path, "completion");
  for (const verb of ["push", "observe", "rollback"]) expect(completion.out).toContain(verb);
  const version = await wasmote(folder.path, "--version");
  expect(version).toMatchObject({ code: 0, out: "0.1.0\n" });
});

test("doctor says what is missing and how to get it", async () => {
  using folder = scratch();
  const { out, code } = await wasmote(folder.path, "doctor", "--json");
  const findings = JSON.parse(out) as { what: string; ok: boolean; mend?: string }[];
  expect(findings.find(({ what }) => what === "a key for packages")).toMatchObject({
    ok: false,
    mend: "wasmote keygen",
  });
  expect(findings.find(({ what }) => what === "emulated: native")).toMatchObject({ ok: true });
  expect(code).toBe(0);
});

eachTarget(
  "command line",
  (startNode) => {
    /** A project, and a node that trusts its key. */
    const both = async (folder: string) => {
      const project = await newProject(folder);
      const flash = join(folder, "flash");
      const key = readKey(readFileSync(join(project, ".wasmote/key.pem"), "utf8"));
      writeFileSync(flash, makeFlash({ name: "wye", keys: [key.publicKey] }));
      const node = await startNode({ flash });
      expect(await wasmote(project, "use", node.address)).toMatchObject({ code: 0 });
      return { project, node };
    };

    test("push, observe with a recording, params, logs, rollback, remove", async () => {
      using folder = scratch();
      const { project, node } = await both(folder.path);
      const info = await wasmote(project, "info", "--json");
      expect(JSON.parse(info.out)).toMatchObject({
        node: { name: "wye" },
        app: { state: "empty" },
      });
      const fits = await wasmote(project, "check", "--node", node.address, "--json");
      expect(JSON.parse(fits.out)).toMatchObject({ faults: [] });
      const pushed = await wasmote(project, "push", "--no-wait", "--json");
      expect(pushed, pushed.err).toMatchObject({ code: 0 });
      expect(JSON.parse(pushed.out)).toMatchObject({ sequence: 1 });

      const observed = start(project, [
        "observe",
        "--record",
        "day.jsonl",
        "--count",
        "3",
        "--json",
      ]);
      const lines = () => observed.ran.out.split("\n").filter(Boolean);
      const seen = (path: string, value: number) =>
        expect
          .poll(
            () =>
              lines().some((line) => {
                const one = JSON.parse(line) as { path: string; value: number };
                return one.path === path && one.value === value;
              }),
            { timeout: 10_000 },
          )
          .toBe(true);
      node.feed("level", 2000);
      await seen("sensors/level", 2000);
      node.feed("level", 3500);
      await seen("sensors/level", 3500);
      await seen("outputs/alarm", 1);
      const recorded = await observed.ended;
      expect(recorded, recorded.err).toMatchObject({ code: 0 });
      const replayed = await wasmote(project, "run", "--replay", "day.jsonl");
      expect(replayed, replayed.err).toMatchObject({ code: 0 });

      const set = await wasmote(project, "params", "limit=4000", "--json");
      expect(JSON.parse(set.out)).toEqual({ limit: 4000 });
      expect((await wasmote(project, "get", "sensors/level")).out).toBe("3500\n");
      expect((await wasmote(project, "put", "app/params/limit", "5000")).code).toBe(0);
      expect((await wasmote(project, "get", "app/params/limit")).out).toBe("5000\n");
      const refused = await wasmote(project, "params", "limit=-1");
      expect(refused.code).toBe(5);
      for (let i = 0; i < 9; i++) node.feed("level", 100 + i);
      await expect
        .poll(async () => (await wasmote(project, "logs")).out, { timeout: 15_000 })
        .toContain("package 1 confirmed");
      // Another program over the first, and back.
      const source = join(project, "src/main.ts");
      writeFileSync(source, readFileSync(source, "utf8").replaceAll("3000", "3001"));
      expect((await wasmote(project, "push", "--no-wait", "--json")).code).toBe(0);
      const back = await wasmote(project, "rollback", "--json");
      expect(back, back.err).toMatchObject({ code: 0 });
      expect(JSON.parse(back.out)).toMatchObject({ sequence: 1 });
      expect((await wasmote(project, "remove")).out).toBe("the node runs nothing\n");
    });

    test("watch pushes at every change", async () => {
      using folder = scratch();
      const { project, node } = await both(folder.path);
      const watching = start(project, ["watch"]);
      watching.child.stdin.end();
      const shown = (text: string | RegExp) =>
        expect.poll(() => watching.ran.out + watching.ran.err, { timeout: 20_000 }).toMatch(text);
      await shown(/installed as 1 in \d+ ms/);
      node.feed("level", 9000);
      await shown("alarm = 1");
      const source = join(project, "src/main.ts");
      const text = readFileSync(source, "utf8");
      writeFileSync(source, `${text}let x: i32 = "a";\n`);
      await shown(/main\.ts:\d+:\d+: /);
      writeFileSync(source, text.replaceAll("3000", "3001"));
      await shown(/installed as 2 in \d+ ms/);
      watching.child.kill("SIGINT");
      expect((await watching.ended).code).toBe(0);
    });

    test("a trap is shown with its line, of the source that trapped and not of the one that runs", async () => {
      using folder = scratch();
      const { project, node } = await both(folder.path);
      expect((await wasmote(project, "push", "--no-wait")).code).toBe(0);
      for (let i = 0; i < 9; i++) node.feed("level", 100 + i);
      const info = async () =>
        JSON.parse((await wasmote(project, "info", "--json")).out) as {
          app: { state: string; returned: boolean };
          place?: { file: string; line: number };
        };
      await expect
        .poll(async () => (await info()).app.state, { timeout: 15_000 })
        .toBe("confirmed");
      const lines = [
        'import { sensor } from "wasmote";',
        'const level = sensor("level");',
        "level.onSample((value) => {",
        "  if (value > 10) unreachable();",
        "});",
      ];
      writeFileSync(join(project, "src/bad.ts"), lines.join("\n"));
      expect((await wasmote(project, "push", "src/bad.ts", "--no-wait")).code).toBe(0);
      node.feed("level", 50);
      await expect.poll(async () => (await info()).app.returned, { timeout: 15_000 }).toBe(true);
      expect((await info()).place).toMatchObject({ file: "bad.ts", line: 4 });
    });

    test("a package that the node refuses says why", async () => {
      using folder = scratch();
      const { project } = await both(folder.path);
      expect((await wasmote(project, "keygen", "other.pem")).code).toBe(0);
      const ran = await wasmote(project, "push", "--key", "other.pem");
      expect(ran.code).toBe(5);
      expect(ran.err).toMatch(/the node refuses the package: unknown-key: /);
      expect(ran.err).toContain("what to do: ");
      expect(existsSync(join(project, ".wasmote/maps"))).toBe(true);
    });
  },
  ["native", "qemu-stm32"],
);
