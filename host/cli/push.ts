// Builds, signs and installs on a node, and waits for the first output.
import { existsSync, readFileSync } from "node:fs";
import { basename, resolve } from "node:path";
import type { Node } from "../lib/node.ts";
import { openPackage } from "../lib/package.ts";
import { readFacts, type Facts } from "../lib/build/section.ts";
import {
  exitCode,
  print,
  progress,
  signingKey,
  VerbError,
  withNode,
  type NodeOptions,
} from "./context.ts";
import { newestPackage, nextSequence, sign } from "./package.ts";
import { hex, load, type Program } from "./program.ts";

/** What a push did. */
export interface Pushed {
  name: string;
  bytes: number;
  sequence: number;
  digest: string;
  /** Milliseconds from the command until the node ran the module. */
  installed: number;
  /** The first output of the new module, where one came in time. */
  first?: { path: string; value: number; after: number };
}

export interface PushSettings {
  /** When the command was given, in milliseconds since 1970. */
  began?: number;
  /** How long to wait for the first output, in milliseconds. */
  wait?: number;
}

/** Signs a program for a node, installs it, and waits for its first output. */
export async function push(
  node: Node,
  program: Program,
  keyFile: string | undefined,
  settings: PushSettings = {},
): Promise<Pushed> {
  const [info, app] = [await node.info(), await node.app()];
  const boardClass = String(info["class"]);
  const key = signingKey(keyFile);
  // An upload of this module that was cut off goes on with the package that it began with.
  const { digest: begun } = await node.staged();
  const { highest } = app;
  const half = begun === program.digest ? newestPackage(begun, { boardClass, highest }) : undefined;
  const bytes = half ?? sign(program, key, { sequence: nextSequence(highest), boardClass });
  return install(node, bytes, program.name, program.facts, settings);
}

/** Installs a package as it is. */
export async function install(
  node: Node,
  bytes: Uint8Array,
  name: string,
  facts: Facts,
  { began = Date.now(), wait = 10_000 }: PushSettings = {},
): Promise<Pushed> {
  const { sequence, digest } = openPackage(bytes).manifest;
  await node.push(bytes, { onProgress: progress(`pushing ${name}`) });
  const installed = Date.now() - began;
  const pushed = { name, bytes: bytes.length, sequence, digest: hex(digest), installed };
  if (wait === 0 || facts.outputs.length === 0) return pushed;
  // A module that waits for its first sample may have no output for long.
  // A timer of our own: on Node 20 the signal of AbortSignal.any() loses that of AbortSignal.timeout() to the garbage collector.
  const racing = new AbortController();
  const { signal } = racing;
  const timer = setTimeout(() => racing.abort(), wait);
  const firsts = facts.outputs.map(async ({ name: output }) => {
    for await (const { value, at } of node.observe(`outputs/${output}`, signal))
      return { path: `outputs/${output}`, value, after: at - began };
    throw new Error("no output");
  });
  const first = await Promise.any(firsts).catch(() => undefined);
  clearTimeout(timer);
  racing.abort();
  await Promise.allSettled(firsts);
  return first === undefined ? pushed : { ...pushed, first };
}

export function told({ name, bytes, sequence, installed, first }: Pushed): string {
  const output =
    first === undefined
      ? "no output yet"
      : `first output ${first.after} ms after the command: ${first.path} = ${first.value}`;
  return `${name}: ${bytes} bytes installed as ${sequence} in ${installed} ms; ${output}`;
}

export async function pushVerb(
  file: string | undefined,
  options: NodeOptions & { key?: string; wait: string | boolean },
): Promise<void> {
  // Since the command was given, not since this file was loaded.
  const began = Math.round(performance.timeOrigin);
  const seconds = options.wait === false ? 0 : Number(options.wait);
  if (!(seconds >= 0))
    throw new VerbError(`${options.wait} is no time`, "write: --wait 10", exitCode.usage);
  const settings = { began, wait: seconds * 1000 };
  const ready = file?.endsWith(".wpkg") ? readPackage(file) : await load(file);
  await withNode(options, async (node) => {
    const pushed =
      "bytes" in ready
        ? await install(node, ready.bytes, ready.name, ready.facts, settings)
        : await push(node, ready, options.key, settings);
    print(options.json, pushed, () => told(pushed));
  });
}

function readPackage(file: string): { bytes: Uint8Array; name: string; facts: Facts } {
  const path = resolve(file);
  if (!existsSync(path)) throw new VerbError(`there is no file ${path}`, "check the name");
  const bytes = new Uint8Array(readFileSync(path));
  try {
    const { module, manifest } = openPackage(bytes);
    let facts: Facts;
    try {
      facts = readFacts(module);
    } catch {
      // Whether it is a module, the node says.
      facts = readFacts(new Uint8Array(8));
    }
    return { bytes, name: manifest.name || basename(path, ".wpkg"), facts };
  } catch (error) {
    throw new VerbError(
      `${path}: ${(error as Error).message}`,
      "make one with `wasmote package`",
      exitCode.source,
    );
  }
}
