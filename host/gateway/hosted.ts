// Hosted instances: packages that run at the gateway instead of on a node, in the same engine, with the same budget of fuel.
//
//   hub --inputs: any resource of any node--> Instance (Simulation) --outputs--> hub, as resources of the node that the instance is
//
// An instance is named like a node, and what it publishes is `outputs/NAME` of that name: a viewer, a rule or an alarm does not see
// where a module runs. A trap stops the instance, as it stops a module on a node, and is told; the others go on.
import { UserError } from "../lib/errors.ts";
import { nameFault } from "../lib/names.ts";
import { openPackage } from "../lib/package.ts";
import { inspect } from "../lib/engine.ts";
import { Simulation } from "../lib/simulate.ts";
import { readingOf } from "../lib/states.ts";
import type { Envelope } from "./envelope.ts";
import type { Happening } from "./nodes.ts";

/** What instances may take together: each has its own region of memory in this process. */
export interface HostedLimits {
  instances: number;
  /** Bytes of one instance, as the engine says them of the module. */
  memory: number;
}

export const hostedLimits: HostedLimits = { instances: 1000, memory: 1 << 20 };

export interface HostedConfig {
  /** The name that its outputs come under. */
  name: string;
  /** A signed package, or a bare module. */
  package: Uint8Array;
  /** For each sensor of the module, the resource that feeds it: `NODE/sensors/level`. */
  inputs: Record<string, string>;
  parameters?: Record<string, number>;
}

/** What an instance is doing. */
export interface HostedState {
  name: string;
  inputs: Record<string, string>;
  /** Values it was given, and runs. */
  taken: number;
  fuel: number;
  memory: number;
  trap?: string;
}

/** Takes what a module publishes on an output: a number, or what stands for it as a text. */
type Publish = (name: string, made: { value: number; text?: string }) => void;

/** Where values come from and go to: the hub. */
export interface Exchange {
  publish(envelope: Omit<Envelope, "seq">): void;
}

class Instance {
  readonly name: string;
  readonly inputs: Record<string, string>;
  readonly memory: number;
  readonly #simulation: Simulation;
  readonly #began: number;
  #read = 0;
  taken = 0;
  fuel = 0;
  trap: string | undefined;

  constructor({ name, package: bytes, inputs, parameters = {} }: HostedConfig, now: number) {
    const module = moduleOf(bytes);
    const { footprint } = inspect(module);
    if (footprint.total > hostedLimits.memory)
      throw new UserError(
        `the module needs ${footprint.total} bytes, and an instance has at most ${hostedLimits.memory} here`,
        undefined,
        "check",
      );
    this.name = name;
    this.inputs = inputs;
    this.memory = footprint.total;
    this.#began = now;
    this.#simulation = new Simulation(module, { parameters });
    const unfed = this.#simulation.facts.sensors.filter((sensor) => inputs[sensor] === undefined);
    if (unfed.length > 0)
      throw new UserError(
        `nothing feeds the sensor ${unfed.join(", ")}`,
        "name a resource for each sensor: level=NODE/sensors/level",
        "usage",
      );
    this.#account();
  }

  /** Whether the module's sensors are fed by this resource. */
  sensorsOf(source: string): string[] {
    return Object.entries(this.inputs).flatMap(([sensor, from]) =>
      from === source ? [sensor] : [],
    );
  }

  /** Gives a sensor a value; what the module publishes is handed on, with the time of the value. */
  take(sensor: string, value: number, time: number, publish: Publish): void {
    if (this.trap !== undefined) return;
    this.taken++;
    // The simulation's clock begins with the instance, as a node's does.
    this.#simulation.sample({ at: Math.max(0, time - this.#began), sensor, value });
    this.#drain(publish);
  }

  /** Time passes: ticks that are due happen. */
  until(time: number, publish: Publish): void {
    if (this.trap !== undefined) return;
    this.#simulation.until(Math.max(0, time - this.#began));
    this.#drain(publish);
  }

  #drain(publish: Publish): void {
    const { happenings } = this.#simulation;
    for (; this.#read < happenings.length; this.#read++) {
      const one = happenings[this.#read]!;
      if (one.kind === "output" || one.kind === "told") publish(one.name, readingOf(one.value));
      if (one.kind === "trap") this.trap = one.ended.trap ?? "trap";
    }
    this.#account();
    // What was handed on is forgotten: an instance runs for years.
    happenings.length = 0;
    this.#read = 0;
  }

  #account(): void {
    const { fuel, hostFuel } = this.#simulation;
    for (const one of fuel) this.fuel += one;
    fuel.length = 0;
    hostFuel.length = 0;
  }

  state(): HostedState {
    const { name, inputs, taken, fuel, memory, trap } = this;
    return { name, inputs, taken, fuel, memory, ...(trap === undefined ? {} : { trap }) };
  }
}

/** The module in a package, whose signature the caller has checked; or the module itself. */
function moduleOf(bytes: Uint8Array): Uint8Array {
  const wasm = bytes[0] === 0 && bytes[1] === 0x61 && bytes[2] === 0x73 && bytes[3] === 0x6d;
  return wasm ? bytes : openPackage(bytes).module;
}

/** All hosted instances of a gateway. */
export class Hosted {
  readonly #exchange: Exchange;
  readonly #onHappening: (happening: Happening) => void;
  readonly #all = new Map<string, Instance>();
  readonly #timer: NodeJS.Timeout;

  constructor(exchange: Exchange, onHappening: (happening: Happening) => void = () => {}) {
    this.#exchange = exchange;
    this.#onHappening = onHappening;
    this.#timer = setInterval(() => this.tick(), 100);
    this.#timer.unref();
  }

  /** Starts an instance; one of the same name is replaced once the new one has started, and stays where it does not start. */
  start(config: HostedConfig, now = Date.now()): HostedState {
    const fault = nameFault(config.name);
    if (fault !== undefined) throw new UserError(fault, undefined, "usage");
    if (!this.#all.has(config.name) && this.#all.size >= hostedLimits.instances)
      throw new UserError(
        `${hostedLimits.instances} instances run here already`,
        "stop one",
        "check",
      );
    const instance = new Instance(config, now);
    this.#all.set(config.name, instance);
    return instance.state();
  }

  stop(name: string): boolean {
    return this.#all.delete(name);
  }

  states(): HostedState[] {
    return [...this.#all.values()].map((one) => one.state());
  }

  /** A value came in: it is given to each instance that it feeds. What an instance makes may feed another one, not itself. */
  take({
    node,
    resource,
    value,
    time,
  }: Pick<Envelope, "node" | "resource" | "value" | "time">): void {
    if (value === null) return;
    const source = `${node}/${resource}`;
    for (const instance of this.#all.values()) {
      if (instance.name === node) continue;
      for (const sensor of instance.sensorsOf(source))
        this.#guarded(instance, () =>
          instance.take(sensor, value, time, (name, made) =>
            this.#publish(instance, name, made, time),
          ),
        );
    }
  }

  tick(now = Date.now()): void {
    for (const instance of this.#all.values())
      this.#guarded(instance, () =>
        instance.until(now, (name, made) => this.#publish(instance, name, made, now)),
      );
  }

  #guarded(instance: Instance, work: () => void): void {
    if (instance.trap !== undefined) return;
    work();
    // Asked anew: the work may have ended in a trap.
    const { trap } = instance.state();
    if (trap !== undefined)
      this.#onHappening({
        node: instance.name,
        time: Date.now(),
        what: "trap",
        text: `trapped at the gateway: ${trap}`,
      });
  }

  #publish(
    { name: node }: Instance,
    output: string,
    { value, ...text }: Parameters<Publish>[1],
    time: number,
  ): void {
    const finite = Number.isFinite(value) ? value : null;
    this.#exchange.publish({ node, resource: `outputs/${output}`, time, value: finite, ...text });
  }

  close(): void {
    clearInterval(this.#timer);
    this.#all.clear();
  }
}
