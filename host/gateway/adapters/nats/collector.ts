// History of all gateways in PostgreSQL: what arrives in the stream of telemetry is written there, each value once. A pack of messages and the
// number of its last one are one transaction, so that whoever is killed, cut off or begun twice goes on behind what is there.
//
//   WM_TELEMETRY, wm.tel.GATEWAY ──▶ wasmote_sample, node GATEWAY/NODE; wasmote_collected (stream, seq)
import {
  DeliverPolicy,
  jetstream,
  jetstreamManager,
  type Consumer,
  type ConsumerMessages,
  type JsMsg,
} from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { setTimeout as delay } from "node:timers/promises";
import type { Pool, PoolClient } from "pg";
import type { Row } from "../../history.ts";
import type { NatsConfig } from "../../config.ts";
import { openPool, putSamples, putSeries, schema, Sweeper } from "../../postgres/rows.ts";
import { connectTo } from "./link.ts";
import { collectorOf, telemetryOf, telemetryStream } from "./names.ts";

export interface CollectorOptions {
  /** The connection to the hub, whichever is open. */
  open: () => Promise<NatsConnection>;
  /** The database. */
  pool: Pool;
  /** Told what is worth a line. */
  say: (text: string) => void;
  /** Messages of one transaction at most. */
  atOnce?: number;
  /** Milliseconds that values are kept. */
  retention?: number;
  /** Milliseconds between two attempts at most. */
  longestPause?: number;
}

const gatherMs = 200;
const shortestPause = 250;
/** Values of one message, characters of a name, and of a text: what a gateway sends beyond them is not of ours. */
const mostValues = 1_000;
const longestName = 256;
const longestText = 4_096;
/** The last moment that has a date (ECMA-262 §21.4.1.1). */
const latest = 8.64e15;

/** Somebody else has written meanwhile: what he wrote is not written again. */
class Overtaken extends Error {
  constructor() {
    super("another collector writes the same stream");
  }
}

export class Collector {
  readonly #options: Required<CollectorOptions>;
  readonly #stopping = new AbortController();
  readonly #running: Promise<void>;
  #messages: ConsumerMessages | undefined;
  #said: string | undefined;
  #sweeper: Sweeper | undefined;
  /** Values that were written, messages that are none of a gateway's, and messages that the hub removed before they were collected. */
  written = 0;
  rejected = 0;
  missed = 0;

  constructor(options: CollectorOptions) {
    this.#options = {
      atOnce: 200,
      retention: Infinity,
      longestPause: 15_000,
      ...options,
    };
    this.#running = this.#run();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    let pause = shortestPause;
    while (!signal.aborted) {
      const before = this.written;
      try {
        await this.#collect();
      } catch (error) {
        if (!signal.aborted) this.#say((error as Error).message);
      }
      pause =
        this.written > before ? shortestPause : Math.min(pause * 2, this.#options.longestPause);
      await delay(pause * (0.75 + Math.random() / 2), undefined, { signal }).catch(() => {});
    }
  }

  #say(text: string | undefined): void {
    if (text !== undefined && text !== this.#said) this.#options.say(`collector: ${text}`);
    this.#said = text;
  }

  /** From what the database has to the end, and what comes from then on; returns or throws where the hub or the database is lost. */
  async #collect(): Promise<void> {
    const { open, pool, retention } = this.#options;
    await pool.query(schema);
    if (Number.isFinite(retention)) this.#sweeper ??= await Sweeper.open(pool, { retention });
    const connection = await open();
    const { config, created } = await (
      await jetstreamManager(connection, { checkAPI: false, timeout: 5_000 })
    ).streams.info(telemetryStream);
    // A stream that was made anew counts from one again.
    const stream = `${config.name} ${created}`;
    const { rows } = await pool.query<{ seq: number }>(
      "SELECT seq::float8 FROM wasmote_collected WHERE stream = $1",
      [stream],
    );
    const from = rows[0]?.seq ?? 0;
    const consumer = await jetstream(connection, { timeout: 5_000 }).consumers.get(
      telemetryStream,
      {
        deliver_policy: DeliverPolicy.StartSequence,
        opt_start_seq: from + 1,
      },
    );
    await this.#follow(consumer, stream, from);
  }

  async #follow(consumer: Consumer, stream: string, from: number): Promise<void> {
    const { atOnce } = this.#options;
    const messages = await consumer.consume({ max_messages: atOnce, idle_heartbeat: 2_000 });
    this.#messages = messages;
    if (this.#stopping.signal.aborted) messages.stop();
    let seq = from;
    let pack: JsMsg[] = [];
    let failed: Error | undefined;
    let timer: NodeJS.Timeout | undefined;
    let writing: Promise<void> = Promise.resolve();
    const write = () => {
      clearTimeout(timer);
      timer = undefined;
      const taken = pack;
      pack = [];
      writing = writing.then(async () => {
        if (failed !== undefined || taken.length === 0) return;
        await this.#sweeper?.sweep();
        await this.#write(taken, stream, seq);
        seq = taken.at(-1)!.seq;
        this.#say(undefined);
      });
      writing = writing.catch((error: unknown) => {
        failed ??= error as Error;
        messages.stop();
      });
      return writing;
    };
    try {
      for await (const message of messages) {
        pack.push(message);
        // The database says how fast it goes.
        if (pack.length >= atOnce) await write();
        else timer ??= setTimeout(() => void write(), gatherMs);
      }
      await write();
    } finally {
      clearTimeout(timer);
      messages.stop();
      await writing;
      this.#messages = undefined;
    }
    if (failed !== undefined) throw failed;
  }

  /** One transaction: the values, and how far the stream is written. */
  async #write(messages: readonly JsMsg[], stream: string, before: number): Promise<void> {
    const last = messages.at(-1)!.seq;
    const parsed = messages.map((message) => rowsOf(message));
    const rows = parsed.flatMap((one) => one ?? []);
    const client = await this.#options.pool.connect();
    // A connection that breaks between two of its queries says so to whoever listens, else to the whole process.
    const heard = () => {};
    client.on("error", heard);
    let broken: Error | undefined;
    try {
      await client.query("BEGIN");
      await advance(client, stream, before, last);
      await putSeries(client, rows);
      await putSamples(client, rows, false);
      await client.query("COMMIT");
    } catch (error) {
      broken = error as Error;
      await client.query("ROLLBACK").then(
        () => (broken = undefined),
        () => {},
      );
      throw error;
    } finally {
      client.off("error", heard);
      client.release(broken);
    }
    this.written += rows.length;
    this.rejected += parsed.filter((one) => one === undefined).length;
    this.#count(messages, before);
  }

  /** Numbers that are missing in the stream were removed there before they were read here. */
  #count(messages: readonly JsMsg[], before: number): void {
    const gone = messages.at(-1)!.seq - before - messages.length;
    if (gone <= 0) return;
    this.missed += gone;
    this.#options.say(`collector: ${gone} messages were no longer at the hub`);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#messages?.stop();
    await this.#running;
  }
}

/** A collector with connections of its own to the hub and to the database. */
export async function startCollector(
  nats: NatsConfig,
  { postgres, user, password }: { postgres: string } & Pick<NatsConfig, "user" | "password">,
  { retention, say }: Pick<CollectorOptions, "retention" | "say">,
): Promise<{ collector: Collector; stop: () => Promise<void> }> {
  const pool = await openPool(postgres);
  const place = user === undefined ? nats : { ...nats, user, password };
  let opening: Promise<NatsConnection> | undefined;
  const open = async () => {
    const connection = await (opening ??= connectTo(place, collectorOf(nats.gateway))).catch(
      (error: unknown) => {
        opening = undefined;
        throw error;
      },
    );
    if (!connection.isClosed()) return connection;
    opening = undefined;
    return open();
  };
  const kept = retention === undefined ? {} : { retention };
  const collector = new Collector({ open, pool, say, ...kept });
  const stop = async () => {
    const connection = await opening?.catch(() => undefined);
    const stopping = collector.stop();
    await connection?.close().catch(() => {});
    await stopping;
    await pool.end();
  };
  return { collector, stop };
}

/** Moves the mark of what is written; fails where it is not where it was. */
async function advance(
  client: PoolClient,
  stream: string,
  before: number,
  last: number,
): Promise<void> {
  // The mark of a stream that is begun: two that begin it at the same time wait for each other at its key.
  if (before === 0)
    await client.query("INSERT INTO wasmote_collected VALUES ($1, 0) ON CONFLICT DO NOTHING", [
      stream,
    ]);
  const { rowCount } = await client.query(
    "UPDATE wasmote_collected SET seq = $3 WHERE stream = $1 AND seq = $2",
    [stream, before, last],
  );
  if (rowCount !== 1) throw new Overtaken();
}

/**
 * The values of one message, under the name of the gateway whose subject it is; undefined where it is no pack of values, or none of its values is
 * one. A bad one among good ones is left out: it is one node's, and the others' are no worse for it.
 */
export function rowsOf({ subject, data }: Pick<JsMsg, "subject" | "data">): Row[] | undefined {
  const gateway = subject.slice(telemetryOf("").length);
  let values: unknown;
  try {
    ({ values } = JSON.parse(new TextDecoder().decode(data)) as { values?: unknown });
  } catch {
    return undefined;
  }
  if (!Array.isArray(values) || values.length > mostValues) return undefined;
  const rows: Row[] = [];
  for (const one of values as (Record<string, unknown> | null)[]) {
    const { node, resource, time, value = null, text } = one ?? {};
    const good =
      isName(node) &&
      isName(resource) &&
      typeof time === "number" &&
      Math.abs(time) <= latest &&
      (value === null || typeof value === "number") &&
      (text === undefined || (typeof text === "string" && text.length <= longestText));
    if (!good) continue;
    rows.push({
      node: `${gateway}/${node}`,
      resource,
      time,
      value: value as number | null,
      ...(text === undefined ? {} : { text: text as string }),
    });
  }
  return rows.length === 0 && values.length > 0 ? undefined : rows;
}

function isName(text: unknown): text is string {
  return (
    typeof text === "string" &&
    text.length > 0 &&
    text.length <= longestName &&
    // Characters that a database or a terminal takes for something else.
    !/[\p{Cc}\p{Cs}]/u.test(text)
  );
}
