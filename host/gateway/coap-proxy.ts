// CoAP to CoAP (RFC 7252 §5.7), for those who come with CoAP: a forward proxy for what the configuration allows, by Proxy-Uri or
// Proxy-Scheme; and a reverse proxy for the gateway's own nodes, which are at /nodes/NAME/PATH as over HTTP. Behind it are the same cache,
// the same queues and the same single observation of a resource.
//
// Who comes with CoAP shows no token: the configuration says what they all may.
import type { Method, Option } from "../lib/coap/endpoint.ts";
import { allows, type Role } from "./access.ts";
import { maxAgeOf, optionOf } from "./cache.ts";
import { Bad, numberOf, uint, uintOf, type Asked, type Reply } from "./coap-server.ts";
import type { Hub } from "./hub.ts";
import { isMulticast, parseTarget, type Target } from "./mapping.ts";
import type { Proxy, Way } from "./proxy.ts";
import type { Shared } from "./shared.ts";
import { Busy, failureStatus, type Answer } from "./upstream.ts";

export interface CoapProxyOptions {
  proxy: Proxy;
  hub: Hub;
  shared: Shared;
  /** What those may who come with CoAP. */
  role: Role;
  roleOf: (method: string, path: string) => Role;
  onChange?: (who: string, method: string, target: string, result: string) => void;
}

const methods: Record<string, Method> = {
  "0.01": "GET",
  "0.02": "POST",
  "0.03": "PUT",
  "0.04": "DELETE",
  "0.05": "FETCH",
  "0.06": "PATCH",
  "0.07": "iPATCH",
};
const text = (option: Option) => option.value.toString("utf8");

/** Options that say where a request goes; the rest goes along. */
const ofPlace = new Set([
  "Uri-Host",
  "Uri-Port",
  "Uri-Path",
  "Uri-Query",
  "Proxy-Uri",
  "Proxy-Scheme",
  "Hop-Limit",
  "ETag",
]);
/** Options that are unsafe to forward (RFC 7252 §5.4.2), and known here. */
const understood = new Set([...ofPlace, "Max-Age"]);
/** RFC 8768 §3: a value of 0, or of another length than one byte, is a bad request. */
function hopsOf(value: Uint8Array): number {
  const hops = value.length === 1 ? value[0]! : 0;
  if (hops === 0) throw new Bad("4.00", "Hop-Limit is from 1 to 255");
  return hops;
}

/** Hops that a request may still go where it does not say (RFC 8768 §3). */
const standardHops = 16;

/** What is asked for at a server. */
interface Place {
  path: string[];
  query: string[];
  hops?: number;
}

/** The options of a request as it goes on. */
function forwarded(options: readonly Option[], { path, query, hops }: Place): Option[] {
  return [
    ...path.map((part) => ({ name: "Uri-Path", value: Buffer.from(part) })),
    ...query.map((part) => ({ name: "Uri-Query", value: Buffer.from(part) })),
    ...options.filter(({ name }) => !ofPlace.has(String(name))),
    ...(hops === undefined ? [] : [{ name: "Hop-Limit", value: uint(hops) }]),
  ];
}

export class CoapProxy {
  readonly #options: CoapProxyOptions;

  constructor(options: CoapProxyOptions) {
    this.#options = options;
  }

  async serve(asked: Asked): Promise<Reply> {
    const method = methods[asked.code];
    if (method === undefined) throw new Bad("4.05");
    const { options } = asked;
    for (const { name } of options)
      // RFC 7252 §5.7.1: what is unsafe to forward and not understood is refused.
      if ((numberOf(name) & 2) !== 0 && !understood.has(String(name)) && !passed.has(String(name)))
        throw new Bad("4.02", `option ${name} cannot be passed on`);
    const of = (name: string) => options.find((option) => option.name === name);
    const hops = of("Hop-Limit");
    const left = hops === undefined ? standardHops : hopsOf(hops.value) - 1;
    if (left < 1) throw new Bad("5.08", "this request has gone in a circle");
    const target = targetOf(options);
    return target === undefined
      ? this.#reverse(method, asked)
      : this.#forward(method, asked, target, left);
  }

  /** A resource of one of our nodes, at /nodes/NAME/PATH. */
  async #reverse(method: Method, asked: Asked): Promise<Reply> {
    const [front, name, ...path] = asked.options
      .filter((option) => option.name === "Uri-Path")
      .map(text);
    if (front !== "nodes" || name === undefined) throw new Bad("4.04");
    const resource = path.join("/");
    this.#admit(this.#options.roleOf(method, resource), method, `/nodes/${name}/${resource}`);
    const way = this.#options.proxy.own(name);
    if (way === undefined) throw new Bad("4.04", "there is no such node");
    const query = asked.options.filter((option) => option.name === "Uri-Query").map(text);
    const read = () => this.#ask(method, asked, { path, query }, way.ask);
    const reply = await this.#audited(asked, method, `/nodes/${name}/${resource}`, read);
    const { hub } = this.#options;
    if (!asked.observes) return reply;
    // What the gateway observes anyway, any number may observe here.
    if (hub.newest(name, resource) === undefined)
      return this.#observed(reply, asked, { path, query }, way);
    return {
      ...reply,
      observe: (notify) => {
        const viewer = hub.view(
          { nodes: [name], resources: [resource] },
          {
            send: ({ gap }) => {
              if (gap) notify({ code: "5.03", payload: "nothing is known of it just now" });
              else void read().then(notify, (error) => notify(failed(error)));
              return true;
            },
          },
        );
        return () => viewer.close();
      },
    };
  }

  /** Observed upstream once, for all who observe the same here. */
  #observed(
    reply: Reply,
    { options, code }: Asked,
    place: Place,
    { authority, connect }: Pick<Way, "authority" | "connect">,
  ): Reply {
    if (code !== "0.01" || !reply.code.startsWith("2.")) return reply;
    const key = { authority, method: "GET", options: forwarded(options, place) };
    let shown = reply.payload;
    return {
      ...reply,
      observe: (notify) =>
        this.#options.shared.join(key, connect, (response) => {
          if (response === undefined)
            return notify({ code: "5.03", payload: "the server does not answer" });
          // Begun anew, an observation tells first what is known.
          if (Buffer.compare(Buffer.from((shown ?? "") as string), response.payload) === 0) return;
          shown = response.payload;
          notify(replyOf({ response, age: 0, left: maxAgeOf(response), from: "node" }, []));
        }),
    };
  }

  async #forward(method: Method, asked: Asked, target: Target, hops: number): Promise<Reply> {
    const { proxy } = this.#options;
    const place = `${target.host}:${target.port}`;
    // RFC 7252 §5.7.2; groups are not asked on anybody's behalf.
    if (target.scheme === "coaps") throw new Bad("5.05", "this proxy does not speak coaps");
    if (isMulticast(target.host) || !proxy.allows(target))
      throw new Bad("4.03", `${place} is not among the targets that are allowed`);
    this.#admit("operate", method, place);
    const way = proxy.foreign(place);
    const { path, query } = target;
    const reply = await this.#audited(asked, method, `coap://${place}/${path.join("/")}`, () =>
      this.#ask(method, asked, { path, query, hops }, way.ask),
    );
    return asked.observes ? this.#observed(reply, asked, { path, query }, way) : reply;
  }

  #admit(needed: Role, method: string, target: string): void {
    if (!allows(this.#options.role, needed))
      throw new Bad(
        "4.03",
        `${method} ${target.slice(0, 60)} needs the role ${needed}; who comes with CoAP has ${this.#options.role}`,
      );
  }

  /** What changes something is written down, with who it was. */
  async #audited(
    { from }: Asked,
    method: Method,
    target: string,
    work: () => Promise<Reply>,
  ): Promise<Reply> {
    const told = method !== "GET" && method !== "FETCH";
    const write = (result: string) =>
      told && this.#options.onChange?.(`coap://${from.address}`, method, target, result);
    try {
      const reply = await work();
      write(reply.code);
      return reply;
    } catch (error) {
      const reply = failed(error);
      write(reply.code);
      return reply;
    }
  }

  async #ask(
    method: Method,
    { options, payload }: Asked,
    { path, query, hops }: Place,
    ask: Way["ask"],
  ): Promise<Reply> {
    const answer = await ask({
      method,
      options: forwarded(options, { path, query, ...(hops === undefined ? {} : { hops }) }),
      ...(payload.length > 0 ? { payload } : {}),
    });
    return replyOf(
      answer,
      options.filter(({ name }) => name === "ETag").map(({ value }) => value),
    );
  }
}

/** Options that are unsafe, and belong to the request as it is: they go along. */
const passed = new Set(["Uri-Host", "Uri-Port", "Max-Age"]);

/** Where a request to a forward proxy goes; undefined where it is for this server (RFC 7252 §5.7.2, §5.10.2). */
function targetOf(options: readonly Option[]): Target | undefined {
  const one = (name: string) => options.find((option) => option.name === name);
  const whole = one("Proxy-Uri");
  if (whole !== undefined) {
    const target = parseTarget(text(whole));
    if (target === undefined)
      throw /^coaps?:/i.test(text(whole))
        ? new Bad("4.00", "Proxy-Uri is malformed")
        : new Bad("5.05", "this proxy speaks CoAP and nothing else");
    return target;
  }
  const scheme = one("Proxy-Scheme");
  if (scheme === undefined) return undefined;
  const host = one("Uri-Host");
  if (host === undefined) throw new Bad("4.00", "Proxy-Scheme needs Uri-Host");
  const kind = text(scheme).toLowerCase();
  if (kind !== "coap" && kind !== "coaps")
    throw new Bad("5.05", "this proxy speaks CoAP and nothing else");
  const port = one("Uri-Port");
  const name = text(host);
  const target = parseTarget(
    `${kind}://${name.includes(":") && !name.startsWith("[") ? `[${name}]` : name}${port === undefined ? "" : `:${uintOf(port.value)}`}`,
  );
  if (target === undefined) throw new Bad("4.00", "Uri-Host is malformed");
  const all = (wanted: string) => options.filter(({ name: is }) => is === wanted).map(text);
  return { ...target, path: all("Uri-Path"), query: all("Uri-Query") };
}

/** An answer as it goes on: fresh for as long as is left (RFC 7252 §5.7.1), and 2.03 where the client has it already. */
function replyOf({ response, left, from }: Answer, tags: readonly Buffer[]): Reply {
  const etag = optionOf(response, "ETag");
  const options = response.options.filter(
    ({ name }) =>
      !["Block1", "Block2", "Size1", "Size2", "Observe", "Max-Age"].includes(String(name)),
  );
  const age = from === "node" ? maxAgeOf(response) : Math.floor(left);
  if (age !== 60) options.push({ name: "Max-Age", value: uint(age) });
  if (response.status === "2.05" && etag !== undefined && tags.some((tag) => tag.equals(etag)))
    return {
      code: "2.03",
      options: options.filter(({ name }) => name === "ETag" || name === "Max-Age"),
    };
  return { code: response.status, options, payload: response.payload };
}

/** RFC 7252 §5.7.1: a server that does not answer is 5.04, one that cannot be reached 5.02. */
function failed(error: unknown): Reply {
  if (error instanceof Bad) return { code: error.code, payload: error.message };
  if (error instanceof Busy)
    return { code: "5.03", options: [{ name: "Max-Age", value: uint(1) }], payload: error.message };
  const { status, text: payload } = failureStatus(error);
  return { code: status === 504 ? "5.04" : "5.02", payload };
}
