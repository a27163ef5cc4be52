// The stress test: 1 to 64 clients at once against the native node and against other CoAP servers doing the same: a
// confirmable GET answered by a few bytes of text.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createSocket } from "node:dgram";
import { join } from "node:path";
import { environment } from "../../host/setup.mjs";
import { startTarget } from "../harness/target.ts";
import { load, mean, quantile, type LoadResult } from "./load.ts";
import { figure, type Report } from "./report.ts";

interface Server {
  port: number;
  stop(): Promise<void>;
}

/** Every server: its name, and how to start it or why it cannot be. */
const servers: Record<string, () => Promise<Server | string>> = {
  Wasmote: async () => {
    const node = await startTarget("native", { arguments: ["--dev"] });
    node.feed("level", 1234);
    return { port: Number(new URL(node.address).port), stop: () => node.stop() };
  },
  "node-coap": () =>
    peer(process.execPath, [
      "--import",
      "tsx",
      join(import.meta.dirname, "peers/node-coap-server.ts"),
    ]),
  aiocoap: async () => {
    const { python } = environment() as { python?: { ok: boolean; what: string } };
    if (!python?.ok) return python?.what ?? "not set up: npm test sets it up";
    return peer(python.what, [join(import.meta.dirname, "peers/aiocoap-server.py")]);
  },
};

const crowd = [1, 4, 16, 64];
const repeats = 15;

export async function run(): Promise<Report> {
  const results: Record<string, LoadResult[]> = {};
  const notes: string[] = [];
  for (const [name, start] of Object.entries(servers)) {
    const server = await start();
    if (typeof server === "string") {
      notes.push(`${name} is left out: ${server}`);
      continue;
    }
    const request = {
      host: "127.0.0.1",
      port: server.port,
      path: "sensors/level",
      expect: (text: string) => text === "1234",
    };
    // A first round warms caches and compilers up; every answer of it is checked.
    const first = await load({ ...request, clients: 8, repeats: 200 });
    if (first.wrong > 0)
      throw new Error(`${name} answered ${first.wrong} of 1,600 requests wrongly`);
    results[name] = [];
    for (const clients of crowd)
      results[name].push(
        await load({ ...request, clients, repeats: Math.max(repeats, 4000 / clients) }),
      );
    await server.stop();
  }
  const names = Object.keys(results);
  const columns = [
    "server",
    "clients",
    "min ms",
    "median ms",
    "mean ms",
    "p99 ms",
    "lost",
    "wrong",
    "answers/s",
  ];
  const rows = names.flatMap((name) =>
    (results[name] ?? []).map(({ times, lost, wrong, rate }, index) => [
      name,
      crowd[index] ?? 0,
      Number(quantile(times, 0).toFixed(3)),
      quantile(times, 0.5),
      mean(times),
      quantile(times, 0.99),
      lost,
      wrong,
      Math.round(rate),
    ]),
  );
  const last = (name: string) => results[name]?.at(-1)?.rate ?? NaN;
  const ahead = names.filter((name) => name !== "Wasmote" && last(name) > last("Wasmote"));
  if (ahead.length > 0)
    notes.unshift(
      `With 64 clients ${ahead.join(" and ")} answered more requests a second than Wasmote.`,
    );
  notes.push(
    `The load comes from one Node process on the same machine; the fastest rate here, ${figure(Math.max(...names.map(last)))} a second, may be its limit.`,
  );
  return {
    name: "coap",
    title: "CoAP: requests at once",
    method:
      "1 to 64 clients, each with its own socket, send a confirmable GET and wait for the answer before the next; 4,000 requests for each " +
      "row (at least 15 each client). All servers run on the same laptop, over loopback, and answer four bytes of text.",
    notes,
    tables: [{ title: "Response times", columns, rows }],
    plots: [
      {
        title: "Answers a second",
        unit: "more is better",
        labels: crowd.map((clients) => `${clients} client${clients === 1 ? "" : "s"}`),
        series: names.map((name) => ({
          name,
          values: (results[name] ?? []).map(({ rate }) => Math.round(rate)),
        })),
      },
    ],
  };
}

/** Starts another server as a process of its own; it prints a line once it listens. */
async function peer(program: string, words: string[]): Promise<Server> {
  const port = await freePort();
  const child = spawn(program, [...words, String(port)], { stdio: ["ignore", "pipe", "inherit"] });
  process.once("exit", () => child.kill("SIGKILL"));
  await Promise.race([
    once(child.stdout, "data"),
    once(child, "close").then(() => Promise.reject(new Error(`${program} ended`))),
  ]);
  return {
    port,
    stop: async () => {
      child.kill("SIGKILL");
      if (child.exitCode === null) await once(child, "close");
    },
  };
}

async function freePort(): Promise<number> {
  const socket = createSocket("udp4").bind(0, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address();
  socket.close();
  return port;
}
