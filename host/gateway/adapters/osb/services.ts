// What a binding gives: values, their history and their stream, of what its instance selects and of nothing else.
//
//   /services/INSTANCE/values | history | stream       Authorization: Basic BINDING:PASSWORD
import type { IncomingMessage, ServerResponse } from "node:http";
import { sameOrigin } from "../../access.ts";
import { history } from "../../api.ts";
import { matches, matchesAny, type Filter } from "../../envelope.ts";
import type { Core } from "../../core.ts";
import { Refused, sendJson } from "../../http.ts";
import { lastSeq, serveEvents } from "../../stream.ts";
import { bindingOf, type Broker } from "./broker.ts";
import { basicOf } from "./http.ts";

/** How often a stream looks whether its binding is still good, in milliseconds. */
const recheck = 1_000;

export class Services {
  readonly #gateway: Core;
  readonly #broker: Broker;

  constructor(gateway: Core, broker: Broker) {
    this.#gateway = gateway;
    this.#broker = broker;
  }

  async serve(
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    query: URLSearchParams,
  ): Promise<void> {
    const parts = /^\/services\/([^/]+)\/(values|history|stream)$/.exec(path);
    if (parts === null) throw new Refused(404, `there is nothing at ${path}`);
    const { admitted, username, still } = this.#admit(request, parts[1] ?? "");
    if (request.method !== "GET" && request.method !== "HEAD")
      throw new Refused(405, "only GET", { allow: "GET" });
    const filter: Filter = admitted.selection;
    if (parts[2] === "values") {
      const all = [...this.#gateway.hub.all()].filter((one) => matches(filter, one));
      return sendJson(response, { values: all });
    }
    if (parts[2] === "stream") {
      serveEvents(this.#gateway.hub, filter, lastSeq(request, query), response);
      // Credentials that were taken back, or ran out, end what was opened with them.
      const timer = setInterval(() => still() || response.destroy(), recheck);
      response.on("close", () => clearInterval(timer));
      return;
    }
    const { nodes, resources } = admitted.selection;
    if (
      !matchesAny(nodes, query.get("node") ?? "") ||
      !matchesAny(resources, query.get("resource") ?? "")
    )
      throw new Refused(403, "this binding does not show that resource");
    if (!admitted.raw && (query.get("resolution") ?? "raw") === "raw")
      throw new Refused(403, "the plan has steps only: resolution is 1m or 1h");
    const principal = { name: username, role: "read" as const };
    return history({ gateway: this.#gateway, request, response, query, parts: {}, principal });
  }

  #admit(request: IncomingMessage, part: string) {
    const credentials = sameOrigin(request) ? basicOf(request) : undefined;
    let instance: string | undefined;
    try {
      instance = decodeURIComponent(part);
    } catch {
      instance = undefined;
    }
    const look = () =>
      credentials === undefined || instance === undefined
        ? undefined
        : this.#broker.admits(instance, bindingOf(credentials.username), credentials.password);
    const admitted = look();
    if (admitted === undefined || credentials === undefined)
      throw new Refused(401, "the credentials of a binding are needed", {
        "www-authenticate": 'Basic realm="wasmote services"',
      });
    const username = `binding ${credentials.username}`;
    const wait = this.#gateway.access.limit({ name: `${username} of ${instance}`, role: "read" });
    if (wait !== undefined)
      throw new Refused(429, "too many requests", { "retry-after": String(wait) });
    return { admitted, username, still: () => look() !== undefined };
  }
}
