// Servers of NATS for the tests: on loopback, on ports of the system's, in a cluster; stopped with SIGSTOP, killed, started again.
import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "@nats-io/transport-node";
import type { NatsConnection } from "@nats-io/nats-core";
import {
  collectorOf,
  collectorRightsOf,
  rightsOf,
} from "../../host/gateway/adapters/nats/names.ts";
import { environment } from "../../host/setup.mjs";

const found = (environment() as { nats?: { ok: boolean; what: string } }).nats;
/** Why there are no servers; undefined where there are. */
export const missingNats = found?.ok ? undefined : `no nats-server: ${found?.what ?? "not set up"}`;

/** Ports that were free together a moment ago. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

interface Member {
  file: string;
  port: number;
  child: ChildProcess | undefined;
}

export class NatsServers implements AsyncDisposable {
  readonly folder: string;
  readonly #members: Member[];

  private constructor(folder: string, members: Member[]) {
    this.folder = folder;
    this.#members = members;
  }

  /** A cluster of so many, with a user for each gateway and each gateway's collector that has its rights, and `hub` that has all. */
  static async start(
    count: number,
    gateways: readonly string[],
    collectors: readonly string[] = [],
  ): Promise<NatsServers> {
    // Ports that were free may be another test's by now: a server that ends for that is begun elsewhere.
    for (let attempts = 5; ; attempts--) {
      const servers = await NatsServers.#prepared(count, gateways, collectors);
      try {
        servers.#members.forEach((_, index) => servers.begin(index));
        await servers.ready();
        return servers;
      } catch (error) {
        await servers[Symbol.asyncDispose]();
        if (attempts === 1) throw error;
      }
    }
  }

  static async #prepared(
    count: number,
    gateways: readonly string[],
    collectors: readonly string[],
  ): Promise<NatsServers> {
    const folder = mkdtempSync(join(tmpdir(), "wasmote-nats-"));
    const ports = await freePorts(count * 2);
    const routes = ports.slice(count).map((port) => `nats://127.0.0.1:${port}`);
    const users = [
      { user: "hub", password: "hub" },
      ...gateways.map((gateway) => {
        return { user: gateway, password: `of-${gateway}`, permissions: rightsOf(gateway) };
      }),
      ...collectors.map((gateway) => {
        const user = collectorOf(gateway);
        return { user, password: `of-${user}`, permissions: collectorRightsOf(gateway) };
      }),
    ];
    const members = ports.slice(0, count).map((port, index) => {
      const store = join(folder, `n${index}`);
      mkdirSync(store);
      const file = join(folder, `n${index}.conf`);
      const cluster = { name: "hub", host: "127.0.0.1", port: ports[count + index], routes };
      const config = {
        host: "127.0.0.1",
        port,
        server_name: `n${index}`,
        jetstream: { store_dir: store, max_mem: 67_108_864, max_file: 1_073_741_824 },
        ...(count > 1 ? { cluster } : {}),
        authorization: { users },
      };
      writeFileSync(file, JSON.stringify(config));
      return { file, port, child: undefined };
    });
    return new NatsServers(folder, members);
  }

  get urls(): string[] {
    return this.#members.map(({ port }) => `nats://127.0.0.1:${port}`);
  }

  /** Starts a server, or starts it again with what it has on its disk. */
  begin(index: number): void {
    const member = this.#members[index]!;
    member.child = spawn(found!.what, ["-c", member.file], {
      stdio: ["ignore", "ignore", "ignore"],
    });
  }

  async kill(index: number): Promise<void> {
    const { child } = this.#members[index]!;
    if (child === undefined) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGCONT");
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await ended;
    this.#members[index]!.child = undefined;
  }

  /** Stands still, as on the far side of a cut line: connections stay open, and nothing answers. */
  freeze(index: number): void {
    this.#members[index]!.child!.kill("SIGSTOP");
  }

  thaw(index: number): void {
    this.#members[index]!.child!.kill("SIGCONT");
  }

  /** A connection with all rights, or with those of a gateway. */
  connect(user = "hub", attempts = -1): Promise<NatsConnection> {
    return connect({
      servers: this.urls,
      user,
      pass: user === "hub" ? "hub" : `of-${user}`,
      ...(user === "hub" ? {} : { inboxPrefix: `_INBOX_${user}` }),
      maxReconnectAttempts: attempts,
      reconnectTimeWait: 100,
      waitOnFirstConnect: attempts < 0,
      timeout: 10_000,
    });
  }

  /** Waits until JetStream answers, which in a cluster needs a leader. */
  async ready(): Promise<void> {
    const ended = () =>
      this.#members.some(({ child }) => child !== undefined && child.exitCode !== null);
    for (;;) {
      if (ended()) throw new Error("a server ended");
      const connection = await this.connect(undefined, 1).catch(() => undefined);
      if (connection === undefined) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        continue;
      }
      try {
        const answer = await connection
          .request("$JS.API.INFO", "", { timeout: 2_000 })
          .then((message) => message.json<{ error?: object }>())
          .catch(() => ({ error: {} }));
        if (answer.error === undefined && !ended()) return;
      } finally {
        await connection.close();
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#members.map((_, index) => this.kill(index)));
    rmSync(this.folder, { recursive: true, force: true });
  }
}
