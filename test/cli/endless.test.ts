// Files without an end, and pipes that nobody writes to, wherever a verb takes a file: a sentence, in bounded time and memory.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { newProject, program } from "../harness/command.ts";
import { scratch } from "../harness/target.ts";

const folder = scratch();
let project = "";

beforeAll(async () => {
  project = await newProject(folder.path);
  for (const name of ["zero.ts", "zero.wasm", "zero.wpkg", "zero.onnx", "zero.toml"])
    symlinkSync("/dev/zero", join(project, name));
  // A repository may come with such a link.
  mkdirSync(join(folder.path, "theirs"));
  symlinkSync("/dev/zero", join(folder.path, "theirs/wasmote.toml"));
});
afterAll(() => folder[Symbol.dispose]());

async function run(where: string, ...words: string[]) {
  const child = spawn(process.execPath, ["--max-old-space-size=512", program, ...words], {
    cwd: where,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let err = "";
  child.stdout.resume();
  child.stderr.on("data", (bytes: Buffer) => (err += bytes.toString()));
  const timer = setTimeout(() => child.kill("SIGKILL"), 100_000);
  const [code] = (await once(child, "close")) as [number | null];
  clearTimeout(timer);
  return { code, err };
}

describe.skipIf(process.platform === "win32")("a file without an end", () => {
  test.each([
    ["build", "zero.ts"],
    ["check", "zero.wasm"],
    ["run", "--samples", "/dev/zero"],
    ["push", "zero.wpkg", "--node", "coap://127.0.0.1:9"],
    ["package", "--class", "native", "--key", "/dev/zero"],
    ["keygen", "--import", "/dev/zero", "other.pem"],
    ["model", "zero.onnx"],
    ["gateway", "--listen", "0", "--config", "zero.toml"],
  ])("is one that is too long: %s %s", async (...words) => {
    const { code, err } = await run(project, ...words.filter((word) => word !== undefined));
    // A source is a file of the disk.
    expect(err).toMatch(
      /(?:has more than [\d.]+ MiB|zero\.\w+ is a device or a pipe, not a source)[^]*\n {2}what to do: /,
    );
    expect(err).not.toContain("fault of wasmote's");
    expect([1, 2, 3]).toContain(code);
  });

  test("is not read as a project's settings either", async () => {
    const { code, err } = await run(join(folder.path, "theirs"), "info");
    expect(err).toMatch(/wasmote\.toml has more than 16 MiB/);
    expect(code).toBe(2);
  });
});

describe.skipIf(process.platform === "win32")("a pipe", () => {
  const pipe = (name: string) => {
    expect(spawnSync("mkfifo", [join(project, name)]).status).toBe(0);
    return name;
  };

  test("that nobody writes to is left", async () => {
    const ended = await Promise.all([
      run(project, "run", "--samples", pipe("silent.csv")),
      run(project, "keygen", "--import", pipe("silent.pem"), "new.pem"),
    ]);
    for (const { code, err } of ended) {
      expect(err).toMatch(/silent\.\w+ says nothing for 10 s\n {2}what to do: /);
      expect([1, 2, 3]).toContain(code);
    }
  });

  test("is read to its end, however late that comes", async () => {
    copyFileSync(join(project, "samples.csv"), join(project, "kept.csv"));
    writeFileSync(
      join(project, "slowly.sh"),
      "head -c 20 kept.csv; sleep 1; tail -c +21 kept.csv\n",
    );
    const name = pipe("slow.csv");
    const writer = spawn("sh", ["-c", `sh slowly.sh > ${name}`], { cwd: project });
    const { code, err } = await run(project, "run", "--samples", name);
    expect(err).toBe("");
    expect(code).toBe(0);
    if (writer.exitCode === null) await once(writer, "close");
  });
});
