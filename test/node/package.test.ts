// The package as others get it: packed by npm, installed in a project of theirs; and what editors know of a project made by `new`.
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  realpathSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { otherNode, root, withoutDebug } from "../../host/setup.mjs";
import { newProject } from "../harness/command.ts";
import { scratch } from "../harness/target.ts";

const tsc = join(root, "node_modules/.bin/tsc");

describe("installed from its package", () => {
  const folder = scratch();
  // Spaces and letters beyond ASCII, as in many a home folder.
  const consumer = join(folder.path, "Messungen am Fluß 2");
  const modules = join(consumer, "node_modules");
  const wasmote = join(modules, "wasmote");

  beforeAll(() => {
    mkdirSync(wasmote, { recursive: true });
    const [{ filename }] = JSON.parse(
      execFileSync(
        "npm",
        ["pack", "--json", "--ignore-scripts", "--pack-destination", folder.path],
        { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] },
      ),
    ) as [{ filename: string }];
    const file = join(folder.path, filename);
    execFileSync("tar", ["-xzf", file, "-C", wasmote, "--strip-components", "1"]);
    // Its dependencies, as npm would have installed them.
    const { dependencies, optionalDependencies } = JSON.parse(
      readFileSync(join(wasmote, "package.json"), "utf8"),
    ) as Record<"dependencies" | "optionalDependencies", Record<string, string>>;
    const linked = new Set<string>();
    const names = Object.keys({ ...dependencies, ...optionalDependencies });
    for (const name of [...names, "@types/node", "typescript"]) {
      const scope = name.startsWith("@") ? name.split("/")[0]! : undefined;
      if (scope) mkdirSync(join(modules, scope), { recursive: true });
      if (linked.has(name)) continue;
      linked.add(name);
      symlinkSync(join(root, "node_modules", name), join(modules, name));
    }
    writeFileSync(join(consumer, "package.json"), '{"type":"module","private":true}\n');
  }, 180_000);
  afterAll(() => folder[Symbol.dispose]());

  test("it has what is needed to run, and nothing of the repository besides", () => {
    const top = readdirSync(wasmote).toSorted();
    expect(top).toEqual([
      "LICENSE-APACHE",
      "LICENSE-MIT",
      "README.md",
      "assembly",
      "dist",
      // The flood's trained network, which `wasmote flood` places.
      "examples",
      // A winter of the river, for the gateway's demonstration.
      "host",
      "index.ts",
      "package.json",
      // The board for those who have Renode.
      "renode",
    ]);
    const inside = readdirSync(join(wasmote, "host"), { recursive: true, encoding: "utf8" });
    expect(inside.filter((file) => file.includes("."))).toEqual(["demo/river-wye-2013-14.csv"]);
    const files = readdirSync(join(wasmote, "dist"), { recursive: true, encoding: "utf8" });
    const plain = files.filter((file) => statSync(join(wasmote, "dist", file)).isFile());
    // Scripts, types and the dashboard; programs for this computer; firmware for a board and for the emulators.
    const programs = ["engine.node", "wasm3.node", "wasmote-native"];
    const firmware = ["mps2-an386.elf", "stm32f407-discovery.elf", "stm32f407-qemu.elf"];
    const scripts =
      /^(?:[\w-]+\.js|types(?:-(?:gateway|model))?\/[\w/.-]+\.d\.ts|dashboard\/[\w.-]+\.(?:js|css|html|svg))$/;
    const known = [...programs, ...firmware];
    expect(plain.filter((file) => !known.includes(file) && !scripts.test(file))).toEqual([]);
    for (const name of [
      "wasmote.js",
      "index.js",
      "gateway.js",
      "model.js",
      "engine.node",
      "wasmote-native",
    ])
      expect(plain).toContain(name);
    // What the linker leaves for debuggers is not shipped.
    const stripped = spawnSync("strip", ["--version"]).status === 0;
    for (const name of programs.filter((one) => stripped && plain.includes(one)))
      expect(statSync(join(wasmote, "dist", name)).size, name).toBeLessThan(4 * 2 ** 20);
    const tools = withoutDebug("image.elf").some(
      ({ words: [tool = ""], env }) => spawnSync(tool, ["--version"], { env }).status === 0,
    );
    for (const name of firmware.filter((one) => tools && plain.includes(one)))
      expect(readFileSync(join(wasmote, "dist", name)).includes(".debug_"), name).toBe(false);
    const sources = readdirSync(join(wasmote, "assembly"), { recursive: true, encoding: "utf8" });
    expect(sources.filter((file) => /(?:^|\/)(?:bench|test)/.test(file))).toEqual([]);
  });

  test("it has every file that its verbs open, and none is looked for beside a source", () => {
    const sources = execFileSync("git", ["ls-files", "host/*.ts"], { cwd: root, encoding: "utf8" })
      .split("\n")
      .filter((file) => file !== "" && !file.includes("/dashboard/"));
    const texts = sources.map((file) => [file, readFileSync(join(root, file), "utf8")] as const);
    const opened = texts.flatMap(([, text]) =>
      [...text.matchAll(/join\(packageRoot, "([^"]+)"/g)].map(([, file = ""]) => file),
    );
    expect(opened.length).toBeGreaterThan(15);
    // Python is the set-up's, for those who train; without it that says what to do.
    const missing = opened.filter(
      (file) => !file.startsWith(".cache/") && !existsSync(join(wasmote, file)),
    );
    expect(missing).toEqual([]);
    // The bundle lies elsewhere than its sources: what they find beside themselves is not beside it.
    const beside = texts
      .filter(([, text]) => /new URL\([^)]*import\.meta|import\.meta\.dirname/.test(text))
      .map(([file]) => file);
    // Of the repository's own: the demonstration of `npm start`, and what makes files of the contract.
    expect(
      beside.filter((file) => !/^host\/(?:demo\/main|gen|sdk|vectors)\.ts$/.test(file)),
    ).toEqual([]);
  });

  test("its gateway shows the demonstration", { timeout: 120_000 }, async () => {
    const shown = "three nodes run the flood alarm";
    const words = [
      join(wasmote, "dist/wasmote.js"),
      "gateway",
      "--demo",
      "--listen",
      "0",
      "--json",
    ];
    const child = spawn(process.execPath, words, {
      cwd: consumer,
      stdio: ["ignore", "pipe", "pipe"],
    });
    try {
      let said = "";
      const ended = once(child, "close");
      const started = new Promise<void>((resolve) => {
        for (const stream of [child.stdout, child.stderr])
          stream.on("data", (bytes: Buffer) => {
            said += bytes.toString();
            if (said.includes(shown)) resolve();
          });
      });
      await Promise.race([started, ended]);
      expect(said).toContain(shown);
      child.kill("SIGINT");
      expect(await ended).toEqual([0, null]);
    } finally {
      child.kill("SIGKILL");
    }
  });

  const others = [22, 24].map((major) => ({ major, path: otherNode(major) }));
  const nodes = [
    { major: Number(process.versions.node.split(".")[0]), path: process.execPath },
    ...others,
  ];

  test.each(nodes.filter(({ path }) => existsSync(path)))(
    "its command builds a program, checks it, runs it and runs its tests under Node $major",
    { timeout: 120_000 },
    ({ major, path }) => {
      const run = (cwd: string, ...words: string[]) =>
        spawnSync(path, [join(wasmote, "dist/wasmote.js"), ...words], { cwd, encoding: "utf8" });
      expect(spawnSync(path, ["--version"], { encoding: "utf8" }).stdout).toMatch(`v${major}.`);
      const name = `river-${major}`;
      expect(run(consumer, "new", name)).toMatchObject({ status: 0, stderr: "" });
      const project = join(consumer, name);
      expect(run(project, "build")).toMatchObject({ status: 0, stderr: "" });
      expect(run(project, "check")).toMatchObject({ status: 0, stderr: "" });
      const ran = run(project, "run", "--samples", "samples.csv");
      expect(ran, ran.stderr).toMatchObject({ status: 0 });
      expect(ran.stdout).toContain("alarm");
      const tested = run(project, "test");
      expect(tested.stdout, tested.stderr).toContain("pass 1");
      // The library too, from the folder of somebody who depends on it.
      const script = `import("wasmote").then(({ build }) => build("${name}/src/main.ts")).then(({ module }) => console.log(module.length));`;
      const used = spawnSync(path, ["-e", script], { cwd: consumer, encoding: "utf8" });
      expect(Number(used.stdout), used.stderr).toBeGreaterThan(100);
    },
  );

  for (const { major, path } of others)
    if (!existsSync(path)) test.skip(`skipped: no Node ${major} (host/setup.mjs test fetches it)`);

  test("its library is imported as ESM, with types that a strict compiler takes", () => {
    const source = `
import { build, discover, emulate, inspect, instantiate, missing, Node, NodeError, readSamples, Simulation, simulate } from "wasmote";
import type { AppState, Built, Happening, Host, Instance, NodeErrorCode, Reading } from "wasmote";

const built: Built = await build("typed/src/main.ts");
const happenings: Happening[] = simulate(built.module, readSamples("time,level\\n0,4000\\n")).happenings;
const first = happenings.find((one) => one.kind === "output");
console.log(first?.kind === "output" ? first.value : "none");
const host: Host = ({ results }) => results.map((type) => (type === "i64" ? 0n : 0));
const instance: Instance = instantiate(built.module, "wasmote", host);
const { trap, fuel = 0 } = instance.call(undefined, [], 1e6);
console.log(trap, fuel > 0, instance.memorySize() === inspect(built.module).footprint.memory);
const code: NodeErrorCode = await Node.connect("nowhere").then(
  () => "closed" as const,
  (error: unknown) => (error instanceof NodeError ? error.code : "protocol"),
);
console.log(code);
if (missing("native") === undefined) {
  const board = await emulate({ machine: "native" });
  {
    await using node = await Node.connect(board.address, { patience: 30_000 });
    const app: AppState = await node.app(AbortSignal.timeout(60_000));
    board.feed("level", 12);
    for await (const reading of node.observe("sensors/level")) {
      const { value }: Reading = reading;
      if (value !== 12) continue;
      console.log(app.state, value);
      break;
    }
  }
  await board.stop();
}
console.log(typeof discover, typeof Simulation);
// @ts-expect-error: a node is not made with new
void new Node();
`;
    writeFileSync(join(consumer, "main.ts"), source);
    const { stdout: made, status } = spawnSync(
      process.execPath,
      [join(wasmote, "dist/wasmote.js"), "new", "typed"],
      { cwd: consumer, encoding: "utf8" },
    );
    expect(status, made).toBe(0);
    const options = {
      module: "nodenext",
      target: "es2023",
      lib: ["es2023", "esnext.disposable"],
      types: ["node"],
      strict: true,
      skipLibCheck: false,
      outDir: "out",
    };
    const config = { compilerOptions: options, files: ["main.ts"] };
    writeFileSync(join(consumer, "tsconfig.json"), JSON.stringify(config));
    const compiled = spawnSync(tsc, ["-p", consumer], { encoding: "utf8" });
    const own = compiled.stdout.split("\n").filter((line) => /^(main|\S*wasmote)/.test(line));
    expect(own).toEqual([]);
    // What Node 20 has no syntax for (await using) the bundler lowers, as it does for the package itself.
    execFileSync(join(root, "node_modules/.bin/esbuild"), [
      join(consumer, "main.ts"),
      "--format=esm",
      "--target=node20",
      "--log-level=error",
      `--outfile=${join(consumer, "main.mjs")}`,
    ]);
    const ran = spawnSync(process.execPath, [join(consumer, "main.mjs")], {
      cwd: consumer,
      encoding: "utf8",
    });
    expect(ran.stderr).toBe("");
    expect(ran.stdout).toBe("1\nundefined true true\naddress\nempty 12\nfunction function\n");
  });
});

test("a new project resolves nothing by a name that somebody could register", async () => {
  using folder = scratch();
  const project = await newProject(folder.path);
  const { devDependencies, dependencies } = JSON.parse(
    readFileSync(join(project, "package.json"), "utf8"),
  ) as Record<string, Record<string, string> | undefined>;
  for (const [name, from] of Object.entries({ ...devDependencies, ...dependencies }))
    expect(from, name).toMatch(/^file:/);
  // Without any registry.
  const nowhere = [
    "--registry",
    "http://127.0.0.1:1",
    "--no-audit",
    "--no-fund",
    "--ignore-scripts",
  ];
  const installed = spawnSync("npm", ["install", "--offline", ...nowhere], {
    cwd: project,
    encoding: "utf8",
  });
  expect(installed.status, installed.stderr).toBe(0);
  expect(realpathSync(join(project, "node_modules/wasmote"))).toBe(realpathSync(root));
});

describe("an editor", () => {
  test("finds no fault in the SDK, the examples, and a project made by new; and it finds those that are there", async () => {
    const check = (folder: string) => {
      const { stdout } = spawnSync(tsc, ["--noEmit", "-p", folder], { encoding: "utf8" });
      return stdout;
    };
    expect(check(join(root, "assembly"))).toBe("");
    using folder = scratch();
    const project = await newProject(folder.path);
    expect(check(join(project, "src"))).toBe("");
    const source = join(project, "src/main.ts");
    const text = readFileSync(source, "utf8");
    writeFileSync(source, text.replace("high.next(millimetres,", 'high.next("a",'));
    expect(check(join(project, "src"))).toMatch(
      /main\.ts\(10,18\): error TS2345: Argument of type 'string' is not assignable to parameter of type 'number'/,
    );
  });

  test("shows on hover what the SDK's names mean", async () => {
    using folder = scratch();
    const project = await newProject(folder.path);
    const source = join(project, "src/main.ts");
    const text = readFileSync(source, "utf8");
    const uri = pathToFileURL(source).href;
    const server = languageServer(project);
    await server.request("initialize", {
      processId: process.pid,
      rootUri: pathToFileURL(project).href,
      capabilities: {},
    });
    server.notify("initialized", {});
    const document = { uri, languageId: "typescript", version: 1, text };
    server.notify("textDocument/didOpen", { textDocument: document });
    const hover = async (word: string) => {
      const before = text.slice(0, text.indexOf(word)).split("\n");
      const position = { line: before.length - 1, character: before.at(-1)!.length + 1 };
      return JSON.stringify(
        await server.request("textDocument/hover", { textDocument: { uri }, position }),
      );
    };
    expect(await hover('sensor("level")')).toContain(
      "Declares a sensor by the name it has on the node",
    );
    expect(await hover("onSample(")).toContain("Runs `handler` for each new sample");
    expect(await hover("millimetres)")).toMatch(/millimetres: (f32|number)/);
    expect(await hover("Hysteresis()")).toContain("A switch with two thresholds");
    server.stop();
  });
});

/** TypeScript's own language server, spoken to as an editor does (JSON-RPC over standard input and output). */
function languageServer(folder: string) {
  const child = spawn(tsc, ["--lsp", "--stdio"], {
    cwd: folder,
    stdio: ["pipe", "pipe", "ignore"],
  });
  const waiting = new Map<number, (result: unknown) => void>();
  let bytes = Buffer.alloc(0);
  child.stdout.on("data", (more: Buffer) => {
    bytes = Buffer.concat([bytes, more]);
    for (;;) {
      const end = bytes.indexOf("\r\n\r\n");
      if (end < 0) return;
      const length = Number(/Content-Length: (\d+)/.exec(bytes.subarray(0, end).toString())?.[1]);
      if (bytes.length < end + 4 + length) return;
      const message = JSON.parse(bytes.subarray(end + 4, end + 4 + length).toString()) as {
        id?: number;
        method?: string;
        result?: unknown;
        error?: unknown;
      };
      bytes = bytes.subarray(end + 4 + length);
      // What the server asks of its editor is answered with nothing.
      if (message.method !== undefined && message.id !== undefined)
        send({ id: message.id, result: null });
      else if (message.id !== undefined) waiting.get(message.id)?.(message.result ?? message.error);
    }
  });
  const send = (message: object) => {
    const body = JSON.stringify({ jsonrpc: "2.0", ...message });
    child.stdin.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  };
  let id = 0;
  return {
    request: (method: string, params: object) =>
      new Promise<unknown>((resolve) => {
        waiting.set(++id, resolve);
        send({ id, method, params });
      }),
    notify: (method: string, params: object) => send({ method, params }),
    stop: () => child.kill("SIGKILL"),
  };
}
