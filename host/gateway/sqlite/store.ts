// The gateway's own state in one SQLite file: events, alarms, outbox, tokens, audit, registrations. Values are in history.ts beside it.
import { randomInt } from "node:crypto";
import { statSync } from "node:fs";
import { join } from "node:path";
import type { Database } from "better-sqlite3";
import { openDatabase } from "./database.ts";

/** Rows that each log keeps; older ones go. */
const longestLog = 100_000;

export interface EventRow {
  id: number;
  time: number;
  node: string;
  what: string;
  text: string;
}

export interface AuditRow {
  id: number;
  time: number;
  who: string;
  what: string;
  target: string;
  result: string;
}

const schema = `
CREATE TABLE IF NOT EXISTS event (id INTEGER PRIMARY KEY, time INTEGER NOT NULL, node TEXT NOT NULL, what TEXT NOT NULL, text TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS audit (id INTEGER PRIMARY KEY, time INTEGER NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL, target TEXT NOT NULL, result TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS token (name TEXT PRIMARY KEY, role TEXT NOT NULL, hash TEXT NOT NULL UNIQUE, created INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS alarm (id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS registration (location TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
`;

/** A message's number is never given again, also when all before it are delivered: who receives them knows by it what he has had. */
const outbox =
  "CREATE TABLE outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, channel TEXT NOT NULL, body TEXT NOT NULL, attempts INTEGER NOT NULL, due INTEGER NOT NULL) STRICT";

/** Makes the outbox, or one with numbers of its own of an older one. */
function openOutbox(database: Database): void {
  const found = database.prepare("SELECT sql FROM sqlite_master WHERE name = 'outbox'").get() as
    | { sql: string }
    | undefined;
  if (found?.sql.includes("AUTOINCREMENT")) return;
  database.transaction(() => {
    if (found !== undefined) database.exec("ALTER TABLE outbox RENAME TO outbox_before");
    database.exec(outbox);
    // Beyond every number that a gateway in this place, or one before it in another folder, gave.
    database
      .prepare("INSERT INTO sqlite_sequence (name, seq) VALUES ('outbox', ?)")
      .run(Date.now());
    if (found === undefined) return;
    database.exec(
      "INSERT INTO outbox (channel, body, attempts, due) SELECT channel, body, attempts, due FROM outbox_before ORDER BY id",
    );
    database.exec("DROP TABLE outbox_before");
  })();
}

const inodeOf = (file: string) => statSync(file, { throwIfNoEntry: false })?.ino;

export class Store {
  readonly database: Database;
  readonly #file: string;
  readonly #inode: number | undefined;

  constructor(folder: string) {
    this.#file = join(folder, "gateway.db");
    this.database = openDatabase(this.#file);
    this.#inode = inodeOf(this.#file);
    this.database.exec(schema);
    openOutbox(this.database);
  }

  /** Whether what is written can be found again: whoever removes or moves the folder takes it away from under the open files. */
  get isThere(): boolean {
    return inodeOf(this.#file) === this.#inode;
  }

  /** The first number of an envelope in this run: beyond all before it, also where the clock was put back. */
  firstNumber(now = Date.now()): number {
    const kept = this.database.prepare("SELECT value FROM meta WHERE key = 'number'").pluck().get();
    return Math.max(now * 1024, typeof kept === "number" ? kept : 0);
  }

  /** Numbers up to this one may be given out from here on. */
  reserve(upTo: number): void {
    this.database
      .prepare("INSERT OR REPLACE INTO meta (key, value) VALUES ('number', ?)")
      .run(upTo);
  }

  /** Who this gateway is in what several of them share: made once, and kept with its state. */
  identity(): string {
    const kept = this.database
      .prepare("SELECT value FROM meta WHERE key = 'identity'")
      .pluck()
      .get();
    if (typeof kept === "number") return String(kept);
    const made = randomInt(2 ** 47);
    try {
      this.database.prepare("INSERT INTO meta (key, value) VALUES ('identity', ?)").run(made);
    } catch {
      // A full disk: for this run only.
    }
    return String(made);
  }

  event(row: Omit<EventRow, "id">): void {
    this.#log(
      "INSERT INTO event (time, node, what, text) VALUES (@time, @node, @what, @text)",
      row,
      "event",
    );
  }

  events(limit: number, node?: string): EventRow[] {
    const where = node === undefined ? "" : "WHERE node = @node";
    return this.database
      .prepare(`SELECT * FROM event ${where} ORDER BY id DESC LIMIT @limit`)
      .all({ limit, ...(node === undefined ? {} : { node }) }) as EventRow[];
  }

  audit(row: Omit<AuditRow, "id">): void {
    this.#log(
      "INSERT INTO audit (time, who, what, target, result) VALUES (@time, @who, @what, @target, @result)",
      row,
      "audit",
    );
  }

  audits(limit: number): AuditRow[] {
    return this.database
      .prepare("SELECT * FROM audit ORDER BY id DESC LIMIT ?")
      .all(limit) as AuditRow[];
  }

  #log(sql: string, row: object, table: "event" | "audit"): void {
    const { lastInsertRowid } = this.database.prepare(sql).run(row);
    const last = Number(lastInsertRowid);
    if (last % 1000 === 0)
      this.database.prepare(`DELETE FROM ${table} WHERE id <= ?`).run(last - longestLog);
  }

  close(): void {
    this.database.close();
  }
}
