// Reads and sets the parameters of the running module.
import { exitCode, print, table, VerbError, withNode } from "./context.ts";

export async function paramsVerb(
  assignments: string[],
  options: { node?: string; json?: boolean },
): Promise<void> {
  const wanted = assignments.map((text) => {
    const [name = "", value = ""] = text.split("=");
    if (name === "" || value === "" || Number.isNaN(Number(value)))
      throw new VerbError(
        `${text} is no assignment`,
        "write: wasmote params limit=150",
        exitCode.usage,
      );
    return [name, Number(value)] as const;
  });
  await withNode(options.node, async (node) => {
    for (const [name, value] of wanted) await node.setParam(name, value);
    const values = await node.params();
    print(
      options.json,
      values,
      () => table(Object.entries(values)) || "the module has no parameters",
    );
  });
}
