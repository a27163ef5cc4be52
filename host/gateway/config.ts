// What the gateway is told: gateway.toml beside wasmote.toml. Everything has a default; what is wrong is said with its place.
import { existsSync } from "node:fs";
import { parse } from "smol-toml";
import { readWhole } from "../lib/files.ts";
import { UserError } from "../lib/errors.ts";
import { nameFault } from "../lib/names.ts";
import { gatewayFault } from "./adapters/nats/names.ts";
import { roles, type Role } from "./access.ts";
import type { LinkConfig } from "./rates.ts";
import { UriTemplate } from "./uri-template.ts";

/** A resource that is made of others. */
export interface VirtualConfig {
  name: string;
  kind: "aggregate" | "fallback";
  /** Of an aggregate. */
  function: "mean" | "min" | "max" | "sum" | "count" | "newest";
  /** `NODE/RESOURCE`, with a `*` at the end of either; of a fallback in the order of preference. */
  sources: string[];
  /** Seconds after which a value is too old to count. */
  fresh: number;
}

export interface RuleConfig {
  name: string;
  kind: "threshold" | "silence" | "trap" | "rollback";
  /** Patterns of names. */
  nodes: string[];
  /** Of a threshold. */
  resource: string;
  above: number | undefined;
  below: number | undefined;
  /** How far a value has to come back before the alarm ends. */
  hysteresis: number;
  /** Seconds that it has to last before the alarm begins; of a silence how long the silence is. */
  for: number;
  severity: "info" | "warning" | "critical";
}

export interface WebhookConfig {
  kind: "webhook";
  name: string;
  url: string;
  secret: string;
}
export interface MailConfig {
  kind: "mail";
  name: string;
  server: string;
  from: string;
  to: string[];
}
export interface MqttAlarmConfig {
  kind: "mqtt";
  name: string;
}
export type DeliveryConfig = WebhookConfig | MailConfig | MqttAlarmConfig;

/** A service broker at this gateway. */
export interface OsbConfig {
  /** Begins the names of its services. */
  name: string;
  /** Where applications reach the gateway; its own address unless this says otherwise. */
  address: string | undefined;
  /** Packages that are offered under names, each with its file, from the project's folder. */
  filters: { name: string; description: string; package: string }[];
}

/** The hub of many gateways. */
export interface NatsConfig {
  servers: string[];
  /** This gateway's name at the hub. */
  gateway: string;
  user: string | undefined;
  password: string | undefined;
  /** Makes streams and buckets where there are none, each with so many copies. */
  prepare: boolean;
  replicas: number;
}

export interface Config {
  listen: { host: string; port: number };
  tls: { certificate: string; key: string } | undefined;
  /** Origins that may read across (CORS): none by default. */
  targets: string[];
  directory: { host: string; port: number } | undefined;
  /** CoAP for those who come with it; at the directory's address where it has none of its own. */
  coap: { listen: { host: string; port: number } | undefined; role: Role } | undefined;
  /** What others call this gateway, as `https://gateway.example.org`. */
  origin: string | undefined;
  proxy: {
    template: string | undefined;
    loose: boolean;
    unknownFormats: boolean;
    nstart: number;
    queue: number;
    network: number;
    threshold: number;
    block: number;
  };
  discover: boolean;
  retentionDays: number;
  quotaMegabytes: number;
  /** The longest pause between two attempts to reach a node, in seconds. */
  reconnect: number;
  /** Seconds after which a river station is asked for its days without a sign that it has any. */
  stationPeriod: number;
  postgres: string | undefined;
  mqtt: { url: string; prefix: string; homeassistant: string | undefined } | undefined;
  /** Where Akri's agent has its sockets, and an address to listen at instead of one of them. */
  akri: { directory: string; listen: string | undefined } | undefined;
  osb: OsbConfig | undefined;
  nats: NatsConfig | undefined;
  /** Telemetry of all gateways, from the hub into this database. */
  collect: { postgres: string; user: string | undefined; password: string | undefined } | undefined;
  links: LinkConfig[];
  virtual: VirtualConfig[];
  rules: RuleConfig[];
  deliveries: DeliveryConfig[];
}

export const defaults: Config = {
  listen: { host: "127.0.0.1", port: 8080 },
  tls: undefined,
  targets: [],
  directory: undefined,
  coap: undefined,
  origin: undefined,
  proxy: {
    template: undefined,
    loose: false,
    unknownFormats: false,
    nstart: 1,
    queue: 64,
    network: 512,
    threshold: 1_024,
    block: 512,
  },
  discover: false,
  retentionDays: 90,
  quotaMegabytes: 10_000,
  reconnect: 30,
  stationPeriod: 60,
  postgres: undefined,
  mqtt: undefined,
  akri: undefined,
  osb: undefined,
  nats: undefined,
  collect: undefined,
  links: [],
  virtual: [],
  rules: [
    {
      name: "silent",
      kind: "silence",
      nodes: ["*"],
      resource: "",
      above: undefined,
      below: undefined,
      hysteresis: 0,
      for: 120,
      severity: "warning",
    },
    {
      name: "trap",
      kind: "trap",
      nodes: ["*"],
      resource: "",
      above: undefined,
      below: undefined,
      hysteresis: 0,
      for: 0,
      severity: "critical",
    },
    {
      name: "rollback",
      kind: "rollback",
      nodes: ["*"],
      resource: "",
      above: undefined,
      below: undefined,
      hysteresis: 0,
      for: 0,
      severity: "warning",
    },
  ],
  deliveries: [],
};

type Table = Record<string, unknown>;

/** Reads values out of a table, each with its place, and names what it does not know. */
class Reader {
  readonly #table: Table;
  readonly #place: string;
  readonly #used = new Set<string>();

  constructor(table: unknown, place: string) {
    if (typeof table !== "object" || table === null || Array.isArray(table))
      throw wrong(place, "is not a table");
    this.#table = table as Table;
    this.#place = place;
  }

  #take(key: string): unknown {
    this.#used.add(key);
    return Object.hasOwn(this.#table, key) ? this.#table[key] : undefined;
  }

  text<T extends string | undefined>(key: string, standard: T): string | T {
    const value = this.#take(key) ?? standard;
    if (value !== undefined && typeof value !== "string")
      throw wrong(`${this.#place}${key}`, "is not a text");
    return value as string | T;
  }

  needed(key: string): string {
    const value = this.text(key, undefined);
    if (value === undefined) throw wrong(`${this.#place}${key}`, "is missing");
    return value;
  }

  number<T extends number | undefined>(key: string, standard: T, least = -Infinity): number | T {
    const value = this.#take(key) ?? standard;
    if (value === undefined) return standard;
    if (typeof value !== "number" || !(value >= least))
      throw wrong(`${this.#place}${key}`, `is not a number from ${least} on`);
    return value;
  }

  flag(key: string, standard: boolean): boolean {
    const value = this.#take(key) ?? standard;
    if (typeof value !== "boolean")
      throw wrong(`${this.#place}${key}`, "is neither true nor false");
    return value;
  }

  texts(key: string, standard: string[] | undefined): string[] {
    const value = this.#take(key) ?? standard;
    const list = typeof value === "string" ? [value] : value;
    if (!Array.isArray(list) || list.some((one) => typeof one !== "string"))
      throw wrong(`${this.#place}${key}`, "is not a list of texts");
    return list as string[];
  }

  word<T extends string>(key: string, words: readonly T[], standard?: T): T {
    const value = this.#take(key) ?? standard;
    if (!words.includes(value as T))
      throw wrong(`${this.#place}${key}`, `is not one of ${words.join(", ")}`);
    return value as T;
  }

  table(key: string): Reader | undefined {
    const value = this.#take(key);
    return value === undefined ? undefined : new Reader(value, `${this.#place}${key}.`);
  }

  /** A table of tables, each with its name: `[rules.flood]`. */
  named<T>(key: string, read: (name: string, reader: Reader) => T): T[] {
    const value = this.#take(key) ?? {};
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw wrong(key, `is not a table: write [${key}.NAME]`);
    return Object.entries(value as Table).map(([name, table]) => {
      const fault = nameFault(name);
      if (fault !== undefined) throw wrong(`${key}.${name}`, fault);
      const reader = new Reader(table, `${this.#place}${key}.${name}.`);
      const result = read(name, reader);
      reader.end();
      return result;
    });
  }

  end(): void {
    for (const key of Object.keys(this.#table))
      if (!this.#used.has(key)) throw wrong(`${this.#place}${key}`, "is not a setting");
  }
}

function wrong(place: string, what: string): UserError {
  return new UserError(
    `gateway.toml: ${place} ${what}`,
    "docs/gateway.md lists the settings",
    "usage",
  );
}

/** `host:port`, or a port on this computer. */
function listen(text: string, place: string): { host: string; port: number } {
  const parts = /^(?:(\[[0-9a-fA-F:]+\]|[\w.-]+):)?(\d{1,5})$/.exec(text);
  const port = Number(parts?.[2]);
  if (parts === null || port > 65535) throw wrong(place, "is not an address: write 127.0.0.1:8080");
  return { host: (parts[1] ?? "127.0.0.1").replace(/^\[(.*)\]$/, "$1"), port };
}

/** Reads gateway.toml; without one, all settings have their defaults. */
export function readConfig(file: string): Config {
  if (!existsSync(file)) return defaults;
  let table: unknown;
  try {
    table = parse(readWhole(file).toString("utf8"));
  } catch (cause) {
    throw new UserError(`${file}: ${(cause as Error).message}`, "correct the file", "usage", {
      cause,
    });
  }
  return parseConfig(table);
}

export function parseConfig(table: unknown): Config {
  const top = new Reader(table, "");
  const at = top.text("listen", undefined);
  const directory = top.text("directory", undefined);
  const config: Config = {
    listen: at === undefined ? defaults.listen : listen(at, "listen"),
    tls: tls(top.table("tls")),
    targets: top.texts("targets", []),
    directory: directory === undefined ? undefined : listen(directory, "directory"),
    coap: coap(top.table("coap"), directory !== undefined),
    origin: origin(top.text("origin", undefined)),
    proxy: proxy(top.table("proxy")),
    discover: top.flag("discover", false),
    retentionDays: top.number("retention-days", defaults.retentionDays, 1),
    quotaMegabytes: top.number("quota-megabytes", defaults.quotaMegabytes, 1),
    reconnect: top.number("reconnect", defaults.reconnect, 0.1),
    stationPeriod: top.number("station-period", defaults.stationPeriod, 0.1),
    postgres: top.text("postgres", undefined),
    mqtt: mqtt(top.table("mqtt")),
    akri: akri(top.table("akri")),
    osb: osb(top.table("osb")),
    nats: nats(top.table("nats")),
    collect: collect(top.table("collect")),
    links: top.named("links", link),
    virtual: top.named("virtual", virtual),
    rules: top.named("rules", rule),
    deliveries: top.named("deliveries", delivery),
  };
  top.end();
  if (config.collect !== undefined && config.nats === undefined)
    throw wrong("collect", "needs [nats]: where the telemetry is");
  for (const one of defaults.rules)
    if (!config.rules.some(({ name }) => name === one.name)) config.rules.push(one);
  return config;
}

function tls(reader: Reader | undefined): Config["tls"] {
  if (reader === undefined) return undefined;
  const files = { certificate: reader.needed("certificate"), key: reader.needed("key") };
  reader.end();
  return files;
}

function coap(reader: Reader | undefined, beside: boolean): Config["coap"] {
  if (reader === undefined) return undefined;
  const at = reader.text("listen", undefined);
  const config = {
    listen: at === undefined ? undefined : listen(at, "coap.listen"),
    role: reader.word("role", roles, "read"),
  };
  reader.end();
  if (config.listen === undefined && !beside)
    throw wrong("coap.listen", "is missing: without a directory there is no socket to share");
  return config;
}

function origin(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol))
    throw wrong("origin", "is not an address of the web: write https://gateway.example.org");
  return new URL(text).origin;
}

function proxy(reader: Reader | undefined): Config["proxy"] {
  if (reader === undefined) return defaults.proxy;
  const standard = defaults.proxy;
  const whole = (key: string, value: number, least: number, most: number): number => {
    const read = reader.number(key, value, least);
    if (!Number.isInteger(read) || read > most)
      throw wrong(`proxy.${key}`, `is not a whole number from ${least} to ${most}`);
    return read;
  };
  const config = {
    template: reader.text("template", undefined),
    loose: reader.flag("loose", standard.loose),
    unknownFormats: reader.flag("unknown-formats", standard.unknownFormats),
    nstart: whole("nstart", standard.nstart, 1, 16),
    queue: whole("queue", standard.queue, 0, 4_096),
    network: whole("network", standard.network, 1, 4_096),
    threshold: whole("threshold", standard.threshold, 0, 1_024),
    block: whole("block", standard.block, 16, 1_024),
  };
  reader.end();
  if (!Number.isInteger(Math.log2(config.block)))
    throw wrong("proxy.block", "is none of 16, 32, 64, 128, 256, 512, 1024");
  // Read here, so that a wrong one is said at the start.
  if (config.template !== undefined) new UriTemplate(config.template);
  return config;
}

function mqtt(reader: Reader | undefined): Config["mqtt"] {
  if (reader === undefined) return undefined;
  const config = {
    url: reader.needed("url"),
    prefix: reader.text("prefix", "wasmote"),
    homeassistant: reader.text("homeassistant", undefined),
  };
  reader.end();
  return config;
}

function akri(reader: Reader | undefined): Config["akri"] {
  if (reader === undefined) return undefined;
  const standard = process.env["DISCOVERY_HANDLERS_DIRECTORY"] ?? "/var/lib/akri";
  const at = reader.text("listen", undefined);
  if (at !== undefined) listen(at, "akri.listen");
  const config = { directory: reader.text("directory", standard), listen: at };
  reader.end();
  return config;
}

function osb(reader: Reader | undefined): Config["osb"] {
  if (reader === undefined) return undefined;
  const address = reader.text("address", undefined);
  if (
    address !== undefined &&
    !(URL.canParse(address) && /^https?:\/\/[^?#]*[^?#/]$/.test(address))
  )
    throw wrong("osb.address", "is not an address of the web without a slash at its end");
  const name = reader.text("name", "wasmote");
  if (!/^[A-Za-z0-9][A-Za-z0-9.-]{0,30}$/.test(name))
    throw wrong("osb.name", "is not made of letters, digits, dots and hyphens");
  const filters = reader.named("filters", (filter, inner) => {
    if (["series", "stream", "filter"].includes(filter))
      throw wrong(`osb.filters.${filter}`, "has the name of another service");
    const file = inner.needed("package");
    return {
      name: filter,
      description: inner.text("description", `Runs ${filter}`),
      package: file,
    };
  });
  reader.end();
  return { name, address, filters };
}

function nats(reader: Reader | undefined): Config["nats"] {
  if (reader === undefined) return undefined;
  const servers = reader.texts("servers", undefined);
  if (servers.length === 0 || servers.some((one) => !/^(?:nats|tls):\/\/[^\s/]+$/.test(one)))
    throw wrong("nats.servers", "is not a list of addresses: nats://HOST:PORT or tls://HOST:PORT");
  const gateway = reader.needed("gateway");
  const fault = gatewayFault(gateway);
  if (fault !== undefined) throw wrong("nats.gateway", fault);
  const config = {
    servers,
    gateway,
    user: reader.text("user", undefined),
    password: reader.text("password", undefined),
    prepare: reader.flag("prepare", false),
    replicas: reader.number("replicas", 1, 1),
  };
  reader.end();
  return config;
}

function collect(reader: Reader | undefined): Config["collect"] {
  if (reader === undefined) return undefined;
  const config = {
    postgres: reader.needed("postgres"),
    user: reader.text("user", undefined),
    password: reader.text("password", undefined),
  };
  reader.end();
  return config;
}

function link(name: string, reader: Reader): LinkConfig {
  const config = {
    name,
    nodes: reader.texts("nodes", undefined),
    rate: reader.number("bytes-per-second", undefined, 1),
    atOnce: reader.number("at-once", 1, 1),
  };
  if (config.rate === undefined) throw wrong(`links.${name}.bytes-per-second`, "is missing");
  if (config.nodes.length === 0) throw wrong(`links.${name}.nodes`, "names no node");
  return { ...config, rate: config.rate, atOnce: Math.floor(config.atOnce) };
}

function virtual(name: string, reader: Reader): VirtualConfig {
  return {
    name,
    kind: reader.word("kind", ["aggregate", "fallback"]),
    function: reader.word("function", ["mean", "min", "max", "sum", "count", "newest"], "mean"),
    sources: reader.texts("sources", undefined),
    fresh: reader.number("fresh", 60, 0.001),
  };
}

function rule(name: string, reader: Reader): RuleConfig {
  const kind = reader.word("kind", ["threshold", "silence", "trap", "rollback"], "threshold");
  const read: RuleConfig = {
    name,
    kind,
    nodes: reader.texts("nodes", ["*"]),
    resource: kind === "threshold" ? reader.needed("resource") : "",
    above: reader.number("above", undefined),
    below: reader.number("below", undefined),
    hysteresis: reader.number("hysteresis", 0, 0),
    for: reader.number("for", kind === "silence" ? 120 : 0, 0),
    severity: reader.word("severity", ["info", "warning", "critical"], "warning"),
  };
  if (kind === "threshold" && (read.above === undefined) === (read.below === undefined))
    throw wrong(`rules.${name}`, "needs either above or below");
  return read;
}

function smtpAddress(text: string, place: string): string {
  try {
    const { protocol, hostname, username, password } = new URL(text);
    decodeURIComponent(username + password);
    if (/^smtps?:$/.test(protocol) && hostname !== "") return text;
  } catch {
    // Said below.
  }
  throw wrong(place, "is not a mail server: write smtps://USER:PASSWORD@HOST");
}

function delivery(name: string, reader: Reader): DeliveryConfig {
  const kind = reader.word("kind", ["webhook", "mail", "mqtt"]);
  if (kind === "webhook") {
    const url = reader.needed("url");
    if (!/^https?:\/\//.test(url))
      throw wrong(`deliveries.${name}.url`, "is not an address of the web");
    return { kind, name, url, secret: reader.needed("secret") };
  }
  if (kind === "mail")
    return {
      kind,
      name,
      server: smtpAddress(reader.needed("server"), `deliveries.${name}.server`),
      from: reader.needed("from"),
      to: reader.texts("to", undefined),
    };
  return { kind, name };
}
