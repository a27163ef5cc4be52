// Packages from the hub, by digest, with a cache on the disk: a gateway that is cut off still has what it had.
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { writeWhole } from "../../../lib/state.ts";

/** Packages that are kept; the ones that were used longest ago go. */
const mostKept = 64;

export class Packages {
  readonly #folder: string;
  readonly #fetch: (digest: string) => Promise<Uint8Array>;

  /** `fetch` gets a package from afar; what it brings is not believed. */
  constructor(folder: string, fetch: (digest: string) => Promise<Uint8Array>) {
    this.#folder = folder;
    this.#fetch = fetch;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  }

  async get(digest: string): Promise<Uint8Array> {
    const kept = this.#kept(digest);
    if (kept !== undefined) return kept;
    const bytes = await this.#fetch(digest);
    if (digestOf(bytes) !== digest) throw new Error("the package is not the one of this digest");
    this.#keep(digest, bytes);
    return bytes;
  }

  #kept(digest: string): Uint8Array | undefined {
    try {
      const bytes = new Uint8Array(readFileSync(this.#file(digest)));
      return digestOf(bytes) === digest ? bytes : undefined;
    } catch {
      return undefined;
    }
  }

  /** Whole or not at all; a disk that takes nothing costs only the cache. */
  #keep(digest: string, bytes: Uint8Array): void {
    try {
      writeWhole(this.#file(digest), bytes, 0o600);
      const all = readdirSync(this.#folder)
        .map((name) => join(this.#folder, name))
        .map((file) => ({ file, time: statSync(file).mtimeMs }))
        .toSorted((a, b) => b.time - a.time);
      for (const { file } of all.slice(mostKept)) rmSync(file, { force: true });
    } catch {
      // The next time it is fetched again.
    }
  }

  #file(digest: string): string {
    return join(this.#folder, `${digest}.wpkg`);
  }
}

const digestOf = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
