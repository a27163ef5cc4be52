// The gateway: one process between nodes and the web. Everything else in this folder is a part of it; this puts them together.
//
//   nodes --observations--> hub --> viewers (SSE, WebSocket, MQTT)
//                            |--> history (SQLite or PostgreSQL)
//                            |--> virtual resources, alarms --> outbox --> webhook, e-mail, MQTT
//   HTTP --> api | proxy --> upstream (cache, joined, one at a time) --> nodes
import { mkdirSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { discover } from "../lib/coap/discover.ts";
import type { Context } from "../lib/coap/oscore.ts";
import { Node } from "../lib/node.ts";
import { openProject, type Project } from "../lib/project.ts";
import { nameFault } from "../lib/names.ts";
import { Access } from "./access.ts";
import { Alarms } from "./alarms.ts";
import { Cache } from "./cache.ts";
import { defaults, type Config } from "./config.ts";
import { channelsOf } from "./deliveries.ts";
import { Directory } from "./directory.ts";
import type { History } from "./history.ts";
import { Hosted } from "./hosted.ts";
import { startKept } from "./hosted-routes.ts";
import { Hub } from "./hub.ts";
import { Nodes, type Happening, type Origin } from "./nodes.ts";
import { Outbox } from "./outbox.ts";
import { Placements } from "./placement/placements.ts";
import { Deciders } from "./placement/routes.ts";
import { Proxy } from "./proxy.ts";
import { Rollouts } from "./rollout/rollouts.ts";
import { HttpServer } from "./server.ts";
import { SqliteHistory } from "./sqlite/history.ts";
import { Store } from "./sqlite/store.ts";
import { Upstream } from "./upstream.ts";
import { Virtuals } from "./virtual.ts";
import type { ServiceBroker } from "./adapters/osb/index.ts";
import type { HubLink } from "./adapters/nats/link.ts";
import type { AkriHandler } from "./adapters/akri/handler.ts";
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
}

export class Gateway {
  readonly options: Required<Pick<GatewayOptions, "say">> & GatewayOptions;
  readonly config: Config;
  readonly project: Project;
  readonly store: Store;
  readonly access: Access;
  readonly hub = new Hub();
  readonly history: History;
  readonly nodes: Nodes;
  readonly upstream: Upstream;
  readonly proxy: Proxy;
  readonly virtuals: Virtuals;
  readonly hosted: Hosted;
  readonly alarms: Alarms;
  readonly outbox: Outbox;
  readonly rollouts: Rollouts;
  readonly placements: Placements;
  readonly deciders = new Deciders();
  readonly #server: HttpServer;
  readonly #timer: NodeJS.Timeout;
  readonly #stopping = new AbortController();
  directory: Directory | undefined;
  bridge: Bridge | undefined;
  akri: AkriHandler | undefined;
  osb: ServiceBroker | undefined;
  link: HubLink | undefined;
  port = 0;

  private constructor(
    options: GatewayOptions,
    history: History,
    bridge?: (gateway: Pick<Gateway, "hub" | "nodes">) => Bridge,
  ) {
    this.options = { say: () => {}, ...options };
    this.config = { ...defaults, ...options.config };
    this.project = options.project ?? openProject(options.folder);
    this.store = new Store(options.folder);
    this.access = new Access(this.store);
    this.history = history;
    const { period, patience } = options;
    const reconnect = options.reconnect ?? this.config.reconnect * 1_000;
    this.nodes = new Nodes({
      hub: this.hub,
      project: this.project,
      onHappening: (happening) => this.#happened(happening),
      onNotification: (node, path, response) => this.upstream.cache.observed(node, path, response),
      ...(period === undefined ? {} : { period }),
      ...(patience === undefined ? {} : { patience }),
      reconnect,
    });
    this.upstream = new Upstream({ cache: new Cache() });
    this.proxy = new Proxy({
      nodes: this.nodes,
      upstream: this.upstream,
      targets: this.config.targets,
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
        this.#guarded(() => this.outbox.put(JSON.stringify({ change, alarm })));
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
    this.#timer = setInterval(() => this.alarms.tick(this.nodes), 1_000);
    this.#server = new HttpServer(this);
  }

  /** Starts a gateway; resolves once it listens. */
  static async start(options: GatewayOptions): Promise<Gateway> {
    mkdirSync(options.folder, { recursive: true, mode: 0o700 });
    const config = { ...defaults, ...options.config };
    let trouble: (text: string | undefined) => void = () => {};
    const history = await openHistory(options.folder, config, (text) => trouble(text));
    const mqtt = config.mqtt;
    const bridge =
      mqtt === undefined
        ? undefined
        : await import("./bridge.ts").then(
            ({ Bridge }) =>
              (gateway: Pick<Gateway, "hub" | "nodes">) =>
                new Bridge(mqtt, gateway.hub, gateway.nodes),
          );
    const gateway = new Gateway(options, history, bridge);
    trouble = (text) => gateway.#disk(text);
    try {
      const { host, port } = config.listen;
      gateway.port = await gateway.#server.listen(host, port);
      await gateway.#openDirectory();
      await gateway.#openAkri();
    } catch (error) {
      await gateway.stop();
      throw error;
    }
    const named = { ...options.project?.nodes, ...options.nodes };
    for (const [name, address] of Object.entries(named)) gateway.add(name, address, "configured");
    startKept(gateway);
    await gateway.#openBroker();
    await gateway.#openLink();
    if (config.discover) void gateway.#discover();
    return gateway;
  }

  add(name: string, address: string, origin: Origin, context?: Context): void {
    this.nodes.add(name, address, origin, context);
  }

  get secure(): boolean {
    return this.config.tls !== undefined;
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

  async #openDirectory(): Promise<void> {
    const { directory } = this.config;
    if (directory === undefined) return;
    this.directory = await Directory.open(directory.host, directory.port, {
      store: this.store,
      onRegister: ({ endpoint, base }) => {
        const known = this.nodes.get(endpoint);
        // A name of the configuration is not taken over by whoever registers under it.
        if (
          nameFault(endpoint) === undefined &&
          (known === undefined || known.origin === "registered")
        )
          this.add(endpoint, base, "registered");
      },
      onGone: ({ endpoint }) => {
        if (this.nodes.get(endpoint)?.origin === "registered") void this.nodes.remove(endpoint);
      },
    });
  }

  async #openAkri(): Promise<void> {
    const { akri } = this.config;
    if (akri === undefined) return;
    const { AkriHandler } = await import("./adapters/akri/handler.ts");
    this.akri = await AkriHandler.start({ ...akri, nodes: this.nodes, base: this.url });
  }

  async #openBroker(): Promise<void> {
    const { osb } = this.config;
    if (osb === undefined) return;
    const { ServiceBroker } = await import("./adapters/osb/index.ts");
    this.osb = new ServiceBroker(this, osb);
  }

  async #openLink(): Promise<void> {
    const { nats } = this.config;
    if (nats === undefined) return;
    const { HubLink } = await import("./adapters/nats/link.ts");
    this.link = new HubLink(this, nats);
  }

  /** Looks for nodes on the networks here, again and again; each is called what it calls itself. */
  async #discover(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        for await (const address of discover({ signal })) {
          if (this.nodes.has(address)) continue;
          const stranger = { patience: 5_000, signal, context: null };
          await using node = await Node.connect(address, stranger);
          const { name } = await node.front();
          if (nameFault(name) === undefined && this.nodes.get(name) === undefined)
            this.add(name, address, "discovered");
        }
      } catch {
        // A network that is not there, a node that went: the next round tries again.
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 30_000);
        signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
      });
    }
  }

  #happened(happening: Happening): void {
    this.#event(happening);
    this.alarms.happened(happening);
    if (happening.what === "heard") this.placements.nudge(happening.node);
  }

  #event({ node, time, what, text }: Omit<Happening, "what"> & { what: string }): void {
    this.#guarded(() => this.store.event({ node, time, what, text }));
  }

  /** A disk that takes nothing ends nothing. */
  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#disk((error as Error).message);
    }
  }

  #disk(text: string | undefined): void {
    const id = "disk/gateway/";
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

  async stop(): Promise<void> {
    this.#stopping.abort();
    clearInterval(this.#timer);
    this.virtuals.stop();
    this.hosted.close();
    await this.#server.close().catch(() => {});
    await this.directory?.close();
    await this.akri?.stop();
    await this.osb?.stop();
    await this.link?.stop();
    await this.rollouts.stop();
    await this.placements.stop();
    await this.nodes.stop();
    await this.proxy.close();
    this.outbox.stop();
    await this.bridge?.close();
    await this.history.close();
    this.store.close();
  }
}

async function openHistory(
  folder: string,
  config: Config,
  onTrouble: (text: string | undefined) => void,
): Promise<History> {
  if (config.postgres !== undefined) {
    const { PostgresHistory } = await import("./postgres/history.ts");
    return PostgresHistory.open(config.postgres, { onTrouble });
  }
  return new SqliteHistory({
    folder,
    retention: config.retentionDays * 86_400_000,
    quota: config.quotaMegabytes * 1e6,
    onTrouble,
  });
}
