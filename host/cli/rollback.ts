// Returns to the package before.
import { print, withNode } from "./context.ts";

export async function rollbackVerb(options: { node?: string; json?: boolean }): Promise<void> {
  await withNode(options.node, async (node) => {
    await node.rollback();
    const app = await node.app();
    print(
      options.json,
      app,
      () => `${app.name ?? "nothing"} ${app.version ?? ""} runs, sequence ${app.sequence ?? "-"}`,
    );
  });
}
