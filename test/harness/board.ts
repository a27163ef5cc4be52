// A real board as a target: flashed and reset by probe-rs, talked to over its serial line.
//
//   WASMOTE_TARGET=probe-rs:/dev/ttyUSB0 npm test -- typescript
//   WASMOTE_TARGET=probe-rs:/dev/ttyUSB0,/dev/ttyUSB1 ...
//
// The first port is the link (PD5 sends, PD6 receives), the second one goes to the level sensor's pin (PD9) and plays the sensor. Starting a node
// writes the firmware, the provisioning record and the slots of its flash file; a file that a test starts again with is not written
// again, since what the board's flash holds has gone on.
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SerialPort } from "serialport";
import { flash } from "../../host/lib/contract.ts";
import type { Emulated, EmulateOptions } from "../../host/lib/emulate.ts";
import { NodeError } from "../../host/lib/errors.ts";
import { Node } from "../../host/lib/node.ts";
import { provisionOffset } from "../../host/lib/package.ts";
import { command, root } from "../../host/setup.mjs";
import { scratch } from "./scratch.ts";

const chip = "STM32F407VGTx";
const image = join(root, "dist/stm32f407-discovery.elf");
/** Where flash lies in the address space, and how much of it is the slots'. */
const { start: flashStart, end: flashSize } = flash;

/** Why a board cannot be had here. */
export function missingBoard(target: string): string | undefined {
  if (command("probe-rs") === undefined) return "probe-rs is not on the PATH";
  const [link] = portsOf(target);
  if (!link) return "no serial port is named, as in WASMOTE_TARGET=probe-rs:/dev/ttyUSB0";
  if (!existsSync(link)) return `there is no ${link}`;
  if (!existsSync(image)) return `${image} has not been built: npm run build`;
  return undefined;
}

function portsOf(target: string): string[] {
  return target.slice("probe-rs:".length).split(",").filter(Boolean);
}

function probe(...words: string[]): void {
  const { status, stderr, error } = spawnSync("probe-rs", words, { encoding: "utf8" });
  if (error || status !== 0)
    throw new Error(`probe-rs ${words[0]}: ${error?.message ?? stderr}; is the board plugged in?`);
}

/** Flash files whose content the board has been given. */
const given = new Set<string>();

export async function startBoard(
  target: string,
  options: Omit<EmulateOptions, "machine">,
): Promise<Emulated> {
  const [link = "", sensor] = portsOf(target);
  if (options.flash === undefined || !given.has(options.flash)) {
    probe("download", "--chip", chip, "--restore-unwritten", image);
    const flash = options.flash === undefined ? undefined : readFileSync(options.flash);
    using folder = scratch();
    const file = join(folder.path, "flash.bin");
    // Before the record lies the vector table, which is the firmware's.
    const rest =
      flash?.subarray(provisionOffset) ?? Buffer.alloc(flashSize - provisionOffset, 0xff);
    writeFileSync(file, rest);
    const place = `0x${(flashStart + provisionOffset).toString(16)}`;
    const form = ["--binary-format", "bin", "--base-address", place];
    probe("download", "--chip", chip, "--restore-unwritten", ...form, file);
    if (options.flash !== undefined) given.add(options.flash);
  }
  let level: SerialPort | undefined;
  if (sensor !== undefined) {
    level = new SerialPort({ path: sensor, baudRate: 9600 });
    await once(level, "open");
  }
  const address = `serial:${link}`;
  const restart = async (again: boolean) => {
    probe("reset", "--chip", chip);
    try {
      await using node = await Node.connect(address);
      await node.front();
    } catch (error) {
      // A client that the test has open asks until it is answered.
      if (!(error instanceof NodeError && error.code === "link" && again)) throw error;
    }
  };
  await restart(false);
  let end = () => {};
  const ended = new Promise<void>((resolve) => (end = resolve));
  return {
    machine: "board",
    address,
    console: [],
    pins: [],
    feed: (name, value) => {
      if (name !== "level" || level === undefined)
        throw new Error(
          `${target} has no way in for the sensor ${name}: name a second port for level`,
        );
      level.write(`R${String(Math.round(value)).padStart(4, "0")}\r`);
    },
    reset: () => restart(true),
    stop: async () => {
      await new Promise<void>((resolve) => (level ? level.close(() => resolve()) : resolve()));
      end();
    },
    ended,
  };
}
