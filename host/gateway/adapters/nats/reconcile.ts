// Brings each node to what the hub wants it to run, and tells the hub what it runs. What is wanted is kept here, so that a gateway that is
// cut off, or was killed, goes on with it.
import type { Database } from "better-sqlite3";
import { oneLine } from "../../../lib/text.ts";
import { digestOf, openPackage } from "../../../lib/package.ts";
import type { ManagedNode, Nodes } from "../../nodes.ts";
import { push } from "../../operate.ts";
import { steady } from "../../steady.ts";
import type { Desired, Reported } from "./hub.ts";
import type { Packages } from "./packages.ts";

export interface ReconcilerOptions {
  nodes: Nodes;
  packages: Packages;
  database: Database;
  report: (node: string, reported: Reported) => Promise<void>;
  onEvent: (text: string) => void;
  /** Milliseconds between two looks. */
  period?: number;
}

interface Wanted {
  node: string;
  desired: Desired;
  /** Attempts that a node refused or took back; it gets the same package so often and no more. */
  attempts: number;
  trouble: string | undefined;
  /** When it may be tried again, by the steady clock. */
  due: number;
}

/** A package that a node rejects so often is not sent there again until the hub wants something else. */
const mostAttempts = 3;
const firstPause = 2_000;
/** Nodes that are sent to at once. */
const mostAtOnce = 4;

const schema = `
CREATE TABLE IF NOT EXISTS nats_desired (node TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
`;

export class Reconciler {
  readonly #options: ReconcilerOptions;
  readonly #wanted = new Map<string, Wanted>();
  /** What the hub was told last of each node. */
  readonly #told = new Map<string, string>();
  readonly #underway = new Map<string, Promise<void>>();
  readonly #telling = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  readonly #stopping = new AbortController();
  #stopped = false;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    options.database.exec(schema);
    const rows = options.database.prepare("SELECT body FROM nats_desired").all();
    for (const { body } of rows as { body: string }[]) {
      const { node, desired } = JSON.parse(body) as Wanted;
      this.#wanted.set(node, { node, desired, attempts: 0, trouble: undefined, due: 0 });
    }
  }

  /** What a node shall run from now on; undefined leaves it with what it has. */
  want(node: string, desired: Desired | undefined): void {
    const { database } = this.#options;
    const known = this.#wanted.get(node)?.desired;
    if (desired === undefined) {
      this.#wanted.delete(node);
      database.prepare("DELETE FROM nats_desired WHERE node = ?").run(node);
      return;
    }
    if (known?.package === desired.package && known.digest === desired.digest) return;
    this.#wanted.set(node, { node, desired, attempts: 0, trouble: undefined, due: 0 });
    database
      .prepare(
        "INSERT INTO nats_desired (node, body) VALUES (?, ?) ON CONFLICT DO UPDATE SET body = excluded.body",
      )
      .run(node, JSON.stringify({ node, desired }));
    this.look();
  }

  start(): void {
    this.#timer = setInterval(() => this.look(), this.#options.period ?? 1_000);
  }

  /** Every node that is not what it shall be is brought on; every change is told. */
  look(now = steady()): void {
    if (this.#stopped) return;
    for (const node of this.#options.nodes) {
      const { app } = node;
      if (app === undefined) continue;
      const wanted = this.#wanted.get(node.name);
      const differs = wanted !== undefined && app.digest !== wanted.desired.digest;
      const reported: Reported = {
        digest: app.digest ?? null,
        state: app.state,
        ...(differs && wanted.trouble !== undefined ? { trouble: wanted.trouble } : {}),
      };
      void this.#tell(node.name, reported);
      if (!differs || wanted.attempts >= mostAttempts || wanted.due > now) continue;
      // What is on trial is judged first: by the node itself.
      if (app.state === "trial" || this.#underway.has(node.name)) continue;
      if (this.#underway.size >= mostAtOnce || this.#full(node)) continue;
      const work = this.#bring(node, wanted).finally(() => this.#underway.delete(node.name));
      this.#underway.set(node.name, work);
    }
  }

  /** Whether as many nodes as may are sent to over a node's link. */
  #full({ link }: ManagedNode): boolean {
    const same = [...this.#options.nodes].filter(
      (other) => this.#underway.has(other.name) && other.link === link,
    );
    return link !== undefined && same.length >= link.atOnce;
  }

  async #bring(node: ManagedNode, wanted: Wanted): Promise<void> {
    const { packages, onEvent } = this.#options;
    const { desired } = wanted;
    let bytes: Uint8Array;
    try {
      bytes = await packages.get(desired.package);
    } catch (error) {
      // The hub is away, or has it not yet: no fault of the package's.
      wanted.due = steady() + firstPause;
      wanted.trouble = oneLine((error as Error).message);
      return;
    }
    try {
      const { manifest, module } = openPackage(bytes);
      const stated = Buffer.from(manifest.digest).toString("hex");
      if (stated !== desired.digest || Buffer.from(digestOf(module)).toString("hex") !== stated)
        throw new Error("the package has another module than the hub says");
      await push(node, bytes, this.#stopping.signal);
      wanted.trouble = undefined;
      onEvent(`${node.name} was given ${desired.digest.slice(0, 12)}`);
    } catch (error) {
      wanted.trouble = oneLine((error as Error).message).slice(0, 300);
      onEvent(`${node.name} does not take ${desired.digest.slice(0, 12)}: ${wanted.trouble}`);
    }
    // Counted where it was taken as well: a node that takes it back after its trial is not given it for ever.
    wanted.attempts++;
    wanted.due = steady() + firstPause * 2 ** wanted.attempts;
  }

  async #tell(node: string, reported: Reported): Promise<void> {
    const text = JSON.stringify(reported);
    if (this.#told.get(node) === text || this.#telling.has(node)) return;
    this.#telling.add(node);
    try {
      await this.#options.report(node, reported);
      this.#told.set(node, text);
    } catch {
      // The hub is away: told at the next look.
    } finally {
      this.#telling.delete(node);
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#stopping.abort();
    clearInterval(this.#timer);
    await Promise.allSettled(this.#underway.values());
  }
}
