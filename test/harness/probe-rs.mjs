#!/usr/bin/env node
// A probe-rs without a probe: its flash is the file that PROBE_FLASH names, and is erased by whole sectors as the STM32F407's is
// (RM0090 §3.3). Takes the words that the command line gives it, and refuses others.
import { existsSync, readFileSync, writeFileSync } from "node:fs";

const start = 0x0800_0000;
const sectors = [16, 16, 16, 16, 64, 128, 128, 128, 128, 128, 128, 128].map((size) => size << 10);
const store = process.env.PROBE_FLASH;
const flash = existsSync(store) ? readFileSync(store) : Buffer.alloc(1 << 20, 0xff);

const [verb, ...words] = process.argv.slice(2);
const given = { file: undefined, restore: false, binary: false, at: start };
while (words.length > 0) {
  const word = words.shift();
  if (word === "--chip") words.shift();
  else if (word === "--verify") continue;
  else if (word === "--restore-unwritten") given.restore = true;
  else if (word === "--binary-format") given.binary = words.shift() === "bin";
  else if (word === "--base-address") given.at = Number(words.shift());
  else if (word.startsWith("-") || given.file !== undefined) process.exit(2);
  else given.file = word;
}
if (verb === "reset") process.exit(0);
if (verb !== "download") process.exit(2);

/** What an image for the chip puts into flash: its loaded segments, by their physical addresses. */
function segments(bytes) {
  if (given.binary) return [{ at: given.at - start, data: bytes }];
  const [table, size, count] = [
    bytes.readUInt32LE(28),
    bytes.readUInt16LE(42),
    bytes.readUInt16LE(44),
  ];
  return Array.from({ length: count }, (_, index) => table + index * size)
    .filter((at) => bytes.readUInt32LE(at) === 1 && bytes.readUInt32LE(at + 16) > 0)
    .map((at) => {
      const [offset, , physical, length] = [4, 8, 12, 16].map((f) => bytes.readUInt32LE(at + f));
      return { at: physical - start, data: bytes.subarray(offset, offset + length) };
    });
}

const parts = segments(readFileSync(given.file));
const before = Buffer.from(flash);
let at = 0;
for (const size of sectors) {
  const end = at + size;
  const inside = (part) => part.at < end && part.at + part.data.length > at;
  if (parts.some(inside)) {
    flash.fill(0xff, at, end);
    if (given.restore) before.copy(flash, at, at, end);
  }
  at = end;
}
for (const part of parts) part.data.copy(flash, part.at);
writeFileSync(store, flash);
