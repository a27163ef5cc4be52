// From a program to a node that runs it: sign for the node's class, upload, wait for the first output.
import { needsOf } from "./needs.ts";
import { hex, keepPackage, packageOf } from "./kept.ts";
import type { Node, Reading, Tier } from "./node.ts";
import { makePackage, openPackage, type KeyPair } from "./package.ts";
import type { Program } from "./program.ts";
import type { Project } from "./project.ts";
import { readFacts, type Facts } from "./build/section.ts";
import { nextSequence, signedSequence, takeSequence } from "./sequence.ts";

/** What an installation did. */
export interface Installed {
  name: string;
  /** Bytes of the package; 0 where nothing was sent. */
  bytes: number;
  sequence: number;
  digest: string;
  /** Milliseconds from the command until the node ran the module. */
  installed: number;
  /** Whether the node runs this very module already, so that nothing was sent. */
  unchanged?: true;
  /** The first output of the new module, where one came in time. */
  first?: { path: string; value: number; text?: string; after: number };
}

export interface InstallOptions {
  /** When the command was given, in milliseconds since 1970. */
  began?: number;
  /** How long to wait for the first output, in milliseconds; 0 waits for none. */
  wait?: number;
  /** Sends a module that the node runs already once more. */
  again?: boolean;
  /** The package's sequence number, instead of the next one. */
  sequence?: number | undefined;
  /** Begins the node's numbers anew, in its next era: the way out when they are used up. */
  restart?: boolean;
  /** What is to execute this package and those that follow; as the node has it where this is not given. */
  tier?: Tier;
  onProgress?: (sent: number, total: number) => void;
  /** For a link that others use too: see PushOptions. */
  pace?: (bytes: number) => Promise<void>;
  blockSize?: number;
  signal?: AbortSignal | undefined;
}

/** Signs a program for a class of boards, with the needs that the engine says it has, and keeps the package. */
export function signProgram(
  project: Project,
  program: Program,
  key: KeyPair,
  { sequence, boardClass, era = 0 }: { sequence: number; boardClass: string; era?: number },
): Uint8Array {
  const { module, facts, name, digest } = program;
  const { vendor, version } = project;
  const needs = needsOf(module, facts);
  const inEra = era === 0 ? {} : { era };
  const about = { vendor, class: boardClass, sequence, name, version, needs, ...inEra };
  const bytes = makePackage(module, about, key);
  keepPackage(project, sequence, digest, bytes);
  return bytes;
}

/** Signs a program for a node, installs it, and waits for its first output. A node that runs it already is left as it is. */
export async function installProgram(
  node: Node,
  project: Project,
  program: Program,
  key: KeyPair,
  options: InstallOptions = {},
): Promise<Installed> {
  const { began = Date.now(), again = false, signal } = options;
  const [{ class: boardClass }, app] = [await node.info(signal), await node.app(signal)];
  const { digest, name } = program;
  // Also where it runs already.
  if (options.tier !== undefined) await node.setTier(options.tier, signal);
  const runs = app.state !== "empty" && app.digest === digest;
  const chosen = options.sequence !== undefined || options.restart === true;
  if (runs && !again && !chosen)
    return {
      name,
      bytes: 0,
      sequence: app.sequence ?? 0,
      digest,
      installed: Date.now() - began,
      unchanged: true,
    };
  // An upload of this module that was cut off goes on with the package that it began with.
  const { digest: begun } = await node.staged(signal);
  const restart = options.restart === true;
  const era = (app.era ?? 0) + (restart ? 1 : 0);
  const last = signedSequence(project, era);
  const half =
    begun === digest && last > app.highest && !chosen
      ? packageOf(project, last, { digest, boardClass, era, key })
      : undefined;
  const number = () =>
    options.sequence === undefined
      ? nextSequence(project, { highest: restart ? 0 : app.highest, era })
      : takeSequence(project, options.sequence, { era, always: true });
  const bytes = half ?? signProgram(project, program, key, { sequence: number(), boardClass, era });
  const { tier: _, ...rest } = options;
  return installPackage(node, bytes, { ...rest, began });
}

/** Installs a package as it is: somebody made it on purpose, so it is sent whatever runs. */
export async function installPackage(
  node: Node,
  bytes: Uint8Array,
  options: InstallOptions = {},
): Promise<Installed> {
  const { began = Date.now(), wait = 10_000, signal, onProgress, pace, blockSize } = options;
  const { manifest, module } = openPackage(bytes);
  const { sequence, name } = manifest;
  const digest = hex(manifest.digest);
  if (options.tier !== undefined) await node.setTier(options.tier, signal);
  await node.push(bytes, {
    signal,
    ...(onProgress ? { onProgress } : {}),
    ...(pace ? { pace } : {}),
    ...(blockSize === undefined ? {} : { blockSize }),
  });
  const installed = Date.now() - began;
  const done: Installed = { name, bytes: bytes.length, sequence, digest, installed };
  const { outputs } = factsOf(module);
  if (wait === 0 || outputs.length === 0) return done;
  const first = await firstOutput(node, outputs, wait, signal);
  return first === undefined
    ? done
    : { ...done, first: { ...first.reading, path: first.path, after: first.at - began } };
}

/** Whether a package has a module, the node says. */
function factsOf(module: Uint8Array): Facts {
  try {
    return readFacts(module);
  } catch {
    return readFacts(new Uint8Array(8));
  }
}

/** The first value of any of these outputs; a module that waits for its first sample may have none for long. */
async function firstOutput(
  node: Node,
  outputs: Facts["outputs"],
  wait: number,
  signal: AbortSignal | undefined,
): Promise<{ path: string; reading: Omit<Reading, "at">; at: number } | undefined> {
  // A timer of our own: on Node 20 the signal of AbortSignal.any() loses that of AbortSignal.timeout() to the garbage collector.
  const racing = new AbortController();
  const stop = () => racing.abort();
  const timer = setTimeout(stop, wait);
  signal?.addEventListener("abort", stop);
  const firsts = outputs.map(async ({ name }) => {
    const path = `outputs/${name}`;
    for await (const { at, ...reading } of node.observe(path, racing.signal))
      return { path, reading, at };
    throw new Error("no output");
  });
  const first = await Promise.any(firsts).catch(() => undefined);
  clearTimeout(timer);
  signal?.removeEventListener("abort", stop);
  stop();
  await Promise.allSettled(firsts);
  return first;
}
