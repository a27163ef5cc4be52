// Programs that the benchmark `gateway` starts: each says a line when it is ready, and ends with its standard input or by its id.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createSocket } from "node:dgram";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { root } from "../../../host/setup.mjs";

/** What the gateway's process says of itself. */
export interface State {
  /** Bytes resident. */
  rss: number;
  /** Milliseconds of processor time since it began. */
  cpu: number;
  /** Values that came in from nodes, that are in SQLite, and that the history gave up. */
  values: number;
  written: number;
  lost: number;
  /** Nodes that gave a value. */
  heard: number;
  /** Values left out for slow viewers. */
  dropped: number;
  /** Milliseconds that the loop was late, since the last question. */
  late: { p99: number; most: number };
}

export interface Program extends AsyncDisposable {
  readonly child: ChildProcess;
  /** The next line it says. */
  line(): Promise<string>;
}

export function start(program: string, words: readonly string[], cwd: string = root): Program {
  const child = spawn(program, words, {
    stdio: ["pipe", "pipe", "inherit"],
    cwd,
  });
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const exit = once(child, "exit");
  return {
    child,
    line: async () => {
      const { value, done } = await lines.next();
      if (done) throw new Error(`${program} ended`);
      return value;
    },
    [Symbol.asyncDispose]: async () => {
      child.stdin?.end();
      const timer = setTimeout(() => child.kill("SIGKILL"), 20_000);
      await exit;
      clearTimeout(timer);
    },
  };
}

export interface RunningGateway extends AsyncDisposable {
  readonly url: string;
  readonly token: string;
  readonly pid: number;
  state(): Promise<State>;
}

export async function startGateway(nodes: Record<string, string> = {}): Promise<RunningGateway> {
  const folder = mkdtempSync(join(tmpdir(), "wasmote-bench-"));
  const named = join(folder, "nodes.json");
  writeFileSync(named, JSON.stringify(nodes));
  const own = join(import.meta.dirname, "process.mjs");
  const program = start(process.execPath, [own, folder, named]);
  const { url, token } = JSON.parse(await program.line()) as { url: string; token: string };
  return {
    url,
    token,
    pid: program.child.pid ?? 0,
    state: async () => {
      program.child.stdin!.write("\n");
      return JSON.parse(await program.line()) as State;
    },
    [Symbol.asyncDispose]: async () => {
      await program[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A UDP port that is free just now. */
export async function freePort(): Promise<number> {
  const socket = createSocket("udp4").bind(0, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address();
  await new Promise<void>((resolve) => socket.close(() => resolve()));
  return port;
}

/** Milliseconds of processor time that a process has had (Linux: proc(5)). */
export function processorTime(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /s, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** Bytes resident of a process (Linux: proc(5)). */
export function residentBytes(pid: number): number {
  const found = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(found?.[1] ?? Number.NaN) * 1024;
}
