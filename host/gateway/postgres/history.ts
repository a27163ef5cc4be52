// History in PostgreSQL, for those who have one: the same interface, one table of values, steps computed when they are asked for.
import type { Pool } from "pg";
import {
  resolutions,
  type History,
  type HistoryState,
  type Point,
  type Query,
  type Row,
  type Series,
} from "../history.ts";
import { clock, type Clock } from "../trust.ts";
import { openPool, putSamples, putSeries, schema, Sweeper } from "./rows.ts";

const gatherMs = 200;
const mostWaiting = 100_000;
const mostAtOnce = 2_000;

export interface PostgresOptions {
  onTrouble?: (text: string | undefined) => void;
  /** Milliseconds that values are kept. */
  retention?: number;
  clock?: Clock;
}

/** How often a gateway says that it looks, and how long its word counts. */
const lookingMs = 20_000;
const believedSeconds = 60;

export class PostgresHistory implements History {
  readonly #pool: Pool;
  readonly #onTrouble: (text: string | undefined) => void;
  readonly #sweeper: Sweeper;
  #waiting: Row[] = [];
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #written = 0;
  #lost = 0;
  #trouble: string | undefined;
  /** Rows that may be there or not: an answer that was lost says nothing of what was done. */
  #doubted: Row[] | undefined;
  /** Rows that went from the front while some were being written. */
  #moved = 0;
  /** Who writes, and the series that the database knows it writes. */
  #gateway: string | undefined;
  readonly #mine = new Set<string>();
  #looking: NodeJS.Timeout | undefined;

  private constructor(pool: Pool, options: Required<PostgresOptions>, sweeper: Sweeper) {
    this.#pool = pool;
    this.#onTrouble = options.onTrouble;
    this.#sweeper = sweeper;
  }

  static async open(url: string, given: PostgresOptions = {}): Promise<PostgresHistory> {
    const options = { retention: 90 * 86_400_000, onTrouble: () => {}, clock, ...given };
    const pool = await openPool(url);
    try {
      await pool.query(schema);
      const sweeper = await Sweeper.open(pool, options);
      return new PostgresHistory(pool, options, sweeper);
    } catch (error) {
      await pool.end();
      throw error;
    }
  }

  async resume(gateway: string): Promise<void> {
    this.#gateway = gateway;
    await this.#look();
    await this.#pool.query(
      `INSERT INTO wasmote_sample SELECT s.id, last.t + 1, NULL FROM wasmote_series s
         CROSS JOIN LATERAL (SELECT t, v FROM wasmote_sample WHERE series = s.id ORDER BY t DESC LIMIT 1) last
         WHERE (last.v IS NOT NULL OR EXISTS (SELECT FROM wasmote_told WHERE series = s.id AND t = last.t))
           AND NOT EXISTS (SELECT FROM wasmote_writer w JOIN wasmote_gateway g ON g.id = w.gateway
             WHERE w.series = s.id AND g.id <> $1 AND g.seen > now() - make_interval(secs => $2))
         ON CONFLICT DO NOTHING`,
      [gateway, believedSeconds],
    );
    this.#looking = setInterval(() => void this.#look().catch(() => {}), lookingMs);
    this.#looking.unref();
  }

  /** Says that this gateway looks just now. */
  async #look(): Promise<void> {
    await this.#pool.query(
      "INSERT INTO wasmote_gateway VALUES ($1, now()) ON CONFLICT (id) DO UPDATE SET seen = excluded.seen",
      [this.#gateway],
    );
  }

  /** Which series this gateway writes, told once for each. */
  async #claim(rows: readonly Row[]): Promise<void> {
    if (this.#gateway === undefined) return;
    const keyOfSeries = ({ node, resource }: Row) => JSON.stringify([node, resource]);
    const fresh = rows.filter((row) => !this.#mine.has(keyOfSeries(row)));
    if (fresh.length === 0) return;
    await this.#pool.query(
      `INSERT INTO wasmote_writer SELECT DISTINCT s.id, $3 FROM unnest($1::text[], $2::text[]) AS r(node, resource)
         JOIN wasmote_series s ON s.node = r.node AND s.resource = r.resource ON CONFLICT DO NOTHING`,
      [fresh.map(({ node }) => node), fresh.map(({ resource }) => resource), this.#gateway],
    );
    for (const row of fresh) this.#mine.add(keyOfSeries(row));
  }

  append(row: Row): void {
    if (this.#waiting.length >= mostWaiting) {
      this.#waiting.shift();
      // What is under way has moved along.
      this.#moved++;
      this.#lost++;
    }
    this.#waiting.push(row);
    this.#timer ??= setTimeout(
      () => void this.flush(),
      this.#trouble === undefined ? gatherMs : 2_000,
    );
  }

  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writing ??= this.#write().finally(() => (this.#writing = undefined));
    await this.#writing;
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      // The same rows once more, and no others: among others they would go to other places, and be there twice.
      const again = this.#doubted !== undefined;
      const rows = (this.#doubted ??= this.#waiting.slice(0, mostAtOnce));
      if (!again) this.#moved = 0;
      try {
        await this.#sweeper.sweep();
        await this.#insert(rows, again);
      } catch (error) {
        this.#say((error as Error).message);
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => void this.flush(), 2_000);
        return;
      }
      this.#doubted = undefined;
      this.#waiting.splice(0, Math.max(0, rows.length - this.#moved));
      this.#written += rows.length;
      this.#say(undefined);
    }
  }

  async #insert(rows: readonly Row[], again: boolean): Promise<void> {
    await putSeries(this.#pool, rows);
    await this.#claim(rows);
    await putSamples(this.#pool, rows, again);
  }

  #say(trouble: string | undefined): void {
    const news = (trouble === undefined) !== (this.#trouble === undefined);
    this.#trouble = trouble;
    if (news) this.#onTrouble(trouble);
  }

  async query({ node, resource, from, to, resolution, limit }: Query): Promise<Point[]> {
    const step = resolutions[resolution];
    const where =
      "FROM wasmote_sample JOIN wasmote_series s ON s.id = series WHERE s.node = $1 AND s.resource = $2 AND t >= $3 AND t < $4";
    const text =
      step === 0
        ? `SELECT t::float8 AS time, v AS value, text ${where.replace(" WHERE", " LEFT JOIN wasmote_told USING (series, t) WHERE")} ORDER BY t LIMIT $5`
        : `SELECT (t / ${step} * ${step})::float8 AS time, avg(v) AS value, count(v)::int AS n, min(v) AS min, max(v) AS max, sum(v) AS sum,
             (array_agg(v ORDER BY t DESC))[1] AS last ${where} AND v IS NOT NULL GROUP BY 1 ORDER BY 1 LIMIT $5`;
    const { rows } = await this.#pool.query(text, [node, resource, from, to, limit]);
    return (rows as (Point & { text?: string | null })[]).map(({ text, ...point }) =>
      typeof text === "string" ? { ...point, text } : point,
    );
  }

  async series(): Promise<Series[]> {
    const { rows } = await this.#pool.query(
      "SELECT node, resource FROM wasmote_series ORDER BY node, resource",
    );
    return rows as Series[];
  }

  state(): HistoryState {
    return {
      waiting: this.#waiting.length,
      written: this.#written,
      lost: this.#lost,
      bytes: 0,
      trouble: this.#trouble,
    };
  }

  async close(): Promise<void> {
    await this.flush();
    clearTimeout(this.#timer);
    clearInterval(this.#looking);
    // Nobody has to wait until its last word is too old.
    if (this.#gateway !== undefined)
      await this.#pool
        .query("UPDATE wasmote_gateway SET seen = '-infinity' WHERE id = $1", [this.#gateway])
        .catch(() => {});
    await this.#pool.end();
  }
}
