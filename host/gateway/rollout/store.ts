// Rollouts on the disk: each step is one transaction, so that a gateway that was killed goes on from the last one.
import type { Database } from "better-sqlite3";
import { counted } from "../../lib/text.ts";
import type { Member, NodeState, Rollout, Step } from "./machine.ts";

const schema = `
CREATE TABLE IF NOT EXISTS rollout (id INTEGER PRIMARY KEY, body TEXT NOT NULL, package BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS rollout_member (rollout INTEGER NOT NULL REFERENCES rollout, node TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (rollout, node)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rollout_event (id INTEGER PRIMARY KEY, rollout INTEGER NOT NULL REFERENCES rollout, time INTEGER NOT NULL, text TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS rollout_event_of ON rollout_event (rollout);
`;

export interface RolloutEvent {
  time: number;
  text: string;
}

/** Nodes of one wave that are in the same state. */
export interface Lane {
  wave: number;
  state: NodeState;
  nodes: number;
}

export class RolloutStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
    database.exec(schema);
  }

  /** Keeps a new rollout with its members; gives it its number. */
  create(rollout: Omit<Rollout, "id">, members: readonly Member[], bytes: Uint8Array): Rollout {
    return this.#database.transaction(() => {
      const { lastInsertRowid } = this.#database
        .prepare("INSERT INTO rollout (body, package) VALUES ('{}', ?)")
        .run(Buffer.from(bytes));
      const made: Rollout = { id: Number(lastInsertRowid), ...rollout };
      this.#write(
        made,
        members,
        [`planned for ${counted(members.length, "node")}`],
        rollout.created,
      );
      return made;
    })();
  }

  /** Keeps what a step changed. */
  apply({ rollout, changed, said }: Omit<Step, "orders">, now: number): void {
    this.#database.transaction(() => this.#write(rollout, changed, said, now))();
  }

  #write(rollout: Rollout, members: readonly Member[], said: readonly string[], now: number): void {
    this.#database
      .prepare("UPDATE rollout SET body = ? WHERE id = ?")
      .run(JSON.stringify(rollout), rollout.id);
    const put = this.#database.prepare(
      "INSERT INTO rollout_member (rollout, node, body) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET body = excluded.body",
    );
    for (const member of members) put.run(rollout.id, member.node, JSON.stringify(member));
    const tell = this.#database.prepare(
      "INSERT INTO rollout_event (rollout, time, text) VALUES (?, ?, ?)",
    );
    for (const text of said) tell.run(rollout.id, now, text);
  }

  all(): Rollout[] {
    const rows = this.#database.prepare("SELECT body FROM rollout ORDER BY id").all();
    return (rows as { body: string }[]).map(({ body }) => JSON.parse(body) as Rollout);
  }

  members(id: number): Member[] {
    const rows = this.#database
      .prepare("SELECT body FROM rollout_member WHERE rollout = ? ORDER BY node")
      .all(id);
    return (rows as { body: string }[]).map(({ body }) => JSON.parse(body) as Member);
  }

  /** When a member last changed its state, of all rollouts; 0 where there are none. */
  newest(): number {
    const { newest } = this.#database
      .prepare("SELECT max(json_extract(body, '$.since')) AS newest FROM rollout_member")
      .get() as { newest: number | null };
    return newest ?? 0;
  }

  /** How many nodes of each wave are in which state; waves without nodes are left out. */
  lanes(id: number): Lane[] {
    return this.#database
      .prepare(
        `SELECT json_extract(body, '$.wave') AS wave, json_extract(body, '$.state') AS state, count(*) AS nodes
           FROM rollout_member WHERE rollout = ? GROUP BY 1, 2 ORDER BY 1, 2`,
      )
      .all(id) as Lane[];
  }

  package(id: number): Uint8Array | undefined {
    const row = this.#database.prepare("SELECT package FROM rollout WHERE id = ?").get(id);
    return (row as { package: Buffer } | undefined)?.package;
  }

  /** The newest events first. */
  events(id: number, limit: number): RolloutEvent[] {
    return this.#database
      .prepare("SELECT time, text FROM rollout_event WHERE rollout = ? ORDER BY id DESC LIMIT ?")
      .all(id, limit) as RolloutEvent[];
  }
}
