// Runs a project's own tests with the test runner of Node.js.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "../lib/errors.ts";
import { writeOutput } from "../lib/state.ts";
import { print, project } from "./context.ts";
import { linkPackage } from "./program.ts";
import { heeding } from "./interruption.ts";
import { refuseForeign } from "./result.ts";
import { junit, readTested, reporter, type Tested } from "./reporter.ts";
import { temporaryFolder } from "../lib/temporary.ts";

export async function testVerb(options: {
  json?: boolean;
  junit?: string;
  force?: boolean;
}): Promise<void> {
  const { folder, name } = project();
  const tests = existsSync(join(folder, "test"))
    ? readdirSync(join(folder, "test")).filter((file) => /\.test\.m?js$/.test(file))
    : [];
  if (tests.length === 0)
    throw new UserError(
      `there are no tests in ${join(folder, "test")}`,
      "write test/NAME.test.mjs: `wasmote new` makes a project with an example",
    );
  if (options.junit !== undefined) refuseForeign(options.junit, "a report of tests", options.force);
  linkPackage(folder);
  using scratch = temporaryFolder("test");
  const place = scratch.path;
  const file = join(place, "tests.jsonl");
  // People see the runner's own report; programs read the other one.
  const reports = [
    ...(options.json ? [] : ["--test-reporter=spec", "--test-reporter-destination=stdout"]),
    `--test-reporter=${reporter}`,
    `--test-reporter-destination=${file}`,
  ];
  const words = ["--test", ...reports, ...tests.map((one) => join("test", one))];
  const code = await heeding((signal) => run(words, folder, options.json ?? false, signal));
  const tested: Tested[] = existsSync(file) ? readTested(readFileSync(file, "utf8")) : [];
  if (options.junit !== undefined) writeOutput(options.junit, junit(name || "tests", tested));
  if (options.json) print(true, { tests: tested }, () => "");
  if (code !== 0)
    throw new UserError(
      "a test failed",
      options.json ? "`tests` says which" : "the runner's report above says which",
      "check",
    );
}

/** Runs Node.js; its exit code. It ends with this process, whoever is told to end. */
async function run(
  words: readonly string[],
  cwd: string,
  quiet: boolean,
  signal: AbortSignal,
): Promise<number | null> {
  const child = spawn(process.execPath, words, {
    cwd,
    stdio: ["ignore", quiet ? "ignore" : "inherit", "inherit"],
  });
  const stop = () => child.kill();
  signal.addEventListener("abort", stop);
  if (signal.aborted) stop();
  const [code] = (await once(child, "close")) as [number | null];
  signal.removeEventListener("abort", stop);
  return code;
}
