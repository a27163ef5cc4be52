// The gateway's parts by themselves: the hub with slow viewers, virtual resources, alarms, settings, history, formats.
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Alarms, type Alarm, type AlarmChange } from "../../host/gateway/alarms.ts";
import { defaults, parseConfig, type RuleConfig } from "../../host/gateway/config.ts";
import type { Envelope } from "../../host/gateway/envelope.ts";
import { Hub } from "../../host/gateway/hub.ts";
import { csv, senml } from "../../host/gateway/senml.ts";
import { weekOf } from "../../host/gateway/sqlite/raw.ts";
import { SqliteHistory } from "../../host/gateway/sqlite/history.ts";
import { Store } from "../../host/gateway/sqlite/store.ts";
import { Virtuals } from "../../host/gateway/virtual.ts";

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "wasmote-parts-"))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const value = (node: string, resource: string, number: number, time = 1_000) => ({
  node,
  resource,
  time,
  value: number,
});

describe("the hub", () => {
  test("a slow viewer gets the newest of each resource and how many were left out; a quick one everything", () => {
    const hub = new Hub(0);
    const slow: Envelope[] = [];
    const quick: Envelope[] = [];
    let room = 2;
    const viewer = hub.view({}, { send: (envelope) => (slow.push(envelope), --room > 0) });
    hub.view({}, { send: (envelope) => (quick.push(envelope), true) });
    for (let index = 0; index < 100; index++) hub.publish(value("a", index % 2 ? "x" : "y", index));
    expect(slow.map(({ value: one }) => one)).toEqual([0, 1]);
    room = 10;
    viewer.drained();
    expect(slow.slice(2)).toMatchObject([
      { value: 98, dropped: 48 },
      { value: 99, dropped: 48 },
    ]);
    expect([quick.length, hub.dropped]).toEqual([100, 96]);
  });

  test("what was missed is replayed while it is kept, and said to be gone afterwards", () => {
    const hub = new Hub(0);
    for (let index = 1; index <= 5; index++) hub.publish(value("a", "x", index));
    expect(hub.since(3, {})).toMatchObject({ whole: true, envelopes: [{ seq: 4 }, { seq: 5 }] });
    expect(hub.since(5, {})).toEqual({ whole: true, envelopes: [] });
    expect(hub.since(77, {}).whole).toBe(false);
    for (let index = 0; index < 5_000; index++) hub.publish(value("a", "x", index));
    expect(hub.since(3, {}).whole).toBe(false);
    expect(hub.since(hub.seq - 10, { nodes: ["b"] })).toEqual({ whole: true, envelopes: [] });
  });
});

describe("virtual resources", () => {
  const setUp = (config: object) => {
    const hub = new Hub(0);
    const seen: Envelope[] = [];
    const virtuals = new Virtuals(hub, parseConfig({ virtual: { v: config } }).virtual);
    hub.view({ nodes: ["gateway"] }, { send: (envelope) => (seen.push(envelope), true) });
    hub.view({}, { send: (envelope) => (virtuals.take(envelope), true) });
    virtuals.stop();
    return { hub, seen, virtuals };
  };

  test.each([
    ["mean", 4],
    ["min", 1],
    ["max", 9],
    ["sum", 12],
    ["count", 3],
    ["newest", 2],
  ])("%s of three", (fn, expected) => {
    const { hub, seen } = setUp({
      kind: "aggregate",
      function: fn,
      sources: ["*/sensors/level"],
      fresh: 10,
    });
    hub.publish(value("a", "sensors/level", 9, 1_000));
    hub.publish(value("b", "sensors/level", 1, 1_001));
    hub.publish(value("c", "sensors/level", 2, 1_002));
    hub.publish(value("c", "sensors/rain", 77, 1_003));
    expect(seen.at(-1)).toMatchObject({ node: "gateway", resource: "virtual/v", value: expected });
  });

  test("a fallback takes the first that is fresh, and returns to it", () => {
    const { hub, seen, virtuals } = setUp({
      kind: "fallback",
      sources: ["a/sensors/level", "b/sensors/level"],
      fresh: 10,
    });
    hub.publish(value("b", "sensors/level", 2, 1_000));
    hub.publish(value("a", "sensors/level", 1, 1_000));
    hub.publish(value("b", "sensors/level", 3, 9_000));
    virtuals.tick(12_000);
    hub.publish({ ...value("b", "sensors/level", 0, 12_500), value: null, gap: true });
    hub.publish(value("a", "sensors/level", 5, 13_000));
    expect(seen.map(({ value: one, gap }) => (gap ? "gap" : one))).toEqual([2, 1, 1, 3, "gap", 5]);
  });
});

describe("alarms", () => {
  const rule = (more: Partial<RuleConfig>): RuleConfig => ({
    ...defaults.rules[0]!,
    name: "flood",
    kind: "threshold",
    resource: "outputs/flow",
    above: 100,
    for: 0,
    ...more,
  });
  const setUp = (...rules: RuleConfig[]) => {
    const store = new Store(folder);
    const changes: [AlarmChange, Alarm][] = [];
    const alarms = new Alarms({
      store,
      rules,
      onChange: (change, alarm) => changes.push([change, alarm]),
    });
    const feed = (number: number, time: number) =>
      alarms.take({ seq: 1, ...value("wye", "outputs/flow", number, time) });
    return { store, alarms, changes, feed, names: () => changes.map(([change]) => change) };
  };

  test("hysteresis: ends only when the value is well below", () => {
    const { feed, names, store } = setUp(rule({ hysteresis: 10 }));
    for (const [time, number] of [99, 101, 95, 101, 91, 89, 95, 101].entries()) feed(number, time);
    expect(names()).toEqual(["raised", "ended", "raised"]);
    store.close();
  });

  test("duration: a peak that is shorter raises nothing; a clock that is put back begins the wait anew", () => {
    const { feed, names, store } = setUp(rule({ for: 5 }));
    for (const [number, time] of [
      [101, 0],
      [99, 4_000],
      [101, 10_000],
      [102, 14_000],
    ] as const)
      feed(number, time);
    expect(names()).toEqual([]);
    feed(102, 3_000);
    feed(102, 7_000);
    expect(names()).toEqual([]);
    feed(102, 8_000);
    expect(names()).toEqual(["raised"]);
    store.close();
  });

  test("acknowledged while raised it stays until it ends; kept over a restart", () => {
    const first = setUp(rule({}));
    first.feed(120, 5);
    first.alarms.acknowledge("flood/wye/outputs/flow", "anna");
    first.store.close();
    const second = setUp(rule({}));
    expect(second.alarms.list()).toMatchObject([
      { node: "wye", value: 120, acknowledged: { by: "anna" } },
    ]);
    second.feed(50, 6);
    expect([second.alarms.list(), second.names()]).toEqual([[], ["ended"]]);
    second.store.close();
  });
});

describe("settings", () => {
  test.each([
    [{ nonsense: 1 }, /nonsense is not a setting/],
    [{ listen: "x:99999" }, /listen is not an address/],
    [{ rules: { a: { resource: "x" } } }, /needs either above or below/],
    [{ rules: { a: { resource: "x", above: 1, typo: 2 } } }, /rules\.a\.typo is not a setting/],
    [{ virtual: { v: { kind: "sum" } } }, /kind is not one of/],
    [
      { deliveries: { w: { kind: "webhook", url: "file:///x", secret: "s" } } },
      /not an address of the web/,
    ],
    [{ mqtt: {} }, /mqtt\.url is missing/],
  ])("%j is refused with its place", (table, message) =>
    expect(() => parseConfig(table)).toThrow(message),
  );
});

describe("history in SQLite", () => {
  const open = (more = {}) => new SqliteHistory({ folder, ...more });
  const all = { node: "a", resource: "x", from: 0, to: 1e14, limit: 1e6 } as const;

  test("two values of a millisecond are two; gaps stay; steps have count, least, most", async () => {
    const history = open();
    const now = Date.now();
    const minute = Math.floor(now / 60_000) * 60_000;
    for (const number of [1, 5, 3])
      history.append({ node: "a", resource: "x", time: minute, value: number });
    history.append({ node: "a", resource: "x", time: minute + 10, value: null });
    await history.flush();
    const raw = await history.query({ ...all, resolution: "raw" });
    expect(raw.length).toBe(4);
    expect(raw.at(-1)?.value).toBeNull();
    expect(await history.query({ ...all, resolution: "1m" })).toEqual([
      { time: minute, value: 3, n: 3, min: 1, max: 5, sum: 9, last: 3 },
    ]);
    await history.close();
    const again = open();
    // Summed up anew from the raw values: the same.
    expect(await again.query({ ...all, resolution: "1m" })).toMatchObject([{ n: 3, sum: 9 }]);
    await again.close();
  });

  test("who writes again begins with a gap behind what there was, once; who reads leaves it as it is", async () => {
    const first = open();
    await first.resume();
    const time = Date.now() - 60_000;
    first.append({ node: "a", resource: "x", time, value: 1 });
    first.append({ node: "a", resource: "ended", time, value: null });
    first.append({ node: "a", resource: "text", time, value: null, text: "calm" });
    await first.close();
    for (const gaps of [false, true, true]) {
      const again = open();
      if (gaps) await again.resume();
      const points = await again.query({ ...all, resolution: "raw" });
      const gap = gaps ? [{ time: time + 1, value: null }] : [];
      expect(points).toEqual([{ time, value: 1 }, ...gap]);
      const ended = await again.query({ ...all, resource: "ended", resolution: "raw" });
      expect(ended).toEqual([{ time, value: null }]);
      const texts = await again.query({ ...all, resource: "text", resolution: "raw" });
      expect(texts).toEqual([{ time, value: null, text: "calm" }, ...gap]);
      expect(await again.query({ ...all, resolution: "1m" })).toMatchObject([{ n: 1 }]);
      await again.close();
    }
  });

  test("a text is kept as it is, beside numbers and gaps, and goes with its week", async () => {
    const history = open();
    const time = Date.now() - 1000;
    const texts = ["calm", undefined, 'level: "high", 7.5 mm\nand rising', "true", "", "é😀"];
    for (const text of texts)
      history.append({
        node: "a",
        resource: "x",
        time,
        value: text === "true" ? 1 : null,
        ...(text === undefined ? {} : { text }),
      });
    await history.close();
    const again = open();
    const points = await again.query({ ...all, to: time + 100, resolution: "raw" });
    expect(points).toEqual(
      texts.map((text, at) => ({
        time: time + at,
        value: text === "true" ? 1 : null,
        ...(text === undefined ? {} : { text }),
      })),
    );
    // Steps are of what can be counted.
    expect(await again.query({ ...all, resolution: "1h" })).toMatchObject([{ n: 1, sum: 1 }]);
    await again.close();
  });

  test("as many values of one millisecond as there may be are each kept, and take no longer the more there are", async () => {
    const history = open();
    const time = Date.now();
    for (let count = 0; count < 30_000; count++)
      history.append({ node: "a", resource: "x", time, value: count });
    await history.flush();
    const points = await history.query({ ...all, limit: 1e6, resolution: "raw" });
    expect(points.map(({ value }) => value)).toEqual(Array.from({ length: 30_000 }, (_, at) => at));
    await history.close();
  });

  test("old weeks go by age, then by the quota, the current one never", async () => {
    const week = 7 * 86_400_000;
    const first = open({ retention: 1e14 });
    const now = Date.now();
    for (let back = 0; back < 6; back++)
      first.append({ node: "a", resource: "x", time: now - back * week, value: back });
    await first.close();
    const files = () => readdirSync(folder).filter((name) => /^raw-.*\.db$/.test(name)).length;
    expect(files()).toBe(6);
    const second = open({ retention: 3 * week });
    second.append({ node: "a", resource: "x", time: now + 1, value: 1 });
    await second.close();
    expect(files()).toBeLessThan(6);
    const third = open({ quota: 1 });
    third.append({ node: "a", resource: "x", time: now + 2, value: 1 });
    await third.close();
    expect(files()).toBe(1);
  });

  test("a disk that takes nothing is said once, keeps a bounded number of values, and is written when there is room", async () => {
    const troubles: (string | undefined)[] = [];
    const history = open({ onTrouble: (text: string | undefined) => troubles.push(text) });
    // This week's file cannot be made: a folder has its name.
    const now = Date.now();
    const name = join(folder, `raw-${String(weekOf(now)).padStart(5, "0")}.db`);
    mkdirSync(name);
    history.append({ node: "a", resource: "x", time: now, value: 2 });
    await history.flush();
    await history.flush();
    expect(troubles.length).toBe(1);
    expect(history.state()).toMatchObject({ waiting: 1, lost: 0 });
    rmSync(name, { recursive: true });
    await history.flush();
    expect([troubles.length, troubles.at(-1), history.state().waiting]).toEqual([2, undefined, 0]);
    expect(
      (await history.query({ ...all, resolution: "raw" })).map((point) => point.value),
    ).toEqual([2]);
    await history.close();
  });

  test("a file that is no database is said to be none", () => {
    writeFileSync(
      join(folder, "history.db"),
      "no database, but long enough to be looked at".repeat(40),
    );
    expect(() => open()).toThrow(/not a database/);
  });
});

test("SenML (RFC 8428) has a base name and seconds; CSV a line a point; gaps are left out, or empty", () => {
  const points = [
    { time: 1_500, value: 2 },
    { time: 2_500, value: null },
    { time: 3_500, value: null, text: 'a "b", c' },
    { time: 4_500, value: 1, text: "true" },
  ];
  expect(senml("w ye", "sensors/level", points)).toEqual([
    { bn: "w_ye/", n: "sensors/level", t: 1.5, v: 2 },
    { n: "sensors/level", t: 3.5, vs: 'a "b", c' },
    { n: "sensors/level", t: 4.5, vs: "true" },
  ]);
  expect(csv(points)).toBe(
    "time,value\r\n1970-01-01T00:00:01.500Z,2\r\n1970-01-01T00:00:02.500Z,\r\n" +
      '1970-01-01T00:00:03.500Z,"a ""b"", c"\r\n1970-01-01T00:00:04.500Z,"true"\r\n',
  );
});
