// Shows what a node says of itself, of its package and of its runs.
import { print, table, withNode } from "./context.ts";
import { placeByPackage } from "./program.ts";

export async function infoVerb(options: { node?: string; json?: boolean }): Promise<void> {
  await withNode(options.node, async (node) => {
    const [info, app, stats] = [await node.info(), await node.app(), await node.stats()];
    const { event } = app;
    // The package that trapped is no longer the one that runs.
    const place =
      event?.offset === undefined ? undefined : placeByPackage(event.sequence, event.offset);
    print(options.json, { node: info, app, stats, ...(place ? { place } : {}) }, () => {
      const rows = (record: object) =>
        Object.entries(record).map(([key, value]): [string, string] => [
          key,
          typeof value === "object" ? JSON.stringify(value) : String(value),
        ]);
      const where = place ? `\n  trap at ${place.file}:${place.line}:${place.column}` : "";
      return `${table(rows(info))}\n\napp\n${table(rows(app))}${where}\n\nstats\n${table(rows(stats))}`;
    });
  });
}
