// The broker itself: what instances and bindings there are, what was asked of each last, and what may be asked now. It knows no HTTP.
//
//   PUT ──▶ creating ──▶ ready ◀──▶ updating         each arrow is one transaction; what takes longer than an answer is done by one
//              │           │                          worker, one operation after the other, and taken up again after a kill
//              ▼           ▼
//           failed ────▶ deleting ──▶ gone
import { createHmac, randomBytes, randomUUID, timingSafeEqual } from "node:crypto";
import type { Kind, Selection } from "./catalog.ts";
import {
  daysOf,
  maintenance,
  selectionOf,
  type Catalog,
  type Offering,
  type Plan,
} from "./catalog.ts";
import { asyncRequired, BrokerError, concurrent } from "./errors.ts";
import { neededText, objectOf, same, textOf, type Fields } from "./fields.ts";
import { nameOf, type Filters } from "./filters.ts";
import type { Attributes, Binding, BrokerStore, Instance, Operation, Task } from "./store.ts";

/** Instances of all services, and bindings of one instance, at most. */
export const mostInstances = 1_000;
export const mostBindings = 100;

const day = 86_400_000;

export interface Answer {
  status: number;
  body: object;
  /** Seconds to wait before the next question. */
  retryAfter?: number;
}

export interface BrokerOptions {
  store: BrokerStore;
  catalog: Catalog;
  filters: Filters;
  /** Bytes that credentials are derived from: no copy of the database has any. */
  key: Uint8Array;
  /** Where applications reach the gateway. */
  base: () => string;
  /** Runs before each piece of asynchronous work. */
  before?: (task: Task, id: string) => Promise<void>;
}

const ready = (task: Task, description: string): Operation => ({
  id: randomUUID(),
  task,
  state: "succeeded",
  description,
});

const begun = (task: Task): Operation => ({
  id: randomUUID(),
  task,
  state: "in progress",
  description: `${task} is under way`,
});

const busy = ({ operation }: Instance | Binding) => operation.state === "in progress";

export class Broker {
  readonly catalog: Catalog;
  readonly #options: BrokerOptions;
  readonly #store: BrokerStore;
  readonly #filters: Filters;
  /** What the worker has before it: `INSTANCE`, or `INSTANCE` and `BINDING`. */
  readonly #queue: [string, string | undefined][] = [];
  #working: Promise<void> | undefined;
  #stopped = false;

  constructor(options: BrokerOptions) {
    this.#options = options;
    this.catalog = options.catalog;
    this.#store = options.store;
    this.#filters = options.filters;
    for (const instance of this.#store.instances())
      if (busy(instance)) this.#enqueue(instance.id, undefined);
    for (const binding of this.#store.bindings())
      if (busy(binding)) this.#enqueue(binding.instance, binding.id);
  }

  /** Ends after the piece of work that is under way; what is left is taken up at the next start. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#working;
  }

  /** Resolves once nothing is under way. */
  async idle(): Promise<void> {
    await this.#working;
  }

  // ---- instances -----------------------------------------------------------------------------------------------------

  provision(id: string, body: Fields, incomplete: boolean): Answer {
    const { offering, plan } = this.catalog.find(
      neededText(body, "service_id"),
      neededText(body, "plan_id"),
    );
    const organization = neededText(body, "organization_guid");
    const space = neededText(body, "space_guid");
    const context = objectOf(body, "context") ?? {};
    const given = objectOf(body, "parameters") ?? {};
    checkMaintenance(body);
    if (offering.asynchronous && !incomplete) throw asyncRequired();
    const parameters = asCreated(() => this.#read(given, offering, plan, id));
    const existing = this.#store.instance(id);
    if (existing !== undefined && (existing.made || busy(existing))) {
      const { operation } = existing;
      if (busy(existing) && operation.task !== "create") throw concurrent("instance");
      const asked = { service: offering.id, plan: plan.id, parameters, organization, space };
      const has = {
        service: existing.service,
        plan: existing.plan,
        parameters: existing.parameters,
        organization: existing.organization,
        space: existing.space,
      };
      if (!same(asked, has)) throw new BrokerError(409, "an instance with this id is different");
      return busy(existing) ? begunAnswer(existing) : { status: 200, body: described(existing) };
    }
    if (existing === undefined && this.#store.instances().length >= mostInstances)
      throw new BrokerError(422, `there are ${mostInstances} instances already`);
    if (offering.kind === "filter") this.#checkName(nameOf(parameters), id);
    const instance: Instance = {
      id,
      service: offering.id,
      plan: plan.id,
      parameters,
      organization,
      space,
      context,
      made: !offering.asynchronous,
      usable: true,
      operation: offering.asynchronous ? begun("create") : ready("create", "provisioned"),
      next: null,
    };
    this.#store.putInstance(instance);
    if (!offering.asynchronous) return { status: 201, body: described(instance) };
    this.#enqueue(id, undefined);
    return begunAnswer(instance);
  }

  update(id: string, body: Fields, incomplete: boolean): Answer {
    const service = neededText(body, "service_id");
    const planId = textOf(body, "plan_id");
    const context = objectOf(body, "context");
    const given = objectOf(body, "parameters");
    const previous = objectOf(body, "previous_values");
    const offering = this.catalog.offering(service);
    if (planId !== undefined) this.catalog.find(service, planId);
    checkMaintenance(body);
    const instance = this.#store.instance(id);
    if (instance === undefined || (!instance.made && !busy(instance)))
      throw new BrokerError(400, "there is no such instance");
    if (instance.service !== service)
      throw new BrokerError(400, "service_id is not the service of this instance");
    const { plan } = this.catalog.find(service, planId ?? instance.plan);
    if (offering.asynchronous && !incomplete) throw asyncRequired();
    const next: Attributes = {
      plan: plan.id,
      parameters:
        given === undefined && plan.id === instance.plan
          ? instance.parameters
          : this.#read(merged(instance, given ?? {}, offering), offering, plan, id),
    };
    if (busy(instance)) {
      if (instance.operation.task === "update" && same(next, instance.next))
        return begunAnswer(instance);
      throw concurrent("instance");
    }
    const before = previous === undefined ? undefined : textOf(previous, "plan_id");
    if (before !== undefined && before !== instance.plan)
      throw new BrokerError(400, "previous_values.plan_id is not the plan of this instance");
    if (offering.kind === "filter" && nameOf(next.parameters) !== nameOf(instance.parameters))
      throw new BrokerError(422, "the name of a filter does not change", undefined, false);
    const contextual = { ...instance, context: context ?? instance.context };
    const unchanged = same(next, { plan: instance.plan, parameters: instance.parameters });
    if (!offering.asynchronous || (unchanged && instance.usable)) {
      const operation = ready("update", unchanged ? "nothing had to change" : "updated");
      this.#store.putInstance({ ...contextual, ...next, operation });
      return { status: 200, body: {} };
    }
    const updating = { ...contextual, operation: begun("update"), next };
    this.#store.putInstance(updating);
    this.#enqueue(id, undefined);
    return begunAnswer(updating);
  }

  deprovision(id: string, service: string, plan: string, incomplete: boolean): Answer {
    const instance = this.#store.instance(id);
    if (instance === undefined) throw new BrokerError(410, "there is no such instance");
    this.#checkIds(instance, service, plan);
    const asynchronous = this.#kind(instance) === "filter";
    if (asynchronous && !incomplete) throw asyncRequired();
    if (busy(instance) && instance.operation.task === "delete") return begunAnswer(instance);
    if (busy(instance) && instance.operation.task === "update") throw concurrent("instance");
    if (!asynchronous) {
      this.#store.dropInstance(id, false);
      return { status: 200, body: {} };
    }
    const deleting = { ...instance, operation: begun("delete") };
    this.#store.putInstance(deleting);
    this.#enqueue(id, undefined);
    return begunAnswer(deleting);
  }

  fetch(id: string, service: string | undefined, plan: string | undefined): Answer {
    const instance = this.#store.instance(id);
    if (instance === undefined || !instance.made)
      throw new BrokerError(404, "there is no such instance");
    this.#checkIds(instance, service, plan);
    if (busy(instance) && instance.operation.task === "update") throw concurrent("instance");
    const { package: _, ...parameters } = instance.parameters;
    return {
      status: 200,
      body: {
        service_id: instance.service,
        plan_id: instance.plan,
        parameters,
        maintenance_info: maintenance,
        ...described(instance),
      },
    };
  }

  // ---- bindings ------------------------------------------------------------------------------------------------------

  bind(instanceId: string, id: string, body: Fields, incomplete: boolean): Answer {
    const predecessorId = textOf(body, "predecessor_binding_id");
    const rotates = predecessorId !== undefined;
    const service = rotates ? textOf(body, "service_id") : neededText(body, "service_id");
    const planId = rotates ? textOf(body, "plan_id") : neededText(body, "plan_id");
    objectOf(body, "context");
    const resource = objectOf(body, "bind_resource") ?? {};
    const app = textOf(resource, "app_guid") ?? textOf(body, "app_guid") ?? null;
    const days = daysOf(objectOf(body, "parameters"));
    if (service !== undefined && planId !== undefined) this.catalog.find(service, planId);
    const instance = this.#store.instance(instanceId);
    if (instance === undefined || (!instance.made && !busy(instance)))
      throw new BrokerError(400, "there is no such instance");
    this.#checkIds(instance, service, planId);
    const { offering, plan } = this.catalog.find(instance.service, instance.plan);
    if (offering.asynchronous && !incomplete) throw asyncRequired();
    const predecessor = rotates ? this.#predecessor(instanceId, id, predecessorId) : undefined;
    const asked = {
      app: predecessor?.app ?? app,
      days: predecessor?.days ?? days,
      predecessor: predecessorId ?? null,
    };
    if (plan.requiresApp && asked.app === null)
      throw new BrokerError(422, "this plan binds applications only: app_guid", "RequiresApp");
    const existing = this.#store.binding(instanceId, id);
    if (existing !== undefined && (existing.made || busy(existing))) {
      if (busy(existing) && existing.operation.task !== "create") throw concurrent("binding");
      const has = { app: existing.app, days: existing.days, predecessor: existing.predecessor };
      if (!same(asked, has)) throw new BrokerError(409, "a binding with this id is different");
      return busy(existing)
        ? begunAnswer(existing)
        : { status: 200, body: this.#access(existing, instance) };
    }
    if (busy(instance)) throw concurrent("instance");
    if (!instance.usable) throw new BrokerError(422, "the instance is not usable");
    if (existing === undefined && this.#store.bindings(instanceId).length >= mostBindings)
      throw new BrokerError(422, `the instance has ${mostBindings} bindings already`);
    const binding: Binding = {
      id,
      instance: instanceId,
      ...asked,
      created: Date.now(),
      nonce: randomBytes(16).toString("hex"),
      made: !offering.asynchronous,
      operation: offering.asynchronous ? begun("create") : ready("create", "bound"),
    };
    this.#store.putBinding(binding);
    if (!offering.asynchronous) return { status: 201, body: this.#access(binding, instance) };
    this.#enqueue(instanceId, id);
    return begunAnswer(binding);
  }

  unbind(
    instanceId: string,
    id: string,
    service: string,
    plan: string,
    incomplete: boolean,
  ): Answer {
    const instance = this.#store.instance(instanceId);
    const binding = this.#store.binding(instanceId, id);
    if (instance === undefined || binding === undefined)
      throw new BrokerError(410, "there is no such binding");
    this.#checkIds(instance, service, plan);
    const asynchronous = this.#kind(instance) === "filter";
    if (asynchronous && !incomplete) throw asyncRequired();
    if (busy(binding) && binding.operation.task === "delete") return begunAnswer(binding);
    if (!asynchronous) {
      this.#store.dropBinding(instanceId, id, false);
      return { status: 200, body: {} };
    }
    const deleting = { ...binding, operation: begun("delete") };
    this.#store.putBinding(deleting);
    this.#enqueue(instanceId, id);
    return begunAnswer(deleting);
  }

  fetchBinding(
    instanceId: string,
    id: string,
    service: string | undefined,
    plan: string | undefined,
  ): Answer {
    const instance = this.#store.instance(instanceId);
    const binding = this.#store.binding(instanceId, id);
    if (instance === undefined || binding?.made !== true)
      throw new BrokerError(404, "there is no such binding");
    this.#checkIds(instance, service, plan);
    const { days } = binding;
    return { status: 200, body: { ...this.#access(binding, instance), parameters: { days } } };
  }

  /** What was asked last of an instance, or of one of its bindings, and how it goes. */
  lastOperation(
    instanceId: string,
    bindingId: string | undefined,
    { service, plan, operation }: Record<"service" | "plan" | "operation", string | undefined>,
  ): Answer {
    const instance = this.#store.instance(instanceId);
    const one = bindingId === undefined ? instance : this.#store.binding(instanceId, bindingId);
    if (instance === undefined || one === undefined) {
      if (this.#store.gone(instanceId, bindingId ?? ""))
        throw new BrokerError(410, "it has been deleted");
      throw new BrokerError(
        404,
        `there is no such ${bindingId === undefined ? "instance" : "binding"}`,
      );
    }
    this.#checkIds(instance, service, plan);
    const { id, state, description, task, usable, repeatable } = one.operation;
    if (operation !== undefined && operation !== id)
      throw new BrokerError(400, "operation is not the last one");
    const failed = state === "failed" && bindingId === undefined && task !== "create";
    return {
      status: 200,
      body: {
        state,
        description,
        ...(failed ? { instance_usable: usable ?? true } : {}),
        ...(failed && task === "update" ? { update_repeatable: repeatable ?? true } : {}),
      },
      ...(state === "in progress" ? { retryAfter: 1 } : {}),
    };
  }

  // ---- credentials ---------------------------------------------------------------------------------------------------

  /** The instance that these credentials are for, and what of it they show; undefined where they are good for nothing. */
  admits(
    instanceId: string,
    bindingId: string,
    password: string,
    now = Date.now(),
  ): { selection: Selection; raw: boolean; expires: number } | undefined {
    const instance = this.#store.instance(instanceId);
    const binding = this.#store.binding(instanceId, bindingId);
    if (instance?.made !== true || binding?.made !== true) return undefined;
    const expected = Buffer.from(this.#password(binding));
    const given = Buffer.from(password);
    if (expected.length !== given.length || !timingSafeEqual(expected, given)) return undefined;
    const expires = expiryOf(binding);
    if (now >= expires) return undefined;
    const kind = this.#kind(instance);
    const raw = kind !== "series" || this.catalog.find(instance.service, instance.plan).plan.raw;
    const selection =
      kind === "filter"
        ? { nodes: [nameOf(instance.parameters)], resources: ["outputs/*"] }
        : (instance.parameters as unknown as Selection);
    return { selection, raw, expires };
  }

  #password({ instance, id, nonce }: Binding): string {
    const text = JSON.stringify(["binding", instance, id, nonce]);
    return createHmac("sha256", this.#options.key).update(text).digest("base64url");
  }

  #access(binding: Binding, instance: Instance): object {
    const { id } = instance;
    const kind = this.#kind(instance);
    const base = this.#options.base();
    const { hostname, port, protocol } = new URL(base);
    const url = `${base}/services/${encodeURIComponent(id)}`;
    const standardPort = protocol === "https:" ? "443" : "80";
    return {
      metadata: {
        expires_at: instant(expiryOf(binding)),
        renew_before: instant(binding.created + (binding.days * day * 2) / 3),
      },
      credentials: {
        uri: url,
        username: usernameOf(binding.id),
        password: this.#password(binding),
        values_url: `${url}/values`,
        stream_url: `${url}/stream`,
        ...(kind === "stream" ? {} : { history_url: `${url}/history` }),
      },
      endpoints: [
        {
          host: hostname.replace(/^\[(.*)\]$/, "$1"),
          ports: [port || standardPort],
          protocol: "tcp",
        },
      ],
    };
  }

  // ---- rules ---------------------------------------------------------------------------------------------------------

  #read(given: Fields, offering: Offering, plan: Plan, id: string): Fields {
    return offering.kind === "filter"
      ? this.#filters.read(given, offering, plan, id)
      : { ...selectionOf(given) };
  }

  /** What an instance is, also one of a filter that the operator no longer offers: it can be deleted, and what is bound to it goes on. */
  #kind({ service, parameters }: Instance): Kind {
    return "package" in parameters ? "filter" : this.catalog.offering(service).kind;
  }

  #checkName(name: string, id: string): void {
    const others = this.#store.instances().filter((one) => one.id !== id);
    const used = others.some(({ parameters }) => parameters["name"] === name);
    const mine = this.#store.instance(id);
    const own = mine !== undefined && nameOf(mine.parameters) === name;
    if (used || (!own && this.#filters.taken(name)))
      throw new BrokerError(422, `something is called ${name} already`);
  }

  /** `service_id` and `plan_id` of a request have to be the instance's; during an update either of its plans. */
  #checkIds(instance: Instance, service: string | undefined, plan: string | undefined): void {
    if (service !== undefined && service !== instance.service)
      throw new BrokerError(400, "service_id is not the service of this instance");
    if (plan !== undefined && plan !== instance.plan && plan !== instance.next?.plan)
      throw new BrokerError(400, "plan_id is not the plan of this instance");
  }

  #predecessor(instance: string, id: string, predecessorId: string): Binding {
    const found = this.#store.binding(instance, predecessorId);
    if (
      found?.made !== true ||
      busy(found) ||
      Date.now() >= expiryOf(found) ||
      predecessorId === id
    )
      throw new BrokerError(400, "predecessor_binding_id is not a valid binding of this instance");
    return found;
  }

  // ---- what is done after the answer -----------------------------------------------------------------------------------

  #enqueue(instance: string, binding: string | undefined): void {
    this.#queue.push([instance, binding]);
    this.#working ??= this.#work().finally(() => (this.#working = undefined));
  }

  async #work(): Promise<void> {
    // Not within the request: its answer comes first.
    await Promise.resolve();
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      if (this.#stopped) return;
      const [instance, binding] = next;
      if (binding === undefined) await this.#workOnInstance(instance);
      else await this.#workOnBinding(instance, binding);
    }
  }

  async #workOnInstance(id: string): Promise<void> {
    const instance = this.#store.instance(id);
    if (instance === undefined || !busy(instance)) return;
    const { operation, parameters, next } = instance;
    const ended = await this.#attempt(operation, id, async () => {
      if (operation.task === "delete") await this.#filters.stop(nameOf(parameters));
      else await this.#filters.start(next === null ? parameters : next.parameters);
    });
    // Asked anew: a deletion may have come while it was created, and is next in the queue.
    const now = this.#store.instance(id);
    if (ended === undefined || now?.operation.id !== operation.id) return;
    const good = ended.state === "succeeded";
    if (operation.task === "delete" && good) return this.#store.dropInstance(id, true);
    this.#store.putInstance({
      ...now,
      ...(operation.task === "update" && good && next !== null ? next : {}),
      made: operation.task === "create" ? good : now.made,
      usable: operation.task === "delete" ? false : now.usable || good,
      operation: { ...ended, ...(operation.task === "delete" ? { usable: false } : {}) },
      next: null,
    });
  }

  async #workOnBinding(instanceId: string, id: string): Promise<void> {
    const binding = this.#store.binding(instanceId, id);
    const instance = this.#store.instance(instanceId);
    if (binding === undefined || instance === undefined || !busy(binding)) return;
    const { operation } = binding;
    const ended = await this.#attempt(operation, id, () => {
      const fault =
        operation.task === "create" ? this.#filters.fault(nameOf(instance.parameters)) : undefined;
      return fault === undefined ? Promise.resolve() : Promise.reject(new Error(fault));
    });
    const now = this.#store.binding(instanceId, id);
    if (ended === undefined || now?.operation.id !== operation.id) return;
    if (operation.task === "delete") return this.#store.dropBinding(instanceId, id, true);
    this.#store.putBinding({ ...now, made: ended.state === "succeeded", operation: ended });
  }

  /** How an operation ended; undefined where the broker stopped before it began. */
  async #attempt(
    operation: Operation,
    id: string,
    work: () => Promise<void>,
  ): Promise<Operation | undefined> {
    try {
      await this.#options.before?.(operation.task, id);
      if (this.#stopped) return undefined;
      await work();
      return { ...operation, state: "succeeded", description: `${operation.task} is done` };
    } catch (error) {
      const description = (error as Error).message.slice(0, 500) || "it failed";
      return { ...operation, state: "failed", description };
    }
  }
}

function begunAnswer({ operation }: Instance | Binding): Answer {
  return { status: 202, body: { operation: operation.id }, retryAfter: 1 };
}

function described({ parameters }: Instance): object {
  return "package" in parameters
    ? { metadata: { labels: {}, attributes: { "wasmote.name": nameOf(parameters) } } }
    : {};
}

/** What an update changes, over what there is; a filter that the operator chose has no package to give. */
function merged({ parameters }: Instance, given: Fields, offering: Offering): Fields {
  const { package: bytes, ...rest } = parameters;
  const before = offering.package === undefined && bytes !== undefined ? parameters : rest;
  return { ...before, ...given };
}

/** A module too large for its plan is unfit data when an instance is made, and a change that is not supported later. */
function asCreated<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof BrokerError && error.status === 422)
      throw new BrokerError(400, error.message);
    throw error;
  }
}

function checkMaintenance(body: Fields): void {
  const info = objectOf(body, "maintenance_info");
  if (info === undefined) return;
  if (neededText(info, "version") !== maintenance.version)
    throw new BrokerError(
      422,
      `the maintenance information of the catalogue is ${maintenance.version}`,
      "MaintenanceInfoConflict",
    );
}

/** The user name of a binding's credentials, which has no colon (RFC 7617 §2). */
const usernameOf = (id: string) => id.replaceAll(/[%:]/g, encodeURIComponent);

/** The binding that a user name stands for. */
export function bindingOf(username: string): string {
  return username.replaceAll(/%(?:25|3A)/gi, decodeURIComponent);
}

const expiryOf = ({ created, days }: Binding) => created + days * day;

/** `yyyy-mm-ddThh:mm:ss.sZ`. */
function instant(time: number): string {
  return `${new Date(Math.floor(time)).toISOString().slice(0, 21)}Z`;
}
