// libFuzzer on the engine: builds its targets, runs one of them, and reads what it says.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { command, environment, root, targetFolder } from "../../host/setup.mjs";

/**
 * What there is to fuzz: modules (see test/fuzz/src/lib.rs), messages of EDHOC (see test/fuzz/targets/handshake.rs), and programs of what
 * happens to a secured node (see test/fuzz/src/secure.rs).
 */
export const targets = ["validate", "run", "handshake", "secure"] as const;
export type Target = (typeof targets)[number];

/** The modules that are kept, for both targets: what libFuzzer chose is named by its SHA-1, what once failed by what it did. */
export const corpus = join(import.meta.dirname, "corpus");

/** The inputs that are kept for a target. */
export function corpusOf(target: Target): string {
  const folders = {
    validate: "corpus",
    run: "corpus",
    handshake: "handshakes",
    secure: "programs",
  };
  return join(import.meta.dirname, folders[target]);
}

/** Why there is no fuzzing here, if there is none. */
export function missingFuzzer(): string | undefined {
  return command("c++") ? undefined : (environment().cxx?.what ?? "no C++ compiler");
}

/** What a run came to. An edge is a place that code goes through; a feature an edge so many times. */
export interface Fuzzed {
  /** Inputs executed. */
  runs: number;
  /** All edges there are. */
  all: number;
  /** Covered by the inputs it began with, and at its end. */
  edges: [number, number];
  features: [number, number];
  /** The share of inputs that were accepted: as modules, or as a handshake that came to its end. */
  accepted: number;
}

/** An input that made a target fail. */
export class Finding extends Error {
  override name = "Finding";
  readonly input: Uint8Array;
  constructor(target: Target, path: string, output: string) {
    const input = readFileSync(path);
    const told = output.match(/panicked at[^]*?(?=\n *stack backtrace|\n==)|^==.*ERROR.*/m)?.[0];
    super(
      `${told ?? output}\n\n${input.length} bytes made the target ${target} fail:\n${input.toString("hex")}\n` +
        `To see it again: xxd -r -p > input, and npm run fuzz -- ${target} input. Once that is mended, the input is kept\n` +
        `as ${relative(root, corpusOf(target))}/WHAT-IT-DID${corpusOf(target) === corpus ? ".wasm" : ""}.`,
    );
    this.input = input;
  }
}

/** Runs a program; its output as it comes to `hear`, and whole. */
function execute(name: string, words: string[], env: object, hear?: (text: string) => void) {
  return new Promise<{ code: number | null; output: string }>((resolve, reject) => {
    const child = spawn(name, words, {
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text: string) => {
        output += text;
        hear?.(text);
      });
    }
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, output }));
  });
}

/**
 * Builds the targets, what they are about with coverage counters, the engine with every trust checked. Of all else it uses what is built for the
 * Rust tests anyway.
 */
export async function buildTargets(): Promise<void> {
  const manifest = join(root, "firmware/Cargo.toml");
  const words = `build --locked --manifest-path ${manifest} -p wasmote-fuzz --features libfuzzer`;
  const env = { RUSTC_WORKSPACE_WRAPPER: join(import.meta.dirname, "instrument.sh") };
  const { code, output } = await execute("cargo", words.split(" "), env);
  if (code !== 0) throw new Error(`the fuzz targets cannot be built:\n${output}`);
}

/**
 * Runs a target with options of libFuzzer's, and files to try once or folders of inputs, to the first of which it adds. Throws a
 * {@link Finding} for an input that fails.
 */
export async function fuzz(
  target: Target,
  options: string[],
  inputs: string[],
  hear?: (text: string) => void,
): Promise<Fuzzed> {
  const program = join(targetFolder(), `debug/fuzz-${target}`);
  const artifacts = mkdtempSync(join(tmpdir(), "wasmote-fuzz-"));
  try {
    const words = [...options, "-print_final_stats=1", `-artifact_prefix=${artifacts}/`, ...inputs];
    const { code, output } = await execute(program, words, {}, hear);
    const [artifact] = readdirSync(artifacts);
    if (artifact !== undefined) throw new Finding(target, join(artifacts, artifact), output);
    if (code !== 0) throw new Error(`${target} ended with ${code}:\n${output}`);
    return read(output);
  } finally {
    rmSync(artifacts, { recursive: true });
  }
}

function read(output: string): Fuzzed {
  const numbers = (pattern: RegExp) =>
    [...output.matchAll(pattern)].map((found) => found.slice(1).map(Number));
  const states = numbers(/^#\d+\s+(?:INITED|DONE)\s+cov: (\d+) ft: (\d+)/gm);
  const [first, last] = [states[0] ?? [], states.at(-1) ?? []];
  const [good = 0, tried = 1] = numbers(/^(\d+) of (\d+) inputs accepted/gm).at(-1) ?? [];
  return {
    runs: numbers(/^stat::number_of_executed_units: (\d+)/gm)[0]?.[0] ?? 0,
    all: numbers(/\((\d+) inline 8-bit counters\)/g)[0]?.[0] ?? 0,
    edges: [first[0] ?? 0, last[0] ?? 0],
    features: [first[1] ?? 0, last[1] ?? 0],
    accepted: good / tried,
  };
}
