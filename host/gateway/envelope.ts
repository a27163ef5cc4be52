// What a viewer is told: one value of one resource of one node, or that there is a gap.

/** The same in WebSockets, Server-Sent Events, MQTT and webhooks. */
export interface Envelope {
  /** Rises by one with each envelope of this gateway; a viewer that comes back names the last one it has. */
  seq: number;
  node: string;
  /** The resource's path on the node, as `sensors/level`; for a virtual one `virtual/NAME`. */
  resource: string;
  /** When it came in here, in milliseconds since 1970. */
  time: number;
  /** The value; null where there is a gap or the node's value is not a number (NaN). */
  value: number | null;
  /** What the value is where an output of the node is a text or a record. */
  text?: string;
  /** From here on nothing is known until the next value: the node fell silent, or the gateway was away. */
  gap?: true;
  /** So many values of this resource were left out before this one, because this viewer was slow. */
  dropped?: number;
}

/** Which envelopes somebody wants: all nodes or resources where none is named; a `*` at the end stands for any rest. */
export interface Filter {
  nodes?: readonly string[] | undefined;
  resources?: readonly string[] | undefined;
}

export function matches(filter: Filter, { node, resource }: Envelope): boolean {
  return matchesAny(filter.nodes, node) && matchesAny(filter.resources, resource);
}

/** Whether a name is one of these patterns. */
export function matchesAny(patterns: readonly string[] | undefined, name: string): boolean {
  if (patterns === undefined || patterns.length === 0) return true;
  return patterns.some((pattern) =>
    pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : pattern === name,
  );
}
