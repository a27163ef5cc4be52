// Links that are slower than this gateway: how many bytes of packages a second they get, and how many nodes behind them at once. A radio that
// is full of a package carries no values.
import { setTimeout as delay } from "node:timers/promises";
import { matchesAny } from "./envelope.ts";
import { steady } from "./steady.ts";

export interface LinkConfig {
  name: string;
  /** Patterns of names. */
  nodes: string[];
  /** Bytes of packages a second, for all nodes of the link together. */
  rate: number;
  /** Nodes that are sent to at once. */
  atOnce: number;
}

/** Seconds that one block may take at most, as far as blocks can be made smaller. */
const longestBlock = 4;

/** One link: whoever sends over it waits for his turn. */
export class SharedLink {
  readonly name: string;
  readonly rate: number;
  readonly atOnce: number;
  /** When the bytes that were granted so far are over, by the clock that nobody sets. */
  #free = -Infinity;

  constructor({ name, rate, atOnce }: LinkConfig) {
    this.name = name;
    this.rate = rate;
    this.atOnce = atOnce;
  }

  /** Bytes of a block (RFC 7959: a power of two from 16): small where the link is slow, so that values come between. */
  get blockSize(): number {
    const most = this.rate * longestBlock;
    return [512, 256, 128, 64, 32].find((size) => size <= most) ?? 16;
  }

  /** Milliseconds that so many bytes take, while others of the link are sent to as well. */
  needed(bytes: number): number {
    return (bytes / this.rate) * 1_000 * this.atOnce;
  }

  /** Resolves when it is the turn of so many bytes; rejects when the signal fires. */
  async turn(bytes: number, signal?: AbortSignal): Promise<void> {
    const now = steady();
    const begin = Math.max(now, this.#free);
    this.#free = begin + (bytes / this.rate) * 1_000;
    if (begin > now) await delay(begin - now, undefined, signal === undefined ? {} : { signal });
  }
}

export class SharedLinks {
  readonly #links: { nodes: string[]; link: SharedLink }[];

  constructor(configs: readonly LinkConfig[] = []) {
    this.#links = configs.map((config) => ({ nodes: config.nodes, link: new SharedLink(config) }));
  }

  /** The link of a node: the first that names it. */
  of(node: string): SharedLink | undefined {
    return this.#links.find(({ nodes }) => matchesAny(nodes, node))?.link;
  }
}
