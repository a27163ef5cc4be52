// The gateway: one process between nodes and the web. Everything else in this folder is a part of it; this puts them together.
//
//   nodes --observations--> hub --> viewers (SSE, WebSocket, MQTT)
//                            |--> history (SQLite or PostgreSQL)
//                            |--> virtual resources, alarms --> outbox --> webhook, e-mail, MQTT
//   HTTP --> api | proxy --> upstream (cache, joined, one at a time) --> nodes
import { setTimeout as delay } from "node:timers/promises";
import { makeFolder } from "../lib/state.ts";
import { discover } from "../lib/coap/discover.ts";
import { Node } from "../lib/node.ts";
import { nameFault } from "../lib/names.ts";
import { Core, type GatewayOptions } from "./core.ts";
import { defaults, type Config } from "./config.ts";
import { roleOf } from "./access.ts";
import { CoapProxy } from "./coap-proxy.ts";
import { CoapServer } from "./coap-server.ts";
import type { Collector } from "./adapters/nats/collector.ts";
import type { HubLink } from "./adapters/nats/link.ts";
import type { ServiceBroker } from "./adapters/osb/index.ts";
import { Directory } from "./directory.ts";
import type { History } from "./history.ts";
import { startKept } from "./hosted-routes.ts";
import { HttpServer } from "./server.ts";
import { readSecrets } from "./tls.ts";
import { FirstWords } from "./trouble.ts";
import { takeFolder } from "./sqlite/database.ts";
import { SqliteHistory } from "./sqlite/history.ts";
import type { Bridge } from "./bridge.ts";

export type { GatewayOptions } from "./core.ts";

export class Gateway extends Core {
  readonly #server = new HttpServer(this);
  readonly #stopping = new AbortController();
  link: HubLink | undefined;
  collecting: { collector: Collector; stop: () => Promise<void> } | undefined;
  #giveBack: () => void = () => {};
  #osb: ServiceBroker | undefined;

  /** The service broker, where there is one; it has addresses of its own. */
  get osb(): ServiceBroker | undefined {
    return this.#osb;
  }

  set osb(broker: ServiceBroker | undefined) {
    this.#osb = broker;
    this.also = broker;
  }

  /** Starts a gateway; resolves once it listens. Whatever fails, nothing of it is left. */
  static async start(options: GatewayOptions): Promise<Gateway> {
    makeFolder(options.folder, 0o700);
    const config = { ...defaults, ...options.config };
    // Before anything is opened.
    if (config.tls !== undefined) readSecrets(config.tls);
    const giveBack = await takeFolder(options.folder);
    let history: History | undefined;
    let gateway: Gateway | undefined;
    try {
      let trouble: (text: string | undefined) => void = () => {};
      history = await openHistory(options.folder, config, (text) => trouble(text));
      gateway = new Gateway(options, history, await bridgeOf(config));
      gateway.#giveBack = giveBack;
      trouble = (text) => gateway?.disk(text);
      await gateway.#begin();
      return gateway;
    } catch (error) {
      if (gateway !== undefined) await gateway.stop();
      else {
        await history?.close();
        giveBack();
      }
      throw error;
    }
  }

  async #begin(): Promise<void> {
    const { project, nodes, say } = this.options;
    await this.history.resume(this.store.identity());
    const { host, port } = this.config.listen;
    this.port = await this.#server.listen(host, port);
    await this.#openCoap();
    await this.#openAkri();
    const named = { ...project?.nodes, ...nodes };
    this.firstWords = new FirstWords(Object.keys(named), say);
    for (const [name, address] of Object.entries(named)) this.add(name, address, "configured");
    startKept(this);
    await this.#openBroker();
    await this.#openLink();
    if (this.config.discover) void this.#discover();
    this.access.begin();
  }

  /** The directory and the proxy for those who come with CoAP, at one address or at two. */
  async #openCoap(): Promise<void> {
    const { directory, coap } = this.config;
    if (directory !== undefined) this.#openDirectory();
    const proxy =
      coap === undefined
        ? undefined
        : new CoapProxy({
            proxy: this.proxy,
            hub: this.hub,
            shared: this.shared,
            role: coap.role,
            roleOf,
            onChange: (who, what, target, result) => this.audit({ who, what, target, result }),
          });
    const refuse = () => Promise.resolve({ code: "5.05" });
    const shared = coap?.listen === undefined ? proxy : undefined;
    if (directory !== undefined)
      this.coap = await CoapServer.open(directory.host, directory.port, (asked) =>
        this.directory !== undefined && Directory.serves(asked)
          ? this.directory.serve(asked)
          : (shared?.serve(asked) ?? refuse()),
      );
    if (coap?.listen !== undefined && proxy !== undefined)
      this.coapProxy = await CoapServer.open(coap.listen.host, coap.listen.port, (asked) =>
        proxy.serve(asked),
      );
  }

  #openDirectory(): void {
    this.directory = new Directory({
      store: this.store,
      links: () => (this.origin === undefined ? [] : this.proxy.links(this.origin)),
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
    const { collect, retentionDays } = this.config;
    if (collect === undefined) return;
    const { startCollector } = await import("./adapters/nats/collector.ts");
    const { say } = this.options;
    const retention = retentionDays * 86_400_000;
    this.collecting = await startCollector(nats, collect, { retention, say });
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
      await delay(30_000, undefined, { signal }).catch(() => {});
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    clearInterval(this.timer);
    this.virtuals.stop();
    this.hosted.close();
    await this.#server.close().catch(() => {});
    await this.coap?.close();
    await this.coapProxy?.close();
    this.directory?.close();
    await this.akri?.stop();
    await this.osb?.stop();
    await this.collecting?.stop();
    await this.link?.stop();
    await this.rollouts.stop();
    await this.placements.stop();
    await this.nodes.stop();
    await this.proxy.close();
    this.outbox.stop();
    await this.bridge?.close();
    await this.history.close();
    this.store.close();
    this.#giveBack();
  }
}

async function bridgeOf({
  mqtt,
}: Config): Promise<((gateway: Pick<Core, "hub" | "nodes">) => Bridge) | undefined> {
  if (mqtt === undefined) return undefined;
  const { Bridge } = await import("./bridge.ts");
  return ({ hub, nodes }) => new Bridge(mqtt, hub, nodes);
}

async function openHistory(
  folder: string,
  config: Config,
  onTrouble: (text: string | undefined) => void,
): Promise<History> {
  if (config.postgres !== undefined) {
    const { PostgresHistory } = await import("./postgres/history.ts");
    return PostgresHistory.open(config.postgres, {
      onTrouble,
      retention: config.retentionDays * 86_400_000,
    });
  }
  return new SqliteHistory({
    folder,
    retention: config.retentionDays * 86_400_000,
    quota: config.quotaMegabytes * 1e6,
    onTrouble,
  });
}
