// History in PostgreSQL, against the distribution's server: the same answers as SQLite's, the server killed and back, clocks put back.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import type { History, Resolution, Row } from "../../host/gateway/history.ts";
import { PostgresHistory } from "../../host/gateway/postgres/history.ts";
import { SqliteHistory } from "../../host/gateway/sqlite/history.ts";
import { startGateway, until } from "./harness.ts";
import { Cluster, skip } from "./postgres-server.ts";

describe.skipIf(skip !== "")(`PostgreSQL${skip}`, () => {
  let cluster: Cluster;
  let folder: string;
  beforeAll(async () => {
    cluster = new Cluster();
    await cluster.start();
  }, 180_000);
  afterAll(async () => {
    await cluster?.kill("SIGINT");
    cluster?.remove();
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

  test("an answer that is lost costs no value and doubles none, whatever came meanwhile", async () => {
    const node = `lost-${names++}`;
    const history = await PostgresHistory.open(cluster.url);
    const put = (time: number, value: number) =>
      history.append({ node, resource: "x", time, value });
    for (let value = 0; value < 5; value++) put(1_000, value);
    await history.flush();
    // Places that are taken: each of these is tried again and again, and the last answer is lost.
    for (let value = 10; value < 13; value++) put(1_000, value);
    let put_ = 0;
    const { query } = pg.Pool.prototype as unknown as {
      query: (this: unknown, ...words: unknown[]) => Promise<unknown>;
    };
    const spy = vi.spyOn(pg.Pool.prototype, "query").mockImplementation(async function (
      this: unknown,
      ...words: unknown[]
    ) {
      const result = await query.apply(this, words);
      if (String(words[0]).includes("INSERT INTO wasmote_sample") && ++put_ === 3)
        throw new Error("the connection broke");
      return result;
    } as never);
    try {
      await history.flush();
    } finally {
      spy.mockRestore();
    }
    expect([put_, history.state().waiting]).toEqual([3, 3]);
    put(1_005, 20);
    await history.flush();
    const kept = (await values(history, node)).map(({ value }) => value!);
    expect(kept.toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 10, 11, 12, 20]);
    expect(history.state()).toMatchObject({ waiting: 0, lost: 0 });
    await history.close();
  });

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

  test("whoever writes again begins with a gap behind what there was, unless another gateway writes it meanwhile", async () => {
    const node = `gap-${names++}`;
    const time = Date.now() - 60_000;
    const series = async (history: History, resource: string) =>
      (
        await history.query({ node, resource, from: 0, to: 1e15, resolution: "raw", limit: 100 })
      ).map(({ time: at, value, text }) => [at - time, text ?? value]);
    const put = async (history: History, resource: string, at: number, more: Partial<Row> = {}) => {
      history.append({ node, resource, time: time + at, value: at, ...more });
      await history.flush();
    };
    const open = async (identity?: string) => {
      const history = await PostgresHistory.open(cluster.url);
      if (identity !== undefined) await history.resume(identity);
      return history;
    };
    // Both begin at once, with a database that one of them prepares.
    const [north, south] = await Promise.all([open("north"), open("south")]);
    await put(north, "alone", 1);
    await put(north, "text", 1, { value: null, text: "calm" });
    await put(north, "ended", 1, { value: null });
    await put(north, "both", 1);
    await put(south, "both", 2);
    await put(south, "theirs", 2);
    await north.close();
    // Who reads leaves it as it is.
    const reader = await open();
    expect(await series(reader, "alone")).toEqual([[1, 1]]);
    for (let again = 0; again < 2; again++) {
      const back = await open("north");
      expect(await series(back, "alone")).toEqual([
        [1, 1],
        [2, null],
      ]);
      expect(await series(back, "text")).toEqual([
        [1, "calm"],
        [2, null],
      ]);
      expect(await series(back, "ended")).toEqual([[1, null]]);
      // Somebody looked all the time.
      expect(await series(back, "both")).toEqual([
        [1, 1],
        [2, 2],
      ]);
      expect(await series(back, "theirs")).toEqual([[2, 2]]);
      await back.close();
    }
    // None is left: the first that comes back, or one that takes the place of a lost disk, marks what both had.
    await south.close();
    const other = await open("another");
    expect(await series(other, "both")).toEqual([
      [1, 1],
      [2, 2],
      [3, null],
    ]);
    expect(await series(other, "theirs")).toEqual([
      [2, 2],
      [3, null],
    ]);
    await other.close();
    await reader.close();
  });

  test("the whole gateway keeps its history there", async () => {
    await using running = await startGateway({ postgres: cluster.url });
    running.gateway.hub.publish({ node: "pg", resource: "x", time: Date.now(), value: 7 });
    const { points } = await running.json<{ points: { value: number }[] }>(
      "/api/history?node=pg&resource=x",
    );
    expect(points.map(({ value }) => value)).toEqual([7]);
    // The same gateway again, in its folder: a gap stands for the time that it was off.
    const folder = mkdtempSync(join(tmpdir(), "wasmote-again-"));
    try {
      for (const values_ of [[8], [8, null, 9]]) {
        await using again = await startGateway({ postgres: cluster.url }, { folder });
        again.gateway.hub.publish({
          node: "again",
          resource: "x",
          time: Date.now(),
          value: values_.at(-1)!,
        });
        await again.gateway.history.flush();
        const kept = await values(again.gateway.history, "again");
        expect(kept.map(({ value }) => value)).toEqual(values_);
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
    await expect(
      startGateway({ postgres: "postgres://nobody@/none?host=/nowhere" }),
    ).rejects.toThrow();
  });
});
