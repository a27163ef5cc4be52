// The gateway's nodes as Akri's devices: which ones a configuration asks for, and what a broker pod is told of each.
import { parse } from "yaml";
import { matchesAny } from "../../envelope.ts";
import type { ManagedNode } from "../../nodes.ts";

/** What a configuration's `discoveryDetails` ask for; everything where they are empty. */
export interface Details {
  /** Names of nodes, `*` at the end stands for any rest. */
  nodes: string[];
  /** Resource types (`rt`, RFC 6690 §3.1), one of which a resource of the node has. */
  types: string[];
  /** Minutes of silence after which a node is no device any more. */
  silence: number;
}

export interface Device {
  id: string;
  properties: Record<string, string>;
  mounts: [];
  deviceSpecs: [];
}

const keys = { nodes: "nodes", resourceTypes: "types", silenceMinutes: "silence" } as const;
/** Bytes of `discoveryDetails` that are read. */
const longestDetails = 65_536;

/** Reads `discoveryDetails`, which are YAML; throws a RangeError that says what is wrong. */
export function parseDetails(text: string): Details {
  const details: Details = { nodes: [], types: [], silence: 10 };
  if (text.length > longestDetails) throw new RangeError("discoveryDetails are too long");
  let value: unknown;
  try {
    // Aliases could make a small text large.
    value = parse(text, { maxAliasCount: 0 }) ?? {};
  } catch (error) {
    throw new RangeError(`discoveryDetails are not YAML: ${(error as Error).message}`, {
      cause: error,
    });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new RangeError("discoveryDetails are not a map");
  for (const [key, given] of Object.entries(value as Record<string, unknown>)) {
    if (!Object.hasOwn(keys, key))
      throw new RangeError(`${key} is not one of ${Object.keys(keys).join(", ")}`);
    if (key === "silenceMinutes") {
      if (typeof given !== "number" || !(given > 0 && given <= 1e6))
        throw new RangeError("silenceMinutes is not a number above 0");
      details.silence = given;
      continue;
    }
    if (!Array.isArray(given) || given.some((one) => typeof one !== "string"))
      throw new RangeError(`${key} is not a list of texts`);
    details[keys[key as "nodes" | "resourceTypes"]] = given as string[];
  }
  return details;
}

function typesOf(node: ManagedNode): string[] {
  return node.resources.flatMap(({ attributes: { rt } }) =>
    typeof rt === "string" ? rt.split(" ").filter(Boolean) : [],
  );
}

/** Properties become environment variables of pods: a name of theirs has only letters, digits and `_` (POSIX, XBD 8.1). */
function deviceOf(node: ManagedNode, base: string): Device {
  const properties: Record<string, string> = {
    WASMOTE_NODE: node.name,
    WASMOTE_ADDRESS: node.address,
    WASMOTE_GATEWAY: base,
    WASMOTE_BOARD: node.info?.board ?? "",
    WASMOTE_CLASS: node.info?.class ?? "",
  };
  let number = 0;
  for (const { path, attributes } of node.resources) {
    if (!/^\/(sensors|outputs)\//.test(path)) continue;
    properties[`WASMOTE_RESOURCE_${number}`] = path.slice(1);
    if (typeof attributes["rt"] === "string")
      properties[`WASMOTE_RESOURCE_${number}_TYPE`] = attributes["rt"];
    number++;
  }
  return { id: node.name, properties, mounts: [], deviceSpecs: [] };
}

/** All devices of a configuration, in the order of their names. A node that nobody has heard of yet is none. */
export function devicesOf(
  nodes: Iterable<ManagedNode>,
  { nodes: names, types, silence }: Details,
  base: string,
): Device[] {
  return [...nodes]
    .filter(
      (node) =>
        node.lastSeen > 0 &&
        node.silence() <= silence * 60_000 &&
        matchesAny(names, node.name) &&
        (types.length === 0 || typesOf(node).some((type) => types.includes(type))),
    )
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((node) => deviceOf(node, base));
}
