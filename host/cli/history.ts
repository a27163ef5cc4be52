// Shows what a gateway has kept of a resource: values, or what steps of time had.
import { mostPoints, resolutions, type Point } from "../gateway/history.ts";
import { UserError } from "../lib/errors.ts";
import { gatewayPlace } from "../lib/gateway.ts";
import { throughGateway } from "../lib/project.ts";
import { oneLine, shortest } from "../lib/text.ts";
import { ask, print, project, say } from "./context.ts";

interface Options {
  gateway?: string;
  token?: string;
  since?: string;
  until?: string;
  step?: string;
  limit: string;
  json?: boolean;
}

export async function historyVerb(given: string, path: string, options: Options): Promise<void> {
  const through = throughGateway(project(), given);
  if (through !== undefined && options.gateway !== undefined)
    throw new UserError(
      `${oneLine(given)} and --gateway together mean two gateways`,
      "take one of them",
      "usage",
    );
  const node = through?.node ?? given;
  const resource = path.replace(/^\//, "");
  const query = new URLSearchParams({
    node,
    resource,
    resolution: stepOf(options.step),
    limit: limitOf(options.limit),
  });
  const now = Date.now();
  if (options.since !== undefined) query.set("from", String(moment(options.since, now)));
  if (options.until !== undefined) query.set("to", String(moment(options.until, now)));
  const place = gatewayPlace(through?.url ?? options.gateway, options.token);
  const kept = await ask(place, `/api/history?${query.toString()}`, { is: hasPoints });
  const { points } = kept;
  if (points.length === 0 && options.json !== true) {
    say(`the gateway has kept nothing of ${oneLine(`${node} ${resource}`)} in that time`);
    return;
  }
  print(options.json, kept, () => points.map(line).join("\n"));
  // The gateway gives the oldest first, so that what is newer is missing.
  if (options.json !== true && points.length === Number(options.limit))
    say(
      `these are the oldest ${points.length}: --since, or --limit up to ${mostPoints}, shows what is newer`,
    );
}

function hasPoints(kept: unknown): kept is { points: Point[] } {
  const points = (kept as { points?: unknown } | null)?.points;
  const numeric = (value: unknown) => typeof value === "number";
  const good = (point: Partial<Point> | null) =>
    Math.abs(point?.time ?? Number.NaN) <= latest &&
    (point?.value === null || numeric(point?.value)) &&
    ["string", "undefined"].includes(typeof point.text) &&
    [point.n, point.min, point.max].every((one) => one === undefined || numeric(one));
  return Array.isArray(points) && points.every(good);
}

/** The last moment that has a date (ECMA-262 §21.4.1.1). */
const latest = 8.64e15;

function line(point: Point): string {
  const { value, text, n, min, max } = point;
  const at = new Date(point.time).toISOString();
  if (text !== undefined) return `${at}  ${oneLine(text)}`;
  if (value === null) return `${at}  (gap)`;
  const step =
    n === undefined || min === undefined || max === undefined
      ? ""
      : `  ${shortest(min)} … ${shortest(max)}, ${n} values`;
  return `${at}  ${shortest(value)}${step}`;
}

function stepOf(text = "raw"): string {
  const steps = Object.keys(resolutions);
  if (steps.includes(text)) return text;
  throw new UserError(`${oneLine(text)} is not a step`, `one of: ${steps.join(", ")}`, "usage");
}

function limitOf(text: string): string {
  if (/^[1-9]\d{0,5}$/.test(text) && Number(text) <= mostPoints) return text;
  throw new UserError(
    `${oneLine(text)} is not a number of points`,
    `write one from 1 to ${mostPoints}: --limit 1000`,
    "usage",
  );
}

const units = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** A moment as somebody wrote it, in milliseconds since 1970: so long ago, or a date. */
function moment(text: string, now: number): number {
  const ago = /^(\d{1,6})([smhd])$/.exec(text);
  if (ago !== null) return now - Number(ago[1]) * units[ago[2] as keyof typeof units];
  const date = /^\d{4}-/.test(text) ? Date.parse(text) : Number.NaN;
  // A negative number is a time ago for the gateway.
  if (date >= 0) return date;
  throw new UserError(
    `${oneLine(text)} is not a time`,
    "write how long ago (90s, 15m, 2h, 7d) or a moment (2026-11-28T12:00:00Z)",
    "usage",
  );
}
