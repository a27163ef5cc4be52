// The contexts of a node, as it lists them to an administrator.
import { NodeError } from "../lib/errors.ts";
import { places } from "../lib/keys.ts";
import type { Node } from "../lib/node.ts";

/** A context as a node lists it. */
export interface Listed {
  place: number;
  peer: number;
  rights: number;
  /** The place of the context that goes when this one was used. */
  replaces?: number;
  /** How often its keys were used at most, and whether it should be rotated. */
  used: number;
  worn: boolean;
}

/** What a node lists. A node is not trusted: anything odd is an error. */
export async function listKeys(node: Node, signal?: AbortSignal): Promise<Listed[]> {
  const value = (await node.read("keys", { accept: "cbor", signal })) as Record<string, unknown>;
  const column = (name: string): number[] => {
    const all = value?.[name];
    if (!Array.isArray(all) || all.length > places || !all.every((one) => Number.isInteger(one)))
      throw new NodeError("protocol", `/keys: ${name} is not a list of numbers`);
    return all as number[];
  };
  const columns = ["peer", "rights", "replaces", "used", "worn"].map(column);
  return column("place").map((place, at) => {
    const [peer = 0, rights = 0, replaces = places, used = 0, worn = 0] = columns.map(
      (one) => one[at] ?? 0,
    );
    const replaced = replaces < places ? { replaces } : {};
    return { place, peer, rights, ...replaced, used, worn: worn !== 0 };
  });
}
