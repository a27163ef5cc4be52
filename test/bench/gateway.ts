// The gateway under load: requests through the proxy, one observation with many viewers, many real nodes at a value a second.
//
// WASMOTE_NODES and WASMOTE_SECONDS choose how many and how long (200 nodes, 20 s; the whole one is 1000 and 600).
import { mkdtempSync, rmSync } from "node:fs";
import { Agent, get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WebSocket } from "ws";
import { once } from "node:events";
import { Gateway } from "../../host/gateway/gateway.ts";
import type { Envelope } from "../../host/gateway/envelope.ts";
import { SqliteHistory } from "../../host/gateway/sqlite/history.ts";
import { emulateFleet } from "../../host/lib/emulate.ts";
import { openProject } from "../../host/lib/project.ts";
import { scripted } from "../gateway/coap-server.ts";
import type { Report } from "./report.ts";

const nodes = Number(process.env["WASMOTE_NODES"] ?? 200);
const seconds = Number(process.env["WASMOTE_SECONDS"] ?? 20);
const viewers = Math.min(200, nodes);

async function withGateway<T>(
  targets: string[],
  named: Record<string, string>,
  work: (gateway: Gateway, token: string) => Promise<T>,
): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "wasmote-bench-"));
  const gateway = await Gateway.start({
    folder,
    project: openProject(folder),
    nodes: named,
    config: { listen: { host: "127.0.0.1", port: 0 }, targets, rules: [] },
  });
  try {
    return await work(gateway, gateway.access.first ?? "");
  } finally {
    await gateway.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

const at = (sorted: readonly number[], share: number) =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;

/** Requests in flight at once until so many are done; the times of each, in milliseconds. */
async function load(
  address: (index: number) => string,
  token: string,
  total: number,
  atOnce: number,
): Promise<{ rate: number; p99: number }> {
  const agent = new Agent({ keepAlive: true, maxSockets: atOnce });
  const times: number[] = [];
  let begun = 0;
  const worker = async () => {
    while (begun < total) {
      const start = performance.now();
      await new Promise<void>((resolve, reject) => {
        get(
          address(begun++),
          { agent, headers: { authorization: `Bearer ${token}` } },
          (response) => {
            if (response.statusCode !== 200)
              response.once("data", (text) =>
                reject(new Error(`status ${response.statusCode}: ${text}`)),
              );
            response.resume().on("end", resolve);
          },
        ).on("error", reject);
      });
      times.push(performance.now() - start);
    }
  };
  const start = performance.now();
  await Promise.all(Array.from({ length: atOnce }, worker));
  const rate = (1000 * times.length) / (performance.now() - start);
  agent.destroy();
  return {
    rate: Math.round(rate),
    p99: Number(
      at(
        times.toSorted((a, b) => a - b),
        0.99,
      ).toFixed(1),
    ),
  };
}

async function requests() {
  await using server = await scripted(() => ({ code: "2.05", payload: "21.5" }));
  return await withGateway(["127.0.0.1"], {}, async (gateway, token) => {
    // The limit per token is for users; a benchmark is none.
    gateway.access.limit = () => undefined;
    const base = `${gateway.url}/hc/coap://127.0.0.1:${server.port}`;
    const cached = await load(() => `${base}/same`, token, 5_000, 32);
    const uncached = await load((index) => `${base}/${index}`, token, 3_000, 32);
    return { cached, uncached };
  });
}

async function fleet() {
  const running = await emulateFleet(nodes);
  try {
    return await withGateway(
      [],
      Object.fromEntries(running.nodes.map(({ name, address }) => [name, address])),
      async (gateway, token) => {
        const sent = new Map<string, number>();
        const delays: number[] = [];
        let fed = 0;
        let seen = 0;
        const sockets = await Promise.all(
          Array.from({ length: viewers }, async (_, index) => {
            const socket = new WebSocket(
              `${gateway.url.replace("http", "ws")}/api/stream?node=node-${index + 1}`,
              { headers: { authorization: `Bearer ${token}` } },
            );
            socket.on("message", (text: Buffer) => {
              const { node, value, gap } = JSON.parse(text.toString()) as Envelope;
              const at_ = sent.get(`${node} ${value}`);
              if (gap || at_ === undefined) return;
              seen++;
              delays.push(performance.now() - at_);
            });
            await once(socket, "open");
            return socket;
          }),
        );
        while ([...gateway.nodes].filter(({ values }) => values > 0).length < nodes) {
          for (const { name } of running.nodes) running.feed(name, "level", 1);
          await new Promise((resolve) => setTimeout(resolve, 1000));
        }
        const before = [...gateway.nodes].reduce((sum, { values }) => sum + values, 0);
        const rss0 = process.memoryUsage.rss();
        const cpu0 = process.cpuUsage();
        for (let second = 0; second < seconds; second++) {
          const until = performance.now() + 1000;
          for (const { name } of running.nodes) {
            sent.set(`${name} ${second + 1000}`, performance.now());
            running.feed(name, "level", second + 1000);
            fed++;
          }
          await new Promise((resolve) =>
            setTimeout(resolve, Math.max(0, until - performance.now())),
          );
        }
        await new Promise((resolve) => setTimeout(resolve, 2000));
        const cpu = process.cpuUsage(cpu0);
        const came = [...gateway.nodes].reduce((sum, { values }) => sum + values, 0) - before;
        await gateway.history.flush();
        for (const socket of sockets) socket.terminate();
        return {
          fed,
          came,
          kept: gateway.history.state().written,
          seen,
          expected: viewers * seconds,
          rss: process.memoryUsage.rss(),
          grown: process.memoryUsage.rss() - rss0,
          cpu: (cpu.user + cpu.system) / 1e6 / (seconds + 2),
          median: at(
            delays.toSorted((a, b) => a - b),
            0.5,
          ),
          p99: at(
            delays.toSorted((a, b) => a - b),
            0.99,
          ),
        };
      },
    );
  } finally {
    await running.stop();
  }
}

async function rows(): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "wasmote-bench-"));
  const history = new SqliteHistory({ folder });
  const total = 200_000;
  const start = performance.now();
  const time = Date.now();
  for (let index = 0; index < total; index++) {
    history.append({
      node: `n${index % 1000}`,
      resource: "sensors/level",
      time: time + Math.floor(index / 1000),
      value: index,
    });
    // As in the gateway, the loop goes round.
    if (index % 1000 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await history.flush();
  const rate = Math.round((1000 * history.state().written) / (performance.now() - start));
  await history.close();
  rmSync(folder, { recursive: true, force: true });
  return rate;
}

export async function run(): Promise<Report> {
  const { cached, uncached } = await requests();
  const many = await fleet();
  const rate = await rows();
  if (many.came < many.fed * 0.5) throw new Error(`only ${many.came} of ${many.fed} values came`);
  return {
    name: "gateway",
    title: "The gateway under load",
    method: `Client, gateway and nodes on one machine. Requests: 32 at once through /hc/ to a scripted CoAP server. Fleet: ${nodes} native nodes with a new value each second for ${seconds} s, ${viewers} WebSockets; memory and CPU are of the process that has the gateway, the viewers and what feeds the nodes.`,
    notes: [
      "Rates depend on the machine and what else runs on it; they compare rows of one run.",
      "californium-proxy2 is not measured beside yet.",
    ],
    tables: [
      {
        title: "Requests",
        columns: ["case", "requests a second", "p99 ms"],
        rows: [
          ["cached", cached.rate, cached.p99],
          ["uncached", uncached.rate, uncached.p99],
        ],
      },
      {
        title: `${nodes} nodes, a value a second`,
        columns: ["what", "figure"],
        rows: [
          ["values fed", many.fed],
          ["values that came to the gateway", many.came],
          ["values in SQLite, with those before", many.kept],
          [`values at ${viewers} viewers, of ${many.expected}`, many.seen],
          ["ms from feeding to the viewer, median", Number(many.median.toFixed(1))],
          ["ms from feeding to the viewer, p99", Number(many.p99.toFixed(1))],
          ["MB resident", Math.round(many.rss / 1e6)],
          ["MB grown", Math.round(many.grown / 1e6)],
          ["CPUs used", Number(many.cpu.toFixed(2))],
        ],
      },
      {
        title: "SQLite",
        columns: ["what", "figure"],
        rows: [["rows a second, with steps of a minute and an hour", rate]],
      },
    ],
    plots: [],
  };
}
