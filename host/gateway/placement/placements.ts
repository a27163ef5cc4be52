// The placements of a gateway: flood alarms whose place is the node, this gateway or the cloud, with the days of their stations.
import {
  DayRunner,
  dateOf,
  dayLength,
  mostRead,
  readNodeDays,
  writeDays,
} from "../../flood/days.ts";
import type { Place } from "../../flood/place.ts";
import { Placement, type Stations } from "../../flood/placement.ts";
import { openPackage } from "../../lib/package.ts";
import type { Alarms } from "../alarms.ts";
import { Refused } from "../http.ts";
import type { Hub } from "../hub.ts";
import type { Nodes } from "../nodes.ts";
import type { Store } from "../sqlite/store.ts";
import { SecondGateway } from "./cloud.ts";
import { PlacementsStore, type PlacementConfig } from "./store.ts";

export interface PlacementsOptions {
  store: Store;
  nodes: Nodes;
  hub: Hub;
  alarms: Alarms;
  /** Told what is worth a line on a console. */
  say: (text: string) => void;
  /** How often a station is asked for days without a sign that it has any, in milliseconds. */
  period: number;
}

/** Milliseconds in which values of a station are taken for those of one moment. */
const together = 50;
/** Placements at most. */
const most = 100;
/** How long a station may take for an answer, in milliseconds; what it does not answer is asked for again. */
const patience = 10_000;

interface Running {
  config: PlacementConfig;
  placement: Placement;
  package: Uint8Array;
  /** It is about to ask its stations. */
  due?: NodeJS.Timeout | undefined;
}

/** What an operator sees of a placement. */
export interface PlacementView {
  name: string;
  sources: PlacementConfig["sources"];
  place: Place;
  /** Where the newest decision was made: below the place while a link is cut. */
  decidedAt: Place | null;
  /** The module that decides: SHA-256. */
  digest: string;
  /** The day that is decided next. */
  next: string | null;
  alarm: boolean;
  behind: number;
  repeated: number;
  missed: number;
  moves: number;
  cloud: string | null;
  trouble: Record<string, string>;
  /** Decisions by place since the start, with fuel and milliseconds where they were made by an engine that this gateway hears of. */
  spent: {
    node: { decisions: number };
    gateway: { decisions: number; fuel: number; milliseconds: number };
    cloud: { decisions: number; fuel: number; milliseconds: number } | null;
  };
}

export class Placements {
  readonly #options: PlacementsOptions;
  readonly #store: PlacementsStore;
  readonly #all = new Map<string, Running>();
  readonly #stations: Stations;
  readonly #timer: NodeJS.Timeout;
  readonly #viewer: { close: () => void };

  constructor(options: PlacementsOptions) {
    this.#options = options;
    this.#store = new PlacementsStore(options.store.database);
    this.#stations = stationsOf(options.nodes);
    this.#timer = setInterval(() => this.#settleAll(), options.period);
    this.#timer.unref();
    // A station that publishes has ended a day.
    this.#viewer = options.hub.view(
      { resources: ["outputs/*"] },
      {
        send: ({ node }) => {
          this.nudge(node);
          return true;
        },
      },
    );
    for (const { config, package: bytes } of this.#store.all())
      try {
        this.#run(config, bytes);
      } catch (error) {
        options.say(`the placement ${config.name} does not start: ${(error as Error).message}`);
      }
  }

  /** Starts a placement, or replaces the package or the configuration of one; what it knows stays. */
  async start(config: PlacementConfig, bytes: Uint8Array): Promise<PlacementView> {
    const before = this.#all.get(config.name);
    if (before === undefined && this.#all.size >= most)
      throw new Refused(422, `${most} placements are here already`);
    for (const node of Object.values(config.sources))
      if (this.#options.nodes.get(node) === undefined)
        throw new Refused(404, `there is no node ${node}`);
    // Refused before the one that runs is touched.
    runnerOf(config, bytes);
    clearTimeout(before?.due);
    await before?.placement.stop();
    this.#store.keep(config, bytes);
    const running = this.#run(config, bytes);
    void this.#settle(running);
    return this.#view(running);
  }

  move(name: string, place: Place): PlacementView {
    const running = this.#of(name);
    try {
      running.placement.move(place);
    } catch (error) {
      if (error instanceof RangeError) throw new Refused(422, error.message);
      throw error;
    }
    running.config = { ...running.config, place };
    this.#store.move(running.config);
    void this.#settle(running);
    return this.#view(running);
  }

  async remove(name: string): Promise<void> {
    const { placement } = this.#of(name);
    clearTimeout(this.#of(name).due);
    await placement.stop();
    this.#all.delete(name);
    this.#store.remove(name);
    this.#options.alarms.end(alarmId(name));
    this.#options.hub.forget(name);
  }

  views(): PlacementView[] {
    return [...this.#all.values()].map((one) => this.#view(one));
  }

  view(name: string): PlacementView {
    return this.#view(this.#of(name));
  }

  /** All days of a placement that are known in whole, as a training script reads them: day, rain, flow by the rating curve, level. */
  history(name: string): { day: number; rain: number; level: number }[] {
    this.#of(name);
    return this.#store
      .of(name)
      .days(0)
      .flatMap(({ day, rain, level }) =>
        rain === null || level === null ? [] : [{ day, rain, level }],
      );
  }

  /** What was decided of each day, and where. */
  decisions(name: string): { day: number; alarm: boolean; at: Place }[] {
    this.#of(name);
    return this.#store.decisions(name);
  }

  packageOf(
    name: string,
  ): Pick<PlacementConfig, "sources" | "parameters"> & { package: Uint8Array } {
    const { package: bytes, config } = this.#of(name);
    return { package: bytes, sources: config.sources, parameters: config.parameters };
  }

  /** Another package, and values of parameters; everything else stays as it is. */
  replace(
    name: string,
    bytes: Uint8Array,
    parameters: Record<string, number> = {},
  ): Promise<PlacementView> {
    const { config } = this.#of(name);
    return this.start({ ...config, parameters: { ...config.parameters, ...parameters } }, bytes);
  }

  /** A node has said something, or is heard of again. */
  nudge(node: string): void {
    for (const running of this.#all.values()) {
      if (!Object.values(running.config.sources).includes(node)) continue;
      // What a station says of one day comes in several values: they are one reason to ask.
      running.due ??= setTimeout(() => {
        running.due = undefined;
        void this.#settle(running);
      }, together);
    }
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    for (const { due } of this.#all.values()) clearTimeout(due);
    this.#viewer.close();
    await Promise.all([...this.#all.values()].map(({ placement }) => placement.stop()));
  }

  #of(name: string): Running {
    const running = this.#all.get(name);
    if (running === undefined) throw new Refused(404, `there is no placement ${name}`);
    return running;
  }

  #settleAll(): void {
    for (const running of this.#all.values()) void this.#settle(running);
  }

  async #settle({ config, placement }: Running): Promise<void> {
    try {
      await placement.settle();
    } catch (error) {
      // A disk that takes nothing, a module that traps: said, and tried again with the next day.
      placement.trouble.set("gateway", (error as Error).message);
      this.#options.say(`${config.name}: ${(error as Error).message}`);
    }
  }

  #run(config: PlacementConfig, bytes: Uint8Array): Running {
    const { name, sources, place, cloud, parameters } = config;
    const { hub, alarms } = this.#options;
    const placement = new Placement({
      sources,
      place,
      store: this.#store.of(name),
      stations: this.#stations,
      here: runnerOf(config, bytes),
      cloud: cloud && new SecondGateway({ ...cloud, name, package: bytes, parameters }),
      onChange: ({ alarm }, { day, danger }, at) => {
        const time = day * dayLength;
        if (!alarm) return alarms.end(alarmId(name), time);
        alarms.raise({
          id: alarmId(name),
          rule: "flood",
          kind: "threshold",
          severity: "critical",
          node: name,
          resource: "outputs/alarm",
          text: `flood expected on ${dateOf(day + 1)} (decided ${at === "node" ? "on the node" : at === "cloud" ? "in the cloud" : "at the gateway"})`,
          since: time,
          value: Number.isFinite(danger) ? danger : null,
        });
      },
      onDecision: ({ danger, alarm }) => {
        const time = Date.now();
        const value = Number.isFinite(danger) ? danger : null;
        hub.publish({ node: name, resource: "outputs/danger", time, value });
        hub.publish({ node: name, resource: "outputs/alarm", time, value: alarm ? 1 : 0 });
      },
    });
    const running = { config, placement, package: bytes };
    this.#all.set(name, running);
    return running;
  }

  #view({ config, placement, package: bytes }: Running): PlacementView {
    const { next, on, repeated, missed } = placement.ledger;
    const { gateway, cloud } = placement.spent;
    return {
      name: config.name,
      sources: config.sources,
      place: placement.place,
      decidedAt: placement.decidedAt ?? null,
      digest: Buffer.from(openPackage(bytes).manifest.digest).toString("hex"),
      next: next === undefined ? null : dateOf(next),
      alarm: on,
      behind: placement.behind,
      repeated,
      missed,
      moves: placement.moves,
      cloud: config.cloud?.url ?? null,
      trouble: Object.fromEntries(placement.trouble),
      spent: {
        node: { decisions: placement.taken },
        gateway: { ...gateway },
        cloud: cloud === undefined ? null : { ...cloud },
      },
    };
  }
}

const alarmId = (name: string) => `flood/${name}/outputs/alarm`;

function runnerOf({ parameters }: PlacementConfig, bytes: Uint8Array): DayRunner {
  try {
    return new DayRunner(openPackage(bytes).module, parameters);
  } catch (error) {
    throw new Refused(422, `the package does not run here: ${(error as Error).message}`);
  }
}

/** Stations over CoAP: their module answers at /app/x/days. */
function stationsOf(nodes: Nodes): Stations {
  const connection = (station: string) => {
    const node = nodes.get(station);
    if (node === undefined) throw new Error(`there is no node ${station}`);
    return node.connection;
  };
  return {
    read: async (station, from) => {
      const { payload } = await connection(station).request("FETCH", "app/x/days", {
        payload: Buffer.from(String(from)),
        format: "text",
        signal: AbortSignal.timeout(patience),
      });
      const days = readNodeDays(payload);
      if (days.length > mostRead || days.some(({ day }) => day < from))
        throw new RangeError(`${station} answers with days that were not asked for`);
      nodes.get(station)?.seen();
      return days;
    },
    give: async (station, days) => {
      await connection(station).request("PUT", "app/x/days", {
        payload: writeDays(days),
        format: "octets",
        signal: AbortSignal.timeout(patience),
      });
    },
  };
}
