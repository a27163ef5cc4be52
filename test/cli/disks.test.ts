// Disks that are full: what a verb writes where the user said is there as a whole or not at all, and what was there before stays. Here a
// file may have no bytes (RLIMIT_FSIZE), which is what a full disk is to a program, and needs no rights.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { writeOutput } from "../../host/lib/state.ts";
import { newProject, program, wasmote } from "../harness/command.ts";
import { scratch } from "../harness/target.ts";

/** A verb where no file can become longer than nothing. */
async function full(folder: string, words: readonly string[]) {
  const script = `trap '' XFSZ; ulimit -f 0; exec "$@"`;
  const child = spawn("sh", ["-c", script, "sh", process.execPath, program, ...words], {
    cwd: folder,
    stdio: ["ignore", "ignore", "pipe"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let err = "";
  child.stderr.on("data", (text: Buffer) => (err += text.toString()));
  const [code] = (await once(child, "close")) as [number];
  return { code, err };
}

/** A folder that goes with the test. */
function place(): string {
  const made = scratch();
  onTestFinished(() => made[Symbol.dispose]());
  return made.path;
}

const verbs = [
  ["build", "-o", "result"],
  ["package", "--class", "stm32f407", "--sequence", "7", "-o", "result"],
  ["test", "--junit", "result"],
  ["provision", "--name", "wye", "result"],
] as const;

test("a full disk takes nobody's file: it is there as it was, or not at all", async () => {
  const folder = await newProject(place());
  const key = readFileSync(join(folder, ".wasmote/key.pem"));
  const result = join(folder, "result");
  for (const words of verbs) {
    // It works, and what it works with is at hand then.
    const worked = await wasmote(folder, ...words);
    expect(worked.code, `${words.join(" ")}: ${worked.err}`).toBe(0);
    expect(statSync(result).size).toBeGreaterThan(0);
    // One of its own kind: another's file is written over by no verb.
    const made = readFileSync(result, "latin1");
    for (const before of [made, undefined]) {
      if (before === undefined) rmSync(result);
      else writeFileSync(result, before, "latin1");
      const names = readdirSync(folder);
      // Over a file of somebody's own only by force, which is another test.
      const ran = await full(folder, [...words, "--force"]);
      expect(ran.code, words.join(" ")).not.toBe(0);
      expect(ran.err).toContain("what to do: ");
      // The test runner of Node.js, which writes a report of its own, ends with a stack.
      if (words[0] !== "test") expect(ran.err).not.toContain("    at ");
      const now = existsSync(result) ? readFileSync(result, "latin1") : undefined;
      expect(now, `${words.join(" ")}: ${ran.err}`).toBe(before);
      expect(readdirSync(folder)).toEqual(names);
    }
  }
  expect(readFileSync(join(folder, ".wasmote/key.pem"))).toEqual(key);
}, 240_000);

describe("what the user named is written", () => {
  const mode = (path: string) => statSync(path).mode & 0o777;

  test("as a whole, with the rights that it had", () => {
    const folder = place();
    const file = join(folder, "file");
    writeFileSync(file, "before", { mode: 0o640 });
    linkSync(file, join(folder, "other"));
    writeOutput(file, "after");
    expect([readFileSync(file, "utf8"), mode(file)]).toEqual(["after", 0o640]);
    // Another file took its place: who reads the old one reads it to its end.
    expect(readFileSync(join(folder, "other"), "utf8")).toBe("before");
    expect(readdirSync(folder).toSorted()).toEqual(["file", "other"]);
  });

  test("for nobody else, where it is a secret, whoever could read what was there", () => {
    const folder = place();
    const file = join(folder, "file");
    writeFileSync(file, "before", { mode: 0o644 });
    writeOutput(file, "secret", 0o600);
    expect([readFileSync(file, "utf8"), mode(file)]).toEqual(["secret", 0o600]);
    writeOutput(join(folder, "new"), "secret", 0o600);
    expect(mode(join(folder, "new"))).toBe(0o600);
  });

  test("through a link, and where that leads nowhere in its place", () => {
    const folder = place();
    mkdirSync(join(folder, "there"));
    const [file, link] = [join(folder, "there/file"), join(folder, "link")];
    writeFileSync(file, "before");
    symlinkSync("there/file", link);
    writeOutput(link, "after");
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(readFileSync(file, "utf8")).toBe("after");
    const nowhere = join(folder, "nowhere");
    symlinkSync("there/nothing", nowhere);
    writeOutput(nowhere, "text");
    expect(readFileSync(nowhere, "utf8")).toBe("text");
  });

  test("to what is no file, which stays what it is", async () => {
    writeOutput("/dev/null", "text");
    expect(statSync("/dev/null").isFile()).toBe(false);
    const pipe = join(place(), "pipe");
    expect(spawnSync("mkfifo", [pipe]).status).toBe(0);
    const reader = spawn("cat", [pipe], { stdio: ["ignore", "pipe", "inherit"] });
    onTestFinished(() => void reader.kill("SIGKILL"));
    const read = once(reader.stdout, "data");
    writeOutput(pipe, "through the pipe");
    expect(String((await read)[0])).toBe("through the pipe");
    expect(statSync(pipe).isFIFO()).toBe(true);
  });

  test("nowhere where there is no folder, and the error names the place", () => {
    const file = join(place(), "no/file");
    expect(() => writeOutput(file, "text")).toThrow("no/file");
  });
});
