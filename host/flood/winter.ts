// A winter on two river stations, a gateway and a second gateway as the cloud: what `wasmote flood` shows.
//
//   hereford (level, rain) --link--> gateway --link--> cloud        alarms --> dashboard, webhook
//   erwood   (level)       --link--> /
//
// The record is measured: days of the river Wye at Belmont. There is one record, so both stations show its flow; hereford has the
// rain besides, and decides by itself where it is to. What erwood's level says is decided above it, with hereford's rain.
// Links are cut and mended, the model moves, a station loses its power: the script says when, the days are the record's.
import { createServer, type Server } from "node:http";
import { once } from "node:events";
import { Gateway } from "../gateway/gateway.ts";
import type { PlacementView } from "../gateway/placement/placements.ts";
import type { Machine } from "../lib/emulate.ts";
import { inspect } from "../lib/engine.ts";
import { makePackage, type KeyPair } from "../lib/package.ts";
import { keepKey, openProject, signingKey, type Project } from "../lib/project.ts";
import { readFacts } from "../lib/build/section.ts";
import { Board } from "./board.ts";
import { DayRunner, dateOf, depth } from "./days.ts";
import { floodFlow, levelOf, ratingFlow, readDays, type RiverDay } from "./history.ts";
import { choose, stationSituation, type Estimate, type Place } from "./place.ts";
import { ConnectionLink } from "./relay.ts";
import { figuresOf, type Figures } from "./figures.ts";
import { buildGauge, buildStation } from "./station.ts";
import type { Built } from "../lib/build/build.ts";

/** The stations, and the placements that decide for each. */
export const stationNames = ["hereford", "erwood"] as const;
const placementOf = (station: string) => `${station}-flood`;

/** Where it is shown. */
export interface WinterScreen {
  step: (title: string) => void;
  say: (text: string) => void;
  day: (shown: { date: string; level: number; flow: number; alarm: boolean; place: Place }) => void;
}

export interface WinterOptions {
  folder: string;
  /** What the stations run on. */
  machine: Extract<Machine, "native" | "qemu-mps2">;
  /** It begins in October of this year. */
  winter: number;
  /** Only so many days. */
  days?: number | undefined;
  /** Milliseconds that a day takes at least. */
  pace: number;
  /** Where the gateway serves; port 0 for a free one. */
  port: number;
  screen: WinterScreen;
  signal: AbortSignal;
  modules: WinterModules;
}

/** What the stations run. */
export interface WinterModules {
  station: Built;
  gauge: Built;
}

/** Builds what the stations run. The compiler takes seconds in which no signal is heard, so it is done before anything is started. */
export async function buildModules(): Promise<WinterModules> {
  return { station: await buildStation(), gauge: await buildGauge() };
}

/** What is done before a day. */
export type Action =
  | { do: "move"; to: Place }
  | { do: "cut" | "mend"; link: "station" | "cloud" }
  | { do: "power" };

/** A winter's days, October to March. */
export function winterDays(year: number, count?: number): RiverDay[] {
  const days = readDays().filter(
    ({ date }) => date >= `${year}-10-01` && date < `${year + 1}-04-01`,
  );
  return count === undefined ? days : days.slice(0, count);
}

/** What happens when: moves at shares of the winter, cuts around the floods that come next. */
export function scriptOf(days: readonly Pick<RiverDay, "flow">[]): Map<number, Action[]> {
  const script = new Map<number, Action[]>();
  const count = days.length;
  const at = (index: number, action: Action) => {
    const place = Math.min(count - 2, Math.max(depth + 1, Math.round(index)));
    script.set(place, [...(script.get(place) ?? []), action]);
  };
  const onsets = days.flatMap(({ flow }, index) =>
    flow >= floodFlow && (days[index - 1]?.flow ?? 0) < floodFlow ? [index] : [],
  );
  const mended = { station: 0, cloud: 0 };
  /** Around the first flood from a share of the winter on, once the link is whole. */
  const around = (share: number, link: "station" | "cloud") => {
    const from = Math.max(share * count, mended[link] + 4);
    const flood = onsets.find((index) => index >= from) ?? Math.round(from);
    at(flood - 3, { do: "cut", link });
    at(flood + 3, { do: "mend", link });
    mended[link] = flood + 3;
  };
  around(0.1, "station");
  at(0.3 * count, { do: "move", to: "gateway" });
  if (count > 100) around(0.35, "station");
  at(0.5 * count, { do: "move", to: "cloud" });
  around(0.55, "cloud");
  at(0.7 * count, { do: "power" });
  at(0.8 * count, { do: "move", to: "node" });
  around(0.82, "station");
  return script;
}

/** Everything that runs, ended in the opposite order whatever happens. */
class Ending implements AsyncDisposable {
  readonly #all: (() => Promise<unknown>)[] = [];

  add(end: () => Promise<unknown>): void {
    this.#all.push(end);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const end of this.#all.toReversed()) await end().catch(() => {});
  }
}

/** A webhook's receiver: each message once, by its number. */
async function receiver(
  onAlarm: (change: string, text: string) => void,
): Promise<{ url: string; server: Server; messages: { change: string; text: string }[] }> {
  const known = new Set<string>();
  const messages: { change: string; text: string }[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (part: string) => (body += part));
    request.on("end", () => {
      response.end();
      const id = String(request.headers["wasmote-id"]);
      if (known.has(id)) return;
      known.add(id);
      const { change, alarm } = JSON.parse(body) as {
        change: string;
        alarm: { rule: string; node: string; text: string };
      };
      if (alarm.rule !== "flood") return;
      messages.push({ change, text: `${alarm.node}: ${alarm.text}` });
      onAlarm(change, `${alarm.node}: ${alarm.text}`);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return { url: `http://127.0.0.1:${port}/`, server, messages };
}

/** Signs a module for a class of boards. */
function signed(module: Uint8Array, name: string, boardClass: string, key: KeyPair): Uint8Array {
  const { footprint, table } = inspect(module);
  const facts = readFacts(module);
  const needs = {
    ram: footprint.total,
    table,
    fuel: 0,
    sensors: facts.sensors.length,
    outputs: facts.outputs.length,
  };
  return makePackage(
    module,
    { vendor: "", class: boardClass, sequence: 1, name, version: "1.0.0", needs },
    key,
  );
}

class Winter {
  readonly options: WinterOptions;
  readonly days: RiverDay[];
  boards: Board[] = [];
  gateway!: Gateway;
  cloud!: Gateway;
  cloudLink!: ConnectionLink;
  package!: Uint8Array;
  module!: Uint8Array;
  messages: { change: string; text: string }[] = [];
  /** What was thought at the beginning that each place would cost. */
  #estimates: readonly Estimate[] = [];

  constructor(options: WinterOptions) {
    this.options = options;
    this.days = winterDays(options.winter, options.days);
    if (this.days.length < 2 * depth)
      throw new RangeError(`the record has ${this.days.length} days of that winter`);
  }

  /** The gateway knows of the day before; a power cut waits for that. */
  #told = false;
  #power = false;

  get waiting(): Action[] {
    return this.#power && this.#told ? [{ do: "power" }] : [];
  }

  get view(): PlacementView {
    return this.gateway.placements.view(placementOf("hereford"));
  }

  async start(ending: Ending): Promise<void> {
    const { folder, machine, screen, signal, port, modules } = this.options;
    const { station, gauge } = modules;
    const project = openProject(folder);
    keepKey(project);
    const key = signingKey(project);
    screen.step("A winter on the river");
    const boards = stationNames.map(async (name) => {
      const board = await Board.start({ name, machine, folder, publicKey: key.publicKey, signal });
      ending.add(() => board.stop());
      return board;
    });
    this.boards = await Promise.all(boards);
    signal.throwIfAborted();
    this.module = station.module;
    this.package = signed(station.module, "station", "hosted", key);
    for (const [index, board] of this.boards.entries()) {
      const module = index === 0 ? station.module : gauge.module;
      const { class: boardClass } = await board.node.info();
      await board.node.push(signed(module, index === 0 ? "station" : "gauge", boardClass, key));
      board.installed();
    }
    screen.say(
      `   stations hereford (level, rain) and erwood (level) on ${machine}; module ${station.module.length} bytes with its network`,
    );
    await this.#gateways(ending, project, port);
    const decision = choose(stationSituation(this.#fuel(), { link: "lora", sources: 1 }));
    this.#estimates = decision.estimates;
    screen.say(`   hereford's alarm begins on the ${decision.place}: ${decision.because}`);
    await this.#place("hereford", "hereford", decision.place);
    await this.#place("erwood", "hereford", "gateway");
    screen.say("   erwood's level has no rain beside it: decided at the gateway, with hereford's");
  }

  /** Units of fuel of a decision, as the engine counts them. */
  #fuel(): number {
    const runner = new DayRunner(this.module);
    const days = this.days.slice(0, depth).map(({ day, flow, rain }) => ({
      day,
      level: levelOf(flow),
      rain,
    }));
    runner.decide(days, 0);
    return runner.spent.fuel;
  }

  async #gateways(ending: Ending, project: Project, port: number): Promise<void> {
    const { folder, screen } = this.options;
    const hook = await receiver((change, text) =>
      screen.say(`   webhook  ${change === "raised" ? "ALARM" : change}  ${text}`),
    );
    ending.add(() => new Promise((resolve) => hook.server.close(resolve)));
    this.messages = hook.messages;
    const shared = {
      project,
      say: (text: string) => screen.say(`   ${text}`),
      stationPeriod: 1_000,
      period: 2_000,
      patience: 4_000,
      reconnect: 500,
    };
    this.cloud = await Gateway.start({
      ...shared,
      folder: `${folder}/cloud`,
      nodes: {},
      config: { listen: { host: "127.0.0.1", port: 0 } },
    });
    ending.add(() => this.cloud.stop());
    this.cloudLink = await ConnectionLink.open(this.cloud.port);
    ending.add(() => this.cloudLink.close());
    this.gateway = await Gateway.start({
      ...shared,
      folder: `${folder}/gateway`,
      nodes: Object.fromEntries(this.boards.map(({ name, link }) => [name, link.address])),
      config: {
        listen: { host: "127.0.0.1", port },
        deliveries: [{ kind: "webhook", name: "town", url: hook.url, secret: "shown" }],
      },
    });
    ending.add(() => this.gateway.stop());
    const { first } = this.gateway.access;
    screen.say(`   dashboard ${this.gateway.url}/${first === undefined ? "" : `#token=${first}`}`);
    await this.#until("both stations answer", () =>
      this.boards.every(({ name }) => this.gateway.nodes.get(name)?.info !== undefined),
    );
  }

  async #place(level: string, rain: string, place: Place): Promise<void> {
    await this.gateway.placements.start(
      {
        name: placementOf(level),
        sources: { level, rain },
        place,
        parameters: {},
        cloud: {
          url: `http://127.0.0.1:${this.cloudLink.port}`,
          token: this.cloud.access.first,
        },
      },
      this.package,
    );
  }

  /** Waits for something that comes by itself; that it does not come within five minutes is a fault. */
  async #until(what: string, look: () => boolean | Promise<boolean>): Promise<void> {
    const began = performance.now();
    while (!(await look())) {
      this.options.signal.throwIfAborted();
      if (performance.now() - began > 300_000)
        throw new Error(`waited five minutes in vain: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async act(action: Action): Promise<void> {
    const { screen } = this.options;
    const [hereford] = this.boards;
    if (action.do === "move") {
      screen.say(`   the model moves: ${this.view.place} -> ${action.to}`);
      this.gateway.placements.move(placementOf("hereford"), action.to);
    } else if (action.do === "power" && (hereford!.link.cut || !this.#told)) {
      // Its days are nowhere else yet: it happens once the gateway has them.
      this.#power = true;
    } else if (action.do === "power") {
      screen.say("   hereford loses its power, and with it the days that it had not saved");
      this.#power = false;
      await hereford!.cutPower();
    } else {
      const cut = action.do === "cut";
      const link = action.link === "station" ? hereford!.link : this.cloudLink;
      link.cut = cut;
      const which =
        action.link === "station" ? "hereford to the gateway" : "the gateway to the cloud";
      screen.say(`   the link from ${which} is ${cut ? "cut" : "back"}`);
      if (!cut && action.link === "station") this.gateway.placements.nudge("hereford");
    }
  }

  /** A day on both stations; resolves when hereford has decided, and where its link is whole the gateway knows of it. */
  async pass(index: number): Promise<void> {
    const { day, flow, rain, date } = this.days[index]!;
    const [hereford, erwood] = this.boards;
    const level = Math.min(9_900, levelOf(flow));
    const began = performance.now();
    const [{ alarm = false }] = await Promise.all([
      hereford!.pass(day, level, rain),
      erwood!.measure(day, level, undefined),
    ]);
    if (!hereford!.link.cut)
      await this.#until(`the gateway knows of ${date}`, () => {
        const { next } = this.view;
        return index < depth - 1 || (next !== null && next > date);
      });
    this.#told = !hereford!.link.cut;
    const { decidedAt, place } = this.view;
    const at = hereford!.link.cut ? "node" : (decidedAt ?? place);
    this.options.screen.day({ date, level, flow: ratingFlow(level), alarm, place: at });
    const rest = this.options.pace - (performance.now() - began);
    if (rest > 0)
      await new Promise<void>((resolve) => {
        const done = () => {
          clearTimeout(timer);
          this.options.signal.removeEventListener("abort", done);
          resolve();
        };
        const timer = setTimeout(done, rest);
        this.options.signal.addEventListener("abort", done, { once: true });
      });
    this.options.signal.throwIfAborted();
  }

  async end(): Promise<Figures> {
    const [hereford] = this.boards;
    for (const one of [hereford!.link, this.cloudLink]) one.cut = false;
    const last = this.days.at(-1)!.day;
    this.gateway.placements.nudge("hereford");
    await this.#until("the gateway knows of the last day", () => {
      const { next, behind } = this.view;
      return next !== null && next > dateOf(last) && behind === 0;
    });
    await this.#until("all webhooks are delivered", () => this.gateway.outbox.waiting() === 0);
    const decisions = this.gateway.placements.decisions(placementOf("hereford"));
    return figuresOf({
      days: this.days,
      decisions,
      view: this.view,
      others: stationNames.map(placementOf).filter((name) => name !== this.view.name),
      estimates: this.#estimates,
      carried: hereford!.link.carried,
      cloudBytes: this.cloudLink.bytes,
      fuel: this.#fuel(),
      messages: this.messages,
    });
  }
}

/** Runs a winter to its end; throws the signal's reason where that ends it before. */
export async function runWinter(options: WinterOptions): Promise<Figures> {
  await using ending = new Ending();
  const winter = new Winter(options);
  await winter.start(ending);
  const script = scriptOf(winter.days);
  for (const index of winter.days.keys()) {
    for (const action of [...winter.waiting, ...(script.get(index) ?? [])])
      await winter.act(action);
    await winter.pass(index);
  }
  return winter.end();
}
