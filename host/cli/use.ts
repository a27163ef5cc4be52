// Remembers which node the verbs are for.
import { writeFileSync } from "node:fs";
import { address, print, readState, stateFile } from "./context.ts";

export async function useVerb(
  node: string | undefined,
  { json }: { json?: boolean },
): Promise<void> {
  if (node === undefined) {
    const chosen = readState("node");
    print(json, { node: chosen ?? null }, () => chosen ?? "no node has been chosen");
    return;
  }
  // A name has to be known now, not only when it is used.
  const place = address(node);
  writeFileSync(stateFile("node"), `${node}\n`);
  print(json, { node, address: place }, () => `${node} is used from here on, in this folder`);
}
