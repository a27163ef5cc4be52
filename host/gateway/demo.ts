// Nodes for the demonstration: three on this computer, on which a winter of the river Wye passes, a day every half second.
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readRiver } from "../demo/river.ts";
import { build } from "../lib/build/build.ts";
import { emulate, type Emulated } from "../lib/emulate.ts";
import type { Context } from "../lib/coap/oscore.ts";
import { needsOf } from "../lib/needs.ts";
import { encodeKeys, passingContext } from "../lib/keys.ts";
import { Node } from "../lib/node.ts";
import { generateKey, makeFlash, makePackage } from "../lib/package.ts";
import { packageRoot } from "../lib/root.ts";
import type { Gateway } from "./gateway.ts";

const names = ["wye", "usk", "severn"];
const step = 500;

const flashOf = (folder: string, name: string) => join(folder, `${name}-${process.pid}.flash`);

export interface Demo {
  stop(): Promise<void>;
}

/** Starts the nodes, installs the example that warns of floods, and feeds their sensors. Given up, it leaves nothing that runs. */
export async function startDemo(
  gateway: Gateway,
  folder: string,
  signal?: AbortSignal,
): Promise<Demo> {
  const days = readRiver();
  const nodes: Emulated[] = [];
  // Their flash is of no use to anybody: the next demonstration makes its own.
  const end = async () => {
    await Promise.all(nodes.map((node) => node.stop()));
    for (const name of names) rmSync(flashOf(folder, name), { force: true });
  };
  try {
    await prepare(gateway, folder, nodes, signal);
  } catch (error) {
    await end().catch(() => {});
    throw error;
  }
  let day = 0;
  const timer = setInterval(() => {
    nodes.forEach((node, index) => {
      const today = days[(day + index * 20) % days.length];
      if (today !== undefined) node.feed("level", today.level);
    });
    day++;
  }, step);
  return {
    stop: async () => {
      clearInterval(timer);
      await end();
    },
  };
}

async function prepare(
  gateway: Gateway,
  folder: string,
  nodes: Emulated[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const key = generateKey();
  const contexts: Context[] = [];
  for (const name of names) {
    signal?.throwIfAborted();
    const { key: own, context } = passingContext();
    contexts.push(context);
    const flash = flashOf(folder, name);
    writeFileSync(flash, makeFlash({ name, keys: [key.publicKey], contexts: encodeKeys([own]) }));
    const node = await emulate({ machine: "native", flash, name });
    nodes.push(node);
    gateway.add(name, node.address, "demo", context);
  }
  const source = join(packageRoot, "assembly/examples/flood-alarm.ts");
  const { module } = await build(source);
  signal?.throwIfAborted();
  const needs = needsOf(module);
  for (const [at, { address }] of nodes.entries()) {
    await using node = await Node.connect(address, { context: contexts[at] });
    const { class: boardClass } = await node.info();
    await node.push(
      makePackage(
        module,
        {
          vendor: "",
          class: boardClass,
          sequence: 1,
          name: "flood-alarm",
          version: "1.0.0",
          needs,
        },
        key,
      ),
    );
  }
}
