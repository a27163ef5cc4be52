// Reads and sets the parameters of the running module.
import { assignments, print, table, withNode, type NodeOptions } from "./context.ts";

export async function paramsVerb(words: string[], options: NodeOptions): Promise<void> {
  const wanted = assignments(words, "wasmote params limit=150");
  await withNode(options, async (node) => {
    for (const [name, value] of wanted) await node.setParam(name, value);
    const values = await node.params();
    print(
      options.json,
      values,
      () => table(Object.entries(values)) || "the module has no parameters",
    );
  });
}
