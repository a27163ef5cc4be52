// Builds, signs and installs on a node, and waits for the first output.
import type { Node } from "../lib/node.ts";
import { print, progress, signingKey, withNode } from "./context.ts";
import { nextSequence, sign } from "./package.ts";
import { load, type Program } from "./program.ts";

/** What a push did. */
export interface Pushed {
  bytes: number;
  sequence: number;
  /** Milliseconds from the call until the node ran the module. */
  installed: number;
  /** The first output of the new module, where one came in time. */
  first?: { path: string; value: number; after: number };
}

/** Signs a program for a node, installs it, and waits for its first output. */
export async function push(
  node: Node,
  program: Program,
  keyFile: string | undefined,
  { began = Date.now(), wait = true } = {},
): Promise<Pushed> {
  const [info, app] = [await node.info(), await node.app()];
  const sequence = nextSequence(app.highest);
  const bytes = sign(program, signingKey(keyFile), {
    sequence,
    boardClass: String(info["class"]),
  });
  await node.push(bytes, { onProgress: progress(`pushing ${program.name}`) });
  const pushed: Pushed = { bytes: bytes.length, sequence, installed: Date.now() - began };
  if (!wait || program.facts.outputs.length === 0) return pushed;
  // A module that waits for its first sample may have no output for long.
  const patience = AbortSignal.timeout(3000);
  const racing = new AbortController();
  const signal = AbortSignal.any([patience, racing.signal]);
  const firsts = program.facts.outputs.map(async ({ name }) => {
    for await (const { value, at } of node.observe(`outputs/${name}`, signal))
      return { path: `outputs/${name}`, value, after: at - began };
    throw new Error("no output");
  });
  const first = await Promise.any(firsts).catch(() => undefined);
  racing.abort();
  await Promise.allSettled(firsts);
  return first === undefined ? pushed : { ...pushed, first };
}

export function told({ bytes, sequence, installed, first }: Pushed, name: string): string {
  const output =
    first === undefined
      ? "no output yet"
      : `first output after ${first.after} ms: ${first.path} = ${first.value}`;
  return `${name}: ${bytes} bytes installed as ${sequence} in ${installed} ms; ${output}`;
}

export async function pushVerb(
  file: string | undefined,
  options: { node?: string; key?: string; wait: boolean; json?: boolean },
): Promise<void> {
  const began = Date.now();
  const program = await load(file);
  await withNode(options.node, async (node) => {
    const pushed = await push(node, program, options.key, { began, wait: options.wait });
    print(options.json, pushed, () => told(pushed, program.name));
  });
}
