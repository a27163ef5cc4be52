// The whole test run, and all of CI: `npm test`, or `npm test -- rust typescript …` for a part of it.
//
// Sets the machine up, then runs every suite, also after one has failed, and ends with a line counting what the suites
// themselves reported. A check that runs no tests (format, lint, types) counts as one failure when it fails and as nothing
// when it passes. A suite of tests that ran nothing has failed. Up to three TypeScript tests that failed are run once more, their
// files alone: those that pass then are counted as passed and named as unsteady, so that they are looked after.
import { spawn } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { join, relative } from "node:path";
import { benchImages, chip, chipCrates, environment, images, root, setup } from "../host/setup.mjs";
import { countRust, countVitest, failuresOf } from "./harness/count.mjs";

const manifest = ["--manifest-path", "firmware/Cargo.toml"];
const report = join(root, ".cache/vitest.json");
/** Failed tests that are run again at most: more are no accident. */
const mostAgain = 3;

const chosen = process.argv.slice(2);

try {
  await setup("test");
} catch (error) {
  process.stderr.write(`setup: ${error.message}\n`);
  process.stdout.write("0 passed, 1 failed, 0 skipped\n");
  process.exit(1);
}

// The bindings of wasm3 build only where there is libclang; that they do not has been said by the set-up.
const left = [...chipCrates, ...(environment().wasm3?.ok ? [] : ["wasmote-wasm3-node"])];
const laptop = ["--workspace", ...left.flatMap((crate) => ["--exclude", crate])];

const denied = ["--", "-D", "warnings"];
const strictDocs = { RUSTDOCFLAGS: "-D warnings" };
const portable = [
  "engine",
  "compiler",
  "coap",
  "oscore",
  "edhoc",
  "node",
  "net",
  "sensors",
].flatMap((crate) => ["-p", `wasmote-${crate}`]);
/** Clippy for what builds only for the chip. Debian's Rust for the chip comes without clippy. */
const chipLints =
  environment().toolchain?.what === "rustup"
    ? [...images, ...benchImages].map(({ crate, features = [] }) => ({
        run: [
          "cargo",
          "clippy",
          "--locked",
          ...manifest,
          "--target",
          chip,
          "-p",
          crate,
          "--features",
          features.join(","),
          ...denied,
        ],
      }))
    : [];

/** Every suite: the command, and how its tests are counted when it has any. */
const vitest = [
  "node_modules/.bin/vitest",
  "run",
  "--reporter=default",
  "--reporter=json",
  `--outputFile.json=${report}`,
];
const suites = {
  format: [
    { run: ["cargo", "fmt", ...manifest, "--all", "--check"] },
    { run: ["node_modules/.bin/oxfmt", "--check"] },
  ],
  lint: [
    { run: ["node_modules/.bin/oxlint"] },
    { run: ["node_modules/.bin/tsc"] },
    { run: ["cargo", "clippy", "--locked", ...manifest, ...laptop, "--all-targets", ...denied] },
    ...chipLints,
    // Links that lead nowhere, and the like, in what a reader of the portable crates is shown.
    { run: ["cargo", "doc", "--locked", ...manifest, "--no-deps", ...portable], env: strictDocs },
  ],
  rust: [
    {
      run: ["cargo", "test", "--locked", ...manifest, ...laptop, "--no-fail-fast"],
      count: countRust,
    },
  ],
  typescript: [{ run: vitest, count: () => countVitest(report), again }],
};

/** Runs a command with its output shown as it comes; resolves to its exit code and what it printed. */
function execute([name, ...words], env = {}) {
  return new Promise((resolve) => {
    const child = spawn(name, words, {
      cwd: root,
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, ...env },
    });
    let output = "";
    child.stdout.setEncoding("utf8");
    child.stdout.on("data", (text) => {
      output += text;
      process.stdout.write(text);
    });
    child.on("error", (error) => resolve({ code: 127, output: `${error.message}\n` }));
    child.on("close", (code) => resolve({ code: code ?? 1, output }));
  });
}

/**
 * Runs the files of the tests that failed once more, one after the other, and corrects the counts by what passes then.
 * @param {{ passed: number, failed: number }} counts
 */
async function again(counts) {
  const failed = failuresOf(report);
  if (failed.length === 0 || failed.length !== counts.failed || failed.length > mostAgain) return;
  const files = new Set(failed.map(({ file }) => relative(root, file)));
  process.stdout.write(`\n== again, alone: ${[...files].join(" ")}\n`);
  rmSync(report, { force: true });
  const { code } = await execute([...vitest, "--no-file-parallelism", ...files]);
  if (code !== 0) return;
  counts.passed += failed.length;
  counts.failed = 0;
  for (const { file, name } of failed) unsteady.push(`${relative(root, file)}: ${name}`);
}

const unknown = chosen.filter((name) => !(name in suites));
if (unknown.length > 0) {
  process.stderr.write(
    `no suite ${unknown.join(", ")}; there are: ${Object.keys(suites).join(", ")}\n`,
  );
  process.exit(2);
}

const total = { passed: 0, failed: 0, skipped: 0 };
const troubles = [];
/** Tests that failed beside others and passed alone. */
const unsteady = [];
mkdirSync(join(root, ".cache"), { recursive: true });
for (const [name, commands] of Object.entries(suites)) {
  if (chosen.length > 0 && !chosen.includes(name)) continue;
  for (const { run, count, env, again: repeat } of commands) {
    rmSync(report, { force: true });
    const began = Date.now();
    process.stdout.write(`\n== ${name}: ${run.join(" ")}\n`);
    const { code, output } = await execute(run, env);
    const counts = count?.(output) ?? { passed: 0, failed: 0, skipped: 0 };
    // A failure that no test reported (a compiler error, a crash, no test at all) is still one.
    if (code !== 0 && counts.failed === 0) counts.failed = 1;
    if (count && counts.passed + counts.failed === 0) counts.failed = 1;
    if (counts.failed > 0) await repeat?.(counts);
    for (const key of Object.keys(total)) total[key] += counts[key];
    const words = count
      ? `${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`
      : code === 0
        ? "clean"
        : "FAILED";
    process.stdout.write(`== ${name}: ${words} in ${Math.round((Date.now() - began) / 1000)} s\n`);
    if (counts.failed > 0) troubles.push(`${name}: ${run.join(" ")}`);
  }
}

if (unsteady.length > 0)
  process.stdout.write(`\nunsteady:\n${unsteady.map((line) => `  ${line}\n`).join("")}`);
if (troubles.length > 0)
  process.stdout.write(`\nfailed:\n${troubles.map((line) => `  ${line}\n`).join("")}`);
process.stdout.write(
  `\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped\n`,
);
process.exit(troubles.length > 0 ? 1 : 0);
