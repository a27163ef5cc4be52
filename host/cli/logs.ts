// Shows the log of the node, a module's lines with the line of the source that says them.
import { keptPackage } from "../lib/kept.ts";
import { firstRunning, LogReader, shownLine } from "../lib/log.ts";
import { print, project, withNode, type NodeOptions } from "./context.ts";

export async function logsVerb(options: NodeOptions & { follow?: boolean }): Promise<void> {
  await withNode(options, async (node, { open }) => {
    const kept = (sequence: number) => keptPackage(project(), sequence);
    const lines = await node.log();
    // Whose right does not go so far sees the lines all the same.
    const running = await node.app().then(
      ({ sequence }) => sequence,
      () => undefined,
    );
    const reader = new LogReader(kept, firstRunning(lines, running));
    const show = (text: string) => {
      const line = reader.read(text);
      print(options.json, line, () => shownLine(line));
    };
    for (const line of lines) show(line);
    if (!options.follow) return;
    // Each notification has the last lines: those that were seen are not shown again.
    let shown = new Set(lines);
    for await (const line of node.watchLog(open())) {
      if (shown.has(line)) continue;
      shown = new Set([...shown, line].slice(-200));
      show(line);
    }
  });
}
