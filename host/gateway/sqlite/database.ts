// Opens a SQLite database as the gateway uses them all: killed at any moment, it is whole.
import { createRequire } from "node:module";
import type BetterSqlite from "better-sqlite3";
import { UserError } from "../../lib/errors.ts";

/** Loads better-sqlite3, which a platform without its binary or a compiler may be without. */
function load(): typeof BetterSqlite {
  try {
    return createRequire(import.meta.url)("better-sqlite3") as typeof BetterSqlite;
  } catch (cause) {
    throw new UserError(
      `SQLite cannot be loaded: ${(cause as Error).message.split("\n")[0]}`,
      "install it with `npm install better-sqlite3` (it needs its prebuilt binary or a C++ compiler)",
      "failed",
      { cause },
    );
  }
}

export function openDatabase(file: string): BetterSqlite.Database {
  const database = new (load())(file);
  // WAL with synchronous=NORMAL: a killed process loses nothing that was committed; a power cut at most the last commits, never the
  // database (sqlite.org/wal.html).
  database.pragma("journal_mode = WAL");
  database.pragma("synchronous = NORMAL");
  database.pragma("wal_autocheckpoint = 500");
  database.pragma("journal_size_limit = 4194304");
  database.pragma("busy_timeout = 2000");
  return database;
}
