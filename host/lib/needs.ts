// What a module needs of a node, as its package says it.
import { readFacts, type Facts } from "./build/section.ts";
import { inspect } from "./engine.ts";
import type { Needs } from "./package.ts";

export function needsOf(module: Uint8Array, facts: Facts = readFacts(module)): Needs {
  const { footprint, table } = inspect(module);
  return {
    ram: footprint.total,
    table,
    // What a run takes, the samples tell and not the module; the node holds it to its own limit.
    fuel: 0,
    sensors: facts.sensors.length,
    outputs: facts.outputs.length,
  };
}
