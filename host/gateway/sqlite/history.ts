// History in SQLite: raw samples a file a week, steps of a minute and an hour in one file that stays.
//
// Values are gathered for 200 ms and written in one transaction a file: what a kill can cost is what came in since.
import { statSync } from "node:fs";
import { join } from "node:path";
import { makeFolder } from "../../lib/state.ts";
import type { Database, Statement } from "better-sqlite3";
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
import { openDatabase } from "./database.ts";
import { Raw, weekOf } from "./raw.ts";

export interface SqliteOptions {
  folder: string;
  /** Bytes that all files together may take; the oldest week goes first, the current one last. */
  quota?: number;
  /** Milliseconds that raw values are kept. */
  retention?: number;
  onTrouble?: (text: string | undefined) => void;
  clock?: Clock;
}

const gatherMs = 200;
const mostGathered = 1_000;
/** Values that wait while the disk takes none: about 10 MB. Beyond that the oldest go, and are counted. */
const mostWaiting = 100_000;
const steps = ["1m", "1h"] as const;
const hour = 3_600_000;
const day = 24 * hour;

const schema = `
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS series (id INTEGER PRIMARY KEY, node TEXT NOT NULL, resource TEXT NOT NULL, UNIQUE (node, resource)) STRICT;
${steps
  .map(
    (step) =>
      `CREATE TABLE IF NOT EXISTS rollup_${step} (series INTEGER NOT NULL, t INTEGER NOT NULL, n INTEGER NOT NULL, min REAL NOT NULL, max REAL NOT NULL,
  sum REAL NOT NULL, last REAL NOT NULL, PRIMARY KEY (series, t)) WITHOUT ROWID, STRICT;`,
  )
  .join("\n")}
`;

export class SqliteHistory implements History {
  readonly #options: Required<SqliteOptions>;
  readonly #main: Database;
  readonly #raw: Raw;
  readonly #ids = new Map<string, number>();
  readonly #newSeries: Statement<[string, string]>;
  readonly #rollup: Statement[];
  /** Milliseconds of a series that are known to be taken, from one on up to another: what comes at one of them is not tried at each. */
  readonly #runs = new Map<number, { from: number; to: number }>();
  #waiting: Row[] = [];
  /** Written raw, and not yet in the steps. */
  #owed: (Row & { series: number })[] = [];
  #timer: NodeJS.Timeout | undefined;
  #written = 0;
  #lost = 0;
  #trouble: string | undefined;
  #swept = -Infinity;
  readonly #trust: Trust;

  constructor(options: SqliteOptions) {
    this.#options = {
      quota: 10e9,
      retention: 90 * 86_400_000,
      onTrouble: () => {},
      clock,
      ...options,
    };
    makeFolder(options.folder);
    this.#main = openDatabase(join(options.folder, "history.db"));
    this.#main.exec(schema);
    this.#raw = new Raw(options.folder);
    for (const row of this.#main
      .prepare("SELECT id, node, resource FROM series")
      .all() as (Series & {
      id: number;
    })[])
      this.#ids.set(keyOf(row), row.id);
    this.#newSeries = this.#main.prepare("INSERT INTO series (node, resource) VALUES (?, ?)");
    this.#rollup = steps.map((step) =>
      this.#main.prepare(
        `INSERT INTO rollup_${step} (series, t, n, min, max, sum, last) VALUES (@series, @t, @n, @min, @max, @sum, @last)
         ON CONFLICT DO UPDATE SET n = n + excluded.n, min = min(min, excluded.min), max = max(max, excluded.max),
           sum = sum + excluded.sum, last = excluded.last`,
      ),
    );
    const before = this.#main.prepare("SELECT value FROM meta WHERE key = 'clock'").pluck().get();
    this.#trust = new Trust(this.#options.clock, typeof before === "number" ? before : undefined);
    this.#mend();
  }

  /** Its folder is one gateway's: whoever wrote last has ended. */
  resume(): Promise<void> {
    const open = new Set(this.#ids.values());
    for (const week of this.#raw.weeks().toReversed().slice(0, 2)) {
      const { database, insert } = this.#raw.of(week);
      const last = database.prepare<[number], { t: number; v: number | null; text: string | null }>(
        "SELECT t, v, text FROM sample LEFT JOIN told USING (series, t) WHERE series = ? ORDER BY t DESC LIMIT 1",
      );
      try {
        database.transaction(() => {
          for (const series of open) {
            const found = last.get(series);
            if (found === undefined) continue;
            open.delete(series);
            if (found.v !== null || found.text !== null) insert.run(series, found.t + 1, null);
          }
        })();
      } catch {
        // A full disk: the gateway says so with the first value that it does not take.
      }
    }
    return Promise.resolve();
  }

  /** The newest steps, anew from the raw values: a kill between the two files may have left some out. */
  #mend(): void {
    const first = Math.floor((this.#options.clock.now() - hour) / hour) * hour;
    const last = first + 3 * hour;
    for (const week of this.#raw.weeks()) {
      const from = Math.max(first, week * 7 * day);
      const to = Math.min(last, (week + 1) * 7 * day);
      if (from >= to) continue;
      // Series by series: samples are in the order of series and time, and a week may have billions.
      const read = this.#raw
        .of(week)
        .database.prepare<[number, number, number], { time: number; value: number | null }>(
          "SELECT t AS time, v AS value FROM sample WHERE series = ? AND t >= ? AND t < ? ORDER BY t",
        );
      const forget = steps.map((step) =>
        this.#main.prepare(`DELETE FROM rollup_${step} WHERE series = ? AND t >= ? AND t < ?`),
      );
      this.#main.transaction(() => {
        for (const series of this.#ids.values()) {
          for (const one of forget) one.run(series, from, to);
          const rows = read.all(series, from, to);
          this.#writeSteps(rows.map((row) => ({ ...row, series, node: "", resource: "" })));
        }
      })();
    }
  }

  append(row: Row): void {
    if (this.#waiting.length >= mostWaiting) {
      this.#waiting.shift();
      this.#lost++;
    }
    this.#waiting.push(row);
    if (this.#waiting.length >= mostGathered && this.#trouble === undefined) this.#write();
    else this.#timer ??= setTimeout(() => this.#write(), this.#trouble ? 2_000 : gatherMs);
  }

  #write(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#waiting.length === 0 && this.#owed.length === 0) return;
    try {
      this.#sweep();
      this.#writeRaw();
      this.#writeSteps(this.#owed);
      this.#owed = [];
      this.#say(undefined);
    } catch (error) {
      // SQLITE_FULL, SQLITE_IOERR: kept, and tried again.
      this.#runs.clear();
      this.#say((error as Error).message);
      this.#timer = setTimeout(() => this.#write(), 2_000);
    }
  }

  #say(trouble: string | undefined): void {
    const news = (trouble === undefined) !== (this.#trouble === undefined);
    this.#trouble = trouble;
    if (news) this.#options.onTrouble(trouble);
  }

  #id(row: Row): number {
    const key = keyOf(row);
    let id = this.#ids.get(key);
    if (id === undefined) {
      id = Number(this.#newSeries.run(row.node, row.resource).lastInsertRowid);
      this.#ids.set(key, id);
    }
    return id;
  }

  /** Writes what waits, one transaction a week; what is written waits no longer. */
  #writeRaw(): void {
    while (this.#waiting.length > 0) {
      const week = weekOf(this.#waiting[0]!.time);
      const some = this.#waiting.filter(({ time }) => weekOf(time) === week);
      const { database, insert, insertText } = this.#raw.of(week);
      const written: (Row & { series: number })[] = [];
      database.transaction(() => {
        for (const row of some) {
          const series = this.#id(row);
          // Two values of one millisecond are two values, also where a clock was put back.
          let { time } = row;
          const run = this.#runs.get(series);
          const within = run !== undefined && time >= run.from && time < run.to;
          if (within) time = run.to;
          while (insert.run(series, time, row.value).changes === 0) time++;
          if (row.text !== undefined) insertText.run(series, time, row.text);
          if (time > row.time)
            this.#runs.set(series, { from: within ? run.from : row.time, to: time + 1 });
          written.push({ ...row, time, series });
        }
      })();
      this.#waiting = this.#waiting.filter(({ time }) => weekOf(time) !== week);
      this.#written += written.length;
      this.#owed.push(...written);
    }
  }

  #writeSteps(rows: readonly (Row & { series: number })[]): void {
    this.#main.transaction(() => {
      steps.forEach((step, index) => {
        const length = resolutions[step];
        const sums = new Map<string, Record<string, number>>();
        for (const { series, time, value } of rows) {
          if (value === null) continue;
          const t = Math.floor(time / length) * length;
          const known = sums.get(`${series}/${t}`);
          if (known === undefined)
            sums.set(`${series}/${t}`, {
              series,
              t,
              n: 1,
              min: value,
              max: value,
              sum: value,
              last: value,
            });
          else {
            known["n"]!++;
            known["min"] = Math.min(known["min"]!, value);
            known["max"] = Math.max(known["max"]!, value);
            known["sum"]! += value;
            known["last"] = value;
          }
        }
        for (const sum of sums.values()) this.#rollup[index]!.run(sum);
      });
    })();
  }

  /** Once a minute: weeks that are too old go, and then, while there is too much, the oldest. */
  #sweep(): void {
    const { clock: used, retention } = this.#options;
    const [now, time] = [used.now(), used.steady()];
    if (time < this.#swept + 60_000 && this.#trouble === undefined) return;
    const trusted = this.#trust.look();
    this.#swept = time;
    const current = weekOf(now);
    if (trusted)
      for (const week of this.#raw.weeks())
        if ((week + 1) * 7 * day < now - retention) this.#raw.forget(week);
    // Also where the clock was put back: the week that is written goes last.
    const weeks = this.#raw.weeks().filter((week) => week !== current);
    while (weeks.length > 0 && this.#bytes() > this.#options.quota)
      this.#raw.forget(weeks.shift()!);
    // Last: a full disk takes this only once something has gone.
    this.#main.prepare("INSERT OR REPLACE INTO meta (key, value) VALUES ('clock', ?)").run(now);
  }

  #bytes(): number {
    const main = ["", "-wal"].map(
      (end) =>
        statSync(join(this.#options.folder, `history.db${end}`), { throwIfNoEntry: false })?.size ??
        0,
    );
    return [...main, ...this.#raw.weeks().map((week) => this.#raw.bytes(week))].reduce(
      (a, b) => a + b,
      0,
    );
  }

  query({ node, resource, from, to, resolution, limit }: Query): Promise<Point[]> {
    const series = this.#ids.get(keyOf({ node, resource }));
    if (series === undefined) return Promise.resolve([]);
    if (resolution !== "raw") {
      const rows = this.#main
        .prepare(
          `SELECT t AS time, sum / n AS value, n, min, max, sum, last FROM rollup_${resolution}
           WHERE series = ? AND t >= ? AND t < ? ORDER BY t LIMIT ?`,
        )
        .all(series, from, to, limit);
      return Promise.resolve(rows as Point[]);
    }
    const points: Point[] = [];
    for (const week of this.#raw.weeks()) {
      if (week < weekOf(from) || week > weekOf(to) || points.length >= limit) continue;
      const rows = this.#raw
        .of(week)
        .database.prepare(
          `SELECT t AS time, v AS value, text FROM sample LEFT JOIN told USING (series, t)
           WHERE series = ? AND t >= ? AND t < ? ORDER BY t LIMIT ?`,
        )
        .all(series, from, to, limit - points.length);
      for (const { text, ...point } of rows as (Point & { text: string | null })[])
        points.push(text === null ? point : { ...point, text });
    }
    return Promise.resolve(points);
  }

  series(): Promise<Series[]> {
    return Promise.resolve(
      this.#main
        .prepare("SELECT node, resource FROM series ORDER BY node, resource")
        .all() as Series[],
    );
  }

  flush(): Promise<void> {
    this.#write();
    return Promise.resolve();
  }

  state(): HistoryState {
    return {
      waiting: this.#waiting.length,
      written: this.#written,
      lost: this.#lost,
      bytes: this.#bytes(),
      trouble: this.#trouble,
    };
  }

  async close(): Promise<void> {
    await this.flush();
    clearTimeout(this.#timer);
    this.#raw.close();
    this.#main.close();
  }
}

const keyOf = ({ node, resource }: Series) => `${node}/${resource}`;
