// Shows the log of the node.
import { print, withNode, type NodeOptions } from "./context.ts";

export async function logsVerb(options: NodeOptions & { follow?: boolean }): Promise<void> {
  await withNode(options, async (node, { open }) => {
    if (!options.follow) {
      for (const line of await node.log()) print(options.json, { line }, () => line);
      return;
    }
    // Each notification has the last lines: those that were seen are not shown again.
    let shown = new Set<string>();
    for await (const line of node.watchLog(open())) {
      if (shown.has(line)) continue;
      shown = new Set([...shown, line].slice(-200));
      print(options.json, { line }, () => line);
    }
  });
}
