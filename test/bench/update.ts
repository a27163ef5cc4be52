// What an update costs: on the wire, on the chip in its phases, for the module that runs meanwhile, and until the new one's first output.
import { execFileSync, spawn } from "node:child_process";
import { sign } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import binaryen from "binaryen";
import { chipCargo, root, targetFolder } from "../../host/setup.mjs";
import { customSection } from "../../host/lib/contract.ts";
import { Node } from "../../host/lib/node.ts";
import {
  generateKey,
  makeFlash,
  makePackage,
  writeKey,
  type KeyPair,
} from "../../host/lib/package.ts";
import {
  customBody,
  encodeFacts,
  joinSections,
  noFacts,
  sections,
} from "../../host/lib/build/section.ts";
import { chaoticProxy } from "../harness/link.ts";
import { startTarget, unavailable } from "../harness/target.ts";
import { readImage } from "./elf.ts";
import type { Cell, Report } from "./report.ts";

const sizes = [256, 1024, 4096, 12_288];
const blocks = [64, 512, 1024];
/** Milliseconds between two outputs of the modules that are measured. */
const period = 100;

/**
 * A module of so many bytes that publishes the node's milliseconds when it starts, at every tick and at every sample, times `sign`: so its
 * outputs tell when they were made and by which module. Functions of arithmetic and loops fill it up.
 */
export function moduleOf(size: number, sign: 1 | -1): Uint8Array {
  const mixing = (number: number) =>
    `(local.set 1 (i32.xor (i32.mul (local.get 1) (i32.const ${16_777_619 + number})) (local.get 0)))
     (local.set 1 (i32.rotl (i32.add (local.get 1) (i32.const ${number * 977})) (i32.const 13)))
     (local.set 1 (select (local.get 0) (local.get 1) (i32.gt_s (local.get 1) (i32.const 7))))`;
  const filler = (number: number) =>
    `(func (export "f${number}") (param i32) (result i32) (local i32)
      (loop $again
        ${Array.from({ length: 8 }, (_, part) => mixing(number * 8 + part)).join("\n")}
        (br_if $again (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
      (local.get 1))`;
  const compiled = (fillers: number) => {
    const text = `(module
      (import "wasmote" "p" (func $publish (param i32 f32)))
      (import "wasmote" "n" (func $now (result i32)))
      (func $tell (call $publish (i32.const 0)
        (f32.mul (f32.const ${sign}) (f32.convert_i32_s (call $now)))))
      (func (export "start") (call $tell))
      (func (export "sample") (param i32 f32) (call $tell))
      (func (export "tick") (call $tell))
      ${Array.from({ length: fillers }, (_, number) => filler(number)).join("\n")})`;
    const facts = {
      ...noFacts,
      sensors: ["level"],
      outputs: [{ name: "time", unit: "ms" }],
      tick: period,
    };
    return joinSections([
      ...sections(binaryen.parseText(text).emitBinary()),
      { id: 0, body: customBody(customSection, encodeFacts(facts)) },
    ]);
  };
  let best = compiled(0);
  // Later ones are a little longer than the first, by their numbers.
  const each = (compiled(8).length - best.length) / 8 + 3;
  for (let fillers = Math.max(0, Math.floor((size - best.length) / each)); ; fillers++) {
    const next = compiled(fillers);
    if (next.length > size - 8) break;
    best = next;
  }
  // The rest, with its own header of at most six bytes, is a custom section.
  for (let rest = size - best.length; rest >= 0; rest--) {
    const body = customBody("pad", new Uint8Array(Math.max(0, rest)));
    const whole = joinSections([...sections(best), { id: 0, body }]);
    if (whole.length === size) return whole;
  }
  throw new Error(`no module of ${size} bytes can be made`);
}

export function pack(
  module: Uint8Array,
  boardClass: string,
  sequence: number,
  key: KeyPair,
): Uint8Array {
  const needs = { ram: 1024, table: 512, fuel: 1000, sensors: 1, outputs: 1 };
  const names = { vendor: "", name: "bench", version: "1" };
  return makePackage(module, { ...names, class: boardClass, sequence, needs }, key);
}

// ---- on the chip ------------------------------------------------------------------------------------------------------

const chip = "thumbv7em-none-eabihf";

/** Builds an image of test/bench/update with this feature; its path. */
function image(bin: string, feature: string): string {
  const { cargo, words, env } = chipCargo() as { cargo: string; words: string[]; env: object };
  const rest = ["--locked", "--release", "--quiet", "--target", chip, "-p", "wasmote-update"];
  execFileSync(cargo, ["build", ...rest, "--bin", bin, "--features", feature, ...words], {
    cwd: join(root, "firmware"),
    env: { ...process.env, ...env },
    stdio: ["ignore", "ignore", "inherit"],
  });
  return join(targetFolder(), chip, "release", bin);
}

/** Runs an image on a job; the numbers it answers. */
function emulate(path: string, job: Uint8Array): number[] {
  const folder = mkdtempSync(join(tmpdir(), "wasmote-"));
  try {
    writeFileSync(join(folder, "job"), job);
    const words =
      "-M mps2-an386 -icount shift=0 -display none -monitor none -serial none -semihosting-config enable=on,target=native -kernel";
    execFileSync("qemu-system-arm", [...words.split(" "), path], { cwd: folder, timeout: 600_000 });
    const answer = readFileSync(join(folder, "answer"));
    return Array.from({ length: answer.length / 8 }, (_, at) =>
      Number(answer.readBigUInt64LE(at * 8)),
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const phases = ["receive", "hash", "verify", "store", "validate", "activate"] as const;

/** What each phase of an installation takes on the chip, in instructions; and the bytes of code, if packages are compiled. */
export function measure(
  path: string,
  size: number,
  block: number,
  compiled = false,
): Record<string, number> {
  const key = generateKey();
  const length = (bytes: Uint8Array) => {
    const prefix = Buffer.alloc(4);
    prefix.writeUInt32LE(bytes.length);
    return Buffer.concat([prefix, bytes]);
  };
  const head = Buffer.alloc(2);
  head.writeUInt16LE(block | (compiled ? 0x8000 : 0));
  const packages = [
    pack(moduleOf(256, 1), "bench", 1, key),
    pack(moduleOf(size, -1), "bench", 2, key),
  ];
  const numbers = emulate(path, Buffer.concat([head, key.publicKey, ...packages.map(length)]));
  const [
    first,
    second,
    whole = 0,
    receive = 0,
    hash = 0,
    verify = 0,
    store = 0,
    validate = 0,
    activate = 0,
    rest = 0,
  ] = numbers;
  // 2.04 twice: both were installed.
  if (first !== 0x44 || second !== 0x44)
    throw new Error(`the chip refused a package of ${size} bytes: ${numbers.join(" ")}`);
  const sum = receive + hash + verify + store + validate + activate + rest;
  if (Math.abs(sum - whole) > whole * 0.01)
    throw new Error(`the phases take ${sum} instructions, all together ${whole}`);
  // The server's share, the messages' and the queues', goes with what receives.
  const code = numbers.at(-1) ?? 0;
  if (code > 0 !== compiled)
    throw new Error(`${code} bytes of code for a package of ${size} bytes`);
  return { receive: receive + rest, hash, verify, store, validate, activate, whole, code };
}

/** Crates that verify Ed25519, each in an image of its own: flash beyond the image without one, and instructions. */
function signatures(): Cell[][] {
  const key = generateKey();
  const message = Buffer.alloc(100, "wasmote");
  const job = Buffer.concat([key.publicKey, sign(null, message, key.privateKey), message]);
  const flash = (path: string) => readImage(path, () => "all").flash;
  const none = flash(image("signature", "chip"));
  const crates = {
    "ed25519-dalek 3.0.0": "dalek",
    "ed25519-dalek 3.0.0, with tables": "dalek-tables",
    "salty 0.3.0": "salty",
    "ed25519-compact 2.6.1": "compact",
    "ed25519-compact 2.6.1, for size": "compact-small",
  };
  return Object.entries(crates).map(([name, feature]) => {
    const path = image("signature", feature);
    const [instructions = 0, good, bad] = emulate(path, job);
    if (good !== 1 || bad !== 0) throw new Error(`${name} verifies wrongly: ${good} ${bad}`);
    return [name, flash(path) - none, instructions];
  });
}

// ---- on the wire, and for who waits ------------------------------------------------------------------------------------

/** Datagrams and bytes of a push over UDP, in both directions, all of it: the question what is there already, too. */
export async function wire(
  size: number,
  block: number,
): Promise<{ datagrams: number; bytes: number; package: number }> {
  const key = generateKey();
  const folder = mkdtempSync(join(tmpdir(), "wasmote-"));
  const flash = join(folder, "flash");
  writeFileSync(flash, makeFlash({ keys: [key.publicKey] }));
  const board = await startTarget("native", { flash });
  const proxy = await chaoticProxy(board.address, {
    seed: 1,
    loss: 0,
    repeat: 0,
    late: 0,
    delay: 0,
  });
  try {
    await using node = await Node.connect(proxy.address);
    const bytes = pack(moduleOf(size, 1), "native", 1, key);
    await node.push(bytes, { blockSize: block });
    const { passed, bytes: all } = proxy.counts;
    if ((await node.app()).sequence !== 1) throw new Error("the package does not run");
    return { datagrams: passed, bytes: all, package: bytes.length };
  } finally {
    await proxy[Symbol.asyncDispose]();
    await board.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Exchange {
  /** The longest time between two outputs, in milliseconds of the node. */
  gap: number;
  /** From the beginning of the push to the first output of the new module, in milliseconds of the node and of this computer. */
  node: number;
  here: number;
}

/** Replaces a module that publishes by another one while somebody listens. */
export async function replace(target: string, boardClass: string, size: number): Promise<Exchange> {
  const key = generateKey();
  const folder = mkdtempSync(join(tmpdir(), "wasmote-"));
  const flash = join(folder, "flash");
  writeFileSync(flash, makeFlash({ keys: [key.publicKey] }));
  const board = await startTarget(target, { flash });
  try {
    await using node = await Node.connect(board.address);
    await node.push(pack(moduleOf(256, 1), boardClass, 1, key));
    const times: { at: number; here: number }[] = [];
    const done = new AbortController();
    const after = () => times.filter(({ at }) => at < 0).length;
    const listening = (async () => {
      for (;;) {
        // The observation of a package's outputs ends with the package.
        try {
          for await (const { value } of node.observe("outputs/time", done.signal)) {
            if (Math.abs(value) !== Math.abs(times.at(-1)?.at ?? 0))
              times.push({ at: value, here: Date.now() });
            if (after() >= 5) done.abort();
          }
        } catch (error) {
          if (done.signal.aborted) return;
          if (times.length > 10_000) throw error;
        }
        if (done.signal.aborted) return;
      }
    })();
    while (times.length < 5) await new Promise((resolve) => setTimeout(resolve, 20));
    const { uptime } = (await node.info()) as { uptime: number };
    const began = Date.now();
    await node.push(pack(moduleOf(size, -1), boardClass, 2, key));
    await listening;
    const first = times.find(({ at }) => at < 0)!;
    const all = times.map(({ at }) => Math.abs(at));
    const gaps = all.slice(1).map((at, index) => at - (all[index] ?? at));
    return { gap: Math.max(...gaps), node: -first.at - uptime, here: first.here - began };
  } finally {
    await board.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** `wasmote push`, from the start of the process to its end, which is the first output; milliseconds. */
export async function command(size: number): Promise<number> {
  const key = generateKey();
  const folder = mkdtempSync(join(tmpdir(), "wasmote-"));
  writeFileSync(join(folder, "flash"), makeFlash({ keys: [key.publicKey] }));
  writeFileSync(join(folder, "key.pem"), writeKey(key), { mode: 0o600 });
  writeFileSync(join(folder, "module.wasm"), moduleOf(size, 1));
  const board = await startTarget("native", { flash: join(folder, "flash") });
  try {
    const began = Date.now();
    const words = ["push", "module.wasm", "--node", board.address, "--key", "key.pem", "--json"];
    const child = spawn(process.execPath, [join(root, "dist/wasmote.js"), ...words], {
      cwd: folder,
      stdio: ["ignore", "pipe", "inherit"],
    });
    let text = "";
    for await (const part of child.stdout) text += String(part);
    const whole = Date.now() - began;
    const { first } = JSON.parse(text) as { first?: { after: number } };
    if (first === undefined) throw new Error(`wasmote push saw no output: ${text}`);
    return whole;
  } finally {
    await board.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What the activation of a module takes, interpreted and compiled. */
function activation(path: string, size: number): Cell[] {
  const [interpreted, compiled] = [measure(path, size, 512), measure(path, size, 512, true)];
  const more = compiled["activate"]! - interpreted["activate"]!;
  return [
    size,
    interpreted["activate"]!,
    compiled["activate"]!,
    Math.round(more / size),
    compiled["code"]!,
    // One instruction a cycle, at 168 MHz.
    compiled["activate"]! / 168_000,
  ];
}

const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;

export async function run(): Promise<Report> {
  const notes: string[] = [];
  const install = image("install", "install");
  const chipRows: Cell[][] = [];
  const plot = phases.map((name) => ({ name: name as string, values: [] as number[] }));
  for (const size of sizes) {
    for (const block of blocks) {
      const spent = measure(install, size, block);
      chipRows.push([size, block, ...phases.map((phase) => spent[phase] ?? 0), spent.whole ?? 0]);
      if (block === 512)
        for (const { name, values } of plot) values.push((spent[name] ?? 0) / 1000);
    }
  }
  const wireRows: Cell[][] = [];
  for (const size of sizes)
    for (const block of blocks) {
      const { datagrams, bytes, package: whole } = await wire(size, block);
      const percent = (part: number) => Math.round((part * 1000) / size) / 10;
      wireRows.push([
        size,
        block,
        whole,
        datagrams,
        bytes,
        percent(whole - size),
        percent(bytes - whole),
        percent(bytes - size),
      ]);
    }
  const liveRows: Cell[][] = [];
  const targets = [
    ["native", "native", 14_000],
    ["qemu-stm32", "stm32f407", 6_000],
    ["qemu-mps2", "mps2-an386", 14_000],
  ] as const;
  for (const [target, boardClass, room] of targets) {
    const reason = unavailable(target);
    if (reason !== undefined) {
      notes.push(`${target} is left out: ${reason}.`);
      continue;
    }
    for (const size of sizes) {
      if (size > room) {
        notes.push(`${size} bytes do not fit a slot of ${target}, which has half the size there.`);
        continue;
      }
      const runs: Exchange[] = [];
      for (let i = 0; i < 3; i++) runs.push(await replace(target, boardClass, size));
      const of = (field: keyof Exchange) => median(runs.map((one) => one[field]));
      const worst = Math.max(...runs.map(({ gap }) => gap)) / period;
      liveRows.push([target, size, of("gap") / period, worst, of("node"), of("here")]);
    }
  }
  const commandRows: Cell[][] = [];
  if (existsSync(join(root, "dist/wasmote.js")))
    for (const size of sizes.slice(0, 3)) {
      const runs: number[] = [];
      for (let i = 0; i < 3; i++) runs.push(await command(size));
      commandRows.push([size, median(runs)]);
    }
  else notes.push("`wasmote push` is left out: npm run build makes it.");
  const over = (size: number, block: number) =>
    wireRows.find(([s, b]) => s === size && b === block)?.at(-1) as number;
  notes.unshift(
    `On the wire the largest module takes ${over(12_288, 64)} % more than itself in blocks of 64 bytes and ${over(12_288, 512)} % in blocks of 512; the aims are 35 and 12. ` +
      "The envelope of about 160 bytes, with signature and digest, weighs more the smaller the module is: below 4 KiB these aims are not met.",
    "Erasing the chip's flash stalls it for 0.25 to 0.5 s (RM0090, 16 KiB), which no emulator shows: a module with a shorter period than that misses more outputs than is said here.",
    "QEMU's serial line takes no time: at 115,200 baud it adds 0.087 ms a byte, 0.11 s for 1 KiB in blocks of 1024.",
    "ed25519-dalek without tables is the node's: tables make it 7 % faster for 8 KiB more, salty is 5 KiB smaller at twice the instructions, ed25519-compact is as fast and as large.",
    "Milliseconds of this computer depend on what else it does. Instructions do not.",
  );
  return {
    name: "update",
    title: "Updates: the wire, the chip, and who waits",
    method:
      "Packages with modules of 256 bytes to 12 KiB, of functions with arithmetic and loops. Instructions: the node's own code on an emulated Cortex-M4F " +
      "(QEMU, one instruction a nanosecond), which gets the package in datagrams as from a client while another module is installed; the phases are told " +
      "by the node's Runner. Wire: a push over UDP through a proxy that counts, both directions. Pause and time: a module that publishes every " +
      `${period} ms is replaced by one that publishes when it starts; both publish the node's clock.`,
    notes,
    tables: [
      {
        title: "Instructions on the node",
        columns: ["module", "block", ...phases, "all"],
        rows: chipRows,
      },
      {
        title: "Activation, interpreted and compiled",
        columns: [
          "module",
          "interpreted",
          "compiled",
          "more, for each byte of the module",
          "bytes of code",
          "compiled, ms of instructions at 168 MHz",
        ],
        rows: sizes.map((size) => activation(install, size)),
      },
      {
        title: "On the wire",
        columns: [
          "module",
          "block",
          "package",
          "datagrams",
          "bytes",
          "envelope, %",
          "protocol, %",
          "more than the module, %",
        ],
        rows: wireRows,
      },
      {
        title: "Pause, and time to the first output (median of three)",
        columns: [
          "target",
          "module",
          "longest pause, periods",
          "worst of three",
          "first output, node's ms",
          "ms here",
        ],
        rows: liveRows,
      },
      {
        title: "`wasmote push` to the native node, process and all (median of three)",
        columns: ["module", "ms here"],
        rows: commandRows,
      },
      {
        title: "Verifying Ed25519 on the Cortex-M4F",
        columns: ["crate", "bytes of flash", "instructions"],
        rows: signatures(),
      },
    ],
    plots: [
      {
        title: "An installation in blocks of 512",
        unit: "thousand instructions",
        labels: sizes.map((size) => `${size} bytes`),
        series: plot,
      },
    ],
  };
}
