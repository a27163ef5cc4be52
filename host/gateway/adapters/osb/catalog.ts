// What the broker offers: services with their plans, and the parameters that each takes (Open Service Broker v2.17, "Catalog Management").
import { createHmac } from "node:crypto";
import { BrokerError } from "./errors.ts";
import { only, textsOf, type Fields } from "./fields.ts";

/** series: values over time; stream: values as they come; filter: a package that runs at the gateway. */
export type Kind = "series" | "stream" | "filter";

export interface Plan {
  id: string;
  name: string;
  description: string;
  /** Of series: raw values, and not only steps of a minute or an hour. */
  raw: boolean;
  /** Of streams: each binding is of an application. */
  requiresApp: boolean;
  /** Of filters: bytes that an instance may need. */
  memory: number;
}

export interface Offering {
  id: string;
  name: string;
  description: string;
  tags: string[];
  kind: Kind;
  /** Instances and bindings come to be after the answer. */
  asynchronous: boolean;
  /** Of filters: the package, where the operator chose it. */
  package: Uint8Array | undefined;
  plans: Plan[];
}

/** A filter that the operator offers under a name: a forecast of floods, for one. */
export interface PresetFilter {
  name: string;
  description: string;
  package: Uint8Array;
}

/** Rises when instances of a plan have to be brought to a newer state. */
export const maintenance = { version: "1.0.0", description: "The first state of all plans." };

/** Days that a binding's credentials are good for, unless its parameters say otherwise, and at most. */
export const standardDays = 90;
export const mostDays = 3_650;

export const smallMemory = 64 << 10;
export const largeMemory = 1 << 20;

interface PlanText {
  name: string;
  description: string;
  raw?: true;
  requiresApp?: true;
  memory?: number;
}

export class Catalog {
  readonly offerings: readonly Offering[];

  /** Two gateways at one platform may not have the same ids (a platform refuses the second), so they are made of the gateway's own key. */
  constructor(key: Uint8Array, prefix: string, presets: readonly PresetFilter[]) {
    const id = (text: string) => uuid(createHmac("sha256", key).update(`id\0${text}`).digest());
    const offering = (
      name: string,
      kind: Kind,
      description: string,
      tags: string[],
      plans: PlanText[],
      bytes?: Uint8Array,
    ): Offering => ({
      id: id(name),
      name: `${prefix}-${name}`,
      description,
      tags: ["wasmote", ...tags],
      kind,
      asynchronous: kind === "filter",
      package: bytes,
      plans: plans.map(({ raw = false, requiresApp = false, memory = 0, ...rest }) => ({
        id: id(`${name}\0${rest.name}`),
        raw,
        requiresApp,
        memory,
        ...rest,
      })),
    });
    this.offerings = [
      offering(
        "series",
        "series",
        "What sensors and filters said, over time",
        ["time-series"],
        [
          { name: "steps", description: "Steps of one minute and of one hour" },
          { name: "raw", description: "Each value, and steps", raw: true },
        ],
      ),
      offering(
        "stream",
        "stream",
        "What sensors and filters say, as it comes",
        ["streaming"],
        [
          { name: "shared", description: "Bindings for whoever needs one" },
          {
            name: "application",
            description: "Each binding belongs to one application",
            requiresApp: true,
          },
        ],
      ),
      offering(
        "filter",
        "filter",
        "Runs a signed package at the gateway",
        ["webassembly"],
        [
          { name: "small", description: "At most 64 KiB of memory", memory: smallMemory },
          { name: "large", description: "At most 1 MiB of memory", memory: largeMemory },
        ],
      ),
      ...presets.map(({ name, description, package: bytes }) =>
        offering(
          name,
          "filter",
          description,
          ["webassembly"],
          [{ name: "standard", description: "As the operator offers it", memory: largeMemory }],
          bytes,
        ),
      ),
    ];
  }

  /** The offering and the plan of a request; both have to be of this catalogue. */
  find(service: string, plan: string): { offering: Offering; plan: Plan } {
    const offering = this.offering(service);
    const found = offering.plans.find(({ id }) => id === plan);
    if (found === undefined)
      throw new BrokerError(400, "plan_id is not the id of a plan of this service");
    return { offering, plan: found };
  }

  offering(service: string): Offering {
    const found = this.offerings.find(({ id }) => id === service);
    if (found === undefined)
      throw new BrokerError(400, "service_id is not the id of a service of the catalogue");
    return found;
  }

  toJSON(): object {
    return {
      services: this.offerings.map((offering) => ({
        name: offering.name,
        id: offering.id,
        description: offering.description,
        tags: offering.tags,
        requires: [],
        bindable: true,
        instances_retrievable: true,
        bindings_retrievable: true,
        allow_context_updates: true,
        plan_updateable: offering.plans.length > 1,
        metadata: { displayName: offering.description },
        plans: offering.plans.map((plan) => ({
          id: plan.id,
          name: plan.name,
          description: plan.description,
          free: true,
          bindable: true,
          binding_rotatable: true,
          maximum_polling_duration: 600,
          maintenance_info: maintenance,
          schemas: schemas(offering),
        })),
      })),
    };
  }
}

/** A hash as an identifier in the form of RFC 9562 §5.8 (version 8: the content is the maker's own). */
function uuid(hash: Uint8Array): string {
  const bytes = Buffer.from(hash.subarray(0, 16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x80;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** Which resources an instance of series or stream is about. */
export interface Selection {
  nodes: string[];
  resources: string[];
}

export function selectionOf(fields: Fields): Selection {
  only(fields, ["nodes", "resources"], "parameters");
  return {
    nodes: textsOf(fields, "nodes", ["*"]),
    resources: textsOf(fields, "resources", ["*"]),
  };
}

/** Days that a binding lives. */
export function daysOf(fields: Fields | undefined): number {
  if (fields === undefined) return standardDays;
  only(fields, ["days"], "parameters");
  const days = Object.hasOwn(fields, "days") ? fields["days"] : standardDays;
  if (typeof days !== "number" || !Number.isInteger(days) || days < 1 || days > mostDays)
    throw new BrokerError(400, `days is a whole number from 1 to ${mostDays}`);
  return days;
}

// ---- the same rules as JSON Schema, for platforms that show forms -----------------------------------------------------

const draft = "http://json-schema.org/draft-04/schema#";

const patterns = (description: string) => ({
  description,
  type: "array",
  maxItems: 64,
  items: { type: "string", minLength: 1, maxLength: 200 },
});

function schemas({ kind, package: preset }: Offering): object {
  const selection = {
    nodes: patterns("Names of nodes; a * at the end stands for any rest."),
    resources: patterns("Paths of resources, as outputs/flow; a * at the end stands for any rest."),
  };
  const filter = {
    ...(preset === undefined
      ? { package: { description: "A signed package, in Base64.", type: "string", minLength: 4 } }
      : {}),
    inputs: {
      description:
        "For each sensor of the module the resource that feeds it, as NODE/sensors/level.",
      type: "object",
      additionalProperties: { type: "string", pattern: "^[^/]+/.+" },
    },
    parameters: {
      description: "Values of the module's parameters.",
      type: "object",
      additionalProperties: { type: "number" },
    },
  };
  const needed = preset === undefined ? ["package", "inputs"] : ["inputs"];
  const named = { name: { description: "The name its outputs come under.", type: "string" } };
  const schema = (properties: object, required: string[] = []) => ({
    parameters: {
      $schema: draft,
      type: "object",
      additionalProperties: false,
      properties,
      ...(required.length === 0 ? {} : { required }),
    },
  });
  const days = {
    description: "Days that the credentials are good for.",
    type: "integer",
    minimum: 1,
    maximum: mostDays,
  };
  return {
    service_instance: {
      create: kind === "filter" ? schema({ ...named, ...filter }, needed) : schema(selection),
      update: schema(kind === "filter" ? { ...named, ...filter } : selection),
    },
    service_binding: { create: schema({ days }) },
  };
}
