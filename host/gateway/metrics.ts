// What Prometheus reads (text format 0.0.4): the gateway's counters and those of its nodes.
import type { Core } from "./core.ts";

type Labels = Record<string, string>;

class Lines {
  readonly #lines: string[] = [];

  metric(
    name: string,
    kind: "gauge" | "counter",
    help: string,
    values: readonly (readonly [Labels, number | undefined])[],
  ): void {
    this.#lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`);
    for (const [labels, value] of values) {
      if (value === undefined) continue;
      const words = Object.entries(labels).map(([key, text]) => `${key}="${escape(text)}"`);
      this.#lines.push(
        `${name}${words.length > 0 ? `{${words.join(",")}}` : ""} ${numberOf(value)}`,
      );
    }
  }

  toString(): string {
    return `${this.#lines.join("\n")}\n`;
  }
}

const escape = (text: string) =>
  text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
const numberOf = (value: number) =>
  Number.isFinite(value)
    ? String(value)
    : Number.isNaN(value)
      ? "NaN"
      : value > 0
        ? "+Inf"
        : "-Inf";

export function metrics({ nodes, hub, history, upstream, alarms, outbox }: Core): string {
  const lines = new Lines();
  const one = (value: number): [[Labels, number]] => [[{}, value]];
  const each = (read: (node: (typeof all)[number]) => number | undefined) =>
    all.map((node) => [{ node: node.name }, read(node)] as const);
  const all = [...nodes];
  const state = history.state();
  const { cache } = upstream;
  lines.metric("wasmote_nodes", "gauge", "Nodes that the gateway knows.", one(nodes.size));
  lines.metric("wasmote_viewers", "gauge", "Viewers of values.", one(hub.viewers));
  lines.metric(
    "wasmote_viewer_dropped_total",
    "counter",
    "Values left out for slow viewers.",
    one(hub.dropped),
  );
  lines.metric("wasmote_history_rows_total", "counter", "Values written.", one(state.written));
  lines.metric(
    "wasmote_history_lost_total",
    "counter",
    "Values that could not be written.",
    one(state.lost),
  );
  lines.metric(
    "wasmote_history_waiting",
    "gauge",
    "Values that wait to be written.",
    one(state.waiting),
  );
  lines.metric("wasmote_history_bytes", "gauge", "Bytes of history on the disk.", one(state.bytes));
  lines.metric(
    "wasmote_upstream_requests_total",
    "counter",
    "CoAP requests to nodes on behalf of others.",
    one(upstream.requests),
  );
  lines.metric(
    "wasmote_upstream_joined_total",
    "counter",
    "Requests answered along with an identical one.",
    one(upstream.joined),
  );
  lines.metric(
    "wasmote_upstream_refused_total",
    "counter",
    "Requests refused because too many waited.",
    one(upstream.refused),
  );
  lines.metric(
    "wasmote_cache_hits_total",
    "counter",
    "Requests answered from the cache.",
    one(cache.hits),
  );
  lines.metric(
    "wasmote_cache_misses_total",
    "counter",
    "Requests that the cache had no fresh answer to.",
    one(cache.misses),
  );
  lines.metric(
    "wasmote_cache_validated_total",
    "counter",
    "Stale answers that a node confirmed.",
    one(cache.validated),
  );
  lines.metric(
    "wasmote_upstream_observations",
    "gauge",
    "Resources that are observed because they are read often.",
    one(upstream.interest.observing),
  );
  lines.metric("wasmote_cache_bytes", "gauge", "Bytes in the cache.", one(cache.bytes));
  lines.metric(
    "wasmote_alarms",
    "gauge",
    "Alarms that are raised or not acknowledged.",
    one(alarms.list().length),
  );
  lines.metric(
    "wasmote_outbox_waiting",
    "gauge",
    "Messages that wait to be delivered.",
    one(outbox.waiting()),
  );
  lines.metric(
    "wasmote_outbox_delivered_total",
    "counter",
    "Messages that were taken.",
    one(outbox.delivered),
  );
  lines.metric(
    "wasmote_resident_bytes",
    "gauge",
    "Resident memory of the gateway.",
    one(process.memoryUsage.rss()),
  );
  lines.metric(
    "wasmote_node_last_seen_seconds",
    "gauge",
    "When a node was last heard of, in seconds since 1970.",
    each(({ lastSeen }) => (lastSeen === 0 ? undefined : lastSeen / 1000)),
  );
  lines.metric(
    "wasmote_node_values_total",
    "counter",
    "Values that came from a node.",
    each(({ values }) => values),
  );
  lines.metric(
    "wasmote_node_flooded_total",
    "counter",
    "Values left out because a node sent too many.",
    each(({ flooded }) => flooded),
  );
  lines.metric(
    "wasmote_node_uptime_seconds",
    "gauge",
    "How long a node has been up, when it said so last.",
    each(({ info }) => (info?.uptime === undefined ? undefined : info.uptime / 1000)),
  );
  lines.metric(
    "wasmote_node_runs_total",
    "counter",
    "Runs of the package since it began.",
    each(({ stats }) => stats?.runs),
  );
  lines.metric(
    "wasmote_node_traps_total",
    "counter",
    "Traps of the package since it began.",
    each(({ stats }) => stats?.traps),
  );
  lines.metric(
    "wasmote_node_samples_dropped_total",
    "counter",
    "Samples that a node left out.",
    each(({ stats }) => stats?.samples_dropped),
  );
  const newest = [...hub.all()].flatMap(({ node, resource, value }) =>
    value === null ? [] : [[{ node, resource }, value] as const],
  );
  lines.metric("wasmote_value", "gauge", "The newest value of a resource.", newest);
  return lines.toString();
}
