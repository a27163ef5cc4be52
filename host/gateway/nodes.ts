// The nodes: each is connected to by itself, observed, and asked now and then how it is. One that comes and goes costs the others
// nothing. What is known of a node is when it was last heard of; whether it is on just now, nobody knows.
import { setTimeout as delay } from "node:timers/promises";
import type { Response } from "../lib/coap/endpoint.ts";
import type { Context } from "../lib/coap/oscore.ts";
import { NodeError } from "../lib/errors.ts";
import {
  Node,
  readReading,
  type AppState,
  type NodeInfo,
  type Resource,
  type Stats,
} from "../lib/node.ts";
import type { Project } from "../lib/project.ts";
import { channelFault } from "../lib/names.ts";
import type { Hub } from "./hub.ts";
import { SharedLinks, type LinkConfig, type SharedLink } from "./rates.ts";
import { steady } from "./steady.ts";
import { troubleOf } from "./trouble.ts";

/** What befell a node. */
export interface Happening {
  node: string;
  time: number;
  what:
    | "heard"
    | "silent"
    | "reset"
    | "moved"
    | "package"
    | "trap"
    | "fuel"
    | "rollback"
    | "damaged"
    | "flood";
  text: string;
}

export interface NodesOptions {
  hub: Hub;
  /** Called for everything that befalls a node. */
  onHappening?: (happening: Happening) => void;
  /** Called for each notification as it came: what is kept of the resource is that. */
  onNotification?: (node: string, path: string, response: Response) => void;
  /** How often a node is asked how it is, in milliseconds. */
  period?: number;
  /** How long a node may stay silent before its connection is begun anew, in milliseconds. */
  patience?: number;
  /** The longest pause between two attempts to reach a node, in milliseconds. */
  reconnect?: number;
  /** Whose security contexts with the nodes count. */
  project?: Project | undefined;
  /** Links that packages do not fill. */
  links?: readonly LinkConfig[];
}

type Settings = Required<Omit<NodesOptions, "project" | "links">> &
  Pick<NodesOptions, "project"> & { shared: SharedLinks };

/** Where a node's name comes from. */
export type Origin = "configured" | "registered" | "discovered" | "demo";

const shortestPause = 500;
const longestPause = 30_000;
/** Resources of one node that are observed; what a hostile node lists beyond that is left out. */
const mostObserved = 64;
/** Different resources of one node that are ever observed: each stays in memory and in the history. */
const mostEver = 1_024;
/** Values of one node a second, for long and at once; what a node sends beyond that is left out and counted. */
const mostValues = 1_000;
const mostBurst = 5_000;

/** One node of the gateway's. */
export class ManagedNode {
  readonly name: string;
  readonly origin: Origin;
  #address: string;
  /** Milliseconds since 1970 of its last word, for people; 0 where there was none. */
  lastSeen = 0;
  #heard = steady();
  info: NodeInfo | undefined;
  app: AppState | undefined;
  stats: Stats | undefined;
  #statsAt = -Infinity;
  #refreshing = false;
  resources: Resource[] = [];
  /** Why it cannot be talked to, where that is known. */
  trouble: string | undefined;
  /** Values that came in. */
  values = 0;
  /** Values that were left out, because it sent too many. */
  flooded = 0;
  readonly #ever = new Set<string>();
  readonly #bucket = { tokens: mostBurst, at: steady() };
  #node: Node | undefined;
  readonly #options: Settings;
  readonly #context: Context | undefined;
  readonly #ending = new AbortController();
  #session = new AbortController();
  readonly #observed = new Map<string, AbortController>();
  readonly #silenced = new Set<string>();
  #running: Promise<void> | undefined;

  constructor(
    name: string,
    address: string,
    origin: Origin,
    options: Settings,
    context: Context | undefined,
  ) {
    this.#context = context;
    this.name = name;
    this.#address = address;
    this.origin = origin;
    this.#options = options;
  }

  get address(): string {
    return this.#address;
  }

  /** The link that it shares with others, where packages may not fill that. */
  get link(): SharedLink | undefined {
    return this.#options.shared.of(this.name);
  }

  /** The open connection; throws a NodeError where there is none just now. */
  get connection(): Node {
    if (this.#node === undefined)
      throw new NodeError("timeout", this.trouble ?? `${this.name} has not been reached yet`);
    return this.#node;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** The same node at another address (RFC 9176 §5.1: the name is the identity). */
  move(address: string): void {
    if (address === this.#address) return;
    this.#address = address;
    this.#happened("moved", `is now at ${address}`);
    this.#session.abort();
  }

  async stop(): Promise<void> {
    this.#ending.abort();
    this.#session.abort();
    await this.#running;
  }

  /** The node was heard of. */
  seen(): void {
    if (this.trouble !== undefined || this.lastSeen === 0) this.#happened("heard", "answers");
    this.lastSeen = Date.now();
    this.#heard = steady();
    this.trouble = undefined;
  }

  /** Milliseconds since its last word, or since it was added where there was none: no clock that is set changes them. */
  silence(now = steady()): number {
    return now - this.#heard;
  }

  #happened(what: Happening["what"], text: string): void {
    this.#options.onHappening({ node: this.name, time: Date.now(), what, text });
  }

  /** Connects for as long as the node is wanted. */
  async #run(): Promise<void> {
    let pause = shortestPause;
    while (!this.#ending.signal.aborted) {
      const began = steady();
      this.#session = new AbortController();
      try {
        await this.#talk(this.#session.signal);
      } catch (error) {
        if (!this.#session.signal.aborted) {
          const text = troubleOf(error);
          if (this.trouble === undefined) this.#happened("silent", text);
          this.trouble = text;
        }
      }
      this.#session.abort();
      this.#node = undefined;
      if (this.#ending.signal.aborted) return;
      this.#gaps();
      const { reconnect } = this.#options;
      pause = steady() - began > reconnect ? shortestPause : Math.min(pause * 2, reconnect);
      await delay(pause * (0.75 + Math.random() / 2), undefined, {
        signal: this.#ending.signal,
      }).catch(() => {});
    }
  }

  /** Each resource that had a value says that there is none now. */
  #gaps(): void {
    for (const resource of this.#silenced)
      this.#options.hub.publish({
        node: this.name,
        resource,
        time: Date.now(),
        value: null,
        gap: true,
      });
    this.#silenced.clear();
  }

  /** One connection, until it fails or the signal fires. */
  async #talk(signal: AbortSignal): Promise<void> {
    const { patience, period, project } = this.#options;
    await using node = await Node.connect(this.#address, {
      patience,
      signal,
      name: this.name,
      project,
      context: this.#context,
    });
    const info = await node.info(signal);
    this.#node = node;
    this.info = info;
    this.seen();
    const failed = new AbortController();
    const work: Promise<void>[] = [];
    let failure: unknown;
    const stop = () => failed.abort();
    signal.addEventListener("abort", stop);
    const guard = (task: Promise<void>) =>
      work.push(
        task.catch((error: unknown) => {
          failure ??= error;
          failed.abort();
        }),
      );
    guard(
      this.#watchApp(node, failed.signal, (path) =>
        guard(this.#observe(node, path, failed.signal)),
      ),
    );
    guard(this.#ask(node, period, failed.signal));
    await new Promise<void>((resolve) => {
      failed.signal.addEventListener("abort", () => resolve());
      if (failed.signal.aborted) resolve();
    });
    signal.removeEventListener("abort", stop);
    for (const observation of this.#observed.values()) observation.abort();
    await Promise.all(work);
    this.#observed.clear();
    if (failure !== undefined) throw failure;
  }

  /** Follows the running package; a new one has other outputs. */
  async #watchApp(node: Node, signal: AbortSignal, begin: (path: string) => void): Promise<void> {
    let event: string | undefined;
    for await (const app of node.watchApp(signal)) {
      this.seen();
      if (this.app !== undefined && app.digest !== this.app.digest)
        this.#happened("package", `runs ${app.name ?? "nothing"} ${app.version ?? ""}`.trimEnd());
      const now = JSON.stringify(app.event);
      // The first state after a connection tells of an event that may be old: it counts where it is another than was known.
      const old =
        JSON.stringify(this.app?.event) === now || (event === undefined && this.app === undefined);
      if (app.event !== undefined && !old && app.event.what !== "reset")
        this.#happened(app.event.what, describeEvent(app));
      event = now ?? "";
      this.app = app;
      const links = await node.discover([], signal);
      this.resources = links;
      const wanted = this.#wanted(links);
      for (const [path, observation] of this.#observed)
        if (!wanted.has(path)) {
          observation.abort();
          this.#observed.delete(path);
        }
      for (const path of wanted) if (!this.#observed.has(path)) begin(path);
    }
  }

  /** Which of the resources that a node lists are observed. */
  #wanted(links: readonly Resource[]): Set<string> {
    const wanted = new Set<string>();
    for (const { path: listed, attributes } of links) {
      if (wanted.size >= mostObserved) break;
      if (!observable(listed) || attributes["obs"] === undefined) continue;
      const path = listed.replace(/^\//, "");
      if (!this.#ever.has(path) && this.#ever.size >= mostEver) continue;
      this.#ever.add(path);
      wanted.add(path);
    }
    return wanted;
  }

  /** The one observation of a resource that everybody shares. */
  async #observe(node: Node, path: string, over: AbortSignal): Promise<void> {
    const own = new AbortController();
    this.#observed.set(path, own);
    const stop = () => own.abort();
    over.addEventListener("abort", stop);
    try {
      while (!own.signal.aborted) {
        try {
          const options = { accept: "text" as const, signal: own.signal };
          for await (const response of node.notifications(path, options))
            this.#take(path, response);
        } catch (error) {
          // No room for another observer: asked for now and then, until there is.
          if (!(error instanceof NodeError && error.code === "protocol")) throw error;
          this.#take(path, await node.request("GET", path, { accept: "text", signal: own.signal }));
          await delay(this.#options.period, undefined, { signal: own.signal }).catch(() => {});
        }
      }
    } catch (error) {
      // A resource that is gone is no reason to begin anew; a node that is gone is.
      if (own.signal.aborted) return;
      if (!(error instanceof NodeError && error.code === "answer")) throw error;
      if (this.#observed.get(path) === own) this.#observed.delete(path);
    } finally {
      over.removeEventListener("abort", stop);
    }
  }

  /** A representation of a resource came in. */
  #take(path: string, response: Response): void {
    const time = Date.now();
    this.seen();
    this.#options.onNotification(this.name, path, response);
    const text = response.payload.toString("utf8");
    // An observation begins with what there is, which may be nothing yet.
    if (text === "") return;
    const reading = readReading(path, text);
    const { value } = reading;
    if (!this.#admitted()) return;
    this.values++;
    this.#silenced.add(path);
    this.#options.hub.publish({
      node: this.name,
      resource: path,
      time,
      value: Number.isFinite(value) ? value : null,
      ...(reading.text === undefined ? {} : { text: reading.text }),
    });
  }

  /** Whether there is room for another value of a node that sends so many. */
  #admitted(now = steady()): boolean {
    const bucket = this.#bucket;
    bucket.tokens = Math.min(mostBurst, bucket.tokens + ((now - bucket.at) / 1000) * mostValues);
    bucket.at = now;
    if (bucket.tokens < 1) {
      if (this.flooded++ === 0)
        this.#happened("flood", `sends more than ${mostValues} values a second`);
      return false;
    }
    bucket.tokens--;
    return true;
  }

  #took(stats: Stats): void {
    this.stats = stats;
    this.#statsAt = steady();
    this.seen();
  }

  /** Milliseconds since it said what `stats` has; Infinity where it never did. */
  statsAge(): number {
    return steady() - this.#statsAt;
  }

  /** Asks for `stats` now, unless that is under way; whoever wants them looks again. */
  refresh(): void {
    const node = this.#node;
    if (this.#refreshing || node === undefined) return;
    this.#refreshing = true;
    void node
      .stats(this.#session.signal)
      .then((stats) => this.#took(stats))
      .catch(() => {})
      .finally(() => (this.#refreshing = false));
  }

  /** Asks how the node is: its answer is its last word, and an uptime that fell is a reset. */
  async #ask(node: Node, period: number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#took(await node.stats(signal));
      await delay(period * (0.9 + Math.random() / 5), undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      const info = await node.info(signal);
      const before = this.info?.uptime ?? 0;
      this.info = info;
      if ((info.uptime ?? 0) < before) {
        this.#happened("reset", `was reset: ${info.reset ?? "for an unknown reason"}`);
        // It has forgotten who observes it.
        throw new NodeError("closed", `${this.name} was reset`);
      }
    }
  }
}

function observable(path: string): boolean {
  const name = /^\/?(?:sensors|outputs)\/(.+)$/.exec(path)?.[1];
  return name !== undefined && channelFault(name) === undefined;
}

function describeEvent({ event }: AppState): string {
  if (event === undefined) return "";
  const { what, trap, sequence, offset } = event;
  return `${what}${trap ? ` ${trap}` : ""} in package ${sequence}${offset === undefined ? "" : ` at byte ${offset}`}`;
}

/** All nodes of a gateway, by name. */
export class Nodes {
  readonly #options: Settings;
  readonly #all = new Map<string, ManagedNode>();

  constructor({
    hub,
    onHappening = () => {},
    onNotification = () => {},
    period = 20_000,
    patience = 12_000,
    reconnect = longestPause,
    project,
    links,
  }: NodesOptions) {
    const shared = new SharedLinks(links);
    const told = { onHappening, onNotification };
    this.#options = { hub, ...told, period, patience, reconnect, project, shared };
  }

  /** Adds a node, or moves the one that has this name. It is spoken to under this context, or the one that is kept with a node of its name. */
  add(name: string, address: string, origin: Origin, context?: Context): ManagedNode {
    const known = this.#all.get(name);
    if (known !== undefined) {
      known.move(address);
      return known;
    }
    const node = new ManagedNode(name, address, origin, this.#options, context);
    this.#all.set(name, node);
    node.start();
    return node;
  }

  get(name: string): ManagedNode | undefined {
    return this.#all.get(name);
  }

  has(address: string): boolean {
    return [...this.#all.values()].some((node) => node.address === address);
  }

  [Symbol.iterator](): Iterator<ManagedNode> {
    return this.#all.values();
  }

  get size(): number {
    return this.#all.size;
  }

  async remove(name: string): Promise<void> {
    const node = this.#all.get(name);
    this.#all.delete(name);
    await node?.stop();
    this.#options.hub.forget(name);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#all.values()].map((node) => node.stop()));
  }
}
