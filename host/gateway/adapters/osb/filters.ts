// Hosted filters as the broker has them: what is asked for is checked before anything changes, started, replaced, stopped.
import { createHash } from "node:crypto";
import { UserError } from "../../../lib/errors.ts";
import { inspect } from "../../../lib/engine.ts";
import { nameFault } from "../../../lib/names.ts";
import { openPackage } from "../../../lib/package.ts";
import { Simulation } from "../../../lib/simulate.ts";
import type { Core } from "../../core.ts";
import type { HostedConfig } from "../../hosted.ts";
import { checked, forget, keep } from "../../hosted-routes.ts";
import { Refused } from "../../http.ts";
import { refuseTaken } from "../../known.ts";
import type { Offering, Plan } from "./catalog.ts";
import { BrokerError } from "./errors.ts";
import { objectOf, only, textOf, type Fields } from "./fields.ts";

/** Characters of Base64 that a package may have: those of 1 MiB. */
const longestBase64 = 1_400_000;

/** Where filters run. */
export interface Filters {
  /** What is asked for as it is kept; nothing is changed. */
  read(fields: Fields, offering: Offering, plan: Plan, instance: string): Fields;
  /** Whether a name belongs to something other than an instance of the broker. */
  taken(name: string): boolean;
  /** Starts a filter, or replaces it; once more is as good as once. */
  start(parameters: Fields): Promise<void>;
  stop(name: string): Promise<void>;
  /** Why a filter does not run; undefined where it does. */
  fault(name: string): string | undefined;
}

export function nameOf(parameters: Fields): string {
  return String(parameters["name"]);
}

export class HostedFilters implements Filters {
  readonly #gateway: Core;

  constructor(gateway: Core) {
    this.#gateway = gateway;
  }

  read(fields: Fields, offering: Offering, plan: Plan, instance: string): Fields {
    const preset = offering.package !== undefined;
    only(fields, ["name", "inputs", "parameters", ...(preset ? [] : ["package"])], "parameters");
    const inputs = objectOf(fields, "inputs");
    if (inputs === undefined) throw new BrokerError(400, "inputs is missing");
    for (const [sensor, source] of Object.entries(inputs))
      if (typeof source !== "string" || !/^[^/]+\/.+/.test(source) || source.length > 400)
        throw new BrokerError(400, `inputs.${sensor} names no resource as NODE/PATH`);
    const values = objectOf(fields, "parameters") ?? {};
    for (const [name, value] of Object.entries(values))
      if (typeof value !== "number" || !Number.isFinite(value))
        throw new BrokerError(400, `parameters.${name} is not a number`);
    const standard = `filter-${createHash("sha256").update(instance).digest("hex").slice(0, 12)}`;
    const name = textOf(fields, "name") ?? standard;
    const fault = nameFault(name);
    if (fault !== undefined) throw new BrokerError(400, fault);
    const text = offering.package === undefined ? base64Of(fields) : base64(offering.package);
    this.#try(Buffer.from(text, "base64"), inputs as Record<string, string>, values, plan);
    return { name, package: text, inputs, parameters: values };
  }

  /** Runs the module's start here, which no value of anybody's depends on. */
  #try(bytes: Buffer, inputs: Record<string, string>, values: Fields, plan: Plan): void {
    const packed = new Uint8Array(bytes);
    let needed: number;
    let sensors: readonly string[];
    try {
      checked(this.#gateway, packed);
      const { module } = openPackage(packed);
      needed = inspect(module).footprint.total;
      sensors = new Simulation(module, { parameters: values as Record<string, number> }).facts
        .sensors;
    } catch (error) {
      if (isFault(error)) throw new BrokerError(400, error.message || "the package is not taken");
      throw error;
    }
    if (needed > plan.memory)
      throw new BrokerError(
        422,
        `the module needs ${needed} bytes of memory, and the plan ${plan.name} has ${plan.memory}`,
      );
    const unfed = sensors.filter((sensor) => !Object.hasOwn(inputs, sensor));
    if (unfed.length > 0) throw new BrokerError(400, `inputs has nothing for ${unfed.join(", ")}`);
  }

  taken(name: string): boolean {
    try {
      refuseTaken(this.#gateway, name, "hosted");
    } catch {
      return true;
    }
    return this.#gateway.hosted.states().some((one) => one.name === name);
  }

  start(parameters: Fields): Promise<void> {
    const config: HostedConfig = {
      name: nameOf(parameters),
      package: new Uint8Array(Buffer.from(packageOf(parameters), "base64")),
      inputs: parameters["inputs"] as Record<string, string>,
      parameters: parameters["parameters"] as Record<string, number>,
    };
    this.#gateway.hosted.start(config, undefined, () => keep(this.#gateway, config));
    return Promise.resolve();
  }

  stop(name: string): Promise<void> {
    this.#gateway.hosted.stop(name);
    forget(this.#gateway, name);
    return Promise.resolve();
  }

  fault(name: string): string | undefined {
    const state = this.#gateway.hosted.states().find((one) => one.name === name);
    if (state === undefined) return "the filter does not run";
    return state.trap === undefined ? undefined : `the filter trapped: ${state.trap}`;
  }
}

/** What the package or what goes with it is to blame for. */
function isFault(error: unknown): error is Error {
  return (
    error instanceof Refused ||
    error instanceof UserError ||
    (error instanceof Error && /^(?:ModuleError|RangeError)$/.test(error.name))
  );
}

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");

const packageOf = (parameters: Fields) => String(parameters["package"]);

function base64Of(fields: Fields): string {
  if (!Object.hasOwn(fields, "package")) throw new BrokerError(400, "package is missing");
  const text = textOf(fields, "package", longestBase64)!;
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text))
    throw new BrokerError(400, "package is not Base64 (RFC 4648 §4)");
  return text;
}
