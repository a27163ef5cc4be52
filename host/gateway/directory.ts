// A CoRE Resource Directory (RFC 9176): nodes register by themselves, by name, and keep their identity when their address changes.
// Registration, simple registration, update, removal, and lookup of endpoints and resources; coap-server.ts has the messages.
import { createHash } from "node:crypto";
import { NodeError } from "../lib/errors.ts";
import type { Option } from "../lib/coap/endpoint.ts";
import { Node, parseLinks, type Resource } from "../lib/node.ts";
import { oneLine } from "../lib/text.ts";
import { Bad, numberOf, type Asked, type From, type Reply } from "./coap-server.ts";
import { fits, linkFits, writeLink } from "./links.ts";
import type { Store } from "./sqlite/store.ts";
import { steady } from "./steady.ts";

/** A registered endpoint. */
export interface Registration {
  /** Its path below /rd, which stays while the name does. */
  location: string;
  endpoint: string;
  domain: string;
  base: string;
  /** Where the last request came from; of a registration that an older gateway kept it is not known. */
  from?: string;
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
  /** Links to what else there is here, for discovery. */
  links?: () => string[];
  /** How long whoever had a name first is waited for, in milliseconds. */
  claimPatience?: number;
}

const standardLifetime = 90_000;
const mostRegistrations = 20_000;
const longestLinks = 16_384;
const linkFormat = Buffer.from([40]);
/** How long whoever had a name first is waited for, before it goes to another address. */
const claimPatience = 6_000;

export class Directory {
  readonly #options: DirectoryOptions;
  readonly #all = new Map<string, Registration>();
  /** When each registration ends, by the steady clock. */
  readonly #ends = new Map<string, number>();
  /** Whether the holder of a name answers, where that is just being asked. */
  readonly #claims = new Map<string, Promise<boolean>>();
  readonly #timer: NodeJS.Timeout;

  constructor(options: DirectoryOptions) {
    this.#options = options;
    const rows = options.store.database.prepare("SELECT body FROM registration").all() as {
      body: string;
    }[];
    const now = Date.now();
    for (const { body } of rows) {
      const one = JSON.parse(body) as Registration;
      this.#all.set(one.location, one);
      // Over a restart there is only the clock that people set: never longer than the lifetime.
      const left = Math.min(one.until - now, one.lifetime * 1000);
      this.#ends.set(one.location, steady() + left);
    }
    this.expire();
    for (const one of this.#all.values()) options.onRegister(one);
    this.#timer = setInterval(() => this.expire(), 5_000);
    this.#timer.unref();
  }

  list(): Registration[] {
    return [...this.#all.values()];
  }

  /** Those whose lifetime is over go (RFC 9176 §5.3). */
  expire(now = steady()): void {
    for (const one of this.#all.values())
      if ((this.#ends.get(one.location) ?? 0) <= now) this.#remove(one);
  }

  #remove(one: Registration): void {
    this.#all.delete(one.location);
    this.#ends.delete(one.location);
    try {
      this.#options.store.database
        .prepare("DELETE FROM registration WHERE location = ?")
        .run(one.location);
    } catch {
      // A disk that takes nothing: after a restart its lifetime ends it once more.
    }
    this.#options.onGone(one);
  }

  #keep(one: Registration): void {
    this.#all.set(one.location, one);
    this.#ends.set(one.location, steady() + one.lifetime * 1000);
    try {
      this.#options.store.database
        .prepare("INSERT OR REPLACE INTO registration (location, body) VALUES (?, ?)")
        .run(one.location, JSON.stringify(one));
    } catch {
      // A disk that takes nothing: it is known until the gateway ends, and registers again after that.
    }
    this.#options.onRegister(one);
  }

  /** Whether a request is for the directory. */
  static serves({ options }: Asked): boolean {
    return /^(\.well-known\/(core|rd)|rd(\/.*)?|rd-lookup\/.*)$/.test(pathOf(options));
  }

  async serve(asked: Asked): Promise<Reply> {
    const { code, options, payload, from } = asked;
    const path = pathOf(options);
    const query = parameters(options);
    for (const { name } of options)
      // A critical option that is not known (RFC 7252 §5.4.1).
      if (numberOf(name) % 2 === 1 && !known.has(String(name)))
        throw new Bad("4.02", `option ${name} is not known here`);
    if (path === ".well-known/core" && code === "0.01") return this.#wellKnown(query);
    if (path === ".well-known/rd" && code === "0.02") return this.#simple(query, from);
    if (path === "rd" && code === "0.02") return this.#register(query, linksOf(payload), from);
    if (path.startsWith("rd/")) return this.#registration(path, asked, query);
    if (path === "rd-lookup/ep" && code === "0.01") return this.#lookup(query, true);
    if (path === "rd-lookup/res" && code === "0.01") return this.#lookup(query, false);
    throw new Bad(
      /^(rd|rd-lookup\/(ep|res)|\.well-known\/(core|rd))$/.test(path) ? "4.05" : "4.04",
    );
  }

  /** What there is here, by whatever is asked for (RFC 6690 §4.1). */
  #wellKnown(query: Map<string, string>): Reply {
    const links = parseLinks(
      [
        '</rd>;rt="core.rd";ct=40',
        '</rd-lookup/ep>;rt="core.rd-lookup-ep";ct=40',
        '</rd-lookup/res>;rt="core.rd-lookup-res";ct=40',
        ...(this.#options.links?.() ?? []),
      ].join(","),
    ).filter((link) => linkFits(link, query));
    return content(links.map((link) => writeLink(link, link.path)).join(","));
  }

  /**
   * Who has a name keeps it (RFC 9176 §7.5, first come, first remembered): from another address it is taken over only where whoever had it does
   * not answer any more. A node that moved is silent at its old address; a stranger who uses its name is not the node.
   */
  async #claim(one: Registration | undefined, from: From, base: string): Promise<void> {
    const sender = `${from.address}:${from.port}`;
    if (one === undefined || one.base === base || one.from === sender) return;
    // One question at a time, however many claim the name: nobody is flooded on a stranger's behalf.
    const asking = this.#claims.get(one.location) ?? this.#answers(one);
    this.#claims.set(one.location, asking);
    const answers = await asking.finally(() => this.#claims.delete(one.location));
    if (answers)
      throw new Bad(
        "4.03",
        `${one.endpoint} is registered from another address, and answers there`,
      );
  }

  /** Whether whoever is registered is still where it was; another node that has its address by now is not it. */
  async #answers({ base, endpoint }: Registration): Promise<boolean> {
    try {
      const patience = this.#options.claimPatience ?? claimPatience;
      await using node = await Node.connect(base, { patience, context: null });
      const { name } = await node.front();
      return name === "" || name === endpoint;
    } catch (error) {
      // An error is an answer too, and so is what no node of ours would say.
      return error instanceof NodeError && (error.code === "answer" || error.code === "protocol");
    }
  }

  async #register(query: Map<string, string>, links: Resource[], from: From): Promise<Reply> {
    const { endpoint, domain, lifetime, base, extra } = readParameters(query, from);
    if (endpoint === undefined) throw new Bad("4.00", "ep is missing");
    const location = `rd/${createHash("sha256")
      .update(JSON.stringify([endpoint, domain]))
      .digest("hex")
      .slice(0, 12)}`;
    if (!this.#all.has(location) && this.#all.size >= mostRegistrations)
      throw new Bad("5.03", "the directory is full");
    const place = base ?? baseOf(from);
    await this.#claim(this.#all.get(location), from, place);
    const until = Date.now() + (lifetime ?? standardLifetime) * 1000;
    this.#keep({
      location,
      endpoint,
      domain,
      base: place,
      from: `${from.address}:${from.port}`,
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
      await this.#register(query, parseLinks(payload.toString("utf8")), from);
    } catch {
      // A node that cannot be asked is not registered: it does not get into the directory by a forged address.
    }
  }

  async #registration(
    path: string,
    { code, payload, from }: Asked,
    query: Map<string, string>,
  ): Promise<Reply> {
    const one = this.#all.get(path);
    if (one === undefined) throw new Bad("4.04");
    if (code === "0.04") {
      await this.#claim(one, from, baseOf(from));
      this.#remove(one);
      return { code: "2.02" };
    }
    if (code === "0.01")
      return content(one.links.map((link) => writeLink(link, link.path)).join(","));
    if (code !== "0.02") throw new Bad("4.05");
    // RFC 9176 §5.3.1: the base follows the address, unless it was given; the lifetime begins anew.
    const { lifetime = one.lifetime, base, extra } = readParameters(query, from);
    const links = payload.length > 0 ? linksOf(payload) : one.links;
    const place = base ?? baseOf(from);
    await this.#claim(one, from, place);
    const until = Date.now() + lifetime * 1000;
    this.#keep({
      ...one,
      lifetime,
      until,
      base: place,
      from: `${from.address}:${from.port}`,
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

  close(): void {
    clearInterval(this.#timer);
  }
}

/** Critical options that mean something here. */
const known = new Set(["Uri-Host", "Uri-Port", "Uri-Path", "Uri-Query", "Accept"]);

const content = (payload: string): Reply => ({
  code: "2.05",
  options: [{ name: "Content-Format", value: linkFormat }],
  payload,
});

function all(options: readonly Option[], name: string): string[] {
  return options
    .filter((option) => option.name === name)
    .map(({ value }) => value.toString("utf8"));
}

const pathOf = (options: readonly Option[]): string => all(options, "Uri-Path").join("/");

function parameters(options: readonly Option[]): Map<string, string> {
  const result = new Map<string, string>();
  for (const text of all(options, "Uri-Query")) {
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

function linksOf(payload: Buffer): Resource[] {
  if (payload.length > longestLinks)
    throw new Bad("4.13", `more than ${longestLinks} bytes of links`);
  return parseLinks(payload.toString("utf8")).slice(0, 256);
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
