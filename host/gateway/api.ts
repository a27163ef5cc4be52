// The HTTP routes as one table: method, path, who may, what it does. The server dispatches by it and OpenAPI is made of it.
import { cookieOf, roles, type Role } from "./access.ts";
import type { Filter } from "./envelope.ts";
import type { Core } from "./core.ts";
import { mostPoints, resolutions, type Resolution } from "./history.ts";
import { readBody, readJson, Refused, send, sendJson } from "./http.ts";
import { metrics } from "./metrics.ts";
import { parseLinks } from "../lib/node.ts";
import type { ManagedNode } from "./nodes.ts";
import { openapi, tryPage } from "./openapi.ts";
import { fitOf, push, trapOf } from "./operate.ts";
import { hostedRoutes } from "./hosted-routes.ts";
import { placementRoutes } from "./placement/routes.ts";
import { rolloutRoutes } from "./rollout/routes.ts";
import { audited, longestPackage, type Context, type Route } from "./route.ts";
import { linkFits, writeLink } from "./links.ts";
import { csv, senml } from "./senml.ts";
import { refuseUnknown } from "./known.ts";
import { holdEvents, lastSeq, serveEvents } from "./stream.ts";
import { describeThing } from "./thing.ts";

function nodeOf({ gateway, parts }: Context): ManagedNode {
  const node = gateway.nodes.get(parts["node"] ?? "");
  if (node === undefined) {
    const name = parts["node"] ?? "";
    refuseUnknown(gateway, [name]);
    throw new Refused(404, `${name} runs at the gateway, and is no node`);
  }
  return node;
}

/** What is known of a node, for lists. */
function summary(gateway: Core, node: ManagedNode): object {
  const { name, address, origin, lastSeen, trouble, app, info, stats, values } = node;
  return {
    name,
    address,
    origin,
    lastSeen: lastSeen === 0 ? null : lastSeen,
    ...(trouble === undefined ? {} : { trouble }),
    board: info?.board ?? null,
    firmware: info?.firmware ?? null,
    uptime: info?.uptime ?? null,
    values,
    package:
      app === undefined || app.state === "empty"
        ? null
        : {
            name: app.name,
            version: app.version,
            state: app.state,
            digest: app.digest,
            sequence: app.sequence,
            trial: app.trial,
            ram: app.ram,
          },
    memory: info?.limits["memory"] ?? null,
    fuel: {
      last: stats?.fuel ?? null,
      most: stats?.fuel_max ?? null,
      limit: info?.limits["fuel"] ?? null,
    },
    traps: stats?.traps ?? null,
    dropped: stats?.samples_dropped ?? null,
    event: trapOf(gateway.project, node) ?? null,
  };
}

/** Links to the proxy and to what the nodes have, by whatever is asked for (RFC 6690 §4.1). */
function wellKnown(gateway: Core, query: URLSearchParams): string[] {
  const own = parseLinks(gateway.proxy.links(undefined).join(","));
  const theirs = [...gateway.nodes].flatMap((node) =>
    node.resources.map(({ path, attributes }) => ({
      path: `/nodes/${encodeURIComponent(node.name)}${path}`,
      attributes,
    })),
  );
  return [...own, ...theirs]
    .filter((link) => linkFits(link, query))
    .map((link) => writeLink(link, link.path));
}

const iso = /^[+-]?\d{4,6}(?:-\d\d){1,2}(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?$/i;

/** A time in a query: milliseconds since 1970, negative ones before now, or ISO 8601, in UTC where no zone is named. */
export function timeOf(text: string | null, standard: number, now = Date.now()): number {
  if (text === null) return standard;
  if (/^-?\d{1,15}$/.test(text)) return Number(text) < 0 ? now + Number(text) : Number(text);
  const found = iso.exec(text);
  // Without a zone it is not the one that the gateway's computer happens to be in.
  const zone = found !== null && text.includes("T") && found[1] === undefined ? "Z" : "";
  const value = found === null ? Number.NaN : Date.parse(text + zone);
  if (Number.isNaN(value))
    throw new Refused(
      400,
      `${text} is not a time: write milliseconds since 1970 or 2026-11-28T12:00:00Z`,
    );
  return value;
}

function limitOf(query: URLSearchParams, standard: number, most: number): number {
  const text = query.get("limit");
  if (text === null) return standard;
  const value = /^\d{1,7}$/.test(text) ? Number(text) : 0;
  if (value < 1 || value > most) throw new Refused(400, `limit is a number from 1 to ${most}`);
  return value;
}

export function filterOf(query: URLSearchParams): Filter {
  return {
    nodes: query.getAll("node").slice(0, 64),
    resources: query.getAll("resource").slice(0, 64),
  };
}

export async function history(context: Context): Promise<void> {
  const { gateway, query, request, response } = context;
  const node = query.get("node") ?? "";
  const resource = query.get("resource") ?? "";
  if (node === "" || resource === "") throw new Refused(400, "node and resource are needed");
  const resolution = query.get("resolution") ?? "raw";
  if (!Object.hasOwn(resolutions, resolution))
    throw new Refused(400, `resolution is one of ${Object.keys(resolutions).join(", ")}`);
  const to = timeOf(query.get("to"), Date.now() + 1);
  const from = timeOf(query.get("from"), to - 86_400_000);
  await gateway.history.flush();
  const points = await gateway.history.query({
    node,
    resource,
    from,
    to,
    resolution: resolution as Resolution,
    limit: limitOf(query, 10_000, mostPoints),
  });
  // What was gathered of a node stays when the node has gone.
  const gone = () => gateway.history.series().then((all) => all.some((one) => one.node === node));
  if (points.length === 0 && !(await gone())) refuseUnknown(gateway, [node]);
  const wanted =
    query.get("format") ??
    /\b(csv|senml\+json)\b/.exec(request.headers.accept ?? "")?.[1] ??
    "json";
  if (wanted === "csv")
    return send(
      response,
      200,
      {
        "content-type": "text/csv;charset=utf-8",
        "content-disposition": "attachment; filename=history.csv",
      },
      csv(points),
    );
  if (wanted.startsWith("senml"))
    return send(
      response,
      200,
      { "content-type": "application/senml+json" },
      JSON.stringify(senml(node, resource, points)),
    );
  if (wanted !== "json") throw new Refused(400, "format is json, csv or senml");
  sendJson(response, { node, resource, resolution, points });
}

async function parameter(context: Context): Promise<void> {
  const node = nodeOf(context);
  const name = context.parts["name"] ?? "";
  const { value } = await readJson(context.request);
  if (typeof value !== "number" || !Number.isFinite(value))
    throw new Refused(400, 'write: {"value": 150}');
  await audited(context, `set ${name} = ${value}`, node.name, () =>
    node.connection.setParam(name, value),
  );
  node.seen();
  context.gateway.upstream.cache.invalidate({
    authority: node.name,
    method: "GET",
    options: ["app", "params", name].map((part) => ({
      name: "Uri-Path",
      value: Buffer.from(part),
    })),
  });
  sendJson(context.response, { name, value });
}

async function install(context: Context): Promise<void> {
  const node = nodeOf(context);
  const bytes = new Uint8Array(await readBody(context.request, longestPackage));
  if (context.query.has("check")) return sendJson(context.response, await fitOf(node, bytes));
  sendJson(context.response, await audited(context, "push", node.name, () => push(node, bytes)));
}

async function makeToken(context: Context): Promise<void> {
  const { access } = context.gateway;
  const { name, role } = await readJson(context.request);
  if (typeof name !== "string" || !/^[\w.-]{1,40}$/.test(name))
    throw new Refused(400, "name is 1 to 40 letters, digits and . _ -");
  if (!roles.includes(role as Role)) throw new Refused(400, `role is one of ${roles.join(", ")}`);
  if (access.has(name)) throw new Refused(409, `there is a token ${name}`);
  const token = await audited(context, `token for ${role as string}`, name, () =>
    Promise.resolve(access.create(name, role as Role)),
  );
  sendJson(context.response, { name, role, token }, 201);
}

async function login({ gateway, request, response }: Context): Promise<void> {
  const { token } = await readJson(request);
  const principal = typeof token === "string" ? gateway.access.bearer(token) : undefined;
  if (principal === undefined) throw new Refused(401, "this is not a token of this gateway");
  send(
    response,
    200,
    {
      "content-type": "application/json",
      "cache-control": "no-store",
      "set-cookie": cookieOf(token as string, gateway.secure),
    },
    JSON.stringify(principal),
  );
}

export const routes: readonly Route[] = [
  {
    method: "GET",
    path: "/healthz",
    role: undefined,
    summary: "Whether the gateway runs",
    type: "text/plain",
    handle: ({ response }) => send(response, 200, { "content-type": "text/plain" }, "ok\n"),
  },
  {
    method: "POST",
    path: "/api/login",
    role: undefined,
    summary: "Keeps a token in the browser",
    handle: login,
  },
  {
    method: "GET",
    path: "/api/me",
    role: "read",
    summary: "Who asks",
    handle: ({ response, principal }) => sendJson(response, principal),
  },
  {
    method: "GET",
    path: "/api/nodes",
    role: "read",
    summary: "All nodes",
    handle: ({ gateway, response }) =>
      sendJson(
        response,
        [...gateway.nodes].map((node) => summary(gateway, node)),
      ),
  },
  {
    method: "GET",
    path: "/api/nodes/{node}",
    role: "read",
    summary: "One node with its resources and counters",
    handle: (context) => {
      const node = nodeOf(context);
      const { info, app, stats, resources } = node;
      sendJson(context.response, {
        ...summary(context.gateway, node),
        info,
        app,
        stats,
        resources,
      });
    },
  },
  {
    method: "GET",
    path: "/api/nodes/{node}/params",
    role: "read",
    summary: "The parameters of the running package",
    handle: async (context) =>
      sendJson(context.response, await nodeOf(context).connection.params()),
  },
  {
    method: "PUT",
    path: "/api/nodes/{node}/params/{name}",
    role: "operate",
    summary: "Sets a parameter",
    handle: parameter,
  },
  {
    method: "GET",
    path: "/api/nodes/{node}/log",
    role: "read",
    summary: "The log, line by line",
    handle: async (context) => sendJson(context.response, await nodeOf(context).connection.log()),
  },
  {
    method: "PUT",
    path: "/api/nodes/{node}/app",
    role: "install",
    summary: "Installs a signed package that fits",
    query: { check: "says only whether it fits" },
    handle: install,
  },
  {
    method: "POST",
    path: "/api/nodes/{node}/rollback",
    role: "install",
    summary: "Returns to the package before",
    handle: async (context) => {
      const node = nodeOf(context);
      await audited(context, "rollback", node.name, () => node.connection.rollback());
      sendJson(context.response, { done: true });
    },
  },
  {
    method: "GET",
    path: "/api/nodes/{node}/thing",
    role: "read",
    summary: "The node's description for the Web of Things",
    type: "application/td+json",
    handle: (context) =>
      send(
        context.response,
        200,
        { "content-type": "application/td+json" },
        JSON.stringify(describeThing(nodeOf(context), context.gateway.baseOf(context.request))),
      ),
  },
  {
    method: "GET",
    path: "/api/values",
    role: "read",
    summary: "The newest value of every resource",
    handle: ({ gateway, response }) => sendJson(response, [...gateway.hub.all()]),
  },
  {
    method: "GET",
    path: "/api/stream",
    role: "read",
    summary: "Values as they come, as Server-Sent Events; the same by WebSocket",
    type: "text/event-stream",
    query: {
      node: "a node's name, more than once, with * at the end",
      resource: "a resource's path, likewise",
      last: "the last number that was seen",
    },
    handle: ({ gateway, principal, request, response, query }) => {
      const filter = filterOf(query);
      refuseUnknown(gateway, filter.nodes ?? []);
      const last = lastSeq(request, query);
      holdEvents(gateway.access, principal, response);
      serveEvents(gateway.hub, filter, last, response);
    },
  },
  {
    method: "GET",
    path: "/api/history",
    role: "read",
    summary: "Values of one resource, raw or in steps",
    query: {
      node: "the node",
      resource: "the resource",
      from: "milliseconds since 1970, ISO 8601, or negative: so long ago",
      to: "likewise",
      resolution: "raw, 1m or 1h",
      limit: "points at most",
      format: "json, csv or senml",
    },
    handle: history,
  },
  {
    method: "GET",
    path: "/api/series",
    role: "read",
    summary: "What there is a history of",
    handle: async ({ gateway, response }) => sendJson(response, await gateway.history.series()),
  },
  {
    method: "GET",
    path: "/api/alarms",
    role: "read",
    summary: "Alarms that are raised or not acknowledged",
    handle: ({ gateway, response }) => sendJson(response, gateway.alarms.list()),
  },
  {
    method: "POST",
    path: "/api/alarms/acknowledge",
    role: "operate",
    summary: "Acknowledges an alarm: {id}",
    handle: async (context) => {
      const { id } = await readJson(context.request);
      const alarm = await audited(context, "acknowledge", String(id).slice(0, 200), () =>
        Promise.resolve(context.gateway.alarms.acknowledge(String(id), context.principal.name)),
      );
      if (alarm === undefined) throw new Refused(404, "there is no such alarm");
      sendJson(context.response, alarm);
    },
  },
  {
    method: "GET",
    path: "/api/events",
    role: "read",
    summary: "What befell nodes, newest first",
    query: { node: "of one node alone", limit: "events at most" },
    handle: ({ gateway, response, query }) =>
      sendJson(
        response,
        gateway.store.events(limitOf(query, 100, 10_000), query.get("node") ?? undefined),
      ),
  },
  {
    method: "GET",
    path: "/api/audit",
    role: "admin",
    summary: "Who did what, newest first",
    query: { limit: "entries at most" },
    handle: ({ gateway, response, query }) =>
      sendJson(response, gateway.store.audits(limitOf(query, 100, 10_000))),
  },
  {
    method: "GET",
    path: "/api/directory",
    role: "read",
    summary: "Registrations at the resource directory",
    handle: ({ gateway, response }) => sendJson(response, gateway.directory?.list() ?? []),
  },
  {
    method: "GET",
    path: "/api/tokens",
    role: "admin",
    summary: "Tokens, without their secrets",
    handle: ({ gateway, response }) => sendJson(response, gateway.access.list()),
  },
  {
    method: "POST",
    path: "/api/tokens",
    role: "admin",
    summary: "Makes a token: {name, role}; it is shown once",
    handle: makeToken,
  },
  {
    method: "DELETE",
    path: "/api/tokens/{name}",
    role: "admin",
    summary: "Revokes a token",
    handle: async (context) => {
      const name = context.parts["name"] ?? "";
      const { access } = context.gateway;
      const gone = await audited(context, "revoke", name, async () => {
        if (access.isLastAdmin(name))
          throw new Refused(
            409,
            `${name} is the last token of an administrator: make another first`,
          );
        return access.revoke(name);
      });
      if (!gone) throw new Refused(404, `there is no token ${name}`);
      send(context.response, 204, {});
    },
  },
  ...rolloutRoutes,
  ...hostedRoutes,
  ...placementRoutes,
  {
    method: "GET",
    path: "/metrics",
    role: "read",
    summary: "Counters for Prometheus",
    type: "text/plain; version=0.0.4",
    handle: ({ gateway, response }) =>
      send(
        response,
        200,
        { "content-type": "text/plain; version=0.0.4; charset=utf-8" },
        metrics(gateway),
      ),
  },
  {
    method: "GET",
    path: "/.well-known/core",
    role: "read",
    summary:
      "What there is here, in CoRE's link format: the proxy for CoAP (RFC 8075 §5.5) and resources of nodes",
    type: "application/link-format",
    handle: ({ gateway, response, query }) => {
      const links = wellKnown(gateway, query).join(",");
      send(
        response,
        200,
        // The proxy in a header too, for clients that do not read link format.
        {
          "content-type": "application/link-format",
          link: gateway.proxy.links(undefined).join(","),
        },
        links,
      );
    },
  },
  {
    method: "GET",
    path: "/openapi.json",
    role: undefined,
    summary: "This description",
    handle: ({ response }) => sendJson(response, openapi(routes)),
  },
  {
    method: "GET",
    path: "/api",
    role: undefined,
    summary: "A page to try it",
    type: "text/html",
    handle: ({ response }) => tryPage(response, routes),
  },
];
