// Counts what the suites reported: passed, failed, skipped. Plain JavaScript, since test/all.mjs runs it as it is.
import { existsSync, readFileSync } from "node:fs";

/**
 * Adds up the closing lines of libtest, one for each test program.
 * @param {string} output
 */
export function countRust(output) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const lines = output.matchAll(/^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored/gm);
  for (const [, passed, failed, skipped] of lines) {
    counts.passed += Number(passed);
    counts.failed += Number(failed);
    counts.skipped += Number(skipped);
  }
  return counts;
}

/**
 * Reads what vitest's JSON reporter wrote; a test file that could not even be loaded counts as one failure.
 * @param {string} report the path of the report; a run that crashed left none
 */
export function countVitest(report) {
  if (!existsSync(report)) return { passed: 0, failed: 1, skipped: 0 };
  const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, testResults } = JSON.parse(
    readFileSync(report, "utf8"),
  );
  const broken = testResults.filter(
    (/** @type {{ status: string, assertionResults: { status: string }[] }} */ file) =>
      file.status === "failed" && file.assertionResults.every((test) => test.status !== "failed"),
  );
  return {
    passed: numPassedTests,
    failed: numFailedTests + broken.length,
    skipped: numPendingTests + numTodoTests,
  };
}

/**
 * Names the tests that failed. A run that crashed, and a file that could not be loaded, have none.
 * @param {string} report the path of the report
 * @returns {{ file: string, name: string }[]}
 */
export function failuresOf(report) {
  if (!existsSync(report)) return [];
  const { testResults } = JSON.parse(readFileSync(report, "utf8"));
  return testResults.flatMap(
    (
      /** @type {{ name: string, assertionResults: { status: string, fullName: string }[] }} */ file,
    ) =>
      file.assertionResults
        .filter(({ status }) => status === "failed")
        .map(({ fullName }) => ({ file: file.name, name: fullName })),
  );
}
