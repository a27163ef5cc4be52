// What a package would have made of the last days, asked of a gateway before anything is sent.
import type { Member } from "../gateway/rollout/machine.ts";
import type { Difference, Shadow, ShadowOutput } from "../gateway/rollout/shadow.ts";
import { UserError } from "../lib/errors.ts";
import type { GatewayPlace } from "../lib/gateway.ts";
import { counted, oneLine, shortest } from "../lib/text.ts";
import { ask } from "./context.ts";

/** Nodes whose samples are run through: those that are sent to first. */
const mostShadows = 8;

export type Shadows = Record<string, Shadow>;

/** How far back, in hours, as somebody wrote it: the samples of two weeks at most. */
export function hoursOf(text: string): string {
  if (/^\d{1,3}(\.\d{1,3})?$/.test(text) && Number(text) > 0 && Number(text) <= 336) return text;
  throw new UserError(
    `${oneLine(text)} is not a number of hours`,
    "write how far back, up to 336: --shadow 48",
    "usage",
  );
}

/** Runs a package through the last hours of the nodes that would get it first. */
export async function shadowsOf(
  place: GatewayPlace,
  members: readonly Member[],
  bytes: Uint8Array,
  hours: string,
): Promise<Shadows> {
  const first = members
    .filter(({ state }) => state === "waiting")
    .toSorted((a, b) => a.wave - b.wave)
    .slice(0, mostShadows);
  const shadows: Shadows = {};
  for (const { node } of first)
    shadows[node] = await ask(
      place,
      `/api/nodes/${encodeURIComponent(node)}/shadow?hours=${hours}`,
      { is: isShadow, method: "POST", body: bytes },
    );
  return shadows;
}

export function describeShadows(shadows: Shadows): string[] {
  if (Object.keys(shadows).length === 0)
    return ["  no node waits for the package: no shadow was run"];
  return Object.entries(shadows).flatMap(([node, shadow]) => {
    const { samples, fuel, oldFuel, trap, cut, outputs } = shadow;
    if (samples === 0 && trap === undefined && !cut)
      return [
        oneLine(`  shadow of ${node}: its sensors said nothing then, there was nothing to compare`),
      ];
    const before = oldFuel === undefined ? "" : ` (today ${oldFuel})`;
    const ends = [
      ...(trap === undefined ? [] : [`ends with a trap: ${trap}`]),
      ...(cut ? ["takes too long: not all samples were run"] : []),
    ];
    return [
      oneLine(
        `  shadow of ${node}: ${counted(samples, "sample")}, ${fuel} of fuel at most${before}${ends.map((end) => `, ${end}`).join("")}`,
      ),
      ...outputs.map((output) => `    ${oneLine(describe(output))}`),
    ];
  });
}

function describe({
  name,
  count,
  median,
  wasCount,
  wasMedian,
  alarms,
  differs,
}: ShadowOutput): string {
  const middle = (value: number | null) => (value === null ? "none" : shortest(value));
  const parts = [
    `${name}: ${counted(count, "value")}, ${middle(median)} in the middle (the node had ${wasCount}, ${middle(wasMedian)})`,
  ];
  if (differs !== undefined) {
    const { both, other, added, missing, most, at } = differs;
    const when =
      at === null ? "" : `, by ${shortest(most)} at most (${new Date(at).toISOString()})`;
    parts.push(both === 0 ? "no value beside one of today's" : `${other} of ${both} differ${when}`);
    if (added + missing > 0) parts.push(`${added} more and ${missing} fewer than today's`);
  }
  for (const [rule, times] of Object.entries(alarms)) {
    const today = differs?.alarms[rule];
    parts.push(
      `alarm ${rule} ${counted(times, "time")}${today === undefined ? "" : ` (today's ${today})`}`,
    );
  }
  return parts.join("; ");
}

// What is shown of an answer has to be there, and of its kind: whoever listens at an address may be anything.
const isCount = (value: unknown): value is number => Number.isFinite(value);
const isValue = (value: unknown) => value === null || typeof value === "number";
const areCounts = (table: unknown) =>
  typeof table === "object" && table !== null && Object.values(table).every(isCount);

function isDifference(given: unknown): boolean {
  const { both, other, added, missing, most, at, alarms } = (given ?? {}) as Partial<Difference>;
  return (
    [both, other, added, missing, most].every(isCount) &&
    (at === null || Math.abs(at ?? Number.NaN) <= 8.64e15) &&
    areCounts(alarms)
  );
}

function isOutput(given: unknown): boolean {
  const { name, count, median, wasCount, wasMedian, alarms, differs } = (given ??
    {}) as Partial<ShadowOutput>;
  return (
    typeof name === "string" &&
    [count, wasCount].every(isCount) &&
    [median, wasMedian].every(isValue) &&
    areCounts(alarms) &&
    (differs === undefined || isDifference(differs))
  );
}

function isShadow(answer: unknown): answer is Shadow {
  const { samples, fuel, oldFuel, trap, cut, outputs } = (answer ?? {}) as Partial<Shadow>;
  return (
    [samples, fuel].every(isCount) &&
    (oldFuel === undefined || isCount(oldFuel)) &&
    ["string", "undefined"].includes(typeof trap) &&
    typeof cut === "boolean" &&
    Array.isArray(outputs) &&
    outputs.every(isOutput)
  );
}
