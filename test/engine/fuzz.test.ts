// Fuzzing that is guided by coverage (libFuzzer), of the engine's decoder, validator and execution loop, of EDHOC's messages, and of what happens
// to a secured node: what is kept first, then so many inputs made from it with a fixed seed. `npm run fuzz` goes on for as long as it is let.
import { cpSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import {
  buildTargets,
  corpus,
  corpusOf,
  Finding,
  fuzz,
  missingFuzzer,
  targets,
} from "../fuzz/fuzzer.ts";
import { scratch } from "../harness/target.ts";

const missing = missingFuzzer();
const reason = missing === undefined ? "" : ` (skipped: ${missing})`;
const limit = 600_000;

beforeAll(() => (missing === undefined ? buildTargets() : undefined), limit);

/**
 * Inputs of a run, what share of all edges what is kept covers at least, how many are kept and grow at least, what share is accepted, and what it
 * grows from by itself, to so many times its edges.
 */
const empty = "\0asm\x01\0\0\0";
const modules = { kept: 100, grown: 50, accepted: [0.1, 0.9], empty, led: 3 };
const bounds = {
  validate: { ...modules, runs: 20_000, share: 0.65 },
  run: { ...modules, runs: 16_000, share: 0.45 },
  handshake: {
    runs: 40_000,
    share: 0.45,
    kept: 20,
    grown: 20,
    accepted: [0.001, 0.9],
    empty: "\0\0",
    led: 3,
  },
  // Its edges are those of the whole node, of which only what reads provisioning records is meant.
  secure: {
    runs: 30_000,
    share: 0.25,
    kept: 15,
    grown: 20,
    accepted: [0.1, 0.95],
    // Already the start of a node covers much.
    empty: "\0\0",
    led: 1.5,
  },
};

describe.skipIf(reason).each(targets)(`fuzzing of %s${reason}`, (target) => {
  const { runs, share, ...bound } = bounds[target];

  test(
    "finds nothing in what is kept nor in what is made from it",
    { timeout: limit },
    async () => {
      using folder = scratch();
      const [grown, kept] = [join(folder.path, "grown"), join(folder.path, "kept")];
      mkdirSync(grown);
      cpSync(corpusOf(target), kept, { recursive: true });
      const before = readdirSync(kept).length;
      const found = await fuzz(target, [`-runs=${runs}`, "-seed=3"], [grown, kept]);
      expect(before).toBeGreaterThan(bound.kept);
      expect(found.runs).toBeGreaterThanOrEqual(runs);
      expect(found.edges[0] / found.all).toBeGreaterThan(share);
      expect(found.edges[1]).toBeGreaterThanOrEqual(found.edges[0]);
      expect(found.features[1]).toBeGreaterThan(found.features[0]);
      expect(readdirSync(grown).length).toBeGreaterThan(bound.grown);
      // Many are accepted, and many are not.
      expect(found.accepted).toBeGreaterThan(bound.accepted[0]!);
      expect(found.accepted).toBeLessThan(bound.accepted[1]!);
    },
  );

  test(
    "is led by coverage from next to nothing far into what is behind it",
    { timeout: limit },
    async () => {
      using folder = scratch();
      writeFileSync(join(folder.path, "empty"), Buffer.from(bound.empty, "latin1"));
      const found = await fuzz(target, [`-runs=${runs / 4}`, "-seed=3"], [folder.path]);
      expect(found.edges[1]).toBeGreaterThan(bound.led * found.edges[0]);
      expect(found.edges[1] / found.all).toBeGreaterThan(share / 2);
      expect(readdirSync(folder.path).length).toBeGreaterThan(bound.kept);
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
