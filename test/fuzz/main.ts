// npm run fuzz -- TARGET [--minutes N]     fuzzes on from all that is there, then keeps of it what covers most with least
// npm run fuzz -- TARGET FILE…             tries these inputs once
//
// What comes out of fuzzing is in .cache/fuzz/TARGET. Besides that and what is kept it begins with the modules of the official
// suite and of the examples.
import { execFileSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { build } from "../../host/lib/build/build.ts";
import { root } from "../../host/setup.mjs";
import {
  buildTargets,
  corpus,
  corpusOf,
  Finding,
  fuzz,
  missingFuzzer,
  targets,
  type Target,
} from "./fuzzer.ts";

const cache = join(root, ".cache/fuzz");
const longest = "-max_len=4096";
/** As libFuzzer names an input. */
const bySum = /^[0-9a-f]{40}$/;

/** A folder of modules to begin with, made when there is none. Others need none but what is kept. */
async function seeds(target: Target): Promise<string[]> {
  if (corpusOf(target) !== corpus) return [];
  const folder = join(cache, "seeds");
  if (existsSync(folder)) return [folder];
  const making = `${folder}.new`;
  rmSync(making, { recursive: true, force: true });
  mkdirSync(making, { recursive: true });
  const manifest = join(root, "firmware/Cargo.toml");
  const words = `run --quiet --locked --manifest-path ${manifest} -p wasmote-conformance --example suite --`;
  execFileSync("cargo", [...words.split(" "), making], { stdio: "inherit" });
  const examples = join(root, "assembly/examples");
  for (const name of readdirSync(examples)) {
    const { module } = await build(join(examples, name));
    writeFileSync(join(making, name.replace(/ts$/, "wasm")), module);
  }
  renameSync(making, folder);
  return [folder];
}

/** What was found so far by fuzzing a target. */
function found(target: Target): string {
  const folder = join(cache, target);
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** Replaces what is kept by as few inputs as cover the same edges as all there is. What has a name of its own stays. */
async function keep(target: Target): Promise<void> {
  const kept = corpusOf(target);
  const merged = mkdtempSync(join(tmpdir(), "wasmote-corpus-"));
  for (const name of readdirSync(kept))
    if (!bySum.test(name)) copyFileSync(join(kept, name), join(merged, name));
  // Whole modules first: of what is refused not much is needed beside them.
  const sharing = kept === corpus ? (["run", "validate"] as const) : [target];
  for (const one of sharing) {
    const all = [merged, kept, ...(await seeds(one)), found(one)];
    await fuzz(one, ["-set_cover_merge=1", "-use_counters=0", longest], all);
  }
  for (const name of readdirSync(kept)) if (bySum.test(name)) rmSync(join(kept, name));
  for (const name of readdirSync(merged))
    if (bySum.test(name)) copyFileSync(join(merged, name), join(kept, name));
  rmSync(merged, { recursive: true });
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { minutes: { type: "string", default: "5" } },
});
const [name, ...files] = positionals;
const target = targets.find((one) => one === name);
const seconds = Number(values.minutes) * 60;
if (target === undefined || !(seconds > 0)) {
  process.stderr.write(
    `usage: npm run fuzz -- TARGET [--minutes N | FILE…]\n  TARGET is one of ${targets.join(", ")}\n`,
  );
  process.exit(2);
}
const missing = missingFuzzer();
if (missing) {
  process.stderr.write(`fuzz: ${missing}\n`);
  process.exit(2);
}
try {
  await buildTargets();
  const hear = (text: string) => process.stderr.write(text);
  if (files.length > 0) await fuzz(target, [], files, hear);
  else {
    const all = [found(target), corpusOf(target), ...(await seeds(target))];
    const options = [longest, `-max_total_time=${Math.ceil(seconds)}`];
    const { runs, edges, all: of, accepted } = await fuzz(target, options, all, hear);
    await keep(target);
    process.stdout.write(
      `${runs} inputs, ${Math.round(accepted * 100)} % of them accepted; ${edges[1]} of ${of} edges; ` +
        `${readdirSync(corpusOf(target)).filter((one) => bySum.test(one)).length} inputs kept\n`,
    );
  }
} catch (error) {
  process.stderr.write(`${error instanceof Finding ? error.message : (error as Error).stack}\n`);
  process.exit(1);
}
