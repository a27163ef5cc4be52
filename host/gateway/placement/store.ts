// What placements keep, in the gateway's database: their configuration, the days of their stations, and what was told of them.
import type { Database } from "better-sqlite3";
import type { NodeDay } from "../../flood/days.ts";
import type { Place } from "../../flood/place.ts";
import type {
  LedgerState,
  Measured,
  PlacementStore,
  Sources,
  StoredDay,
} from "../../flood/placement.ts";

export interface PlacementConfig {
  name: string;
  sources: Sources;
  place: Place;
  parameters: Record<string, number>;
  /** The second gateway that is the cloud. */
  cloud?: { url: string; token?: string | undefined } | undefined;
}

const schema = `
CREATE TABLE IF NOT EXISTS placement (name TEXT PRIMARY KEY, config TEXT NOT NULL, package BLOB NOT NULL,
  next INTEGER, alarm INTEGER NOT NULL DEFAULT 0, repeated INTEGER NOT NULL DEFAULT 0, missed INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE IF NOT EXISTS placement_day (name TEXT NOT NULL, day INTEGER NOT NULL, level REAL, rain REAL, danger REAL, alarm INTEGER,
  decided INTEGER, decided_danger REAL, decided_at TEXT,
  PRIMARY KEY (name, day)) STRICT, WITHOUT ROWID;
`;

interface DayRow {
  day: number;
  level: number | null;
  rain: number | null;
  danger: number | null;
  alarm: number | null;
}

export class PlacementsStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
    database.exec(schema);
  }

  all(): { config: PlacementConfig; package: Uint8Array }[] {
    const rows = this.#database.prepare("SELECT config, package FROM placement").all() as {
      config: string;
      package: Uint8Array;
    }[];
    return rows.map((row) => ({
      config: JSON.parse(row.config) as PlacementConfig,
      package: new Uint8Array(row.package),
    }));
  }

  /** Keeps a placement; days and what was told stay where there was one of the name. */
  keep(config: PlacementConfig, bytes: Uint8Array): void {
    this.#database
      .prepare(
        "INSERT INTO placement (name, config, package) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET config = excluded.config, package = excluded.package",
      )
      .run(config.name, JSON.stringify(config), Buffer.from(bytes));
  }

  move(config: PlacementConfig): void {
    this.#database
      .prepare("UPDATE placement SET config = ? WHERE name = ?")
      .run(JSON.stringify(config), config.name);
  }

  remove(name: string): void {
    this.#database.transaction(() => {
      this.#database.prepare("DELETE FROM placement WHERE name = ?").run(name);
      this.#database.prepare("DELETE FROM placement_day WHERE name = ?").run(name);
    })();
  }

  /** What was decided of each day. */
  decisions(name: string): { day: number; alarm: boolean; at: Place }[] {
    const rows = this.#database
      .prepare(
        "SELECT day, decided, decided_at FROM placement_day WHERE name = ? AND decided IS NOT NULL ORDER BY day",
      )
      .all(name) as { day: number; decided: number; decided_at: Place }[];
    return rows.map(({ day, decided, decided_at: at }) => ({ day, alarm: decided === 1, at }));
  }

  /** Days of one placement, and its ledger. */
  of(name: string): PlacementStore {
    const database = this.#database;
    return {
      days: (from) =>
        (
          database
            .prepare("SELECT * FROM placement_day WHERE name = ? AND day >= ? ORDER BY day")
            .all(name, from) as DayRow[]
        ).map(({ day, level, rain, danger, alarm }): StoredDay => ({
          day,
          level,
          rain,
          danger,
          alarm: alarm === null ? null : alarm === 1,
        })),
      newest: (measured) => {
        const row = database
          .prepare(
            `SELECT max(day) AS day FROM placement_day WHERE name = ? AND ${measured} IS NOT NULL`,
          )
          .get(name) as { day: number | null };
        return row.day ?? undefined;
      },
      put: (measured, days, own) => put(database, name, measured, days, own),
      ledger: () => {
        const row = database
          .prepare("SELECT next, alarm, repeated, missed FROM placement WHERE name = ?")
          .get(name) as
          | { next: number | null; alarm: number; repeated: number; missed: number }
          | undefined;
        const { next = null, alarm = 0, repeated = 0, missed = 0 } = row ?? {};
        return { next: next ?? undefined, on: alarm === 1, repeated, missed };
      },
      decided: ({ day, danger, alarm }, at) =>
        void database
          .prepare(
            "UPDATE placement_day SET decided = ?, decided_danger = ?, decided_at = ? WHERE name = ? AND day = ?",
          )
          .run(alarm ? 1 : 0, Number.isFinite(danger) ? danger : null, at, name, day),
      keepLedger: ({ next, on, repeated, missed }: LedgerState) =>
        void database
          .prepare(
            "UPDATE placement SET next = ?, alarm = ?, repeated = ?, missed = ? WHERE name = ?",
          )
          .run(next ?? null, on ? 1 : 0, repeated, missed, name),
      whole: (work) => database.transaction(work)(),
    };
  }
}

/** What is known of a day stays; SQLite has no NaN, which is what was not measured. */
function put(
  database: Database,
  name: string,
  measured: readonly Measured[],
  days: readonly NodeDay[],
  own: boolean,
): void {
  const insert = database.prepare(
    `INSERT INTO placement_day (name, day, level, rain, danger, alarm) VALUES (@name, @day, @level, @rain, @danger, @alarm)
     ON CONFLICT (name, day) DO UPDATE SET level = coalesce(level, excluded.level), rain = coalesce(rain, excluded.rain),
     danger = coalesce(danger, excluded.danger), alarm = coalesce(alarm, excluded.alarm)`,
  );
  const value = (one: number, wanted: boolean) => (wanted && Number.isFinite(one) ? one : null);
  database.transaction(() => {
    for (const { day, level, rain, danger, alarm } of days)
      insert.run({
        name,
        day,
        level: value(level, measured.includes("level")),
        rain: value(rain, measured.includes("rain")),
        danger: value(danger, own && alarm !== undefined),
        alarm: own && alarm !== undefined ? Number(alarm) : null,
      });
  })();
}
