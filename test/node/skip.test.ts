// What a disturbance can do that makes the chip leave out one instruction: on an emulated Cortex-M4, one instruction after the other is
// left out while the node decides about a tag, a right or a signature. Nobody gets what he should not have.
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../../host/setup.mjs";
import { generateKey } from "../../host/lib/package.ts";

const python = join(root, ".cache/python/bin/python");
const image = join(root, "dist/skip.elf");

const reason = !existsSync(image)
  ? "dist/skip.elf has not been built here"
  : spawnSync(python, ["-c", "import unicorn"]).status !== 0
    ? "Unicorn is not here; the set-up installs it where Python can"
    : "";

/** One of so many instructions; WASMOTE_SKIP_EVERY=1 leaves out each, which takes minutes. */
const every = process.env["WASMOTE_SKIP_EVERY"] ?? "12";

interface Outcome {
  points: number;
  undisturbed: string;
  refused: number;
  got: number;
  crashed: number;
  hung: number;
  where: string[];
}

/** Where it is decided: the cipher's tags, the stage, rights, and the way of a request through the server. */
const deciding =
  "ccm10difference|ccm3run|Context4open|Security.*4open|5guard.*(refuses|permits|route)|Application.*6handle|Core.*carry_out";

async function leaveOut(functions: string, trials: object[]): Promise<Outcome[]> {
  const child = spawn(python, [join(root, "test/peers/skip.py"), image, functions, every], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  child.stdin.end(trials.map((trial) => `${JSON.stringify(trial)}\n`).join(""));
  let text = "";
  for await (const part of child.stdout) text += String(part);
  return text
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Outcome);
}

test.skipIf(reason)(
  `leaving out an instruction opens no forgery and gives no right${reason ? ` (skipped: ${reason})` : ""}`,
  { timeout: 600_000 },
  async () => {
    const key = Buffer.from(generateKey().publicKey).toString("hex");
    const trials = {
      "a tag that is wrong in one bit": 0,
      "a tag that is wrong all over": 1,
      "a reader who writes": 2,
      "a stranger who reads": 3,
    };
    const all = await leaveOut(
      deciding,
      Object.values(trials).map((what) => ({ what, key, package: "" })),
    );
    expect(all.length).toBe(4);
    for (const [at, name] of Object.keys(trials).entries()) {
      const { points, undisturbed, refused, got, crashed, hung, where } = all[at]!;
      console.log(
        `${name}: ${points} instructions left out, one at a time; ${refused} refused, ${crashed} faults, ${hung} hung, ${got} accepted`,
      );
      expect(undisturbed).toBe("refused");
      expect({ name, got, where }).toEqual({ name, got: 0, where: [] });
      expect(refused + crashed + hung).toBe(points);
      expect(points).toBeGreaterThan(30);
    }
  },
);
