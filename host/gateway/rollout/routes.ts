// Rollouts over HTTP.
import { readFacts } from "../../lib/build/section.ts";
import { hex, keptBytes } from "../../lib/kept.ts";
import { digestOf, openPackage } from "../../lib/package.ts";
import type { Core } from "../core.ts";
import { mostPoints } from "../history.ts";
import { checked } from "../hosted-routes.ts";
import { Refused, readBody, sendJson } from "../http.ts";
import { audited, longestPackage, type Context, type Route } from "../route.ts";
import { shadowOf, type ShadowSample } from "./shadow.ts";
import { standardSettings, type Settings } from "./machine.ts";
import { acts, type Act } from "./rollouts.ts";
import { parseWaves, standardWaves } from "./waves.ts";

function numberOf(query: URLSearchParams, name: string, standard: number, most: number): number {
  const text = query.get(name);
  if (text === null) return standard;
  const value = Number(text);
  if (!/^\d{1,9}(\.\d{1,6})?$/.test(text) || value > most)
    throw new Refused(400, `${name} is a number from 0 to ${most}`);
  return value;
}

function settingsOf(query: URLSearchParams): Settings {
  const waves = query.get("waves");
  try {
    return {
      waves: waves === null ? standardWaves : parseWaves(waves),
      silence: numberOf(query, "silence", standardSettings.silence / 1000, 86_400) * 1000,
      soak: numberOf(query, "soak", standardSettings.soak / 1000, 604_800) * 1000,
      tolerate: numberOf(query, "tolerate", standardSettings.tolerate, 1),
      atOnce: Math.max(1, Math.floor(numberOf(query, "at-once", standardSettings.atOnce, 64))),
      approve: query.has("approve"),
    };
  } catch (error) {
    if (error instanceof RangeError) throw new Refused(400, error.message);
    throw error;
  }
}

function idOf({ parts }: Context): number {
  const text = parts["id"] ?? "";
  if (!/^\d{1,9}$/.test(text)) throw new Refused(404, "there is no such rollout");
  return Number(text);
}

async function plan(context: Context): Promise<void> {
  const { gateway, query, request, response } = context;
  const select = query.getAll("select").slice(0, 64);
  if (select.length === 0) throw new Refused(400, "select says which nodes: select=wye-*");
  const settings = settingsOf(query);
  const bytes = new Uint8Array(await readBody(request, longestPackage));
  const made = await audited(context, "plan rollout", select.join(" "), () =>
    gateway.rollouts.plan(bytes, select, settings),
  );
  sendJson(response, made, 201);
}

async function act(context: Context): Promise<void> {
  const { gateway, parts, principal, response } = context;
  const word = parts["act"] as Act;
  if (!acts.includes(word)) throw new Refused(404, `a rollout can ${acts.join(", ")}`);
  const id = idOf(context);
  const rollout = await audited(context, `${word} rollout`, String(id), () =>
    Promise.resolve(gateway.rollouts.act(id, word, principal.name)),
  );
  sendJson(response, rollout);
}

const mostShadowed = mostPoints;

/** A package on what the sensors of a node said, before it is rolled out. */
async function shadow({ gateway, parts, query, request, response }: Context): Promise<void> {
  const node = parts["node"] ?? "";
  const hours = numberOf(query, "hours", 24, 24 * 14);
  const bytes = new Uint8Array(await readBody(request, longestPackage));
  checked(gateway, bytes);
  const { module } = openPackage(bytes);
  const facts = readFacts(module);
  const to = Date.now() + 1;
  await gateway.history.flush();
  const values = async (resource: string) => {
    const range = {
      from: to - hours * 3_600_000,
      to,
      resolution: "raw",
      limit: mostShadowed,
    } as const;
    const points = await gateway.history.query({ node, resource, ...range });
    return points.flatMap(({ time, value }) => (value === null ? [] : [{ time, value }]));
  };
  const samples: ShadowSample[] = [];
  for (const sensor of facts.sensors)
    for (const point of await values(`sensors/${sensor}`)) samples.push({ sensor, ...point });
  const was: Record<string, number[]> = {};
  for (const { name } of facts.outputs)
    was[name] = (await values(`outputs/${name}`)).map(({ value }) => value);
  const sorted = samples.toSorted((a, b) => a.time - b.time).slice(0, mostShadowed);
  const { rules } = gateway.config;
  const old = oldModule(gateway, node);
  sendJson(response, await shadowOf(module, sorted, was, { rules, node, old }));
}

/** The module that a node runs, where it was built or rolled out here. */
function oldModule(gateway: Core, name: string): Uint8Array | undefined {
  const digest = gateway.nodes.get(name)?.app?.digest;
  if (digest === undefined) return undefined;
  const built = keptBytes(gateway.project, digest);
  if (built !== undefined) return built;
  const bytes = gateway.rollouts.packageOf(digest);
  if (bytes === undefined) return undefined;
  try {
    const { module } = openPackage(bytes);
    return hex(digestOf(module)) === digest ? module : undefined;
  } catch {
    return undefined;
  }
}

export const rolloutRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/api/rollouts",
    role: "read",
    summary: "All rollouts; with `lanes` the newest, with how far their waves are",
    query: { lanes: "so many of the newest, 1 to 50" },
    handle: ({ gateway, query, response }) => {
      const most = Math.floor(numberOf(query, "lanes", 0, 50));
      const { rollouts } = gateway;
      sendJson(response, most === 0 ? rollouts.list() : rollouts.lanes(most));
    },
  },
  {
    method: "POST",
    path: "/api/rollouts",
    role: "install",
    summary:
      "Plans a rollout of a signed package: says which node gets it when, and which does not fit",
    query: {
      select: "names of nodes, more than once, with * at the end",
      waves: "1,1%,10%,100%",
      silence: "seconds of silence that count as a failure",
      soak: "seconds before a confirmed package is judged",
      tolerate: "the share of nodes that may fail, 0.01",
      "at-once": "nodes that are sent to at once",
      approve: "waits for approval between waves",
    },
    handle: plan,
  },
  {
    method: "POST",
    path: "/api/nodes/{node}/shadow",
    role: "install",
    summary:
      "Runs a signed package here on what the node's sensors said: its values, fuel and alarms beside those of the filter that it has",
    query: { hours: "how far back, 24" },
    handle: shadow,
  },
  {
    method: "GET",
    path: "/api/rollouts/{id}",
    role: "read",
    summary: "A rollout with its nodes and events",
    handle: (context) => sendJson(context.response, context.gateway.rollouts.view(idOf(context))),
  },
  {
    method: "POST",
    path: "/api/rollouts/{id}/{act}",
    role: "install",
    summary: "start, pause, resume, approve or halt",
    handle: act,
  },
];
