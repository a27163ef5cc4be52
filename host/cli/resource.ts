// `get` and `put`: any resource by its path.
import { print, withNode, type NodeOptions } from "./context.ts";

const clean = (path: string) => path.replace(/^\//, "");

export async function getVerb(path: string, options: NodeOptions): Promise<void> {
  await withNode(options, async (node) => {
    const value = (await node.get(clean(path))).trimEnd();
    print(options.json, { path: clean(path), value }, () => value);
  });
}

export async function putVerb(path: string, value: string, options: NodeOptions): Promise<void> {
  await withNode(options, async (node) => {
    await node.put(clean(path), value);
    if (options.json) print(true, { path: clean(path), value }, () => "");
  });
}
