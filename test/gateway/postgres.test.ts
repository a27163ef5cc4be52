// History in PostgreSQL, against the distribution's server: the same answers as SQLite's, the server killed and back, clocks put back.
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { chmodSync, chownSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { History, Resolution, Row } from "../../host/gateway/history.ts";
import { PostgresHistory } from "../../host/gateway/postgres/history.ts";
import { SqliteHistory } from "../../host/gateway/sqlite/history.ts";
import { environment } from "../../host/setup.mjs";
import { startGateway, until } from "./harness.ts";

const { postgres } = environment() as { postgres?: { ok: boolean; what: string } };
const skip = postgres?.ok === true ? "" : ` (skipped: ${postgres?.what ?? "no PostgreSQL"})`;

/** PostgreSQL does not run as root: then as nobody. */
const id = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};

class Cluster {
  readonly folder = mkdtempSync(join(tmpdir(), "wasmote-postgres-"));
  readonly url: string;
  #server: ChildProcess | undefined;

  constructor() {
    chmodSync(this.folder, 0o700);
    if (id.uid !== undefined) chownSync(this.folder, id.uid, id.gid);
    this.url = `postgres://tester@/postgres?host=${encodeURIComponent(this.folder)}`;
    const words = ["-D", join(this.folder, "data"), "-A", "trust", "-U", "tester", "--no-sync"];
    const made = spawnSync(join(postgres!.what, "initdb"), words, { ...id, encoding: "utf8" });
    if (made.status !== 0) throw new Error(`initdb: ${made.stderr}`);
  }

  /** Starts it at a socket in its folder: no port is taken. */
  async start(): Promise<void> {
    const settings = ["listen_addresses=", "fsync=off", `unix_socket_directories=${this.folder}`];
    this.#server = spawn(
      join(postgres!.what, "postgres"),
      ["-D", join(this.folder, "data"), ...settings.flatMap((one) => ["-c", one])],
      { ...id, stdio: ["ignore", "ignore", "pipe"] },
    );
    let said = "";
    this.#server.stderr!.on("data", (text: Buffer) => (said += text.toString()));
    await until(() => {
      if (this.#server!.exitCode !== null) throw new Error(`postgres ended: ${said}`);
      return said.includes("ready to accept connections");
    });
  }

  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const server = this.#server;
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return;
    const ended = new Promise((resolve) => server.once("exit", resolve));
    server.kill(signal);
    await ended;
    // Its children notice by themselves; until they have, no other server gets the shared memory.
    await until(() => readdirSync("/proc").every((pid) => !/^\d+$/.test(pid) || !this.#ours(pid)));
  }

  #ours(pid: string): boolean {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(this.folder);
    } catch {
      return false;
    }
  }
}

describe.skipIf(skip !== "")(`PostgreSQL${skip}`, () => {
  let cluster: Cluster;
  let folder: string;
  beforeAll(async () => {
    cluster = new Cluster();
    await cluster.start();
  }, 180_000);
  afterAll(async () => {
    await cluster?.kill("SIGINT");
    if (cluster !== undefined) rmSync(cluster.folder, { recursive: true, force: true });
  });
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "wasmote-history-"));
    return () => rmSync(folder, { recursive: true, force: true });
  });

  let names = 0;
  const values = async (history: History, node: string, resolution: Resolution = "raw") =>
    history.query({ node, resource: "x", from: 0, to: 1e15, resolution, limit: 1e5 });

  test("answers as SQLite does: values of one millisecond, gaps, steps, limits, series", async () => {
    const node = `same-${names++}`;
    const base = Math.floor(Date.now() / 3_600_000) * 3_600_000;
    const rows: Row[] = [1, 2, 2, 2, 61_000, 3_600_000, 3_600_001].map((time, at) => ({
      node,
      resource: "x",
      time: base + time,
      value: at === 4 ? null : at * 1.5,
    }));
    // A clock that was put back: the same milliseconds once more.
    rows.push({ node, resource: "x", time: base + 1, value: 99 });
    for (const text of ["calm", 'a "b", é😀', ""])
      rows.push({ node, resource: "x", time: base + 61_000, value: null, text });
    const both: History[] = [
      new SqliteHistory({ folder }),
      await PostgresHistory.open(cluster.url),
    ];
    const answers = [];
    for (const history of both) {
      for (const row of rows) history.append(row);
      await history.flush();
      // What comes later, at a time that is taken.
      history.append({ node, resource: "x", time: base + 2, value: 100 });
      await history.flush();
      answers.push({
        raw: await values(history, node),
        minutes: await values(history, node, "1m"),
        hours: await values(history, node, "1h"),
        some: await history.query({
          node,
          resource: "x",
          from: base + 2,
          to: base + 61_000,
          resolution: "raw",
          limit: 2,
        }),
        series: (await history.series()).filter((one) => one.node === node),
        none: await values(history, "nobody"),
        written: history.state().written,
      });
      await history.close();
    }
    // Which of several steps' values was last, the two may see differently where a clock was put back.
    const comparable = JSON.parse(
      JSON.stringify(answers).replaceAll(/,"last":[-\d.e]+/g, ""),
    ) as unknown[];
    expect(comparable[1]).toEqual(comparable[0]);
    expect(answers[1]!.raw.length).toBe(12);
    expect(answers[1]!.raw.flatMap(({ text }) => text ?? [])).toEqual(["calm", 'a "b", é😀', ""]);
  });

  test("killed and back, it has every value once, and the trouble is said once", async () => {
    const node = `killed-${names++}`;
    const troubles: (string | undefined)[] = [];
    const onTrouble = (text: string | undefined) => troubles.push(text);
    const history = await PostgresHistory.open(cluster.url, { onTrouble });
    let count = 0;
    const start = Date.now();
    const feeding = setInterval(() => {
      for (let more = 0; more < 20; more++)
        history.append({
          node,
          resource: "x",
          time: start + Math.floor(count / 3),
          value: count++,
        });
    }, 10);
    await until(() => history.state().written > 100);
    await cluster.kill();
    await until(() => history.state().trouble !== undefined);
    await cluster.start();
    await until(() => history.state().trouble === undefined);
    clearInterval(feeding);
    await history.flush();
    const points = await values(history, node);
    const numbers = points.map(({ value }) => value!).toSorted((a, b) => a - b);
    expect(numbers).toEqual(Array.from({ length: count }, (_, at) => at));
    expect(history.state()).toMatchObject({ waiting: 0, lost: 0 });
    expect(troubles.map((text) => text === undefined)).toEqual([false, true]);
    await history.close();
  }, 180_000);

  test("while it is away a bounded number of values waits, and the rest is counted", async () => {
    const node = `waiting-${names++}`;
    const history = await PostgresHistory.open(cluster.url);
    await cluster.kill();
    for (let at = 0; at < 100_500; at++)
      history.append({ node, resource: "x", time: at, value: at });
    expect(history.state()).toMatchObject({ waiting: 100_000, lost: 500 });
    await cluster.start();
    await until(async () => (await history.flush(), history.state().waiting === 0));
    const [first] = await values(history, node);
    expect([first?.value, (await values(history, node)).length]).toEqual([500, 100_000]);
    await history.close();
  }, 180_000);

  test("forgets what is older than the retention, unless the clock has just jumped", async () => {
    const day = 86_400_000;
    let now = Date.now();
    let time = 0;
    const clock = { now: () => now, steady: () => time };
    const node = `old-${names++}`;
    const history = await PostgresHistory.open(cluster.url, { retention: 10 * day, clock });
    const put = async (at: number) => {
      history.append({ node, resource: "x", time: at, value: 1 });
      await history.flush();
      return (await values(history, node)).length;
    };
    expect(await put(now - 20 * day)).toBe(1);
    time += 3_600_001;
    now += 3_600_001;
    // Looked at before it writes: the first one goes.
    expect(await put(now)).toBe(1);
    expect(await put(now - 20 * day)).toBe(2);
    now += 365 * day;
    time += 3_600_001;
    expect(await put(now)).toBe(3);
    await history.close();
  });

  test("the whole gateway keeps its history there", async () => {
    await using running = await startGateway({ postgres: cluster.url });
    running.gateway.hub.publish({ node: "pg", resource: "x", time: Date.now(), value: 7 });
    const { points } = await running.json<{ points: { value: number }[] }>(
      "/api/history?node=pg&resource=x",
    );
    expect(points.map(({ value }) => value)).toEqual([7]);
    await expect(
      startGateway({ postgres: "postgres://nobody@/none?host=/nowhere" }),
    ).rejects.toThrow();
  });
});
