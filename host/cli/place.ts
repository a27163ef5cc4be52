// Puts a model or a filter where it costs least, or where one says: on the node, at the gateway, on a second gateway as the cloud.
import { writeFileSync } from "node:fs";
import { basename, extname, join } from "node:path";
import { links, places, type Place, type Situation } from "../flood/place.ts";
import { readWhole } from "../lib/files.ts";
import { UserError } from "../lib/errors.ts";
import { inspect } from "../lib/engine.ts";
import { gatewayPlace } from "../lib/gateway.ts";
import { installProgram, signProgram, type Installed } from "../lib/install.ts";
import type { Program } from "../lib/program.ts";
import type { KeyPair } from "../lib/package.ts";
import { nextSequence } from "../lib/sequence.ts";
import { runFuel, Simulation } from "../lib/simulate.ts";
import { oneLine } from "../lib/text.ts";
import { ask, patienceOf, print, project, say, table, withNode } from "./context.ts";
import { refuseFallen, told } from "./push.ts";
import { chosen, cutOf, estimated, keyOf, type PlaceOptions } from "./placing.ts";
import { placeStation } from "./place-station.ts";
import { load } from "./program.ts";
import { temporaryFolder } from "../lib/temporary.ts";

export async function placeVerb(file: string, options: PlaceOptions): Promise<void> {
  const on = ([...places, "auto"] as const).find((one) => one === options.on);
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
  if (options.station !== undefined) return placeStation(file, on, options);
  const key = options.dryRun === true ? undefined : keyOf(on, options);
  const program = await programOf(file);
  const feeds = feedsOf(options.feed ?? [], program.facts.sensors);
  const situation = situationOf(program, feeds, options, await cutOf(options));
  const decision = chosen(situation);
  const place: Place = on === "auto" ? decision.place : on;
  const because = on === "auto" ? decision.because : "it was said so";
  const { hosting, installed } =
    key === undefined ? {} : await put(place, program, feeds, options, key);
  for (const one of hosting?.unknown ?? []) say(`it waits for what feeds it: ${oneLine(one)}`);
  print(
    options.json,
    {
      place,
      because,
      fuel: situation.fuel,
      estimates: decision.estimates,
      moved: options.dryRun !== true,
      ...hosting,
      ...(installed === undefined ? {} : { installed }),
    },
    () =>
      table([
        [options.dryRun === true ? "would go to" : "runs on", place],
        ["because", because],
        ...(installed === undefined ? [] : [["installed", told(installed)] as [string, string]]),
        ...outputsOf(program, hosting),
        ...estimated(decision),
      ]),
  );
}

/** Where the outputs of what runs at a gateway are read. */
const outputsOf = ({ facts }: Program, hosting: Hosting | undefined): [string, string][] =>
  hosting === undefined
    ? []
    : facts.outputs.map((output) => ["read it at", `${hosting.url}/${output.name}`]);

/** A source or a module as other verbs take it; an ONNX file as the filter that it is. */
async function programOf(file: string): Promise<Program> {
  if (extname(file) !== ".onnx") return load(file);
  const { buildFilter, compileModel } = await import("../model/model.ts");
  const name = basename(file, ".onnx");
  const { module } = await buildFilter(compileModel(readWhole(file), { name, arithmetic: "int8" }));
  using scratch = temporaryFolder("place");
  const folder = scratch.path;
  writeFileSync(join(folder, `${name}.wasm`), module);
  return await load(join(folder, `${name}.wasm`));
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
  cut: Pick<Situation, "cut" | "unnamed">,
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
    ...cut,
  };
}

/** Starts it there first, and only then stops it where it was; what runs on the node stays, for when the link goes. */
async function put(
  place: Place,
  program: Program,
  feeds: Map<string, string>,
  options: PlaceOptions,
  key: KeyPair,
): Promise<{ hosting?: Hosting; installed?: Installed }> {
  const done: { hosting?: Hosting; installed?: Installed } = {};
  const gateways = { gateway: options.gateway, cloud: options.cloud };
  if (place === "node")
    await withNode(options, async (node) => {
      done.installed = await installProgram(node, project(), program, key);
      // Else it would be stopped at the gateway, and run nowhere.
      await refuseFallen(node, program.digest, "what runs at a gateway goes on there");
    });
  else {
    const bytes = signProgram(project(), program, key, {
      sequence: nextSequence(project(), { highest: 0, era: 0 }),
      boardClass: "hosted",
    });
    done.hosting = await host(place, gateways[place], `PUT`, program.name, options, {
      feeds,
      bytes,
    });
  }
  for (const other of ["gateway", "cloud"] as const)
    if (other !== place && gateways[other] !== undefined)
      await host(other, gateways[other], "DELETE", program.name, options);
  return done;
}

/** What runs at a gateway: where its outputs are, and what is said of sources that there are not. */
interface Hosting {
  url: string;
  unknown: readonly string[];
}

async function host(
  place: "gateway" | "cloud",
  base: string | undefined,
  method: "PUT" | "DELETE",
  name: string,
  options: PlaceOptions,
  sent?: { feeds: Map<string, string>; bytes: Uint8Array },
): Promise<Hosting> {
  if (base === undefined)
    throw new UserError(
      `nothing says where the ${place} is`,
      `add --${place} http://HOST:PORT`,
      "usage",
    );
  const feeds = new URLSearchParams([...(sent?.feeds ?? [])]).toString();
  const at = gatewayPlace(base, options.token);
  const answer = await ask<{ unknown?: unknown } | undefined>(
    at,
    `/api/hosted/${encodeURIComponent(name)}?${feeds}`,
    {
      method,
      limit: patienceOf(options),
      what: place,
      ...(sent === undefined ? {} : { body: sent.bytes }),
    },
  );
  const unknown = Array.isArray(answer?.unknown) ? answer.unknown.map(String) : [];
  return { url: `${at.url}/nodes/${encodeURIComponent(name)}/outputs`, unknown };
}
