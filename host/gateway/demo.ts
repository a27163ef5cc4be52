// Nodes for the demonstration: three on this computer, on which a winter of the river Wye passes, a day every half second.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { readRiver } from "../demo/river.ts";
import { build } from "../lib/build/build.ts";
import { emulate, type Emulated } from "../lib/emulate.ts";
import type { Context } from "../lib/coap/oscore.ts";
import { inspect } from "../lib/engine.ts";
import { encodeKeys, passingContext } from "../lib/keys.ts";
import { Node } from "../lib/node.ts";
import { generateKey, makeFlash, makePackage } from "../lib/package.ts";
import { readFacts } from "../lib/build/section.ts";
import { packageRoot } from "../lib/root.ts";
import type { Gateway } from "./gateway.ts";

const names = ["wye", "usk", "severn"];
const step = 500;

export interface Demo {
  stop(): Promise<void>;
}

/** Starts the nodes, installs the example that warns of floods, and feeds their sensors. */
export async function startDemo(gateway: Gateway, folder: string): Promise<Demo> {
  const key = generateKey();
  const days = readRiver();
  const nodes: Emulated[] = [];
  const contexts: Context[] = [];
  for (const name of names) {
    const { key: own, context } = passingContext();
    contexts.push(context);
    const flash = join(folder, `${name}-${process.pid}.flash`);
    writeFileSync(flash, makeFlash({ name, keys: [key.publicKey], contexts: encodeKeys([own]) }));
    const node = await emulate({ machine: "native", flash, name });
    nodes.push(node);
    gateway.add(name, node.address, "demo", context);
  }
  const source = join(packageRoot, "assembly/examples/flood-alarm.ts");
  const { module } = await build(source);
  const facts = readFacts(module);
  const { footprint, table } = inspect(module);
  for (const [at, { address }] of nodes.entries()) {
    await using node = await Node.connect(address, { context: contexts[at] });
    const { class: boardClass } = await node.info();
    const needs = {
      ram: footprint.total,
      table,
      fuel: 0,
      sensors: facts.sensors.length,
      outputs: facts.outputs.length,
    };
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
      await Promise.all(nodes.map((node) => node.stop()));
    },
  };
}
