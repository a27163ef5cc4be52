// The outbox: what has to reach others is written down first, and tried until it is taken or a day has passed.
import type { Store } from "./sqlite/store.ts";

/** Delivers a message to one channel; throws where it was not taken. */
export type Deliver = (body: string, id: number) => Promise<void>;

interface Row {
  id: number;
  channel: string;
  body: string;
  attempts: number;
  due: number;
}

const firstPause = 1_000;
const longestPause = 600_000;
const longest = 86_400_000;
/** Messages that wait for one channel at most; the oldest go. */
const mostWaiting = 10_000;

export class Outbox {
  readonly #store: Store;
  readonly #channels: ReadonlyMap<string, Deliver>;
  readonly #underway = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  delivered = 0;
  failed = 0;
  givenUp = 0;

  constructor(store: Store, channels: ReadonlyMap<string, Deliver>) {
    this.#store = store;
    this.#channels = channels;
    this.#soon(0);
  }

  /** Writes a message down for every channel. */
  put(body: string): void {
    const { database } = this.#store;
    for (const channel of this.#channels.keys()) {
      database
        .prepare("INSERT INTO outbox (channel, body, attempts, due) VALUES (?, ?, 0, ?)")
        .run(channel, body, Date.now());
      this.givenUp += database
        .prepare(
          "DELETE FROM outbox WHERE channel = @channel AND id <= (SELECT id FROM outbox WHERE channel = @channel ORDER BY id DESC LIMIT 1 OFFSET @most)",
        )
        .run({ channel, most: mostWaiting }).changes;
    }
    this.#soon(0);
  }

  waiting(): number {
    const row = this.#store.database.prepare("SELECT count(*) AS n FROM outbox").get() as {
      n: number;
    };
    return row.n;
  }

  #soon(pause: number): void {
    if (this.#stopped) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#look(), pause);
  }

  /** One message a channel at a time, in their order: a channel that fails holds up no other. */
  #look(): void {
    const now = Date.now();
    for (const [channel, deliver] of this.#channels) {
      if (this.#underway.has(channel)) continue;
      const row = this.#store.database
        .prepare("SELECT * FROM outbox WHERE channel = ? ORDER BY id LIMIT 1")
        .get(channel) as Row | undefined;
      if (row === undefined) continue;
      // Due later than anything is ever put off: the clock was put back, and the message would wait for as long.
      if (row.due > now && row.due <= now + 2 * longestPause) continue;
      this.#underway.add(channel);
      void this.#try(row, deliver)
        // A disk that takes nothing: the message is still there, and is tried again.
        .catch(() => {})
        .finally(() => {
          this.#underway.delete(channel);
          this.#soon(50);
        });
    }
    const next = this.#store.database.prepare("SELECT min(due) AS due FROM outbox").get() as {
      due: number | null;
    };
    if (next.due !== null) this.#soon(Math.min(longestPause, Math.max(250, next.due - now)));
  }

  async #try({ id, body, attempts }: Row, deliver: Deliver): Promise<void> {
    let taken = false;
    try {
      await deliver(body, id);
      taken = true;
      this.delivered++;
    } catch {
      this.failed++;
    }
    if (this.#stopped) return;
    const pause = Math.min(firstPause * 2 ** attempts, longestPause) * (0.75 + Math.random() / 2);
    const old = attempts > longest / longestPause;
    if (old && !taken) this.givenUp++;
    const { database } = this.#store;
    if (taken || old) database.prepare("DELETE FROM outbox WHERE id = ?").run(id);
    else
      database
        .prepare("UPDATE outbox SET attempts = ?, due = ? WHERE id = ?")
        .run(attempts + 1, Math.round(Date.now() + pause), id);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }
}
