// A flood alarm placed by `wasmote place` with everything a process of its own: a station, a gateway, a second gateway as the cloud. Moved
// under load, with links cut and processes killed: every alarm once, in order, at the latest with the first day behind the mended link.
//
// WASMOTE_MOVES=100 npx vitest run test/gateway/placing.test.ts     moves it a hundred times
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, test } from "vitest";
import { Board } from "../../host/flood/board.ts";
import { DayRunner, dateOf, depth, type DayInputs } from "../../host/flood/days.ts";
import { levelOf, readDays } from "../../host/flood/history.ts";
import { places } from "../../host/flood/place.ts";
import { ConnectionLink } from "../../host/flood/relay.ts";
import { buildStation, eveningFile } from "../../host/flood/station.ts";
import type { PlacementView } from "../../host/gateway/placement/placements.ts";
import { missing } from "../../host/lib/emulate.ts";
import { askGateway, type GatewayPlace } from "../../host/lib/gateway.ts";
import { openProject, signingKey } from "../../host/lib/project.ts";
import { newProject, program, wasmote } from "../harness/command.ts";
import { randomBelow } from "../harness/random.ts";
import { scratch } from "../harness/target.ts";
import { until } from "./harness.ts";

const moves = Number(process.env["WASMOTE_MOVES"] ?? 6);
const reason = missing("native");

/** A gateway as a process; its token stays over restarts. */
class Process {
  readonly #project: string;
  readonly #words: string[];
  #child: ChildProcess | undefined;
  at: GatewayPlace = { url: "" };

  constructor(project: string, ...words: string[]) {
    this.#project = project;
    this.#words = words;
  }

  async start(): Promise<void> {
    const words = ["gateway", "--listen", "127.0.0.1:0", "--json", ...this.#words];
    this.#child = spawn(process.execPath, [program, ...words], {
      cwd: this.#project,
      stdio: ["ignore", "pipe", "ignore"],
    });
    for await (const line of createInterface({ input: this.#child.stdout! })) {
      const { url, token } = JSON.parse(line) as { url: string; token?: string };
      this.at = { url, token: token ?? this.at.token };
      return;
    }
    throw new Error("the gateway ended before it listened");
  }

  async kill(): Promise<void> {
    if (this.#child === undefined) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
    this.#child = undefined;
  }
}

test.skipIf(reason !== undefined)(
  `moved ${moves} times under load, with links cut and processes killed, every alarm comes once, in order${reason ? ` (skipped: ${reason})` : ""}`,
  async () => {
    using folder = scratch();
    const project = await newProject(folder.path);
    const heard: { change: string; text: string }[] = [];
    const known = new Set<string>();
    const town = createServer((request, response) => {
      let body = "";
      request.setEncoding("utf8").on("data", (part: string) => (body += part));
      request.on("end", () => {
        const id = String(request.headers["wasmote-id"]);
        const { change, alarm } = JSON.parse(body) as {
          change: string;
          alarm: { rule: string; text: string };
        };
        if (!known.has(id) && alarm.rule === "flood") heard.push({ change, text: alarm.text });
        known.add(id);
        response.end();
      });
    });
    town.listen(0, "127.0.0.1");
    await once(town, "listening");
    const hook = `http://127.0.0.1:${(town.address() as { port: number }).port}/`;
    const publicKey = signingKey(openProject(project)).publicKey;
    const station = await Board.start({
      name: "wye",
      machine: "native",
      folder: folder.path,
      publicKey,
    });
    const quick = "station-period = 0.3\nreconnect = 0.5\n";
    writeFileSync(
      join(project, "gateway.toml"),
      `${quick}[deliveries.town]\nkind = "webhook"\nurl = "${hook}"\nsecret = "s"\n`,
    );
    writeFileSync(join(project, "cloud.toml"), quick);
    const edge = new Process(project, "--data", "edge");
    const cloud = new Process(project, "--data", "cloud", "--config", "cloud.toml");
    await cloud.start();
    appendFileSync(join(project, "wasmote.toml"), `wye = "${station.link.address}"\n`);
    await edge.start();
    const cloudLink = await ConnectionLink.open(Number(new URL(cloud.at.url).port));
    const over = new AbortController();
    try {
      const place = async (on: string, ...more: string[]) => {
        const where = ["--gateway", edge.at.url, "--token", edge.at.token ?? ""];
        const above = ["--cloud", `http://127.0.0.1:${cloudLink.port}`];
        const words = ["--station", "wye", "--on", on, ...more, ...where, ...above];
        const done = await wasmote(
          project,
          "place",
          eveningFile,
          ...words,
          "--cloud-token",
          cloud.at.token ?? "",
        );
        expect(done.code, done.err + done.out).toBe(0);
      };
      const view = () => askGateway<PlacementView>(edge.at, "/api/placements/wye-flood");
      /** The gateway knows what the station is and runs. */
      const reached = () =>
        until(async () => {
          const path = "/api/nodes/wye";
          const { info, app } = await askGateway<Record<"info" | "app", unknown>>(edge.at, path);
          return Boolean(info) && Boolean(app);
        });
      await reached();
      await place("node");
      station.installed();
      // Others ask all the time.
      const load = Array.from({ length: 4 }, async () => {
        while (!over.signal.aborted) {
          await askGateway(edge.at, "/api/nodes").catch(() => {});
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      });
      const below = randomBelow(11);
      const every = 5;
      const days = readDays()
        .filter(({ date }) => date >= "2013-10-03")
        .slice(0, Math.max(36, moves * every))
        .map(({ day, flow, rain }): DayInputs => ({
          day,
          level: Math.min(9900, levelOf(flow)),
          rain: Math.fround(rain),
        }));
      const { module } = await buildStation();
      const decided = new DayRunner(module).decide(days, 0);
      const expected = decided
        .filter(({ alarm }, index) => alarm !== (decided[index - 1]?.alarm ?? false))
        .map(({ day, alarm }) => ({ day, change: alarm ? "raised" : "ended" }));
      expect(expected.length).toBeGreaterThan(2);
      const count = { moves: 0, said: 0, cuts: 0, kills: 0 };
      let behind = false;
      for (const [index, day] of days.entries()) {
        if (index % every === every - 1 && count.moves < moves) {
          const to = places[(count.moves + 1) % places.length]!;
          // The verb a few times, which takes some seconds and asks for the station; else the route that it ends with.
          if (count.said < 3 && !station.link.cut) {
            await reached();
            await place(to);
            count.said++;
          } else
            await askGateway(edge.at, "/api/placements/wye-flood/place", {
              method: "PUT",
              body: Buffer.from(JSON.stringify({ place: to })),
            });
          count.moves++;
        }
        if (below(station.link.cut ? 3 : 7) === 0) {
          station.link.cut = !station.link.cut;
          count.cuts++;
        }
        if (below(cloudLink.cut ? 3 : 7) === 0) {
          cloudLink.cut = !cloudLink.cut;
          count.cuts++;
        }
        const fate = below(16);
        if (fate === 0) {
          count.kills++;
          await edge.kill();
          await edge.start();
        } else if (fate === 1) {
          count.kills++;
          await cloud.kill();
          await cloud.start();
          cloudLink.retarget(Number(new URL(cloud.at.url).port));
        } else if (fate === 2 && !station.link.cut && !behind) {
          count.kills++;
          await station.cutPower();
        }
        await station.pass(day.day, day.level, day.rain);
        behind = station.link.cut;
        if (station.link.cut) continue;
        const due = expected.filter((one) => one.day <= day.day);
        if (index >= depth - 1)
          await until(async () => {
            const { next } = await view();
            return next !== null && next > dateOf(day.day);
          });
        await until(() => heard.length >= due.length);
        expect(heard.map(({ change }) => change)).toEqual(due.map(({ change }) => change));
      }
      station.link.cut = false;
      await until(() => heard.length >= expected.length);
      over.abort();
      await Promise.all(load);
      // In their order, each with its day, and nothing else.
      expect(
        heard.map(({ change, text }) => ({
          change,
          day: /\d{4}-\d\d-\d\d/.exec(text)![0],
        })),
      ).toEqual(
        expected.map(({ day, change }, index) => ({
          change,
          // An end is told of the alarm that ended.
          day: dateOf((change === "raised" ? day : expected[index - 1]!.day) + 1),
        })),
      );
      expect(await view()).toMatchObject({ missed: 0, behind: 0 });
      expect(count.moves).toBe(moves);
      expect(count.said).toBeGreaterThan(0);
      expect(count.cuts).toBeGreaterThan(4);
      expect(count.kills).toBeGreaterThan(2);
    } finally {
      over.abort();
      await edge.kill();
      await cloud.kill();
      await cloudLink.close();
      await station.stop();
      town.close();
    }
  },
  Math.max(600_000, moves * 30_000),
);
