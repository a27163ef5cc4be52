// The gateway and californium-proxy2 before the same CoAP servers (libcoap's), asked by the same client (wrk), turn by turn.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { racePeers } from "../../../host/setup.mjs";
import {
  freePort,
  processorTime,
  residentBytes,
  start,
  startGateway,
  type Program,
} from "./running.ts";

export interface Measured {
  /** Requests a second, their 99th percentile in milliseconds, microseconds of the proxy's processor time for each. */
  rate: number;
  p99: number;
  cpu: number;
}

export interface Contender {
  name: string;
  cached: Measured;
  uncached: Measured;
  /** Bytes resident when all is done. */
  rss: number;
}

const connections = 32;
const servers = 8;
const rounds = 3;
const seconds = Number(process.env["WASMOTE_RACE_SECONDS"] ?? 5);

interface Proxy {
  name: string;
  pid: number;
  base: string;
  token?: string;
}

/** Who takes part, or why there is no race. */
export async function race(): Promise<Contender[] | string> {
  const peers = (await racePeers()) as Record<
    "wrk" | "libcoap" | "californium",
    { ok: boolean; what: string }
  >;
  for (const peer of [peers.wrk, peers.libcoap]) if (!peer.ok) return peer.what;
  const folder = mkdtempSync(join(tmpdir(), "wasmote-race-"));
  await using started = new AsyncDisposableStack_();
  const ports: number[] = [];
  for (let count = 0; count < servers; count++) {
    const port = await freePort();
    ports.push(port);
    const words = ["-A", "127.0.0.1", "-p", String(port), "-v", "0"];
    started.end(start(peers.libcoap.what, words));
  }
  const gateway = started.use(await startGateway());
  const proxies: Proxy[] = [
    {
      name: "wasmote gateway",
      pid: gateway.pid,
      base: `${gateway.url}/hc/coap://127.0.0.1:`,
      token: gateway.token,
    },
  ];
  if (peers.californium.ok) {
    const words = ["-cp", peers.californium.what, "Proxy"];
    // It writes a file of settings where it is.
    const program = started.use(start("java", words, folder));
    const { port } = JSON.parse(await program.line()) as { port: number };
    proxies.push({
      name: "californium-proxy2 3.9.1",
      pid: program.child.pid ?? 0,
      base: `http://127.0.0.1:${port}/proxy/coap://127.0.0.1:`,
    });
  }
  try {
    // Each request for another resource as far as a cache can know, spread over the servers.
    const script = join(folder, "uncached.lua");
    writeFileSync(
      script,
      `local ports = {${ports.join(", ")}}
local count, begun = 0, os.time()
request = function()
  count = count + 1
  return wrk.format("GET", wrk.path .. ports[count % #ports + 1] .. "/?n=" .. begun .. "-" .. count)
end
`,
    );
    const run = (proxy: Proxy, cached: boolean, time = seconds): Measured => {
      const before = processorTime(proxy.pid);
      const address = cached ? `${proxy.base}${ports[0]}/` : proxy.base;
      const measured = wrk(peers.wrk.what, address, proxy.token, cached ? undefined : script, time);
      const used = processorTime(proxy.pid) - before;
      return { rate: measured.rate, p99: measured.p99, cpu: (1000 * used) / measured.requests };
    };
    // Both compilers know the way before it counts.
    for (const proxy of proxies) for (const cached of [false, true]) run(proxy, cached);
    const all = proxies.map((proxy) => ({
      proxy,
      cached: [] as Measured[],
      uncached: [] as Measured[],
    }));
    for (let round = 0; round < rounds; round++)
      for (const kind of ["cached", "uncached"] as const)
        for (const one of all) one[kind].push(run(one.proxy, kind === "cached"));
    return all.map(({ proxy, cached, uncached }) => ({
      name: proxy.name,
      cached: middle(cached),
      uncached: middle(uncached),
      rss: residentBytes(proxy.pid),
    }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The round in the middle by its rate. */
function middle(rounds_: readonly Measured[]): Measured {
  return rounds_.toSorted((a, b) => a.rate - b.rate)[Math.floor(rounds_.length / 2)]!;
}

function wrk(
  program: string,
  address: string,
  token: string | undefined,
  script: string | undefined,
  time: number,
): { rate: number; p99: number; requests: number } {
  const words = ["-t1", `-c${connections}`, `-d${time}s`, "--latency"];
  if (token !== undefined) words.push("-H", `Authorization: Bearer ${token}`);
  if (script !== undefined) words.push("-s", script);
  const { stdout } = spawnSync(program, [...words, address], { encoding: "utf8" });
  const wrong = /Non-2xx or 3xx responses: (\d+)/.exec(stdout)?.[1];
  if (wrong !== undefined) throw new Error(`${address}: ${wrong} answers are failures`);
  const rate = /Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1];
  const p99 = /99%\s+([\d.]+)(us|ms|s)/.exec(stdout);
  const requests = /(\d+) requests in/.exec(stdout)?.[1];
  if (rate === undefined || p99 === null) throw new Error(`wrk says nothing of ${address}`);
  const unit = { us: 0.001, ms: 1, s: 1000 }[p99[2]!] ?? 1;
  return { rate: Number(rate), p99: Number(p99[1]) * unit, requests: Number(requests) };
}

/** What was started, ended in the other order; Node.js 20 has no AsyncDisposableStack. */
class AsyncDisposableStack_ implements AsyncDisposable {
  readonly #all: AsyncDisposable[] = [];

  use<T extends AsyncDisposable>(one: T): T {
    this.#all.push(one);
    return one;
  }

  /** A program that does not look at its standard input is ended by its id. */
  end(program: Program): void {
    this.#all.push({
      [Symbol.asyncDispose]: async () => {
        program.child.kill();
        await program[Symbol.asyncDispose]();
      },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const one of this.#all.toReversed()) await one[Symbol.asyncDispose]();
  }
}
