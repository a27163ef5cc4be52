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

const gatherMs = 200;
const mostWaiting = 100_000;
const mostAtOnce = 2_000;

const schema = `
CREATE TABLE IF NOT EXISTS wasmote_series (id SERIAL PRIMARY KEY, node TEXT NOT NULL, resource TEXT NOT NULL, UNIQUE (node, resource));
CREATE TABLE IF NOT EXISTS wasmote_sample (series INTEGER NOT NULL REFERENCES wasmote_series, t BIGINT NOT NULL, v DOUBLE PRECISION, PRIMARY KEY (series, t));
`;

export class PostgresHistory implements History {
  readonly #pool: Pool;
  readonly #onTrouble: (text: string | undefined) => void;
  readonly #last = new Map<string, number>();
  #waiting: Row[] = [];
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #written = 0;
  #lost = 0;
  #trouble: string | undefined;

  private constructor(pool: Pool, onTrouble: (text: string | undefined) => void) {
    this.#pool = pool;
    this.#onTrouble = onTrouble;
    // A connection that breaks while nobody uses it.
    pool.on("error", () => {});
  }

  static async open(
    url: string,
    { onTrouble = () => {} }: { onTrouble?: (text: string | undefined) => void } = {},
  ): Promise<PostgresHistory> {
    const { default: pg } = await import("pg");
    const pool = new pg.Pool({ connectionString: url, max: 4, connectionTimeoutMillis: 10_000 });
    const history = new PostgresHistory(pool, onTrouble);
    try {
      await pool.query(schema);
    } catch (error) {
      await pool.end();
      throw error;
    }
    return history;
  }

  append(given: Row): void {
    const key = `${given.node}/${given.resource}`;
    const row = this.#last.get(key) === given.time ? { ...given, time: given.time + 1 } : given;
    this.#last.set(key, row.time);
    if (this.#waiting.length >= mostWaiting) {
      this.#waiting.shift();
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
      const columns = [rows.map(({ node }) => node), rows.map(({ resource }) => resource)];
      try {
        await this.#pool.query(
          "INSERT INTO wasmote_series (node, resource) SELECT DISTINCT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING",
          columns,
        );
        await this.#pool.query(
          `INSERT INTO wasmote_sample (series, t, v) SELECT s.id, r.t, r.v FROM unnest($1::text[], $2::text[], $3::bigint[], $4::float8[]) AS r(node, resource, t, v)
           JOIN wasmote_series s ON s.node = r.node AND s.resource = r.resource ON CONFLICT DO NOTHING`,
          [...columns, rows.map(({ time }) => time), rows.map(({ value }) => value)],
        );
      } catch (error) {
        this.#say((error as Error).message);
        this.#timer ??= setTimeout(() => void this.flush(), 2_000);
        return;
      }
      this.#waiting.splice(0, rows.length);
      this.#written += rows.length;
      this.#say(undefined);
    }
  }

  #say(trouble: string | undefined): void {
    if (trouble === this.#trouble) return;
    this.#trouble = trouble;
    this.#onTrouble(trouble);
  }

  async query({ node, resource, from, to, resolution, limit }: Query): Promise<Point[]> {
    const step = resolutions[resolution];
    const where =
      "FROM wasmote_sample JOIN wasmote_series s ON s.id = series WHERE s.node = $1 AND s.resource = $2 AND t >= $3 AND t < $4";
    const text =
      step === 0
        ? `SELECT t::float8 AS time, v AS value ${where} ORDER BY t LIMIT $5`
        : `SELECT (t / ${step} * ${step})::float8 AS time, avg(v) AS value, count(v)::int AS n, min(v) AS min, max(v) AS max, sum(v) AS sum,
             (array_agg(v ORDER BY t DESC))[1] AS last ${where} AND v IS NOT NULL GROUP BY 1 ORDER BY 1 LIMIT $5`;
    const { rows } = await this.#pool.query(text, [node, resource, from, to, limit]);
    return rows as Point[];
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
