// The hub of many gateways, with simulated nodes: the gateways, their outboxes on the disk, the links and three servers of NATS are real; a node is
// nothing but its values and its key in the bucket of what nodes shall run.
import { availableParallelism, loadavg } from "node:os";
import { jetstreamManager } from "@nats-io/jetstream";
import { Fleet, prepareHub } from "../../host/gateway/adapters/nats/hub.ts";
import { desiredBucket, telemetryStream } from "../../host/gateway/adapters/nats/names.ts";
import { startGateway, type Running } from "../gateway/harness.ts";
import { missingNats, NatsServers } from "../gateway/nats-servers.ts";
import { figure, type Report } from "./report.ts";

const gateways = Number(process.env["WASMOTE_GATEWAYS"] ?? 100);
const nodes = 1_000;
const seconds = 10;
/** Keys that are on their way to the hub at once. */
const atOnce = 500;

/** Waits until something holds; what never comes is a fault. */
async function until(what: string, look: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 600_000;
  while (!(await look())) {
    if (performance.now() > end) throw new Error(`${what}: not within ten minutes`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export async function run(): Promise<Report> {
  if (missingNats !== undefined) throw new Error(missingNats);
  const names = Array.from({ length: gateways }, (_, index) => `g${index}`);
  await using servers = await NatsServers.start(3, names);
  const hub = await servers.connect();
  await using _hub = { [Symbol.asyncDispose]: () => hub.close() };
  await until("a leader", () =>
    prepareHub(hub, { replicas: 3 }).then(
      () => true,
      () => false,
    ),
  );
  const running: Running[] = [];
  await using _gateways = {
    [Symbol.asyncDispose]: async () => {
      await Promise.all(running.map((one) => one[Symbol.asyncDispose]()));
    },
  };
  for (const gateway of names) {
    const user = { user: gateway, password: `of-${gateway}` };
    const nats = { servers: servers.urls, gateway, ...user, prepare: false, replicas: 3 };
    running.push(await startGateway({ nats }));
  }
  const manager = await jetstreamManager(hub, { timeout: 20_000 });
  const info = async () => (await manager.streams.info(telemetryStream)).state;

  // Values: what so many nodes say in a second, one pack of each gateway; the next second once all have taken it.
  const began = performance.now();
  for (let second = 0; second < seconds; second++)
    for (const { gateway } of running) {
      for (let node = 0; node < nodes; node++)
        gateway.hub.publish({
          node: `node-${node}`,
          resource: "sensors/level",
          time: second * 1_000,
          value: node + second,
        });
      gateway.link!.outbox.flush();
      // As between gateways that are processes.
      await new Promise((resolve) => setImmediate(resolve));
    }
  const taken = performance.now() - began;
  await until("values", () => running.every(({ gateway }) => gateway.link!.outbox.waiting() === 0));
  const arrived = performance.now() - began;
  const { messages, bytes } = await info();
  const lost = running.reduce((sum, { gateway }) => sum + gateway.link!.outbox.lost, 0);

  // What nodes shall run: a key each, one watch a gateway.
  const fleet = await Fleet.open(hub);
  const desired = { package: "a".repeat(64), digest: "b".repeat(64) };
  const put = performance.now();
  const keys = names.flatMap((gateway) =>
    Array.from({ length: nodes }, (_, node): [string, string] => [gateway, `node-${node}`]),
  );
  for (let at = 0; at < keys.length; at += atOnce)
    await Promise.all(
      keys.slice(at, at + atOnce).map(([gateway, node]) => fleet.want(gateway, node, desired)),
    );
  const written = performance.now() - put;
  const known = ({ gateway }: Running) =>
    (
      gateway.store.database.prepare("SELECT count(*) AS n FROM nats_desired").get() as {
        n: number;
      }
    ).n;
  await until("desired state", () => running.every((one) => known(one) === nodes));
  const reached = performance.now() - put;
  const consumers = (await manager.streams.info(`KV_${desiredBucket}`)).state.consumer_count;

  const values = gateways * nodes * seconds;
  const total = `${figure(gateways * nodes)} simulated nodes`;
  return {
    name: "hub",
    title: "Many gateways and their hub",
    method:
      `${figure(gateways)} gateways in one process, three servers of NATS with three copies of everything, all on this computer; ${total}: of a node only its values and its key are there. ` +
      `Values: ${seconds} rounds of one value of each node, through each gateway's SQLite. Desired state: one key for each node, ${atOnce} on their way at once, one watch a gateway, kept in each gateway's SQLite.`,
    notes: [
      `Wall-clock of this machine (${availableParallelism()} processors, load ${loadavg()[0]!.toFixed(1)} when this was written): an indication.`,
    ],
    tables: [
      {
        title: "Values",
        columns: [
          "values",
          "packs at the hub",
          "bytes a value",
          "lost",
          "s to take",
          "s until all are there",
          "values a second",
        ],
        rows: [
          [
            values,
            messages,
            figure(bytes / values),
            lost,
            figure(taken / 1_000),
            figure(arrived / 1_000),
            figure((values / arrived) * 1_000),
          ],
        ],
      },
      {
        title: "Desired state",
        columns: ["keys", "watches", "s to write them", "s until every gateway has its own"],
        rows: [[keys.length, consumers, figure(written / 1_000), figure(reached / 1_000)]],
      },
    ],
    plots: [],
  };
}
