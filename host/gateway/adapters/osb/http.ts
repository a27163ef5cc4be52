// The broker over HTTP: who asks, in which version, for what (Open Service Broker v2.17).
import type { IncomingMessage, ServerResponse } from "node:http";
import { createHash } from "node:crypto";
import { allows, sameOrigin, type Principal } from "../../access.ts";
import type { Core } from "../../core.ts";
import { readBody, Refused, send } from "../../http.ts";
import type { Answer, Broker } from "./broker.ts";
import { BrokerError } from "./errors.ts";
import type { Fields } from "./fields.ts";

/** Minor versions only add to one another; these are what this broker was written and tried with. */
const oldestMinor = 13;
/** Bytes of a request: a package in Base64, and something around it. */
const longestBody = 2 << 20;
const longestId = 255;
/** Levels of objects and lists in a body. */
const mostDeep = 64;

export class BrokerHttp {
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
    const identity = request.headers["x-broker-api-request-identity"];
    const headers: Record<string, string> =
      typeof identity === "string" && identity !== ""
        ? { "x-broker-api-request-identity": identity }
        : {};
    try {
      const principal = this.#admit(request);
      checkVersion(request);
      await this.#route({ request, response, path, query, principal, headers });
    } catch (error) {
      // Nobody is there any more: who hung up in the middle of a body is no fault of the broker.
      if (response.headersSent || response.destroyed) return void response.destroy();
      if (error instanceof BrokerError) sendAs(response, error.status, error.body, headers);
      else if (error instanceof Refused)
        sendAs(
          response,
          error.status,
          { description: error.message },
          { ...headers, ...error.headers },
        );
      else {
        this.#gateway.options.say(`the service broker failed: ${(error as Error).stack ?? ""}`);
        sendAs(response, 500, { description: "the broker failed" }, headers);
      }
    }
  }

  /** Basic authentication (RFC 7617): a token of the gateway is the password, its name the user; it needs the role `install`. */
  #admit(request: IncomingMessage): Principal {
    const { access } = this.#gateway;
    const refused = new Refused(
      401,
      "a token is needed: its name as the user, itself as the password",
      {
        "www-authenticate": 'Basic realm="wasmote", charset="UTF-8"',
      },
    );
    // A browser sends by itself what somebody once typed in: not for pages of somebody else's.
    if (!sameOrigin(request)) throw refused;
    const credentials = basicOf(request);
    const principal = credentials && access.bearer(credentials.password);
    if (principal === undefined || principal.name !== credentials?.username) throw refused;
    if (!allows(principal.role, "install"))
      throw new Refused(
        403,
        `this needs the role install; ${principal.name} has ${principal.role}`,
      );
    const wait = access.limit(principal);
    if (wait !== undefined)
      throw new Refused(429, "too many requests", { "retry-after": String(wait) });
    return principal;
  }

  async #route(asked: Asked): Promise<void> {
    const { request, response, path, query, principal, headers } = asked;
    const method = request.method ?? "";
    if (path === "/v2/catalog") {
      allow(method, ["GET"]);
      originator(request, principal);
      return this.#catalog(request, response, headers);
    }
    const parts =
      /^\/v2\/service_instances\/([^/]+)(?:\/service_bindings\/([^/]+))?(\/last_operation)?$/.exec(
        path,
      );
    if (parts === null) throw new Refused(404, "a service broker has nothing there");
    const instance = idOf(parts[1] ?? "");
    const binding = parts[2] === undefined ? undefined : idOf(parts[2]);
    const last = parts[3] !== undefined;
    allow(
      method,
      last ? ["GET"] : ["GET", "PUT", "DELETE", ...(binding === undefined ? ["PATCH"] : [])],
    );
    const who = originator(request, principal);
    const writes = method !== "GET" && method !== "HEAD";
    const audit = (result: string) => {
      if (!writes) return;
      const target = binding === undefined ? instance : `${instance} ${binding}`;
      const what = `osb ${method}`;
      this.#gateway.store.audit({ time: Date.now(), who, what, target, result });
    };
    try {
      const body = method === "PUT" || method === "PATCH" ? await bodyOf(request) : {};
      const answer = this.#answer({ method, instance, binding, last, query, body });
      audit(String(answer.status));
      const { retryAfter } = answer;
      const wait: Record<string, string> =
        retryAfter === undefined ? {} : { "retry-after": String(retryAfter) };
      sendAs(response, answer.status, answer.body, { ...headers, ...wait }, method === "HEAD");
    } catch (error) {
      audit((error as Error).message.slice(0, 500));
      throw error;
    }
  }

  #answer({ method, instance, binding, last, query, body }: Request): Answer {
    const broker = this.#broker;
    const service = one(query, "service_id");
    const plan = one(query, "plan_id");
    if (last) {
      const operation = one(query, "operation");
      return broker.lastOperation(instance, binding, { service, plan, operation });
    }
    if (method === "GET" || method === "HEAD")
      return binding === undefined
        ? broker.fetch(instance, service, plan)
        : broker.fetchBinding(instance, binding, service, plan);
    const incomplete = flag(query, "accepts_incomplete");
    if (method === "PATCH") return broker.update(instance, body, incomplete);
    if (method === "PUT")
      return binding === undefined
        ? broker.provision(instance, body, incomplete)
        : broker.bind(instance, binding, body, incomplete);
    if (service === undefined || plan === undefined)
      throw new BrokerError(400, `${service === undefined ? "service_id" : "plan_id"} is missing`);
    return binding === undefined
      ? broker.deprovision(instance, service, plan, incomplete)
      : broker.unbind(instance, binding, service, plan, incomplete);
  }

  /** With an ETag: a platform asks again and again (RFC 9110 §13.1.2). */
  #catalog(
    request: IncomingMessage,
    response: ServerResponse,
    headers: Record<string, string>,
  ): void {
    const text = `${JSON.stringify(this.#broker.catalog)}\n`;
    const tag = `"${createHash("sha256").update(text).digest("hex").slice(0, 32)}"`;
    const wanted = request.headers["if-none-match"] ?? "";
    const known = wanted.split(",").map((one) => one.trim().replace(/^W\//, ""));
    const all = { ...headers, etag: tag, "cache-control": "private, no-cache" };
    if (known.includes(tag) || wanted.trim() === "*") return send(response, 304, all);
    send(
      response,
      200,
      { ...all, "content-type": "application/json" },
      text,
      request.method === "HEAD",
    );
  }
}

interface Asked {
  request: IncomingMessage;
  response: ServerResponse;
  path: string;
  query: URLSearchParams;
  principal: Principal;
  headers: Record<string, string>;
}

interface Request {
  method: string;
  instance: string;
  binding: string | undefined;
  last: boolean;
  query: URLSearchParams;
  body: Fields;
}

export function basicOf({
  headers,
}: IncomingMessage): { username: string; password: string } | undefined {
  const given = /^Basic +([A-Za-z0-9+/]{1,2000}={0,2})$/i.exec(headers.authorization ?? "")?.[1];
  if (given === undefined) return undefined;
  const text = Buffer.from(given, "base64").toString("utf8");
  const colon = text.indexOf(":");
  return colon < 0
    ? undefined
    : { username: text.slice(0, colon), password: text.slice(colon + 1) };
}

function checkVersion({ headers }: IncomingMessage): void {
  const given = headers["x-broker-api-version"];
  if (given === undefined) throw new BrokerError(400, "X-Broker-API-Version is missing");
  const parts = /^(\d{1,6})\.(\d{1,6})$/.exec(String(given));
  if (parts === null)
    throw new BrokerError(400, "X-Broker-API-Version is not a supported version: 2.17");
  if (Number(parts[1]) !== 2 || Number(parts[2]) < oldestMinor)
    throw new BrokerError(412, `this broker speaks 2.${oldestMinor} to 2.17`);
}

/** Who asks, with whom that one asks for: `PLATFORM BASE64(JSON object)`. */
function originator({ headers }: IncomingMessage, { name }: Principal): string {
  const given = headers["x-broker-api-originating-identity"];
  if (given === undefined) return name;
  const parts = /^(\S{1,100}) +([A-Za-z0-9+/]{1,8000}={0,2})$/.exec(String(given));
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(parts?.[2] ?? "", "base64").toString("utf8"));
  } catch {
    value = undefined;
  }
  if (parts === null || typeof value !== "object" || value === null || Array.isArray(value))
    throw new BrokerError(
      400,
      "X-Broker-API-Originating-Identity is no platform and Base64 of JSON",
    );
  return `${name} for ${parts[1]} ${JSON.stringify(value).slice(0, 300)}`;
}

function allow(method: string, methods: readonly string[]): void {
  if (methods.includes(method === "HEAD" ? "GET" : method)) return;
  throw new Refused(405, `${method} is not what this takes`, { allow: methods.join(", ") });
}

function idOf(part: string): string {
  let id: string;
  try {
    id = decodeURIComponent(part);
  } catch {
    throw new BrokerError(400, "an escape in the address is broken");
  }
  // Control characters and halves of surrogate pairs are in nobody's identifiers, and not every tool's.
  if (id === "" || id.length > longestId || /[\p{Cc}\p{Cs}]/u.test(id))
    throw new BrokerError(400, `an id is 1 to ${longestId} characters that can be shown`);
  return id;
}

/** A value of the query that is there once, and not empty. */
function one(query: URLSearchParams, name: string): string | undefined {
  const all = query.getAll(name);
  if (all.length > 1) throw new BrokerError(400, `${name} is there more than once`);
  if (all[0] === "") throw new BrokerError(400, `${name} is empty`);
  return all[0];
}

function flag(query: URLSearchParams, name: string): boolean {
  const text = one(query, name);
  if (text === undefined || text === "false") return false;
  if (text === "true") return true;
  throw new BrokerError(400, `${name} is true or false`);
}

/** Whether there are more levels than what works on values by calling itself is for; looked at level by level. */
function isDeep(value: object): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; depth < mostDeep; depth++) {
    level = level.flatMap((one) =>
      typeof one === "object" && one !== null ? (Object.values(one) as unknown[]) : [],
    );
    if (level.length === 0) return false;
  }
  return true;
}

async function bodyOf(request: IncomingMessage): Promise<Fields> {
  const type = request.headers["content-type"];
  if (type !== undefined && !/^application\/json *(?:;|$)/i.test(type))
    throw new BrokerError(400, "the content type is not application/json");
  const bytes = await readBody(request, longestBody);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new BrokerError(400, "the body is not JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new BrokerError(400, "the body is not a JSON object");
  if (isDeep(value))
    throw new BrokerError(400, `the body is nested deeper than ${mostDeep} levels`);
  return value as Fields;
}

function sendAs(
  response: ServerResponse,
  status: number,
  body: object,
  headers: Record<string, string>,
  head = false,
): void {
  const all = { ...headers, "content-type": "application/json", "cache-control": "no-store" };
  send(response, status, all, `${JSON.stringify(body)}\n`, head);
}
