// The stress test on the emulated Ethernet board, with its module idle, working and spinning: response times as clients see them,
// and the instructions from a request's frame to its answer's, which no other load on this computer changes.
import { scratch, startTarget, unavailable } from "../harness/target.ts";
import { busy, echo, first, pack, provisioned } from "../harness/module.ts";
import { Node } from "../../host/lib/node.ts";
import type { Emulated } from "../../host/lib/emulate.ts";
import { load, mean, quantile } from "./load.ts";
import type { Plot, Table } from "./report.ts";

const target = "qemu-mps2";
const crowd = [1, 2, 4, 8, 16, 32, 64];
const repeats = 15;
/** Requests one after the other; those that came alone are counted in instructions, and the board keeps the newest 256. */
const counted = 300;
/** With `-icount shift=0` an instruction takes 1 ns of the board's time, and its controller's clock of 25 MHz ticks every 40. */
const perTick = 40;

/** What the module does meanwhile. */
const states: Record<string, (board: Emulated, node: Node) => Promise<() => void>> = {
  idle: async () => () => {},
  // Ten samples a second are published and told to an observer.
  working: async (board, node) => {
    await node.push(await pack(target, echo, 1));
    const stop = new AbortController();
    void (async () => {
      for await (const _ of node.observe("outputs/echo", stop.signal));
    })().catch(() => {});
    let level = 1000;
    const timer = setInterval(
      () => board.feed("level", (level = 1000 + ((level + 1) % 1000))),
      100,
    );
    return () => {
      clearInterval(timer);
      stop.abort();
    };
  },
  spinning: async (_, node) => {
    await node.push(await pack(target, busy, 1));
    await first(node.watchApp(), ({ state }) => state === "trial");
    return () => {};
  },
};

export interface OnBoard {
  tables: Table[];
  plots: Plot[];
  notes: string[];
}

/** Measures, or says why it cannot. */
export async function measureBoard(): Promise<OnBoard | string> {
  const reason = unavailable(target);
  if (reason !== undefined) return reason;
  const responses: Table["rows"] = [];
  const instructions: Table["rows"] = [];
  const medians: Record<string, number> = {};
  const notes: string[] = [];
  const means: { name: string; values: number[] }[] = [];
  for (const [state, begin] of Object.entries(states)) {
    using folder = scratch();
    const start = (options = {}) =>
      startTarget(target, { ...options, arguments: ["-icount", "shift=0"] });
    const board = await provisioned(start, folder.path);
    const node = await Node.connect(board.address);
    const end = await begin(board, node);
    const { hostname: host, port } = new URL(board.address);
    const request = {
      host,
      port: Number(port),
      path: "sensors/button",
      limit: 60_000,
      expect: (text: string) => text === "",
    };
    await load({ ...request, clients: 8, repeats: 20 });
    const series = { name: state, values: [] as number[] };
    means.push(series);
    for (const clients of crowd) {
      const { times, lost, wrong } = await load({ ...request, clients, repeats });
      series.values.push(mean(times));
      responses.push([
        state,
        clients,
        quantile(times, 0),
        quantile(times, 0.5),
        mean(times),
        quantile(times, 0.99),
        lost,
        wrong,
      ]);
      if (lost + wrong > 0)
        notes.unshift(
          `With ${clients} clients and a module that is ${state}, ${lost} answers were lost and ${wrong} wrong.`,
        );
    }
    await times(board);
    // Each with the board to itself: of several at once it does not say how long each took.
    await load({ ...request, clients: 1, repeats: counted, pause: 4 });
    const taken = (await times(board)).map((ticks) => ticks * perTick);
    medians[state] = quantile(taken, 0.5);
    instructions.push([
      state,
      taken.length,
      quantile(taken, 0),
      quantile(taken, 0.5),
      Math.round(mean(taken)),
      quantile(taken, 0.99),
      (medians[state] ?? NaN) / (medians.idle ?? NaN),
    ]);
    const { link, coap } = await node.info();
    if (link && (link.lost ?? 0) + (link.damaged ?? 0) + (link.unsent ?? 0) > 0)
      notes.unshift(`The link of the board lost something: ${JSON.stringify(link)}`);
    notes.push(
      `With a module that is ${state} the board received ${coap?.received} datagrams and sent ${coap?.sent}.`,
    );
    end();
    await node.close();
    await board.stop();
  }
  const ratio = (medians.spinning ?? NaN) / (medians.idle ?? NaN);
  notes.unshift(
    `From a request's frame to its answer's the board takes ${ratio.toFixed(3)} times as many instructions with a spinning module as with an idle one.`,
  );
  return {
    notes,
    tables: [
      {
        title: "On the emulated board with Ethernet: response times in ms, as clients see them",
        columns: ["module", "clients", "min", "median", "mean", "p99", "lost", "wrong"],
        rows: responses,
      },
      {
        title: "On the emulated board: instructions from a request's frame to its answer's",
        columns: ["module", "requests", "min", "median", "mean", "p99", "median against idle"],
        rows: instructions,
      },
    ],
    plots: [
      {
        title: "Mean response time of the emulated board",
        unit: "ms, less is better",
        labels: crowd.map((clients) => `${clients} client${clients === 1 ? "" : "s"}`),
        series: means,
      },
    ],
  };
}

/** How long the newest answers took, in the controller's ticks, sorted; asking forgets them. */
export async function times(board: Emulated): Promise<number[]> {
  const before = board.console.length;
  board.command?.("times");
  const said = () => board.console.slice(before);
  while (!said().some((line) => line.startsWith("answered: ")))
    await new Promise((resolve) => setTimeout(resolve, 20));
  return said()
    .flatMap((line) => /^answered after (\d+)$/.exec(line)?.[1] ?? [])
    .map(Number)
    .toSorted((a, b) => a - b);
}
