// Removes the package that runs.
import type { AppState } from "../lib/node.ts";
import { onEach, type SeveralOptions } from "./several.ts";

export async function removeVerb(options: SeveralOptions): Promise<void> {
  await onEach<AppState>(
    options,
    async (node) => {
      await node.remove();
      return node.app();
    },
    { words: (app) => `the node runs ${app.name ?? "nothing"}` },
  );
}
