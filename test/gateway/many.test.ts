// Many real nodes and viewers at one gateway: no value is lost between a node, its viewer and the history, and each node is observed once.
//
// WASMOTE_NODES says how many (150). Each value is fed once the one before has come, so that the speed of the machine plays no part; the
// benchmark `gateway` feeds by the clock.
import { WebSocket } from "ws";
import { once } from "node:events";
import { expect, test } from "vitest";
import type { Envelope } from "../../host/gateway/envelope.ts";
import { emulateFleet, missing } from "../../host/lib/emulate.ts";
import { startGateway, until } from "./harness.ts";

const count = Number(process.env["WASMOTE_NODES"] ?? 150);
const rounds = 5;
const reason = missing("native");

test.skipIf(reason !== undefined)(
  `${count} nodes: each of their values reaches its viewer and the history${reason ? ` (skipped: ${reason})` : ""}`,
  { timeout: 120_000 + count * 1_000 },
  async () => {
    const fleet = await emulateFleet(count);
    try {
      await using running = await startGateway(
        {},
        {
          nodes: Object.fromEntries(fleet.nodes.map(({ name, address }) => [name, address])),
          period: 60_000,
          patience: 60_000,
        },
      );
      const { gateway, token } = running;
      gateway.access.limit = () => undefined;
      const seen = new Map<string, (number | null)[]>();
      const sockets: WebSocket[] = [];
      for (const { name } of fleet.nodes) {
        const socket = new WebSocket(
          `${gateway.url.replace("http", "ws")}/api/stream?node=${name}&resource=sensors/level`,
          { headers: { authorization: `Bearer ${token}` } },
        );
        const values: (number | null)[] = [];
        seen.set(name, values);
        socket.on("message", (text: Buffer) =>
          values.push((JSON.parse(text.toString()) as Envelope).value),
        );
        await once(socket, "open");
        sockets.push(socket);
      }
      // Until each is observed.
      const first = (name: string) => gateway.hub.newest(name, "sensors/level")?.value === 1;
      await until(() => {
        const missingNow = fleet.nodes.filter(({ name }) => !first(name));
        for (const { name } of missingNow) fleet.feed(name, "level", 1);
        return missingNow.length === 0;
      });
      const wanted = Array.from({ length: rounds }, (_, round) => 100 + round);
      for (const value of wanted) {
        for (const { name } of fleet.nodes) fleet.feed(name, "level", value);
        await until(() => fleet.nodes.every(({ name }) => seen.get(name)!.at(-1) === value));
      }
      await gateway.history.flush();
      for (const { name } of fleet.nodes) {
        expect(seen.get(name)!.filter((value) => value !== 1)).toEqual(wanted);
        const points = await gateway.history.query({
          node: name,
          resource: "sensors/level",
          from: 0,
          to: 1e15,
          resolution: "raw",
          limit: 1e6,
        });
        expect(points.map(({ value }) => value).filter((value) => value !== 1)).toEqual(wanted);
      }
      expect(gateway.hub.dropped).toBe(0);
      for (const socket of sockets) socket.terminate();
    } finally {
      await fleet.stop();
    }
  },
);

test.skipIf(reason !== undefined)(
  `one observation of a node serves 500 viewers, by WebSocket and by Server-Sent Events${reason ? ` (skipped: ${reason})` : ""}`,
  async () => {
    const fleet = await emulateFleet(1);
    try {
      await using running = await startGateway(
        {},
        { nodes: { wye: fleet.nodes[0]!.address }, period: 60_000, patience: 60_000 },
      );
      const { gateway, token } = running;
      gateway.access.limit = () => undefined;
      const before = gateway.hub.viewers;
      const newest = Array.from({ length: 500 }, () => Number.NaN);
      const stop = new AbortController();
      const headers = { authorization: `Bearer ${token}` };
      const sockets: WebSocket[] = [];
      for (let at = 0; at < newest.length; at++) {
        const path = "/nodes/wye/sensors/level";
        if (at % 2 === 0) {
          const socket = new WebSocket(gateway.url.replace("http", "ws") + path, { headers });
          socket.on("message", (text: Buffer) => {
            newest[at] = (JSON.parse(text.toString()) as Envelope).value ?? Number.NaN;
          });
          await once(socket, "open");
          sockets.push(socket);
        } else {
          const accept = { accept: "text/event-stream" };
          const response = await running.ask(path, { headers: accept, signal: stop.signal });
          void (async () => {
            const decoder = new TextDecoder();
            for await (const part of response.body! as unknown as AsyncIterable<Uint8Array>) {
              const value = /"value":(-?[\d.]+)/.exec(decoder.decode(part))?.[1];
              if (value !== undefined) newest[at] = Number(value);
            }
          })().catch(() => {});
        }
      }
      expect(gateway.hub.viewers - before).toBe(newest.length);
      await until(() => {
        fleet.feed("node-1", "level", 1);
        return gateway.hub.newest("wye", "sensors/level")?.value === 1;
      });
      const came = gateway.nodes.get("wye")!.values;
      for (const value of [7, 8, 9]) {
        fleet.feed("node-1", "level", value);
        await until(() => newest.every((one) => one === value));
      }
      // The node told the gateway each value once, and no viewer; room for an observation that is begun anew.
      expect(gateway.nodes.get("wye")!.values - came).toBeLessThan(10);
      for (const socket of sockets) socket.terminate();
      stop.abort();
    } finally {
      await fleet.stop();
    }
  },
);
