// The parts of a gateway, and how values and events flow between them. It listens nowhere: gateway.ts does that.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Context } from "../lib/coap/oscore.ts";
import { openProject, type Project } from "../lib/project.ts";
import { Access } from "./access.ts";
import { Alarms } from "./alarms.ts";
import { Cache } from "./cache.ts";
import { defaults, type Config } from "./config.ts";
import { channelsOf } from "./deliveries.ts";
import type { Directory } from "./directory.ts";
import type { History } from "./history.ts";
import { Hosted } from "./hosted.ts";
import { Hub } from "./hub.ts";
import { Nodes, type Happening, type Origin } from "./nodes.ts";
import { Outbox } from "./outbox.ts";
import { Placements } from "./placement/placements.ts";
import { Deciders } from "./placement/deciders.ts";
import { Proxy } from "./proxy.ts";
import { Rollouts } from "./rollout/rollouts.ts";
import { Shared } from "./shared.ts";
import { Store } from "./sqlite/store.ts";
import { Upstream } from "./upstream.ts";
import type { FirstWords } from "./trouble.ts";
import { UriTemplate } from "./uri-template.ts";
import { Virtuals } from "./virtual.ts";
import type { AkriHandler } from "./adapters/akri/handler.ts";
import type { CoapServer } from "./coap-server.ts";
import type { Bridge } from "./bridge.ts";

export interface GatewayOptions {
  /** Where everything is kept. */
  folder: string;
  config?: Partial<Config>;
  project?: Project;
  /** Nodes by name, besides those of the project. */
  nodes?: Record<string, string>;
  /** Told what is worth a line on a console. */
  say?: (text: string) => void;
  /** How often a node is asked how it is, and how long it may be silent, in milliseconds. */
  period?: number;
  patience?: number;
  /** The longest pause between two attempts to reach a node, in milliseconds. */
  reconnect?: number;
  /** How often stations of placements are asked for days without a sign that they have any, in milliseconds. */
  stationPeriod?: number;
  /** How often it is looked whether the certificate was renewed, in milliseconds. */
  renewal?: number;
  /** Connections of HTTP at most (4,096). */
  connections?: number;
}

/** Addresses that something besides the gateway's own routes serves. */
export interface Also {
  has(path: string): boolean;
  serve(
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    query: URLSearchParams,
  ): Promise<void>;
}

/** What every route and part sees. Values flow through it from when it is made; who listens is gateway.ts's to begin. */
export class Core {
  readonly options: Required<Pick<GatewayOptions, "say">> & GatewayOptions;
  readonly config: Config;
  readonly project: Project;
  readonly store: Store;
  readonly access: Access;
  readonly hub: Hub;
  readonly history: History;
  readonly nodes: Nodes;
  readonly upstream: Upstream;
  readonly proxy: Proxy;
  readonly shared = new Shared();
  readonly virtuals: Virtuals;
  readonly hosted: Hosted;
  readonly alarms: Alarms;
  readonly outbox: Outbox;
  readonly rollouts: Rollouts;
  readonly placements: Placements;
  readonly deciders = new Deciders();
  readonly timer: NodeJS.Timeout;
  directory: Directory | undefined;
  /** Where the directory is served, with the proxy for CoAP where that has no address of its own. */
  coap: CoapServer | undefined;
  coapProxy: CoapServer | undefined;
  bridge: Bridge | undefined;
  /** What is told of the nodes that are in the configuration. */
  firstWords: FirstWords | undefined;
  akri: AkriHandler | undefined;
  /** What else is served over HTTP, at addresses of its own. */
  also: Also | undefined;
  port = 0;
  #there = true;

  constructor(
    options: GatewayOptions,
    history: History,
    bridge?: (gateway: Pick<Core, "hub" | "nodes">) => Bridge,
  ) {
    this.options = { say: () => {}, ...options };
    this.config = { ...defaults, ...options.config };
    this.project = options.project ?? openProject(options.folder);
    this.store = new Store(options.folder);
    this.hub = new Hub(this.store.firstNumber(), (upTo) =>
      this.guarded(() => this.store.reserve(upTo)),
    );
    this.access = new Access(this.store);
    this.history = history;
    const { period, patience } = options;
    const reconnect = options.reconnect ?? this.config.reconnect * 1_000;
    this.nodes = new Nodes({
      hub: this.hub,
      project: this.project,
      links: this.config.links,
      onHappening: (happening) => this.#happened(happening),
      onNotification: (node, path, response) => this.upstream.cache.observed(node, path, response),
      ...(period === undefined ? {} : { period }),
      ...(patience === undefined ? {} : { patience }),
      reconnect,
    });
    const { targets, proxy } = this.config;
    this.upstream = new Upstream({ cache: new Cache(), ...proxy });
    this.proxy = new Proxy({
      nodes: this.nodes,
      upstream: this.upstream,
      targets,
      formats: { loose: proxy.loose, unknown: proxy.unknownFormats },
      template: proxy.template === undefined ? undefined : new UriTemplate(proxy.template),
    });
    this.bridge = bridge?.(this);
    this.outbox = new Outbox(this.store, channelsOf(this.config.deliveries, this.bridge));
    this.alarms = new Alarms({
      store: this.store,
      rules: this.config.rules,
      onChange: (change, alarm) => {
        this.#event({
          node: alarm.node,
          time: Date.now(),
          what: `alarm ${change}`,
          text: `${alarm.rule}: ${alarm.text}`,
        });
        this.guarded(() => this.outbox.put(JSON.stringify({ change, alarm })));
      },
    });
    this.rollouts = new Rollouts({
      store: this.store,
      nodes: this.nodes,
      history,
      onEvent: (text) => this.#event({ node: "gateway", time: Date.now(), what: "rollout", text }),
    });
    this.virtuals = new Virtuals(this.hub, this.config.virtual);
    this.hosted = new Hosted(this.hub, (happening) => this.#happened(happening));
    this.hub.view(
      {},
      {
        send: (envelope) => {
          this.history.append(envelope);
          this.alarms.take(envelope);
          this.virtuals.take(envelope);
          this.hosted.take(envelope);
          return true;
        },
      },
    );
    this.placements = new Placements({
      store: this.store,
      nodes: this.nodes,
      hub: this.hub,
      alarms: this.alarms,
      say: this.options.say,
      period: this.options.stationPeriod ?? this.config.stationPeriod * 1_000,
    });
    this.timer = setInterval(() => {
      this.alarms.tick(this.nodes);
      this.#lookForFolder();
    }, 1_000);
  }

  add(name: string, address: string, origin: Origin, context?: Context): void {
    this.nodes.add(name, address, origin, context);
  }

  get secure(): boolean {
    return this.config.tls !== undefined;
  }

  /** What others may call this gateway; undefined where only this computer knows it. */
  get origin(): string | undefined {
    const { origin, listen } = this.config;
    const any = listen.host === "0.0.0.0" || listen.host === "::";
    return origin ?? (any ? undefined : this.url);
  }

  get url(): string {
    const { host } = this.config.listen;
    return `${this.secure ? "https" : "http"}://${host.includes(":") ? `[${host}]` : host}:${this.port}`;
  }

  /** The gateway's address as this client has it. */
  baseOf({ headers }: IncomingMessage): string {
    return headers.host === undefined
      ? this.url
      : `${this.secure ? "https" : "http"}://${headers.host}`;
  }

  #happened(happening: Happening): void {
    this.#event(happening);
    this.firstWords?.take(happening);
    this.alarms.happened(happening);
    if (happening.what === "heard") this.placements.nudge(happening.node);
  }

  #event({ node, time, what, text }: Omit<Happening, "what"> & { what: string }): void {
    this.guarded(() => this.store.event({ node, time, what, text }));
  }

  /** Who did what. */
  audit(row: { who: string; what: string; target: string; result: string }): void {
    this.guarded(() => this.store.audit({ time: Date.now(), ...row }));
  }

  /** A disk that takes nothing ends nothing. */
  guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.disk((error as Error).message);
    }
  }

  /** Says once that the folder was taken away, and once that it is back. */
  #lookForFolder(): void {
    let there = false;
    try {
      there = this.store.isThere;
    } catch {
      // A folder that may not be looked into is no better than none.
    }
    if (there === this.#there) return;
    this.#there = there;
    const text = `${this.options.folder} was removed or moved: what comes in is lost when the gateway ends; put it back`;
    this.disk(there ? undefined : text, "folder");
  }

  /** What the disk does not take, or undefined where it takes all again; of the folder or of what is written. */
  disk(text: string | undefined, of: "" | "folder" = ""): void {
    const id = `disk/gateway/${of}`;
    if (text === undefined) return this.alarms.end(id);
    this.options.say(`the disk takes nothing: ${text}`);
    this.alarms.raise({
      id,
      rule: "disk",
      kind: "disk",
      severity: "critical",
      node: "gateway",
      resource: "",
      text: `nothing can be written: ${text}`,
      since: Date.now(),
      value: null,
    });
  }
}
