// Raw samples in SQLite, one file a week: forgetting a week is the removal of a file, which no database has to be cleaned up after.
import { readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Database, Statement } from "better-sqlite3";
import { openDatabase } from "./database.ts";

const week = 7 * 86_400_000;
/** Weeks that are kept open for reading and writing. */
const mostOpen = 8;

/** The number of the week a time is in, counted from 1970. */
export function weekOf(time: number): number {
  return Math.floor(time / week);
}

const fileOf = (number: number) => `raw-${String(number).padStart(5, "0")}.db`;

interface Open {
  database: Database;
  insert: Statement<[number, number, number | null]>;
  /** The text of a value that was inserted. */
  insertText: Statement<[number, number, string]>;
}

export class Raw {
  readonly #folder: string;
  readonly #open = new Map<number, Open>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The weeks there are, oldest first. */
  weeks(): number[] {
    return readdirSync(this.#folder)
      .flatMap((name) => /^raw-(\d+)\.db$/.exec(name)?.[1] ?? [])
      .map(Number)
      .toSorted((a, b) => a - b);
  }

  bytes(number: number): number {
    return ["", "-wal"].reduce((sum, end) => {
      const found = statSync(join(this.#folder, fileOf(number) + end), { throwIfNoEntry: false });
      return sum + (found?.size ?? 0);
    }, 0);
  }

  of(number: number): Open {
    const known = this.#open.get(number);
    if (known !== undefined) return known;
    if (this.#open.size >= mostOpen) {
      const [oldest, { database }] = [...this.#open].toSorted(([a], [b]) => a - b)[0]!;
      database.close();
      this.#open.delete(oldest);
    }
    const database = openDatabase(join(this.#folder, fileOf(number)));
    database.exec(
      `CREATE TABLE IF NOT EXISTS sample (series INTEGER NOT NULL, t INTEGER NOT NULL, v REAL,
        PRIMARY KEY (series, t)) WITHOUT ROWID, STRICT;
       CREATE TABLE IF NOT EXISTS told (series INTEGER NOT NULL, t INTEGER NOT NULL, text TEXT NOT NULL,
        PRIMARY KEY (series, t)) WITHOUT ROWID, STRICT`,
    );
    const insert = database.prepare<[number, number, number | null]>(
      "INSERT OR IGNORE INTO sample (series, t, v) VALUES (?, ?, ?)",
    );
    const insertText = database.prepare<[number, number, string]>(
      "INSERT OR REPLACE INTO told (series, t, text) VALUES (?, ?, ?)",
    );
    const opened = { database, insert, insertText };
    this.#open.set(number, opened);
    return opened;
  }

  forget(number: number): void {
    this.#open.get(number)?.database.close();
    this.#open.delete(number);
    for (const end of ["", "-wal", "-shm"])
      rmSync(join(this.#folder, fileOf(number) + end), { force: true });
  }

  close(): void {
    for (const { database } of this.#open.values()) database.close();
    this.#open.clear();
  }
}
