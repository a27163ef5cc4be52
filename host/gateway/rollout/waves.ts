// Who gets a package when: an order of nodes that is the same on every computer, cut into waves; and when too many of a few have failed.
import { createHash } from "node:crypto";

/** How far a wave reaches: so many nodes, or such a share of all, counted from the first. */
export type Wave = { nodes: number } | { share: number };

export const standardWaves: readonly Wave[] = [
  { nodes: 1 },
  { share: 0.01 },
  { share: 0.1 },
  { share: 1 },
];

/** Reads `1,1%,10%,100%`; throws a RangeError that says what is wrong. The last wave has to reach all nodes. */
export function parseWaves(text: string): Wave[] {
  const waves = text.split(",").map((word): Wave => {
    const [, digits = "", percent] = /^\s*(\d{1,6}(?:\.\d{1,3})?)(%?)\s*$/.exec(word) ?? [];
    const number = Number(digits);
    if (digits === "" || number <= 0)
      throw new RangeError(`${word.trim()} is not a wave: write 3 or 10%`);
    if (percent === "%" && number <= 100) return { share: number / 100 };
    if (percent === "" && Number.isInteger(number)) return { nodes: number };
    throw new RangeError(`${word.trim()} is not a wave: write 3 or 10%`);
  });
  const last = waves.at(-1);
  if (last === undefined || !("share" in last) || last.share !== 1)
    throw new RangeError("the last wave is 100%");
  return waves;
}

/** A node's place from 0 (first) to 1. It hangs on the package, so that it is not always the same node that goes first. */
export function placeOf(digest: string, node: string): number {
  const hash = createHash("sha256").update(`${digest} ${node}`).digest();
  return hash.readUIntBE(0, 6) / 2 ** 48;
}

/** The wave of each node. A larger share only adds nodes to those of a smaller one. */
export function planWaves(
  digest: string,
  nodes: readonly string[],
  waves: readonly Wave[],
): Map<string, number> {
  const order = nodes
    .map((node) => ({ node, place: placeOf(digest, node) }))
    .sort((a, b) => a.place - b.place || (a.node < b.node ? -1 : 1));
  const ends = waves.map((wave) =>
    "nodes" in wave ? wave.nodes : Math.max(1, Math.ceil(wave.share * nodes.length)),
  );
  return new Map(
    order.map(({ node }, at) => {
      const wave = ends.findIndex((end) => at < end);
      return [node, wave < 0 ? waves.length - 1 : wave];
    }),
  );
}

/**
 * What share of nodes fails at least, with 90 % confidence, when `failed` of `total` did: the lower bound of Wilson's score interval
 * (one-sided), which holds for small waves too. 0 where there are none.
 */
export function failsAtLeast(failed: number, total: number): number {
  if (total === 0) return 0;
  const z = 1.2816;
  const share = failed / total;
  const centre = share + (z * z) / (2 * total);
  const spread = z * Math.sqrt((share * (1 - share)) / total + (z * z) / (4 * total * total));
  return Math.max(0, (centre - spread) / (1 + (z * z) / total));
}
