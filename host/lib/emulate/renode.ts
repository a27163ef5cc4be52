// The board in Renode, and the words it is started with. What it is made of is in renode/.
import { spawnSync } from "node:child_process";
import { existsSync, renameSync, rmSync, statSync } from "node:fs";
import type { Socket } from "node:net";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { flash } from "../contract.ts";
import type { Emulated, EmulateOptions, PinChange } from "./machine.ts";
import { NodeError } from "../errors.ts";
import { Node } from "../node.ts";
import { packageRoot } from "../root.ts";
import {
  connectThrough,
  inNamespace,
  missingNamespace,
  portThrough,
  tapCommands,
} from "./namespace.ts";
import { lastOf, start, type Running } from "./process.ts";
import { onPath, programs } from "./programs.ts";
import { connect, freePort } from "./socket.ts";
import { Switch } from "./switch.ts";
import { ranger } from "./way.ts";
import { temporaryFolder } from "../temporary.ts";

/** Where a machine in Renode meets the outside. */
export interface Seats {
  /** The firmware, the script that makes the machine, and the parts that differ between versions of Renode. */
  elf: string;
  script: string;
  parts: string;
  /** What lies in the first 64 KiB of flash before the firmware is put there: the provisioning record, and slots. */
  flash: string | undefined;
  /** The name the serial link's pseudo-terminal gets. */
  serial: string;
  /** TCP ports: of the level sensor, and of Renode's monitor. */
  level: number;
  monitor: number;
  /** The way into the network that its Ethernet is on, where it is on one. */
  gate?: string | undefined;
}

/** Where flash lies, and the bytes of it that are kept from start to start. */
const flashStart = `0x${flash.start.toString(16).padStart(8, "0")}`;
const flashSize = `0x${flash.end.toString(16)}`;
/** The lamps, in the order of a module's pins. */
const lamps = ["green", "orange", "red", "blue"];

/** A path as the monitor takes it. */
function path(name: string): string {
  return `@${name.replaceAll(/([\\ ])/g, "\\$1")}`;
}

export function renodeWords(seats: Seats): string[] {
  const commands = [
    `$elf=${path(seats.elf)}`,
    `$parts=${path(seats.parts)}`,
    `$serial="${seats.serial}"`,
    `$level=${seats.level}`,
    `include ${path(seats.script)}`,
    ...(seats.flash === undefined ? [] : [`sysbus LoadBinary ${path(seats.flash)} ${flashStart}`]),
    ...(seats.gate === undefined ? [] : tapCommands),
    "runMacro $reset",
    "start",
  ];
  return ["--disable-xwt", "--plain", "--port", String(seats.monitor), "-e", commands.join("; ")];
}

/** What the monitor is told to press the reset button: the macro `reset` of the script runs with it. */
export const renodeReset = "machine Reset\n";

/** The file of parts for what `renode --version` says: two peripherals have other types after 1.16.1. */
export function partsFor(version: string): "release.repl" | "master.repl" {
  const [, major = 0, minor = 0, patch = 0] = (/v?(\d+)\.(\d+)\.(\d+)/.exec(version) ?? []).map(
    Number,
  );
  // A build between two releases has the number of the earlier one and a suffix: `1.16.1.1234+20260801git…`.
  const later = /\d+\.\d+\.\d+[.+-]\S*git|nightly|master/i.test(version);
  const number = major * 1_000_000 + minor * 1000 + patch;
  return number > 1_016_001 || (number === 1_016_001 && later) ? "master.repl" : "release.repl";
}

/** Renode's monitor: commands go in, and what it prints comes out with echoes and colours. */
class Monitor {
  readonly #socket: Socket;
  #heard = "";
  #changed: () => void = () => {};
  #queue: Promise<unknown> = Promise.resolve();

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding("utf8");
    socket.once("close", () => this.#changed());
    socket.on("data", (text: string) => {
      // oxlint-disable-next-line no-control-regex -- colours and telnet's negotiation are control characters.
      this.#heard += text.replaceAll(/\x1b\[[0-9;?]*[A-Za-z]|[\x00\x07\r\xf0-\xff]/g, "");
      this.#changed();
    });
  }

  tell(command: string): void {
    this.#socket.write(`${command}\n`);
  }

  /** Sends a command and waits until `pattern` matches the output; undefined after `limit` milliseconds. Commands are queued. */
  ask(command: string, pattern: RegExp, limit: number): Promise<RegExpExecArray | undefined> {
    const asked = this.#queue.then(() => this.#ask(command, pattern, limit));
    this.#queue = asked;
    return asked;
  }

  async #ask(
    command: string,
    pattern: RegExp,
    limit: number,
  ): Promise<RegExpExecArray | undefined> {
    this.#heard = "";
    this.tell(command);
    const end = AbortSignal.timeout(limit);
    for (;;) {
      const found = pattern.exec(this.#heard);
      if (found) return found;
      if (end.aborted || this.#socket.destroyed) return undefined;
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
        end.addEventListener("abort", () => resolve(), { once: true });
      });
    }
  }
}

/**
 * The product's own image in Renode. It has no console: the node is up once it answers. `limit` is how long it may take to, and
 * `program` what is started.
 */
export async function renode(
  options: EmulateOptions,
  limit = 120_000,
  program = onPath("renode") ?? "renode",
): Promise<Emulated> {
  const reason = options.link === "ethernet" ? missingNamespace() : undefined;
  if (reason !== undefined) throw new Error(`renode with Ethernet: ${reason}`);
  const said = spawnSync(program, ["--version"], {
    encoding: "utf8",
    timeout: Math.min(limit, 30_000),
    killSignal: "SIGKILL",
  });
  const first = partsFor(`${said.stdout ?? ""}${said.stderr ?? ""}`);
  const other = first === "release.repl" ? "master.repl" : "release.repl";
  // Builds between two releases do not always say what they are: what does not load with one is tried with the other.
  const { process, address, sensor, control } = await bringUp(options, limit, program, first).catch(
    (error: unknown) => {
      if (!(error instanceof Unloaded)) throw error;
      return bringUp(options, limit, program, other);
    },
  );
  const pins: PinChange[] = [];
  const looking = watchLamps(process, control, pins);
  const ranging = ranger("");
  const tell = (command: string) => control.tell(command);
  const button = new Switch("sysbus.gpioPortA.button", tell);
  let complaint: string | undefined;
  const bucket = new Switch("sysbus.gpioPortD.bucket", tell);
  return {
    machine: "renode",
    address,
    console: process.console,
    pins,
    feed: (name, value) => {
      if (name === "button") {
        button.move(value === 0 ? "Release" : "Press");
        return;
      }
      if (name === "rain") {
        // A bucket that tips opens its contact for a moment.
        bucket.move("Release");
        bucket.move("Press");
        return;
      }
      if (!ranging.takes(name)) throw new Error(`renode has no way in for the sensor ${name}`);
      sensor.write(ranging.frame(name, value));
    },
    reset: async () => {
      control.tell(renodeReset.trimEnd());
      await answers(process, address, performance.now() + limit, control);
    },
    // What the driver of the Ethernet reads of the cable (IEEE 802.3, register 1 of the PHY).
    ...(options.link === "ethernet" && {
      plug: async (up: boolean) => {
        control.tell(`sysbus.ethernet.phy BasicStatus ${up ? "0x782D" : "0x7809"}`);
      },
    }),
    stop: async () => {
      looking.abort();
      // Renode keeps flash in memory only: it is saved to the file, from which the next start loads it.
      if (options.flash !== undefined) complaint = await keepFlash(control, options.flash);
      await process.stop();
    },
    get complaint() {
      return complaint;
    },
    ended: process.ended,
  };
}

/** Saves the flash to its file, which is replaced only by a complete copy. Returns a complaint if Renode gave none. */
async function keepFlash(control: Monitor, file: string): Promise<string | undefined> {
  const whole = `${file}.new`;
  control.tell("pause");
  const dump = `dump_file ${flashStart} ${flashSize} ${path(resolve(whole))}`;
  await control.ask(`${dump}\necho "flash kept"`, /^flash kept/m, 10_000);
  if (statSync(whole, { throwIfNoEntry: false })?.size === flash.end) {
    renameSync(whole, file);
    return undefined;
  }
  rmSync(whole, { force: true });
  return `renode did not give its flash back: ${file} is as it was`;
}

/** Renode says that the platform or the script is not as it wants it. */
class Unloaded extends Error {}

/** Starts Renode with these parts, and waits until the node answers. */
async function bringUp(options: EmulateOptions, limit: number, program: string, parts: string) {
  const scratch = temporaryFolder("renode");
  const folder = scratch.path;
  const [level, monitor] = [await freePort(), await freePort()];
  const seats = {
    elf: programs.renode,
    script: join(packageRoot, "renode/stm32f407.resc"),
    parts: join(packageRoot, "renode", parts),
    flash: options.flash !== undefined && existsSync(options.flash) ? options.flash : undefined,
    serial: join(folder, "serial"),
    level,
    monitor,
    gate: options.link === "ethernet" ? join(folder, "gate") : undefined,
  };
  const { gate } = seats;
  const words = [...renodeWords(seats), ...(options.arguments ?? [])];
  // Out of the way of Ctrl-C, which would end it before its flash is kept.
  const process = start(
    ...(gate === undefined ? ([program, words] as const) : inNamespace(gate, program, words)),
    { aside: true },
  );
  const port = gate === undefined ? undefined : await portThrough(gate);
  const address = port?.address ?? `serial:${seats.serial}`;
  const enter = (to: number) => (gate === undefined ? connect(to) : connectThrough(gate, to));
  void process.ended.then(async () => {
    await port?.close();
    scratch[Symbol.dispose]();
  });
  try {
    const end = performance.now() + limit;
    await patiently(process, end, "its serial line", async () => {
      if (!existsSync(seats.serial)) throw new Error(`there is no ${seats.serial}`);
    });
    const sensor = await patiently(process, end, "the sensor's port", () => enter(level));
    const control = await patiently(process, end, "its monitor", () => enter(monitor));
    await answers(process, address, end);
    return { process, address, sensor, control: new Monitor(control) };
  } catch (error) {
    await process.stop();
    throw error;
  }
}

/** Tries until it works, the process has ended or complains of what it loads, or it is too late. */
async function patiently<T>(
  process: Running,
  end: number,
  what: string,
  attempt: () => Promise<T>,
): Promise<T> {
  let over = false;
  void process.ended.then(() => (over = true));
  for (;;) {
    try {
      return await attempt();
    } catch (cause) {
      // `ended` tells in a microtask.
      await delay(50);
      const unloaded = process.console.some((line) => /error E\d\d|error executing/i.test(line));
      if (!over && !unloaded && performance.now() < end) continue;
      const why = over ? "ended before" : unloaded ? "failed before" : "did not bring up in time";
      const Kind = unloaded ? Unloaded : Error;
      throw new Kind(`renode ${why} ${what}${lastOf(process.console)}`, { cause });
    }
  }
}

/** Waits for a CoAP answer: the line is there before the firmware listens. If a client has the line open already, the monitor is asked instead. */
function answers(process: Running, address: string, end: number, control?: Monitor): Promise<void> {
  return patiently(process, end, "an answer of the node", async () => {
    try {
      await using node = await Node.connect(address);
      // What a secured node tells everybody, too.
      await node.front(AbortSignal.timeout(5_000));
    } catch (error) {
      const taken = error instanceof NodeError && error.code === "link";
      if (!taken || control === undefined || !(await listens(control))) throw error;
    }
  });
}

/** Whether the firmware has switched on USART2 and its receiver (RM0090 §30.6.4, USART_CR1: UE and RE). */
async function listens(control: Monitor): Promise<boolean> {
  const said = await control.ask(
    "sysbus ReadDoubleWord 0x4000440C",
    /^0x([0-9A-F]{8})\s*$/im,
    2_000,
  );
  const on = (1 << 13) | (1 << 2);
  return (Number.parseInt(said?.[1] ?? "0", 16) & on) === on;
}

/** Polls the lamps a few times a second, and records changes. */
function watchLamps(process: Running, control: Monitor, pins: PinChange[]): AbortController {
  const stop = new AbortController();
  void process.ended.then(() => stop.abort());
  const levels = lamps.map(() => 0);
  void (async () => {
    while (!stop.signal.aborted) {
      for (const [pin, lamp] of lamps.entries()) {
        const port = `sysbus.gpioPortD.${lamp} State`;
        const said = await control.ask(port, /^(True|False)\s*$/m, 2_000);
        const level = said?.[1] === "True" ? 1 : 0;
        if (said && level !== levels[pin]) {
          levels[pin] = level;
          pins.push({ pin, level });
        }
        if (stop.signal.aborted) return;
      }
      await delay(100, undefined, { ref: false });
    }
  })();
  return stop;
}
