// What `wasmote place` is asked, and how it says its choice.
import { choose, type Decision, type Place, type Situation } from "../flood/place.ts";
import { UserError } from "../lib/errors.ts";
import { gatewayPlace } from "../lib/gateway.ts";
import type { KeyPair } from "../lib/package.ts";
import { signingKey } from "../lib/project.ts";
import { oneLine } from "../lib/text.ts";
import { ask, patienceOf, project, say, type NodeOptions } from "./context.ts";

export interface PlaceOptions extends NodeOptions {
  on: string;
  station?: string;
  rain?: string;
  cloudToken?: string;
  link: string;
  feed?: string[];
  gateway?: string;
  cloud?: string;
  token?: string;
  key?: string;
  dryRun?: boolean;
}

/** Where it costs least; that it runs nowhere is told as such. */
export function chosen(situation: Situation): Decision {
  try {
    return choose(situation);
  } catch (error) {
    if (error instanceof RangeError)
      throw new UserError(error.message, "--on names a place yourself", "check");
    throw error;
  }
}

/**
 * Where nothing can run now: gateways that were not named, and those that do not answer, which is said. Where it is only asked what would be,
 * what is not named could be there.
 */
export async function cutOf(
  options: PlaceOptions,
): Promise<Required<Pick<Situation, "cut" | "unnamed">>> {
  const both = ["gateway", "cloud"] as const;
  const unnamed = options.dryRun === true ? [] : both.filter((what) => options[what] === undefined);
  const looked = both.map(async (what) => {
    const given = options[what];
    if (given === undefined) return unnamed.includes(what) ? [what] : [];
    // Where the place is said, whoever goes there finds out.
    if (options.on !== "auto") return [];
    const at = gatewayPlace(given, options.token);
    try {
      await ask(at, "/api/hosted", { what, limit: patienceOf(options) });
    } catch (error) {
      // One that is there and says no is asked again when it is to run something.
      if (!(error instanceof UserError)) throw error;
      if (error.kind !== "unreachable") return [];
      say(oneLine(error.message));
      return [what];
    }
    return [];
  });
  return { cut: (await Promise.all(looked)).flat(), unnamed };
}

/** What each place would cost, or why it is none. */
export const estimated = ({ estimates }: Decision): [string, string][] => [
  ...estimates.map(({ place, why, cost, energy, bytes, staleness }): [string, string] => [
    place,
    why ??
      `${short(cost)} uJ a decision: ${short(energy)} uJ of the node, ${short(bytes)} bytes on its link, ${short(staleness)} ms late`,
  ]),
  [
    "uJ",
    "energy of the node, and as much as fuel elsewhere, bytes beyond the gateway and being late are worth (docs/model.md)",
  ],
];

/** The key that signs; a gateway takes what its own project's key signed. */
export function keyOf(on: Place | "auto", { key }: PlaceOptions): KeyPair {
  try {
    return signingKey(project(), key);
  } catch (error) {
    if (!(error instanceof UserError) || on === "node") throw error;
    throw new UserError(
      error.message,
      "a gateway takes what the key of its project signed: run this in that project's folder, or name its key: --key FILE",
      error.kind,
      { cause: error },
    );
  }
}

const short = (value = 0) => String(Number(value.toPrecision(3)));
