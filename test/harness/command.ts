// The command line as people use it: the bundle in dist/, in a folder of its own.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { afterEach, expect } from "vitest";
import { root } from "../../host/setup.mjs";

export const program = join(root, "dist/wasmote.js");

export interface Ran {
  code: number | null;
  out: string;
  err: string;
}

const running = new Set<ReturnType<typeof spawn>>();
afterEach(() => {
  for (const child of running) child.kill("SIGKILL");
});

/** Starts a verb that goes on, such as `watch`; it is ended with the test. */
export function begin(folder: string, words: string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [program, ...words], {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  running.add(child);
  const ran: Ran = { code: null, out: "", err: "" };
  child.stdout.on("data", (text: Buffer) => (ran.out += text.toString()));
  child.stderr.on("data", (text: Buffer) => (ran.err += text.toString()));
  child.stdin.on("error", () => {});
  const ended = once(child, "close").then(([code]) => {
    running.delete(child);
    ran.code = code as number | null;
    return ran;
  });
  /** Resolves once it has written something. */
  const shows = (text: string | RegExp) =>
    expect.poll(() => ran.out + ran.err, { timeout: 90_000 }).toMatch(text);
  return { child, ran, ended, shows };
}

/** Runs a verb to its end, in an environment that has `env` too. */
export function wasmoteIn(
  folder: string,
  env: Record<string, string>,
  ...words: string[]
): Promise<Ran> {
  const { child, ended } = begin(folder, words, env);
  child.stdin.end();
  return ended;
}

/** Runs a verb to its end. */
export function wasmote(folder: string, ...words: string[]): Promise<Ran> {
  return wasmoteIn(folder, {}, ...words);
}

/** What a verb printed as JSON; it has to have worked. */
export async function wasmoteJson<T = Record<string, unknown>>(
  folder: string,
  ...words: string[]
): Promise<T> {
  const ran = await wasmote(folder, ...words, "--json");
  expect(ran.code, ran.err + ran.out).toBe(0);
  return JSON.parse(ran.out) as T;
}

/** A project made by `new`. */
export async function newProject(folder: string): Promise<string> {
  expect(await wasmote(folder, "new", "river")).toMatchObject({ code: 0, err: "" });
  return join(folder, "river");
}
