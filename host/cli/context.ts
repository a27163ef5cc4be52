// What every verb has: the project it is called in, the node it is for, and how it speaks to people and to programs.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { parse } from "smol-toml";
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
  } else folder = process.cwd();
  return {
    folder,
    main: file.main ?? "src/main.ts",
    name: file.name ?? "",
    version: file.version ?? "0.1.0",
    vendor: file.vendor ?? "",
    class: file.class ?? "",
    nodes: file.nodes ?? {},
  };
}

/** A file in the project's folder `.wasmote`, which holds what is made and remembered and is not for version control. */
export function stateFile(...names: string[]): string {
  const path = join(project().folder, ".wasmote", ...names);
  mkdirSync(dirname(path), { recursive: true });
  return path;
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
  const named = project().nodes[given];
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

/** Runs with a node, and closes the link whatever happens. */
export async function withNode<T>(
  option: string | undefined,
  work: (node: Node) => Promise<T>,
): Promise<T> {
  await using node = await Node.connect(address(option));
  return await work(node);
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

/** Names and values under each other. */
export function table(rows: readonly (readonly [string, string | number])[]): string {
  const width = Math.max(0, ...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join("\n");
}

const bars = "▁▂▃▄▅▆▇█";

/** A line of values as a chart of one row. */
export function spark(values: readonly number[]): string {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const step = (high - low) / (bars.length - 1) || 1;
  return values.map((value) => bars[Math.round((value - low) / step)] ?? " ").join("");
}

/** A signal that ends with Ctrl-C, so that what observes can say goodbye to the node. */
export function untilInterrupted(): AbortSignal {
  const controller = new AbortController();
  process.once("SIGINT", () => controller.abort());
  process.once("SIGTERM", () => controller.abort());
  return controller.signal;
}
