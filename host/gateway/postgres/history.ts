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
import { clock, Trust, type Clock } from "../trust.ts";

const gatherMs = 200;
const mostWaiting = 100_000;
const mostAtOnce = 2_000;

export interface PostgresOptions {
  onTrouble?: (text: string | undefined) => void;
  /** Milliseconds that values are kept. */
  retention?: number;
  clock?: Clock;
}

const keyOf = ({ node, resource, time }: Row) => `${time} ${node}/${resource}`;

const schema = `
CREATE TABLE IF NOT EXISTS wasmote_series (id SERIAL PRIMARY KEY, node TEXT NOT NULL, resource TEXT NOT NULL, UNIQUE (node, resource));
CREATE TABLE IF NOT EXISTS wasmote_meta (key TEXT PRIMARY KEY, value BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS wasmote_sample (series INTEGER NOT NULL REFERENCES wasmote_series, t BIGINT NOT NULL, v DOUBLE PRECISION, PRIMARY KEY (series, t));
CREATE TABLE IF NOT EXISTS wasmote_told (series INTEGER NOT NULL REFERENCES wasmote_series, t BIGINT NOT NULL, text TEXT NOT NULL, PRIMARY KEY (series, t));
`;

export class PostgresHistory implements History {
  readonly #pool: Pool;
  readonly #onTrouble: (text: string | undefined) => void;
  readonly #options: Required<PostgresOptions>;
  readonly #trust: Trust;
  #swept = -Infinity;
  #waiting: Row[] = [];
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #written = 0;
  #lost = 0;
  #trouble: string | undefined;
  #doubt = false;
  /** Rows that went from the front while some were being written. */
  #moved = 0;

  private constructor(pool: Pool, options: Required<PostgresOptions>, before: number | undefined) {
    this.#pool = pool;
    this.#options = options;
    this.#onTrouble = options.onTrouble;
    this.#trust = new Trust(options.clock, before);
  }

  static async open(url: string, given: PostgresOptions = {}): Promise<PostgresHistory> {
    const options = { retention: 90 * 86_400_000, onTrouble: () => {}, clock, ...given };
    const { default: pg } = await import("pg");
    const pool = new pg.Pool({
      connectionString: url,
      max: 4,
      connectionTimeoutMillis: 10_000,
      // A server that does not answer any more holds nothing up for good.
      query_timeout: 30_000,
    });
    // A connection that breaks while nobody uses it.
    pool.on("error", () => {});
    try {
      await pool.query(schema);
      const { rows } = await pool.query(
        "SELECT value::float8 FROM wasmote_meta WHERE key = 'clock'",
      );
      return new PostgresHistory(pool, options, (rows as { value: number }[])[0]?.value);
    } catch (error) {
      await pool.end();
      throw error;
    }
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
      const rows = this.#waiting.slice(0, mostAtOnce);
      this.#moved = 0;
      // Whether the rows may be there already: an answer that was lost says nothing of what was done.
      const again = this.#doubt;
      this.#doubt = true;
      try {
        await this.#sweep();
        await this.#insert(rows, again);
      } catch (error) {
        this.#say((error as Error).message);
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => void this.flush(), 2_000);
        return;
      }
      this.#doubt = false;
      this.#waiting.splice(0, Math.max(0, rows.length - this.#moved));
      this.#written += rows.length;
      this.#say(undefined);
    }
  }

  /** Two values of one millisecond are two values, also where a clock was put back: the later one goes to the next that is free. */
  async #insert(rows: readonly Row[], again: boolean): Promise<void> {
    await this.#pool.query(
      "INSERT INTO wasmote_series (node, resource) SELECT DISTINCT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING",
      [rows.map(({ node }) => node), rows.map(({ resource }) => resource)],
    );
    const all = rows.map((row) => ({ ...row, time: Math.round(row.time) }));
    let left = all;
    const taken = new Set<string>();
    // In their order, each to a place that no other of them has.
    for (const row of left) {
      while (taken.has(keyOf(row))) row.time++;
      taken.add(keyOf(row));
    }
    while (left.length > 0) {
      const { rows: refused } = await this.#pool.query(
        `WITH r AS (SELECT s.id, r.* FROM unnest($1::text[], $2::text[], $3::bigint[], $4::float8[]) AS r(node, resource, t, v)
           JOIN wasmote_series s ON s.node = r.node AND s.resource = r.resource),
         put AS (INSERT INTO wasmote_sample (series, t, v) SELECT id, t, v FROM r ON CONFLICT DO NOTHING RETURNING series, t)
         SELECT r.node, r.resource, r.t::float8 AS time FROM r
           LEFT JOIN put ON put.series = r.id AND put.t = r.t
           LEFT JOIN wasmote_sample old ON old.series = r.id AND old.t = r.t
           WHERE put.t IS NULL AND NOT ($5 AND old.v IS NOT DISTINCT FROM r.v)`,
        [
          left.map(({ node }) => node),
          left.map(({ resource }) => resource),
          left.map(({ time }) => time),
          left.map(({ value }) => value),
          again,
        ],
      );
      const keys = new Set((refused as Row[]).map(keyOf));
      left = left.filter((row) => keys.has(keyOf(row)));
      for (const row of left) {
        while (taken.has(keyOf(row))) row.time++;
        taken.add(keyOf(row));
      }
    }
    // PostgreSQL has no zero in a text.
    const told = all.flatMap((row) =>
      "text" in row ? [{ ...row, text: row.text!.replaceAll("\0", "") }] : [],
    );
    if (told.length > 0)
      await this.#pool.query(
        `INSERT INTO wasmote_told SELECT s.id, r.t, r.text FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[]) AS r(node, resource, t, text)
           JOIN wasmote_series s ON s.node = r.node AND s.resource = r.resource ON CONFLICT DO NOTHING`,
        [
          told.map(({ node }) => node),
          told.map(({ resource }) => resource),
          told.map(({ time }) => time),
          told.map(({ text }) => text),
        ],
      );
  }

  /** Once an hour: what is too old goes, where the clock may be believed. */
  async #sweep(): Promise<void> {
    const { clock: used, retention } = this.#options;
    if (used.steady() < this.#swept + 3_600_000) return;
    this.#swept = used.steady();
    if (this.#trust.look())
      for (const table of ["wasmote_sample", "wasmote_told"])
        await this.#pool.query(`DELETE FROM ${table} WHERE t < $1`, [used.now() - retention]);
    await this.#pool.query(
      "INSERT INTO wasmote_meta VALUES ('clock', $1) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
      [used.now()],
    );
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
    await this.#pool.end();
  }
}
