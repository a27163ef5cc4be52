// Shows the log of the node.
import { print, untilInterrupted, withNode, type NodeOptions } from "./context.ts";

export async function logsVerb(options: NodeOptions & { follow?: boolean }): Promise<void> {
  await withNode(options, async (node) => {
    if (!options.follow) {
      for (const line of await node.log()) print(options.json, { line }, () => line);
      return;
    }
    // Each notification has the last lines: those that were seen are not shown again.
    const signal = untilInterrupted();
    let shown = new Set<string>();
    for await (const line of node.watchLog(signal)) {
      if (shown.has(line)) continue;
      shown = new Set([...shown, line].slice(-200));
      print(options.json, { line }, () => line);
    }
  });
}
