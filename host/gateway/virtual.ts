// Virtual resources: an aggregate over many, or the first of several that is fresh. Each is a resource like any other, of the node
// `gateway`, under `virtual/NAME`; what feeds it may fail and be replaced behind the same name.
import type { VirtualConfig } from "./config.ts";
import { matchesAny, type Envelope } from "./envelope.ts";
import type { Hub } from "./hub.ts";

/** The node that virtual resources belong to. */
export const ownNode = "gateway";

interface Known {
  value: number;
  time: number;
}

class Virtual {
  readonly config: VirtualConfig;
  /** The newest value of each source that has one, by its place in the list of sources. */
  readonly #known = new Map<string, Known & { rank: number }>();
  /** What was published last; undefined before the first value, null in a gap. */
  #shown: number | null | undefined;

  constructor(config: VirtualConfig) {
    this.config = config;
  }

  /** Takes a value, and says whether it is one of the sources'. */
  take({ node, resource, time, value, gap }: Envelope): boolean {
    const key = `${node}/${resource}`;
    const rank = this.config.sources.findIndex((source) => {
      const slash = source.indexOf("/");
      return (
        matchesAny([source.slice(0, slash)], node) &&
        matchesAny([source.slice(slash + 1)], resource)
      );
    });
    if (rank < 0) return false;
    if (gap || value === null) this.#known.delete(key);
    else this.#known.set(key, { value, time, rank });
    return true;
  }

  /** The value now; null where no source is fresh. */
  value(now: number): number | null {
    const oldest = now - this.config.fresh * 1000;
    // A clock that was put back: what seems to come from the future is as old as this moment, and ages from here on.
    for (const one of this.#known.values()) one.time = Math.min(one.time, now);
    const fresh = [...this.#known.values()].filter(({ time }) => time >= oldest);
    if (this.config.kind === "aggregate" && this.config.function === "count") return fresh.length;
    if (fresh.length === 0) return null;
    if (this.config.kind === "fallback")
      return fresh.reduce((best, one) =>
        one.rank < best.rank || (one.rank === best.rank && one.time > best.time) ? one : best,
      ).value;
    const values = fresh.map(({ value }) => value);
    switch (this.config.function) {
      case "mean":
        return values.reduce((a, b) => a + b, 0) / values.length;
      case "min":
        return values.reduce((a, b) => Math.min(a, b));
      case "max":
        return values.reduce((a, b) => Math.max(a, b));
      case "sum":
        return values.reduce((a, b) => a + b, 0);
      default:
        return fresh.reduce((newest, one) => (one.time > newest.time ? one : newest)).value;
    }
  }

  /** What is to be published, if anything: each value of a source; when only time has passed, only a change. */
  next(now: number, fed: boolean): { value: number | null; gap?: true } | undefined {
    const value = this.value(now);
    const before = this.#shown;
    this.#shown = value;
    if (value === null)
      return before === null || before === undefined ? undefined : { value, gap: true };
    return fed || value !== before ? { value } : undefined;
  }
}

export class Virtuals {
  readonly #hub: Hub;
  readonly #all: Virtual[];
  readonly #timer: NodeJS.Timeout;

  constructor(hub: Hub, configs: readonly VirtualConfig[]) {
    this.#hub = hub;
    this.#all = configs.map((config) => new Virtual(config));
    // Age makes a source drop out without a word.
    this.#timer = setInterval(() => this.tick(), 500);
    this.#timer.unref();
  }

  take(envelope: Envelope): void {
    if (envelope.node === ownNode) return;
    for (const one of this.#all) if (one.take(envelope)) this.#publish(one, envelope.time, true);
  }

  tick(now = Date.now()): void {
    for (const one of this.#all) this.#publish(one, now, false);
  }

  #publish(one: Virtual, time: number, fed: boolean): void {
    const next = one.next(time, fed);
    if (next !== undefined)
      this.#hub.publish({ node: ownNode, resource: `virtual/${one.config.name}`, time, ...next });
  }

  names(): string[] {
    return this.#all.map(({ config }) => config.name);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
