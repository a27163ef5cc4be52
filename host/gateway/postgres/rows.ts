// Values as rows in PostgreSQL, for whoever writes there: a gateway, or the collector of many gateways' telemetry.
import type { ClientBase, Pool } from "pg";
import type { Row } from "../history.ts";
import { clock, Trust, type Clock } from "../trust.ts";

type Queries = Pick<ClientBase, "query"> | Pick<Pool, "query">;

// Two that begin at the same time do not make the same table: the second waits until the first has (an implicit transaction).
export const schema = `
SELECT pg_advisory_xact_lock(hashtext('wasmote'));
CREATE TABLE IF NOT EXISTS wasmote_series (id SERIAL PRIMARY KEY, node TEXT NOT NULL, resource TEXT NOT NULL, UNIQUE (node, resource));
CREATE TABLE IF NOT EXISTS wasmote_meta (key TEXT PRIMARY KEY, value BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS wasmote_sample (series INTEGER NOT NULL REFERENCES wasmote_series, t BIGINT NOT NULL, v DOUBLE PRECISION, PRIMARY KEY (series, t));
CREATE TABLE IF NOT EXISTS wasmote_told (series INTEGER NOT NULL REFERENCES wasmote_series, t BIGINT NOT NULL, text TEXT NOT NULL, PRIMARY KEY (series, t));
CREATE TABLE IF NOT EXISTS wasmote_gateway (id TEXT PRIMARY KEY, seen TIMESTAMPTZ NOT NULL);
CREATE TABLE IF NOT EXISTS wasmote_writer (series INTEGER NOT NULL REFERENCES wasmote_series, gateway TEXT NOT NULL REFERENCES wasmote_gateway, PRIMARY KEY (series, gateway));
CREATE TABLE IF NOT EXISTS wasmote_collected (stream TEXT PRIMARY KEY, seq BIGINT NOT NULL);
`;

const keyOf = ({ node, resource, time }: Row) => `${time} ${node}/${resource}`;

/** Makes the series of these rows where they are missing. */
export async function putSeries(queries: Queries, rows: readonly Row[]): Promise<void> {
  await queries.query(
    "INSERT INTO wasmote_series (node, resource) SELECT DISTINCT * FROM unnest($1::text[], $2::text[]) ORDER BY 1, 2 ON CONFLICT DO NOTHING",
    [rows.map(({ node }) => node), rows.map(({ resource }) => resource)],
  );
}

/**
 * Writes values, whose series are there. Two values of one millisecond are two values, also where a clock was put back: the later one goes to
 * the next that is free. `again` says that these very rows may be there already.
 */
export async function putSamples(
  queries: Queries,
  rows: readonly Row[],
  again: boolean,
): Promise<void> {
  const all = rows.map((row) => ({ ...row, time: Math.round(row.time) }));
  let left = all;
  const taken = new Set<string>();
  // In their order, each to a place that no other of them has.
  for (const row of left) {
    while (taken.has(keyOf(row))) row.time++;
    taken.add(keyOf(row));
  }
  while (left.length > 0) {
    const { rows: refused } = await queries.query(
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
    await queries.query(
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

/** Removes what is too old, once an hour, where the clock may be believed. */
export class Sweeper {
  readonly #pool: Pool;
  readonly #clock: Clock;
  readonly #retention: number;
  readonly #trust: Trust;
  #swept = -Infinity;

  private constructor(pool: Pool, used: Clock, retention: number, before: number | undefined) {
    this.#pool = pool;
    this.#clock = used;
    this.#retention = retention;
    this.#trust = new Trust(used, before);
  }

  /** `retention` is in milliseconds. The tables are there. */
  static async open(
    pool: Pool,
    { retention, clock: used = clock }: { retention: number; clock?: Clock },
  ): Promise<Sweeper> {
    const { rows } = await pool.query<{ value: number }>(
      "SELECT value::float8 FROM wasmote_meta WHERE key = 'clock'",
    );
    return new Sweeper(pool, used, retention, rows[0]?.value);
  }

  async sweep(): Promise<void> {
    if (this.#clock.steady() < this.#swept + 3_600_000) return;
    this.#swept = this.#clock.steady();
    if (this.#trust.look())
      for (const table of ["wasmote_sample", "wasmote_told"])
        await this.#pool.query(`DELETE FROM ${table} WHERE t < $1`, [
          this.#clock.now() - this.#retention,
        ]);
    await this.#pool.query(
      "INSERT INTO wasmote_meta VALUES ('clock', $1) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
      [this.#clock.now()],
    );
  }
}

/** Connections to the database. */
export async function openPool(url: string): Promise<Pool> {
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
  return pool;
}
