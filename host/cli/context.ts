// What every verb has: the project it is called in, the node it is for, and how it speaks to people and to programs.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { parse } from "smol-toml";
import { NodeError } from "../lib/errors.ts";
import { Node } from "../lib/node.ts";
import { generateKey, readKey, writeKey, type KeyPair } from "../lib/package.ts";

/** Exit codes, as `wasmote --help` lists them. */
export const exitCode = {
  failed: 1,
  usage: 2,
  source: 3,
  unreachable: 4,
  refused: 5,
  check: 6,
} as const;

/** An error that a verb reports itself: what was wrong, and what to do next. */
export class VerbError extends Error {
  override name = "VerbError";
  readonly code: number;
  readonly advice: string | undefined;
  constructor(message: string, advice?: string, code: number = exitCode.failed) {
    super(message);
    this.code = code;
    this.advice = advice;
  }
}

interface ProjectFile {
  main?: string;
  name?: string;
  version?: string;
  vendor?: string;
  class?: string;
  samples?: string;
  nodes?: Record<string, string>;
}

/** A project: the folder with wasmote.toml, or the one the verb was called in. */
export interface Project extends Required<Omit<ProjectFile, "nodes">> {
  folder: string;
  nodes: Record<string, string>;
}

export function project(): Project {
  let folder = process.cwd();
  while (!existsSync(join(folder, "wasmote.toml")) && dirname(folder) !== folder)
    folder = dirname(folder);
  const path = join(folder, "wasmote.toml");
  let file: ProjectFile = {};
  if (existsSync(path)) {
    try {
      file = parse(readFileSync(path, "utf8")) as ProjectFile;
    } catch (error) {
      throw new VerbError(
        `${path}: ${(error as Error).message}`,
        "correct the file; `wasmote new` writes an example",
        exitCode.usage,
      );
    }
    const words = Object.entries(file).filter(([key]) => key !== "nodes");
    const wrong = [...words, ...Object.entries(file.nodes ?? {})].find(
      ([, value]) => typeof value !== "string",
    );
    if (wrong !== undefined)
      throw new VerbError(
        `${path}: ${wrong[0]} is no text`,
        `write: ${wrong[0]} = "…"`,
        exitCode.usage,
      );
  } else folder = process.cwd();
  return {
    folder,
    main: file.main ?? "src/main.ts",
    name: file.name ?? "",
    version: file.version ?? "0.1.0",
    vendor: file.vendor ?? "",
    class: file.class ?? "",
    samples: file.samples ?? "",
    nodes: file.nodes ?? {},
  };
}

/** A file in the project's folder `.wasmote`, which holds what is made and remembered and is not for version control. */
export function stateFile(...names: string[]): string {
  const path = join(project().folder, ".wasmote", ...names);
  mkdirSync(dirname(path), { recursive: true });
  return path;
}

/** Where `wasmote emulate --name` keeps the address of a node, and the process that runs it. */
export function emulatedFile(name: string): string {
  return stateFile("emulated", `${name}.address`);
}

/** The address of a node that `wasmote emulate --name` runs just now. */
export function emulatedNode(name: string): string | undefined {
  const [place, process_] = readState("emulated", `${name}.address`)?.split("\n") ?? [];
  try {
    // Signal 0 asks whether the process is there; one that was killed left its file behind.
    if (process_ !== undefined) process.kill(Number(process_), 0);
  } catch {
    return undefined;
  }
  return place;
}

export function readState(...names: string[]): string | undefined {
  const path = join(project().folder, ".wasmote", ...names);
  return existsSync(path) ? readFileSync(path, "utf8").trim() : undefined;
}

/** The address of the node that is meant: the option, WASMOTE_NODE, or what `wasmote use` remembered. */
export function address(option: string | undefined): string {
  const given = option ?? process.env["WASMOTE_NODE"] ?? readState("node");
  if (given === undefined) {
    throw new VerbError(
      "no node was named",
      "add --node coap://192.168.1.20 or --node serial:/dev/ttyACM0, or choose one for good with `wasmote use`",
      exitCode.usage,
    );
  }
  if (/^[a-z]+:/.test(given)) return given;
  const named = project().nodes[given] ?? emulatedNode(given);
  if (named === undefined) {
    const names = Object.keys(project().nodes).join(", ") || "none";
    throw new VerbError(
      `there is no node ${given} in wasmote.toml; there are: ${names}`,
      "name it there under [nodes], or give its address",
      exitCode.usage,
    );
  }
  return named;
}

/** What every verb that talks to a node takes. */
export interface NodeOptions {
  node?: string;
  timeout?: string;
  json?: boolean;
}

/** Runs with a node, and closes the link whatever happens. */
export async function withNode<T>(
  options: NodeOptions,
  work: (node: Node) => Promise<T>,
): Promise<T> {
  const seconds = Number(options.timeout ?? 30);
  if (!(seconds > 0))
    throw new VerbError(
      `${options.timeout} is no time-out`,
      "write seconds: --timeout 10",
      exitCode.usage,
    );
  const place = address(options.node);
  await using node = await Node.connect(place, { patience: seconds * 1000 });
  try {
    const result = await work(node);
    heard(place);
    return result;
  } catch (error) {
    // A node that refuses is one that answers.
    if (error instanceof NodeError && ["answer", "refused"].includes(error.code)) heard(place);
    throw error;
  }
}

/** Remembers that a node answered, in a project. */
export function heard(place: string, at = new Date()): void {
  if (!existsSync(join(project().folder, ".wasmote"))) return;
  const known = { ...lastSeen(), [place]: at.toISOString() };
  writeFileSync(stateFile("seen.json"), `${JSON.stringify(known)}\n`);
}

/** When a node was last heard of, by its address. */
export function lastSeen(): Record<string, string> {
  try {
    return JSON.parse(readState("seen.json") ?? "{}") as Record<string, string>;
  } catch {
    // Written by halves when the power went.
    return {};
  }
}

/** The key that packages are signed with: the option's file, or the project's. */
export function signingKey(path: string | undefined): KeyPair {
  const file = path === undefined ? join(project().folder, ".wasmote/key.pem") : resolve(path);
  if (!existsSync(file)) {
    throw new VerbError(
      `there is no key ${file}`,
      "make one with `wasmote keygen`, and give its public half to the node with `wasmote provision`",
    );
  }
  try {
    return readKey(readFileSync(file, "utf8"));
  } catch (error) {
    throw new VerbError(
      `${file} is no key for packages: ${(error as Error).message}`,
      "make one with `wasmote keygen`",
    );
  }
}

export function writeNewKey(path: string): KeyPair {
  const key = generateKey();
  writeFileSync(path, writeKey(key), { mode: 0o600, flag: "wx" });
  return key;
}

// ---- output -------------------------------------------------------------------------------------------------------------

/** `limit=150`, as many as there are. */
export function assignments(words: readonly string[], example: string): [string, number][] {
  return words.map((text) => {
    const [name = "", value = ""] = text.split("=");
    if (name === "" || value.trim() === "" || Number.isNaN(Number(value)))
      throw new VerbError(`${text} is no assignment`, `write: ${example}`, exitCode.usage);
    return [name, Number(value)];
  });
}

/** Text in a colour, on a terminal alone (and not where NO_COLOR is set, https://no-color.org). */
export function paint(colour: "red" | "green" | "yellow" | "dim", text: string): string {
  if (!process.stderr.isTTY || process.env["NO_COLOR"]) return text;
  const code = { red: 31, green: 32, yellow: 33, dim: 2 }[colour];
  return `\x1b[${code}m${text}\x1b[0m`;
}

/** `--json` prints one JSON document a line on standard output; everything for people is left out. */
export function print(json: boolean | undefined, value: unknown, text: () => string): void {
  process.stdout.write(json ? `${JSON.stringify(value)}\n` : `${text()}\n`);
}

/** Progress of what may take over a second: on a terminal alone. */
export function progress(title: string): (done: number, total: number) => void {
  if (!process.stderr.isTTY) return () => {};
  const began = Date.now();
  return (done, total) => {
    if (done < total && Date.now() - began < 300) return;
    const width = 30;
    const full = Math.round((width * done) / Math.max(1, total));
    const bar = "#".repeat(full) + "-".repeat(width - full);
    process.stderr.write(`\r\x1b[K${title} [${bar}] ${done}/${total}`);
    if (done >= total) process.stderr.write("\r\x1b[K");
  };
}

/** Shows that something is under way, with the seconds it has taken: on a terminal alone, and from half a second on. */
export async function waiting<T>(title: string, work: Promise<T>): Promise<T> {
  if (!process.stderr.isTTY) return await work;
  const began = Date.now();
  const timer = setInterval(() => {
    const seconds = (Date.now() - began) / 1000;
    if (seconds > 0.5) process.stderr.write(`\r\x1b[K${title} … ${seconds.toFixed(0)} s`);
  }, 200);
  try {
    return await work;
  } finally {
    clearInterval(timer);
    process.stderr.write("\r\x1b[K");
  }
}

/** Names and values under each other. */
export function table(rows: readonly (readonly [string, string | number])[]): string {
  const width = Math.max(0, ...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join("\n");
}

/** A signal that ends with Ctrl-C, so that what observes can say goodbye to the node. */
export function untilInterrupted(): AbortSignal {
  const controller = new AbortController();
  process.once("SIGINT", () => controller.abort());
  process.once("SIGTERM", () => controller.abort());
  return controller.signal;
}
