// Other people's programs of Python that the set-up has: where they are, or why there are none.
import { dirname, join } from "node:path";
import { environment } from "../../host/setup.mjs";

const found = (environment() as { tools?: { ok: boolean; what: string } }).tools;

/** Why there are none; undefined where they are there. */
export const missingTools = found?.ok
  ? undefined
  : `no Python tools: ${found?.what ?? "not set up"}`;

/** A program of theirs by its name. */
export function tool(name: string): string {
  return join(dirname(found!.what), name);
}
