// Fuzzing that is guided by coverage (libFuzzer), of the decoder, the validator and the execution loop: what is kept first, then so
// many inputs made from it with a fixed seed. `npm run fuzz` goes on for as long as it is let.
import { cpSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { buildTargets, corpus, Finding, fuzz, missingFuzzer, targets } from "../fuzz/fuzzer.ts";
import { scratch } from "../harness/target.ts";

const missing = missingFuzzer();
const reason = missing === undefined ? "" : ` (skipped: ${missing})`;
const limit = 600_000;

beforeAll(() => (missing === undefined ? buildTargets() : undefined), limit);

/** Inputs of a run, and what share of the engine's edges what is kept covers at least. */
const bounds = {
  validate: { runs: 20_000, share: 0.65 },
  run: { runs: 16_000, share: 0.45 },
};

describe.skipIf(reason).each(targets)(`fuzzing of %s${reason}`, (target) => {
  const { runs, share } = bounds[target];

  test(
    "finds nothing in what is kept nor in what is made from it",
    { timeout: limit },
    async () => {
      using folder = scratch();
      const [grown, kept] = [join(folder.path, "grown"), join(folder.path, "kept")];
      mkdirSync(grown);
      cpSync(corpus, kept, { recursive: true });
      const before = readdirSync(kept).length;
      const found = await fuzz(target, [`-runs=${runs}`, "-seed=3"], [grown, kept]);
      expect(before).toBeGreaterThan(100);
      expect(found.runs).toBeGreaterThanOrEqual(runs);
      expect(found.edges[0] / found.all).toBeGreaterThan(share);
      expect(found.edges[1]).toBeGreaterThanOrEqual(found.edges[0]);
      expect(found.features[1]).toBeGreaterThan(found.features[0]);
      expect(readdirSync(grown).length).toBeGreaterThan(50);
      // Many get past validation, and many do not.
      expect(found.accepted).toBeGreaterThan(0.1);
      expect(found.accepted).toBeLessThan(0.9);
    },
  );

  test(
    "is led by coverage from an empty module far into the engine",
    { timeout: limit },
    async () => {
      using folder = scratch();
      writeFileSync(join(folder.path, "empty"), Buffer.from("\0asm\x01\0\0\0", "latin1"));
      const found = await fuzz(target, [`-runs=${runs / 4}`, "-seed=3"], [folder.path]);
      expect(found.edges[1]).toBeGreaterThan(3 * found.edges[0]);
      expect(found.edges[1] / found.all).toBeGreaterThan(share / 2);
      expect(readdirSync(folder.path).length).toBeGreaterThan(100);
    },
  );
});

test.skipIf(reason)(
  `a finding is told with its bytes and how to see it again${reason}`,
  async () => {
    using folder = scratch();
    // Nothing is known to fail; that the process has more memory than 1 MiB fails by itself.
    const options = ["-rss_limit_mb=1", "-runs=100000000"];
    const finding = fuzz("validate", options, [folder.path, corpus]);
    await expect(finding).rejects.toThrow(Finding);
    await expect(finding).rejects.toThrow(
      /out-of-memory[^]*\n\d+ bytes .* validate fail:\n[0-9a-f]*\n.*npm run fuzz -- validate input/,
    );
  },
);
