// Clocks that jump: set a year ahead or back while the gateway runs, or while it is off. What lasts is counted by a clock that nobody sets.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Access } from "../../host/gateway/access.ts";
import { Alarms, type Alarm } from "../../host/gateway/alarms.ts";
import { Cache } from "../../host/gateway/cache.ts";
import { parseConfig } from "../../host/gateway/config.ts";
import { Directory } from "../../host/gateway/directory.ts";
import { Hosted } from "../../host/gateway/hosted.ts";
import { Hub } from "../../host/gateway/hub.ts";
import { Outbox } from "../../host/gateway/outbox.ts";
import { Reconciler } from "../../host/gateway/adapters/nats/reconcile.ts";
import { openDatabase } from "../../host/gateway/sqlite/database.ts";
import { SqliteHistory } from "../../host/gateway/sqlite/history.ts";
import { Store } from "../../host/gateway/sqlite/store.ts";
import type { RolloutView } from "../../host/gateway/rollout/rollouts.ts";
import { Virtuals } from "../../host/gateway/virtual.ts";
import { build } from "../../host/lib/build/build.ts";
import { emulateFleet, missing } from "../../host/lib/emulate.ts";
import { pack } from "../harness/module.ts";
import { scripted } from "./coap-server.ts";
import { startGateway, until } from "./harness.ts";

const day = 86_400_000;
const year = 365 * day;
const realNow = Date.now;
let folder: string;
/** Sets the clock that people set. */
const set = (by: number) => vi.spyOn(Date, "now").mockImplementation(() => realNow() + by);

beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "wasmote-clocks-"))));
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

describe.each([
  ["ahead", year],
  ["back", -year],
])("a clock set a year %s", (_, by) => {
  test("makes nothing in the cache older or younger, and opens nobody's limit", () => {
    const cache = new Cache();
    const key = { authority: "n", method: "GET", options: [] };
    const response = (age: number) => ({
      status: "2.05",
      payload: Buffer.from("v"),
      format: 0,
      options: [{ name: "Max-Age", value: Buffer.from([age]) }],
    });
    cache.keep(key, response(100));
    const store = new Store(folder);
    const access = new Access(store);
    const somebody = { name: "somebody", role: "read" as const };
    const began = performance.now();
    while (access.limit(somebody) === undefined);
    set(by);
    expect(cache.find(key)?.fresh).toBe(true);
    // A second brings 200 back, a year no more of them.
    let more = 0;
    while (access.limit(somebody) === undefined) more++;
    expect(more).toBeLessThanOrEqual((performance.now() - began) / 5 + 2);
    expect(cache.find(key, performance.now() + 101_000)?.fresh).toBe(false);
    store.close();
  });

  test("raises no silence, and does not hide one", () => {
    const changes: [string, Alarm][] = [];
    const store = new Store(folder);
    const { rules } = parseConfig({ rules: { silent: { kind: "silence", for: 30 } } });
    const alarms = new Alarms({
      store,
      rules,
      onChange: (change, alarm) => changes.push([change, alarm]),
    });
    let silence = 1_000;
    const nodes = [{ name: "wye", silence: () => silence }];
    alarms.tick(nodes);
    set(by);
    alarms.tick(nodes);
    expect(changes).toEqual([]);
    silence = 31_000;
    alarms.tick(nodes);
    expect(changes.map(([change, { text }]) => [change, text])).toEqual([
      ["raised", "has not been heard of for 31 s"],
    ]);
    store.close();
  });

  test("keeps registrations for their lifetime and no longer, also over a restart", async () => {
    const store = new Store(folder);
    const gone: string[] = [];
    const open = () =>
      new Directory({ store, onRegister: () => {}, onGone: ({ endpoint }) => gone.push(endpoint) });
    const directory = open();
    const options = [
      ["Uri-Path", "rd"],
      ["Uri-Query", "ep=wye"],
      ["Uri-Query", "lt=600"],
    ].map(([name = "", text = ""]) => ({ name, value: Buffer.from(text) }));
    const from = { address: "127.0.0.1", port: 9, family: "IPv4" };
    await directory.serve({
      code: "0.02",
      options,
      payload: Buffer.alloc(0),
      from,
      observes: false,
    });
    set(by);
    directory.expire();
    expect(gone).toEqual([]);
    directory.close();
    if (by > 0) return store.close();
    // Put back a year, it would live for a year and ten minutes.
    const again = open();
    again.expire(performance.now() + 601_000);
    expect(gone).toEqual(["wye"]);
    again.close();
    store.close();
  });

  test("makes no year's ticks happen in a hosted module, and keeps none from happening", async () => {
    const source = join(folder, "ticks.ts");
    writeFileSync(
      source,
      `import { every, output, sensor } from "wasmote";
      const level = sensor("level");
      const ticks = output<i32>("ticks");
      let count = 0;
      level.onSample(() => { ticks.publish(count); });
      every(10, () => { count++; });`,
    );
    const { module } = await build(source);
    const told: (number | null)[] = [];
    const hosted = new Hosted({ publish: ({ value }) => told.push(value) });
    try {
      // Before its own time begins: it takes a while until the engine is set up.
      const began = performance.now();
      hosted.start({ name: "ticks", package: module, inputs: { level: "wye/sensors/level" } });
      set(by);
      // A value may say that it is of another year, too.
      const take = () =>
        hosted.take({ node: "wye", resource: "sensors/level", value: 1, time: Date.now() + by });
      await until(() => {
        take();
        return (told.at(-1) ?? 0) >= 10;
      });
      expect(told.at(-1)).toBeLessThanOrEqual((performance.now() - began) / 10 + 1);
      expect(hosted.states()).toMatchObject([{ taken: told.length }]);
      // Where the gateway stood still for a day, a minute is made up for.
      told.length = 0;
      const later = performance.now() + day;
      hosted.tick(later);
      hosted.take({ node: "wye", resource: "sensors/level", value: 1, time: 1 }, later);
      expect(told.at(-1)).toBeGreaterThan(6_000);
      expect(told.at(-1)).toBeLessThan(7_000 + (performance.now() - began) / 10);
    } finally {
      hosted.close();
    }
  });

  test("delays no message by as much", async () => {
    const store = new Store(folder);
    let tries = 0;
    const outbox = new Outbox(
      store,
      new Map([["duty", () => (++tries, Promise.reject(new Error("away")))]]),
    );
    outbox.put("x");
    await until(() => tries > 0);
    await until(() => store.database.prepare("SELECT attempts FROM outbox").pluck().get() === 1);
    set(by);
    outbox.put("y");
    await until(() => tries > 1);
    outbox.stop();
    store.close();
  });

  test("forgets no value by its age, and knows its quota", async () => {
    const week = 7 * day;
    let now = realNow();
    let time = 0;
    const clock = { now: () => now, steady: () => time };
    const open = (options: object = {}) =>
      new SqliteHistory({ folder, retention: 4 * week, clock, ...options });
    const files = () => readdirSync(folder).filter((name) => /^raw-.*\.db$/.test(name)).length;
    const history = open();
    const put = async (at: number) => {
      history.append({ node: "a", resource: "x", time: at, value: 1 });
      await history.flush();
    };
    for (let back = 2; back >= 0; back--) await put(now - back * week);
    expect(files()).toBe(3);
    now += by;
    time += 61_000;
    await put(now);
    expect(files()).toBe(4);
    // A week on, the clock goes along with time: now it is believed.
    for (let passed = 0; passed <= 7 * day + 120_000; passed += 30 * 60_000) {
      now += 30 * 60_000;
      time += 30 * 60_000;
      await put(now);
    }
    expect(files()).toBe(by > 0 ? 2 : 5);
    await history.close();
    // The same while it is off.
    now += by;
    time = 0;
    const again = open();
    again.append({ node: "a", resource: "x", time: now, value: 1 });
    await again.flush();
    expect(files()).toBe(by > 0 ? 3 : 6);
    await again.close();
    const small = open({ quota: 1 });
    small.append({ node: "a", resource: "x", time: now, value: 1 });
    await small.close();
    expect(files()).toBe(1);
  });

  test("gives no number of an envelope twice, and nobody a replay of other values", () => {
    const store = new Store(folder);
    const hub = new Hub(store.firstNumber(), (upTo) => store.reserve(upTo));
    const last = hub.publish({ node: "a", resource: "x", time: 0, value: 1 }).seq;
    set(by);
    const again = new Hub(store.firstNumber(), (upTo) => store.reserve(upTo));
    expect(again.publish({ node: "a", resource: "x", time: 0, value: 2 }).seq).toBeGreaterThan(
      last,
    );
    expect(again.since(last, {}).whole).toBe(false);
    store.close();
  });
});

describe.each([
  ["ahead", year],
  ["back", -year],
])("what the hub wants, with a clock set a year %s", (_, by) => {
  test("is tried again after its pause, and not before", async () => {
    const asked: string[] = [];
    const app = { state: "confirmed", digest: "00" };
    const reconciler = new Reconciler({
      nodes: [{ name: "wye", app }] as never,
      packages: {
        get: (digest: string) => {
          asked.push(digest);
          return Promise.reject(new Error("the hub is away"));
        },
      } as never,
      database: openDatabase(join(folder, "hub.db")),
      report: () => Promise.resolve(),
      onEvent: () => {},
    });
    const settled = () => new Promise((resolve) => setImmediate(resolve));
    reconciler.want("wye", { package: "aa", digest: "bb" });
    await settled();
    expect(asked).toHaveLength(1);
    set(by);
    reconciler.look();
    await settled();
    expect(asked).toHaveLength(1);
    const steady = performance.now.bind(performance);
    vi.spyOn(performance, "now").mockImplementation(() => steady() + 2_100);
    reconciler.look();
    await settled();
    expect(asked).toHaveLength(2);
    await reconciler.stop();
  });
});

test("a virtual resource does not keep what came before the clock was put back", () => {
  const hub = new Hub();
  const virtuals = new Virtuals(hub, [
    { name: "v", kind: "fallback", function: "mean", sources: ["a/x"], fresh: 60 },
  ]);
  const now = realNow();
  virtuals.take({ seq: 1, node: "a", resource: "x", time: now, value: 5 });
  virtuals.tick(now - year);
  expect(hub.newest("gateway", "virtual/v")?.value).toBe(5);
  virtuals.tick(now - year + 61_000);
  expect(hub.newest("gateway", "virtual/v")?.value).toBeNull();
  virtuals.stop();
});

/** A filter that is on trial for a second or so. */
const counter = `
import { every, output } from "wasmote";
const count = output("count");
let ticks: f32 = 0;
every(100, () => { count.publish(++ticks); });
`;
const reason = missing("native");
test.skipIf(reason !== undefined).each([
  ["ahead", year],
  ["back", -year],
])(
  `a rollout neither fails nor stalls when the clock is set %s${reason === undefined ? "" : ` (skipped: ${reason})`}`,
  async (_, by) => {
    const fleet = await emulateFleet(2, ["--dev"]);
    try {
      const nodes = Object.fromEntries(fleet.nodes.map(({ name, address }) => [name, address]));
      await using running = await startGateway({}, { nodes });
      await until(() => [...running.gateway.nodes].every(({ app }) => app !== undefined));
      const planned = await running.ask("/api/rollouts?select=*&waves=1,100%25&soak=1&silence=60", {
        method: "POST",
        body: Buffer.from(await pack("native", counter, 1)),
      });
      const { id } = (await planned.json()) as RolloutView;
      await running.json(`/api/rollouts/${id}/start`, { method: "POST" });
      const view = () => running.json<RolloutView>(`/api/rollouts/${id}`);
      const first = await until(async () =>
        (await view()).members.find(({ state }) => state === "trial"),
      );
      const began = performance.now();
      set(by);
      const done = await until(async () => {
        const now = await view();
        return ["done", "halted"].includes(now.state) && now;
      });
      expect(done.members.map(({ state }) => state)).toEqual(["good", "good"]);
      // A year is no second of soaking.
      expect(performance.now() - began).toBeGreaterThan(1_000);
      expect(done.members.find(({ node }) => node === first.node)?.failed).toBeUndefined();
    } finally {
      await fleet.stop();
    }
  },
  120_000,
);

test("requests under way and observations go on while the clock is set about", async () => {
  let release: () => void = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  await using server = await scripted(async () => (await held, { code: "2.05", payload: "v" }));
  await using running = await startGateway({ targets: ["127.0.0.1"] });
  const answer = running.ask(`/hc/coap://127.0.0.1:${server.port}/x`);
  await until(() => server.requests.length);
  set(year);
  // A retransmission looks at how long it has been.
  await until(() => server.requests.length > 1);
  set(-year);
  release();
  expect([(await answer).status, await (await answer).text()]).toEqual([200, "v"]);
}, 120_000);
