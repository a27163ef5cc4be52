// Bytes: the firmware images and what they are made of.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../host/setup.mjs";
import { readImage } from "./elf.ts";
import type { Cell, Report } from "./report.ts";

/** The images in dist/ and what each may occupy: flash and static RAM, in bytes. */
export const budgets = [{ image: "stm32f407-discovery.elf", flash: 256 * 1024, ram: 96 * 1024 }];

/** Parts of an image, each by what its symbols mention; the first that fits gets the symbol. */
const groups: [string, RegExp][] = [
  ["engine", /wasmote_engine/],
  ["coap", /wasmote_coap/],
  ["node", /wasmote_node/],
  ["signature", /salty|ed25519|curve25519|sha2|digest/],
  ["net", /wasmote_net|smoltcp/],
  ["board", /stm32|mps2|rtic|cortex_m|embedded_hal|fugit|Reset|^[A-Z][A-Za-z0-9_]+$/],
];

export function partOf(symbol: string): string {
  return groups.find(([, mentioned]) => mentioned.test(symbol))?.[0] ?? "language";
}

export async function run(): Promise<Report> {
  const rows: Cell[][] = [];
  const notes: string[] = [];
  const parts: Cell[][] = [];
  for (const { image, flash, ram } of budgets) {
    const path = join(root, "dist", image);
    if (!existsSync(path)) {
      notes.push(`${image} is left out: it has not been built here.`);
      continue;
    }
    const found = readImage(path, partOf);
    if (found.flash > flash || found.ram > ram) {
      throw new Error(
        `${image} takes ${found.flash} bytes of flash and ${found.ram} of RAM; it may take ${flash} and ${ram}`,
      );
    }
    rows.push([image, found.flash, flash, found.ram, ram]);
    for (const name of [
      ...groups.map(([group]) => group),
      "language",
      "constants without a name",
    ]) {
      parts.push([image, name, found.parts.get(name) ?? 0]);
    }
  }
  return {
    name: "size",
    title: "Size: flash and RAM",
    method:
      "Read from the linked images: sections for the totals, symbols for the parts. `language` is Rust's core library, the compiler's " +
      "routines and small crates; a generic function counts for the crate it is made for.",
    notes,
    tables: [
      { title: "Images", columns: ["image", "flash", "may take", "static RAM", "may take"], rows },
      { title: "Parts of the flash", columns: ["image", "part", "bytes"], rows: parts },
    ],
    plots: [],
  };
}
