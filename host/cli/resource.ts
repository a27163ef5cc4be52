// `get` and `put`: any resource by its path.
import { withNode } from "./context.ts";

const clean = (path: string) => path.replace(/^\//, "");

export async function getVerb(path: string, options: { node?: string }): Promise<void> {
  await withNode(options.node, async (node) => {
    process.stdout.write(`${(await node.get(clean(path))).trimEnd()}\n`);
  });
}

export async function putVerb(
  path: string,
  value: string,
  options: { node?: string },
): Promise<void> {
  await withNode(options.node, (node) => node.put(clean(path), value));
}
