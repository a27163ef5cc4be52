// A river station on an emulated board or in a process: its clock and its sensors are those of a day in the record.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { emulate, type Emulated, type Machine } from "../lib/emulate.ts";
import { NodeError } from "../lib/errors.ts";
import { Node } from "../lib/node.ts";
import { makeFlash } from "../lib/package.ts";
import { dateOf, dayLength, readNodeDays, type NodeDay } from "./days.ts";
import { DatagramLink } from "./relay.ts";

export interface BoardOptions {
  name: string;
  machine: Machine;
  folder: string;
  publicKey: Uint8Array;
  signal?: AbortSignal | undefined;
}

/** Milliseconds after which a day that does not end is a fault. */
const longest = 300_000;

/** Where the level of a day differs from its mean while it is measured, in millimetres. */
const swing = [-15, 5, 15, -5];

export class Board {
  readonly name: string;
  readonly link: DatagramLink;
  readonly #options: BoardOptions;
  readonly #flash: string;
  #emulated: Emulated;
  #node: Node;
  readonly #waiting = new Set<() => void>();

  private constructor(
    options: BoardOptions,
    flash: string,
    emulated: Emulated,
    node: Node,
    link: DatagramLink,
  ) {
    this.name = options.name;
    this.#options = options;
    this.#flash = flash;
    this.#emulated = emulated;
    this.#node = node;
    this.link = link;
  }

  static async start(options: BoardOptions): Promise<Board> {
    const { name, folder, publicKey } = options;
    const flash = join(folder, `${name}.flash`);
    writeFileSync(flash, makeFlash({ name, keys: [publicKey] }));
    const emulated = await started(options, flash);
    const node = await Node.connect(emulated.address);
    const link = await DatagramLink.open(emulated.address);
    return new Board(options, flash, emulated, node, link);
  }

  /** Resolves when the station publishes something, or after half a second: a node takes 16 questions a second of one host. */
  published(): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, 500);
      this.#waiting.add(done);
    });
  }

  /** Follows what the station publishes, for as long as this connection lasts. */
  async #follow(node: Node): Promise<void> {
    try {
      for await (const _ of node.observe("outputs/flow")) for (const done of this.#waiting) done();
    } catch {
      // The power was cut, or there is no module yet: whoever waits looks again by himself.
    }
  }

  /** The station's module is there. */
  installed(): void {
    void this.#follow(this.#node);
  }

  /** The node on a way that nobody cuts. */
  get node(): Node {
    return this.#node;
  }

  get machine(): string {
    return this.#emulated.machine;
  }

  /** Its power goes and comes back: what it had not saved is gone. */
  async cutPower(): Promise<void> {
    await this.#node.close();
    await this.#emulated.stop();
    this.#emulated = await started(this.#options, this.#flash);
    this.#node = await Node.connect(this.#emulated.address);
    this.link.retarget(this.#emulated.address);
    this.installed();
  }

  /** It is that day: clock, levels in millimetres, and the day's rain where the station has a gauge. */
  async measure(day: number, level: number, rain: number | undefined): Promise<void> {
    await this.#setTime(day * dayLength + dayLength / 2);
    for (const part of swing) this.#feed("level", level + part);
    if (rain !== undefined) this.#feed("rain", rain);
  }

  /**
   * That day from its samples to what the station has decided of it, asked on the way that nobody cuts. Only then may another day come:
   * a clock that is set before the rain was dealt with gives the rain to the next day.
   */
  async pass(day: number, level: number, rain: number): Promise<NodeDay> {
    const published = this.published();
    await this.measure(day, level, rain);
    await published;
    for (const began = performance.now(); performance.now() - began < longest;) {
      const found = await this.#ask(day);
      if (found !== undefined) return found;
      await this.published();
      this.#options.signal?.throwIfAborted();
    }
    throw new Error(`waited five minutes in vain: ${this.name} ends ${dateOf(day)}`);
  }

  async #ask(day: number): Promise<NodeDay | undefined> {
    try {
      const { payload } = await this.#node.request("FETCH", "app/x/days", {
        payload: Buffer.from(String(day)),
        format: "text",
        signal: this.#options.signal,
      });
      return readNodeDays(payload).find((one) => one.day === day);
    } catch (error) {
      // Asked too often, or not started yet.
      if (error instanceof NodeError && error.code === "answer") return undefined;
      throw error;
    }
  }

  /** Samples in their order, by one way in. */
  #feed(sensor: string, value: number): void {
    if (this.#emulated.command !== undefined) this.#emulated.command(`sample ${sensor} ${value}`);
    else this.#emulated.feed(sensor, value);
  }

  /** A node takes two changes a second of one host: beyond that it says when. */
  async #setTime(time: number): Promise<void> {
    for (;;)
      try {
        return await this.#node.put("time", String(time / 1000), { signal: this.#options.signal });
      } catch (error) {
        if (!(error instanceof NodeError) || !["answer", "refused"].includes(error.code))
          throw error;
        // A time that no clock has, such as one before 1970, does not become one by waiting.
        if (error.status === "4.00") throw error;
        await new Promise((resolve) => setTimeout(resolve, 250));
        this.#options.signal?.throwIfAborted();
      }
  }

  async stop(): Promise<void> {
    await this.#node.close();
    await this.link.close();
    await this.#emulated.stop();
  }
}

function started({ name, machine, signal }: BoardOptions, flash: string): Promise<Emulated> {
  return emulate({
    machine,
    flash,
    ...(machine === "native" ? { name } : {}),
    ...(signal === undefined ? {} : { signal }),
  });
}
