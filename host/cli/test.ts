// Runs a project's own tests with the test runner of Node.js.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "../lib/errors.ts";
import { project } from "./context.ts";
import { linkPackage } from "./program.ts";

export async function testVerb(): Promise<void> {
  const { folder } = project();
  const tests = existsSync(join(folder, "test"))
    ? readdirSync(join(folder, "test")).filter((name) => /\.test\.m?js$/.test(name))
    : [];
  if (tests.length === 0)
    throw new UserError(
      `there are no tests in ${join(folder, "test")}`,
      "`wasmote new` writes an example",
    );
  linkPackage(folder);
  const run = spawnSync(process.execPath, ["--test", ...tests.map((name) => join("test", name))], {
    cwd: folder,
    stdio: "inherit",
  });
  if (run.status !== 0)
    throw new UserError("a test failed", "the runner's report above says which");
}
