// Gateways as processes and their hub, all killed at random moments, together as well: every pack of values that a gateway has written down is at
// the hub once, and every node comes to run what it shall. `WASMOTE_GATEWAYS=10` tries it with so many.
import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { jetstream } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import Database from "better-sqlite3";
import { expect, test } from "vitest";
import { Fleet, prepareHub, type Desired } from "../../host/gateway/adapters/nats/hub.ts";
import { telemetryOf, telemetryStream } from "../../host/gateway/adapters/nats/names.ts";
import type { Sent } from "../../host/gateway/adapters/nats/outbox.ts";
import { emulateFleet, missing } from "../../host/lib/emulate.ts";
import { program } from "../harness/command.ts";
import { pack } from "../harness/module.ts";
import { randomBelow } from "../harness/random.ts";
import { scratch } from "../harness/target.ts";
import { until } from "./harness.ts";
import { missingNats, NatsServers } from "./nats-servers.ts";

const size = Number(process.env["WASMOTE_GATEWAYS"] ?? 3);
const rounds = size > 3 ? 12 : 5;
const reason = missingNats ?? missing("native");

const counter = (step: number) => `
import { every, output } from "wasmote";
const count = output("count");
let ticks: f32 = 0;
every(200, () => {
  ticks += ${step};
  count.publish(ticks);
});
`;

/** A gateway in a process of its own, which is killed and begun again on the same folder. */
class Process {
  readonly name: string;
  readonly folder: string;
  #child: ChildProcess | undefined;

  constructor(name: string, root: string, servers: readonly string[], node: string) {
    this.name = name;
    this.folder = join(root, name);
    mkdirSync(this.folder);
    writeFileSync(join(this.folder, "wasmote.toml"), `[nodes]\nriver = "${node}"\n`);
    const settings = [
      "[nats]",
      `servers = ${JSON.stringify(servers)}`,
      `gateway = "${name}"`,
      `user = "${name}"`,
      `password = "of-${name}"`,
      "replicas = 3",
    ];
    writeFileSync(join(this.folder, "gateway.toml"), `${settings.join("\n")}\n`);
  }

  async start(): Promise<void> {
    const words = ["gateway", "--listen", "127.0.0.1:0", "--json"];
    this.#child = spawn(process.execPath, [program, ...words], {
      cwd: this.folder,
      stdio: ["ignore", "pipe", "ignore"],
    });
    for await (const _ of createInterface({ input: this.#child.stdout! })) return;
    throw new Error(`${this.name} ended before it listened`);
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    await ended;
  }

  #read<T>(sql: string): T {
    const database = new Database(join(this.folder, "gateway-data/gateway.db"), { readonly: true });
    try {
      return database.prepare(sql).get() as T;
    } finally {
      database.close();
    }
  }

  /** Packs that wait for the hub. */
  waiting(): number {
    return this.#read<{ n: number }>("SELECT count(*) AS n FROM nats_outbox").n;
  }

  /** The number of the last pack that was ever written down. */
  written(): number {
    const sql = "SELECT seq FROM sqlite_sequence WHERE name = 'nats_outbox'";
    return this.#read<{ seq: number } | undefined>(sql)?.seq ?? 0;
  }
}

/** Numbers of packs at the hub, as their identifiers say, and their values, in their order. */
async function packsAt(
  connection: NatsConnection,
  gateway: string,
): Promise<{ seqs: number[]; epochs: Set<string>; values: Sent[] }> {
  const seqs: number[] = [];
  const epochs = new Set<string>();
  const values: Sent[] = [];
  const stream = jetstream(connection, { timeout: 20_000 });
  const consumer = await stream.consumers.get(telemetryStream, {
    filter_subjects: telemetryOf(gateway),
  });
  for (;;) {
    const { num_pending } = await consumer.info();
    if (num_pending === 0) return { seqs, epochs, values };
    for await (const message of await consumer.fetch({ max_messages: 200, expires: 5_000 })) {
      const [, epoch = "", seq] = message.headers!.get("Nats-Msg-Id").split(":");
      epochs.add(epoch);
      seqs.push(Number(seq));
      values.push(...message.json<{ values: Sent[] }>().values);
      if (message.info.pending === 0) break;
    }
  }
}

test.skipIf(reason !== undefined)(
  `${size} gateways and three servers are killed, together as well: nothing that was written down is lost or doubled${reason === undefined ? "" : ` (skipped: ${reason})`}`,
  async () => {
    using root = scratch();
    const names = Array.from({ length: size }, (_, index) => `g${index}`);
    const fleet = await emulateFleet(size, ["--dev"]);
    await using _fleet = { [Symbol.asyncDispose]: () => fleet.stop() };
    await using servers = await NatsServers.start(3, names);
    const hub = await servers.connect();
    await using _hub = { [Symbol.asyncDispose]: () => hub.close() };
    const asked = <T>(work: () => Promise<T>) =>
      until(() =>
        work().then(
          (value) => ({ value }),
          () => undefined,
        ),
      ).then(({ value }) => value);
    await asked(() => prepareHub(hub, { replicas: 3 }));
    const all = await asked(() => Fleet.open(hub));
    const gateways = names.map(
      (name, index) => new Process(name, root.path, servers.urls, fleet.nodes[index]!.address),
    );
    await using _gateways = {
      [Symbol.asyncDispose]: async () => {
        await Promise.all(gateways.map((one) => one.end("SIGKILL")));
      },
    };
    await Promise.all(gateways.map((one) => one.start()));
    const want = async (desired: Desired) => {
      for (const name of names) await asked(() => all.want(name, "river", desired));
    };
    const reached = async ({ digest }: Desired) => {
      for (const name of names)
        await until(async () => {
          const reported = await all.reported(name, "river").catch(() => undefined);
          return reported?.digest === digest && reported.state === "confirmed";
        });
    };
    const packages: Uint8Array[] = [];
    for (const step of [1, 2]) packages.push(await pack("native", counter(step), step));
    const [first, second] = [
      await asked(() => all.put(packages[0]!)),
      await asked(() => all.put(packages[1]!)),
    ];
    await want(first);
    await reached(first);
    const below = randomBelow(20261128);
    for (let round = 0; round < rounds; round++) {
      // What is wanted changes in the middle of it.
      if (round === 1) await want(second);
      await new Promise((resolve) => setTimeout(resolve, below(700)));
      const gateway = gateways[below(size)]!;
      const server = below(3);
      const both = round % 2 === 0;
      await Promise.all([gateway.end("SIGKILL"), both ? servers.kill(server) : undefined]);
      await new Promise((resolve) => setTimeout(resolve, below(700)));
      if (both) servers.begin(server);
      await gateway.start();
    }
    // All at once.
    await Promise.all([
      ...gateways.map((one) => one.end("SIGKILL")),
      ...[0, 1, 2].map((index) => servers.kill(index)),
    ]);
    for (const index of [0, 1, 2]) servers.begin(index);
    await Promise.all(gateways.map((one) => one.start()));
    await reached(second);
    // The nodes fall silent, and what waits reaches the hub.
    await fleet.stop();
    await until(() => gateways.every((one) => one.waiting() === 0));
    await Promise.all(gateways.map((one) => one.end("SIGTERM")));
    for (const gateway of gateways) {
      // A pack may be written down, and may arrive or not, while the gateway ends.
      const last = gateway.written() - gateway.waiting();
      // A server that was killed reads out of its own copy, which may still be behind what the leader holds.
      const { seqs, epochs, values } = await until(async () => {
        const found = await asked(() => packsAt(hub, gateway.name));
        return found.seqs.length >= last && found;
      });
      expect(seqs).toEqual(Array.from({ length: seqs.length }, (_, index) => index + 1));
      expect(seqs.length).toBeLessThanOrEqual(gateway.written());
      expect(epochs.size).toBe(1);
      expect(values.filter(({ resource }) => resource === "outputs/count").length).toBeGreaterThan(
        rounds,
      );
      for (const { node } of values) expect(node).toBe("river");
    }
  },
  120_000 + size * 60_000,
);
