// Files on the command line, for every verb that takes or makes one: a file that is not there is told as such, with one exit code; a file of
// the user's own is not written over.
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { program } from "../../host/cli/commands.ts";
import { root } from "../../host/setup.mjs";
import { begin, newProject, wasmote, wasmoteIn } from "../harness/command.ts";
import { scratch } from "../harness/target.ts";

const folder = scratch();
let project = "";
beforeAll(async () => {
  project = await newProject(folder.path);
  copyFileSync(join(root, "examples/flood/flow.onnx"), join(project, "flow.onnx"));
});
afterAll(() => folder[Symbol.dispose]());

describe("a file that is not there", () => {
  const nobody = "coap://127.0.0.1:9";
  test.each([
    "build none.ts",
    "check none.ts",
    "check --samples none.csv",
    "model none.onnx",
    "model flow.onnx --samples none.csv",
    "place none.onnx --dry-run",
    "place none.ts --dry-run",
    "place none.onnx --station wye --dry-run",
    "run none.ts",
    "run --samples none.csv",
    "run --replay none.jsonl",
    "keygen other.pem --import none.pem",
    "package none.ts --class native",
    "package --class native --key none.pem",
    "pod none.ts",
    `push none.ts -n ${nobody}`,
    `push none.wpkg -n ${nobody}`,
    `watch none.ts -n ${nobody}`,
    "emulate --samples none.csv",
    "rollout start none.wpkg --gateway 127.0.0.1:9",
    "gateway --config none.toml",
    "flash none.elf",
  ])("%s: 1, and its name", async (line) => {
    const { code, err } = await wasmote(project, ...line.split(" "));
    expect([code, err]).toEqual([1, expect.stringMatching(/there is no \w+ \S*none\./)]);
    expect(err).toMatch(/\n {2}what to do: /);
  });
});

describe("a file of one's own", () => {
  const words: [string, string][] = [
    ["build src/main.ts", "river.wasm"],
    ["build src/main.ts -o own.wasm", "own.wasm"],
    ["model flow.onnx", "flow.ts"],
    ["model flow.onnx -o src/main.ts", "src/main.ts"],
    ["model flow.onnx --module", "flow.wasm"],
    ["package --class native", "river.wpkg"],
    ["package --class native -o own.txt", "own.txt"],
    ["pod", "river.pod.wasm"],
    ["provision own.bin --name wye", "own.bin"],
    ["test --junit own.xml", "own.xml"],
    ["observe --record own.jsonl -n coap://127.0.0.1:9 --timeout 1", "own.jsonl"],
  ];
  test.each(words)("%s does not write over it", async (line, file) => {
    const path = join(project, file);
    const before = existsSync(path) ? readFileSync(path) : undefined;
    const own = file === "src/main.ts" ? before! : Buffer.from("of my own\n");
    writeFileSync(path, own);
    const refused = await wasmote(project, ...line.split(" "));
    expect(refused.code).toBe(1);
    expect(refused.err).toMatch(/is there already, and is not .*\n.*--force/);
    expect(readFileSync(path)).toEqual(own);
    // By force it is, by one way for all.
    if (!/^(?:build|model).* flow\.|own\.wasm$/.test(`${line} ${file}`) || file === "src/main.ts")
      return;
    // Somebody who means it; then what was made is made again.
    expect((await wasmote(project, ...line.split(" "), "--force")).code).toBe(0);
    expect(readFileSync(path)).not.toEqual(own);
    expect((await wasmote(project, ...line.split(" "))).code).toBe(0);
  });

  test("every verb that has --output, --record or --junit has --force", () => {
    const writes = program.commands.filter((command) =>
      command.options.some(({ long }) => ["--output", "--record", "--junit"].includes(long ?? "")),
    );
    const without = writes.filter(
      (command) => !command.options.some(({ long }) => long === "--force"),
    );
    // What `keys` writes are files of a folder, which it makes and never overwrites.
    expect(without.map((command) => command.name())).toEqual(["keys"]);
  });

  test("a module that another compiler made is one's own, too; a pipe and an empty file are nobody's", async () => {
    const foreign = Buffer.from("0061736d01000000", "hex");
    writeFileSync(join(project, "foreign.wasm"), foreign);
    const build = (...words: string[]) => wasmote(project, "build", "src/main.ts", ...words);
    expect((await build("-o", "foreign.wasm")).code).toBe(1);
    writeFileSync(join(project, "empty.wasm"), "");
    expect((await build("-o", "empty.wasm")).code).toBe(0);
    expect((await build("-o", "/dev/null")).code).toBe(0);
  });
});

describe("wrong words", () => {
  test("a time-out is looked at by every verb that takes one, also where it does not need it", async () => {
    const verbs = program.commands.filter((command) =>
      command.options.some(({ long }) => long === "--timeout"),
    );
    expect(verbs.length).toBeGreaterThan(15);
    const named: Record<string, string[]> = {
      get: ["a"],
      put: ["a", "1"],
      post: ["a"],
      delete: ["a"],
      place: ["x"],
    };
    const each = verbs.map(async (command) => {
      const name = command.name();
      const given = [name, ...(named[name] ?? []), "--timeout", "-4"];
      const { code, err } = await wasmote(project, ...given);
      return `${name} ${code} ${err.split("\n")[0]}`;
    });
    expect(await Promise.all(each)).toEqual(
      verbs.map((command) => `${command.name()} 2 error: -4 is not a time-out`),
    );
  });

  test("every verb that asks a gateway takes its token", () => {
    const asks = program.commands.filter((command) =>
      command.options.some(({ long }) => long === "--gateway"),
    );
    expect(asks.map((command) => command.name())).toEqual([
      "place",
      "retrain",
      "rollout",
      "history",
    ]);
    for (const command of asks)
      expect(
        command.options.map(({ long }) => long),
        command.name(),
      ).toContain("--token");
  });
});

test("what is refused by its place in the help is in the help", () => {
  const help = execFileSync(process.execPath, [join(root, "dist/wasmote.js"), "--help"], {
    encoding: "utf8",
  });
  for (const verb of [
    "observe",
    "watch",
    "logs",
    "rollout",
    "retrain",
    "gateway",
    "emulate",
    "run",
  ])
    expect(help.slice(help.indexOf("Ctrl-C is the regular end"))).toContain(verb);
});

test("a package needs a class, and the one that the emulated nodes have is suggested", async () => {
  using state = scratch();
  const env = { XDG_STATE_HOME: state.path };
  // A state of its own has no key of the other project.
  expect((await wasmoteIn(state.path, env, "new", "river")).code).toBe(0);
  const river = join(state.path, "river");
  const none = await wasmoteIn(river, env, "package");
  expect(none).toMatchObject({ code: 2, out: "" });
  expect(none.err).toMatch(/add --class stm32f407, .*`wasmote info` shows a node's/);
  const node = begin(river, ["emulate", "native", "--open"], env);
  await node.shows(/coap:/);
  expect((await wasmoteIn(river, env, "package")).err).toMatch(
    /add --class native, or class = "native"/,
  );
  node.child.kill("SIGTERM");
  await node.ended;
});
