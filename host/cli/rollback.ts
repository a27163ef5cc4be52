// Returns to the package before, or to any module that was built here, by its digest.
//
// A node takes no sequence number twice, so an older module than the one before is signed anew, with the next number.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readFacts } from "../lib/build/section.ts";
import { print, project, VerbError, withNode, type NodeOptions } from "./context.ts";
import { keptPackage, type Program } from "./program.ts";
import { push } from "./push.ts";

export async function rollbackVerb(
  digest: string | undefined,
  options: NodeOptions & { key?: string },
): Promise<void> {
  const wanted = digest === undefined ? undefined : find(digest);
  await withNode(options, async (node) => {
    const { previous } = await node.app();
    if (wanted === undefined || keptPackage(previous)?.digest === wanted) await node.rollback();
    else await push(node, keptProgram(wanted), options.key, { wait: 0 });
    const app = await node.app();
    print(
      options.json,
      app,
      () =>
        `${app.name ?? "nothing"} ${app.version ?? ""} runs, sequence ${app.sequence ?? "-"}, ${app.digest ?? ""}`,
    );
  });
}

/** The whole digest for its beginning. */
function find(begin: string): string {
  const folder = join(project().folder, ".wasmote/modules");
  const names = safely(() => readdirSync(folder)) ?? [];
  const all = names.filter((name) => name.endsWith(".wasm")).map((name) => name.slice(0, -5));
  const found = all.filter((name) => name.startsWith(begin.toLowerCase()));
  if (found.length === 1) return found[0]!;
  const list = all.map((name) => name.slice(0, 12)).join(", ") || "none";
  throw new VerbError(
    found.length === 0
      ? `no module with a digest ${begin}… was built in this folder`
      : `${found.length} modules have a digest that begins with ${begin}`,
    `there are: ${list}; \`wasmote info\` shows that of the running one`,
  );
}

function keptProgram(digest: string): Program {
  const path = join(project().folder, ".wasmote/modules", `${digest}.wasm`);
  const module = new Uint8Array(readFileSync(path));
  const facts = readFacts(module);
  const name = project().name || digest.slice(0, 8);
  return { module, facts, places: [], sources: {}, inputs: [path], name, digest };
}

function safely<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}
