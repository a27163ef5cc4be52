// A round of the loop: what a gateway gathered is joined with older days, a network is judged beside the one that runs, and goes to the node on
// trial where it is better; and parameters that are estimated anew.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Board } from "../../host/flood/board.ts";
import { levelOf, readDays } from "../../host/flood/history.ts";
import {
  daysCsv,
  judgeModule,
  mergeDays,
  readGaugings,
  ratingOf,
  readTrained,
  scoreOf,
  thresholdOf,
  trainingPython,
} from "../../host/flood/retrain.ts";
import { buildStation, judgementFile } from "../../host/flood/station.ts";
import { missing } from "../../host/lib/emulate.ts";
import { needsOf } from "../../host/lib/needs.ts";
import { makePackage, type KeyPair } from "../../host/lib/package.ts";
import { openProject, signingKey } from "../../host/lib/project.ts";
import { begin, newProject, wasmote, wasmoteIn } from "../harness/command.ts";
import { childrenOf, noProcesses, runs } from "../harness/processes.ts";
import { scratch } from "../harness/target.ts";
import { startGateway, until } from "./harness.ts";

const trained = join(judgementFile, "..");
const reason = missing("native");

describe("a round", () => {
  test("joins days, the gateway's before older ones, in a form that is read again", () => {
    using folder = scratch();
    const days = readDays().slice(0, 1200);
    const gathered = days.slice(1100).map((one) => ({ ...one, rain: 7 }));
    const merged = mergeDays(days.slice(0, 1150), gathered);
    expect(merged.map(({ day }) => day)).toEqual(days.map(({ day }) => day));
    expect(merged.slice(1100).every(({ rain }) => rain === 7)).toBe(true);
    writeFileSync(join(folder.path, "days.csv"), daysCsv(merged));
    expect(readDays(join(folder.path, "days.csv"))).toEqual(merged);
  });

  test("takes days and gaugings below a line of names as well, and says what a line is to be", () => {
    using folder = scratch();
    const file = join(folder.path, "given.csv");
    writeFileSync(file, "day,rain,flow\r\n2014-02-14,5.2,311\r\n");
    expect(readDays(file)).toMatchObject([{ date: "2014-02-14", rain: 5.2, flow: 311 }]);
    writeFileSync(file, "# the Wye\nlevel,flow\n1250,28.1\n");
    expect(readGaugings(file)).toEqual([{ level: 1250, flow: 28.1 }]);
    // Only above the first.
    writeFileSync(file, "1250,28.1\nlevel,flow\n");
    expect(() => readGaugings(file)).toThrow(
      expect.objectContaining({
        message: expect.stringContaining(":2: not a level") as string,
        advice: expect.stringContaining("1250,28.1") as string,
      }),
    );
    writeFileSync(file, "2014-02-14,5.2,311\nday,rain,flow\n");
    expect(() => readDays(file)).toThrow(/:2: not a day, its rain and its flow/);
  });

  test("judges the example's network as its own judgement does, but for what bytes instead of floats change", async () => {
    const { module } = await buildStation();
    const { judgedFrom, threshold } = readTrained(trained);
    const days = readDays().filter(({ date }) => date >= "1993-08-01");
    const worth = await judgeModule({ module }, days, judgedFrom);
    expect(worth.onsets).toBe(155);
    expect(Math.abs(worth.onsetsCaught - 104)).toBeLessThanOrEqual(3);
    expect(Math.abs(worth.falseAlarms - 19)).toBeLessThanOrEqual(4);
    // One that never warns is worth nothing, one that always does less than that.
    const worthless = await buildStation({ threshold: 1.9 });
    expect(scoreOf(await judgeModule(worthless, days.slice(0, 2000), judgedFrom))).toBe(0);
    const anxious = await buildStation({ threshold: -1.9 });
    expect(scoreOf(await judgeModule(anxious, days.slice(0, 2000), judgedFrom))).toBeLessThan(
      -1000,
    );
    expect(threshold).toBeLessThan(0);
  });

  test("estimates a threshold by its false alarms, and a rating curve from gaugings", async () => {
    const { module } = await buildStation();
    const days = readDays().slice(0, 3000);
    const share = 10 / 3000;
    const threshold = (await thresholdOf({ module }, days, share))!;
    const worth = await judgeModule({ module, parameters: { threshold } }, days, "1900-01-01");
    expect(worth.falseAlarms).toBeGreaterThanOrEqual(8);
    expect(worth.falseAlarms).toBeLessThanOrEqual(10);
    expect(await thresholdOf({ module }, days.slice(0, 5), share)).toBeUndefined();
    const gaugings = [10, 50, 200, 400].map((flow) => ({ flow, level: levelOf(flow, 23.5) }));
    expect(ratingOf(gaugings)).toBeCloseTo(23.5, 1);
    expect(() => ratingOf([{ level: 0, flow: 3 }])).toThrow(RangeError);
  });
});

/** Signs a station's module for a class of boards. */
function packed(module: Uint8Array, key: KeyPair, boardClass: string): Uint8Array {
  const about = { vendor: "", class: boardClass, sequence: 1, name: "station", version: "1.0.0" };
  return makePackage(module, { ...about, needs: needsOf(module) }, key);
}

test.skipIf(reason !== undefined)(
  `wasmote retrain brings a better network to one node, then to all, and to the placement; refuses what is not better; sets parameters${reason ? ` (skipped: ${reason})` : ""}`,
  async () => {
    using folder = scratch();
    const path = await newProject(folder.path);
    const project = openProject(path);
    const key = signingKey(project);
    const { publicKey } = key;
    const boards = await Promise.all(
      ["wye", "lugg"].map((name) =>
        Board.start({ name, machine: "native", folder: folder.path, publicKey }),
      ),
    );
    const over = new AbortController();
    let measuring: Promise<unknown> | undefined;
    try {
      const [wye, lugg] = boards as [Board, Board];
      await using running = await startGateway(
        {},
        {
          project,
          nodes: { wye: wye.node.address, lugg: lugg.node.address },
        },
      );
      // One that never warns.
      const { module } = await buildStation({ threshold: 1.9 });
      for (const { node } of boards)
        await node.push(packed(module, key, (await node.info()).class));
      const digestOf = (one: string) => running.gateway.nodes.get(one)?.app?.digest;
      await until(() => digestOf("wye") !== undefined && digestOf("lugg") !== undefined);
      const put = await running.ask("/api/placements/wye-flood?level=wye&place=node", {
        method: "PUT",
        body: Buffer.from(packed(module, key, "hosted")),
      });
      expect(put.status).toBe(200);
      // Its name is taken: outputs of two would be one.
      const other = await running.ask("/api/hosted/wye-flood?level=wye/sensors/level", {
        method: "PUT",
        body: Buffer.from(packed(module, key, "hosted")),
      });
      expect([other.status, await other.text()]).toEqual([
        409,
        expect.stringContaining("a placement is called wye-flood"),
      ]);
      // Days come in all the while: a package that is on trial has to run.
      const record = readDays();
      measuring = Promise.all(
        boards.map(async (board) => {
          for (const { day, flow, rain } of record.slice(-400)) {
            if (over.signal.aborted) return;
            // What comes while a package is exchanged is lost: no day is waited for.
            const published = board.published();
            await board.measure(day, levelOf(flow), rain);
            await published;
            // A node takes two changes a second of one host, and the package comes from the same one.
            await new Promise((resolve) => setTimeout(resolve, 1000));
          }
        }),
      );
      measuring.catch(() => {});
      const view = () =>
        running.json<{ next: string | null; digest: string }>("/api/placements/wye-flood");
      await until(async () => (await view()).next !== null);
      writeFileSync(join(path, "older.csv"), daysCsv(record.slice(-2500, -400)));
      const usual = ["--gateway", running.url, "--history", "older.csv", "--soak", "0.2"];
      const words = ["retrain", "wye-flood", ...usual, "--select", "wye", "lugg"];
      const env = { WASMOTE_TOKEN: running.token };
      const retrain = (...more: string[]) => wasmoteIn(path, env, ...words, ...more);
      const dry = await retrain("--trained", trained, "--dry-run", "--json");
      expect(dry.code, dry.err).toBe(0);
      expect(JSON.parse(dry.out)).toMatchObject({ running: { onsetsCaught: 0 } });
      const before = (await wye.node.app()).digest;
      expect((await view()).digest).toBe(before);
      const first = await retrain("--trained", trained, "--json");
      expect(first.code, first.err).toBe(0);
      const told = JSON.parse(first.out) as { nodes: string[] };
      expect(told.nodes.toSorted()).toEqual(["lugg", "wye"]);
      const after = await wye.node.app();
      expect(after).toMatchObject({ name: "station", state: "confirmed" });
      expect(after.digest).not.toBe(before);
      expect((await lugg.node.app()).digest).toBe(after.digest);
      // The gateway decides by the same module.
      expect((await view()).digest).toBe(after.digest);
      const second = await retrain("--trained", trained);
      expect([second.code, second.err]).toEqual([
        6,
        expect.stringMatching(/what is new is refused/),
      ]);
      expect((await wye.node.app()).digest).toBe(after.digest);
      // Somebody sets a threshold that never warns: it is estimated anew, and comes to both nodes and the gateway.
      await wye.node.setParam("threshold", 1.5);
      await running.ask("/api/placements/wye-flood/package?param.threshold=1.5", {
        method: "PUT",
        body: Buffer.from(
          ((await running.json("/api/placements/wye-flood/package")) as { package: string })
            .package,
          "base64",
        ),
      });
      writeFileSync(
        join(path, "gauged.csv"),
        [10, 60, 300].map((flow) => `${levelOf(flow, 21.5)},${flow}\n`).join(""),
      );
      const estimating = ["--only-parameters", "--gaugings", "gauged.csv"];
      // Interrupted while the first node is watched, it ends at once, and that node has its old value again.
      const threshold = async () => (await wye.node.params())["threshold"]!;
      const watched = begin(path, [...words, ...estimating, "--soak", "3600"], env);
      await expect.poll(threshold, { timeout: 60_000 }).toBeLessThan(1);
      watched.child.kill("SIGINT");
      expect(await watched.ended).toMatchObject({ code: 130 });
      expect(await threshold()).toBe(1.5);
      const third = await retrain(...estimating, "--json");
      expect(third.code, third.err).toBe(0);
      const { parameters, nodes } = JSON.parse(third.out) as {
        parameters: Record<string, number>;
        nodes: string[];
      };
      expect(nodes.toSorted()).toEqual(["lugg", "wye"]);
      expect(parameters["rating"]).toBeCloseTo(21.5, 1);
      expect(parameters["threshold"]).toBeLessThan(1);
      for (const { node } of boards)
        for (const [name, value] of Object.entries(await node.params()))
          expect(Math.fround(value), name).toBe(parameters[name]);
      expect(
        (await running.json<{ parameters: object }>("/api/placements/wye-flood/package"))
          .parameters,
      ).toEqual(parameters);
      // Again and again: each round is told, one that finds nothing better is no end, and Ctrl-C is.
      const each = ["--trained", trained, "--dry-run", "--json", "--every", "1"];
      const repeated = begin(path, [...words, ...each, "--token", running.token]);
      const rounds = () =>
        repeated.ran.out.split("\n").filter(Boolean).length +
        (repeated.ran.err.match(/what is new is refused/g) ?? []).length;
      await expect.poll(rounds, { timeout: 120_000 }).toBeGreaterThanOrEqual(2);
      repeated.child.kill("SIGINT");
      expect(await repeated.ended).toMatchObject({ code: 0 });
      // Killed while it trains, it leaves nothing that trains on.
      if (noProcesses === undefined && trainingPython() !== undefined) {
        const training = begin(path, [...words, "--dry-run", "--token", running.token]);
        const said = (pid: number) => readFileSync(`/proc/${pid}/cmdline`, "utf8");
        const trainer = () =>
          childrenOf(training.child.pid!).find((pid) => said(pid).includes("train.py"));
        await expect.poll(trainer).toBeDefined();
        const pid = trainer()!;
        // Standing still it does not come to its own end meanwhile.
        process.kill(pid, "SIGSTOP");
        training.child.kill("SIGKILL");
        const outlived = expect.poll(() => runs(pid)).toBe(false);
        await outlived.finally(() => runs(pid) && process.kill(pid, "SIGKILL"));
      }
      const nowhere = await wasmote(path, "retrain", "x", "--gateway", running.url);
      expect(nowhere.code).not.toBe(0);
    } finally {
      over.abort();
      await measuring?.catch(() => {});
      await Promise.all(boards.map((board) => board.stop()));
    }
  },
  // It waits for events; this is for a machine that is busy with other things.
  600_000,
);
