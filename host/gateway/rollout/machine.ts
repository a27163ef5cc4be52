// A rollout as a pure state machine: what is known of the nodes and the time go in, changed states and orders come out. Whoever
// carries the orders out may be killed at any moment: the next step looks at the nodes again and gives the orders again.
//
//   planned -> running <-> paused         a node: waiting -> pushing -> trial -> good
//      |        |  ^                                            \-> failed -> returning -> returned
//      |        v  |                              absent (not reached yet), refused (does not fit)
//      |      asking (approval between waves)
//      |        |
//      +------> halted (all that have it return)    done (late joiners still get it)
import { counted } from "../../lib/text.ts";
import { failsAtLeast, type Wave } from "./waves.ts";

export type NodeState =
  | "absent"
  | "refused"
  | "waiting"
  | "pushing"
  | "trial"
  | "good"
  | "failed"
  | "returning"
  | "returned";

/** One node of a rollout. */
export interface Member {
  node: string;
  wave: number;
  state: NodeState;
  /** When that began, in milliseconds since 1970. */
  since: number;
  /** Why it was refused, or what failed. */
  reason?: string;
  /** Digest of what it ran before; null for nothing; absent before its turn. */
  before?: string | null;
  /** Whether the package failed there, also after the node has returned. */
  failed?: true;
}

export type RolloutState = "planned" | "running" | "paused" | "asking" | "halted" | "done";

export interface Settings {
  waves: readonly Wave[];
  /** Milliseconds without a word or without the verdict of the trial, after which a node counts as failed. */
  silence: number;
  /** Milliseconds that the package has to run, once confirmed, before it is judged. */
  soak: number;
  /** The share of nodes that may fail. */
  tolerate: number;
  /** Whether somebody approves each wave but the first. */
  approve: boolean;
  /** Nodes that are sent to at once. */
  atOnce: number;
}

export const standardSettings: Omit<Settings, "waves"> = {
  silence: 120_000,
  soak: 60_000,
  tolerate: 0.01,
  approve: false,
  atOnce: 8,
};

export interface Rollout {
  id: number;
  digest: string;
  name: string;
  version: string;
  sequence: number;
  /** Patterns of names. */
  select: readonly string[];
  settings: Settings;
  state: RolloutState;
  /** The wave that is under way, from 0. */
  wave: number;
  created: number;
  /** Why it was halted. */
  reason?: string;
}

/** What is known of a node just now. */
export interface Sight {
  /** When it was last heard of, in milliseconds since 1970; 0 for never. */
  heard: number;
  /** Digest of what it runs; null for nothing; undefined where it has not said. */
  digest: string | null | undefined;
  confirmed: boolean;
  /** Why it left this package, if it says why. */
  event?: string;
  /** Why the package could not be sent, after which it is not tried again. */
  refused?: string;
  /** What is worse than before, once it has run long enough. */
  faults?: readonly string[];
  /** The link that it shares: nodes that may be sent to at once over it, and milliseconds that the package takes there. */
  link?: { name: string; atOnce: number; needed: number };
}

export type Order = { node: string; what: "push" | "return" };

export interface Step {
  rollout: Rollout;
  /** Members that are not as they were. */
  changed: Member[];
  orders: Order[];
  /** What is worth a line in the log. */
  said: string[];
}

/** States in which a node may have the package. */
const touched = new Set<NodeState>(["pushing", "trial", "good", "failed"]);
/** States in which a node has had its turn, or never gets one. */
const decided = new Set<NodeState>([
  "absent",
  "refused",
  "good",
  "failed",
  "returning",
  "returned",
]);

/** One step. Called as often as one likes: without news it changes nothing and gives the same orders. */
export function step(
  before: Rollout,
  members: readonly Member[],
  sights: ReadonlyMap<string, Sight>,
  now: number,
): Step {
  let rollout = before;
  const said: string[] = [];
  const at = members.map((member) => ({ ...member }));
  if (rollout.state !== "planned") {
    for (const member of at) look(rollout, member, sights.get(member.node), now);
    const verdict = rollout.state === "halted" ? undefined : judge(rollout, at);
    if (verdict !== undefined) {
      rollout = { ...rollout, state: "halted", reason: verdict };
      said.push(`halted: ${verdict}`);
    }
    if (rollout.state === "halted") {
      for (const member of at) if (touched.has(member.state)) enter(member, "returning", now);
    } else {
      rollout = advance(rollout, at, said);
      begin(rollout, at, sights, now);
    }
  }
  const changed = at.filter((member, index) => different(member, members[index]!));
  for (const { node, state, reason } of changed)
    said.push(`${node}: ${state}${reason === undefined ? "" : `, ${reason}`}`);
  const orders = at.flatMap(({ node, state }): Order[] =>
    state === "pushing"
      ? [{ node, what: "push" }]
      : state === "returning"
        ? [{ node, what: "return" }]
        : [],
  );
  return { rollout, changed, orders, said };
}

function different(one: Member, other: Member): boolean {
  return (
    one.state !== other.state ||
    one.reason !== other.reason ||
    one.wave !== other.wave ||
    one.since !== other.since
  );
}

function enter(member: Member, state: NodeState, now: number, reason?: string): void {
  member.state = state;
  member.since = now;
  if (reason !== undefined) member.reason = reason;
  if (state === "failed") member.failed = true;
}

/** What a sight says about one node. */
function look(rollout: Rollout, member: Member, sight: Sight | undefined, now: number): void {
  const { digest, settings } = rollout;
  const has = sight?.digest === digest;
  const quiet = now - Math.max(member.since, sight?.heard ?? 0) > settings.silence;
  const late = now - member.since > settings.silence;
  switch (member.state) {
    case "pushing":
      // It came, failed and was left again between two looks.
      if (sight?.event !== undefined && !has) enter(member, "failed", now, sight.event);
      else if (sight?.refused !== undefined) enter(member, "failed", now, sight.refused);
      else if (has) enter(member, "trial", now);
      else if (quiet || now - member.since > settings.silence * 4 + (sight?.link?.needed ?? 0))
        enter(member, "failed", now, "silent while it was sent to");
      return;
    case "trial":
      if (sight?.digest !== undefined && !has)
        enter(member, "failed", now, sight.event ?? "left the package by itself");
      else if (quiet) enter(member, "failed", now, "silent with the new package");
      else if (sight?.confirmed !== true) {
        if (late) enter(member, "failed", now, "its trial did not end in time");
      } else if (sight.faults !== undefined && now - member.since >= settings.soak) {
        const [fault] = sight.faults;
        if (fault === undefined) enter(member, "good", now);
        else enter(member, "failed", now, sight.faults.join("; "));
      }
      return;
    case "good":
      // A package that is good may still trap later.
      if (sight?.digest !== undefined && !has)
        enter(member, "failed", now, sight.event ?? "no longer runs the package");
      return;
    case "failed":
      enter(member, sight?.digest !== undefined && !has ? "returned" : "returning", now);
      return;
    case "returning":
      if (sight?.digest !== undefined && !has) enter(member, "returned", now);
      return;
    case "returned":
      // It was silent, and the order to send reached it after all.
      if (has) enter(member, "returning", now);
      return;
    default:
  }
}

/** Why the rollout has to halt. */
function judge({ settings }: Rollout, members: readonly Member[]): string | undefined {
  const failed = members.filter((member) => member.failed === true);
  const good = members.filter(({ state }) => state === "good").length;
  const total = failed.length + good;
  if (failsAtLeast(failed.length, total) <= settings.tolerate) return undefined;
  const reasons = [...new Set(failed.map(({ reason = "failed" }) => reason))].slice(0, 3);
  return `${failed.length} of ${counted(total, "node")} failed: ${reasons.join("; ")}`;
}

/** The next wave, once everybody of this one has had a turn. */
function advance(rollout: Rollout, members: readonly Member[], said: string[]): Rollout {
  if (rollout.state !== "running") return rollout;
  const { waves, approve } = rollout.settings;
  let next = rollout;
  while (
    next.state === "running" &&
    members.every(({ wave, state }) => wave > next.wave || decided.has(state))
  ) {
    const empty = !members.some(({ wave }) => wave === next.wave);
    if (next.wave === waves.length - 1) next = { ...next, state: "done" };
    else next = { ...next, wave: next.wave + 1, state: approve && !empty ? "asking" : "running" };
    said.push(
      next.state === "done"
        ? "done"
        : `wave ${next.wave + 1} of ${waves.length}${next.state === "asking" ? " waits for approval" : ""}`,
    );
  }
  return next;
}

/** Gives the next nodes their turn: those of this wave, and late joiners of waves before. */
function begin(
  { state, wave, settings }: Rollout,
  members: Member[],
  sights: ReadonlyMap<string, Sight>,
  now: number,
): void {
  if (state !== "running" && state !== "done") return;
  const under = members.filter((member) => member.state === "pushing");
  let free = settings.atOnce - under.length;
  /** Nodes that are sent to, by their link. */
  const over = new Map<string, number>();
  const take = (name: string | undefined) =>
    name !== undefined && over.set(name, (over.get(name) ?? 0) + 1);
  for (const { node } of under) take(sights.get(node)?.link?.name);
  for (const member of members) {
    if (free <= 0) return;
    if (member.state !== "waiting" || member.wave > wave) continue;
    const sight = sights.get(member.node);
    if (now - Math.max(member.since, sight?.heard ?? 0) > settings.silence) {
      // Silence counts: a wave does not go on past nodes that nobody has heard of.
      enter(member, "absent", now, "silent before its turn");
      member.failed = true;
    }
    if (member.state !== "waiting" || sight?.digest === undefined) continue;
    const { link } = sight;
    if (link !== undefined && (over.get(link.name) ?? 0) >= link.atOnce) continue;
    take(link?.name);
    member.before = sight.digest;
    enter(member, "pushing", now);
    free--;
  }
}
