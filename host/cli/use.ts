// Remembers which node the verbs are for.
import { writeFileSync } from "node:fs";
import { address, readState, stateFile } from "./context.ts";

export async function useVerb(node: string | undefined): Promise<void> {
  if (node === undefined) {
    process.stdout.write(`${readState("node") ?? "no node has been chosen"}\n`);
    return;
  }
  // A name has to be known now, not only when it is used.
  address(node);
  writeFileSync(stateFile("node"), `${node}\n`);
  process.stdout.write(`${node} is used from here on, in this folder\n`);
}
