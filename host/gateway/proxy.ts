// HTTP to CoAP (RFC 8075): reverse under /nodes/NAME/PATH for the gateway's own nodes, forward under /hc/ for foreign ones that the
// configuration allows. Which status, type and address corresponds to which is in mapping.ts.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Method, Option } from "../lib/coap/endpoint.ts";
import { Node } from "../lib/node.ts";
import { maxAgeOf, optionOf } from "./cache.ts";
import {
  acceptOf,
  formatOf,
  type FormatRules,
  type Target,
  isMulticast,
  parseTarget,
  split,
  statusOf,
  typeOf,
} from "./mapping.ts";
import { readBody, send, Refused } from "./http.ts";
import type { Nodes } from "./nodes.ts";
import { UriTemplate } from "./uri-template.ts";
import { failureStatus, type Answer, type Upstream } from "./upstream.ts";

export interface ProxyOptions {
  nodes: Nodes;
  upstream: Upstream;
  /** Foreign targets that may be asked: `host`, `host:port` or `*`. None by default (RFC 8075 §10.1). */
  targets?: readonly string[];
  /** Which media types go as which formats. */
  formats?: FormatRules;
  /** The mapping of addresses behind /hc/, besides the default one (RFC 8075 §5.4). */
  template?: UriTemplate | undefined;
  /** Bytes of a request's body at most. */
  longestBody?: number;
  /** How long a foreign server may stay silent, in milliseconds: MAX_RTT and MAX_SERVER_RESPONSE_DELAY (RFC 8075 §10.2). */
  patience?: number;
}

/** A CoAP request that HTTP asked for. */
interface Mapped {
  method: Method;
  options: Option[];
  payload: Buffer | undefined;
  conditional: boolean;
  fromHeader: boolean;
}

/** RFC 8075 §7: HTTP's methods that CoAP has; PATCH by RFC 8132. HEAD is a GET whose body is left out. */
const methods: Record<string, Method> = {
  GET: "GET",
  HEAD: "GET",
  POST: "POST",
  PUT: "PUT",
  DELETE: "DELETE",
  PATCH: "PATCH",
};
const mostForeign = 64;
const byQuery = new UriTemplate("?target_uri={+tu}");
const byPath = new UriTemplate("{+tu}");

/** How a server is asked, through the cache and in turn. */
export interface Way {
  authority: string;
  connect: () => Promise<Node>;
  ask: (request: {
    method: Method;
    options: Option[];
    payload?: Buffer | undefined;
  }) => Promise<Answer>;
}

const uint = (value: number): Buffer => {
  const bytes: number[] = [];
  for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return Buffer.from(bytes);
};

export class Proxy {
  readonly #options: Required<Omit<ProxyOptions, "template">> & Pick<ProxyOptions, "template">;
  readonly #foreign = new Map<string, Promise<Node>>();

  constructor(options: ProxyOptions) {
    this.#options = {
      targets: [],
      formats: {},
      longestBody: 65_536,
      patience: 93_000 * 2 + 60_000,
      ...options,
    };
  }

  /** A request for a resource of one of our nodes. */
  async reverse(
    request: IncomingMessage,
    response: ServerResponse,
    name: string,
    path: string,
    query: string,
  ): Promise<void> {
    const node = this.#options.nodes.get(name);
    if (node === undefined) throw new Refused(404, `there is no node ${name}`);
    const segments = split(path, "/");
    const words = split(query, "&");
    if (segments === undefined || words === undefined)
      throw new Refused(
        400,
        "an escape in the address is broken, or a part of it is longer than 255 bytes",
      );
    const mapped = this.#map(request, segments, words);
    if (mapped.method !== "GET") await this.#body(request, mapped);
    const { ask } = this.own(name)!;
    await this.#answer(request, response, mapped, `/nodes/${name}`, () => ask(mapped));
  }

  /** The way to one of our nodes; undefined where there is none of this name. */
  own(name: string): Way | undefined {
    const node = this.#options.nodes.get(name);
    if (node === undefined) return undefined;
    // Connected when it is needed: that a node is away just now is not the caller's error.
    return this.#way(
      name,
      async () => node.connection,
      () => node.seen(),
    );
  }

  /** The way to a foreign server. Whether it may be asked is the caller's to see. */
  foreign(place: string): Way {
    return this.#way(`coap://${place}`, () => this.#connect(place));
  }

  #way(authority: string, connect: () => Promise<Node>, heard?: () => void): Way {
    const also = { authority, connect, ...(heard === undefined ? {} : { heard }) };
    return {
      authority,
      connect,
      ask: (request) => this.#options.upstream.ask({ ...request, ...also }),
    };
  }

  /** Whether the configuration allows a target (RFC 8075 §10.1: none by default). */
  allows({ host, port }: Target): boolean {
    const place = `${host}:${port}`;
    return this.#options.targets.some((one) => one === "*" || one === host || one === place);
  }

  /** Where this proxy is, for clients that look for one by CoAP (RFC 8075 §5.5); an origin that nobody else can use is not told. */
  links(origin: string | undefined): string[] {
    const anchor = origin === undefined ? "" : `;anchor="${origin}"`;
    const { template } = this.#options;
    return [
      `</hc/>${anchor};rt="core.hc"${template === undefined ? "" : `;hct="${template.text}"`}`,
    ];
  }

  /** The CoAP URI in what stands behind /hc/: by the template, in `target_uri`, or as it is (RFC 8075 §5.3, §5.4). */
  unpack(rest: string): string {
    const { template } = this.#options;
    const found = template?.unpack(rest) ?? byQuery.unpack(rest) ?? byPath.unpack(rest);
    return found ?? rest;
  }

  /** A request for a resource anywhere, by its CoAP URI. */
  async forward(request: IncomingMessage, response: ServerResponse, uri: string): Promise<void> {
    const target = parseTarget(uri);
    if (target === undefined)
      throw new Refused(400, "behind /hc/ stands no CoAP URI: write /hc/coap://HOST/PATH");
    const place = `${target.host}:${target.port}`;
    if (isMulticast(target.host))
      throw new Refused(403, "a group is not asked on anybody's behalf");
    if (!this.allows(target))
      throw new Refused(
        403,
        `${place} is not among the targets that the gateway's configuration allows`,
      );
    if (target.scheme === "coaps") throw new Refused(501, "this gateway does not speak coaps");
    const mapped = this.#map(request, target.path, target.query);
    if (mapped.method !== "GET") await this.#body(request, mapped);
    const { ask } = this.foreign(place);
    await this.#answer(request, response, mapped, `/hc/coap://${place}`, () => ask(mapped));
  }

  #connect(place: string): Promise<Node> {
    const known = this.#foreign.get(place);
    if (known !== undefined) {
      // Used just now: to the end.
      this.#foreign.delete(place);
      this.#foreign.set(place, known);
      return known;
    }
    // As a stranger: what this computer may do with a node is not lent to whoever may use the proxy.
    const stranger = { patience: this.#options.patience, context: null };
    const connecting = Node.connect(`coap://${place}`, stranger);
    this.#foreign.set(place, connecting);
    connecting.catch(() => this.#foreign.delete(place));
    // The one used longest ago goes.
    for (const [other, node] of this.#foreign) {
      if (this.#foreign.size <= mostForeign) break;
      this.#foreign.delete(other);
      void node.then((one) => one.close()).catch(() => {});
    }
    return connecting;
  }

  /** Everything of a request but its body. */
  #map(request: IncomingMessage, path: readonly string[], query: readonly string[]): Mapped {
    const method = methods[request.method ?? ""];
    if (method === undefined) throw new Refused(501, `CoAP has no method ${request.method}`);
    const options: Option[] = [
      ...path.map((part) => ({ name: "Uri-Path", value: Buffer.from(part) })),
      ...query.map((part) => ({ name: "Uri-Query", value: Buffer.from(part) })),
    ];
    const { headers } = request;
    // RFC 8075 §6.2: a format that is named by its number is not guessed at, and not left out in silence.
    if (
      /\bapplication\/coap-payload\b/i.test(headers.accept ?? "") &&
      this.#options.formats.unknown !== true
    )
      throw new Refused(406, "this gateway passes no formats on that it does not know");
    const accept = acceptOf(headers.accept, this.#options.formats);
    if (accept !== undefined) options.push({ name: "Accept", value: uint(accept) });
    const changes = method !== "GET";
    const matches = headers["if-match"];
    const none = headers["if-none-match"];
    let fromHeader = accept !== undefined;
    if (changes && matches !== undefined) {
      for (const tag of tagsOf(matches)) options.push({ name: "If-Match", value: tag });
      fromHeader = true;
    }
    if (changes && none?.trim() === "*") {
      options.push({ name: "If-None-Match", value: Buffer.alloc(0) });
      fromHeader = true;
    }
    const conditional = !changes && none !== undefined;
    return { method, options, payload: undefined, conditional, fromHeader };
  }

  /** The body of what changes something, with its format. */
  async #body(request: IncomingMessage, mapped: Mapped): Promise<void> {
    const payload = await readBody(request, this.#options.longestBody);
    mapped.payload = payload;
    if (payload.length > 0) mapped.options.push(...this.#format(request.headers));
  }

  #format(headers: IncomingMessage["headers"]): Option[] {
    const type = headers["content-type"];
    if (type === undefined) return [];
    const format = formatOf(type, headers["content-encoding"], this.#options.formats);
    // RFC 8075 §6.1: what CoAP has no name for is not guessed at.
    if (format === undefined) throw new Refused(415, `CoAP has no Content-Format for ${type}`);
    return [{ name: "Content-Format", value: uint(format) }];
  }

  async #answer(
    request: IncomingMessage,
    response: ServerResponse,
    mapped: Mapped,
    base: string,
    ask: () => Promise<Answer>,
  ): Promise<void> {
    let answer: Answer;
    try {
      answer = await ask();
    } catch (error) {
      const { status, text } = failureStatus(error);
      return send(
        response,
        status,
        {
          "content-type": "text/plain;charset=utf-8",
          ...(status === 503 ? { "retry-after": "1" } : {}),
        },
        text,
      );
    }
    const { response: coap, age, left, from } = answer;
    const payload = coap.payload;
    const { status, text } = statusOf(coap.status, { ...mapped, payload: payload.length > 0 });
    const headers: Record<string, string> = { "x-wasmote-from": from };
    if (mapped.method === "GET") {
      headers["cache-control"] = left > 0 ? `private, max-age=${Math.floor(left)}` : "no-store";
      headers["age"] = String(age);
    }
    const etag = optionOf(coap, "ETag");
    if (etag !== undefined) headers["etag"] = `"${etag.toString("hex")}"`;
    if (status === 503) headers["retry-after"] = String(maxAgeOf(coap));
    const location = locationOf(coap.options, base);
    if (location !== undefined) headers["location"] = location;
    const asked = request.headers["if-none-match"];
    if (status === 200 && mapped.method === "GET" && etag !== undefined && asked !== undefined)
      if (asked.trim() === "*" || tagsOf(asked).some((tag) => tag.equals(etag)))
        return send(response, 304, headers);
    const isError = !coap.status.startsWith("2.");
    if (coap.format !== undefined || !isError) {
      const { type, coding } = typeOf(coap.format);
      if (payload.length > 0) headers["content-type"] = type;
      if (coding !== undefined) headers["content-encoding"] = coding;
    } else headers["content-type"] = "text/plain;charset=utf-8"; // A diagnostic payload (RFC 7252 §5.5.2).
    // A node's content is nobody's page: no browser runs what is in it.
    headers["content-security-policy"] = "sandbox";
    send(
      response,
      status,
      headers,
      payload.length > 0 ? payload : (text ?? ""),
      request.method === "HEAD",
      // RFC 8075 §7, note 7. Never what the server said: that may have line breaks (§6.5.3).
      text,
    );
  }

  async close(): Promise<void> {
    this.#options.upstream.interest.close();
    await Promise.allSettled([...this.#foreign.values()].map(async (node) => (await node).close()));
  }
}

/** Entity tags of ours in a header: quoted hexadecimal of at most eight bytes (RFC 7252 §5.10.6). Others are nobody's. */
function tagsOf(header: string): Buffer[] {
  return [...header.matchAll(/(?:W\/)?"((?:[0-9a-f]{2}){1,8})"/gi)]
    .slice(0, 16)
    .map(([, hex = ""]) => Buffer.from(hex, "hex"));
}

/** Location-Path and Location-Query as an address below `base` (RFC 8075 §7, note 1). */
function locationOf(options: readonly Option[], base: string): string | undefined {
  if (!options.some(({ name }) => name === "Location-Path" || name === "Location-Query"))
    return undefined;
  const parts = (name: string) =>
    options
      .filter((option) => option.name === name)
      .map(({ value }) => encodeURIComponent(value.toString("utf8")));
  const path = parts("Location-Path");
  const query = parts("Location-Query");
  return `${base}/${path.join("/")}${query.length > 0 ? `?${query.join("&")}` : ""}`;
}
