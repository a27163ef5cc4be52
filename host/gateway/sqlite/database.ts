// Opens a SQLite database as the gateway uses them all: killed at any moment, it is whole.
import { createRequire } from "node:module";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
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
  try {
    return prepared(new (load())(file));
  } catch (error) {
    // SQLite says what is wrong, and not with which of the files.
    if (error instanceof Error && error.name === "SqliteError")
      error.message = `${file}: ${error.message}`;
    throw error;
  }
}

function prepared(database: BetterSqlite.Database): BetterSqlite.Database {
  // WAL with synchronous=NORMAL: a killed process loses nothing that was committed; a power cut at most the last commits, never the
  // database (sqlite.org/wal.html).
  database.pragma("journal_mode = WAL");
  database.pragma("synchronous = NORMAL");
  database.pragma("wal_autocheckpoint = 500");
  database.pragma("journal_size_limit = 4194304");
  database.pragma("busy_timeout = 2000");
  return database;
}

/** How long a gateway that ends may take to give its folder back, in milliseconds. */
const patience = 3_000;

/**
 * Takes a folder for one gateway; what is returned gives it back. Two of them would write every value twice, give the same numbers to different
 * ones, and send each alarm twice. It is a lock of the system's on a file: whoever is killed has given it back.
 */
export async function takeFolder(folder: string): Promise<() => void> {
  const database = new (load())(join(folder, "gateway.lock"), { timeout: 0 });
  for (const end = performance.now() + patience; ;)
    try {
      database.exec("BEGIN EXCLUSIVE");
      return () => void database.close();
    } catch (cause) {
      const { code } = cause as { code?: string };
      if (code === "SQLITE_BUSY" && performance.now() < end) await setTimeout(50);
      else {
        database.close();
        if (code !== "SQLITE_BUSY") throw cause;
        throw new UserError(
          `another gateway uses the folder ${folder}`,
          "end it, or name another folder with --data FOLDER",
          "failed",
          { cause },
        );
      }
    }
}
