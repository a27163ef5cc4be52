// `npm start`, as it runs without a terminal: its fixed parts are compared with a reviewed transcript.
import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { missing } from "../host/lib/emulate.ts";
import { root } from "../host/setup.mjs";
import { scratch } from "./harness/target.ts";

const golden = join(root, "test/golden/demo.txt");

/** What depends on the machine: times, and on which day a filter that is pushed while data flows takes over. */
function fixed(transcript: string): string {
  const [before = "", after = ""] = transcript.split("== A better filter");
  return `${before}== A better filter${after.slice(0, after.indexOf("\n"))}\n${after.slice(after.indexOf("== A broken"))}`
    .replace(/\d+ ms/g, "N ms")
    .replace(/[\d.]+ s$/m, "N s");
}

for (const machine of ["native", "qemu-stm32"] as const) {
  const reason = missing(machine);
  test.skipIf(reason)(
    `the demonstration on ${machine}${reason ? ` (skipped: ${reason})` : ""}`,
    { timeout: 120_000 },
    async () => {
      using folder = scratch();
      const drawing = join(folder.path, "demo.svg");
      const words = ["host/demo/main.ts", "--target", machine, "--picture", drawing];
      const { stdout, stderr } = await promisify(execFile)("node_modules/.bin/tsx", words, {
        cwd: root,
      });
      expect(stderr).toBe("");
      // The board's own lines differ; the story is the same.
      const story = fixed(stdout)
        .replace(/== A board:[\s\S]*?\n\n/, "")
        .replace(/\b8[34]\d\b/g, "8NN");
      if (process.env.UPDATE_GOLDEN === "1") writeFileSync(golden, story);
      expect(story).toBe(readFileSync(golden, "utf8"));
      const [, simulated, there] =
        /fuel of a run\s+(\d+) at most in the simulation, (\d+) on the node/.exec(stdout) ?? [];
      expect(there).toBe(simulated);
      expect(stdout).toMatch(/replaced; \d+ samples went by without an output/);
      expect(readFileSync(drawing, "utf8")).toContain("<svg");
    },
  );
}
