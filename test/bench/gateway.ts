// The gateway under load: its requests beside californium-proxy2, one observation with a thousand viewers, a thousand real nodes at a value a
// second, rows in SQLite.
//
// WASMOTE_NODES and WASMOTE_SECONDS choose how many and how long (1000 nodes, 60 s; the whole one is 600 s).
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SqliteHistory } from "../../host/gateway/sqlite/history.ts";
import { follow, type Followed } from "./gateway/fleet.ts";
import { race, type Contender } from "./gateway/race.ts";
import type { Cell, Report, Table } from "./report.ts";

const nodes = Number(process.env["WASMOTE_NODES"] ?? 1_000);
const seconds = Number(process.env["WASMOTE_SECONDS"] ?? 60);
const viewers = Math.min(200, nodes);

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

const ms = (value: number): number => Number(value.toPrecision(3));

function raceTable(all: readonly Contender[] | string): Table {
  const columns = [
    "proxy",
    "cached, requests a second",
    "p99 ms",
    "CPU µs each",
    "uncached, requests a second",
    "p99 ms",
    "CPU µs each",
    "MB resident",
  ];
  const title = "Requests, 32 at once";
  if (typeof all === "string") return { title, columns: ["not measured"], rows: [[all]] };
  const figures = ({ cached, uncached, rss }: Contender) =>
    [cached, uncached]
      .flatMap(({ rate, p99, cpu }) => [Math.round(rate), ms(p99), ms(cpu)])
      .concat(Math.round(rss / 1e6));
  const [ours, theirs] = all.map(figures);
  const ratio: Cell[][] =
    ours === undefined || theirs === undefined
      ? []
      : [["ours by theirs", ...ours.map((value, at) => `${(value / theirs[at]!).toFixed(2)}`)]];
  return { title, columns, rows: [...all.map((one) => [one.name, ...figures(one)]), ...ratio] };
}

const figuresOf = (many: Followed): [string, number][] => [
  ["values fed", many.fed],
  ["came to the gateway", many.came],
  ["in SQLite", many.kept],
  ["given up by history or for slow viewers", many.lost],
  ["for viewers", many.expected],
  ["seen by viewers", many.seen],
  ["ms from node to viewer, median", ms(many.median)],
  ["ms from node to viewer, p99", ms(many.p99)],
  ["ms that the gateway's loop was late, p99", ms(many.loop.p99)],
  ["ms that it was late, most", ms(many.loop.most)],
  ["CPUs the gateway used", ms(many.cpu)],
  ["MB resident after a quarter", Math.round(many.early / 1e6)],
  ["MB resident at the end", Math.round(many.late / 1e6)],
];

export async function run(): Promise<Report> {
  const contenders = await race();
  const spread = await follow({ nodes, viewers, seconds, rate: 1 });
  const together = await follow({ nodes, viewers, seconds: 10, rate: 1, together: true });
  const crowd = await follow({ nodes: 1, viewers: 1_000, seconds: 20, rate: 1 });
  const rate = await rows();
  if (spread.came < spread.fed * 0.5)
    throw new Error(`only ${spread.came} of ${spread.fed} values came`);
  const columns = [
    "what",
    `${nodes} nodes, ${viewers} viewers, ${seconds} s`,
    `all at the same moment, 10 s`,
    "one node, a value a second, 1,000 viewers, 20 s",
  ];
  const [a, b, c] = [spread, together, crowd].map(figuresOf);
  return {
    name: "gateway",
    title: "The gateway under load",
    method: `Client, proxies, CoAP servers and nodes on one machine, each a process of its own; the gateway as it is shipped. Requests: wrk asks both proxies in turn for resources of eight libcoap servers, three rounds after a warm-up, the one in the middle counts; cached is one resource, uncached another one each time. Nodes: native ones with a value a second, spread over the second, WebSockets on the first ${viewers}.`,
    notes: [
      "Figures depend on the machine and what else runs on it: the ratios of one run say more.",
      "The gateway is one thread of JavaScript, californium-proxy2 uses all processors: the processor time of a request compares the work, the rate compares the programs.",
      ...(typeof contenders === "string" || contenders.length < 2
        ? ["californium-proxy2 could not be had on this machine."]
        : []),
    ],
    tables: [
      raceTable(contenders),
      {
        title: "Values",
        columns,
        rows: a!.map(([what, figure], index) => [what, figure, b![index]![1], c![index]![1]]),
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
