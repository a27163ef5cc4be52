// Many native nodes with a value each second, spread over the second as nodes are that know nothing of each other, and viewers of some of
// them; then one node and a thousand viewers. Nodes, gateway and viewers are processes of their own.
import { once } from "node:events";
import { WebSocket } from "ws";
import type { Envelope } from "../../../host/gateway/envelope.ts";
import { emulateFleet, type Fleet } from "../../../host/lib/emulate.ts";
import { startGateway, type RunningGateway, type State } from "./running.ts";

export interface Followed {
  /** Values that were fed, that came to the gateway, that are in SQLite, and that the gateway gave up. */
  fed: number;
  came: number;
  kept: number;
  lost: number;
  /** Values that viewers were to see, and saw. */
  expected: number;
  seen: number;
  /** Milliseconds from feeding a node to a viewer. */
  median: number;
  p99: number;
  /** Processors used; bytes resident after the first quarter, and at the end. */
  cpu: number;
  early: number;
  late: number;
  loop: State["late"];
}

export interface Setting {
  nodes: number;
  viewers: number;
  seconds: number;
  /** Values of a node each second. */
  rate: number;
  /** Whether all nodes have theirs at the same moment. */
  together?: boolean;
}

const at = (sorted: readonly number[], share: number) =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
const pause = (milliseconds: number) =>
  new Promise<void>((resolve) => setTimeout(resolve, Math.max(0, milliseconds)));

export async function follow(setting: Setting): Promise<Followed> {
  const fleet = await emulateFleet(setting.nodes);
  try {
    await using gateway = await startGateway(
      Object.fromEntries(fleet.nodes.map(({ name, address }) => [name, address])),
    );
    return await measure(setting, fleet, gateway);
  } finally {
    await fleet.stop();
  }
}

async function measure(
  { nodes, viewers, seconds, rate, together = false }: Setting,
  fleet: Fleet,
  gateway: RunningGateway,
): Promise<Followed> {
  const sent = new Map<string, number>();
  const delays: number[] = [];
  let seen = 0;
  const sockets: WebSocket[] = [];
  for (let index = 0; index < viewers; index++) {
    const name = fleet.nodes[index % nodes]!.name;
    const address = `${gateway.url.replace("http", "ws")}/api/stream?node=${name}`;
    const socket = new WebSocket(address, {
      headers: { authorization: `Bearer ${gateway.token}` },
    });
    socket.on("message", (text: Buffer) => {
      const now = performance.now();
      const { node, value, gap } = JSON.parse(text.toString()) as Envelope;
      const fed = sent.get(`${node} ${value}`);
      if (gap || fed === undefined) return;
      seen++;
      delays.push(now - fed);
    });
    sockets.push(socket);
    await once(socket, "open");
  }
  // Until each has given a value: all are observed.
  for (let first = 1; (await gateway.state()).heard < nodes; first++) {
    for (const { name } of fleet.nodes) fleet.feed(name, "level", first / 100);
    await pause(1_000);
  }
  await pause(2_000);
  const before = await gateway.state();
  let early = before.rss;
  let fed = 0;
  const began = performance.now();
  const ticks = together ? rate : 100;
  for (let tick = 0; tick < seconds * ticks; tick++) {
    const due = Math.floor(((tick + 1) * nodes * rate) / ticks);
    for (; fed < due; fed++) {
      const { name } = fleet.nodes[fed % nodes]!;
      const value = 1_000 + Math.floor(fed / nodes);
      sent.set(`${name} ${value}`, performance.now());
      fleet.feed(name, "level", value);
    }
    if (tick === Math.floor((seconds * ticks) / 4)) early = (await gateway.state()).rss;
    await pause(began + ((tick + 1) * 1_000) / ticks - performance.now());
  }
  const took = performance.now() - began;
  const end = await gateway.state();
  await pause(2_000);
  const after = await gateway.state();
  for (const socket of sockets) socket.terminate();
  delays.sort((a, b) => a - b);
  return {
    fed,
    came: after.values - before.values,
    kept: after.written - before.written,
    lost: after.lost - before.lost + after.dropped - before.dropped,
    expected: Math.round((fed / nodes) * viewers),
    seen,
    median: at(delays, 0.5),
    p99: at(delays, 0.99),
    cpu: (end.cpu - before.cpu) / took,
    early,
    late: end.rss,
    loop: end.late,
  };
}
