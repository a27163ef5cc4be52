// Removes the package that runs.
import { print, withNode } from "./context.ts";

export async function removeVerb(options: { node?: string; json?: boolean }): Promise<void> {
  await withNode(options.node, async (node) => {
    await node.remove();
    const app = await node.app();
    print(options.json, app, () => `the node runs ${app.name ?? "nothing"}`);
  });
}
