// Mutation testing: `npm run mutants -- CRATE [--shard 1/8] [--file PATTERN]`. Each line of a crate is changed in turn, and the crate's
// own tests must notice. Prints what they missed, less what test/mutants.json lists as the same program in other words, and ends with
// the share that was caught; below 95 % it fails.
//
// cargo-mutants is installed into .cache on the first call (some minutes). It changes files, so it works on a copy of the tree.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { command, root } from "../host/setup.mjs";

const version = "27.1.0";
/** Hundredths of the mutants that compile, which a crate's tests have to catch. */
const enough = 95;

const cache = join(root, ".cache/mutants");
const tree = join(cache, "tree");

/** Runs a program with its output shown; ends this one when it cannot. */
function run(program, words, options = {}) {
  const ran = spawnSync(program, words, { stdio: ["ignore", "inherit", "inherit"], ...options });
  if (ran.error) fail(`${program}: ${ran.error.message}`);
  return ran.status;
}

function fail(why) {
  process.stderr.write(`mutants: ${why}\n`);
  process.exit(2);
}

/** A mutant's name without its line, which moves: `net/src/host.rs: replace is_host -> bool with true`. */
export function nameOf(mutant) {
  return mutant.replace(/^([^:]+)(:\d+)+: /, "$1: ");
}

/** Counts outcomes as cargo-mutants gives them, and lists what was missed and is not in the list of equal ones. */
export function judge(outcomes, equal) {
  const known = new Set(equal.map(({ mutant }) => mutant));
  const mutants = outcomes.filter(({ scenario }) => scenario !== "Baseline");
  const of = (...summaries) => mutants.filter(({ summary }) => summaries.includes(summary));
  const caught = of("CaughtMutant", "Timeout").length;
  const names = of("MissedMutant").map(({ scenario }) => scenario.Mutant.name);
  const missed = names.filter((name) => !known.has(nameOf(name)));
  const viable = caught + missed.length;
  return {
    caught,
    missed,
    equal: names.length - missed.length,
    unviable: of("Unviable").length,
    share: viable === 0 ? 0 : (100 * caught) / viable,
  };
}

function install() {
  const program = join(cache, "bin/cargo-mutants");
  const there = existsSync(program) && spawnSync(program, ["mutants", "--version"]);
  if (there && there.stdout.toString().includes(version)) return program;
  if (!command("cargo")) fail("there is no cargo on the PATH: see CONTRIBUTING.md");
  process.stdout.write(`mutants: installing cargo-mutants ${version} into .cache/mutants\n`);
  const words = ["install", "cargo-mutants", "--version", `=${version}`, "--locked"];
  if (run("cargo", [...words, "--root", cache]) !== 0) fail("cargo-mutants could not be installed");
  return program;
}

/** A copy of what is in the working tree, as Git knows it. */
function copyTree() {
  rmSync(tree, { recursive: true, force: true });
  const listed = spawnSync("git", ["ls-files", "-z", "-co", "--exclude-standard"], { cwd: root });
  for (const file of listed.stdout.toString().split("\0").filter(Boolean)) {
    if (!existsSync(join(root, file))) continue;
    mkdirSync(join(tree, dirname(file)), { recursive: true });
    cpSync(join(root, file), join(tree, file));
  }
}

function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { shard: { type: "string" }, file: { type: "string" } },
  });
  const [crate] = positionals;
  if (crate === undefined || positionals.length > 1)
    fail("which crate? npm run mutants -- net [--shard 1/8] [--file 'net/src/host.rs']");
  const program = install();
  copyTree();
  const output = join(cache, crate);
  const words = [
    ["mutants", "--in-place", "--package", `wasmote-${crate}`, "--output", output],
    ["--minimum-test-timeout", "60", "--no-shuffle", "--colors", "never"],
    values.shard === undefined ? [] : ["--shard", values.shard],
    values.file === undefined ? [] : ["--file", values.file],
  ].flat();
  rmSync(output, { recursive: true, force: true });
  mkdirSync(output, { recursive: true });
  const env = { ...process.env, CARGO_TARGET_DIR: join(cache, "target") };
  const status = run(program, words, { cwd: join(tree, "firmware"), env });
  const report = join(output, "mutants.out/outcomes.json");
  // 0: all caught, 2: some missed, 3: some timed out; anything else, and there is nothing to count.
  if (![0, 2, 3].includes(status ?? 1) || !existsSync(report))
    fail(`cargo-mutants ended with ${status}: do the crate's own tests pass?`);
  const { outcomes } = JSON.parse(readFileSync(report, "utf8"));
  const equal = JSON.parse(readFileSync(join(root, "test/mutants.json"), "utf8"));
  const { caught, missed, unviable, share, ...rest } = judge(outcomes, equal);
  for (const name of missed) process.stdout.write(`missed: ${name}\n`);
  process.stdout.write(
    `${crate}: ${caught} caught, ${missed.length} missed, ${rest.equal} equal, ${unviable} that do not compile: ` +
      `${share.toFixed(1)} % of those that mean something else\n`,
  );
  process.exit(share >= enough ? 0 : 1);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
