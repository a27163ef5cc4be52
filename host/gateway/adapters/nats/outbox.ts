// Telemetry to the hub: values are written down first, in packs, and sent in their order until the hub has them, each once.
//
//   hub.view ──▶ pack (200 ms) ──▶ nats_outbox (SQLite) ──▶ wm.tel.GATEWAY, Nats-Msg-Id GATEWAY:EPOCH:SEQ
//
// JetStream forgets which messages it has had after two minutes. A gateway that was cut off for longer between a message and its
// acknowledgement cannot tell by that whether it arrived: each message therefore says which one has to be the last of this gateway's, and
// where the hub refuses it for that, the hub is asked which one it has.
import { randomBytes } from "node:crypto";
import type { Database } from "better-sqlite3";
import type { Envelope } from "../../envelope.ts";

/** One value in a pack. */
export type Sent = Pick<Envelope, "node" | "resource" | "time" | "value" | "text">;

/** The newest message of this gateway's at the hub. */
export interface Newest {
  /** Its number in the stream; 0 where there is none. */
  sequence: number;
  id: string | undefined;
}

/** The hub's half. */
export interface Telemetry {
  /** Resolves with the number in the stream; `undefined` where the last of this gateway's was another than `after`. */
  send(body: string, id: string, after: number): Promise<number | undefined>;
  newest(): Promise<Newest>;
}

const gatherMs = 200;
/** Bytes of one message at most: a server takes 1 MiB if nobody says otherwise, and one that it does not take would be in the way for ever. */
const mostBytes = 250_000;
/** Values of one message at most, and packs that wait at most: some days of a gateway that is busy. */
const mostInPack = 1_000;
const mostWaiting = 1_000_000;
const shortestPause = 250;

const schema = `
CREATE TABLE IF NOT EXISTS nats_outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS nats_state (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
`;

export class TelemetryOutbox {
  readonly #database: Database;
  readonly #gateway: string;
  readonly #epoch: string;
  readonly #onTrouble: (text: string) => void;
  /** Milliseconds after the first failure; each further one takes twice as long. */
  readonly #firstPause: number;
  #pack: Sent[] = [];
  #timer: NodeJS.Timeout | undefined;
  #wake: () => void = () => {};
  #stopped = false;
  #sending: Promise<void> | undefined;
  sent = 0;
  lost = 0;

  constructor(
    database: Database,
    gateway: string,
    onTrouble: (text: string) => void = () => {},
    firstPause = shortestPause,
  ) {
    this.#firstPause = firstPause;
    this.#database = database;
    this.#gateway = gateway;
    this.#onTrouble = onTrouble;
    database.exec(schema);
    // A folder that is begun anew counts from one again: its messages are others.
    database
      .prepare("INSERT OR IGNORE INTO nats_state (name, value) VALUES ('epoch', ?)")
      .run(randomBytes(6).toString("hex"));
    const row = database.prepare("SELECT value FROM nats_state WHERE name = 'epoch'").get();
    this.#epoch = (row as { value: string }).value;
  }

  take({ node, resource, time, value, text }: Envelope): void {
    const told = text === undefined ? {} : { text };
    this.#pack.push({ node, resource, time, value, ...told });
    if (this.#pack.length >= mostInPack) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), gatherMs);
  }

  /** Writes down what came; a disk that takes nothing keeps it waiting here, up to a limit. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#pack.length === 0) return;
    try {
      const insert = this.#database.prepare("INSERT INTO nats_outbox (body) VALUES (?)");
      for (let at = 0; at < this.#pack.length;) {
        const [body, next] = this.#message(at);
        if (body === undefined) this.lost++;
        else insert.run(body);
        at = next;
      }
      this.#pack = [];
      const { changes } = this.#database
        .prepare("DELETE FROM nats_outbox WHERE seq <= (SELECT max(seq) FROM nats_outbox) - ?")
        .run(mostWaiting);
      this.lost += changes;
      this.#wake();
    } catch (error) {
      this.#onTrouble((error as Error).message);
      const over = Math.max(0, this.#pack.length - 100 * mostInPack);
      this.#pack.splice(0, over);
      this.lost += over;
      if (!this.#stopped) this.#timer ??= setTimeout(() => this.flush(), 2_000);
    }
  }

  /** The values from a place on that one message has room for, and where the next begins; none for a value that is longer alone. */
  #message(from: number): [string | undefined, number] {
    const texts: string[] = [];
    let at = from;
    for (let length = 0; at < this.#pack.length && texts.length < mostInPack; at++) {
      const text = JSON.stringify(this.#pack[at]);
      length += Buffer.byteLength(text) + 1;
      if (length > mostBytes) break;
      texts.push(text);
    }
    return texts.length === 0 ? [undefined, from + 1] : [`{"values":[${texts.join(",")}]}`, at];
  }

  waiting(): number {
    const row = this.#database.prepare("SELECT count(*) AS n FROM nats_outbox").get();
    return (row as { n: number }).n;
  }

  /** Sends what waits and what comes, until it is stopped. */
  run(telemetry: Telemetry): void {
    this.#sending = this.#send(telemetry);
  }

  async #send(telemetry: Telemetry): Promise<void> {
    let after: number | undefined;
    let pause = this.#firstPause;
    while (!this.#stopped) {
      const row = this.#database
        .prepare("SELECT seq, body FROM nats_outbox ORDER BY seq LIMIT 1")
        .get() as { seq: number; body: string } | undefined;
      if (row === undefined) {
        await this.#pause(60_000);
        continue;
      }
      try {
        after ??= await this.#resume(telemetry);
        // Anew: what the hub has already is gone from the outbox now.
        if (!this.#has(row.seq)) continue;
        const made = await telemetry.send(row.body, this.#id(row.seq), after);
        if (made !== undefined) this.#taken(row.seq);
        after = made;
        pause = this.#firstPause;
      } catch (error) {
        // It may have arrived or not: the hub is asked before anything else is sent.
        after = undefined;
        this.#onTrouble((error as Error).message);
        await this.#pause(pause * (0.75 + Math.random() / 2));
        pause = Math.min(pause * 2, 60 * this.#firstPause);
      }
    }
  }

  /** Where the hub is: what it has of ours needs not be sent again. */
  async #resume(telemetry: Telemetry): Promise<number> {
    const { sequence, id } = await telemetry.newest();
    const [, epoch, seq] = id?.split(":") ?? [];
    if (epoch === this.#epoch && /^\d{1,15}$/.test(seq ?? "")) this.#taken(Number(seq));
    return sequence;
  }

  #id(seq: number): string {
    return `${this.#gateway}:${this.#epoch}:${seq}`;
  }

  #has(seq: number): boolean {
    return this.#database.prepare("SELECT 1 FROM nats_outbox WHERE seq = ?").get(seq) !== undefined;
  }

  #taken(seq: number): void {
    this.sent += this.#database.prepare("DELETE FROM nats_outbox WHERE seq <= ?").run(seq).changes;
  }

  #pause(milliseconds: number): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async stop(): Promise<void> {
    this.flush();
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#wake();
    await this.#sending;
  }
}
