// Carries rollouts out: looks at the nodes, takes a step, keeps it, does what it orders. Everything can be done again.
import { readFacts } from "../../lib/build/section.ts";
import { inspect } from "../../lib/engine.ts";
import { NodeError } from "../../lib/errors.ts";
import { hex } from "../../lib/kept.ts";
import { digestOf, openPackage } from "../../lib/package.ts";
import { oneLine } from "../../lib/text.ts";
import { matchesAny } from "../envelope.ts";
import type { History } from "../history.ts";
import { Refused } from "../http.ts";
import type { ManagedNode, Nodes } from "../nodes.ts";
import { fitOf, push } from "../operate.ts";
import { steady } from "../steady.ts";
import { baselineOf, faultsOf, type Baseline } from "./compare.ts";
import {
  step,
  type Member,
  type Order,
  type Rollout,
  type Settings,
  type Sight,
} from "./machine.ts";
import { RolloutStore, type Lane, type RolloutEvent } from "./store.ts";
import { planWaves } from "./waves.ts";
import type { Store } from "../sqlite/store.ts";

export interface RolloutsOptions {
  store: Store;
  nodes: Nodes;
  history: History;
  onEvent: (text: string) => void;
  /** Milliseconds between two looks. */
  period?: number;
}

export type Act = "start" | "pause" | "resume" | "approve" | "halt";
export const acts: readonly Act[] = ["start", "pause", "resume", "approve", "halt"];

const running = new Set(["running", "paused", "asking", "halted", "done"]);

export interface RolloutView extends Rollout {
  members: Member[];
  events: RolloutEvent[];
}

export class Rollouts {
  readonly #options: RolloutsOptions;
  readonly #store: RolloutStore;
  /** Orders that are being carried out, by rollout and node. */
  readonly #busy = new Map<string, Promise<void>>();
  readonly #refused = new Map<string, string>();
  /** What the filter before did, and how far the clock that people set was from the other then. */
  readonly #baselines = new Map<string, { baseline: Baseline; apart: number }>();
  /** Traps that nodes had counted when their new package was first asked about. */
  readonly #traps = new Map<string, number>();
  readonly #timer: NodeJS.Timeout;
  #looking: Promise<void> | undefined;
  /** Bytes of each rollout's package. */
  readonly #sizes = new Map<number, number>();
  readonly #stopping = new AbortController();
  #stopped = false;
  /** When this process began, in milliseconds since 1970, and not before anything that is kept. */
  readonly #began: number;

  constructor(options: RolloutsOptions) {
    this.#options = options;
    this.#store = new RolloutStore(options.store.database);
    this.#began = Math.max(Date.now(), this.#store.newest()) - steady();
    this.#timer = setInterval(() => void this.look(), options.period ?? 1_000);
  }

  /** The time that silence, trial and soak are counted by: nobody sets it. */
  #now(): number {
    return Math.round(this.#began + steady());
  }

  /** How far the clock that people set, and that history goes by, is from it. */
  #apart(): number {
    return Date.now() - this.#now();
  }

  /** Plans a rollout: checks every node before the first byte goes anywhere. Nothing is sent until it is started. */
  async plan(
    bytes: Uint8Array,
    select: readonly string[],
    settings: Settings,
  ): Promise<RolloutView> {
    const open = opened(bytes);
    refuseBroken(open);
    const { manifest } = open;
    const digest = hex(manifest.digest);
    const nodes = [...this.#options.nodes].filter(({ name }) => matchesAny(select, name));
    if (nodes.length === 0) throw new Refused(404, `no node is called ${select.join(" or ")}`);
    const waves = planWaves(
      digest,
      nodes.map(({ name }) => name),
      settings.waves,
    );
    const members: Member[] = [];
    for (const node of nodes) {
      const wave = waves.get(node.name) ?? 0;
      const admitted = await admit(node, bytes, digest);
      members.push({ node: node.name, wave, since: this.#now(), ...admitted });
    }
    const { name, version, sequence } = manifest;
    const about = { digest, name, version, sequence, select, settings };
    const made = this.#store.create(
      { ...about, state: "planned", wave: 0, created: Date.now() },
      members,
      bytes,
    );
    return this.view(made.id);
  }

  list(): Rollout[] {
    return this.#store.all();
  }

  /** The package of a module, where one was rolled out. */
  packageOf(digest: string): Uint8Array | undefined {
    const found = this.#store.all().find((one) => one.digest === digest);
    return found === undefined ? undefined : this.#store.package(found.id);
  }

  /** The newest rollouts, so many at most, each with how far its waves are. */
  lanes(most: number): (Rollout & { lanes: Lane[] })[] {
    const newest = this.#store.all().slice(-most).toReversed();
    return newest.map((rollout) => ({ ...rollout, lanes: this.#store.lanes(rollout.id) }));
  }

  /** One rollout with its nodes and its last events. */
  view(id: number): RolloutView {
    const rollout = this.#find(id);
    return { ...rollout, members: this.#store.members(id), events: this.#store.events(id, 200) };
  }

  #find(id: number): Rollout {
    const rollout = this.#store.all().find((one) => one.id === id);
    if (rollout === undefined) throw new Refused(404, `there is no rollout ${id}`);
    return rollout;
  }

  /** What somebody wants of a rollout. What is so already stays so. */
  act(id: number, act: Act, who: string): Rollout {
    const rollout = this.#find(id);
    const { state } = rollout;
    const next = {
      start: state === "planned" ? "running" : state,
      pause: state === "running" || state === "asking" ? "paused" : state,
      resume: state !== "paused" ? state : this.#unapproved(rollout) ? "asking" : "running",
      approve: state === "asking" ? "running" : state,
      halt: "halted" as const,
    }[act];
    const reached = {
      start: ["running", "paused", "asking", "done"],
      pause: ["paused"],
      resume: ["running", "asking"],
      approve: ["running"],
      halt: ["halted"],
    };
    if (![...reached[act]].includes(next))
      throw new Refused(409, `the rollout is ${state}: nothing to ${act}`);
    if (act === "start" && state === "planned") {
      const other = this.#rival(rollout);
      if (other !== undefined)
        throw new Refused(409, `rollout ${other.id} is under way on the same nodes: halt it first`);
      const members = this.#store.members(id);
      const refused = members.find((member) => member.state === "refused");
      if (refused !== undefined && members.every((member) => member.state === "refused"))
        throw new Refused(409, `no node takes the package: ${refused.node}: ${refused.reason}`);
    }
    if (next === state) return rollout;
    const changed: Rollout = { ...rollout, state: next };
    if (act === "halt") changed.reason = `by ${who}`;
    const said = [`${act} by ${who}`];
    this.#store.apply({ rollout: changed, changed: [], said }, Date.now());
    void this.look();
    return changed;
  }

  /** Whether a wave that somebody has to approve has not begun: who paused it there and resumes it has approved nothing. */
  #unapproved({ id, wave, settings }: Rollout): boolean {
    if (!settings.approve || wave === 0) return false;
    const before = ["absent", "refused", "waiting"];
    const of = this.#store.members(id).filter((member) => member.wave === wave);
    return of.every(({ state }) => before.includes(state));
  }

  /** Another rollout that still moves nodes of this one. */
  #rival(rollout: Rollout): Rollout | undefined {
    const mine = new Set(this.#store.members(rollout.id).map(({ node }) => node));
    return this.list().find(
      (other) =>
        other.id !== rollout.id &&
        ["running", "paused", "asking"].includes(other.state) &&
        this.#store.members(other.id).some(({ node }) => mine.has(node)),
    );
  }

  /** Takes a step of every rollout; several calls at once are one. */
  look(): Promise<void> {
    this.#looking ??= this.#lookAtAll()
      .catch((error: unknown) => this.#options.onEvent(`rollouts: ${(error as Error).message}`))
      .finally(() => (this.#looking = undefined));
    return this.#looking;
  }

  async #lookAtAll(): Promise<void> {
    if (this.#stopped) return;
    const all = this.#store.all();
    for (const rollout of all) {
      if (!running.has(rollout.state)) continue;
      // Of finished rollouts only the newest of each node's is what the node is wanted to have.
      const newer = all.filter(({ id, state }) => id > rollout.id && running.has(state));
      await this.#lookAt(rollout, newer);
    }
  }

  async #lookAt(rollout: Rollout, newer: readonly Rollout[]): Promise<void> {
    const superseded = new Set(
      newer.flatMap(({ id }) => this.#store.members(id).map(({ node }) => node)),
    );
    const known = await this.#joined(rollout, superseded);
    const members = known.filter(({ node }) => !superseded.has(node));
    const now = this.#now();
    const sights = new Map<string, Sight>();
    for (const member of members) {
      const node = this.#options.nodes.get(member.node);
      if (node !== undefined) sights.set(member.node, await this.#see(rollout, member, node, now));
    }
    // Somebody may have paused or halted it meanwhile.
    const current = this.#find(rollout.id);
    const taken = step(current, members, sights, now);
    for (const { node, state } of taken.changed)
      if (state === "pushing") await this.#measure(rollout, node);
    if (taken.changed.length > 0 || taken.rollout !== current)
      this.#store.apply({ ...taken, rollout: taken.rollout }, Date.now());
    for (const text of taken.said) this.#options.onEvent(`rollout ${rollout.id}: ${text}`);
    for (const order of taken.orders) this.#carryOut(rollout, order, members);
  }

  /** Nodes that match and were not there, or could not be reached, when the rollout was planned: they get what is wanted now. */
  async #joined(rollout: Rollout, superseded: ReadonlySet<string>): Promise<Member[]> {
    const members = this.#store.members(rollout.id);
    if (rollout.state !== "running" && rollout.state !== "done") return members;
    const known = new Map(members.map((member) => [member.node, member]));
    const bytes = this.#store.package(rollout.id)!;
    const changed: Member[] = [];
    for (const node of this.#options.nodes) {
      const member = known.get(node.name);
      if (!matchesAny(rollout.select, node.name) || superseded.has(node.name)) continue;
      if (member !== undefined && member.state !== "absent") continue;
      if (node.app === undefined || node.trouble !== undefined) continue;
      const admitted = await admit(node, bytes, rollout.digest);
      if (admitted.state === "absent") continue;
      const wave = member?.wave ?? rollout.settings.waves.length - 1;
      const joined: Member = { node: node.name, wave, since: this.#now(), ...admitted };
      known.set(node.name, joined);
      changed.push(joined);
    }
    if (changed.length > 0) {
      const said = changed.map(({ node, state }) => `${node}: joined, ${state}`);
      this.#store.apply({ rollout: this.#find(rollout.id), changed, said }, Date.now());
    }
    return [...known.values()];
  }

  async #see(rollout: Rollout, member: Member, node: ManagedNode, now: number): Promise<Sight> {
    const { app } = node;
    const key = `${rollout.id} ${member.node}`;
    const refused = this.#refused.get(key);
    const sight: Sight = {
      heard: node.lastSeen === 0 ? 0 : now - node.silence(),
      digest: app === undefined ? undefined : app.state === "empty" ? null : app.digest,
      confirmed: app?.state === "confirmed",
      ...(refused === undefined ? {} : { refused }),
    };
    if (app?.event?.sequence === rollout.sequence) {
      const { what, trap } = app.event;
      sight.event = trap === undefined ? what : `${what}: ${oneLine(trap)}`;
    }
    const { link } = node;
    if (link !== undefined) {
      const needed = link.needed(this.#sizeOf(rollout));
      sight.link = { name: link.name, atOnce: link.atOnce, needed };
    }
    if (member.state !== "trial") {
      this.#traps.delete(key);
      return sight;
    }
    // Figures of before the package came say nothing about it.
    if (node.stats === undefined || now - node.statsAge() <= member.since) {
      node.refresh();
      return sight;
    }
    const before = this.#traps.get(key) ?? node.stats.traps;
    this.#traps.set(key, before);
    const { soak } = rollout.settings;
    if (!sight.confirmed || now - member.since < soak) return sight;
    const { history } = this.#options;
    const apart = this.#apart();
    const old = this.#baselines.get(key);
    // Where the clock was set meanwhile, what lies in history is of two times, and says nothing of how often.
    const baseline = old && Math.abs(apart - old.apart) < 1_000 ? old.baseline : undefined;
    const [since, until] = [member.since + apart, now + apart];
    const faults = await faultsOf(node, history, baseline, before, since, until);
    // What it said of the package itself, also where it counted before it was asked.
    const own = sight.event !== undefined && ["trap", "fuel"].includes(app?.event?.what ?? "");
    sight.faults = own ? [sight.event!, ...faults] : faults;
    return sight;
  }

  #sizeOf({ id }: Rollout): number {
    const size = this.#sizes.get(id) ?? this.#store.package(id)?.length ?? 0;
    this.#sizes.set(id, size);
    return size;
  }

  /** What the filter before did: lost when the gateway ends, after which the new one is judged by traps only. */
  async #measure(rollout: Rollout, name: string): Promise<void> {
    const node = this.#options.nodes.get(name);
    const key = `${rollout.id} ${name}`;
    this.#refused.delete(key);
    if (node === undefined) return;
    const baseline = await baselineOf(node, this.#options.history, Date.now());
    this.#baselines.set(key, { baseline, apart: this.#apart() });
  }

  #carryOut(rollout: Rollout, { node: name, what }: Order, members: readonly Member[]): void {
    const key = `${rollout.id} ${name}`;
    const node = this.#options.nodes.get(name);
    if (this.#busy.has(key) || this.#refused.has(key) || node === undefined || this.#stopped)
      return;
    const { before } = members.find((member) => member.node === name)!;
    const work = what === "push" ? this.#push(rollout, node) : giveBack(node, rollout, before);
    const done = work
      .catch((error: unknown) => {
        // What the node refuses it refuses again; what was not reached is tried at the next look.
        if (what === "push" && (error instanceof Refused || isRefusal(error)))
          this.#refused.set(key, oneLine((error as Error).message));
      })
      .finally(() => this.#busy.delete(key));
    this.#busy.set(key, done);
  }

  async #push(rollout: Rollout, node: ManagedNode): Promise<void> {
    const app = await node.connection.app();
    if (app.digest === rollout.digest && app.state !== "empty") return;
    await push(node, this.#store.package(rollout.id)!, this.#stopping.signal);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    // An upload over a slow link goes on where it was, after the next start.
    this.#stopping.abort();
    await this.#looking;
    await Promise.allSettled(this.#busy.values());
  }
}

function opened(bytes: Uint8Array): ReturnType<typeof openPackage> {
  try {
    return openPackage(bytes);
  } catch (error) {
    throw new Refused(400, `this is not a package: ${(error as Error).message}`);
  }
}

/** Refuses a package that no node would take: what is wrong with it is not looked for at each of them. */
function refuseBroken({ manifest, module }: ReturnType<typeof openPackage>): void {
  if (hex(digestOf(module)) !== hex(manifest.digest))
    throw new Refused(400, "the package is damaged: its module is not the one that was signed");
  try {
    inspect(module);
    readFacts(module);
  } catch (error) {
    throw new Refused(400, `the package's module is broken: ${oneLine((error as Error).message)}`);
  }
}

function isRefusal(error: unknown): boolean {
  return error instanceof NodeError && error.code === "refused";
}

/** Whether a node may get the package: it runs it already, it fits, it does not, or it cannot be asked. */
async function admit(
  node: ManagedNode,
  bytes: Uint8Array,
  digest: string,
): Promise<Pick<Member, "state" | "reason">> {
  try {
    const app = await node.connection.app();
    if (app.state !== "empty" && app.digest === digest) return { state: "good" };
    const { fits, reasons } = await fitOf(node, bytes);
    return fits ? { state: "waiting" } : { state: "refused", reason: reasons.join("; ") };
  } catch (error) {
    return { state: "absent", reason: oneLine((error as Error).message) };
  }
}

/**
 * Back to what the node ran before: out of its other slot, so nothing is sent; to nothing where it ran nothing, or where that was on trial when
 * the package came, which leaves no place for it.
 */
async function giveBack(
  node: ManagedNode,
  { digest }: Rollout,
  before: string | null | undefined,
): Promise<void> {
  const app = await node.connection.app();
  if (app.state === "empty" || app.digest !== digest) return;
  if (before === null) await node.connection.remove();
  else
    await node.connection.rollback().catch(async (error: unknown) => {
      if (!(error instanceof NodeError && error.status === "4.09")) throw error;
      await node.connection.remove();
    });
  node.seen();
}
