// A flood alarm by the days of a station that a gateway knows: `wasmote place --station` starts it, moves it, and gives it another package. It
// moves while days come in, and no alarm is lost or told twice (host/flood/placement.ts).
import { writeFileSync } from "node:fs";
import { extname, join } from "node:path";
import { DayRunner, depth } from "../flood/days.ts";
import { stationSituation, type Place } from "../flood/place.ts";
import { buildStation, type StationOptions } from "../flood/station.ts";
import { UserError } from "../lib/errors.ts";
import { readWhole } from "../lib/files.ts";
import { gatewayPlace, type GatewayPlace } from "../lib/gateway.ts";
import { signProgram } from "../lib/install.ts";
import { nameFault } from "../lib/names.ts";
import type { Program } from "../lib/program.ts";
import { signingKey } from "../lib/project.ts";
import { nextSequence } from "../lib/sequence.ts";
import { ask, patienceOf, print, project, table } from "./context.ts";
import { chosen, estimated, keyOf, type PlaceOptions } from "./placing.ts";
import { load } from "./program.ts";
import { temporaryFolder } from "../lib/temporary.ts";

/** What is used of a placement's view, of a node's, and of both in a list. */
interface Placed {
  name: string;
  sources: { level: string; rain: string };
  place: string;
  digest: string;
  cloud: string | null;
}
interface StationView {
  info: { class: string } | null;
  app: { digest?: string; highest: number } | null;
}

const isPlaced = (answer: unknown): answer is Placed => {
  const { name, sources, place, digest, cloud } = (answer ?? {}) as Partial<Placed>;
  return (
    [name, sources?.level, sources?.rain, place, digest].every((one) => typeof one === "string") &&
    (cloud === null || typeof cloud === "string")
  );
};
const arePlaced = (answer: unknown): answer is { placements: Placed[] } => {
  const { placements } = (answer ?? {}) as { placements?: unknown };
  return Array.isArray(placements) && placements.every(isPlaced);
};
export const isStation = (answer: unknown): answer is StationView => {
  const { info, app } = (answer ?? {}) as Partial<StationView>;
  return (
    (info === null || info === undefined || typeof info.class === "string") &&
    (app === null ||
      app === undefined ||
      (["string", "undefined"].includes(typeof app.digest) && Number.isSafeInteger(app.highest)))
  );
};

export async function placeStation(
  file: string,
  on: Place | "auto",
  options: PlaceOptions,
): Promise<void> {
  const { station = "", rain = station, cloud, cloudToken } = options;
  if (options.gateway === undefined && options.dryRun !== true)
    throw new UserError(
      "nothing says which gateway knows the station",
      "add --gateway http://HOST:PORT",
      "usage",
    );
  const name = `${station}-flood`;
  const fault = nameFault(name);
  if (fault !== undefined)
    throw new UserError(
      fault,
      "name a node as the gateway does: `wasmote scan` finds them",
      "usage",
    );
  const at = gatewayPlace(options.gateway, options.token);
  const how = { limit: patienceOf(options) };
  // Whether there is a gateway at all is known before anything is built.
  const { placements } =
    options.dryRun === true
      ? { placements: [] }
      : await ask(at, "/api/placements", { is: arePlaced, ...how });
  if (options.dryRun !== true) keyOf(on, options);
  const program = await stationProgram(file);
  const fuel = fuelOf(program);
  const before = placements.find((one) => one.name === name);
  // A placement that is moved knows its cloud; where it is only asked what would be, there could be one.
  const unnamed = cloud === undefined && !before?.cloud && options.dryRun !== true;
  const cut: "cloud"[] = unnamed ? ["cloud"] : [];
  const sources = rain === station ? 1 : 2;
  const decision = chosen(
    stationSituation(fuel, { link: options.link, sources, cut, unnamed: cut }),
  );
  const place = on === "auto" ? decision.place : on;
  const because = on === "auto" ? decision.because : "it was said so";
  const shown = { place, because, fuel, estimates: decision.estimates };
  if (options.dryRun === true)
    return print(options.json, { ...shown, moved: false }, () =>
      table([["would go to", place], ["because", because], ...estimated(decision)]),
    );
  const path = `/api/placements/${encodeURIComponent(name)}`;
  const { digest } = program;
  // The station itself has the same package, for when links go; with the rain of another it cannot decide.
  if (rain === station) await toStation(at, station, program, options, how);
  const url = cloud === undefined ? undefined : gatewayPlace(cloud).url;
  const same =
    before?.digest === digest &&
    before.sources.level === station &&
    before.sources.rain === rain &&
    (url === undefined || (before.cloud === url && cloudToken === undefined));
  if (same)
    await ask(at, `${path}/place`, {
      method: "PUT",
      body: Buffer.from(JSON.stringify({ place })),
      ...how,
    });
  else {
    const query = new URLSearchParams({ level: station, rain, place });
    if (url !== undefined) query.set("cloud", url);
    await ask(at, `${path}?${query.toString()}`, {
      method: "PUT",
      body: signedAs(program, "hosted", 0, options.key),
      ...how,
      ...(cloudToken === undefined ? {} : { headers: { "wasmote-cloud-token": cloudToken } }),
    });
  }
  const was =
    before === undefined ? "" : before.place === place ? "" : ` (before: ${before.place})`;
  print(options.json, { ...shown, name, moved: true, replaced: !same }, () =>
    table([
      ["decided on", `${place}${was}`],
      ["because", because],
      ["alarms", `${at.url}/nodes/${name}/outputs/alarm`],
      ...estimated(decision),
    ]),
  );
}

/** Brings a package to a station through its gateway, where it does not have it. */
async function toStation(
  at: GatewayPlace,
  station: string,
  program: Program,
  { key }: PlaceOptions,
  how: { limit: number },
): Promise<void> {
  const path = `/api/nodes/${encodeURIComponent(station)}`;
  const { info, app } = await ask(at, path, { is: isStation, ...how });
  if (app?.digest === program.digest) return;
  if (!info || !app)
    throw new UserError(
      `the gateway has not reached ${station} yet, so it does not have the package`,
      "once more when it is there",
      "unreachable",
    );
  await ask(at, `${path}/app`, {
    method: "PUT",
    body: signedAs(program, info.class, app.highest, key),
    ...how,
  });
}

export function signedAs(
  program: Program,
  boardClass: string,
  highest: number,
  key: string | undefined,
): Uint8Array {
  const sequence = nextSequence(project(), { highest, era: 0 });
  return signProgram(project(), program, signingKey(project(), key), { sequence, boardClass });
}

/** Units of fuel of a decision. */
function fuelOf({ module }: Program): number {
  try {
    const runner = new DayRunner(module);
    const days = Array.from({ length: depth }, (_, day) => ({ day, level: 1000, rain: 1 }));
    runner.decide(days, 0);
    return runner.spent.fuel;
  } catch (error) {
    throw new UserError(
      `it is not the module of a station: ${(error as Error).message}`,
      "assembly/flood/station.ts is one; an ONNX file becomes one",
      "check",
    );
  }
}

/** A station's package: of an ONNX file with the inputs of examples/flood/evening.onnx, or a source or a module of one's own. */
async function stationProgram(file: string): Promise<Program> {
  return extname(file) === ".onnx" ? stationOf({ network: readWhole(file) }) : load(file);
}

/** The module of a station as other verbs take it. */
export async function stationOf(options: StationOptions): Promise<Program> {
  const { module } = await buildStation(options).catch((error: unknown) => {
    if (error instanceof RangeError) throw new UserError(error.message, undefined, "check");
    throw error;
  });
  using scratch = temporaryFolder("station");
  const folder = scratch.path;
  writeFileSync(join(folder, "station.wasm"), module);
  return await load(join(folder, "station.wasm"));
}
