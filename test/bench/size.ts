// Bytes: programs as source, as modules and as native code; the firmware images and what they are made of.
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../host/setup.mjs";
import { build } from "../../host/lib/build/build.ts";
import { compiled as compile, inspect } from "../../host/lib/engine.ts";
import { readImage } from "./elf.ts";
import { buildKernel, kernels, realsOf, sourceOf } from "./kernels.ts";
import { missingNative, nativeFilter, nativeKernel } from "./native.ts";
import { figure, type Cell, type Report, type Table } from "./report.ts";

/** The images in dist/ and what each may occupy: flash and static RAM, in bytes. */
export const budgets = [
  // Of the 448 KiB from sector 4 on. Key exchanges (EDHOC) with the curve P-256 took 352 to 376.
  { image: "stm32f407-discovery.elf", flash: 376 * 1024, ram: 96 * 1024 },
  // The engine and next to nothing else: linking fails above this too (test/machine/engine.x).
  { image: "engine.elf", flash: 64 * 1024, ram: 0 },
];

/** Parts of an image, each by what its symbols mention; the first that fits gets the symbol. */
const groups: [string, RegExp][] = [
  ["compiler", /wasmote_compiler/],
  ["engine", /wasmote_engine/],
  ["coap", /wasmote_coap/],
  ["edhoc", /wasmote_edhoc|p256|primeorder|primefield|elliptic_curve|crypto_bigint/],
  ["oscore", /wasmote_oscore|(?:^|\d)(?:aes|ccm|hkdf|hmac|cipher|aead|ctr)\d/],
  ["node", /wasmote_node/],
  ["signature", /salty|ed25519|curve25519|sha2|digest/],
  ["net", /wasmote_net|smoltcp/],
  ["board", /stm32|mps2|rtic|cortex_m|embedded_hal|fugit|Reset|^[A-Z][A-Za-z0-9_]+$/],
];

export function partOf(symbol: string): string {
  // What implements a trait is of the type's crate, not of the trait's: `$LT$Type$u20$as$u20$Trait$GT$`.
  const own = symbol.replace(/\$u20\$as\$u20\$.*?\$GT\$/, "");
  return groups.find(([, mentioned]) => mentioned.test(own))?.[0] ?? "language";
}

/** The name a static has in its source: the last of a mangled path (`_ZN`, then length and word of each, then a hash). */
function staticName(symbol: string): string {
  const words: string[] = [];
  let rest = symbol.replace(/^_ZN/, "");
  for (let found = /^\d+/.exec(rest); found; found = /^\d+/.exec(rest)) {
    const start = found[0].length;
    words.push(rest.slice(start, start + Number(found[0])));
    rest = rest.slice(start + Number(found[0]));
  }
  return words.at(-2)?.replace(/^__rtic_internal_(local_)?/, "") ?? symbol;
}

export async function run(): Promise<Report> {
  const notes: string[] = [];
  const { table, shares } = await programs(notes);
  const drawn = shares.filter(({ name }) => !name.endsWith("f64"));
  return {
    name: "size",
    title: "Size: programs, flash and RAM",
    method:
      "Programs: bytes of the AssemblyScript source (the SDK and the kernels' array.ts are not counted), of the module as asc emits it " +
      "(without its source map's address) and after the build's last step (16 KiB pages, names of sensors and outputs); and of the same as " +
      "native code for the chip: the twin in Rust (test/bench/engine/src) at opt-level s, as an object, as a static library of it, and as a " +
      "shared library without symbols but the dynamic ones, by GNU ld. The last column is what of the shared library would be loaded: code, " +
      "constants, initial values. Compiled on the board: what the node's compiler makes of the module, its table of functions with it. A kernel is the functions setup, run and checksum; of native filters the names of sensors and outputs " +
      "are missing. RAM is what the engine says beforehand of the module; that it takes that much and no more is measured by the benchmark `engine`. " +
      "Images: read from the linked files, sections for the totals, symbols for the parts. `language` is Rust's core library, the compiler's " +
      "routines and small crates; a generic function counts for the crate it is made for.",
    notes,
    tables: [table, ...images(notes)],
    plots: [
      {
        title: "Modules beside native code",
        unit: "bytes; less is better",
        labels: drawn.map(({ name }) => name),
        series: [
          { name: "module", values: drawn.map(({ module }) => module) },
          { name: "native, loaded", values: drawn.map(({ loaded }) => loaded) },
          { name: "native shared library", values: drawn.map(({ library }) => library) },
        ],
      },
    ],
  };
}

interface Share {
  name: string;
  module: number;
  loaded: number;
  library: number;
}

/** A line for each example and kernel. A module that is larger than half of the native shared library is a failure. */
async function programs(notes: string[]): Promise<{ table: Table; shares: Share[] }> {
  const missing = missingNative();
  if (missing) notes.push(`Native code is left out: ${missing}.`);
  const rows: Cell[][] = [];
  const shares: Share[] = [];
  const codes: { name: string; ratio: number }[] = [];
  const add = (
    name: string,
    source: string,
    { compiled, module }: { compiled: Uint8Array; module: Uint8Array },
    native: () => ReturnType<typeof nativeFilter>,
  ) => {
    const { object, staticLibrary, sharedLibrary, loaded } = missing
      ? { object: NaN, staticLibrary: NaN, sharedLibrary: NaN, loaded: NaN }
      : native();
    if (module.length > sharedLibrary / 2)
      throw new Error(
        `${name}: the module takes ${module.length} bytes, more than half of the ${sharedLibrary} of the native shared library`,
      );
    const ram = inspect(module).footprint.total;
    const { code } = compile(module);
    rows.push([
      name,
      statSync(source).size,
      compiled.length,
      module.length,
      object,
      staticLibrary,
      sharedLibrary,
      loaded,
      ram,
      code.length || NaN,
    ]);
    codes.push({ name, ratio: code.length / module.length });
    if (!missing) shares.push({ name, module: module.length, loaded, library: sharedLibrary });
  };
  const examples = join(root, "assembly/examples");
  for (const file of readdirSync(examples).toSorted()) {
    const name = file.replace(/\.ts$/, "");
    add(name, join(examples, file), await build(join(examples, file)), () => nativeFilter(name));
  }
  for (const kernel of kernels) {
    for (const real of realsOf(kernel)) {
      const name = realsOf(kernel).length === 1 ? kernel : `${kernel} ${real}`;
      add(name, sourceOf(kernel), await buildKernel(kernel, real), () =>
        nativeKernel(kernel, real),
      );
    }
  }
  if (shares.length > 0) {
    const part = (of: (share: Share) => number) =>
      shares.map((share) => share.module / of(share)).toSorted((a, b) => a - b);
    const [loaded, library] = [part(({ loaded: bytes }) => bytes), part((share) => share.library)];
    const percent = (share: number | undefined) => `${Math.round((share ?? NaN) * 100)} %`;
    const larger = shares.filter((share) => share.module > share.loaded).map(({ name }) => name);
    notes.push(
      `Larger than the code, constants and initial values of native code alone are ${larger.length} of ${shares.length} modules (at most ${percent(loaded.at(-1))} of them, in the middle ${percent(loaded[loaded.length >> 1])}): ${larger.join(", ") || "none"}.`,
      `Every module is at most half of the native shared library: at most ${percent(library.at(-1))}, in the middle ${percent(library[library.length >> 1])}.`,
    );
  }
  const made = codes.filter(({ ratio }) => ratio > 0).toSorted((a, b) => a.ratio - b.ratio);
  const mean = Math.exp(made.reduce((sum, { ratio }) => sum + Math.log(ratio), 0) / made.length);
  const [least, most] = [made[0], made.at(-1)];
  if (least && most)
    notes.push(
      `Compiled on the board a module takes ${figure(mean)} times its bytes (geometric mean of ${made.length}), from ${figure(least.ratio)} (${least.name}) to ${figure(most.ratio)} (${most.name}); ${codes.length - made.length} are beyond a limit of the compiler and stay interpreted.`,
    );
  const table = {
    title: "Programs",
    columns: [
      "program",
      "source",
      "as asc emits it",
      "module",
      "native object",
      "static library",
      "shared library",
      "of it loaded",
      "RAM of the module",
      "compiled on the board",
    ],
    rows,
  };
  return { table, shares };
}

/** The images in dist/, those without a budget too. */
function images(notes: string[]): Table[] {
  const rows: Cell[][] = [];
  const parts: Cell[][] = [];
  const ramParts: Cell[][] = [];
  const all: { image: string; flash?: number; ram?: number }[] = [...budgets];
  if (!all.some(({ image }) => image === "mps2-an386.elf")) all.push({ image: "mps2-an386.elf" });
  for (const { image, flash, ram } of all) {
    const path = join(root, "dist", image);
    if (!existsSync(path)) {
      notes.push(`${image} is left out: it has not been built here.`);
      continue;
    }
    const found = readImage(path, partOf);
    if (found.flash > (flash ?? Infinity) || found.ram > (ram ?? Infinity)) {
      throw new Error(
        `${image} takes ${found.flash} bytes of flash and ${found.ram} of RAM; it may take ${flash} and ${ram}`,
      );
    }
    rows.push([image, found.flash, flash ?? NaN, found.ram, ram ?? NaN]);
    const names = [...groups.map(([group]) => group), "language"];
    for (const name of [...names, "constants without a name"]) {
      const bytes = found.parts.get(name) ?? 0;
      if (bytes > 0) parts.push([image, name, bytes]);
    }
    // What takes little is counted together.
    const large = [...found.ramParts].filter(([, bytes]) => bytes >= 512);
    for (const [symbol, bytes] of large.toSorted(([, a], [, b]) => b - a))
      ramParts.push([image, staticName(symbol), bytes]);
    const small = large.reduce((rest, [, bytes]) => rest - bytes, found.ram);
    if (small > 0) ramParts.push([image, "all others", small]);
  }
  return [
    { title: "Images", columns: ["image", "flash", "may take", "static RAM", "may take"], rows },
    { title: "Parts of the flash", columns: ["image", "part", "bytes"], rows: parts },
    { title: "Parts of the static RAM", columns: ["image", "part", "bytes"], rows: ramParts },
  ];
}
