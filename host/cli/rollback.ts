// Returns to the package before, or to any module that was built here, by its digest.
//
// A node takes no sequence number twice, so an older module than the one before is signed anew, with the next number.
import { NodeError, UserError } from "../lib/errors.ts";
import { installProgram } from "../lib/install.ts";
import { keptDigests, keptPackage } from "../lib/kept.ts";
import type { AppState } from "../lib/node.ts";
import { keptProgram, type Program } from "../lib/program.ts";
import { signingKey } from "../lib/project.ts";
import { oneLine } from "../lib/text.ts";
import { project } from "./context.ts";
import { onEach, type SeveralOptions } from "./several.ts";

export async function rollbackVerb(
  digest: string | undefined,
  options: SeveralOptions & { key?: string },
): Promise<void> {
  const wanted = digest === undefined ? undefined : find(digest);
  await onEach<AppState>(
    options,
    async (node, { signal }) => {
      const { previous } = await node.app();
      if (wanted === undefined || keptPackage(project(), previous)?.digest === wanted.digest)
        await node.rollback().catch((error: unknown) => {
          throw nothingBefore(error);
        });
      else {
        const key = signingKey(project(), options.key);
        await installProgram(node, project(), wanted, key, { wait: 0, signal });
      }
      return node.app();
    },
    {
      words: (app) =>
        `${app.name ?? "nothing"} ${app.version ?? ""} runs, sequence ${app.sequence ?? "-"}, ${app.digest ?? ""}`,
    },
  );
}

/** What to do where a node has no package before: one that is replaced while it is on trial is not kept. */
function nothingBefore(error: unknown): unknown {
  if (!(error instanceof NodeError) || error.status !== "4.09") return error;
  const [some] = keptDigests(project());
  return new UserError(
    `${error.message}: one that is replaced before its runs on trial were good is not kept`,
    `\`wasmote rollback DIGEST\` installs any module that was built here${some === undefined ? "" : `, such as ${some.slice(0, 12)}`}`,
    "refused",
  );
}

/** The program that was built here, by the beginning of its digest. */
function find(begin: string): Program {
  const all = keptDigests(project());
  const found = all.filter((name) => name.startsWith(begin.toLowerCase()));
  const only = found.length === 1 ? keptProgram(project(), found[0]!) : undefined;
  if (only !== undefined) return only;
  const list = all.map((name) => name.slice(0, 12)).join(", ") || "none";
  throw new UserError(
    found.length > 1
      ? `${found.length} modules have a digest that begins with ${oneLine(begin)}`
      : found.length === 1
        ? `the module ${oneLine(begin)}… that was kept here is damaged`
        : `no module with a digest ${oneLine(begin)}… was built in this folder`,
    `there are: ${list}; \`wasmote info\` shows that of the running one`,
  );
}
