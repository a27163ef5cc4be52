// A module that counts what it is given, and whether it was given all of it.
import type { Node } from "../../host/lib/node.ts";

/** Counts the samples of a sensor, and its ticks of 100 ms. */
export const counting = (
  sensor: string,
): string => `import { every, output, sensor } from "wasmote";
const fed = sensor("${sensor}");
const samples = output("samples", "");
const ticks = output("ticks", "");
let sampled = 0;
let ticked = 0;
fed.onSample(() => {
  sampled++;
  samples.publish(<f32>sampled);
});
every(100, () => {
  ticked++;
  ticks.publish(<f32>ticked);
});
`;

/** What a module that counts has counted so far. */
export const counted = async (node: Node, what: "samples" | "ticks"): Promise<number> =>
  Number(await node.get(`outputs/${what}`));

/**
 * From now on until it is asked: ticks of the module, and those that were due by the node's own time at least. What goes by between two
 * reads is no lost tick, however long it is on a busy machine.
 */
export async function ticking(node: Node): Promise<() => Promise<{ ticks: number; due: number }>> {
  const uptime = async () => Number((await node.info()).uptime);
  const ticked = await counted(node, "ticks");
  const began = await uptime();
  return async () => {
    const ended = await uptime();
    return { ticks: (await counted(node, "ticks")) - ticked, due: (ended - began) / 100 };
  };
}
