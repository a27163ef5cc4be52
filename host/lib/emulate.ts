// Nodes on this computer: the native process, and the firmware images in QEMU and Renode. The tests' targets, `wasmote emulate` and
// the demonstration all start theirs here, so what a user sees is what the tests ran.
//
// A node is handed its flash as a file, which outlives it: stop one and start another with the same file, and the power
// has been cut. Every process started here ends with this one, also when this one fails.
import { spawn, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createConnection, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { renodeReset, renodeWords } from "./renode.ts";

/** What a node can run on here. */
export type Machine = "native" | "qemu-stm32" | "qemu-mps2" | "renode";
export const machines: readonly Machine[] = ["native", "qemu-stm32", "qemu-mps2", "renode"];

export interface EmulateOptions {
  machine: Machine;
  /** The file that is the node's flash; made when it does not exist. Without one the node starts empty each time. */
  flash?: string;
  /** The node's name, where the machine lets it be given. */
  name?: string;
  /** Native alone: `serial` for a pseudo-terminal instead of UDP. The boards have the link they have. */
  link?: "udp" | "serial";
  /** Further words for the node's program or for QEMU. */
  arguments?: string[];
  /** Stops the node when it fires. */
  signal?: AbortSignal;
}

/** A level the node gave one of its pins. */
export interface PinChange {
  pin: number;
  level: number;
}

/** A running node. */
export interface Emulated {
  readonly machine: Machine | "board";
  /** As every verb takes it: `coap://127.0.0.1:40001` or `serial:/dev/pts/3`. */
  readonly address: string;
  /** All it has said so far: its console and what its program wrote to standard error. */
  readonly console: readonly string[];
  /** What its pins did, in order. */
  readonly pins: readonly PinChange[];
  /** Gives one of its sensors a value. */
  feed(sensor: string, value: number): void;
  /** Presses the reset button. */
  reset(): Promise<void>;
  /** Gives the board's firmware a line of its own, on the machines whose firmware takes any. */
  command?(line: string): void;
  /** Plugs the network cable in or pulls it, on the machines that have one. */
  plug?(up: boolean): Promise<void>;
  /** Cuts the power. */
  stop(): Promise<void>;
  /** Resolves when the process has ended, for whatever reason. */
  readonly ended: Promise<void>;
}

/** Many native nodes in one process. */
export interface Fleet {
  /** Each node's name and address. */
  readonly nodes: readonly { name: string; address: string }[];
  readonly console: readonly string[];
  /** Gives a sensor of one of them a value. */
  feed(name: string, sensor: string, value: number): void;
  stop(): Promise<void>;
}

/** Starts so many native nodes, called node-1 and so on, each on a loopback address of its own; resolves when all can be talked to. */
export async function emulateFleet(count: number, words: readonly string[] = []): Promise<Fleet> {
  const reason = missing("native");
  if (reason !== undefined) throw new Error(reason);
  const process = start(programs.native, ["--fleet", String(count), ...words]);
  const nodes: { name: string; address: string }[] = [];
  await process.first((line) => {
    const event = parseEvent(line);
    if (event?.event === "ready")
      nodes.push({ name: `node-${String(event.node)}`, address: `coap://${String(event.udp)}` });
    return nodes.length === count ? true : undefined;
  });
  return {
    nodes: nodes.toSorted((a, b) => a.name.localeCompare(b.name, "en", { numeric: true })),
    console: process.console,
    feed: (name, sensor, value) => process.write(`${name} sample ${sensor} ${value}\n`),
    stop: () => process.stop(),
  };
}

/** Why a machine cannot be had here, or nothing: a test skips with this reason, a verb prints it. */
export function missing(machine: Machine): string | undefined {
  const file = programs[machine];
  if (!existsSync(file)) return `${file} has not been built: npm run build`;
  if (machine === "renode")
    return onPath("renode") ? undefined : "renode is not on the PATH: see renode/README.md";
  if (machine !== "native" && !qemu())
    return "there is no qemu-system-arm: npm run build installs it on Debian";
  return undefined;
}

/** Starts a node and resolves once it can be talked to. */
export async function emulate(options: EmulateOptions): Promise<Emulated> {
  const reason = missing(options.machine);
  if (reason !== undefined) throw new Error(reason);
  const { machine, signal } = options;
  signal?.throwIfAborted();
  const node = await (machine === "native"
    ? native(options)
    : machine === "renode"
      ? renode(options)
      : board(options, machine));
  const stop = () => void node.stop();
  signal?.addEventListener("abort", stop, { once: true });
  void node.ended.then(() => signal?.removeEventListener("abort", stop));
  // It may have fired while the node came up.
  if (signal?.aborted) await node.stop();
  signal?.throwIfAborted();
  return node;
}

// ---- the machines -----------------------------------------------------------------------------------------------------

/** The root of the package, from the sources and from the bundle in dist/ alike. */
const root = fileURLToPath(
  new URL(import.meta.url.includes("/host/lib/") ? "../../" : "../", import.meta.url),
);

const programs: Record<Machine, string> = {
  native: join(root, "dist/wasmote-native"),
  "qemu-stm32": join(root, "dist/stm32f407-qemu.elf"),
  "qemu-mps2": join(root, "dist/mps2-an386.elf"),
  renode: join(root, "dist/stm32f407-discovery.elf"),
};

/** How long a node may take to come up: an emulator on a busy machine is slow, a hung one is for ever. */
const startLimit = 30_000;

async function native(options: EmulateOptions): Promise<Emulated> {
  const words = [
    ...(options.link === "serial" ? ["--pty"] : ["--udp", "127.0.0.1:0"]),
    ...(options.flash === undefined ? [] : ["--flash", options.flash]),
    ...(options.name === undefined ? [] : ["--name", options.name]),
    ...(options.arguments ?? []),
  ];
  const process = start(programs.native, words);
  const pins: PinChange[] = [];
  const address = await process.first((line) => {
    const event = parseEvent(line);
    if (event?.event !== "ready") return undefined;
    return options.link === "serial"
      ? `serial:${String(event.serial)}`
      : `coap://${String(event.udp)}`;
  });
  process.each((line) => {
    const event = parseEvent(line);
    if (event?.event === "gpio") pins.push({ pin: Number(event.pin), level: Number(event.level) });
  });
  return {
    machine: "native",
    address,
    console: process.console,
    pins,
    feed: (sensor, value) => process.write(`sample ${sensor} ${value}\n`),
    reset: async () => {
      const again = process.first((line) =>
        parseEvent(line)?.event === "ready" ? true : undefined,
      );
      process.write("reset\n");
      await again;
    },
    stop: () => process.stop(),
    ended: process.ended,
  };
}

/** The machines that are QEMU's. */
type Emulator = Exclude<Machine, "native" | "renode">;

/**
 * A board in QEMU. Its console and its flash go through semihosting (the second argument is the flash file), its reset
 * button is QEMU's machine protocol, and what differs between boards is in `wiring`.
 */
async function board(options: EmulateOptions, machine: Emulator): Promise<Emulated> {
  const folder = mkdtempSync(join(tmpdir(), "wasmote-"));
  const { words, ways, cable, address } = wiring[machine](folder);
  const process = start(
    qemu() ?? "qemu-system-arm",
    [
      words,
      `-display none -monitor none -chardev stdio,id=console -qmp unix:${folder}/qmp,server=on,wait=off`.split(
        " ",
      ),
      ["-kernel", programs[machine], "-semihosting-config"],
      `enable=on,target=native,chardev=console,arg=wasmote,arg=${options.flash ?? join(folder, "flash")}`,
      options.arguments ?? [],
    ].flat(),
  );
  void process.ended.then(() => rmSync(folder, { recursive: true, force: true }));
  const pins: PinChange[] = [];
  process.each((line) => {
    const pin = /^gpio (\d+) ([01])$/.exec(line);
    if (pin) pins.push({ pin: Number(pin[1]), level: Number(pin[2]) });
  });
  const ready = (line: string) => (line.startsWith("wasmote: ready") ? true : undefined);
  await process.first(ready);
  const sockets = await Promise.all(ways.map(({ path }) => connect(path)));
  const control = await monitor(join(folder, "qmp"));
  return {
    machine,
    address: await address(process.console, control),
    console: process.console,
    pins,
    feed: (sensor, value) => {
      const way = ways.findIndex(({ takes }) => takes(sensor));
      if (way < 0) throw new Error(`${machine} has no way in for the sensor ${sensor}`);
      sockets[way]?.write(ways[way]?.frame(sensor, value) ?? "");
    },
    reset: async () => {
      const again = process.first(ready);
      await control("system_reset");
      await again;
    },
    ...(cable !== undefined && {
      // The last way in takes lines.
      command: (line: string) => void sockets.at(-1)?.write(`${line}\n`),
      plug: async (up: boolean) => void (await control("set_link", { name: cable, up })),
    }),
    stop: () => process.stop(),
    ended: process.ended,
  };
}

/** A socket that samples go in by: which sensors', and how one is written there. */
interface Way {
  path: string;
  takes: (sensor: string) => boolean;
  frame: (sensor: string, value: number) => string;
}

interface Wiring {
  /** QEMU's words for this board. */
  words: string[];
  ways: Way[];
  /** QEMU's name for the network's end at the board. */
  cable?: string;
  /** Where the node is reached, from what QEMU said when it started, or says when it is asked. */
  address: (console: readonly string[], control: Monitor) => string | Promise<string>;
}

/** The river-level sensor's serial line: `R`, four digits, CR. */
const ranger = (path: string): Way => ({
  path,
  takes: (sensor) => sensor === "level",
  frame: (_, value) => `R${String(Math.round(value)).padStart(4, "0")}\r`,
});

/**
 * An instruction takes 8 ns of the board's time, about as on the real one. With `shift=auto` the board's time ran ten times as
 * fast as ours while this computer was busy, and the node's retransmissions with it.
 */
const pace = "-icount shift=3";

const socketAt = (path: string) => ["-serial", `unix:${path},server=on,wait=off`];

const wiring: Record<Emulator, (folder: string) => Wiring> = {
  // USART 2 is the slipmux link, on a pseudo-terminal; USART 3 is the river-level sensor.
  "qemu-stm32": (folder) => {
    const level = join(folder, "level");
    return {
      words: [
        ...`-M netduinoplus2 ${pace} -serial null -serial pty`.split(" "),
        ...socketAt(level),
      ],
      ways: [ranger(level)],
      address: (console) => {
        const said = /redirected to (\/dev\/\S+) \(label serial1\)/.exec(console.join("\n"));
        return `serial:${said?.[1] ?? ""}`;
      },
    };
  },
  // Ethernet with CoAP's port led out to a port of this computer that the system chooses; UART 1 is the river-level sensor,
  // UART 0 takes samples of the others as lines.
  "qemu-mps2": (folder) => {
    const [lines, level] = [join(folder, "lines"), join(folder, "level")];
    return {
      words: [
        ...`-M mps2-an386 ${pace} -nic user,hostfwd=udp:127.0.0.1:0-:5683`.split(" "),
        ...socketAt(lines),
        ...socketAt(level),
      ],
      ways: [
        ranger(level),
        {
          path: lines,
          takes: () => true,
          frame: (sensor, value) => `sample ${sensor} ${value}\n`,
        },
      ],
      cable: "lan9118.0",
      address: async (_, control) => {
        const said = await control("human-monitor-command", { "command-line": "info usernet" });
        const port = /HOST_FORWARD\]\s+\d+\s+\S+\s+(\d+)/.exec(String(said))?.[1] ?? "";
        return `coap://127.0.0.1:${port}`;
      },
    };
  },
};

/**
 * The product's own image in Renode. It has no console: the node is up when its serial link is there, and whoever connects repeats
 * a request that comes too early.
 */
async function renode(options: EmulateOptions): Promise<Emulated> {
  const folder = mkdtempSync(join(tmpdir(), "wasmote-"));
  const [level, monitor] = [await freePort(), await freePort()];
  const seats = {
    elf: programs.renode,
    script: join(root, "renode/stm32f407.resc"),
    flash: options.flash !== undefined && existsSync(options.flash) ? options.flash : undefined,
    serial: join(folder, "serial"),
    level,
    monitor,
  };
  const process = start("renode", [...renodeWords(seats), ...(options.arguments ?? [])]);
  void process.ended.then(() => rmSync(folder, { recursive: true, force: true }));
  let ended = false;
  void process.ended.then(() => (ended = true));
  for (let waited = 0; !existsSync(seats.serial); waited += 100) {
    if (ended || waited >= startLimit) {
      await process.stop();
      throw new Error(`renode did not bring the board up:\n${process.console.join("\n")}`);
    }
    await delay(100);
  }
  const [sensor, control] = await Promise.all([level, monitor].map((port) => connect(port)));
  const ranging = ranger("");
  return {
    machine: "renode",
    address: `serial:${seats.serial}`,
    console: process.console,
    pins: [],
    feed: (name, value) => {
      if (!ranging.takes(name)) throw new Error(`renode has no way in for the sensor ${name}`);
      sensor?.write(ranging.frame(name, value));
    },
    reset: async () => void control?.write(renodeReset),
    stop: () => process.stop(),
    ended: process.ended,
  };
}

/** A TCP port that nobody has. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** A program, where it lies. */
function onPath(program: string): string | undefined {
  const folders = (process.env.PATH ?? "").split(delimiter);
  return folders.map((folder) => join(folder, program)).find((path) => existsSync(path));
}

/** QEMU for ARM, where it lies. */
function qemu(): string | undefined {
  return onPath("qemu-system-arm");
}

/** Connects to a socket's path, or to a TCP port of this computer. */
async function connect(to: string | number): Promise<Socket> {
  const socket = createConnection(
    typeof to === "number" ? { host: "127.0.0.1", port: to } : { path: to },
  );
  await once(socket, "connect");
  socket.on("error", () => {});
  return socket;
}

/** Asks QEMU to do something, by its machine protocol (QMP), and resolves to what it returns. */
type Monitor = (execute: string, words?: object) => Promise<unknown>;

async function monitor(path: string): Promise<Monitor> {
  const socket = await connect(path);
  const waiting: { resolve: (value: unknown) => void; reject: (reason: Error) => void }[] = [];
  createInterface({ input: socket }).on("line", (line) => {
    const answer = parseEvent(line);
    if (answer === undefined || !("return" in answer || "error" in answer)) return;
    const asked = waiting.shift();
    if ("return" in answer) asked?.resolve(answer.return);
    else asked?.reject(new Error(`QEMU: ${JSON.stringify(answer.error)}`));
  });
  socket.on("close", () => {
    for (const asked of waiting.splice(0)) asked.reject(new Error("QEMU has ended"));
  });
  const control: Monitor = (execute, words = {}) =>
    new Promise((resolve, reject) => {
      waiting.push({ resolve, reject });
      socket.write(`${JSON.stringify({ execute, arguments: words })}\n`);
    });
  await control("qmp_capabilities");
  return control;
}

function parseEvent(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}

// ---- a process ----------------------------------------------------------------------------------------------------------

interface Running {
  console: string[];
  write(text: string): void;
  /** The first line from now on that `pick` makes something of. */
  first<T>(pick: (line: string) => T | undefined): Promise<T>;
  each(use: (line: string) => void): void;
  stop(): Promise<void>;
  ended: Promise<void>;
}

const running = new Set<ChildProcessByStdio<Writable, Readable, Readable>>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

function start(program: string, words: string[]): Running {
  const child = spawn(program, words, { stdio: ["pipe", "pipe", "pipe"] });
  running.add(child);
  const console: string[] = [];
  const listeners = new Set<(line: string) => void>();
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on("line", (line) => {
      console.push(line);
      for (const listener of listeners) listener(line);
    });
  }
  // A node that has gone takes no more input; whoever writes to it learns that from `ended`.
  child.stdin.on("error", () => {});
  const ended = new Promise<void>((resolve) => {
    child.on("error", (error) => console.push(error.message));
    child.on("close", () => {
      running.delete(child);
      resolve();
    });
  });
  const stop = async () => {
    child.kill("SIGKILL");
    await ended;
  };
  return {
    console,
    ended,
    stop,
    write: (text) => child.stdin.write(text),
    each: (use) => listeners.add(use),
    first: (pick) =>
      new Promise((resolve, reject) => {
        const give = (why: string) => {
          done();
          void stop();
          reject(
            new Error(`${program} ${why}\n${console.map((line) => `  | ${line}`).join("\n")}`),
          );
        };
        const timer = setTimeout(
          () => give(`did not come up within ${startLimit / 1000} s`),
          startLimit,
        );
        const listener = (line: string) => {
          const found = pick(line);
          if (found === undefined) return;
          done();
          resolve(found);
        };
        const done = () => {
          clearTimeout(timer);
          listeners.delete(listener);
        };
        listeners.add(listener);
        void ended.then(() => give("ended"));
      }),
  };
}
