// The observation hub: each value comes in once, and goes to any number of viewers.
//
//   node --CoAP observation--> publish() --> ring (replay) --> viewers, each at its own pace
//
// A viewer that does not keep up is not waited for: of each resource it gets the newest value and the number of those that were
// left out. Nothing is dropped silently.
import { matches, type Envelope, type Filter } from "./envelope.ts";

/** Where envelopes of one viewer go. */
export interface Sink {
  /** Takes an envelope; false means that it is the last one until `Viewer.drained`. */
  send(envelope: Envelope): boolean;
}

export interface Viewer {
  /** The channel has room again: what waited goes out. */
  drained(): void;
  close(): void;
}

/** What was missed since a sequence number; `whole` is false where the ring does not reach back so far. */
export interface Replay {
  envelopes: Envelope[];
  whole: boolean;
}

/** Envelopes that are kept for those who come back. */
const ringSize = 4096;
/** Numbers that are reserved at a time. */
const reservedAtOnce = 1 << 20;

interface Held {
  newest: Envelope;
  left: number;
}

class Queue implements Viewer {
  readonly filter: Filter;
  readonly #sink: Sink;
  readonly #leave: () => void;
  /** While the channel is full: the newest of each resource. Bounded by the number of resources. */
  #held: Map<string, Held> | undefined;
  dropped = 0;

  constructor(filter: Filter, sink: Sink, leave: (queue: Queue) => void) {
    this.filter = filter;
    this.#sink = sink;
    this.#leave = () => leave(this);
  }

  offer(envelope: Envelope): void {
    if (this.#held === undefined) {
      if (!this.#sink.send(envelope)) this.#held = new Map();
      return;
    }
    const key = `${envelope.node}/${envelope.resource}`;
    const before = this.#held.get(key);
    if (before !== undefined) this.dropped++;
    this.#held.set(key, { newest: envelope, left: before === undefined ? 0 : before.left + 1 });
  }

  drained(): void {
    const held = this.#held;
    if (held === undefined) return;
    this.#held = undefined;
    for (const { newest, left } of [...held.values()].toSorted(
      (a, b) => a.newest.seq - b.newest.seq,
    ))
      this.offer(left === 0 ? newest : { ...newest, dropped: left });
  }

  close(): void {
    this.#leave();
  }
}

export class Hub {
  #seq: number;
  #reserved = 0;
  readonly #reserve: (upTo: number) => void;
  readonly #ring: (Envelope | undefined)[] = Array.from({ length: ringSize });
  readonly #queues = new Set<Queue>();
  readonly #newest = new Map<string, Envelope>();
  #droppedOfGone = 0;

  /**
   * `first` is beyond every number an earlier run of this gateway gave out, so that its numbers are recognised as gone. `reserve` is told in
   * advance up to which number this run may go.
   */
  constructor(first: number = Date.now() * 1024, reserve: (upTo: number) => void = () => {}) {
    this.#seq = first;
    this.#reserve = reserve;
    this.#reserveMore();
  }

  #reserveMore(): void {
    this.#reserved = this.#seq + reservedAtOnce;
    this.#reserve(this.#reserved);
  }

  publish(value: Omit<Envelope, "seq">): Envelope {
    const envelope: Envelope = { seq: ++this.#seq, ...value };
    if (this.#seq >= this.#reserved) this.#reserveMore();
    this.#ring[envelope.seq % ringSize] = envelope;
    this.#newest.set(`${envelope.node}/${envelope.resource}`, envelope);
    for (const queue of this.#queues) if (matches(queue.filter, envelope)) queue.offer(envelope);
    return envelope;
  }

  /** The newest envelope of a resource. */
  newest(node: string, resource: string): Envelope | undefined {
    return this.#newest.get(`${node}/${resource}`);
  }

  /** The newest envelope of every resource. */
  all(): Iterable<Envelope> {
    return this.#newest.values();
  }

  /** A node that is gone for good takes its values along. */
  forget(node: string): void {
    for (const [key, envelope] of this.#newest)
      if (envelope.node === node) this.#newest.delete(key);
  }

  /** A viewer from now on. */
  view(filter: Filter, sink: Sink): Viewer {
    const queue = new Queue(filter, sink, (gone) => {
      if (this.#queues.delete(gone)) this.#droppedOfGone += gone.dropped;
    });
    this.#queues.add(queue);
    return queue;
  }

  /** What came after `seq`. */
  since(seq: number, filter: Filter): Replay {
    const envelopes: Envelope[] = [];
    const oldest = this.#seq - ringSize + 1;
    for (let at = Math.max(seq + 1, oldest); at <= this.#seq; at++) {
      const envelope = this.#ring[at % ringSize];
      if (envelope?.seq === at && matches(filter, envelope)) envelopes.push(envelope);
    }
    const known = seq <= this.#seq && this.#ring[(seq + 1) % ringSize]?.seq === seq + 1;
    return { envelopes, whole: seq === this.#seq || known };
  }

  get seq(): number {
    return this.#seq;
  }

  get viewers(): number {
    return this.#queues.size;
  }

  /** Values left out for slow viewers since the start. */
  get dropped(): number {
    return [...this.#queues].reduce((sum, { dropped }) => sum + dropped, this.#droppedOfGone);
  }
}
