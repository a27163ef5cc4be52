// What runs at the gateway read as a node is: `/nodes/NAME/outputs/ALARM` of a hosted package, of a flood alarm, and of the gateway's virtual
// resources. Its values are the hub's newest.
import type { IncomingMessage, ServerResponse } from "node:http";
import { shortest } from "../lib/text.ts";
import type { Core } from "./core.ts";
import { Refused, send } from "./http.ts";
import { instancesOf, told } from "./known.ts";
import { senml } from "./senml.ts";

export function serveInstance(
  { hub, ...gateway }: Pick<Core, "hub" | "nodes" | "hosted" | "placements" | "config">,
  request: IncomingMessage,
  response: ServerResponse,
  name: string,
  path: string,
): void {
  const head = request.method === "HEAD";
  if (request.method !== "GET" && !head)
    throw new Refused(405, `${name} runs at the gateway: its outputs are read`, {
      allow: "GET, HEAD",
    });
  const all = instancesOf(gateway).get(name) ?? [];
  if (path === ".well-known/core") {
    const links = all.map(
      (one) => `</nodes/${encodeURIComponent(name)}/${one}>;rt="wasmote.output";obs`,
    );
    return send(
      response,
      200,
      { "content-type": "application/link-format" },
      links.join(","),
      head,
    );
  }
  if (!all.includes(path))
    throw new Refused(404, `${name} has no ${path.slice(0, 100)}; it has: ${told(all)}`);
  const { value = null, text, time = 0 } = hub.newest(name, path) ?? {};
  if (/\bsenml\+json\b/.test(request.headers.accept ?? "")) {
    const point = { time, value, ...(text === undefined ? {} : { text }) };
    const pack = JSON.stringify(senml(name, path, [point]));
    return send(response, 200, { "content-type": "application/senml+json" }, pack, head);
  }
  // As a node says it: nothing where there is no value yet, or none now.
  const said = text ?? (value === null ? "" : shortest(value));
  send(
    response,
    200,
    {
      "content-type": "text/plain;charset=utf-8",
      "cache-control": "no-store",
      "content-security-policy": "sandbox",
    },
    said,
    head,
  );
}
