// An interactive shell in a real pseudo-terminal with job control, typed into as a person does: a line at a time, and the next when the
// screen shows what the last one did.
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { afterEach, expect } from "vitest";
import { command, root } from "../../host/setup.mjs";

/** Why there is no such terminal here. */
export function missingTerminal(): string | undefined {
  if (command("bash") === undefined) return "there is no bash";
  if (spawnSync("python3", ["-c", "import pty"]).status !== 0)
    return "there is no python3 with pty";
  return undefined;
}

const running = new Set<ChildProcess>();
afterEach(() => {
  for (const child of running) child.kill("SIGKILL");
});

export interface Terminal extends AsyncDisposable {
  /** All that was on the screen so far, without what moves the cursor. */
  readonly screen: () => string;
  /** All bytes that went to the screen. */
  readonly raw: () => string;
  /** Types, as it is: `\x03` is Ctrl-C, `\x1a` Ctrl-Z. */
  readonly type: (text: string) => void;
  /** Resolves once the screen shows this, behind what it showed when the last line was typed. */
  readonly shows: (text: string | RegExp) => Promise<void>;
  /** Types a command, waits for its end; its exit code, and what it showed. */
  readonly run: (line: string) => Promise<{ code: number; out: string }>;
}

/** Puts a program on a PATH of its own: `wasmote`, as `npm link` would. */
export function commands(folder: string, more: Record<string, string> = {}): string {
  const bin = join(folder, "bin");
  mkdirSync(bin, { recursive: true });
  const wasmote = `exec '${process.execPath}' '${join(root, "dist/wasmote.js")}' "$@"`;
  for (const [name, text] of Object.entries({ wasmote, ...more })) {
    writeFileSync(join(bin, name), `#!/bin/sh\n${text}\n`);
    chmodSync(join(bin, name), 0o755);
  }
  return `${bin}${delimiter}${process.env["PATH"] ?? ""}`;
}

/** Opens a shell in a folder. */
export async function openTerminal(
  folder: string,
  {
    columns = 100,
    env = {},
    programs = {},
  }: { columns?: number; env?: Record<string, string>; programs?: Record<string, string> } = {},
): Promise<Terminal> {
  const script = join(root, "test/harness/in-terminal.py");
  const child = spawn("python3", [script, String(columns), "bash", "--norc", "--noprofile", "-i"], {
    cwd: folder,
    env: {
      ...process.env,
      PATH: commands(folder, programs),
      TERM: "xterm",
      PS1: "$ ",
      HISTFILE: "",
      ...env,
    },
    stdio: ["pipe", "pipe", "pipe"],
  });
  running.add(child);
  let raw = "";
  let from = 0;
  child.stdout.on("data", (bytes: Buffer) => (raw += bytes.toString()));
  child.stderr.on("data", (bytes: Buffer) => (raw += bytes.toString()));
  child.stdin.on("error", () => {});
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const screen = () => stripVTControlCharacters(raw).replaceAll("\r", "");
  const type = (text: string) => {
    from = screen().length;
    child.stdin.write(text);
  };
  const shows = async (text: string | RegExp) => {
    await expect.poll(() => screen().slice(from), { timeout: 300_000 }).toMatch(text);
  };
  let count = 0;
  const run = async (line: string) => {
    const mark = `done-${++count}`;
    // The mark is put together by the shell, so that its echo is not taken for it.
    type(`${line}\necho "do""ne-${count}=$?"\n`);
    await shows(new RegExp(`${mark}=\\d+\n`));
    const shown = screen().slice(from);
    const code = Number(new RegExp(`${mark}=(\\d+)`).exec(shown)?.[1]);
    return { code, out: shown };
  };
  const terminal: Terminal = {
    screen,
    raw: () => raw,
    type,
    shows,
    run,
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
      await ended;
      clearTimeout(timer);
      running.delete(child);
    },
  };
  await run("set +o histexpand");
  return terminal;
}
