// The set-up script and the counting, from outside: what they say when something is missing or has failed.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { countRust, countVitest, failuresOf } from "../harness/count.mjs";
import { scratch } from "../harness/target.ts";

const root = join(import.meta.dirname, "../..");
const setup = (words: string[], path = process.env.PATH) =>
  spawnSync(process.execPath, ["host/setup.mjs", ...words], {
    cwd: root,
    encoding: "utf8",
    env: { ...process.env, PATH: path },
  });

describe("the set-up", () => {
  test("says what to install where there is no Rust, and fails", () => {
    const { status, stderr } = setup(["start"], "/nowhere");
    expect(status).toBe(1);
    expect(stderr).toMatch(/Rust: no `cargo` on the PATH\n\s+what to do: install Rust with rustup/);
  });

  test("says what to do where `cargo` is rustup's and has no toolchain, and installs nothing", () => {
    using folder = scratch();
    const file = join(folder.path, "cargo");
    writeFileSync(file, "#!/bin/sh\necho 'error: no default is configured' >&2\nexit 1\n", {
      mode: 0o755,
    });
    const { status, stdout, stderr } = setup(["start"], `${folder.path}:/usr/bin:/bin`);
    expect(status).toBe(1);
    expect(stderr).toMatch(/Rust: `cargo` does not run: error: no default is configured\n/);
    expect(stderr).toContain("rustup default stable");
    expect(stdout).not.toContain("installing");
  });

  test("refuses a goal it does not know", () => {
    expect(setup(["everything"])).toMatchObject({
      status: 2,
      stderr: "usage: node host/setup.mjs [start|build|test]\n",
    });
  });
});

describe("what the Python peer needs", () => {
  const text = readFileSync(join(root, "test/peers/requirements.txt"), "utf8");
  const all = text.replaceAll("\\\n", " ").split("\n");
  const wanted = all.filter((line) => line !== "" && !line.startsWith("#"));

  test("is pinned, each file by its hash", () => {
    expect(wanted.length).toBeGreaterThan(8);
    const pinned = /^[a-z0-9-]+==[\w.]+ (; [^-]+ )?( +--hash=sha256:[0-9a-f]{64})+\s*$/;
    expect(wanted.filter((line) => !pinned.test(line))).toEqual([]);
  });

  test("is pinned for more than one Python and machine where it has code for a machine", () => {
    for (const name of ["cbor2", "cbor-diag", "cffi", "cryptography", "lakers-python"]) {
      const line = wanted.find((one) => one.startsWith(`${name}==`)) ?? "";
      expect(line.match(/--hash/g)?.length, name).toBeGreaterThan(10);
    }
  });
});

describe("the count", () => {
  test("adds up every test program of a cargo run", () => {
    const output = [
      "running 3 tests",
      "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
      "test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
    ];
    expect(countRust(output.join("\n"))).toEqual({ passed: 6, failed: 2, skipped: 1 });
  });

  test("takes a test file that did not load for a failure", () => {
    using folder = scratch();
    const report = join(folder.path, "report.json");
    const testResults = [
      { status: "failed", assertionResults: [] },
      { status: "passed", assertionResults: [{ status: "passed" }, { status: "skipped" }] },
    ];
    writeFileSync(
      report,
      JSON.stringify({
        numPassedTests: 1,
        numFailedTests: 0,
        numPendingTests: 1,
        numTodoTests: 0,
        testResults,
      }),
    );
    expect(countVitest(report)).toEqual({ passed: 1, failed: 1, skipped: 1 });
  });

  test("takes a run that left no report for a failure", () => {
    expect(countVitest("/nowhere/report.json").failed).toBe(1);
  });

  test("names what failed, to be run again, and nothing of a file that did not load", () => {
    using folder = scratch();
    const report = join(folder.path, "report.json");
    const assertionResults = [
      { status: "failed", fullName: "a gateway is there" },
      { status: "passed", fullName: "a node is there" },
    ];
    const testResults = [
      { name: "/test/a.test.ts", status: "failed", assertionResults },
      { name: "/test/b.test.ts", status: "failed", assertionResults: [] },
    ];
    writeFileSync(report, JSON.stringify({ testResults }));
    expect(failuresOf(report)).toEqual([{ file: "/test/a.test.ts", name: "a gateway is there" }]);
    expect(failuresOf("/nowhere/report.json")).toEqual([]);
  });
});
