// Placements over HTTP, and what a gateway does as somebody's cloud: decide days that it is given, by a package that it was handed.
import { dateOf, depth, type DayInputs } from "../../flood/days.ts";
import { isRiverDay, ratingFlow } from "../../flood/history.ts";
import { places, type Place } from "../../flood/place.ts";
import { nameFault } from "../../lib/names.ts";
import { refuseTaken, refuseUnknown } from "../known.ts";
import { Refused, readBody, readJson, send, sendJson } from "../http.ts";
import { checked } from "../hosted-routes.ts";
import { audited, longestPackage, type Context, type Route } from "../route.ts";
import type { CloudAnswer } from "./cloud.ts";
import type { PlacementConfig } from "./store.ts";

function placeOf(text: unknown): Place {
  const found = places.find((one) => one === text);
  if (found === undefined) throw new Refused(400, `the place is one of ${places.join(", ")}`);
  return found;
}

function parametersOf(query: URLSearchParams): Record<string, number> {
  const parameters: Record<string, number> = {};
  for (const [key, value] of query) {
    if (!key.startsWith("param.")) continue;
    const number = Number(value);
    if (value.trim() === "" || !Number.isFinite(number))
      throw new Refused(400, `${key} is not a number`);
    parameters[key.slice("param.".length)] = number;
  }
  return parameters;
}

function configOf({ query, parts, request }: Context): PlacementConfig {
  const name = parts["name"] ?? "";
  const fault = nameFault(name);
  if (fault !== undefined) throw new Refused(400, fault);
  const level = query.get("level");
  if (level === null) throw new Refused(400, "level names the station that measures it");
  const cloud = query.get("cloud");
  if (cloud !== null && !/^https?:\/\/[^/]+/.test(cloud))
    throw new Refused(400, "cloud is the address of a gateway: http://HOST:PORT");
  const token = request.headers["wasmote-cloud-token"];
  const place = placeOf(query.get("place") ?? "gateway");
  const rain = query.get("rain") ?? level;
  if (place === "node" && rain !== level)
    throw new Refused(422, "level and rain come from two stations: neither can decide");
  if (place === "cloud" && cloud === null)
    throw new Refused(400, "nothing says where the cloud is");
  return {
    name,
    sources: { level, rain },
    place,
    parameters: parametersOf(query),
    ...(cloud === null
      ? {}
      : {
          cloud: {
            url: cloud.replace(/\/+$/, ""),
            ...(typeof token === "string" ? { token } : {}),
          },
        }),
  };
}

async function start(context: Context): Promise<void> {
  const { gateway, request, response } = context;
  const bytes = new Uint8Array(await readBody(request, longestPackage));
  checked(gateway, bytes);
  const config = configOf(context);
  refuseTaken(gateway, config.name, "placements");
  refuseUnknown(gateway, [config.sources.level, config.sources.rain]);
  sendJson(
    response,
    await audited(context, `place ${config.place}`, config.name, () =>
      gateway.placements.start(config, bytes),
    ),
  );
}

async function replace(context: Context): Promise<void> {
  const { gateway, parts, query, request, response } = context;
  const name = parts["name"] ?? "";
  const parameters = parametersOf(query);
  const bytes = new Uint8Array(await readBody(request, longestPackage));
  checked(gateway, bytes);
  sendJson(
    response,
    await audited(context, "replace package", name, () =>
      gateway.placements.replace(name, bytes, parameters),
    ),
  );
}

async function move(context: Context): Promise<void> {
  const name = context.parts["name"] ?? "";
  const place = placeOf((await readJson(context.request))["place"]);
  const view = await audited(context, `move to ${place}`, name, () =>
    Promise.resolve(context.gateway.placements.move(name, place)),
  );
  sendJson(context.response, view);
}

async function remove(context: Context): Promise<void> {
  const name = context.parts["name"] ?? "";
  await audited(context, "remove placement", name, () => context.gateway.placements.remove(name));
  sendJson(context.response, { removed: name });
}

/** Days as examples/flood/train.py reads them; the level stands behind. */
function days({ gateway, parts, query, response }: Context): void {
  const rating = Number(query.get("rating") ?? 20);
  if (!(rating > 0 && rating < 1e6)) throw new Refused(400, "rating is a number above 0");
  const rows = gateway.placements.history(parts["name"] ?? "").flatMap(({ day, rain, level }) => {
    const flow = ratingFlow(level, rating);
    // What no river's record has, a sensor that is broken may still have said: it is not taught.
    return isRiverDay({ rain, flow }) ? [`${dateOf(day)},${rain},${flow},${level}\n`] : [];
  });
  const csv = `# day, rain in mm, flow in m3/s, level in mm\n${rows.join("")}`;
  if (query.get("format") === "json") return sendJson(response, { csv, count: rows.length });
  send(response, 200, { "content-type": "text/csv;charset=utf-8" }, csv);
}

const mostDays = 1_024;

async function hand(context: Context): Promise<void> {
  const { gateway, parts, query, request, response } = context;
  const name = parts["name"] ?? "";
  const fault = nameFault(name);
  if (fault !== undefined) throw new Refused(400, fault);
  const bytes = new Uint8Array(await readBody(request, longestPackage));
  checked(gateway, bytes);
  const parameters: Record<string, number> = {};
  for (const [key, value] of query) {
    if (value.trim() === "" || !Number.isFinite(Number(value)))
      throw new Refused(400, `${key} is not a number`);
    parameters[key] = Number(value);
  }
  await audited(context, "decide for others", name, () =>
    Promise.resolve(gateway.deciders.start(name, bytes, parameters)),
  );
  sendJson(response, { started: name });
}

/** The days of a question: each [day, level, rain], rising. */
function daysOf(value: unknown): DayInputs[] {
  if (!Array.isArray(value) || value.length > mostDays)
    throw new Refused(400, `days is a list of at most ${mostDays}`);
  let last = -1;
  return value.map((one: unknown) => {
    const [day, level, rain] = (Array.isArray(one) ? one : []) as unknown[];
    if (
      !Number.isInteger(day) ||
      (day as number) <= last ||
      (day as number) > 2_932_896 ||
      typeof level !== "number" ||
      typeof rain !== "number"
    )
      throw new Refused(400, "each of the days is [day, level, rain], later than the one before");
    last = day as number;
    return { day: day as number, level, rain };
  });
}

async function decide({ gateway, parts, request, response }: Context): Promise<void> {
  const name = parts["name"] ?? "";
  const runner = gateway.deciders.of(name);
  const { from, days: given } = await readJson(request, 262_144);
  if (!Number.isInteger(from)) throw new Refused(400, "from is a day");
  const before = { ...runner.spent };
  const decisions = runner.decide(daysOf(given), from as number);
  const answer: CloudAnswer = {
    decisions: decisions.map(({ day, danger, alarm }) => [
      day,
      Number.isFinite(danger) ? danger : null,
      alarm,
    ]),
    fuel: runner.spent.fuel - before.fuel,
    milliseconds: runner.spent.milliseconds - before.milliseconds,
  };
  sendJson(response, answer);
}

export const placementRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/api/placements",
    role: "read",
    summary: "Flood alarms with the place where they are decided",
    handle: ({ gateway, response }) =>
      sendJson(response, { placements: gateway.placements.views() }),
  },
  {
    method: "GET",
    path: "/api/placements/{name}",
    role: "read",
    summary: "One of them",
    handle: ({ gateway, parts, response }) =>
      sendJson(response, gateway.placements.view(parts["name"] ?? "")),
  },
  {
    method: "PUT",
    path: "/api/placements/{name}",
    role: "install",
    summary: "Decides a station's flood alarm with a signed package, or replaces the package",
    query: {
      level: "the station that measures the level",
      rain: "the station that measures the rain; that of the level without it",
      place: "node, gateway or cloud",
      cloud: "the second gateway; its token in the header Wasmote-Cloud-Token",
      "param.NAME": "value of a parameter",
    },
    handle: start,
  },
  {
    method: "PUT",
    path: "/api/placements/{name}/place",
    role: "install",
    summary: 'Moves it: {"place": "cloud"}',
    handle: move,
  },
  {
    method: "GET",
    path: "/api/placements/{name}/days",
    role: "read",
    summary: "Its days, as the training script reads them",
    query: {
      rating: "of the rating curve: flow = rating · h · √h (20)",
      format: "json for the text with its number of days",
    },
    type: "text/csv",
    handle: days,
  },
  {
    method: "GET",
    path: "/api/placements/{name}/package",
    role: "read",
    summary: "The package that decides, in base64, with its stations and parameters",
    handle: ({ gateway, parts, response }) => {
      const { package: bytes, ...rest } = gateway.placements.packageOf(parts["name"] ?? "");
      sendJson(response, { ...rest, package: Buffer.from(bytes).toString("base64") });
    },
  },
  {
    method: "PUT",
    path: "/api/placements/{name}/package",
    role: "install",
    summary: "Decides with another signed package, or other values, from the next day on",
    query: { "param.NAME": "value of a parameter; the others stay" },
    handle: replace,
  },
  {
    method: "DELETE",
    path: "/api/placements/{name}",
    role: "install",
    summary: "Ends a placement and forgets its days",
    handle: remove,
  },
  {
    method: "PUT",
    path: "/api/deciders/{name}",
    role: "install",
    summary: "Takes a signed package that decides for another gateway",
    query: { NAME: "value of a parameter" },
    handle: hand,
  },
  {
    method: "POST",
    path: "/api/deciders/{name}/days",
    role: "operate",
    summary: `Decides days: {"from": 16071, "days": [[day, level, rain], …]}, those of the ${depth - 1} days before among them`,
    handle: decide,
  },
  {
    method: "DELETE",
    path: "/api/deciders/{name}",
    role: "install",
    summary: "Decides for it no more",
    handle: ({ gateway, parts, response }) => {
      const name = parts["name"] ?? "";
      if (!gateway.deciders.stop(name)) throw new Refused(404, `nothing decides as ${name}`);
      sendJson(response, { stopped: name });
    },
  },
];
