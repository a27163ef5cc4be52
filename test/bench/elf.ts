// Reads from a 32-bit little-endian ELF image what it puts where: flash, static RAM, and how much of it which crate's
// functions and data are. Only what the size figures need.
import { readFileSync } from "node:fs";

export interface Image {
  /** Bytes that the image occupies in flash, initial values of data included. */
  flash: number;
  /** Bytes of RAM taken before anything runs: data, zeroed and left as it is; the stack comes on top. */
  ram: number;
  /** Bytes in flash by the name of the group that `groupOf` gave each symbol. */
  parts: Map<string, number>;
  /** Bytes of static RAM by symbol. */
  ramParts: Map<string, number>;
  /** What takes place in memory, flash and RAM: from where to where. */
  places: { start: number; end: number; writable: boolean }[];
}

interface Section {
  kind: number;
  flags: number;
  address: number;
  offset: number;
  size: number;
  link: number;
}

const [programBits, symbolTable, noBits] = [1, 2, 8];
const [writable, allocated] = [1, 2];

export function readImage(path: string, groupOf: (symbol: string) => string): Image {
  const bytes = readFileSync(path);
  if (bytes.readUInt32BE(0) !== 0x7f454c46 || bytes[4] !== 1)
    throw new Error(`${path} is not a 32-bit ELF image`);
  const table = bytes.readUInt32LE(32);
  const sections: Section[] = Array.from({ length: bytes.readUInt16LE(48) }, (_, index) => {
    const word = (number: number) =>
      bytes.readUInt32LE(table + index * bytes.readUInt16LE(46) + number * 4);
    return {
      kind: word(1),
      flags: word(2),
      address: word(3),
      offset: word(4),
      size: word(5),
      link: word(6),
    };
  });
  const loaded = sections.filter(({ flags, size }) => flags & allocated && size > 0);
  const inFlash = loaded.filter(({ kind }) => kind !== noBits);
  const flash = inFlash.reduce((sum, { size }) => sum + size, 0);
  const ram = loaded
    .filter(({ flags }) => flags & writable)
    .reduce((sum, { size }) => sum + size, 0);

  const parts = new Map<string, number>();
  const ramParts = new Map<string, number>();
  const symbols = sections.find(({ kind }) => kind === symbolTable);
  const names = sections[symbols?.link ?? -1];
  const seen = new Set<number>();
  const add = (to: Map<string, number>, group: string, size: number) =>
    to.set(group, (to.get(group) ?? 0) + size);
  for (
    let at = symbols?.offset ?? 0;
    symbols && names && at < symbols.offset + symbols.size;
    at += 16
  ) {
    const size = bytes.readUInt32LE(at + 8);
    const section = sections[bytes.readUInt16LE(at + 14)];
    const address = bytes.readUInt32LE(at + 4);
    // Functions that the linker folded together share an address and are counted once.
    if (size === 0 || !section || !loaded.includes(section) || seen.has(address)) continue;
    seen.add(address);
    const start = names.offset + bytes.readUInt32LE(at);
    const symbol = bytes.toString("latin1", start, bytes.indexOf(0, start));
    if (section.kind === programBits && inFlash.includes(section))
      add(parts, groupOf(symbol), size);
    if (section.flags & writable) add(ramParts, symbol, size);
  }
  const sum = (of: Map<string, number>) => [...of.values()].reduce((all, size) => all + size, 0);
  parts.set("constants without a name", flash - sum(parts));
  ramParts.set("without a name", ram - sum(ramParts));
  const places = loaded.map(({ address, size, flags }) => ({
    start: address,
    end: address + size,
    writable: (flags & writable) !== 0,
  }));
  return { flash, ram, parts, ramParts, places };
}
