// Sequence numbers of a security context that survive crashes and serve several processes at once: none is ever used twice, and some are
// skipped. They are reserved in blocks (RFC 8613 §B.1.1), each by a file whose name is its number: whoever creates it has the block.
import { closeSync, existsSync, fsyncSync, openSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { makeFolder } from "../state.ts";
import type { SequenceNumbers } from "./oscore.ts";

/**
 * Numbers in a block: what a crash skips. Half of a node's replay window (RFC 8613 §7.4): where two processes send at the same time, the
 * numbers of one are not older than the window that those of the other have moved.
 */
const block = 16;

export class ReservedNumbers implements SequenceNumbers {
  readonly #folder: string;
  #next = 0;
  #end = 0;
  /** The block that they are in. */
  #mine = -1;

  /** Numbers that are reserved in this folder, which is made when it is not there; one folder for one context, never copied. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  take(): number {
    // Another process may have gone on: what comes after its numbers would be taken for a replay.
    if (this.#next === this.#end || this.#highest() > this.#mine) {
      this.#next = this.#reserve() * block;
      this.#end = this.#next + block;
    }
    return this.#next++;
  }

  /** The number of a block that nobody has, and nobody ever had. */
  #reserve(): number {
    makeFolder(this.#folder, 0o700);
    for (;;) {
      // Also where somebody has emptied the folder.
      const mine = Math.max(this.#highest(), this.#mine) + 1;
      if (!create(join(this.#folder, String(mine)))) continue;
      // The highest file is never removed. So where this is not the highest now, its number may have been given and removed before.
      const highest = this.#highest();
      if (highest === mine) {
        flush(this.#folder);
        this.#clear(mine);
        this.#mine = mine;
        return mine;
      }
      rmSync(join(this.#folder, String(mine)), { force: true });
    }
  }

  #blocks(): number[] {
    return (existsSync(this.#folder) ? readdirSync(this.#folder) : [])
      .filter((name) => /^\d{1,15}$/.test(name))
      .map(Number);
  }

  #highest(): number {
    return this.#blocks().reduce((most, one) => Math.max(most, one), -1);
  }

  #clear(below: number): void {
    for (const one of this.#blocks())
      if (one < below) rmSync(join(this.#folder, String(one)), { force: true });
  }
}

/** Creates a file on disk; `false` when there is one. */
function create(file: string): boolean {
  let handle: number;
  try {
    handle = openSync(file, "wx", 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  return true;
}

/** Sees to it that the entries of a folder are on disk. */
function flush(folder: string): void {
  const handle = openSync(folder, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
