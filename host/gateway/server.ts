// The HTTP server: who asks, which route, what went wrong. Malformed input ends its connection and nothing else.
import {
  createServer,
  STATUS_CODES,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import { createServer as createSecure, type Server as SecureServer } from "node:https";
import { once } from "node:events";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocketServer, type WebSocket } from "ws";
import { NodeError } from "../lib/errors.ts";
import { allows, roleOf, sameOrigin, type Principal, type Role } from "./access.ts";
import { filterOf, routes } from "./api.ts";
import type { Context, Route } from "./route.ts";
import type { Config } from "./config.ts";
import { Connections } from "./connections.ts";
import type { Core } from "./core.ts";
import { Refused, sendJson } from "./http.ts";
import { page } from "./page.ts";
import { serveInstance } from "./instance.ts";
import { refuseUnknown } from "./known.ts";
import { holdEvents, lastSeq, serveEvents, serveSocket } from "./stream.ts";
import { readSecrets, stateOf } from "./tls.ts";
import { serveTunnel } from "./tunnel.ts";
import { failureStatus } from "./upstream.ts";

/** Connections at most; what a viewer sends at most. */
const mostConnections = 4_096;
const longestMessage = 4_096;
/** Bytes of a request before its body. */
const longestHeader = 16_384;

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
  readonly #connections: Connections;
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
      maxHeaderSize: longestHeader,
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
    this.#connections = new Connections(gateway.options.connections ?? mostConnections);
    this.#server.on("connection", (socket: Socket) => this.#connections.take(socket));
    this.#server.on("clientError", (error: ClientError, socket) => {
      if (!socket.writable) return void socket.destroy();
      const [status, message] = unread(error);
      socket.end(rawError(status, message));
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
    this.#connections.admit(request.socket, principal.name);
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
      // Nobody is there any more: a client that hung up in the middle of its body is no fault of the gateway.
      if (response.headersSent || response.destroyed) return void response.destroy();
      if (error instanceof Refused) sendError(response, error.status, error.message, error.headers);
      else if (error instanceof NodeError && (error.code === "answer" || error.code === "refused"))
        sendError(response, 409, error.message);
      else if (error instanceof NodeError) {
        const { status, text } = failureStatus(error);
        sendError(response, status, text);
      } else if (isFull(error)) {
        // RFC 4918 §11.5. An alarm says it already, and lines about it fill no other disk.
        sendError(response, 507, "the gateway's disk is full: this was not done; make room there");
      } else {
        // Outsiders get a code; the console has the detail.
        this.#gateway.options.say(`a request failed: ${(error as Error).stack ?? String(error)}`);
        sendError(response, 500, "the gateway could not do this");
      }
    }
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, search } = addressOf(request);
    const method = request.method ?? "";
    if (pathname.startsWith("/nodes/") || pathname.startsWith("/hc/"))
      return this.#proxy(request, response, pathname, search);
    const query = new URLSearchParams(search);
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
    const write = (principal: Principal, target: string) => {
      if (method === "GET" || method === "HEAD") return;
      response.on("finish", () =>
        this.#gateway.audit({
          who: principal.name,
          what: method,
          target,
          result: String(response.statusCode),
        }),
      );
    };
    if (pathname.startsWith("/hc/")) {
      // A foreign target is asked for whoever has at least the right to operate (RFC 8075 §10.1: default deny).
      write(this.#admit(request, "operate"), pathname);
      return proxy.forward(request, response, proxy.unpack(pathname.slice("/hc/".length) + search));
    }
    const [, name = "", path = ""] = /^\/nodes\/([^/]+)\/?(.*)$/.exec(pathname) ?? [];
    // What the node gets is what counts, and not how it was written here.
    const written = path.includes("%") ? decode(path) : path;
    const principal = this.#admit(request, roleOf(method, written));
    write(principal, pathname);
    const own = decode(name);
    refuseUnknown(this.#gateway, [own]);
    if (method === "GET" && /\btext\/event-stream\b/.test(request.headers.accept ?? "")) {
      const last = lastSeq(request, new URLSearchParams(query));
      holdEvents(this.#gateway.access, principal, response);
      return serveEvents(hub, { nodes: [own], resources: [written] }, last, response);
    }
    if (this.#gateway.nodes.get(own) === undefined)
      return serveInstance(this.#gateway, request, response, own, written);
    return proxy.reverse(request, response, own, path, query);
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on("error", () => socket.destroy());
    const refuse = (status: number, message: string) => socket.end(rawError(status, message));
    try {
      const { pathname, search } = addressOf(request);
      const query = new URLSearchParams(search);
      const through = /^\/api\/nodes\/([^/]+)\/coap$/.exec(pathname)?.[1];
      if (through !== undefined) return this.#through(decode(through), request, socket, head);
      const [, name, path] = /^\/nodes\/([^/]+)\/(.+)$/.exec(pathname) ?? [];
      if (pathname !== "/api/stream" && name === undefined)
        return void refuse(404, `there is nothing at ${pathname}`);
      // A page of somebody else's may open a WebSocket to anywhere: the browser says whose it is.
      if (!sameOrigin(request)) return void refuse(403, "a foreign page");
      const principal = this.#admit(request, "read");
      const filter =
        name === undefined
          ? filterOf(query)
          : { nodes: [decode(name)], resources: [decode(path ?? "")] };
      refuseUnknown(this.#gateway, filter.nodes ?? []);
      const last = lastSeq(request, query);
      this.#sockets.handleUpgrade(request, socket, head, (opened) => {
        this.#hold(principal, opened);
        serveSocket(this.#gateway.hub, filter, last, opened);
      });
    } catch (error) {
      if (error instanceof Refused) refuse(error.status, error.message);
      else refuse(400, "this is not a request that can be read");
    }
  }

  /** CoAP to one node over a WebSocket: what the verbs of the command line say to it, with the rights of their token. */
  #through(name: string, request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (!sameOrigin(request)) throw new Refused(403, "a foreign page");
    const principal = this.#admit(request, "read");
    const node = this.#gateway.nodes.get(name);
    if (node === undefined) {
      refuseUnknown(this.#gateway, [name]);
      throw new Refused(404, `${name} runs at the gateway, and is no node`);
    }
    this.#sockets.handleUpgrade(request, socket, head, (opened) => {
      this.#hold(principal, opened);
      serveTunnel(this.#gateway, node, principal, opened);
    });
  }

  /** A token that is revoked ends what was opened with it. */
  #hold(principal: Principal, socket: WebSocket): void {
    const end = () => socket.close(1008, "the token was revoked");
    socket.on("close", this.#gateway.access.hold(principal, end));
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

type ClientError = Error & { code?: string; rawPacket?: Buffer };

/** What is said of a request that Node.js could not read (RFC 9110 §15.5.15, RFC 6585 §5). */
function unread({ code, rawPacket }: ClientError): [status: number, message: string] {
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return [408, "the request did not come in time"];
  if (code !== "HPE_HEADER_OVERFLOW") return [400, "this is not HTTP as RFC 9112 has it"];
  return rawPacket?.includes("\r\n") === true
    ? [431, `the header has more than ${longestHeader} bytes`]
    : [414, `the address has more than ${longestHeader} bytes`];
}

/** Whether something could not be written since there is no room, or none that the gateway may take. */
const isFull = (error: unknown): boolean =>
  ["ENOSPC", "EDQUOT", "SQLITE_FULL"].includes(String((error as { code?: unknown } | null)?.code));

/** A refusal on a connection that has no response. */
function rawError(status: number, message: string): string {
  const body = `${JSON.stringify({ error: { status, message } })}\n`;
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Refused"}`,
    "Connection: close",
    "Content-Type: application/json",
    `Content-Length: ${Buffer.byteLength(body)}`,
    "",
    body,
  ].join("\r\n");
}

/** The address of a request, undecoded: `//` and dots stay what they are. */
function addressOf({ url = "/", rawHeaders }: IncomingMessage): {
  pathname: string;
  search: string;
} {
  // RFC 9112 §3.2. Node.js takes the first; a proxy in front may have taken another.
  const hosts = rawHeaders.filter((name, at) => at % 2 === 0 && name.toLowerCase() === "host");
  if (hosts.length > 1) throw new Refused(400, "the request names more than one host");
  if (!url.startsWith("/")) throw new Refused(400, "the address does not begin with a slash");
  const at = url.indexOf("?");
  const pathname = at < 0 ? url : url.slice(0, at);
  const search = at < 0 ? "" : url.slice(at);
  return { pathname, search };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new Refused(400, "an escape in the address is broken");
  }
}
