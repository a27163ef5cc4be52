// What a disturbance can do that makes the chip leave out one instruction: on an emulated Cortex-M4, one instruction after the other is
// left out while the node decides about a tag, a right or a signature. Nobody gets what he should not have.
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../../host/setup.mjs";
import { generateKey, keyId } from "../../host/lib/package.ts";
import { pack } from "../harness/module.ts";

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
  /** Where the emulator did not come to the instruction, and nothing was tried. */
  missed: number;
  where: string[];
}

/** Where it is decided: the cipher's tags, the stage, rights, and the way of a request through the server. */
const deciding =
  "ccm10difference|ccm3run|Context4open|Security.*4open|5guard.*(refuses|permits|route)|Application.*6handle|Core.*carry_out";

/** The same in a key exchange: who made message_3. */
const known =
  "Opened.*verify|Session.*oscore|ccm4same|ccm10difference|8schedule(6derive|7extract|3mac|10derive_key)";

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

/** What the image is told to do: see test/machine/src/skip.rs. */
const what = {
  oneBitOfTheTag: 0,
  allOfTheTag: 1,
  aReaderWrites: 2,
  aStrangerReads: 3,
  anAdministratorInstalls: 4,
  anAdministratorReads: 5,
  anAdministratorWrites: 6,
  oneBitOfTheMac: 10,
  nothingIsShared: 11,
  whatBothHaveIsShared: 12,
  nobodyIsKnown: 13,
  somebodyIsKnown: 14,
};

/** That something is had can be seen: these trials succeed when nothing is left out. */
async function succeed(trials: object[]): Promise<void> {
  for (const one of await leaveOut("^$", trials))
    expect(one).toMatchObject({ points: 0, undisturbed: "got" });
}

/** Sees that nothing was had in any of these trials, and prints their counts; more than `least` instructions are left out in each. */
async function nothingIsHad(
  functions: string,
  trials: Record<string, { what: number; key: string; package: string }>,
  least = 30,
): Promise<void> {
  const all = await leaveOut(functions, Object.values(trials));
  expect(all.length).toBe(Object.keys(trials).length);
  for (const [at, name] of Object.keys(trials).entries()) {
    const { points, undisturbed, refused, got, crashed, hung, missed, where } = all[at]!;
    console.log(
      `${name}: ${points} instructions left out, one at a time; ${refused} refused, ${crashed} faults, ${hung} hung, ${missed} missed, ${got} accepted`,
    );
    expect(undisturbed).toBe("refused");
    expect({ name, got, where }).toEqual({ name, got: 0, where: [] });
    expect(refused + crashed + hung + missed).toBe(points);
    expect(missed).toBeLessThanOrEqual(points / 50);
    expect(points).toBeGreaterThan(least);
  }
}

test.skipIf(reason)(
  `leaving out an instruction opens no forgery and gives no right${reason ? ` (skipped: ${reason})` : ""}`,
  { timeout: 600_000 },
  async () => {
    const key = Buffer.from(generateKey().publicKey).toString("hex");
    const trial = (which: keyof typeof what) => ({ what: what[which], key, package: "" });
    await succeed([trial("anAdministratorReads"), trial("anAdministratorWrites")]);
    await nothingIsHad(deciding, {
      "a tag that is wrong in one bit": trial("oneBitOfTheTag"),
      "a tag that is wrong all over": trial("allOfTheTag"),
      "a reader who writes": trial("aReaderWrites"),
      "a stranger who reads": trial("aStrangerReads"),
    });
  },
);

/** A program with a constant that is seen in its bytes. */
const program = `import { output, sensor } from "wasmote";
const x = output("x", "m");
const level = sensor("level");
level.onSample((v) => x.publish(v + 1234.5));
`;
const constant = Buffer.from(Float32Array.of(1234.5).buffer);

/** Where it is decided whether a package is installed: its signature, its digest, and what follows from them. */
const installing =
  "7install|7Install|8Envelope.*6verify|13verify_strict|VerifyingKey|4load|Slots.*(stage|reject|prepare)|Runner.*(receive|part|upload|arrive)";

test.skipIf(reason)(
  `leaving out an instruction installs no forged package${reason ? ` (skipped: ${reason})` : ""}`,
  { timeout: 600_000 },
  async () => {
    const key = generateKey();
    const trial = (bytes: Uint8Array) => ({
      what: what.anAdministratorInstalls,
      key: Buffer.from(key.publicKey).toString("hex"),
      package: Buffer.from(bytes).toString("hex"),
    });
    const good = await pack("stm32f407", program, 1, {}, key);
    await succeed([trial(good)]);
    const exchanged = Buffer.from(good);
    exchanged[exchanged.lastIndexOf(constant)]! ^= 1;
    const other = generateKey();
    const forged = Buffer.from(await pack("stm32f407", program, 1, {}, other));
    // It names the node's key, and was signed with another.
    forged.set(keyId(key.publicKey), forged.indexOf(keyId(other.publicKey)));
    await nothingIsHad(installing, {
      "a package that somebody else signed": trial(forged),
      "a package with another module than was signed": trial(exchanged),
    });
  },
);

test.skipIf(reason)(
  `leaving out an instruction makes no stranger known in a key exchange${reason ? ` (skipped: ${reason})` : ""}`,
  { timeout: 600_000 },
  async () => {
    const trial = (which: keyof typeof what) => ({
      what: what[which],
      key: "00".repeat(32),
      package: "",
    });
    await succeed([trial("somebodyIsKnown")]);
    await nothingIsHad(known, {
      "a MAC that is wrong in one bit": trial("oneBitOfTheMac"),
      "a MAC of one who takes nothing for what is shared": trial("nothingIsShared"),
      "a MAC of one who takes for it what both have": trial("whatBothHaveIsShared"),
    });
    // A name that is not known is refused at once.
    const none = { "a name and a key that are not known": trial("nobodyIsKnown") };
    await nothingIsHad(known, none, 0);
  },
);
