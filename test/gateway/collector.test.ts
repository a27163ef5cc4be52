// The collector of many gateways' telemetry in PostgreSQL: each value once in its gateway's series, whatever is killed, stands still or is begun
// twice; what is no telemetry is counted and left out.
import type { NatsConnection } from "@nats-io/nats-core";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Collector, rowsOf } from "../../host/gateway/adapters/nats/collector.ts";
import { connectTo } from "../../host/gateway/adapters/nats/link.ts";
import { prepareHub } from "../../host/gateway/adapters/nats/hub.ts";
import {
  collectorOf,
  telemetryOf,
  telemetryStream,
} from "../../host/gateway/adapters/nats/names.ts";
import { PostgresHistory } from "../../host/gateway/postgres/history.ts";
import { parseConfig } from "../../host/gateway/config.ts";
import { randomBelow } from "../harness/random.ts";
import { startGateway, until } from "./harness.ts";
import { missingNats, NatsServers } from "./nats-servers.ts";
import { Cluster, skip as missingPostgres } from "./postgres-server.ts";

const bytes = (body: unknown) =>
  new TextEncoder().encode(typeof body === "string" ? body : JSON.stringify(body));
const good = { node: "wye", resource: "sensors/level", time: 1, value: 2 };

describe("a message of telemetry", () => {
  test("has values of the gateway whose subject it is, texts and gaps as well", () => {
    const values = [good, { ...good, value: null, text: "calm" }, { ...good, value: null }];
    expect(rowsOf({ subject: "wm.tel.north", data: bytes({ values }) })).toEqual([
      { ...good, node: "north/wye" },
      { ...good, node: "north/wye", value: null, text: "calm" },
      { ...good, node: "north/wye", value: null },
    ]);
  });
  test.each([
    ["nothing", ""],
    ["half of it", "{"],
    ["null", "null"],
    ["a list", "[]"],
    ["no list of values", { values: good }],
    ["a null among its values", { values: [null] }],
    ["an empty name", { values: [{ ...good, node: "" }] }],
    ["a number for a name", { values: [{ ...good, node: 1 }] }],
    ["a control character in a name", { values: [{ ...good, node: "a\u001bb" }] }],
    ["a long name", { values: [{ ...good, node: "x".repeat(300) }] }],
    ["no resource", { values: [{ ...good, resource: undefined }] }],
    ["a text for a time", { values: [{ ...good, time: "1" }] }],
    ["a time after the last day", { values: [{ ...good, time: 1e300 }] }],
    ["a text for a value", { values: [{ ...good, value: "2" }] }],
    ["a number for a text", { values: [{ ...good, text: 1 }] }],
    ["a long text", { values: [{ ...good, text: "x".repeat(5_000) }] }],
    ["too many values", { values: Array.from({ length: 1_001 }, () => good) }],
  ])("that has %s is none, as a whole", (_, body) => {
    expect(rowsOf({ subject: "wm.tel.north", data: bytes(body) })).toBeUndefined();
  });
  test("loses no good value to a bad one of another node", () => {
    const long = { ...good, resource: `outputs/${"x".repeat(300)}` };
    const data = bytes({ values: [good, long, null, { ...good, time: 2 }] });
    expect(rowsOf({ subject: "wm.tel.north", data })?.map(({ time }) => time)).toEqual([1, 2]);
  });
  test("is collected only where there is a hub", () => {
    expect(() => parseConfig({ collect: { postgres: "postgres://h/d" } })).toThrow(/nats/);
  });
});

const reason = missingNats ?? (missingPostgres === "" ? undefined : missingPostgres);

describe.skipIf(reason !== undefined)(
  `a collector${reason === undefined ? "" : ` (skipped: ${reason})`}`,
  () => {
    let servers: NatsServers;
    let cluster: Cluster;
    let hub: NatsConnection;
    const gateways = ["north", "south", "west"];

    beforeAll(async () => {
      cluster = new Cluster();
      [servers] = await Promise.all([NatsServers.start(1, gateways, ["north"]), cluster.start()]);
      hub = await servers.connect();
      await prepareHub(hub);
    }, 240_000);
    afterAll(async () => {
      await hub?.close();
      await servers?.[Symbol.asyncDispose]();
      await cluster?.kill("SIGINT");
      cluster?.remove();
    });

    const counts: Record<string, number> = {};
    /** A pack of a gateway's, with the numbers that follow the last ones. */
    async function publish(gateway: string): Promise<void> {
      const from = counts[gateway] ?? 0;
      const values = [0, 1, 2].map((at) => ({
        // Two values of one millisecond now and then.
        ...good,
        time: 1_000 + (from + at) * 2 - ((from + at) % 2),
        value: from + at,
      }));
      counts[gateway] = from + values.length;
      await until(() =>
        jetstream(hub, { timeout: 20_000 })
          .publish(telemetryOf(gateway), JSON.stringify({ values }), {
            msgID: `${gateway}:e:${from}`,
          })
          .then(
            () => true,
            () => false,
          ),
      );
    }

    const place = (user: string) => ({ servers: servers.urls, user, password: `of-${user}` });

    /** A collector as it is in a gateway, with connections of its own; ended as a kill ends it where `kill` is called. */
    async function begin(said: string[] = []) {
      const pool = new pg.Pool({ connectionString: cluster.url, max: 2, query_timeout: 20_000 });
      pool.on("error", () => {});
      const connection = await connectTo(place(collectorOf("north")), collectorOf("north"));
      const collector = new Collector({
        open: () => Promise.resolve(connection),
        pool,
        say: (text) => said.push(text),
        atOnce: 4,
        longestPause: 500,
      });
      const stop = async () => {
        const stopping = collector.stop();
        await connection.close();
        await stopping;
        await pool.end();
      };
      return { collector, stop };
    }

    /** What the database has, in the order of time, by gateway. */
    async function kept(): Promise<Record<string, (number | null)[]>> {
      const history = await PostgresHistory.open(cluster.url);
      try {
        const found: Record<string, (number | null)[]> = {};
        for (const gateway of gateways) {
          const all = { from: 0, to: 1e15, resolution: "raw", limit: 1e5 } as const;
          const query = { node: `${gateway}/wye`, resource: "sensors/level", ...all };
          found[gateway] = (await history.query(query)).map(({ value }) => value);
        }
        return found;
      } finally {
        await history.close();
      }
    }

    async function whole(): Promise<void> {
      const total = Object.values(counts).reduce((a, b) => a + b, 0);
      const all = async () => Object.values(await kept()).flat().length >= total;
      await until(() => all().catch(() => false));
      const found = await kept();
      for (const gateway of gateways)
        expect(found[gateway]!.toSorted((a, b) => a! - b!)).toEqual(
          Array.from({ length: counts[gateway] ?? 0 }, (_, index) => index),
        );
    }

    test("writes each value once, while it, the database and the hub are killed, stand still and come back", async () => {
      const below = randomBelow(23);
      let one = await begin();
      let two: Awaited<ReturnType<typeof begin>> | undefined;
      const faults: (() => Promise<void>)[] = [
        // Another one beside it: what one has written the other leaves.
        async () => {
          two = await begin();
        },
        async () => {
          await two?.stop();
          two = undefined;
        },
        async () => {
          await cluster.kill();
          await publish("south");
          await cluster.start();
        },
        async () => {
          await one.stop();
          await publish("west");
          one = await begin();
        },
        async () => {
          await servers.kill(0);
          servers.begin(0);
          await servers.ready();
        },
        async () => {
          servers.freeze(0);
          await new Promise((resolve) => setTimeout(resolve, below(300)));
          servers.thaw(0);
        },
        async () => {
          await cluster.kill();
          await servers.kill(0);
          servers.begin(0);
          await servers.ready();
          await cluster.start();
        },
      ];
      try {
        for (const fault of faults) {
          for (let count = below(6) + 2; count > 0; count--)
            await publish(gateways[below(gateways.length)]!);
          await fault();
        }
        await publish("north");
        await whole();
      } finally {
        await one.stop();
        await two?.stop();
      }
    }, 240_000);

    test("leaves out what is no telemetry, says what was removed at the hub, and may read and nothing else", async () => {
      const before = Object.values(await kept()).flat().length;
      const stream = jetstream(hub, { timeout: 20_000 });
      await stream.publish(telemetryOf("west"), "no telemetry");
      await publish("west");
      const gone = await stream.publish(telemetryOf("west"), JSON.stringify({ values: [] }));
      const manager = await jetstreamManager(hub);
      await manager.streams.deleteMessage(telemetryStream, gone.seq);
      await publish("west");
      const said: string[] = [];
      const { collector, stop } = await begin(said);
      try {
        await whole();
        await until(() => collector.written === 6);
        expect([collector.rejected, collector.missed]).toEqual([1, 1]);
        expect(said.join()).toMatch(/1 messages were no longer at the hub/);
        expect(Object.values(await kept()).flat().length).toBe(before + 6);
      } finally {
        await stop();
      }
      const own = await servers.connect(collectorOf("north"));
      try {
        const forged = jetstream(own, { timeout: 2_000 });
        await expect(forged.publish(telemetryOf("north"), "{}", { retries: 1 })).rejects.toThrow(
          /permission/i,
        );
        await expect(
          own.request(`$JS.API.STREAM.DELETE.${telemetryStream}`, "", { timeout: 1_000 }),
        ).rejects.toThrow(/permission/i);
      } finally {
        await own.close();
      }
    }, 240_000);

    test("is a gateway's, where its settings say so: values of nodes come into the database by the hub", async () => {
      const user = (name: string) => ({ user: name, password: `of-${name}` });
      const nats = {
        servers: servers.urls,
        gateway: "north",
        ...user("north"),
        prepare: false,
        replicas: 1,
      };
      await using running = await startGateway({
        nats,
        collect: { postgres: cluster.url, ...user(collectorOf("north")) },
      });
      const at = (counts["north"] ?? 0) * 2 + 5_000;
      running.gateway.hub.publish({
        node: "usk",
        resource: "outputs/state",
        time: at,
        value: null,
        text: "calm",
      });
      const history = await PostgresHistory.open(cluster.url);
      try {
        const range = { from: 0, to: 1e15, resolution: "raw", limit: 10 } as const;
        const points = await until(async () => {
          const found = await history.query({
            node: "north/usk",
            resource: "outputs/state",
            ...range,
          });
          return found.length > 0 && found;
        });
        expect(points).toEqual([{ time: at, value: null, text: "calm" }]);
      } finally {
        await history.close();
      }
    }, 120_000);
  },
);
