// A CoRE Resource Directory (RFC 9176): nodes register by themselves, by name, and keep their identity when their address changes. Served
// over CoAP on one UDP socket: registration, simple registration, update, removal, and lookup of endpoints and resources.
import { createHash, randomInt } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { generate, parse, type ParsedPacket } from "coap-packet";
import { Node, parseLinks, type Resource } from "../lib/node.ts";
import { oneLine } from "../lib/text.ts";
import type { Store } from "./sqlite/store.ts";

/** A registered endpoint. */
export interface Registration {
  /** Its path below /rd, which stays while the name does. */
  location: string;
  endpoint: string;
  domain: string;
  base: string;
  /** Seconds, and until when in milliseconds since 1970. */
  lifetime: number;
  until: number;
  /** Other parameters, as given. */
  extra: Record<string, string>;
  links: Resource[];
}

export interface DirectoryOptions {
  store: Store;
  onRegister: (registration: Registration) => void;
  onGone: (registration: Registration) => void;
}

interface Reply {
  code: string;
  options?: { name: string; value: Buffer }[];
  payload?: string;
}

interface From {
  address: string;
  port: number;
  family: string;
}

const standardLifetime = 90_000;
const mostRegistrations = 20_000;
const longestLinks = 16_384;
/** Replies that are kept against duplicates (RFC 7252 §4.2), at most and for how long. */
const mostReplies = 4_096;
const exchangeLifetime = 247_000;
const blockSize = 1_024;
const linkFormat = Buffer.from([40]);

class Bad extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export class Directory {
  readonly #options: DirectoryOptions;
  readonly #socket: Socket;
  readonly #all = new Map<string, Registration>();
  readonly #replies = new Map<string, { at: number; bytes: Buffer | undefined }>();
  #id = randomInt(0x10000);
  #timer: NodeJS.Timeout | undefined;

  private constructor(options: DirectoryOptions, family: "udp4" | "udp6") {
    this.#options = options;
    this.#socket = createSocket(family);
    const rows = options.store.database.prepare("SELECT body FROM registration").all() as {
      body: string;
    }[];
    for (const { body } of rows) {
      const one = JSON.parse(body) as Registration;
      this.#all.set(one.location, one);
    }
  }

  static async open(host: string, port: number, options: DirectoryOptions): Promise<Directory> {
    const directory = new Directory(options, host.includes(":") ? "udp6" : "udp4");
    directory.#socket.bind(port, host);
    await once(directory.#socket, "listening");
    directory.#socket.on("message", (bytes, from) => directory.#receive(bytes, from));
    directory.#socket.on("error", () => {});
    directory.expire();
    for (const one of directory.#all.values()) options.onRegister(one);
    directory.#timer = setInterval(() => directory.expire(), 5_000);
    directory.#timer.unref();
    return directory;
  }

  get port(): number {
    return this.#socket.address().port;
  }

  list(): Registration[] {
    return [...this.#all.values()];
  }

  /** Those whose lifetime is over go (RFC 9176 §5.3). */
  expire(now = Date.now()): void {
    for (const one of this.#all.values()) if (one.until <= now) this.#remove(one);
  }

  #remove(one: Registration): void {
    this.#all.delete(one.location);
    this.#options.store.database
      .prepare("DELETE FROM registration WHERE location = ?")
      .run(one.location);
    this.#options.onGone(one);
  }

  #keep(one: Registration): void {
    this.#all.set(one.location, one);
    this.#options.store.database
      .prepare("INSERT OR REPLACE INTO registration (location, body) VALUES (?, ?)")
      .run(one.location, JSON.stringify(one));
    this.#options.onRegister(one);
  }

  #receive(bytes: Buffer, from: From): void {
    let packet: ParsedPacket;
    try {
      packet = parse(bytes);
    } catch {
      return;
    }
    const { messageId, token, confirmable } = packet;
    const to = (reply: Buffer) => this.#socket.send(reply, from.port, from.address, () => {});
    if (packet.ack || packet.reset) return;
    if (!/^0\.0[1-7]$/.test(packet.code)) {
      if (confirmable)
        to(generate({ reset: true, code: "0.00", messageId, token: Buffer.alloc(0) }));
      return;
    }
    const key = `${from.address}:${from.port}:${messageId}`;
    const now = Date.now();
    const before = this.#replies.get(key);
    if (before !== undefined && before.at > now - exchangeLifetime) {
      if (before.bytes !== undefined) to(before.bytes);
      return;
    }
    for (const [old, { at }] of this.#replies) {
      if (at > now - exchangeLifetime && this.#replies.size < mostReplies) break;
      this.#replies.delete(old);
    }
    const kept: { at: number; bytes: Buffer | undefined } = { at: now, bytes: undefined };
    this.#replies.set(key, kept);
    void this.#serve(packet, from).then((reply) => {
      const { code, options = [], payload = "" } = reply;
      const block = sliceOf(packet, Buffer.from(payload));
      kept.bytes = generate({
        code: block === undefined ? "4.00" : code,
        ack: confirmable,
        confirmable: false,
        messageId: confirmable ? messageId : (this.#id = (this.#id + 1) & 0xffff),
        token,
        options: [...options, ...(block?.options ?? [])] as never,
        payload: block?.payload ?? Buffer.alloc(0),
      });
      to(kept.bytes);
    });
  }

  async #serve(packet: ParsedPacket, from: From): Promise<Reply> {
    try {
      return await this.#route(packet, from);
    } catch (error) {
      if (error instanceof Bad) return { code: error.code, payload: error.message };
      return { code: "5.00", payload: "the directory could not do this" };
    }
  }

  async #route(packet: ParsedPacket, from: From): Promise<Reply> {
    const path = all(packet, "Uri-Path").join("/");
    const query = parameters(packet);
    const { code } = packet;
    for (const { name } of packet.options)
      // A critical option that is not known (RFC 7252 §5.4.1).
      if (typeof name === "number" && name % 2 === 1)
        throw new Bad("4.02", `option ${name} is not known here`);
    if (path === ".well-known/core" && code === "0.01") return this.#wellKnown();
    if (path === ".well-known/rd" && code === "0.02") return this.#simple(query, from);
    if (path === "rd" && code === "0.02") return this.#register(query, linksOf(packet), from);
    if (path.startsWith("rd/")) return this.#registration(path, code, query, packet, from);
    if (path === "rd-lookup/ep" && code === "0.01") return this.#lookup(query, true);
    if (path === "rd-lookup/res" && code === "0.01") return this.#lookup(query, false);
    throw new Bad(
      /^(rd|rd-lookup\/(ep|res)|\.well-known\/(core|rd))$/.test(path) ? "4.05" : "4.04",
      "",
    );
  }

  #wellKnown(): Reply {
    const links = [
      '</rd>;rt="core.rd";ct=40',
      '</rd-lookup/ep>;rt="core.rd-lookup-ep";ct=40',
      '</rd-lookup/res>;rt="core.rd-lookup-res";ct=40',
    ];
    return content(links.join(","));
  }

  #register(query: Map<string, string>, links: Resource[], from: From): Reply {
    const { endpoint, domain, lifetime, base, extra } = readParameters(query, from);
    if (endpoint === undefined) throw new Bad("4.00", "ep is missing");
    const location = `rd/${createHash("sha256")
      .update(JSON.stringify([endpoint, domain]))
      .digest("hex")
      .slice(0, 12)}`;
    if (!this.#all.has(location) && this.#all.size >= mostRegistrations)
      throw new Bad("5.03", "the directory is full");
    const until = Date.now() + (lifetime ?? standardLifetime) * 1000;
    this.#keep({
      location,
      endpoint,
      domain,
      base: base ?? baseOf(from),
      lifetime: lifetime ?? standardLifetime,
      until,
      extra,
      links,
    });
    return {
      code: "2.01",
      options: location
        .split("/")
        .map((part) => ({ name: "Location-Path", value: Buffer.from(part) })),
    };
  }

  /** Simple registration (RFC 9176 §5.1): the directory fetches the links itself, from where the request came. */
  async #simple(query: Map<string, string>, from: From): Promise<Reply> {
    if (query.has("base")) throw new Bad("4.00", "base has no place in a simple registration");
    readParameters(query, from);
    // The answer does not wait for the links: a node that is asked while it waits would have to do two things at once.
    void this.#fetch(query, from);
    return { code: "2.04" };
  }

  async #fetch(query: Map<string, string>, from: From): Promise<void> {
    try {
      await using node = await Node.connect(baseOf(from), { patience: 20_000, context: null });
      const { payload } = await node.request("GET", ".well-known/core", { accept: "link" });
      if (payload.length > longestLinks) return;
      this.#register(query, parseLinks(payload.toString("utf8")), from);
    } catch {
      // A node that cannot be asked is not registered: it does not get into the directory by a forged address.
    }
  }

  #registration(
    path: string,
    code: string,
    query: Map<string, string>,
    packet: ParsedPacket,
    from: From,
  ): Reply {
    const one = this.#all.get(path);
    if (one === undefined) throw new Bad("4.04", "");
    if (code === "0.04") {
      this.#remove(one);
      return { code: "2.02" };
    }
    if (code === "0.01")
      return content(one.links.map((link) => writeLink(link, link.path)).join(","));
    if (code !== "0.02") throw new Bad("4.05", "");
    // RFC 9176 §5.3.1: the base follows the address, unless it was given; the lifetime begins anew.
    const { lifetime = one.lifetime, base, extra } = readParameters(query, from);
    const links = packet.payload.length > 0 ? linksOf(packet) : one.links;
    const until = Date.now() + lifetime * 1000;
    this.#keep({
      ...one,
      lifetime,
      until,
      base: base ?? baseOf(from),
      extra: { ...one.extra, ...extra },
      links,
    });
    return { code: "2.04" };
  }

  /** Lookup: all criteria have to hold, of an endpoint or one of its links (RFC 9176 §6.1). */
  #lookup(query: Map<string, string>, endpoints: boolean): Reply {
    const criteria = [...query].filter(([key]) => key !== "page" && key !== "count");
    const found = this.list().flatMap((one) => {
      const own: Record<string, string> = {
        ...one.extra,
        ep: one.endpoint,
        base: one.base,
        lt: String(one.lifetime),
        ...(one.domain ? { d: one.domain } : {}),
        href: `/${one.location}`,
      };
      const links = one.links.map((link) => ({ link, values: valuesOf(link, one.base) }));
      const holds = (
        values: Record<string, string | true>,
        [key, wanted]: readonly [string, string],
      ) => fits(key, values[key], wanted);
      if (endpoints) {
        const all = criteria.every(
          (one) => holds(own, one) || links.some(({ values }) => holds(values, one)),
        );
        const { href: _, ...attributes } = own;
        return all
          ? [
              writeLink(
                { path: "", attributes: { ...attributes, rt: "core.rd-ep" } },
                `/${one.location}`,
              ),
            ]
          : [];
      }
      return links
        .filter(({ values }) => criteria.every((one) => holds(values, one) || holds(own, one)))
        .map(({ link, values }) =>
          writeLink(
            { ...link, attributes: { ...link.attributes, anchor: String(values["anchor"]) } },
            String(values["href"]),
          ),
        );
    });
    const count = numberIn(query.get("count"), 1, 100_000);
    const page = numberIn(query.get("page"), 0, 1_000_000) ?? 0;
    return content(
      (count === undefined ? found : found.slice(page * count, (page + 1) * count)).join(","),
    );
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()));
  }
}

const content = (payload: string): Reply => ({
  code: "2.05",
  options: [{ name: "Content-Format", value: linkFormat }],
  payload,
});

function all(packet: ParsedPacket, name: string): string[] {
  return packet.options
    .filter((option) => option.name === name)
    .map(({ value }) => value.toString("utf8"));
}

function parameters(packet: ParsedPacket): Map<string, string> {
  const result = new Map<string, string>();
  for (const text of all(packet, "Uri-Query")) {
    const at = text.indexOf("=");
    result.set(oneLine(at < 0 ? text : text.slice(0, at)), at < 0 ? "" : text.slice(at + 1));
  }
  return result;
}

function numberIn(text: string | undefined, least: number, most: number): number | undefined {
  if (text === undefined) return undefined;
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most))
    throw new Bad("4.00", `a number from ${least} to ${most} is wanted`);
  return value;
}

function readParameters(query: Map<string, string>, from: From) {
  const name = (key: string) => {
    const value = query.get(key);
    // RFC 9176 §5: at most 63 bytes, no control characters.
    if (
      value !== undefined &&
      (Buffer.byteLength(value) > 63 || oneLine(value) !== value || value === "")
    )
      throw new Bad("4.00", `${key} is empty, longer than 63 bytes or has control characters`);
    return value;
  };
  const base = query.get("base");
  // A foreign base would let anybody send the gateway anywhere: only the sender's own host, another port of it.
  if (base !== undefined && !sameHost(base, from))
    throw new Bad("4.03", "base is at another host than the registration came from");
  const known = new Set(["ep", "d", "lt", "base"]);
  return {
    endpoint: name("ep"),
    domain: name("d") ?? "",
    lifetime: numberIn(query.get("lt"), 1, 4_294_967_295),
    base,
    extra: Object.fromEntries([...query].filter(([key]) => !known.has(key)).slice(0, 16)),
  };
}

function sameHost(base: string, from: From): boolean {
  try {
    const url = new URL(base);
    return url.protocol === "coap:" && url.hostname.replace(/^\[(.*)\]$/, "$1") === from.address;
  } catch {
    return false;
  }
}

const baseOf = ({ address, port, family }: From) =>
  `coap://${family === "IPv6" ? `[${address}]` : address}${port === 5683 ? "" : `:${port}`}`;

function linksOf(packet: ParsedPacket): Resource[] {
  if (packet.payload.length > longestLinks)
    throw new Bad("4.13", `more than ${longestLinks} bytes of links`);
  return parseLinks(packet.payload.toString("utf8")).slice(0, 256);
}

function valuesOf({ path, attributes }: Resource, base: string): Record<string, string | true> {
  const resolve = (text: string) => {
    try {
      return new URL(text, `${base}/`).href.replace(/\/$/, text.endsWith("/") ? "/" : "");
    } catch {
      return text;
    }
  };
  const { anchor } = attributes;
  return {
    ...attributes,
    href: resolve(path),
    anchor: typeof anchor === "string" ? resolve(anchor) : base,
  };
}

/** A value against what is wanted: whole, up to a `*`, or for lists of words one of them (RFC 6690 §4.1). */
function fits(key: string, value: string | true | undefined, wanted: string): boolean {
  if (value === undefined) return false;
  if (value === true) return wanted === "";
  const words = ["rt", "if", "rel", "ct"].includes(key) ? value.split(" ") : [value];
  return words.some((word) =>
    wanted.endsWith("*") ? word.startsWith(wanted.slice(0, -1)) : word === wanted,
  );
}

function writeLink({ attributes }: Resource, href: string): string {
  const words = Object.entries(attributes).map(([key, value]) =>
    value === true
      ? key
      : /^\d+$/.test(value)
        ? `${key}=${value}`
        : `${key}="${value.replaceAll('"', "")}"`,
  );
  return [`<${href}>`, ...words].join(";");
}

/** The block of a payload that was asked for (RFC 7959 §2.4). */
function sliceOf(
  packet: ParsedPacket,
  payload: Buffer,
): { options: { name: string; value: Buffer }[]; payload: Buffer } | undefined {
  const asked = packet.options.find(({ name }) => name === "Block2")?.value;
  const number = asked === undefined ? 0 : asked.reduce((sum, byte) => sum * 256 + byte, 0);
  if (asked === undefined && payload.length <= blockSize) return { options: [], payload };
  const exponent = asked === undefined ? 6 : Math.min(number & 7, 6);
  const size = 1 << (exponent + 4);
  const start = (number >>> 4) * size;
  if (start > payload.length || (start === payload.length && start > 0)) return undefined;
  const more = start + size < payload.length;
  const value = ((number >>> 4) << 4) | (more ? 8 : 0) | exponent;
  const bytes = [value >>> 16, (value >>> 8) & 255, value & 255];
  while (bytes.length > 0 && bytes[0] === 0) bytes.shift();
  return {
    options: [{ name: "Block2", value: Buffer.from(bytes) }],
    payload: payload.subarray(start, start + size),
  };
}
