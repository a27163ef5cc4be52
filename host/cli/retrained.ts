// How what a round of retraining made comes to nodes: a package by a rollout, values of parameters one node first. What does harm is taken back.
import { setTimeout } from "node:timers/promises";
import { say } from "./context.ts";
import { isView } from "./rollout.ts";
import type { Candidate } from "../flood/retrain.ts";
import { NodeError, UserError } from "../lib/errors.ts";
import { askGateway, type GatewayPlace } from "../lib/gateway.ts";
import { digestOf } from "../lib/package.ts";
import type { Program } from "../lib/program.ts";
import { oneLine, shortest } from "../lib/text.ts";
import { isStation } from "./place-station.ts";

interface How {
  place: GatewayPlace;
  station: string;
  /** Names of nodes, or their beginnings with * behind. */
  select: readonly string[];
  /** Seconds that a node is watched. */
  soak: string;
  signal: AbortSignal;
}

/** The new package on one node first, then on all, each on trial. */
export async function toNodes(
  { place, station, select, soak, signal }: How,
  program: Program,
  sign: (boardClass: string, highest: number) => Uint8Array,
): Promise<{ id: number; nodes: string[] }> {
  const { info, app } = await askGateway(place, `/api/nodes/${encodeURIComponent(station)}`, {
    is: isStation,
    signal,
  });
  if (!info)
    throw new UserError(`${oneLine(station)} has not been reached`, undefined, "unreachable");
  const query = new URLSearchParams({ waves: "1,100%", soak });
  for (const one of select) query.append("select", one);
  const { id } = await askGateway(place, `/api/rollouts?${query.toString()}`, {
    method: "POST",
    body: sign(info.class, app?.highest ?? 0),
    is: isView,
    signal,
  });
  await askGateway(place, `/api/rollouts/${id}/start`, { method: "POST", signal });
  for (;;) {
    const { state, members, reason } = await askGateway(place, `/api/rollouts/${id}`, {
      is: isView,
      signal,
    });
    const without = members.filter((one) => one.state !== "good");
    if (state === "done" && without.length === 0)
      return { id, nodes: members.map(({ node }) => node) };
    if (state === "done" || state === "halted")
      throw new UserError(
        state === "done"
          ? `${without.map(({ node }) => oneLine(node)).join(", ")} did not take it`
          : `rollout ${id} was halted, and nodes return to what they ran: ${oneLine(reason ?? "")}`,
        `wasmote rollout status ${id}`,
        "check",
      );
    await rest(500, signal);
  }
}

/** Waits; Ctrl-C ends it at once. */
const rest = (time: number, signal: AbortSignal): Promise<void> =>
  setTimeout(time, undefined, { signal }).catch(() => {
    throw new NodeError("aborted", "interrupted", { cause: signal.reason });
  });

interface Listed {
  name: string;
  package: { digest: string } | null;
  traps: number | null;
}
const areListed = (answer: unknown): answer is Listed[] =>
  Array.isArray(answer) &&
  answer.every((one: Partial<Listed> | null) => {
    const digest = one?.package === null ? "" : one?.package?.digest;
    return typeof one?.name === "string" && ["string", "undefined"].includes(typeof digest);
  });
const areValues = (answer: unknown): answer is Record<string, number> =>
  typeof answer === "object" &&
  answer !== null &&
  Object.values(answer).every((one) => typeof one === "number");

/** Milliseconds for setting old values again. */
const undoLimit = 30_000;

/**
 * Sets parameters on nodes that run this module: on the first, which is watched for the time of a soak, then on the others. Where one of them
 * refuses, or its module trapped in the meantime, all that were set have their old values again. Returns the nodes.
 */
export async function setOnNodes(
  { place, select, soak, signal }: How,
  { module, parameters = {} }: Candidate,
  given?: readonly string[],
): Promise<string[]> {
  const digest = Buffer.from(digestOf(module)).toString("hex");
  const list = () => askGateway(place, "/api/nodes", { is: areListed, signal });
  const named = (name: string) =>
    select.some((one) => (one.endsWith("*") ? name.startsWith(one.slice(0, -1)) : name === one));
  const nodes =
    given ??
    (await list())
      .filter((one) => named(one.name) && one.package?.digest === digest)
      .map(({ name }) => name);
  if (nodes.length === 0)
    throw new UserError(
      `no node of ${select.map(oneLine).join(", ")} runs this package`,
      "`wasmote place FILE --station NODE` brings it there",
      "check",
    );
  const undo: [node: string, name: string, value: number][] = [];
  const path = (node: string) => `/api/nodes/${encodeURIComponent(node)}/params`;
  const set = (node: string, name: string, value: number, until: AbortSignal) =>
    askGateway(place, `${path(node)}/${encodeURIComponent(name)}`, {
      method: "PUT",
      body: Buffer.from(JSON.stringify({ value })),
      signal: until,
    });
  try {
    for (const [index, node] of nodes.entries()) {
      const trapsOf = async () => (await list()).find(({ name }) => name === node)?.traps ?? 0;
      const before = await trapsOf();
      const values = await askGateway(place, path(node), { is: areValues, signal });
      for (const [name, value] of Object.entries(parameters)) {
        const old = values[name];
        if (old === undefined || Math.fround(old) === Math.fround(value)) continue;
        undo.push([node, name, old]);
        await set(node, name, value, signal);
      }
      if (index === 0 && undo.length > 0) await rest(Number(soak) * 1000, signal);
      if ((await trapsOf()) > before)
        throw new UserError(`the module trapped on ${oneLine(node)}`, undefined, "check");
    }
  } catch (cause) {
    const still: string[] = [];
    // Also after Ctrl-C, which has ended the other signal.
    const until = AbortSignal.timeout(undoLimit);
    for (const [node, name, value] of undo.toReversed())
      await set(node, name, value, until).catch(() =>
        still.push(`${node}: ${name} was ${shortest(value)}`),
      );
    if (!(cause instanceof UserError)) {
      if (still.length > 0) say(`these have their new values: ${still.map(oneLine).join(", ")}`);
      throw cause;
    }
    const left = still.length === 0 ? "" : `, but for ${still.map(oneLine).join(", ")}`;
    const text = `${cause.message}; the old values are set again${left}`;
    throw new UserError(text, undefined, "check", { cause });
  }
  return [...nodes];
}
