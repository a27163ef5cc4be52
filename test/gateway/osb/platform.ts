// A platform for the tests of the service broker: it sends what the specification has, and holds every answer against the official
// description (openapi.yaml) and against the rule that a 4xx leaves everything as it was.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Ajv, type ValidateFunction } from "ajv";
import { expect } from "vitest";
import { parse } from "yaml";
import { ServiceBroker } from "../../../host/gateway/adapters/osb/index.ts";
import type { Task } from "../../../host/gateway/adapters/osb/store.ts";
import type { OsbConfig } from "../../../host/gateway/config.ts";
import { build } from "../../../host/lib/build/build.ts";
import { generateKey, makePackage, type KeyPair } from "../../../host/lib/package.ts";
import { keepKey, openProject, signingKey, type Project } from "../../../host/lib/project.ts";
import { root } from "../../../host/setup.mjs";
import { startGateway, type Running } from "../harness.ts";

export const config: OsbConfig = { name: "wasmote", address: undefined, filters: [] };

interface Operation {
  responses: Record<string, { content: { "application/json": { schema: object } } }>;
}

const description = parse(readFileSync(new URL("openapi.yaml", import.meta.url), "utf8")) as {
  paths: Record<string, Record<string, Operation>>;
  components: object;
};
const ajv = new Ajv({ strict: false });
ajv.addSchema({ $id: "osb", components: description.components });
const validators = new Map<object, ValidateFunction>();

function validator(schema: object): ValidateFunction {
  const known = validators.get(schema);
  if (known !== undefined) return known;
  const text = JSON.stringify(schema).replaceAll('"#/components', '"osb#/components');
  const made = ajv.compile(JSON.parse(text) as object);
  validators.set(schema, made);
  return made;
}

/** Codes that the specification has and its description has not. */
const undescribed = new Set([401, 403, 404, 405, 412, 413, 400, 422]);

export interface Reply {
  status: number;
  body: Record<string, unknown>;
  headers: Headers;
}

export interface Service {
  id: string;
  name: string;
  plan_updateable: boolean;
  plans: { id: string; name: string; schemas: Schemas; maintenance_info: { version: string } }[];
}

interface Schemas {
  service_instance: Record<"create" | "update", { parameters: Record<string, unknown> }>;
  service_binding: { create: { parameters: Record<string, unknown> } };
}

export interface AskOptions {
  body?: unknown;
  headers?: Record<string, string | undefined>;
  signal?: AbortSignal;
}

export class Platform {
  readonly running: Running;
  services: Service[] = [];
  /** Held work: asynchronous operations wait until it resolves. */
  #gate: PromiseWithResolversOf | undefined;
  /** Makes the next piece of this work fail. */
  failing: Task | undefined;
  token: string;
  /** Requests under way. */
  #asking = 0;

  private constructor(running: Running, token: string) {
    this.running = running;
    this.token = token;
  }

  /** A broker at a running gateway, with work that the tests hold back and let fail. */
  static async at(
    running: Running,
    { token = running.token, broker = config }: { token?: string; broker?: OsbConfig } = {},
  ): Promise<Platform> {
    const platform = new Platform(running, token);
    running.gateway.osb = new ServiceBroker(running.gateway, broker, {
      before: async (task) => {
        await platform.#gate?.promise;
        if (platform.failing !== task) return;
        platform.failing = undefined;
        throw new Error(`the disk is full during ${task}`);
      },
    });
    const { body } = await platform.ask("GET", "/v2/catalog");
    platform.services = body["services"] as Service[];
    return platform;
  }

  hold(): void {
    this.#gate = promise();
  }

  /** Lets held work go on, and waits until none is left. */
  async release(): Promise<void> {
    this.#gate?.resolve();
    this.#gate = undefined;
    await this.running.gateway.osb!.broker.idle();
  }

  ids(service: string, plan: string): { service_id: string; plan_id: string } {
    const found = this.services.find(({ name }) => name === `wasmote-${service}`)!;
    return { service_id: found.id, plan_id: found.plans.find(({ name }) => name === plan)!.id };
  }

  /** A body that provisions. */
  order(service: string, plan: string, parameters?: object): Record<string, unknown> {
    return {
      ...this.ids(service, plan),
      organization_guid: "org",
      space_guid: "space",
      context: { platform: "test" },
      ...(parameters === undefined ? {} : { parameters }),
    };
  }

  #dump(): string {
    const { database } = this.running.gateway.store;
    const all = ["osb_instance", "osb_binding", "osb_gone"].map((table) =>
      database.prepare(`SELECT * FROM ${table}`).all(),
    );
    return JSON.stringify(all);
  }

  async ask(
    method: string,
    path: string,
    { body, headers = {}, signal }: AskOptions = {},
  ): Promise<Reply> {
    const basic = Buffer.from(`first:${this.token}`).toString("base64");
    const alone = ++this.#asking === 1;
    const before = this.#dump();
    const all: Record<string, string | undefined> = {
      authorization: `Basic ${basic}`,
      "x-broker-api-version": "2.17",
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    };
    const response = await fetch(this.running.url + path, {
      method,
      headers: Object.entries(all).filter((one): one is [string, string] => one[1] !== undefined),
      ...(body === undefined
        ? {}
        : { body: typeof body === "string" ? body : JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    });
    const text = await response.text();
    const reply = {
      status: response.status,
      body: (text === "" ? {} : JSON.parse(text)) as Record<string, unknown>,
      headers: response.headers,
    };
    this.#check(method, path, reply);
    // "An HTTP status code in the 4xx range MUST result in the Service Broker's resources being semantically unchanged".
    const quiet = alone && this.#asking === 1 && !before.includes("in progress");
    this.#asking--;
    if (reply.status >= 400 && quiet) expect(this.#dump() === before).toBe(true);
    return reply;
  }

  #check(method: string, path: string, { status, body, headers }: Reply): void {
    const pattern = path
      .replace(/\?.*$/, "")
      .replace(/service_instances\/[^/]+/, "service_instances/{instance_id}")
      .replace(/service_bindings\/[^/]+/, "service_bindings/{binding_id}");
    const operation = description.paths[pattern]?.[method.toLowerCase()];
    const described = operation?.responses[String(status)];
    expect(described !== undefined || status === 304 || undescribed.has(status)).toBe(true);
    if (status !== 304) expect(headers.get("content-type")).toBe("application/json");
    if (status >= 400)
      expect(body).toMatchObject({ description: expect.stringMatching(/./) as string });
    if (described === undefined) return;
    const valid = validator(described.content["application/json"].schema);
    expect(valid(body), JSON.stringify(valid.errors)).toBe(true);
  }

  put(id: string, body: unknown, incomplete = true): Promise<Reply> {
    return this.ask("PUT", `/v2/service_instances/${id}?accepts_incomplete=${incomplete}`, {
      body,
    });
  }

  patch(id: string, body: unknown, incomplete = true): Promise<Reply> {
    return this.ask("PATCH", `/v2/service_instances/${id}?accepts_incomplete=${incomplete}`, {
      body,
    });
  }

  remove(
    id: string,
    ids: { service_id: string; plan_id: string },
    incomplete = true,
  ): Promise<Reply> {
    const query = new URLSearchParams({ ...ids, accepts_incomplete: String(incomplete) });
    return this.ask("DELETE", `/v2/service_instances/${id}?${query.toString()}`);
  }

  get(id: string): Promise<Reply> {
    return this.ask("GET", `/v2/service_instances/${id}`);
  }

  /** The state of the last operation. */
  async last(id: string, query = ""): Promise<unknown> {
    const reply = await this.ask("GET", `/v2/service_instances/${id}/last_operation${query}`);
    return reply.status === 200 ? reply.body["state"] : reply.status;
  }
}

type PromiseWithResolversOf = { promise: Promise<void>; resolve: () => void };

function promise(): PromiseWithResolversOf {
  let resolve = () => {};
  const made = new Promise<void>((done) => (resolve = done));
  return { promise: made, resolve };
}

/** A gateway with a broker, packages that its project signed, and names that nobody has had. */
export interface World {
  folder: string;
  project: Project;
  running: Running;
  platform: Platform;
  /** Packages in Base64: one for the plan `small`, one that is too large for it, and one of somebody else's. */
  signed: string;
  large: string;
  foreign: string;
  fresh(): string;
  /** Parameters of a filter. */
  filter(more?: object): object;
  close(): Promise<void>;
}

const about = {
  vendor: "",
  class: "native",
  sequence: 1,
  name: "flood-alarm",
  version: "1",
  needs: { ram: 0, table: 0, fuel: 0, sensors: 1, outputs: 2 },
};

/** A module that wants more memory than the plan `small` has. */
const greedy = `
import { output, sensor } from "wasmote";
const level = sensor("level");
const out = output("out");
const kept = memory.data(100000);
level.onSample((value) => {
  store<f32>(kept, value);
  out.publish(load<f32>(kept));
});
`;

export async function world(): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), "wasmote-osb-"));
  const project = openProject(folder);
  keepKey(project);
  const pack = (module: Uint8Array, key: KeyPair = signingKey(project)) =>
    Buffer.from(makePackage(module, about, key)).toString("base64");
  writeFileSync(join(folder, "greedy.ts"), greedy);
  const [small, big] = await Promise.all([
    build(join(root, "assembly/examples/flood-alarm.ts")),
    build(join(folder, "greedy.ts")),
  ]);
  const running = await startGateway({}, { folder, project });
  const signed = pack(small.module);
  let count = 0;
  return {
    folder,
    project,
    running,
    platform: await Platform.at(running),
    signed,
    large: pack(big.module),
    foreign: pack(small.module, generateKey()),
    fresh: () => `i${++count}`,
    filter: (more = {}) => ({ package: signed, inputs: { level: "wye/sensors/level" }, ...more }),
    close: async () => {
      await running[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
