// The HTTP server: who asks, which route, what went wrong. Malformed input ends its connection and nothing else.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createSecure, type Server as SecureServer } from "node:https";
import { once } from "node:events";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import { NodeError } from "../lib/errors.ts";
import { allows, sameOrigin, type Principal, type Role } from "./access.ts";
import { filterOf, roleOf, routes } from "./api.ts";
import type { Context, Route } from "./route.ts";
import type { Config } from "./config.ts";
import type { Core } from "./core.ts";
import { Refused, sendJson } from "./http.ts";
import { page } from "./page.ts";
import { lastSeq, serveEvents, serveSocket } from "./stream.ts";
import { readSecrets, stateOf } from "./tls.ts";
import { serveTunnel } from "./tunnel.ts";
import { failureStatus } from "./upstream.ts";

/** Connections at most; what a viewer sends at most. */
const mostConnections = 4_096;
const longestMessage = 4_096;

interface Compiled {
  route: Route;
  pattern: RegExp;
  names: string[];
}

const compiled: Compiled[] = routes.map((route) => ({
  route,
  names: [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => name),
  pattern: new RegExp(`^${route.path.replaceAll(".", "\\.").replaceAll(/\{\w+\}/g, "([^/]+)")}$`),
}));

export class HttpServer {
  readonly #gateway: Core;
  readonly #server: Server;
  readonly #renewal: NodeJS.Timeout | undefined;
  readonly #sockets = new WebSocketServer({
    noServer: true,
    maxPayload: longestMessage,
    perMessageDeflate: false,
  });

  constructor(gateway: Core) {
    this.#gateway = gateway;
    const { tls } = gateway.config;
    const limits = {
      maxHeaderSize: 16_384,
      requestTimeout: 60_000,
      headersTimeout: 20_000,
      keepAliveTimeout: 65_000,
    };
    const serve = (request: IncomingMessage, response: ServerResponse) =>
      void this.#serve(request, response);
    this.#server =
      tls === undefined
        ? createServer(limits, serve)
        : (createSecure({ ...limits, ...readSecrets(tls) }, serve) as unknown as Server);
    if (tls !== undefined) this.#renewal = this.#watch(tls);
    this.#server.maxConnections = mostConnections;
    this.#server.on("clientError", (_, socket) => {
      if (socket.writable)
        socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
      else socket.destroy();
    });
    this.#server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) =>
      this.#upgrade(request, socket, head),
    );
  }

  /** Takes renewed files without a new start; what cannot be read leaves those from before. */
  #watch(tls: NonNullable<Config["tls"]>): NodeJS.Timeout {
    let known = stateOf(tls);
    const timer = setInterval(() => {
      const now = stateOf(tls);
      if (now === undefined || now === known) return;
      try {
        (this.#server as unknown as SecureServer).setSecureContext(readSecrets(tls));
        known = now;
        this.#gateway.options.say("TLS: the renewed certificate is in use");
      } catch {
        // Half of it is written: looked at again.
      }
    }, this.#gateway.options.renewal ?? 60_000);
    timer.unref();
    return timer;
  }

  async listen(host: string, port: number): Promise<number> {
    this.#server.listen(port, host);
    await once(this.#server, "listening");
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : port;
  }

  /** Who asks, where he may; otherwise a refusal. */
  #admit(request: IncomingMessage, needed: Role): Principal {
    const { access } = this.#gateway;
    const principal = access.principal(request);
    if (principal === undefined)
      throw new Refused(401, "a token is needed: Authorization: Bearer TOKEN", {
        "www-authenticate": "Bearer",
      });
    if (!allows(principal.role, needed))
      throw new Refused(
        403,
        `this needs the role ${needed}; ${principal.name} has ${principal.role}`,
      );
    const wait = access.limit(principal);
    if (wait !== undefined)
      throw new Refused(429, "too many requests", { "retry-after": String(wait) });
    return principal;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on("error", () => {});
    try {
      await this.#route(request, response);
    } catch (error) {
      if (response.headersSent) return void response.destroy();
      if (error instanceof Refused) sendError(response, error.status, error.message, error.headers);
      else if (error instanceof NodeError && (error.code === "answer" || error.code === "refused"))
        sendError(response, 409, error.message);
      else if (error instanceof NodeError) {
        const { status, text } = failureStatus(error);
        sendError(response, status, text);
      } else {
        // Outsiders get a code; the console has the detail.
        this.#gateway.options.say(`a request failed: ${(error as Error).stack ?? String(error)}`);
        sendError(response, 500, "the gateway could not do this");
      }
    }
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, query, search } = addressOf(request);
    const method = request.method ?? "";
    if (pathname.startsWith("/nodes/") || pathname.startsWith("/hc/"))
      return this.#proxy(request, response, pathname, search);
    const { also } = this.#gateway;
    if (also?.has(pathname)) return also.serve(request, response, pathname, query);
    for (const { route, pattern, names } of compiled) {
      const found = pattern.exec(pathname);
      if (found === null || route.method !== (method === "HEAD" ? "GET" : method)) continue;
      const principal =
        route.role === undefined
          ? { name: "", role: "read" as const }
          : this.#admit(request, route.role);
      const parts: Record<string, string> = Object.fromEntries(
        names.map((name, index) => [name, decode(found[index + 1] ?? "")]),
      );
      const context: Context = {
        gateway: this.#gateway,
        request,
        response,
        query,
        parts,
        principal,
      };
      return route.handle(context);
    }
    const known = compiled.filter(({ pattern }) => pattern.test(pathname));
    if (known.length > 0)
      throw new Refused(405, `${method} is not what ${pathname} takes`, {
        allow: known.map(({ route }) => route.method).join(", "),
      });
    if ((method === "GET" || method === "HEAD") && page(pathname, request, response)) return;
    throw new Refused(404, `there is nothing at ${pathname}`);
  }

  /** CoAP resources by HTTP (RFC 8075). */
  async #proxy(
    request: IncomingMessage,
    response: ServerResponse,
    pathname: string,
    search: string,
  ): Promise<void> {
    const { proxy, hub } = this.#gateway;
    const method = request.method ?? "";
    const query = search.slice(1);
    const write = (principal: Principal, target: string) =>
      response.on("finish", () => {
        if (method !== "GET" && method !== "HEAD")
          this.#gateway.audit({
            who: principal.name,
            what: method,
            target,
            result: String(response.statusCode),
          });
      });
    if (pathname.startsWith("/hc/")) {
      // A foreign target is asked for whoever has at least the right to operate (RFC 8075 §10.1: default deny).
      write(this.#admit(request, "operate"), pathname);
      return proxy.forward(request, response, proxy.unpack(pathname.slice("/hc/".length) + search));
    }
    const [, name = "", path = ""] = /^\/nodes\/([^/]+)\/?(.*)$/.exec(pathname) ?? [];
    write(this.#admit(request, roleOf(method, path)), pathname);
    if (method === "GET" && /\btext\/event-stream\b/.test(request.headers.accept ?? ""))
      return serveEvents(
        hub,
        { nodes: [decode(name)], resources: [decode(path)] },
        lastSeq(request, new URLSearchParams(query)),
        response,
      );
    return proxy.reverse(request, response, decode(name), path, query);
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on("error", () => socket.destroy());
    const refuse = (status: string) =>
      socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
    try {
      const { pathname, query } = addressOf(request);
      const through = /^\/api\/nodes\/([^/]+)\/coap$/.exec(pathname)?.[1];
      if (through !== undefined) return this.#through(decode(through), request, socket, head);
      const [, name, path] = /^\/nodes\/([^/]+)\/(.+)$/.exec(pathname) ?? [];
      if (pathname !== "/api/stream" && name === undefined) return void refuse("404 Not Found");
      // A page of somebody else's may open a WebSocket to anywhere: the browser says whose it is.
      if (!sameOrigin(request)) return void refuse("403 Forbidden");
      this.#admit(request, "read");
      const filter =
        name === undefined
          ? filterOf(query)
          : { nodes: [decode(name)], resources: [decode(path ?? "")] };
      this.#sockets.handleUpgrade(request, socket, head, (opened) =>
        serveSocket(this.#gateway.hub, filter, lastSeq(request, query), opened),
      );
    } catch (error) {
      refuse(
        error instanceof Refused
          ? `${error.status} ${{ 401: "Unauthorized", 404: "Not Found" }[error.status] ?? "Refused"}`
          : "400 Bad Request",
      );
    }
  }

  /** CoAP to one node over a WebSocket: what the verbs of the command line say to it, with the rights of their token. */
  #through(name: string, request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (!sameOrigin(request)) throw new Refused(403, "a foreign page");
    const principal = this.#admit(request, "read");
    const node = this.#gateway.nodes.get(name);
    if (node === undefined) throw new Refused(404, "there is no such node");
    this.#sockets.handleUpgrade(request, socket, head, (opened) =>
      serveTunnel(this.#gateway, node, principal, opened),
    );
  }

  async close(): Promise<void> {
    clearInterval(this.#renewal);
    for (const socket of this.#sockets.clients) socket.close(1001);
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
    for (const socket of this.#sockets.clients) socket.terminate();
  }
}

function sendError(
  response: ServerResponse,
  status: number,
  message: string,
  headers: Record<string, string> = {},
): void {
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  sendJson(response, { error: { status, message } }, status);
}

/** The address of a request, undecoded: `//` and dots stay what they are. */
function addressOf({ url = "/" }: IncomingMessage): {
  pathname: string;
  search: string;
  query: URLSearchParams;
} {
  if (!url.startsWith("/")) throw new Refused(400, "the address does not begin with a slash");
  const at = url.indexOf("?");
  const pathname = at < 0 ? url : url.slice(0, at);
  const search = at < 0 ? "" : url.slice(at);
  return { pathname, search, query: new URLSearchParams(search) };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new Refused(400, "an escape in the address is broken");
  }
}
