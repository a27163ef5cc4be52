// Hosted instances: packages that run at the gateway instead of on a node, in the same engine, with the same budget of fuel.
//
//   hub --inputs: any resource of any node--> Instance (Simulation) --outputs--> hub, as resources of the node that the instance is
//
// An instance is named like a node, and what it publishes is `outputs/NAME` of that name: a viewer, a rule or an alarm does not see
// where a module runs. A trap stops the instance, as it stops a module on a node, and is told; the others go on.
//
// Instances that feed each other are no recursion: values wait in a row. A circle is refused; who gets too many values for one from outside
// all the same, through a virtual resource or because values double, is stopped.
import { UserError } from "../lib/errors.ts";
import { nameFault } from "../lib/names.ts";
import { openPackage } from "../lib/package.ts";
import { inspect } from "../lib/engine.ts";
import { Simulation } from "../lib/simulate.ts";
import { readingOf } from "../lib/states.ts";
import { steady } from "./steady.ts";
import type { Envelope } from "./envelope.ts";
import type { Happening } from "./nodes.ts";

/** What instances may take together: each has its own region of memory in this process. */
export interface HostedLimits {
  instances: number;
  /** Bytes of one instance, as the engine says them of the module. */
  memory: number;
}

export const hostedLimits: HostedLimits = { instances: 1000, memory: 1 << 20 };

/** Milliseconds whose ticks are made up for where the gateway stood still; of those before only the newest happens, as on a node. */
const mostMadeUp = 60_000;

/** Values that an instance may be given for one from outside. */
const mostForOne = 1_000;

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

/** What of an envelope feeds an instance. */
type Value = Pick<Envelope, "node" | "resource" | "value" | "time">;

/** Where values come from and go to: the hub. */
export interface Exchange {
  publish(envelope: Omit<Envelope, "seq">): void;
}

class Instance {
  readonly name: string;
  readonly inputs: Record<string, string>;
  readonly memory: number;
  readonly outputs: readonly string[];
  readonly #simulation: Simulation;
  readonly #began: number;
  /** The latest time that its module has seen, in milliseconds since it began. */
  #seen = 0;
  #read = 0;
  /** Values it was given for the present one from outside. */
  forOne = 0;
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
    this.outputs = this.#simulation.facts.outputs.map((output) => output.name);
    const unfed = this.#simulation.facts.sensors.filter((sensor) => !Object.hasOwn(inputs, sensor));
    if (unfed.length > 0)
      throw new UserError(
        `nothing feeds the sensor ${unfed.join(", ")}`,
        "name a resource for each sensor: NODE/sensors/level",
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

  /**
   * The time of its module, which begins with the instance, as a node's does, and goes by a clock that nobody sets: neither one that is put
   * right nor a value that says it is of another year makes a year's ticks happen.
   */
  #time(now: number): number {
    const at = Math.max(this.#seen, now - this.#began);
    if (at > this.#seen + mostMadeUp) this.#simulation.leaveOut(at - mostMadeUp);
    this.#seen = at;
    return at;
  }

  /** Gives a sensor a value; what the module publishes is handed on. */
  take(sensor: string, value: number, now: number, publish: Publish): void {
    if (this.trap !== undefined) return;
    this.taken++;
    this.#simulation.sample({ at: this.#time(now), sensor, value });
    this.#drain(publish);
  }

  /** What feeds a sensor has no value now: nor has the sensor. */
  lose(sensor: string, now: number, publish: Publish): void {
    if (this.trap !== undefined) return;
    this.#simulation.lose(this.#time(now), sensor);
    this.#drain(publish);
  }

  /** Time passes: ticks that are due happen. */
  until(now: number, publish: Publish): void {
    if (this.trap !== undefined) return;
    this.#simulation.until(this.#time(now));
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
  /** Values that came while another is handed on. */
  readonly #waiting: Value[] = [];
  #handing = false;

  constructor(exchange: Exchange, onHappening: (happening: Happening) => void = () => {}) {
    this.#exchange = exchange;
    this.#onHappening = onHappening;
    this.#timer = setInterval(() => this.tick(), 100);
    this.#timer.unref();
  }

  /**
   * Starts an instance; one of the same name is replaced once the new one has started and `keep` has written it down, and stays where
   * either fails.
   */
  start(config: HostedConfig, now = steady(), keep: () => void = () => {}): HostedState {
    const fault = nameFault(config.name);
    if (fault !== undefined) throw new UserError(fault, undefined, "usage");
    if (!this.#all.has(config.name) && this.#all.size >= hostedLimits.instances)
      throw new UserError(
        `${hostedLimits.instances} instances run here already`,
        "stop one",
        "check",
      );
    const circle = this.#circle(config);
    if (circle !== undefined)
      throw new UserError(
        `${config.name} would be fed by what it makes, through ${circle.join(", ")}`,
        "feed it by a node",
        "usage",
      );
    const instance = new Instance(config, now);
    keep();
    this.#all.set(config.name, instance);
    return instance.state();
  }

  /** The other instances through which one would be fed by itself, from the one that feeds it on. */
  #circle({ name, inputs }: HostedConfig): string[] | undefined {
    const nodeOf = (source: string) => source.slice(0, source.indexOf("/"));
    /** Who feeds it, directly or not, and whom each feeds. */
    const feeds = new Map<string, string>();
    const waiting: [string, HostedConfig["inputs"]][] = [[name, inputs]];
    for (const [fed, sources] of waiting)
      for (const node of new Set(Object.values(sources).map(nodeOf))) {
        if (node === name && fed !== name) {
          const through = [fed];
          for (let next = feeds.get(fed)!; next !== name; next = feeds.get(next)!)
            through.push(next);
          return through.toReversed();
        }
        const other = this.#all.get(node);
        if (node === name || other === undefined || feeds.has(node)) continue;
        feeds.set(node, fed);
        waiting.push([node, other.inputs]);
      }
    return undefined;
  }

  stop(name: string): boolean {
    return this.#all.delete(name);
  }

  /** The outputs of an instance, none where there is no such instance. */
  outputsOf(name: string): readonly string[] {
    return this.#all.get(name)?.outputs ?? [];
  }

  states(): HostedState[] {
    return [...this.#all.values()].map((one) => one.state());
  }

  /**
   * A value came in: it is given to each instance that it feeds, and what that publishes has the value's time. What an instance makes may
   * feed another one, not itself.
   */
  take(value: Value, now = steady()): void {
    this.#waiting.push(value);
    if (this.#handing) return;
    this.#handing = true;
    try {
      for (const instance of this.#all.values()) instance.forOne = 0;
      for (let at = 0; at < this.#waiting.length; at++) this.#give(this.#waiting[at]!, now);
    } finally {
      this.#waiting.length = 0;
      this.#handing = false;
    }
  }

  #give({ node, resource, value, time }: Value, now: number): void {
    const source = `${node}/${resource}`;
    for (const instance of this.#all.values()) {
      if (instance.name === node) continue;
      for (const sensor of instance.sensorsOf(source))
        this.#guarded(instance, () => {
          const publish: Publish = (name, made) => this.#publish(instance, name, made, time);
          if (++instance.forOne > mostForOne)
            instance.trap = `it is fed by what it makes: one value became more than ${mostForOne}`;
          else if (value === null) instance.lose(sensor, now, publish);
          else instance.take(sensor, value, now, publish);
        });
    }
  }

  tick(now = steady()): void {
    const time = Date.now();
    for (const instance of this.#all.values())
      this.#guarded(instance, () =>
        instance.until(now, (name, made) => this.#publish(instance, name, made, time)),
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
