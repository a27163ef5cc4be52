// Hosted instances over HTTP: signed packages that run at the gateway, kept in its folder over a restart.
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { makeFolder, writeWhole } from "../lib/state.ts";
import { UserError } from "../lib/errors.ts";
import { nameFault } from "../lib/names.ts";
import { digestOf, openPackage } from "../lib/package.ts";
import { signingKey } from "../lib/project.ts";
import type { Core } from "./core.ts";
import { Refused, readBody, sendJson } from "./http.ts";
import { refuseTaken, strange } from "./known.ts";
import type { HostedConfig, HostedState } from "./hosted.ts";
import { audited, longestPackage, type Context, type Route } from "./route.ts";

/** A package runs here only when the project's key signed it, as on its nodes, and the module is the one that was signed. */
export function checked(gateway: Core, bytes: Uint8Array): void {
  let opened: ReturnType<typeof openPackage>;
  try {
    opened = openPackage(bytes);
  } catch (error) {
    throw new Refused(400, `this is not a package: ${(error as Error).message}`);
  }
  const { publicKey } = signingKey(gateway.project);
  if (!opened.verify(publicKey))
    throw new Refused(403, "the project's key did not sign this package");
  if (Buffer.compare(digestOf(opened.module), opened.manifest.digest) !== 0)
    throw new Refused(400, "the module is not the one that was signed");
}

const folderOf = (gateway: Core) => join(gateway.options.folder, "hosted");

/** `level=wye/sensors/level`, as often as the module has sensors; `param.limit=150` for parameters. */
function configOf({ query, parts }: Context, bytes: Uint8Array): HostedConfig {
  // Without what every object has: a sensor may be called `constructor`, and a parameter that there is not `__proto__`.
  const inputs = Object.create(null) as Record<string, string>;
  const parameters = Object.create(null) as Record<string, number>;
  for (const [key, value] of query) {
    if (key.startsWith("param.")) {
      const number = Number(value);
      if (value.trim() === "" || !Number.isFinite(number))
        throw new Refused(400, `${key} is not a number`);
      parameters[key.slice("param.".length)] = number;
    } else {
      if (!/^[^/]+\/.+/.test(value)) throw new Refused(400, `${key} names a resource as NODE/PATH`);
      inputs[key] = value;
    }
  }
  return { name: parts["name"] ?? "", package: bytes, inputs, parameters };
}

function started(gateway: Core, config: HostedConfig, kept?: () => void): HostedState {
  refuseTaken(gateway, config.name, "hosted");
  try {
    return gateway.hosted.start(config, undefined, kept);
  } catch (error) {
    if (error instanceof UserError)
      throw new Refused(422, [error.message, error.advice].filter(Boolean).join("; "));
    // A module that the engine does not take, or parameters that it does not have.
    if (error instanceof Error && /ModuleError|RangeError/.test(error.name))
      throw new Refused(422, error.message);
    throw error;
  }
}

async function start(context: Context): Promise<void> {
  const { gateway, parts } = context;
  const name = parts["name"] ?? "";
  const bytes = new Uint8Array(await readBody(context.request, longestPackage));
  checked(gateway, bytes);
  const config = configOf(context, bytes);
  // A node may come later than what it feeds: it is told, and no reason to refuse.
  const sources = Object.values(config.inputs);
  const unknown = [...new Set(sources.flatMap((source) => strange(gateway, source) ?? []))];
  const state = await audited(context, "host", name, async () =>
    started(gateway, config, () => keep(gateway, config)),
  );
  sendJson(context.response, { ...state, ...(unknown.length > 0 ? { unknown } : {}) });
}

/** Written whole or not at all: the package is in the same file as what feeds it. */
export function keep(
  gateway: Core,
  { name, package: bytes, inputs, parameters }: HostedConfig,
): void {
  const folder = folderOf(gateway);
  makeFolder(folder, 0o700);
  const file = join(folder, `${encodeURIComponent(name)}.json`);
  const text = JSON.stringify({
    name,
    inputs,
    parameters,
    package: Buffer.from(bytes).toString("base64"),
  });
  writeWhole(file, text, 0o600);
}

/** What was kept under a name goes. */
export function forget(gateway: Core, name: string): void {
  rmSync(join(folderOf(gateway), `${encodeURIComponent(name)}.json`), { force: true });
}

/** Starts what ran here before; one that does not start is told, and is no reason for the others. */
export function startKept(gateway: Core): void {
  const folder = folderOf(gateway);
  if (!existsSync(folder)) return;
  for (const file of readdirSync(folder).filter((one) => one.endsWith(".json"))) {
    try {
      const kept = JSON.parse(readFileSync(join(folder, file), "utf8")) as HostedConfig & {
        package: unknown;
      };
      const bytes = new Uint8Array(Buffer.from(String(kept.package), "base64"));
      checked(gateway, bytes);
      started(gateway, { ...kept, package: bytes });
    } catch (error) {
      gateway.options.say(`the hosted ${file} does not start: ${(error as Error).message}`);
    }
  }
}

function stop({ gateway, parts, response }: Context): void {
  const name = parts["name"] ?? "";
  if (nameFault(name) !== undefined || !gateway.hosted.stop(name))
    throw new Refused(404, `nothing is hosted as ${name}`);
  forget(gateway, name);
  sendJson(response, { stopped: name });
}

export const hostedRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/api/hosted",
    role: "read",
    summary: "The packages that run at the gateway, with what feeds them",
    handle: ({ gateway, response }) => sendJson(response, { hosted: gateway.hosted.states() }),
  },
  {
    method: "PUT",
    path: "/api/hosted/{name}",
    role: "install",
    summary: "Runs a signed package at the gateway; its outputs come under this name",
    query: {
      SENSOR: "the resource that feeds this sensor, as NODE/sensors/level",
      "param.NAME": "value of a parameter",
    },
    handle: start,
  },
  {
    method: "DELETE",
    path: "/api/hosted/{name}",
    role: "install",
    summary: "Stops a hosted package",
    handle: stop,
  },
];
