// Runs a project's own tests with the test runner of Node.js.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { project, VerbError } from "./context.ts";

export async function testVerb(): Promise<void> {
  const { folder } = project();
  const tests = existsSync(join(folder, "test"))
    ? readdirSync(join(folder, "test")).filter((name) => /\.test\.m?js$/.test(name))
    : [];
  if (tests.length === 0)
    throw new VerbError(
      `there are no tests in ${join(folder, "test")}`,
      "`wasmote new` writes an example",
    );
  // `import … from "wasmote"` finds this package, installed or not.
  const own = join(folder, "node_modules/wasmote");
  if (!existsSync(own)) {
    mkdirSync(join(folder, "node_modules"), { recursive: true });
    const root = import.meta.url.includes("/host/cli/") ? "../../" : "../";
    symlinkSync(fileURLToPath(new URL(root, import.meta.url)), own);
  }
  const run = spawnSync(process.execPath, ["--test", ...tests.map((name) => join("test", name))], {
    cwd: folder,
    stdio: "inherit",
  });
  if (run.status !== 0) throw new VerbError("a test failed");
}
