// Where this package lies: from the sources, from the bundle in dist/ and from wherever npm put it.
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The folder with this package's package.json: the nearest one above this file that is called wasmote. */
export const packageRoot: string = find(dirname(fileURLToPath(import.meta.url)));

function find(folder: string): string {
  const file = join(folder, "package.json");
  if (existsSync(file)) {
    const { name } = JSON.parse(readFileSync(file, "utf8")) as { name?: string };
    if (name === "wasmote") return folder;
  }
  const above = dirname(folder);
  if (above === folder) throw new Error("the package.json of wasmote is missing");
  return find(above);
}
