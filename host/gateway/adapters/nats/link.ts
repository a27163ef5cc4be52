// The gateway's link to the hub (NATS JetStream): telemetry out, desired state in, reported state out, commands. Without the hub everything goes
// on here; what the hub missed reaches it afterwards.
import { headers as makeHeaders, type Msg, type NatsConnection } from "@nats-io/nats-core";
import { jetstream, jetstreamManager, JetStreamApiError } from "@nats-io/jetstream";
import { Kvm, type KV, type KvEntry, type KvWatchEntry } from "@nats-io/kv";
import { Objm } from "@nats-io/obj";
import { connect } from "@nats-io/transport-node";
import { setTimeout as delay } from "node:timers/promises";
import type { NatsConfig } from "../../config.ts";
import type { Core } from "../../core.ts";
import { obey } from "./commands.ts";
import { prepareHub, type Desired, type Reported } from "./hub.ts";
import {
  commandsOf,
  desiredBucket,
  inboxOf,
  keyOf,
  nodeOf,
  packagesBucket,
  reportedBucket,
  telemetryOf,
  telemetryStream,
} from "./names.ts";
import { steady } from "../../steady.ts";
import { TelemetryOutbox, type Newest } from "./outbox.ts";
import { Packages } from "./packages.ts";
import { Reconciler } from "./reconcile.ts";

/** JetStream's code for "the last of this subject is another one". */
const wrongLast = 10_071;
const shortestPause = 500;
const longestPause = 15_000;

export class HubLink {
  readonly #config: NatsConfig;
  readonly #gateway: Core;
  readonly #stopping = new AbortController();
  readonly #viewer: { close(): void };
  readonly #work: Promise<void>[] = [];
  readonly outbox: TelemetryOutbox;
  readonly reconciler: Reconciler;
  connection: NatsConnection | undefined;
  #opening: Promise<NatsConnection> | undefined;

  constructor(gateway: Core, config: NatsConfig) {
    this.#gateway = gateway;
    this.#config = config;
    let said: string | undefined;
    const say = (text: string) => {
      if (text !== said) gateway.options.say(`hub: ${text}`);
      said = text;
    };
    this.outbox = new TelemetryOutbox(gateway.store.database, config.gateway, say);
    const packages = new Packages(`${gateway.options.folder}/packages`, (digest) =>
      this.#download(digest),
    );
    this.reconciler = new Reconciler({
      nodes: gateway.nodes,
      packages,
      database: gateway.store.database,
      report: (node, reported) => this.#report(node, reported),
      onEvent: say,
    });
    this.#viewer = gateway.hub.view({}, { send: (one) => (this.outbox.take(one), true) });
    this.outbox.run({
      send: (body, id, after) => this.#send(body, id, after),
      newest: () => this.#newest(),
    });
    this.#work.push(
      this.#again(() => this.#watch(), say),
      this.#again(() => this.#listen(), say),
    );
    this.reconciler.start();
  }

  /** One connection for all; it comes back by itself, for as long as it takes. */
  async #open(): Promise<NatsConnection> {
    if (this.connection !== undefined && !this.connection.isClosed()) return this.connection;
    this.#opening ??= this.#connect().finally(() => (this.#opening = undefined));
    return this.#opening;
  }

  async #connect(): Promise<NatsConnection> {
    const { gateway, prepare, replicas } = this.#config;
    const connection = await connectTo(this.#config, gateway);
    if (this.#stopping.signal.aborted) {
      await connection.close();
      throw new Error("the gateway stops");
    }
    this.connection = connection;
    if (prepare) await prepareHub(connection, { replicas });
    return connection;
  }

  /** Something that lasts as long as its connection: begun again whenever it ends. */
  async #again(work: () => Promise<void>, say: (text: string) => void): Promise<void> {
    const { signal } = this.#stopping;
    for (let pause = shortestPause; !signal.aborted;) {
      const began = steady();
      await work().catch((error: unknown) => signal.aborted || say(advised(error as Error)));
      if (steady() > began + longestPause) pause = shortestPause;
      await delay(pause * (0.75 + Math.random() / 2), undefined, { signal }).catch(() => {});
      pause = Math.min(pause * 2, longestPause);
    }
  }

  // ---- telemetry -----------------------------------------------------------------------------------------------------

  async #send(body: string, id: string, after: number): Promise<number | undefined> {
    const subject = telemetryOf(this.#config.gateway);
    try {
      const stream = jetstream(await this.#open(), { timeout: 5_000 });
      const expect = { lastSubjectSequence: after };
      const { seq } = await stream.publish(subject, body, { msgID: id, expect, retries: 1 });
      return seq;
    } catch (error) {
      if (error instanceof JetStreamApiError && error.code === wrongLast) return undefined;
      throw error;
    }
  }

  async #newest(): Promise<Newest> {
    const manager = await jetstreamManager(await this.#open(), { checkAPI: false, timeout: 5_000 });
    const last_by_subj = telemetryOf(this.#config.gateway);
    const message = await manager.direct.getMessage(telemetryStream, { last_by_subj });
    return message === null
      ? { sequence: 0, id: undefined }
      : { sequence: message.seq, id: message.header.get("Nats-Msg-Id") };
  }

  // ---- desired and reported ------------------------------------------------------------------------------------------

  async #bucket(name: string): Promise<KV> {
    return new Kvm(await this.#open()).open(name, { allow_direct: true });
  }

  /** One watch of all nodes of this gateway; each change is written down here before it is acted upon. */
  async #watch(): Promise<void> {
    const bucket = await this.#bucket(desiredBucket);
    const watch = await bucket.watch({ key: `${this.#config.gateway}.>` });
    const { signal } = this.#stopping;
    const stop = () => watch.stop();
    signal.addEventListener("abort", stop, { once: true });
    try {
      for await (const entry of watch) this.#desired(entry);
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  #desired(entry: KvWatchEntry | KvEntry): void {
    const node = nodeOf(entry.key);
    if (node === undefined) return;
    if (entry.operation !== "PUT") return this.reconciler.want(node, undefined);
    const desired = desiredOf(entry.string());
    if (desired === undefined)
      this.#gateway.options.say(`hub: what ${node} shall run is malformed`);
    else this.reconciler.want(node, desired);
  }

  async #report(node: string, reported: Reported): Promise<void> {
    const bucket = await this.#bucket(reportedBucket);
    await bucket.put(keyOf(this.#config.gateway, node), JSON.stringify(reported));
  }

  async #download(digest: string): Promise<Uint8Array> {
    const store = await new Objm(await this.#open()).open(packagesBucket, false);
    const bytes = await store.getBlob(digest);
    if (bytes === null) throw new Error(`the hub has no package ${digest}`);
    return bytes;
  }

  // ---- commands ------------------------------------------------------------------------------------------------------

  async #listen(): Promise<void> {
    const connection = await this.#open();
    const subscription = connection.subscribe(commandsOf(this.#config.gateway));
    const stop = () => subscription.unsubscribe();
    this.#stopping.signal.addEventListener("abort", stop, { once: true });
    try {
      for await (const message of subscription) void this.#obey(message);
    } finally {
      this.#stopping.signal.removeEventListener("abort", stop);
    }
  }

  async #obey(message: Msg): Promise<void> {
    // Who may make a consumer may have JetStream deliver to any subject what is not his: that is no command of the hub's.
    if (message.reply?.startsWith("$JS.ACK.") === true) return;
    const answer = await obey(this.#gateway, message.string());
    const headers = makeHeaders();
    if (message.reply !== undefined && message.reply !== "")
      message.respond(JSON.stringify(answer), { headers });
  }

  async stop(): Promise<void> {
    this.#viewer.close();
    this.#stopping.abort();
    await this.connection?.close().catch(() => {});
    await this.outbox.stop();
    await this.reconciler.stop();
    await this.#opening?.then((one) => one.close()).catch(() => {});
    await Promise.allSettled(this.#work);
  }
}

/** A connection to the hub that comes back by itself, with an inbox that only its user may read. */
export function connectTo(
  { servers, user, password }: Pick<NatsConfig, "servers" | "user" | "password">,
  name: string,
): Promise<NatsConnection> {
  return connect({
    servers,
    name,
    inboxPrefix: inboxOf(name),
    ...(user === undefined ? {} : { user, pass: password ?? "" }),
    maxReconnectAttempts: -1,
    reconnectTimeWait: 250,
    reconnectJitter: 500,
    timeout: 5_000,
    // A server that stands still is left for another one within six seconds.
    pingInterval: 2_000,
    maxPingOut: 2,
  });
}

/** What went wrong, and what to do where the hub was not made ready. */
function advised({ message }: Error): string {
  const unprepared = /stream not found|STREAM\.CREATE/.test(message);
  return unprepared
    ? `${message}: prepare the hub once, by a gateway with prepare = true and a user that may make streams`
    : message;
}

/** Checked: whoever writes at the hub may be anybody with its rights. */
function desiredOf(text: string): Desired | undefined {
  try {
    const { package: name, digest } = JSON.parse(text) as Record<string, unknown>;
    const hash = /^[0-9a-f]{64}$/;
    return typeof name === "string" &&
      hash.test(name) &&
      typeof digest === "string" &&
      hash.test(digest)
      ? { package: name, digest }
      : undefined;
  } catch {
    return undefined;
  }
}
