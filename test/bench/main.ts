// npm run -s bench -- NAME [--json]
//
// Runs one benchmark, or `all` of them. Tables go to the terminal (or JSON to standard output), and Markdown with plots
// to docs/benchmarks. A benchmark checks its results before it times them; only a wrong result makes it fail.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { markdown, plotFile, svg, tableMarkdown, type Report } from "./report.ts";

const benchmarks: Record<
  string,
  { what: string; load: () => Promise<{ run: () => Promise<Report> }> }
> = {
  engine: {
    what: "speed, flash, RAM and loading, against wasmi, wasm3 and native code",
    load: () => import("./engine.ts"),
  },
  breakdown: {
    what: "what the slowest compiled kernels spend their instructions on",
    load: () => import("./breakdown.ts"),
  },
  size: {
    what: "programs beside native code; flash and RAM of the firmware images, by part",
    load: () => import("./size.ts"),
  },
  update: {
    what: "installing packages: wire, instructions, pause, first output",
    load: () => import("./update.ts"),
  },
  compare: {
    what: "three filters in Wasmote, Lua and JavaScript on the emulated chip",
    load: () => import("./compare.ts"),
  },
  startup: {
    what: "from the reset to the first sample and answer, in instructions",
    load: () => import("./startup.ts"),
  },
  tasks: {
    what: "the longest times of the STM32F407's tasks, and its serial link at 921,600 baud",
    load: () => import("./tasks.ts"),
  },
  gateway: {
    what: "the gateway: requests, viewers, many nodes, rows",
    load: () => import("./gateway.ts"),
  },
  model: {
    what: "a neural network on the chip and at the gateway: bytes, instructions, hosted instances",
    load: () => import("./model.ts"),
  },
  hub: {
    what: "a hundred gateways with a thousand simulated nodes each, and their hub",
    load: () => import("./hub.ts"),
  },
  continuum: {
    what: "the evaluation of the prototype again: many instances in three places, callers of a model, requests at once",
    load: () => import("./continuum.ts"),
  },
  protocols: {
    what: "a sensor by CoAP, HTTP and MQTT on the emulated board: packets, bytes, instructions",
    load: () => import("./protocols.ts"),
  },
  coap: { what: "requests at once, against other CoAP servers", load: () => import("./coap.ts") },
};

const [name, ...options] = process.argv.slice(2);
const names = name === "all" ? Object.keys(benchmarks) : [name ?? ""];
if (names.some((one) => !(one in benchmarks)) || options.some((option) => option !== "--json")) {
  const list = Object.entries(benchmarks).map(([key, { what }]) => `  ${key.padEnd(9)} ${what}`);
  process.stderr.write(
    `usage: npm run -s bench -- NAME [--json]\n${list.join("\n")}\n  all       each of them\n`,
  );
  process.exit(2);
}

const folder = join(import.meta.dirname, "../../docs/benchmarks");
mkdirSync(folder, { recursive: true });
for (const one of names) {
  const { run } = await benchmarks[one]!.load();
  const report = await run().catch((error: Error) => {
    // What a machine lacks is a sentence; a fault of ours has its place.
    process.stderr.write(`bench ${one}: ${error.name === "Error" ? error.message : error.stack}\n`);
    process.exit(1);
  });
  writeFileSync(join(folder, `${one}.md`), markdown(report));
  report.plots.forEach((plot, number) =>
    writeFileSync(join(folder, plotFile(report, number)), svg(plot)),
  );
  if (options.includes("--json")) process.stdout.write(`${JSON.stringify(report)}\n`);
  else
    process.stdout.write(
      `${report.tables.map((table) => `${table.title}\n${tableMarkdown(table)}\n`).join("\n")}`,
    );
}
