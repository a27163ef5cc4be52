// Shows what a node says of itself, of its package and of its runs.
import type { AppState } from "../lib/node.ts";
import { print, table, withNode, type NodeOptions } from "./context.ts";
import { describeTrap, keptPackage, sourcePlace } from "./program.ts";

export async function infoVerb(options: NodeOptions): Promise<void> {
  await withNode(options, async (node) => {
    const [info, app, stats] = [await node.info(), await node.app(), await node.stats()];
    // The package that trapped is no longer the one that runs.
    const { event } = app;
    const place =
      event?.offset === undefined
        ? undefined
        : sourcePlace(keptPackage(event.sequence), event.offset);
    print(options.json, { node: info, app, stats, ...(place ? { place } : {}) }, () => {
      const rows = (record: object) =>
        table(
          Object.entries(record).map(([key, value]): [string, string] => [
            key,
            typeof value === "object" ? JSON.stringify(value) : String(value),
          ]),
        );
      const happened = describeEvent(app);
      const trap = happened === undefined ? "" : `\n\n${happened}`;
      return `${rows(info)}\n\napp\n${rows(app)}${trap}\n\nstats\n${rows(stats)}`;
    });
  });
}

/** What happened to the package before the one that runs, with the line of a trap. */
export function describeEvent({ event }: AppState): string | undefined {
  if (event === undefined) return undefined;
  const { what, sequence, trap, offset, backtrace = [] } = event;
  const head = `package ${sequence}: ${what}`;
  if (what !== "trap" && what !== "fuel") return head;
  // The first of the calls is where it happened.
  const offsets = offset === undefined ? backtrace : [offset, ...backtrace.slice(1)];
  return `${head}\n${describeTrap(trap ?? what, keptPackage(sequence), offsets)}`;
}
