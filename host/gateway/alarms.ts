// Alarms: what the rules raise, kept over restarts, acknowledged by people.
//
//   (nothing) --condition lasts--> raised --condition ends--> (nothing)
//                                    |  acknowledge: seen, and still raised
import type { RuleConfig } from "./config.ts";
import { matchesAny, type Envelope } from "./envelope.ts";
import type { Happening, ManagedNode } from "./nodes.ts";
import type { Store } from "./sqlite/store.ts";

export interface Alarm {
  /** `RULE/NODE/RESOURCE`: one at a time. */
  id: string;
  rule: string;
  kind: RuleConfig["kind"] | "disk";
  severity: RuleConfig["severity"];
  node: string;
  resource: string;
  text: string;
  /** Milliseconds since 1970. */
  since: number;
  value: number | null;
  acknowledged?: { by: string; at: number };
  /** When the condition ended; such an alarm goes once it is acknowledged. */
  ended?: number;
}

/** What becomes of an alarm, for those it is delivered to. */
export type AlarmChange = "raised" | "ended" | "acknowledged";

interface Pending {
  since: number;
  value: number | null;
}

export interface AlarmsOptions {
  store: Store;
  rules: readonly RuleConfig[];
  onChange: (change: AlarmChange, alarm: Alarm) => void;
}

/** Alarms at most; a rule that raises more for a large fleet is told of in a last one. */
const most = 10_000;

export class Alarms {
  readonly #options: AlarmsOptions;
  readonly #all = new Map<string, Alarm>();
  readonly #pending = new Map<string, Pending>();

  constructor(options: AlarmsOptions) {
    this.#options = options;
    const rows = options.store.database.prepare("SELECT body FROM alarm").all() as {
      body: string;
    }[];
    for (const { body } of rows) {
      const alarm = JSON.parse(body) as Alarm;
      this.#all.set(alarm.id, alarm);
    }
  }

  list(): Alarm[] {
    return [...this.#all.values()].toSorted((a, b) => b.since - a.since);
  }

  /** A value came in. */
  take({ node, resource, time, value, gap }: Envelope): void {
    if (gap || value === null) return;
    for (const rule of this.#options.rules) {
      if (
        rule.kind !== "threshold" ||
        !matchesAny([rule.resource], resource) ||
        !matchesAny(rule.nodes, node)
      )
        continue;
      const id = `${rule.name}/${node}/${resource}`;
      const active = this.#active(id);
      const { above, below, hysteresis } = rule;
      const beyond =
        above !== undefined
          ? value > above - (active ? hysteresis : 0)
          : below !== undefined && value < below + (active ? hysteresis : 0);
      const limit = above !== undefined ? `above ${above}` : `below ${below}`;
      this.#judge(id, rule, beyond, {
        node,
        resource,
        value,
        time,
        text: `${resource} is ${limit}`,
      });
    }
  }

  /** Something befell a node. */
  happened({ node, time, what, text }: Happening): void {
    const kind =
      what === "trap" || what === "fuel" ? "trap" : what === "rollback" ? "rollback" : undefined;
    for (const rule of this.#options.rules)
      if (rule.kind === kind && matchesAny(rule.nodes, node))
        this.#raise({
          id: `${rule.name}/${node}/app`,
          rule: rule.name,
          kind,
          severity: rule.severity,
          node,
          resource: "app",
          text,
          since: time,
          value: null,
          ended: time,
        });
  }

  /** Time passes: silences, and conditions that have lasted. */
  tick(nodes: Iterable<Pick<ManagedNode, "name" | "silence">>, now = Date.now()): void {
    for (const rule of this.#options.rules) {
      if (rule.kind !== "silence") continue;
      for (const node of nodes) {
        if (!matchesAny(rule.nodes, node.name)) continue;
        const silence = node.silence();
        const silent = silence >= rule.for * 1000;
        const seconds = Math.round(silence / 1000);
        const id = `${rule.name}/${node.name}/`;
        this.#judge(id, { ...rule, for: 0 }, silent, {
          node: node.name,
          resource: "",
          value: null,
          time: now,
          text: `has not been heard of for ${seconds} s`,
        });
      }
    }
    for (const [id, { since, value }] of this.#pending) {
      const [name = "", node = "", ...rest] = id.split("/");
      const rule = this.#options.rules.find((one) => one.name === name);
      if (rule !== undefined)
        this.#judge(
          id,
          rule,
          true,
          {
            node,
            resource: rest.join("/"),
            value,
            time: now,
            text: `${rest.join("/")} is beyond its limit since ${rule.for} s`,
          },
          since,
        );
    }
  }

  #active(id: string): boolean {
    const alarm = this.#all.get(id);
    return alarm !== undefined && alarm.ended === undefined;
  }

  #judge(
    id: string,
    rule: RuleConfig,
    beyond: boolean,
    {
      node,
      resource,
      value,
      time,
      text,
    }: Pick<Alarm, "node" | "resource" | "value" | "text"> & { time: number },
    began?: number,
  ): void {
    const active = this.#active(id);
    if (!beyond) {
      this.#pending.delete(id);
      if (active) this.#end(id, time);
      return;
    }
    if (active) return;
    const pending = this.#pending.get(id) ?? { since: began ?? time, value };
    // A clock that was put back begins the wait anew.
    if (time < pending.since) pending.since = time;
    pending.value = value;
    if (time - pending.since < rule.for * 1000) {
      if (this.#pending.size < most) this.#pending.set(id, pending);
      return;
    }
    this.#pending.delete(id);
    this.#raise({
      id,
      rule: rule.name,
      kind: rule.kind,
      severity: rule.severity,
      node,
      resource,
      text,
      since: pending.since,
      value,
    });
  }

  /** Raises an alarm of the gateway's own. */
  raise(alarm: Alarm): void {
    if (!this.#active(alarm.id)) this.#raise(alarm);
  }

  #raise(alarm: Alarm): void {
    if (this.#all.size >= most && !this.#all.has(alarm.id)) return;
    this.#keep(alarm);
    this.#options.onChange("raised", alarm);
  }

  #end(id: string, time: number): void {
    const alarm = this.#all.get(id);
    if (alarm === undefined) return;
    const ended = { ...alarm, ended: time };
    this.#keep(ended);
    this.#options.onChange("ended", ended);
  }

  end(id: string, time = Date.now()): void {
    if (this.#active(id)) this.#end(id, time);
  }

  /** Somebody has seen it; one whose condition has ended goes. */
  acknowledge(id: string, by: string): Alarm | undefined {
    const alarm = this.#all.get(id);
    if (alarm === undefined) return undefined;
    const seen = { ...alarm, acknowledged: { by, at: Date.now() } };
    this.#keep(seen);
    this.#options.onChange("acknowledged", seen);
    return seen;
  }

  #keep(alarm: Alarm): void {
    const gone = alarm.ended !== undefined && alarm.acknowledged !== undefined;
    const { database } = this.#options.store;
    try {
      if (gone) database.prepare("DELETE FROM alarm WHERE id = ?").run(alarm.id);
      else
        database
          .prepare("INSERT OR REPLACE INTO alarm (id, body) VALUES (?, ?)")
          .run(alarm.id, JSON.stringify(alarm));
    } catch {
      // A full disk is an alarm itself; this one lives on in memory.
    }
    if (gone) this.#all.delete(alarm.id);
    else this.#all.set(alarm.id, alarm);
  }
}
