// Removes the package that runs.
import { print, withNode, type NodeOptions } from "./context.ts";

export async function removeVerb(options: NodeOptions): Promise<void> {
  await withNode(options, async (node) => {
    await node.remove();
    const app = await node.app();
    print(options.json, app, () => `the node runs ${app.name ?? "nothing"}`);
  });
}
