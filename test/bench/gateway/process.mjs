// A gateway in a process of its own, for the benchmark `gateway`, as it is shipped: what is measured shares no thread with what measures.
//
//   node process.mjs FOLDER NODES.json
//
// Says its address and token in a line; answers each line of its standard input with a line of its state (`State` in running.ts), and
// ends with it.
import { readFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { createInterface } from "node:readline";
import { setFlagsFromString } from "node:v8";
import { Gateway } from "../../../dist/gateway.js";

// As `wasmote gateway` does.
setFlagsFromString("--heap-growing-percent=40");

const [folder, nodes] = process.argv.slice(2);
const gateway = await Gateway.start({
  folder,
  nodes: JSON.parse(readFileSync(nodes, "utf8")),
  config: { listen: { host: "127.0.0.1", port: 0 }, targets: ["127.0.0.1"], rules: [] },
});
// The limit per token is for users; a benchmark is none.
gateway.access.limit = () => undefined;
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const late = monitorEventLoopDelay({ resolution: 5 });
late.enable();
createInterface({ input: process.stdin })
  .on("line", () => {
    const { written, lost } = gateway.history.state();
    const all = [...gateway.nodes];
    const ms = (nanoseconds) => nanoseconds / 1e6;
    const { user, system } = process.cpuUsage();
    say({
      rss: process.memoryUsage.rss(),
      cpu: (user + system) / 1000,
      values: all.reduce((sum, { values }) => sum + values, 0),
      written,
      lost,
      heard: all.filter(({ values }) => values > 0).length,
      dropped: gateway.hub.dropped,
      late: { p99: ms(late.percentile(99)), most: ms(late.max) },
    });
    late.reset();
  })
  .on("close", () => void gateway.stop().then(() => process.exit()));
say({ url: gateway.url, token: gateway.access.first });
