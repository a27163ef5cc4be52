// Gateways and their hub (NATS JetStream): every value arrives once whatever is cut or killed, every node gets what it shall run, and a gateway has
// no rights over another one's. `WASMOTE_GATEWAYS=10` tries it with so many.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { jetstream } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { Kvm } from "@nats-io/kv";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Fleet, prepareHub } from "../../host/gateway/adapters/nats/hub.ts";
import {
  commandsOf,
  desiredBucket,
  gatewayFault,
  keyOf,
  nodeOf,
  reportedBucket,
  rightsOf,
  telemetryOf,
  telemetryStream,
} from "../../host/gateway/adapters/nats/names.ts";
import {
  TelemetryOutbox,
  type Sent,
  type Telemetry,
} from "../../host/gateway/adapters/nats/outbox.ts";
import { parseConfig, type NatsConfig } from "../../host/gateway/config.ts";
import { openDatabase } from "../../host/gateway/sqlite/database.ts";
import { emulateFleet, missing } from "../../host/lib/emulate.ts";
import { root } from "../../host/setup.mjs";
import { pack } from "../harness/module.ts";
import { randomBelow } from "../harness/random.ts";
import { scratch } from "../harness/target.ts";
import { startGateway, until, type Running } from "./harness.ts";
import { missingNats, NatsServers } from "./nats-servers.ts";

const envelope = (value: number) => ({
  seq: value,
  node: "wye",
  resource: "sensors/level",
  time: 1_000 + value,
  value,
});

describe("names at the hub", () => {
  test.each(["wye", "a.b", "a:b", "x_y-z", "a.b:c_d", "0"])(
    "%s is a key and comes back",
    (node) => {
      const key = keyOf("gw", node);
      expect(key).toMatch(/^gw\.[-/_=a-zA-Z0-9]+$/);
      expect(nodeOf(key)).toBe(node);
    },
  );
  test.each(["gw", "gw.", "gw.a.b", "gw.=zz", "gw.*", ".a", "gw.a=2"])(
    "%s is not a key of ours",
    (key) => {
      expect(nodeOf(key)).toBeUndefined();
    },
  );
  test.each(["", "a.b", "a*", ">", "a b", "x".repeat(41)])(
    "%j is not a name of a gateway",
    (name) => {
      expect(gatewayFault(name)).toBeDefined();
      expect(() => parseConfig({ nats: { servers: ["nats://h:1"], gateway: name } })).toThrow(
        /nats/,
      );
    },
  );
  test.each([
    { servers: [], gateway: "g" },
    { servers: ["http://h"], gateway: "g" },
    { servers: ["nats://h:1"] },
    { servers: ["nats://h:1"], gateway: "g", other: 1 },
    { servers: ["nats://h:1"], gateway: "g", replicas: 0 },
  ])("settings %j are refused", (nats) => {
    expect(() => parseConfig({ nats })).toThrow(/nats/);
  });
});

describe("the outbox of telemetry", () => {
  test("sends each value once, in order, whatever answers are lost and however often it is killed", async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const random = randomBelow(seed);
      using folder = scratch();
      const file = join(folder.path, "gateway.db");
      /** The hub, which has forgotten every identifier by the time that something is sent again. */
      const has: { id: string; body: string }[] = [];
      const unreliable: Telemetry = {
        send: async (body, id, after) => {
          await Promise.resolve();
          if (random(4) === 0) throw new Error("the request is lost");
          if (after !== has.length) return undefined;
          has.push({ id, body });
          if (random(4) === 0) throw new Error("the answer is lost");
          return has.length;
        },
        newest: async () => {
          await Promise.resolve();
          if (random(4) === 0) throw new Error("the hub is away");
          return { sequence: has.length, id: has.at(-1)?.id };
        },
      };
      let value = 0;
      for (let life = 0; life < 4; life++) {
        const database = openDatabase(file);
        const outbox = new TelemetryOutbox(database, "gw", undefined, 1);
        outbox.run(unreliable);
        for (let burst = 0; burst < 5; burst++) {
          for (let count = random(4); count >= 0; count--) outbox.take(envelope(value++));
          outbox.flush();
          await new Promise((resolve) => setImmediate(resolve));
        }
        // A kill: what is on the disk is there, what is under way may have arrived or not.
        if (life === 3) await until(() => outbox.waiting() === 0);
        await outbox.stop();
        database.close();
      }
      const values = has.flatMap(({ body }) => (JSON.parse(body) as { values: Sent[] }).values);
      expect(values.map((one) => one.value)).toEqual(
        Array.from({ length: value }, (_, index) => index),
      );
    }
  }, 120_000);

  test("is in messages that a server takes, also of long texts; what fits in none is not in the way of the rest", async () => {
    using folder = scratch();
    const database = openDatabase(join(folder.path, "gateway.db"));
    const outbox = new TelemetryOutbox(database, "gw");
    const has: string[] = [];
    outbox.run({
      send: (body) => {
        // nats-server's max_payload, where nobody set another.
        if (Buffer.byteLength(body) > 1 << 20) throw new Error("maximum payload exceeded");
        return Promise.resolve(has.push(body));
      },
      newest: () => Promise.resolve({ sequence: has.length, id: undefined }),
    });
    const count = 3_000;
    for (let value = 0; value < count; value++)
      outbox.take({ ...envelope(value), text: "水".repeat(400) });
    outbox.take({ ...envelope(-1), resource: `outputs/${"x".repeat(1 << 20)}` });
    outbox.take(envelope(count));
    outbox.flush();
    await until(() => outbox.waiting() === 0);
    await outbox.stop();
    database.close();
    const values = has.flatMap((body) => (JSON.parse(body) as { values: Sent[] }).values);
    expect(values.map(({ value }) => value)).toEqual(
      Array.from({ length: count + 1 }, (_, n) => n),
    );
    expect(outbox.lost).toBe(1);
  });

  test("of a folder that is begun anew is not taken for the old one", async () => {
    const has: string[] = [];
    const hub: Telemetry = {
      send: (_, id, after) => Promise.resolve(after === has.length ? has.push(id) : undefined),
      newest: () => Promise.resolve({ sequence: has.length, id: has.at(-1) }),
    };
    for (const sent of [3, 1]) {
      using folder = scratch();
      const database = openDatabase(join(folder.path, "gateway.db"));
      const outbox = new TelemetryOutbox(database, "gw");
      for (let value = 0; value < sent; value++) {
        outbox.take(envelope(value));
        outbox.flush();
      }
      outbox.run(hub);
      await until(() => outbox.waiting() === 0);
      await outbox.stop();
      database.close();
    }
    expect(new Set(has).size).toBe(4);
  });
});

/** Everything at the hub of one gateway's telemetry, in its order. */
async function telemetryAt(
  connection: NatsConnection,
  gateway: string,
): Promise<{ ids: string[]; values: Sent[] }> {
  const ids: string[] = [];
  const values: Sent[] = [];
  const consumer = await jetstream(connection, { timeout: 20_000 }).consumers.get(telemetryStream, {
    filter_subjects: telemetryOf(gateway),
  });
  for (;;) {
    const { num_pending } = await consumer.info();
    if (num_pending === 0) return { ids, values };
    for await (const message of await consumer.fetch({ max_messages: 200, expires: 5_000 })) {
      ids.push(message.headers!.get("Nats-Msg-Id"));
      values.push(...message.json<{ values: Sent[] }>().values);
      if (message.info.pending === 0) break;
    }
  }
}

/** Whether every copy of the stream has what its leader has. */
async function copiesAgree(connection: NatsConnection): Promise<boolean> {
  const manager = await jetstream(connection, { timeout: 20_000 }).jetstreamManager();
  const { cluster } = await manager.streams.info(telemetryStream);
  const copies = cluster?.replicas ?? [];
  return (
    cluster?.leader !== undefined &&
    copies.length === 2 &&
    copies.every(({ current, lag, offline }) => current && (lag ?? 0) === 0 && offline !== true)
  );
}

test("the rights that the documentation shows are those that a gateway needs", () => {
  const text = readFileSync(join(root, "docs/gateway.md"), "utf8");
  const shown = /```json\n(\{\s*"user": "NAME"[^]*?)\n```/.exec(text)?.[1] ?? "";
  const user = JSON.parse(shown) as object;
  expect(user).toEqual({ user: "NAME", password: "…", permissions: rightsOf("NAME") });
});

test.skipIf(missingNats !== undefined)(
  `a gateway says who prepares a hub that has nothing${missingNats === undefined ? "" : ` (skipped: ${missingNats})`}`,
  async () => {
    await using servers = await NatsServers.start(1, ["north"]);
    const place = { servers: servers.urls, gateway: "north", user: "north", password: "of-north" };
    for (const prepare of [true, false]) {
      const said: string[] = [];
      const say = (text: string) => void said.push(text);
      await using _ = await startGateway({ nats: { ...place, prepare, replicas: 1 } }, { say });
      await until(() => said.find((text) => /prepare the hub once, by a gateway with/.test(text)));
    }
  },
  60_000,
);

describe.skipIf(missingNats !== undefined)(
  `a hub of one server${missingNats === undefined ? "" : ` (skipped: ${missingNats})`}`,
  () => {
    let servers: NatsServers;
    let hub: NatsConnection;
    const gateways = ["north", "south"];
    const settings = (gateway: string): NatsConfig => ({
      servers: servers.urls,
      gateway,
      user: gateway,
      password: `of-${gateway}`,
      prepare: false,
      replicas: 1,
    });

    beforeAll(async () => {
      servers = await NatsServers.start(1, gateways);
      hub = await servers.connect();
      await prepareHub(hub);
    }, 120_000);
    afterAll(async () => {
      await hub?.close();
      await servers?.[Symbol.asyncDispose]();
    });

    test("grants a gateway's user what is its own, and nothing of another gateway's", async () => {
      await using _ = { [Symbol.asyncDispose]: () => north.close() };
      const north = await servers.connect("north");
      const denied = async (work: () => Promise<unknown>) => {
        await expect(work()).rejects.toThrow(/permission/i);
      };
      const stream = jetstream(north, { timeout: 2_000 });
      // Its own.
      await stream.publish(telemetryOf("north"), "{}", { msgID: "north:test:1" });
      const kvm = new Kvm(north);
      const reported = await kvm.open(reportedBucket);
      await reported.put(keyOf("north", "wye"), "{}");
      const own = await kvm.open(desiredBucket);
      const watch = await own.watch({ key: "north.>" });
      watch.stop();
      // Forged telemetry and reports.
      await denied(() => stream.publish(telemetryOf("south"), "{}", { retries: 1 }));
      await denied(() => reported.put(keyOf("south", "wye"), "{}"));
      const desired = await kvm.open(desiredBucket);
      // Nobody of a gateway says what nodes run, its own included.
      await denied(() => desired.put(keyOf("south", "wye"), "{}"));
      await denied(() => desired.put(keyOf("north", "wye"), "{}"));
      await denied(() => desired.get(keyOf("south", "wye")));
      await denied(() => desired.watch({ key: "south.>" }));
      await denied(() => desired.watch({ key: ">" }));
      await denied(async () => {
        const consumer = await stream.consumers.get(telemetryStream, {
          filter_subjects: telemetryOf("south"),
        });
        await consumer.info();
      });
      // Another one's commands, neither given nor taken.
      await denied(() => north.request(commandsOf("south"), "{}", { timeout: 2_000 }));
      await denied(async () => {
        for await (const _ of north.subscribe(commandsOf("south"))) break;
      });
      for (const name of [telemetryStream, `KV_${desiredBucket}`])
        await denied(() => north.request(`$JS.API.STREAM.DELETE.${name}`, "", { timeout: 1_000 }));
    }, 120_000);

    test("takes nothing for a command that somebody had JetStream deliver", async () => {
      await using running = await startGateway({ nats: settings("south") });
      const north = await servers.connect("north");
      try {
        const all = await Fleet.open(hub);
        await until(() => all.command("south", { command: "nodes" }, 1_000).catch(() => false));
        await all.want("north", "wye", { package: "0".repeat(64), digest: "0".repeat(64) });
        // A consumer of its own nodes, which it may make, that delivers to another gateway.
        const [name, filter] = ["forged", `$KV.${desiredBucket}.north.>`];
        const config = { name, filter_subject: filter, deliver_subject: commandsOf("south") };
        const stream = `KV_${desiredBucket}`;
        const made = await north.request(
          `$JS.API.CONSUMER.CREATE.${stream}.${name}.${filter}`,
          JSON.stringify({ stream_name: stream, config: { ...config, ack_policy: "none" } }),
        );
        expect(made.json()).not.toHaveProperty("error");
        await until(async () => {
          const info = await hub.request(`$JS.API.CONSUMER.INFO.${stream}.${name}`);
          return info.json<{ delivered: { stream_seq: number } }>().delivered.stream_seq > 0;
        });
        // It came before this, and an error of it would stand in the audit.
        await all.command("south", { command: "nodes" });
        expect(running.gateway.store.audits(10).filter(({ who }) => who === "hub")).toEqual([]);
      } finally {
        await north.close();
      }
    }, 60_000);

    test.skipIf(missing("native") !== undefined)(
      "brings each node to what it shall run, tells what it runs, and passes commands on",
      async () => {
        const fleet = await emulateFleet(2, ["--dev"]);
        await using _ = { [Symbol.asyncDispose]: () => fleet.stop() };
        const all = await Fleet.open(hub);
        using folder = scratch();
        const [first, second] = [
          await pack("native", counter("1"), 5),
          await pack("native", counter("2"), 6),
        ];
        const nodes = { "wye.1": fleet.nodes[0]!.address, usk: fleet.nodes[1]!.address };
        const one = await all.put(first);
        expect(await all.put(first)).toEqual(one);
        let token: string;
        {
          await using south = await startGateway(
            { nats: settings("south") },
            { nodes, folder: folder.path },
          );
          ({ token } = south);
          await all.want("south", "wye.1", one);
          await until(async () => (await all.reported("south", "wye.1"))?.digest === one.digest);
          await until(async () => (await all.reported("south", "wye.1"))?.state === "confirmed");
          expect(await all.reported("south", "usk")).toMatchObject({ digest: null });
          // What is wanted of another gateway is none of its business, nor what is malformed.
          const desired = await new Kvm(hub).open(desiredBucket);
          await desired.put(keyOf("north", "usk"), JSON.stringify(one));
          for (const text of ["", "{", "[]", '{"package":"x","digest":"y"}'])
            await desired.put(keyOf("south", "usk"), text);
          // A package that is not there, and one with another module than is said.
          await all.want("south", "usk", { package: "0".repeat(64), digest: one.digest });
          await until(async () =>
            /no package/.test((await all.reported("south", "usk"))?.trouble ?? ""),
          );
          const two = await all.put(second);
          await all.want("south", "usk", { package: two.package, digest: one.digest });
          await until(async () =>
            /another module/.test((await all.reported("south", "usk"))?.trouble ?? ""),
          );
          // Commands.
          expect(await all.command("south", { command: "nodes" })).toMatchObject({
            ok: [
              { name: "wye.1", digest: one.digest },
              { name: "usk", digest: null },
            ],
          });
          expect(
            await all.command("south", {
              command: "set",
              node: "wye.1",
              parameter: "step",
              value: 3,
            }),
          ).toEqual({ ok: 3 });
          for (const wrong of [
            { command: "set", node: "wye.1", parameter: "none", value: 1 },
            { command: "set", node: "none" },
            { command: "set", node: "wye.1", parameter: "step", value: "1" },
            { command: "format" },
            [],
          ])
            expect(await all.command("south", wrong)).toMatchObject({
              error: expect.stringMatching(/./) as string,
            });
          await expect(all.command("none", { command: "nodes" })).rejects.toThrow();
        }
        // What changes while the gateway is away is done when it is back.
        const two = await all.put(second);
        await all.want("south", "wye.1", two);
        await using south = await startGateway(
          { nats: settings("south") },
          { nodes, folder: folder.path },
        );
        expect(token).not.toBe("");
        await until(async () => (await all.reported("south", "wye.1"))?.digest === two.digest);
        await until(() => south.gateway.link!.outbox.sent > 0);
      },
      240_000,
    );
  },
);

const counter = (step: string) => `
import { every, output, parameter } from "wasmote";
const count = output("count");
const step = parameter("step", ${step}, 0, 10);
let ticks: f32 = 0;
every(100, () => {
  ticks += step.value;
  count.publish(ticks);
});
`;

const size = Number(process.env["WASMOTE_GATEWAYS"] ?? 3);

describe.skipIf(missingNats !== undefined)(
  `a hub of three servers${missingNats === undefined ? "" : ` (skipped: ${missingNats})`}`,
  () => {
    test("has each value of each gateway once, after servers stood still, lost their quorum and were killed", async () => {
      const names = Array.from({ length: size }, (_, index) => `g${index}`);
      await using servers = await NatsServers.start(3, names);
      const hub = await servers.connect();
      await using _ = { [Symbol.asyncDispose]: () => hub.close() };
      await until(() =>
        prepareHub(hub, { replicas: 3 }).then(
          () => true,
          () => false,
        ),
      );
      const running: Running[] = [];
      await using __ = {
        [Symbol.asyncDispose]: async () => {
          await Promise.all(running.map((one) => one[Symbol.asyncDispose]()));
        },
      };
      for (const gateway of names) {
        const nats = {
          servers: servers.urls,
          gateway,
          user: gateway,
          password: `of-${gateway}`,
          prepare: false,
          replicas: 3,
        };
        running.push(await startGateway({ nats }));
      }
      let count = 0;
      /** So many values at each gateway, each pack on its disk before the next. */
      const publish = (packs: number) => {
        for (let index = 0; index < packs; index++, count++)
          for (const { gateway } of running) {
            gateway.hub.publish({
              node: "wye",
              resource: "sensors/level",
              time: count,
              value: count,
            });
            gateway.link!.outbox.flush();
          }
      };
      const some = (least: number) =>
        until(() => running.every(({ gateway }) => gateway.link!.outbox.sent >= least));
      publish(5);
      await some(1);
      servers.freeze(0);
      publish(5);
      await until(() => running.some(({ gateway }) => gateway.link!.outbox.sent > 5));
      servers.thaw(0);
      publish(5);
      await servers.kill(1);
      publish(5);
      servers.begin(1);
      // Two of three: nothing can be stored, and everything waits.
      servers.freeze(1);
      servers.freeze(2);
      publish(5);
      servers.thaw(1);
      servers.thaw(2);
      publish(5);
      await until(() => running.every(({ gateway }) => gateway.link!.outbox.waiting() === 0));
      for (const { gateway } of running) expect(gateway.link!.outbox.lost).toBe(0);
      // A server that stood still reads out of its own copy, which may still be behind what the leader holds.
      await until(() => copiesAgree(hub).catch(() => false));
      for (const gateway of names) {
        const { ids, values } = await until(() => telemetryAt(hub, gateway).catch(() => undefined));
        expect(values.map(({ value }) => value)).toEqual(
          Array.from({ length: count }, (_, index) => index),
        );
        expect(new Set(ids).size).toBe(ids.length);
      }
    }, 400_000);
  },
);
