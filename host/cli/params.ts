// Reads and sets the parameters of the running module.
import { NodeError, UserError } from "../lib/errors.ts";
import { oneLine, shortest } from "../lib/text.ts";
import { assignments, say, table } from "./context.ts";
import { onEach, type SeveralOptions } from "./several.ts";

export async function paramsVerb(words: string[], options: SeveralOptions): Promise<void> {
  const wanted = assignments(words, "wasmote params limit=150");
  await onEach<Record<string, number>>(
    options,
    async (node, _session, target) => {
      for (const [name, value] of wanted) {
        const kept = await node.setParam(name, value).catch(async (error: unknown) => {
          if (!(error instanceof NodeError && error.status === "4.04")) throw error;
          const names = Object.keys(await node.params()).join(", ") || "none";
          throw new UserError(
            `the module has no parameter ${oneLine(name)}; it has: ${names}`,
            "`wasmote params` shows them",
            "refused",
          );
        });
        if (kept > 0)
          say(
            `${oneLine(name)} counts now, and is kept over a reset of ${target.name} in ${kept} s`,
          );
      }
      return node.params();
    },
    {
      words: (values, alone) => {
        const rows = Object.entries(values).map(
          ([name, value]) => [name, shortest(value)] as const,
        );
        if (rows.length === 0) return "the module has no parameters";
        return alone ? table(rows) : rows.map(([name, value]) => `${name}=${value}`).join(" ");
      },
    },
  );
}
