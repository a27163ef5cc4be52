// Puts a model or a filter where it costs least, or where one says: on the node, at the gateway, on a second gateway as the cloud.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, extname, join } from "node:path";
import { readWhole } from "../lib/files.ts";
import { choose, links, places, type Place, type Situation } from "../flood/place.ts";
import { UserError } from "../lib/errors.ts";
import { inspect } from "../lib/engine.ts";
import { askGateway, gatewayPlace } from "../lib/gateway.ts";
import { installProgram, signProgram } from "../lib/install.ts";
import type { Program } from "../lib/program.ts";
import { signingKey } from "../lib/project.ts";
import { nextSequence } from "../lib/sequence.ts";
import { runFuel, Simulation } from "../lib/simulate.ts";
import { oneLine } from "../lib/text.ts";
import {
  interruption,
  milliseconds,
  print,
  project,
  table,
  withNode,
  type NodeOptions,
} from "./context.ts";
import { load } from "./program.ts";

export interface PlaceOptions extends NodeOptions {
  on: string;
  link: string;
  feed?: string[];
  gateway?: string;
  cloud?: string;
  token?: string;
  key?: string;
  dryRun?: boolean;
}

export async function placeVerb(file: string, options: PlaceOptions): Promise<void> {
  const on = [...places, "auto"].find((one) => one === options.on);
  if (on === undefined)
    throw new UserError(
      `${oneLine(options.on)} is not a place`,
      `take one of ${places.join(", ")}, auto`,
      "usage",
    );
  if (!Object.hasOwn(links, options.link))
    throw new UserError(
      `${oneLine(options.link)} is not a link`,
      `take one of ${Object.keys(links).join(", ")}`,
      "usage",
    );
  const program = await programOf(file);
  const feeds = feedsOf(options.feed ?? [], program.facts.sensors);
  const situation = situationOf(program, feeds, options);
  const decision = (() => {
    try {
      return choose(situation);
    } catch (error) {
      if (error instanceof RangeError)
        throw new UserError(error.message, "--on names a place yourself", "check");
      throw error;
    }
  })();
  const place: Place = on === "auto" ? decision.place : (on as Place);
  const because = on === "auto" ? decision.because : "it was said so";
  if (options.dryRun !== true) await put(place, program, feeds, options);
  print(
    options.json,
    {
      place,
      because,
      fuel: situation.fuel,
      estimates: decision.estimates,
      moved: options.dryRun !== true,
    },
    () =>
      table([
        [options.dryRun === true ? "would go to" : "runs on", place],
        ["because", because],
        ...decision.estimates.map((one): [string, string] => [
          one.place,
          one.why ??
            `cost ${short(one.cost)}: ${short(one.energy)} uJ of the node, ${short(one.bytes)} bytes on its link, ${short(one.staleness)} ms`,
        ]),
      ]),
  );
}

const short = (value = 0) => String(Number(value.toPrecision(3)));

/** A source or a module as other verbs take it; an ONNX file as the filter that it is. */
async function programOf(file: string): Promise<Program> {
  if (extname(file) !== ".onnx") return load(file);
  const { buildFilter, compileModel } = await import("../model/model.ts");
  const name = basename(file, ".onnx");
  const { module } = await buildFilter(compileModel(readWhole(file), { name, arithmetic: "int8" }));
  const folder = mkdtempSync(join(tmpdir(), "wasmote-place-"));
  try {
    writeFileSync(join(folder, `${name}.wasm`), module);
    return await load(join(folder, `${name}.wasm`));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** `level=wye/sensors/level`: what feeds each sensor where the module is hosted. */
function feedsOf(words: readonly string[], sensors: readonly string[]): Map<string, string> {
  const feeds = new Map<string, string>();
  for (const word of words) {
    const [, sensor = "", source = ""] = /^([^=]+)=([^/]+\/.+)$/.exec(word) ?? [];
    if (!sensors.includes(sensor))
      throw new UserError(
        `${oneLine(word)} feeds no sensor of the module`,
        `write --feed SENSOR=NODE/sensors/NAME, for: ${sensors.join(", ")}`,
        "usage",
      );
    feeds.set(sensor, source);
  }
  return feeds;
}

/** What the decision is made of: fuel is measured with a value for each sensor. */
function situationOf(
  { module, facts }: Program,
  feeds: Map<string, string>,
  options: PlaceOptions,
): Situation {
  const simulation = new Simulation(module, { fuel: Number.MAX_SAFE_INTEGER });
  facts.sensors.forEach((sensor, at) => simulation.sample({ at, sensor, value: 1 }));
  const sources = new Set([...feeds.values()].map((source) => source.split("/")[0]));
  const { footprint } = inspect(module);
  // The smallest board of this project; `check --node` asks the node itself.
  const room = 64 * 1024;
  return {
    fuel: Math.max(...simulation.fuel),
    inputs: facts.sensors.length,
    outputs: facts.outputs.length,
    sources: Math.max(1, sources.size),
    changes: 1,
    link: options.link,
    budget: { node: runFuel },
    ...(footprint.total > room
      ? { misfit: `it needs ${footprint.total} bytes of RAM, a node has ${room}` }
      : {}),
    // Where it is only asked, what is not named could be there.
    cut: (["gateway", "cloud"] as const).filter(
      (one) => options.dryRun !== true && options[one] === undefined,
    ),
  };
}

/** Starts it there first, and only then stops it where it was; what runs on the node stays, for when the link goes. */
async function put(
  place: Place,
  program: Program,
  feeds: Map<string, string>,
  options: PlaceOptions,
): Promise<void> {
  const key = signingKey(project(), options.key);
  const gateways = { gateway: options.gateway, cloud: options.cloud };
  if (place === "node")
    await withNode(options, (node) => installProgram(node, project(), program, key));
  else {
    const bytes = signProgram(project(), program, key, {
      sequence: nextSequence(project(), { highest: 0, era: 0 }),
      boardClass: "hosted",
    });
    await ask(place, gateways[place], `PUT`, program.name, options, { feeds, bytes });
  }
  for (const other of ["gateway", "cloud"] as const)
    if (other !== place && gateways[other] !== undefined)
      await ask(other, gateways[other], "DELETE", program.name, options);
}

async function ask(
  place: "gateway" | "cloud",
  base: string | undefined,
  method: "PUT" | "DELETE",
  name: string,
  { token, timeout }: PlaceOptions,
  sent?: { feeds: Map<string, string>; bytes: Uint8Array },
): Promise<void> {
  if (base === undefined)
    throw new UserError(
      `nothing says where the ${place} is`,
      `add --${place} http://HOST:PORT`,
      "usage",
    );
  const limit = milliseconds(timeout ?? "30", "--timeout 10", "time-out");
  const feeds = new URLSearchParams([...(sent?.feeds ?? [])]).toString();
  const at = gatewayPlace(base);
  await askGateway(
    { ...at, token: token ?? at.token },
    `/api/hosted/${encodeURIComponent(name)}?${feeds}`,
    {
      method,
      limit,
      what: place,
      signal: interruption(),
      ...(sent === undefined ? {} : { body: sent.bytes }),
    },
  );
}
