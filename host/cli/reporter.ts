// What the test runner of Node.js says of each test, as a reporter of its own hands it on: for `wasmote test --json` and --junit.
import { oneLine } from "../lib/text.ts";

/** A test that ended. */
export interface Tested {
  name: string;
  ok: boolean;
  skipped: boolean;
  /** How long it took. */
  milliseconds: number;
  file?: string;
  line?: number;
  message?: string;
}

/** A reporter as a module that `node --test-reporter` loads: a line of JSON for each test. */
export const reporter = `data:text/javascript,${encodeURIComponent(`
export default async function* (events) {
  for await (const { type, data } of events) {
    if (type !== "test:pass" && type !== "test:fail") continue;
    if (data.details?.type === "suite") continue;
    const cause = data.details?.error?.cause ?? data.details?.error;
    yield JSON.stringify({
      name: data.name,
      ok: type === "test:pass",
      skipped: data.skip !== undefined || data.todo !== undefined,
      milliseconds: data.details?.duration_ms ?? 0,
      file: data.file,
      line: data.line,
      message: type === "test:fail" ? String(cause?.message ?? cause) : undefined,
    }) + "\\n";
  }
}
`)}`;

export function readTested(text: string): Tested[] {
  return text
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Tested);
}

const escapes: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
const xml = (text: string) =>
  oneLine(text.trim().replaceAll(/\s+/g, " ")).replaceAll(/[&<>"]/g, (one) => escapes[one] ?? one);

/** The form that build servers read: JUnit's XML. */
export function junit(suite: string, tests: readonly Tested[]): string {
  const seconds = (time: number) => (time / 1000).toFixed(3);
  const total = tests.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  const failed = tests.filter(({ ok }) => !ok).length;
  const skipped = tests.filter((one) => one.skipped).length;
  const cases = tests.map((one) => {
    const where = one.file === undefined ? "" : ` file="${xml(one.file)}" line="${one.line ?? 0}"`;
    const head = `    <testcase name="${xml(one.name)}" classname="${xml(suite)}" time="${seconds(one.milliseconds)}"${where}`;
    if (one.skipped) return `${head}><skipped/></testcase>`;
    if (one.ok) return `${head}/>`;
    return `${head}><failure message="${xml(one.message ?? "failed")}"/></testcase>`;
  });
  const counts = `tests="${tests.length}" failures="${failed}" skipped="${skipped}" time="${seconds(total)}"`;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites ${counts}>`,
    `  <testsuite name="${xml(suite)}" ${counts}>`,
    ...cases,
    "  </testsuite>",
    "</testsuites>",
    "",
  ].join("\n");
}
