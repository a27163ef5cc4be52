// The stress test: 1 to 64 clients at once against the native node and against other CoAP servers doing the same: a
// confirmable GET answered by a few bytes of text.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createSocket } from "node:dgram";
import { join } from "node:path";
import { generate, parse, type Packet } from "coap-packet";
import { Node } from "../../host/lib/node.ts";
import { command, environment } from "../../host/setup.mjs";
import { startTarget } from "../harness/target.ts";
import { measureBoard } from "./coap-board.ts";
import { costTables, measureCost } from "./coap-cost.ts";
import { handshakeTables, measureHandshake } from "./edhoc-cost.ts";
import { load, mean, quantile, type LoadResult } from "./load.ts";
import { figure, type Report } from "./report.ts";
import { measureSecurity, securityTable } from "./security-size.ts";

interface Server {
  port: number;
  stop(): Promise<void>;
}

/** Every server: its name, and how to start it or why it cannot be. */
export const servers: Record<string, () => Promise<Server | string>> = {
  Wasmote: async () => {
    const node = await startTarget("native", { arguments: ["--dev"] });
    node.feed("level", 1234);
    await using client = await Node.connect(node.address);
    while ((await client.get("sensors/level").catch(() => "")) !== "1234");
    return { port: Number(new URL(node.address).port), stop: () => node.stop() };
  },
  "node-coap": () =>
    peer((port) => [
      process.execPath,
      "--import",
      "tsx",
      join(import.meta.dirname, "peers/node-coap-server.ts"),
      port,
    ]),
  aiocoap: async () => {
    const { python } = environment() as { python?: { ok: boolean; what: string } };
    if (!python?.ok) return python?.what ?? "not set up: npm test sets it up";
    return peer((port) => [
      python.what,
      join(import.meta.dirname, "peers/aiocoap-server.py"),
      port,
    ]);
  },
  libcoap: async () => {
    const program = command("coap-server-notls");
    if (program === undefined) return "there is no coap-server-notls (Debian: libcoap3-bin)";
    const server = await peer((port) => [
      program,
      "-A",
      "127.0.0.1",
      "-p",
      port,
      "-d",
      "4",
      "-v",
      "6",
    ]);
    // It has no such resource until somebody puts one there.
    const options = ["sensors", "level"].map((name) => ({
      name: "Uri-Path" as const,
      value: Buffer.from(name),
    }));
    await exchange(server.port, { code: "0.03", options, payload: Buffer.from("1234") });
    return server;
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
  const cost = measureCost();
  const handshake = measureHandshake();
  if (typeof cost === "string") notes.push(`What requests cost the chip is left out: ${cost}.`);
  const security = measureSecurity();
  if (typeof security === "string") notes.push(`The flash of security is left out: ${security}.`);
  const board = await measureBoard();
  if (typeof board === "string") notes.push(`The emulated board is left out: ${board}.`);
  else notes.push(...board.notes);
  return {
    name: "coap",
    title: "CoAP: requests at once",
    method:
      "1 to 64 clients, each with its own socket, send a confirmable GET and wait for the answer before the next; 4,000 requests for each " +
      "row (at least 15 each client). All servers run on the same laptop, over loopback, and answer four bytes of text. The emulated board " +
      "answers 15 requests of each client through its Ethernet controller and smoltcp, with no module, with one that publishes ten values a " +
      "second to an observer, and with one that is never done; nothing is sent twice, so that what is lost stays lost.",
    notes,
    tables: [
      { title: "Response times", columns, rows },
      ...(typeof board === "string" ? [] : board.tables),
      ...(typeof cost === "string" ? [] : costTables(cost)),
      ...(typeof handshake === "string" ? [] : handshakeTables(handshake)),
      ...(typeof security === "string" ? [] : [securityTable(security)]),
    ],
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
      ...(typeof board === "string" ? [] : board.plots),
    ],
  };
}

/** Starts another server as a process of its own, given a free port; resolves once it answers a ping. */
async function peer(line: (port: string) => string[]): Promise<Server> {
  const port = await freePort();
  const [program = "", ...words] = line(String(port));
  const child = spawn(program, words, { stdio: ["ignore", "ignore", "inherit"] });
  process.once("exit", () => child.kill("SIGKILL"));
  const stop = async () => {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "close");
  };
  for (let tries = 0; (await exchange(port, { code: "0.00" })) === undefined; tries += 1) {
    if (tries === 50 || child.exitCode !== null) {
      await stop();
      throw new Error(`${program} did not come up`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return { port, stop };
}

/** Sends one message and resolves to the code of what comes back, if anything does within 200 ms. */
async function exchange(port: number, message: Packet): Promise<string | undefined> {
  const socket = createSocket("udp4");
  socket.send(generate({ confirmable: true, messageId: 1, ...message }), port, "127.0.0.1");
  const answer = new Promise<string>((resolve) => {
    socket.on("message", (datagram) => resolve(parse(datagram).code));
  });
  socket.on("error", () => {});
  const code = await Promise.race([
    answer,
    new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), 200)),
  ]);
  socket.close();
  return code;
}

async function freePort(): Promise<number> {
  const socket = createSocket("udp4").bind(0, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address();
  socket.close();
  return port;
}
