// What the prototype's evaluation measured on four Raspberry Pi, once more here: how long so many instances take to begin and what memory each has,
// at the gateway, in wasmtime and as processes; callers of the flood model; requests at once. Its figures stand beside; the machines are others.
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { availableParallelism, loadavg } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Hosted } from "../../host/gateway/hosted.ts";
import { build } from "../../host/lib/build/build.ts";
import { makePod } from "../../host/lib/build/pod.ts";
import { emulate, type Emulated } from "../../host/lib/emulate.ts";
import { Node } from "../../host/lib/node.ts";
import { missingTools, tool } from "../harness/tools.ts";
import { scratch } from "../harness/target.ts";
import { servers } from "./coap.ts";
import { load, mean } from "./load.ts";
import { asked, askedColumns } from "./gateway/deciders.ts";
import { flashFiles, memoryOf } from "./model.ts";
import { figure, type Cell, type Report } from "./report.ts";

const crowd = [1, 2, 4, 8, 12, 80, 160];
/** Seconds until so many pods of the prototype ran; 80 were its most. */
const bootThen: Record<number, string> = {
  1: "0.40",
  2: "0.52",
  4: "1.02",
  8: "1.69",
  12: "2.96",
};
/** Seconds in the mean, and answers lost of those asked for. */
const stressThen: Record<number, string> = {
  1: "1.6 s, 4 of 100",
  2: "2.9 s, 1 of 30",
  4: "3.7 s, 9 of 60",
  8: "3.9 s, 59 of 120",
  12: "5.7 s, 102 of 180",
};

export async function run(): Promise<Report> {
  using folder = scratch();
  mkdirSync(folder.path, { recursive: true });
  const { module } = await build("assembly/examples/flood-alarm.ts");
  const pod = join(folder.path, "flood.wasm");
  writeFileSync(pod, await makePod(module));
  const rows: Cell[][] = [];
  for (const count of crowd) {
    const gateway = hosted(module, count);
    const one = wasmtimeWithin(pod, folder.path, count);
    const many = await wasmtimeProcesses(pod, count);
    const node = await nodes(count);
    rows.push([
      count,
      bootThen[count] ?? "-",
      ...[gateway, one, many, node].flatMap((made) => [made?.ms ?? "-", made?.kib ?? "-"]),
    ]);
  }
  return {
    name: "continuum",
    title: "The prototype's evaluation again",
    method:
      "The filter flood-alarm, begun so many times at once: hosted in this process as at a gateway; as pods (WASI commands) in one process of wasmtime; as pods in a process of wasmtime " +
      "and Python each; and nodes of this computer as processes. Time: until the first value of the last one (of nodes: until each has answered). Memory: of one, " +
      "the growth of the resident set or, of processes, the proportional set. Decisions: the station's model asked of a gateway over HTTP. Requests: a confirmable GET of a value of a native node, " +
      "without retransmission, answers that take more than 3 s are lost.",
    notes: [
      `Wall-clock of this machine (${availableParallelism()} processors, load ${loadavg()[0]!.toFixed(1)} when this was written): an indication. The prototype ran on Raspberry Pi 3 (1.4 GHz) with k3s and Krustlet; its stress went through a proxy to an STM32F407. Its pods had 2.1 to 2.6 MiB each, and 80 of them were the most.`,
      ...(missingTools === undefined ? [] : [`wasmtime is left out: ${missingTools}.`]),
      "Not here: HTTP and MQTT servers beside CoAP on the emulated board.",
    ],
    tables: [
      {
        title: "Instances begun at once",
        columns: [
          "instances",
          "prototype, s",
          "gateway, ms",
          "KiB each",
          "one wasmtime, ms",
          "KiB each",
          "wasmtime processes, ms",
          "KiB each",
          "nodes, ms",
          "KiB each",
        ],
        rows,
      },
      {
        title:
          "Decisions of the flood model; the prototype took about 35 ms with one caller and 888 with 64",
        columns: askedColumns,
        rows: await asked([1, 2, 4, 8, 16, 32, 64]),
      },
      {
        title: "Requests at once",
        columns: ["clients", "prototype", "mean ms", "lost", "of", "wrong"],
        rows: await stress(),
      },
    ],
    plots: [],
  };
}

interface Made {
  ms: string;
  kib: string;
}

const made = (began: number, kib: number): Made => ({
  ms: figure(performance.now() - began),
  kib: figure(Math.max(0, kib)),
});

function hosted(module: Uint8Array, count: number): Made {
  let values = 0;
  const instances = new Hosted({ publish: () => void values++ });
  const before = process.memoryUsage().rss;
  const began = performance.now();
  try {
    for (let index = 0; index < count; index++)
      instances.start({ name: `i${index}`, package: module, inputs: { level: "n/level" } });
    instances.take({ node: "n", resource: "level", value: 1234, time: Date.now() });
    const result = made(began, (process.memoryUsage().rss - before) / 1024 / count);
    if (values < count) throw new Error(`${values} values of ${count} hosted instances`);
    return result;
  } finally {
    instances.close();
  }
}

/** Each runs to its end with one sample; all stay. */
const within = `
import json, resource, sys, time
from wasmtime import Config, Engine, ExitTrap, Linker, Module, Store, WasiConfig
def pages():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
before, began, kept = pages(), time.monotonic(), []
engine = Engine(Config())
module = Module.from_file(engine, sys.argv[1])
linker = Linker(engine)
linker.define_wasi()
for index in range(int(sys.argv[4])):
    store = Store(engine)
    wasi = WasiConfig()
    wasi.stdin_file, wasi.stdout_file = sys.argv[2], sys.argv[3]
    store.set_wasi(wasi)
    instance = linker.instantiate(store, module)
    try:
        instance.exports(store)["_start"](store)
    except ExitTrap as ended:
        if ended.code: raise
    kept.append((store, instance))
print(json.dumps({"ms": (time.monotonic() - began) * 1000, "bytes": pages() - before}))
`;

const sample = '{"n":"level","t":1000,"v":1234}\n';

function wasmtimeWithin(pod: string, folder: string, count: number): Made | undefined {
  if (missingTools !== undefined) return undefined;
  const input = join(folder, "sample.jsonl");
  writeFileSync(input, sample);
  const words = ["-c", within, pod, input, join(folder, "out.jsonl"), String(count)];
  const { status, stdout, stderr } = spawnSync(tool("python"), words, { encoding: "utf8" });
  if (status !== 0) throw new Error(`wasmtime: ${stderr}`);
  const { ms, bytes } = JSON.parse(stdout) as { ms: number; bytes: number };
  return { ms: figure(ms), kib: figure(bytes / 1024 / count) };
}

const alone = `
import sys
from wasmtime import Config, Engine, Linker, Module, Store, WasiConfig
engine = Engine(Config())
store = Store(engine)
wasi = WasiConfig()
wasi.inherit_stdin()
wasi.inherit_stdout()
store.set_wasi(wasi)
linker = Linker(engine)
linker.define_wasi()
linker.instantiate(store, Module.from_file(engine, sys.argv[1])).exports(store)["_start"](store)
`;

/** A process of each, which waits for more once it has written. */
async function wasmtimeProcesses(pod: string, count: number): Promise<Made | undefined> {
  // Python with wasmtime has some 20 MB each: what fits any machine.
  if (missingTools !== undefined || count > 12) return undefined;
  const children: ChildProcess[] = [];
  const began = performance.now();
  try {
    await Promise.all(
      Array.from({ length: count }, async () => {
        const child = spawn(tool("python"), ["-c", alone, pod], {
          stdio: ["pipe", "pipe", "ignore"],
        });
        children.push(child);
        child.stdin!.on("error", () => {}).write(sample);
        const lines = createInterface({ input: child.stdout! });
        const line = await Promise.race([
          once(lines, "line").then(([text]) => text as string),
          once(child, "exit").then(() => undefined),
        ]);
        if (line?.startsWith("{") !== true) throw new Error("a pod wrote nothing");
      }),
    );
    const ms = performance.now() - began;
    return { ms: figure(ms), kib: figure(memoryOf(pod) / count) };
  } finally {
    await Promise.all(
      children.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const ended = once(child, "exit");
        child.kill("SIGKILL");
        await ended;
      }),
    );
  }
}

async function nodes(count: number): Promise<Made> {
  using folder = scratch();
  const flashes = flashFiles(folder.path, count);
  const running: Emulated[] = [];
  const began = performance.now();
  try {
    await Promise.all(
      flashes.map(async (flash) => {
        const one = await emulate({ machine: "native", flash });
        running.push(one);
        await using node = await Node.connect(one.address);
        await node.info();
      }),
    );
    const ms = performance.now() - began;
    return { ms: figure(ms), kib: figure(memoryOf(folder.path) / count) };
  } finally {
    await Promise.all(running.map((one) => one.stop()));
  }
}

async function stress(): Promise<Cell[][]> {
  const server = await servers["Wasmote"]!();
  if (typeof server === "string") throw new Error(server);
  try {
    const rows: Cell[][] = [];
    for (const clients of [1, 2, 4, 8, 12, 64]) {
      const { times, lost, wrong } = await load({
        host: "127.0.0.1",
        port: server.port,
        path: "sensors/level",
        clients,
        repeats: 100,
        expect: (text) => text === "1234",
      });
      if (wrong > 0) throw new Error(`${wrong} wrong answers`);
      rows.push([
        clients,
        stressThen[clients] ?? "-",
        figure(mean(times)),
        lost,
        clients * 100,
        wrong,
      ]);
    }
    return rows;
  } finally {
    await server.stop();
  }
}
