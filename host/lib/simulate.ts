// A module run here as a node runs it: the same order of calls, the same budget, the same imports, on samples with a time.
import { importModule, imports, limits } from "./contract.ts";
import {
  inspect,
  instantiate,
  ModuleError,
  type EngineName,
  type Ended,
  type Host,
  type Import,
  type Instance,
  type Value,
} from "./engine.ts";
import { exportedNumber, placed, readFacts, type Facts, type StateFact } from "./build/section.ts";
import { plainStates, plainValue, readState, sameType, type Plain } from "./states.ts";
import type { Sample } from "./samples.ts";

export { readSamples, SamplesError, type Sample } from "./samples.ts";

/** What a module did. */
export type Happening =
  | { at: number; kind: "output"; name: string; value: number }
  /** Published on an output that takes texts or has a type. */
  | { at: number; kind: "told"; name: string; value: Plain | string }
  /** `level` is that of RFC 5424 §6.2.1 where the module says one: 3 error, 4 warning, 7 debugging. */
  | { at: number; kind: "log"; text: string; level?: number }
  | { at: number; kind: "gpio"; pin: number; level: number }
  /** In a Content-Format, the payload is there as it is too. */
  | {
      at: number;
      kind: "reply";
      status: string;
      text: string;
      format?: number;
      payload?: Uint8Array;
    }
  | { at: number; kind: "trap"; ended: Ended };

export interface SimulateOptions {
  engine?: EngineName;
  /** Values of parameters other than the initial ones. */
  parameters?: Record<string, number>;
  /** Fuel of a run. */
  fuel?: number;
  /** What a run of a module before this one has kept, as {@link Simulation.kept} gives it. */
  kept?: readonly KeptState[];
  /** The times of samples are milliseconds since 1970, and the wall clock is set by them; otherwise it is not set. */
  wallClock?: boolean;
}

/** A state of a module, with its bytes. */
export interface KeptState extends StateFact {
  bytes: Uint8Array;
}

/** What a module answered a request. */
export interface Answer {
  /** As in 2.05. */
  status: string;
  bytes: Uint8Array;
  /** Its Content-Format, where the module says one. */
  format?: number;
}

/** The budget of a run on every board of this project. */
export const runFuel = limits.fuel;

export class Simulation {
  readonly facts: Facts;
  /** Fuel of each run, in order; empty in engines that do not count. */
  readonly fuel: number[] = [];
  /** What of it host calls cost, run by run. */
  readonly hostFuel: number[] = [];
  readonly happenings: Happening[] = [];
  readonly #instance: Instance;
  readonly #buffer: number | undefined;
  #asked = false;
  #answer: Answer | undefined;
  readonly #budget: number;
  readonly #wallClock: boolean;
  /** What the wall clock is ahead of {@link #now}, once it is set. */
  #wall: number | undefined;
  readonly #latest: number[];
  readonly #parameters: number[];
  #now = 0;
  #nextTick: number;
  #trapped = false;

  constructor(module: Uint8Array, options: SimulateOptions = {}) {
    this.facts = readFacts(module);
    const { engine = "wasmote", parameters = {}, fuel = runFuel, kept = [] } = options;
    const unknown = Object.keys(parameters).find(
      (name) => !this.facts.parameters.some((one) => one.name === name),
    );
    if (unknown !== undefined) {
      const names = this.facts.parameters.map(({ name }) => name).join(", ") || "none";
      throw new RangeError(`the module has no parameter ${unknown}; it has: ${names}`);
    }
    // As on the node, which refuses them too.
    for (const { name, minimum, maximum } of this.facts.parameters) {
      const value = Object.hasOwn(parameters, name) ? parameters[name] : undefined;
      // The bounds are f32, and so is what a module gets.
      const near = value === undefined ? minimum : Math.fround(value);
      if (!(near >= minimum && near <= maximum))
        throw new RangeError(`${name} is ${minimum} to ${maximum}, not ${value}`);
    }
    this.#budget = fuel;
    this.#wallClock = options.wallClock ?? false;
    this.#latest = this.facts.sensors.map(() => Number.NaN);
    this.#parameters = this.facts.parameters.map(({ name, initial }) =>
      Math.fround(Object.hasOwn(parameters, name) ? (parameters[name] ?? initial) : initial),
    );
    inspect(module).imports.forEach(clearName);
    this.#instance = instantiate(module, engine, this.#host);
    this.#buffer = this.facts.buffer > 0 ? exportedNumber(module, "buffer") : undefined;
    this.#nextTick = this.facts.tick > 0 && this.#instance.has("tick") ? this.facts.tick : Infinity;
    // Setting up and `start` are one run with one budget, as on the node.
    const set = this.#instance.call(undefined, [], fuel);
    const used = set.fuel ?? 0;
    for (const state of this.facts.states) {
      // As on the node: by name and type, before the program starts.
      const known = kept.find(
        ({ name, fields }) => name === state.name && sameType(fields, state.fields),
      );
      if (known) this.#instance.write(state.at, known.bytes);
    }
    if (set.trap !== undefined || !this.#instance.has("start")) this.#end(set);
    else {
      const start = this.#instance.call("start", [], fuel - used);
      const hostFuel = (set.hostFuel ?? 0) + (start.hostFuel ?? 0);
      this.#end(start.fuel === undefined ? start : { ...start, fuel: start.fuel + used, hostFuel });
    }
  }

  /** Bytes of its memory. */
  get memorySize(): number {
    return this.#instance.memorySize();
  }

  /** What it keeps over resets and updates, as it is now. */
  kept(): KeptState[] {
    return this.facts.states.flatMap((state) => {
      const bytes = readState(this.#instance, state);
      return bytes === undefined ? [] : [{ ...state, bytes }];
    });
  }

  /** The values of it: a number, or a record's fields. */
  states(): Record<string, Plain> {
    return plainStates(this.kept());
  }

  /** Whether it has this export. */
  has(name: string): boolean {
    return this.#instance.has(name);
  }

  /** Whether the module trapped: a node would have stopped it, and so nothing more happens here. */
  get trapped(): boolean {
    return this.#trapped;
  }

  /** The module gets a sample; what is due before it comes first. */
  sample({ at, sensor, value }: Sample): void {
    this.until(at);
    // The clock may be set back; time goes on.
    if (this.#wallClock) this.#wall = at - this.#now;
    const index = this.facts.sensors.indexOf(sensor);
    if (index < 0) return;
    this.#latest[index] = Math.fround(value);
    if (this.#instance.has("sample")) this.#run("sample", [index, Math.fround(value)]);
  }

  /** A sensor is silent or faulty: it has no value until its next sample. No handler runs, as on the node. */
  lose(at: number, sensor: string): void {
    this.until(at);
    const index = this.facts.sensors.indexOf(sensor);
    if (index >= 0) this.#latest[index] = Number.NaN;
  }

  /** A request below `/app/x`; its answer is the reply that happens, or there is none. Methods are CoAP's codes: 1 GET … 7 iPATCH. */
  request(at: number, method: number, path: string, payload = ""): void {
    this.ask(at, method, path, new TextEncoder().encode(payload));
  }

  /** {@link request} with any bytes; its answer, if there is one. */
  ask(at: number, method: number, path: string, payload: Uint8Array): Answer | undefined {
    this.until(at);
    const name = new TextEncoder().encode(path);
    const bytes = Buffer.concat([name, payload]);
    if (this.#trapped || this.#buffer === undefined || !this.#instance.has("request"))
      return undefined;
    if (bytes.length > this.facts.buffer || !this.#instance.write(this.#buffer, bytes))
      throw new RangeError(`a request for this module has at most ${this.facts.buffer} bytes`);
    this.#asked = true;
    this.#answer = undefined;
    this.#run("request", [method, name.length, payload.length]);
    this.#asked = false;
    return this.#answer;
  }

  /** Time passes: ticks happen. */
  until(at: number): void {
    while (this.#nextTick <= at && !this.#trapped) {
      this.#now = this.#nextTick;
      this.#nextTick += this.facts.tick;
      this.#run("tick", []);
    }
    this.#now = Math.max(this.#now, at);
  }

  /** Of the ticks that were due by then only the newest will happen: as on a node that is late. */
  leaveOut(by: number): void {
    const missed = Math.floor((by - this.#nextTick) / this.facts.tick);
    if (missed > 0 && Number.isFinite(missed)) this.#nextTick += missed * this.facts.tick;
  }

  /** Time passes, and no tick that would be due happens: as if the node had been asleep. */
  skipTo(at: number): void {
    if (this.#nextTick < at)
      this.#nextTick += Math.ceil((at - this.#nextTick) / this.facts.tick) * this.facts.tick;
    this.#now = Math.max(this.#now, at);
  }

  #run(name: string, values: number[]): void {
    if (this.#trapped) return;
    this.#end(this.#instance.call(name, values, this.#budget));
  }

  #end(ended: Ended): void {
    if (ended.fuel !== undefined) {
      this.fuel.push(ended.fuel);
      this.hostFuel.push(ended.hostFuel ?? 0);
    }
    if (ended.trap === undefined) return;
    this.#trapped = true;
    const [place] = ended.backtrace;
    const exhausted =
      ended.trap === "unreachable" &&
      place !== undefined &&
      this.facts.exhausted?.includes(place.offset) === true;
    this.happenings.push({
      at: this.#now,
      kind: "trap",
      ended: exhausted ? { ...ended, trap: "out of memory" } : ended,
    });
  }

  /** Only a request may be answered, and once. */
  #reply(code: number, bytes: Uint8Array | undefined, format?: number): Value[] | undefined {
    if (!this.#asked || bytes === undefined || ![2, 4, 5].includes(code >> 5)) return undefined;
    if (bytes.length > limits.reply_bytes) return undefined;
    this.#asked = false;
    const status = `${code >> 5}.${String(code & 31).padStart(2, "0")}`;
    const payload = Uint8Array.from(bytes);
    this.#answer = { status, bytes: payload, ...(format === undefined ? {} : { format }) };
    this.happenings.push({
      at: this.#now,
      kind: "reply",
      status,
      text: new TextDecoder().decode(bytes),
      ...(format === undefined ? {} : { format, payload }),
    });
    return [];
  }

  readonly #host: Host = (one, values, read) => {
    const [a = 0, b = 0, c = 0, d = 0] = values.map(Number);
    const at = this.#now;
    switch (clearName(one)) {
      case "read":
        return numbers(this.#latest[a]);
      case "parameter":
        return numbers(this.#parameters[a]);
      case "now":
        return [Math.trunc(at % 2 ** 32) | 0];
      case "unix":
        return [this.#wall === undefined ? 0n : BigInt(Math.trunc(this.#wall + at))];
      case "publish": {
        const output = this.facts.outputs[a];
        if (output === undefined || output.type !== undefined) return undefined;
        this.happenings.push({ at, kind: "output", name: output.name, value: b });
        return [];
      }
      case "tell": {
        const output = this.facts.outputs[a];
        const bytes = read(b, c);
        if (output?.type === undefined || bytes === undefined) return undefined;
        const { name, type } = output;
        if (type !== "text" && bytes.length !== placed(type).size) return undefined;
        const value = type === "text" ? cut(bytes, limits.output_bytes) : plainValue(type, bytes);
        this.happenings.push({ at, kind: "told", name, value });
        return [];
      }
      case "log": {
        const bytes = read(a, b);
        if (bytes === undefined) return undefined;
        this.happenings.push({ at, kind: "log", text: new TextDecoder().decode(bytes) });
        return [];
      }
      case "note": {
        const bytes = read(b, c);
        if (bytes === undefined || ![3, 4, 6, 7].includes(a)) return undefined;
        const text = new TextDecoder().decode(bytes);
        this.happenings.push({ at, kind: "log", text, ...(a === 6 ? {} : { level: a }) });
        return [];
      }
      case "gpio":
        if (a < 0 || a > 255) return undefined;
        this.happenings.push({ at, kind: "gpio", pin: a, level: b === 0 ? 0 : 1 });
        return [];
      case "reply":
        return this.#reply(a, read(b, c));
      case "answer":
        return b < 0 || b > 0xffff ? undefined : this.#reply(a, read(c, d), b);
    }
  };
}

/** What of a text fits so many bytes: whole characters. */
function cut(bytes: Uint8Array, most: number): string {
  let end = Math.min(bytes.length, most);
  while (end < bytes.length && end > 0 && (bytes[end]! & 0xc0) === 0x80) end--;
  return new TextDecoder().decode(bytes.subarray(0, end));
}

/** A result, or an error if there is none. */
function numbers(value: number | undefined): number[] | undefined {
  return value === undefined ? undefined : [value];
}

/** The clear name of an import by its name on the wire. */
function clearName({ module, name }: Import): keyof typeof imports {
  const found = Object.entries(imports).find(([, { link }]) => link === name);
  if (module !== importModule || !found)
    throw new ModuleError(`it imports ${module}.${name}, which no node has`);
  return found[0] as keyof typeof imports;
}

/** Runs a module over samples in the order of their times. */
export function simulate(
  module: Uint8Array,
  samples: Iterable<Sample>,
  options: SimulateOptions = {},
): Simulation {
  const simulation = new Simulation(module, options);
  for (const sample of samples) simulation.sample(sample);
  return simulation;
}
