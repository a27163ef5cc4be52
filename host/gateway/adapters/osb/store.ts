// The broker's instances and bindings in gateway.db: each change is one transaction, so that a gateway that was killed goes on from the last one.
import type { Database } from "better-sqlite3";

export type Task = "create" | "update" | "delete";

/** The last thing that was asked of an instance or a binding. */
export interface Operation {
  id: string;
  task: Task;
  state: "in progress" | "succeeded" | "failed";
  description: string;
  /** Of an update or a deletion that failed. */
  usable?: boolean;
  repeatable?: boolean;
}

/** What an instance is made of. */
export interface Attributes {
  plan: string;
  /** As they are used: with their defaults. */
  parameters: Record<string, unknown>;
}

export interface Instance extends Attributes {
  id: string;
  service: string;
  organization: string;
  space: string;
  context: Record<string, unknown>;
  /** False until it has come to be, and after that failed. */
  made: boolean;
  /** False after a failed deletion: part of it may be gone. */
  usable: boolean;
  operation: Operation;
  /** What an update that is under way makes of it. */
  next: Attributes | null;
}

export interface Binding {
  id: string;
  instance: string;
  app: string | null;
  days: number;
  predecessor: string | null;
  /** Milliseconds since 1970. */
  created: number;
  /** Makes the credentials of two bindings with the same id, one after the other, different. */
  nonce: string;
  made: boolean;
  operation: Operation;
}

/** What was deleted asynchronously is remembered, for platforms that still ask: so many. */
const mostGone = 10_000;

const schema = `
CREATE TABLE IF NOT EXISTS osb_instance (id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS osb_binding (instance TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (instance, id)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS osb_gone (seq INTEGER PRIMARY KEY, instance TEXT NOT NULL, binding TEXT NOT NULL, UNIQUE (instance, binding)) STRICT;
`;

export class BrokerStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
    database.exec(schema);
  }

  instance(id: string): Instance | undefined {
    return this.#one<Instance>("SELECT body FROM osb_instance WHERE id = ?", id);
  }

  instances(): Instance[] {
    return this.#all<Instance>("SELECT body FROM osb_instance ORDER BY id");
  }

  binding(instance: string, id: string): Binding | undefined {
    const sql = "SELECT body FROM osb_binding WHERE instance = ? AND id = ?";
    return this.#one<Binding>(sql, instance, id);
  }

  bindings(instance?: string): Binding[] {
    return instance === undefined
      ? this.#all<Binding>("SELECT body FROM osb_binding ORDER BY instance, id")
      : this.#all<Binding>("SELECT body FROM osb_binding WHERE instance = ? ORDER BY id", instance);
  }

  putInstance(instance: Instance): void {
    this.#transaction(() => {
      this.#remembered(instance.id, "");
      this.#run(
        "INSERT INTO osb_instance (id, body) VALUES (?, ?) ON CONFLICT DO UPDATE SET body = excluded.body",
        [instance.id, JSON.stringify(instance)],
      );
    });
  }

  putBinding(binding: Binding): void {
    this.#transaction(() => {
      this.#remembered(binding.instance, binding.id);
      this.#run(
        "INSERT INTO osb_binding (instance, id, body) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET body = excluded.body",
        [binding.instance, binding.id, JSON.stringify(binding)],
      );
    });
  }

  /** Removes an instance with its bindings. */
  dropInstance(id: string, remember: boolean): void {
    this.#transaction(() => {
      for (const binding of this.bindings(id)) this.dropBinding(id, binding.id, remember);
      this.#run("DELETE FROM osb_instance WHERE id = ?", [id]);
      if (remember) this.#forget(id, "");
    });
  }

  dropBinding(instance: string, id: string, remember: boolean): void {
    this.#transaction(() => {
      this.#run("DELETE FROM osb_binding WHERE instance = ? AND id = ?", [instance, id]);
      if (remember) this.#forget(instance, id);
    });
  }

  /** Whether this was here and was deleted asynchronously; `binding` is empty for an instance. */
  gone(instance: string, binding: string): boolean {
    const sql = "SELECT 1 FROM osb_gone WHERE instance = ? AND binding = ?";
    return this.#database.prepare(sql).get(instance, binding) !== undefined;
  }

  #forget(instance: string, binding: string): void {
    this.#run("INSERT OR REPLACE INTO osb_gone (instance, binding) VALUES (?, ?)", [
      instance,
      binding,
    ]);
    this.#run("DELETE FROM osb_gone WHERE seq <= (SELECT max(seq) FROM osb_gone) - ?", [mostGone]);
  }

  #remembered(instance: string, binding: string): void {
    this.#run("DELETE FROM osb_gone WHERE instance = ? AND binding = ?", [instance, binding]);
  }

  #transaction(work: () => void): void {
    this.#database.transaction(work)();
  }

  #run(sql: string, values: (string | number)[]): void {
    this.#database.prepare(sql).run(...values);
  }

  #one<T>(sql: string, ...values: string[]): T | undefined {
    const row = this.#database.prepare(sql).get(...values) as { body: string } | undefined;
    return row === undefined ? undefined : (JSON.parse(row.body) as T);
  }

  #all<T>(sql: string, ...values: string[]): T[] {
    const rows = this.#database.prepare(sql).all(...values) as { body: string }[];
    return rows.map(({ body }) => JSON.parse(body) as T);
  }
}
