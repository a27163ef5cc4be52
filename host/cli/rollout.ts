// Brings a package to many nodes of a gateway, a few first; shows how it goes; stops it.
import { setTimeout as delay } from "node:timers/promises";
import { readWhole } from "../lib/files.ts";
import type { Member, Rollout } from "../gateway/rollout/machine.ts";
import { acts, type Act, type RolloutView } from "../gateway/rollout/rollouts.ts";
import { UserError } from "../lib/errors.ts";
import { askGateway, gatewayPlace, type GatewayPlace } from "../lib/gateway.ts";
import { counted, oneLine } from "../lib/text.ts";
import { describeShadows, hoursOf, shadowsOf } from "./shadowed.ts";
import { ask, paint, print, say } from "./context.ts";
import { untilInterrupted } from "./interruption.ts";

interface Options {
  gateway?: string;
  token?: string;
  select?: string[];
  waves?: string;
  silence?: string;
  soak?: string;
  tolerate?: string;
  atOnce?: string;
  approve?: boolean;
  shadow?: string;
  go?: boolean;
  follow?: boolean;
  json?: boolean;
}

export async function rolloutVerb(
  what: string,
  argument: string | undefined,
  options: Options,
): Promise<void> {
  const place = gatewayPlace(options.gateway, options.token);
  if (what === "status") return status(place, argument, options);
  if (what === "start" && !/^\d+$/.test(argument ?? "")) return plan(place, argument, options);
  if (!(acts as readonly string[]).includes(what))
    throw new UserError(
      `a rollout cannot ${oneLine(what)}`,
      `one of: ${["status", ...acts].join(", ")}`,
      "usage",
    );
  await act(place, what as Act, idOf(argument), options);
}

function idOf(text: string | undefined): string {
  if (!/^\d{1,9}$/.test(text ?? ""))
    throw new UserError(
      "which rollout? its number is missing",
      "`wasmote rollout status` lists them",
      "usage",
    );
  return text!;
}

/** Checks every node, shows who would get it when; with --go it begins. */
async function plan(
  place: GatewayPlace,
  file: string | undefined,
  options: Options,
): Promise<void> {
  if (file === undefined)
    throw new UserError(
      "which package? its file is missing",
      "make one with `wasmote package`, then: wasmote rollout start river.wpkg --select 'wye-*'",
      "usage",
    );
  const shadow = options.shadow === undefined ? undefined : hoursOf(options.shadow);
  const query = new URLSearchParams();
  for (const name of options.select ?? ["*"]) query.append("select", name);
  for (const key of ["waves", "silence", "soak", "tolerate"] as const)
    if (options[key] !== undefined) query.set(key, options[key]);
  if (options.atOnce !== undefined) query.set("at-once", options.atOnce);
  if (options.approve) query.set("approve", "");
  const bytes = new Uint8Array(readWhole(file));
  const made = await ask(place, `/api/rollouts?${query.toString()}`, {
    is: isView,
    method: "POST",
    body: bytes,
  });
  const shadows = shadow === undefined ? {} : await shadowsOf(place, made.members, bytes, shadow);
  const told = shadow === undefined ? made : { ...made, shadows };
  const shown = shadow === undefined ? [] : describeShadows(shadows);
  const lines = () => [...describe(made), ...shown].join("\n");
  const trapped = Object.entries(shadows).find(([, { trap }]) => trap !== undefined);
  if (options.go !== true || trapped !== undefined) {
    print(options.json, told, lines);
    if (trapped !== undefined)
      throw new UserError(
        `the package traps on what ${oneLine(trapped[0])} measured: ${oneLine(trapped[1].trap!)}`,
        `nothing was sent; \`wasmote rollout start ${made.id}\` begins it all the same`,
        "check",
      );
    if (options.json !== true)
      say(`nothing was sent: wasmote rollout start ${made.id} begins it (or --go at once)`);
    return;
  }
  if (options.json !== true) print(false, told, lines);
  await act(place, "start", String(made.id), options);
}

async function act(place: GatewayPlace, what: Act, id: string, options: Options): Promise<void> {
  const rollout = await ask(place, `/api/rollouts/${id}/${what}`, {
    is: isRollout,
    method: "POST",
  });
  if (options.follow) return follow(place, id, options);
  print(options.json, rollout, () => line(rollout));
}

async function status(
  place: GatewayPlace,
  id: string | undefined,
  options: Options,
): Promise<void> {
  if (id === undefined) {
    const all = await ask(place, "/api/rollouts", { is: areRollouts });
    print(options.json, all, () => (all.length === 0 ? "no rollouts" : all.map(line).join("\n")));
    return;
  }
  if (options.follow) return follow(place, idOf(id), options);
  const view = await ask(place, `/api/rollouts/${idOf(id)}`, { is: isView });
  print(options.json, view, () => describe(view).join("\n"));
}

/** Shows what changes until it has ended, one way or the other. A rollout that was halted is a failure. */
async function follow(place: GatewayPlace, id: string, options: Options): Promise<void> {
  const signal = untilInterrupted();
  for (let shown = ""; !signal.aborted;) {
    const view = await askGateway(place, `/api/rollouts/${id}`, { is: isView, signal });
    const text = `${line(view)}  ${counts(view.members)}`;
    if (text !== shown && options.json !== true) print(false, view, () => text);
    shown = text;
    const moving = view.members.some(({ state }) =>
      ["pushing", "trial", "failed", "returning"].includes(state),
    );
    if (view.state === "halted" && !moving) {
      if (options.json) print(true, view, () => "");
      throw new UserError(
        `rollout ${id} was halted: ${oneLine(view.reason ?? "")}`,
        `\`wasmote rollout status ${id}\` lists the nodes`,
        "check",
      );
    }
    if (view.state === "done" && !moving) {
      if (options.json) print(true, view, () => "");
      return;
    }
    await delay(500, undefined, { signal }).catch(() => {});
    // Who leaves with Ctrl-C has stopped looking, and nothing else.
    if (signal.aborted && options.json !== true && view.state === "running")
      say(`rollout ${id} goes on: wasmote rollout halt ${id} stops it and takes it back`);
  }
}

// What is shown of an answer has to be there, and of its kind: whoever listens at an address may be anything.
function isRollout(answer: unknown): answer is Rollout {
  const { id, wave, settings, reason, ...texts } = (answer ?? {}) as Partial<Rollout>;
  return (
    Number.isSafeInteger(id) &&
    Number.isSafeInteger(wave) &&
    Array.isArray(settings?.waves) &&
    ["string", "undefined"].includes(typeof reason) &&
    [texts.name, texts.version, texts.digest, texts.state].every((text) => typeof text === "string")
  );
}

function areRollouts(answer: unknown): answer is Rollout[] {
  return Array.isArray(answer) && answer.every(isRollout);
}

export function isView(answer: unknown): answer is RolloutView {
  const { members } = (answer ?? {}) as Partial<RolloutView>;
  return isRollout(answer) && Array.isArray(members) && members.every(isMember);
}

function isMember(member: Partial<Member> | null): boolean {
  return (
    typeof member?.node === "string" &&
    typeof member.state === "string" &&
    Number.isSafeInteger(member.wave) &&
    ["string", "undefined"].includes(typeof member.reason)
  );
}

const colours = { running: "green", done: "green", halted: "red" } as const;

function line({ id, name, version, digest, state, wave, settings, reason }: Rollout): string {
  const colour = Object.hasOwn(colours, state) ? colours[state as keyof typeof colours] : "yellow";
  const where =
    state === "running" || state === "asking"
      ? `, wave ${wave + 1} of ${settings.waves.length}`
      : "";
  const what = oneLine(`${id}  ${name} ${version} (${digest.slice(0, 12)})`);
  const why = reason === undefined ? "" : `: ${oneLine(reason)}`;
  return `${what}  ${paint(colour, oneLine(state))}${where}${why}`;
}

function counts(members: readonly Member[]): string {
  const of = new Map<string, number>();
  for (const { state } of members) of.set(state, (of.get(state) ?? 0) + 1);
  return [...of].map(([state, count]) => `${count} ${state}`).join(", ");
}

/** The rollout, its waves, and each node that does not get it or failed. */
function describe(view: RolloutView): string[] {
  const waves = view.settings.waves.map((_, wave) => {
    const of = view.members.filter((member) => member.wave === wave);
    return `  wave ${wave + 1}: ${counted(of.length, "node")}${of.length === 0 ? "" : `  (${counts(of)})`}`;
  });
  const told = view.members
    .filter(({ reason }) => reason !== undefined)
    .slice(0, 50)
    .map(({ node, state, reason = "" }) => oneLine(`  ${node}: ${state}, ${reason}`));
  return [line(view), ...waves, ...told];
}
