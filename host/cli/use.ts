// Remembers which node the verbs are for.
import { findNode, print, project } from "./context.ts";

export async function useVerb(
  node: string | undefined,
  { json }: { json?: boolean },
): Promise<void> {
  const { state } = project();
  if (node === undefined) {
    const chosen = state.read("node");
    print(json, { node: chosen ?? null }, () => chosen ?? "no node has been chosen");
    return;
  }
  // A name has to be known now, not only when it is used.
  const place = findNode(node);
  state.write(`${node}\n`, ["node"]);
  print(json, { node, address: place }, () => `${node} is used from here on, in this folder`);
}
