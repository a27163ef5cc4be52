// Runs a project's own tests with the test runner of Node.js.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UserError } from "../lib/errors.ts";
import { print, project } from "./context.ts";
import { linkPackage } from "./program.ts";
import { junit, readTested, reporter, type Tested } from "./reporter.ts";

export async function testVerb(options: { json?: boolean; junit?: string }): Promise<void> {
  const { folder, name } = project();
  const tests = existsSync(join(folder, "test"))
    ? readdirSync(join(folder, "test")).filter((file) => /\.test\.m?js$/.test(file))
    : [];
  if (tests.length === 0)
    throw new UserError(
      `there are no tests in ${join(folder, "test")}`,
      "`wasmote new` writes an example",
    );
  linkPackage(folder);
  const place = mkdtempSync(join(tmpdir(), "wasmote-test-"));
  try {
    const file = join(place, "tests.jsonl");
    // People see the runner's own report; programs read the other one.
    const reports = [
      ...(options.json ? [] : ["--test-reporter=spec", "--test-reporter-destination=stdout"]),
      `--test-reporter=${reporter}`,
      `--test-reporter-destination=${file}`,
    ];
    const words = ["--test", ...reports, ...tests.map((one) => join("test", one))];
    const run = spawnSync(process.execPath, words, {
      cwd: folder,
      stdio: ["ignore", options.json ? "ignore" : "inherit", "inherit"],
    });
    const tested: Tested[] = existsSync(file) ? readTested(readFileSync(file, "utf8")) : [];
    if (options.junit !== undefined) writeFileSync(options.junit, junit(name || "tests", tested));
    if (options.json) print(true, { tests: tested }, () => "");
    if (run.status !== 0)
      throw new UserError("a test failed", "the runner's report above says which", "check");
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}
