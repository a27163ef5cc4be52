// Shows the log of the node.
import { print, untilInterrupted, withNode } from "./context.ts";

export async function logsVerb(options: {
  node?: string;
  follow?: boolean;
  json?: boolean;
}): Promise<void> {
  await withNode(options.node, async (node) => {
    if (!options.follow) {
      for (const line of await node.log()) print(options.json, { line }, () => line);
      return;
    }
    // Each notification has the last lines: those that were seen are not shown again.
    const signal = untilInterrupted();
    let shown = new Set<string>();
    try {
      for await (const line of node.watchLog(signal)) {
        if (shown.has(line)) continue;
        shown = new Set([...shown, line].slice(-200));
        print(options.json, { line }, () => line);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  });
}
