// The board in Renode, and the words it is started with. What it is made of is in renode/.
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Emulated, EmulateOptions } from "../emulate.ts";
import { packageRoot } from "../root.ts";
import { start, startLimit } from "./process.ts";
import { programs } from "./programs.ts";
import { connect, freePort } from "./socket.ts";
import { ranger } from "./way.ts";

/** Where a machine in Renode meets the outside. */
export interface Seats {
  /** The firmware, and the script that makes the machine. */
  elf: string;
  script: string;
  /** What lies in the first 64 KiB of flash before the firmware is put there: the provisioning record, and slots. */
  flash: string | undefined;
  /** The name the serial link's pseudo-terminal gets. */
  serial: string;
  /** TCP ports: of the level sensor, and of Renode's monitor. */
  level: number;
  monitor: number;
}

/** A path as the monitor takes it. */
function path(name: string): string {
  return `@${name.replaceAll(/([\\ ])/g, "\\$1")}`;
}

export function renodeWords(seats: Seats): string[] {
  const commands = [
    `$elf=${path(seats.elf)}`,
    `$serial="${seats.serial}"`,
    `$level=${seats.level}`,
    `include ${path(seats.script)}`,
    ...(seats.flash === undefined ? [] : [`sysbus LoadBinary ${path(seats.flash)} 0x08000000`]),
    "runMacro $reset",
    "start",
  ];
  return ["--disable-xwt", "--plain", "--port", String(seats.monitor), "-e", commands.join("; ")];
}

/** What the monitor is told to press the reset button: the macro `reset` of the script runs with it. */
export const renodeReset = "machine Reset\n";

/**
 * The product's own image in Renode. It has no console: the node is up when its serial link is there, and whoever connects repeats
 * a request that comes too early.
 */
export async function renode(options: EmulateOptions): Promise<Emulated> {
  const folder = mkdtempSync(join(tmpdir(), "wasmote-"));
  const [level, monitor] = [await freePort(), await freePort()];
  const seats = {
    elf: programs.renode,
    script: join(packageRoot, "renode/stm32f407.resc"),
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
