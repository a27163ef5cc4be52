// What the demonstration runs on: a node that trusts a key of ours, and a river that its level sensor sees. Emulated, the
// river is a winter that was measured, a day a sample; on a board of yours it is whatever the sensor there shows.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { emulate, machines, missing, type Machine } from "../lib/emulate.ts";
import { encodeKeys, passingContext } from "../lib/keys.ts";
import { Node } from "../lib/node.ts";
import { generateKey, makeFlash, readKey, type KeyPair } from "../lib/package.ts";
import { readRiver } from "./river.ts";

/** What the level sensor showed, and when. */
export interface Level {
  date: string;
  /** Millimetres. */
  level: number;
}

export interface Stage {
  title: string;
  node: Node;
  key: KeyPair;
  /** How many samples the first filter sees, the second, and what is left for the end. */
  acts: readonly [number, number, number];
  /** Milliseconds from a sample to its output, after which that sample counts as missed. */
  patience: number;
  /** The next sample has reached the node's sensor. */
  next(): Promise<Level>;
  /** The highest level there is, now; a river that does not do as it is told resolves to undefined. */
  flood(): Level | undefined;
  stop(): Promise<void>;
}

const titles: Record<Machine, string> = {
  native: "a process",
  "qemu-stm32": "an emulated STM32F407",
  "qemu-mps2": "an emulated Cortex-M4F with Ethernet",
  renode: "an STM32F407 in Renode",
};

/** A node on this computer, with a new key and the winter of 2013/14. */
export async function emulated(machine: Machine, folder: string): Promise<Stage> {
  const key = generateKey();
  const flash = join(folder, "flash");
  const own = passingContext();
  const contexts = encodeKeys([own.key]);
  writeFileSync(flash, makeFlash({ name: "wye", keys: [key.publicKey], contexts }), {
    mode: 0o600,
  });
  const board = await emulate({ machine, flash });
  const days = readRiver();
  const highest = days.reduce((most, day) => (day.level > most.level ? day : most));
  const half = Math.floor(days.length / 2);
  let day = 0;
  const show = ({ date, level }: Level): Level => {
    board.feed("level", level);
    return { date, level };
  };
  return {
    title: titles[machine],
    node: await Node.connect(board.address, { context: own.context }),
    key,
    acts: [half, days.length - half - 20, 20],
    // An emulator's time may stand still on a busy computer.
    patience: 30_000,
    next: async () => show(days[day++ % days.length] ?? highest),
    flood: () => show(highest),
    stop: () => board.stop(),
  };
}

/** A board of the user's, which trusts the key in this file. */
export async function yours(address: string, keyFile: string, samples: number): Promise<Stage> {
  const path = resolve(keyFile);
  if (!existsSync(path)) {
    throw new Error(
      `there is no key ${path}: make one with \`wasmote keygen\`, give its public half to the board with \`wasmote provision\`, and name it with --key`,
    );
  }
  const key = readKey(readFileSync(path, "utf8"));
  const node = await Node.connect(address);
  const ending = new AbortController();
  const levels = node.observe("sensors/level", ending.signal);
  return {
    title: address,
    node,
    key,
    acts: [samples, samples, samples],
    patience: 2_000,
    next: async () => {
      const { value, done } = await levels.next();
      if (done === true) throw new Error(`${address}: the level sensor's samples ended`);
      return { date: new Date(value.at).toISOString().slice(0, 19), level: value.value };
    },
    flood: () => undefined,
    stop: async () => ending.abort(),
  };
}

/** The stage that was asked for, or the best there is. */
export async function openStage(
  wanted: string | undefined,
  folder: string,
  real: { key: string; samples: number },
  say: (text: string) => void,
): Promise<Stage> {
  if (wanted !== undefined && /^(serial|coap):/.test(wanted))
    return yours(wanted, real.key, real.samples);
  if (wanted !== undefined) {
    if (!machines.includes(wanted as Machine)) {
      throw new Error(
        `there is no target ${wanted}; there are ${machines.join(", ")}, and boards: serial:/dev/ttyACM0, coap://192.168.1.20`,
      );
    }
    return emulated(wanted as Machine, folder);
  }
  const reason = missing("qemu-stm32");
  if (reason === undefined) return emulated("qemu-stm32", folder);
  say(`No emulated board (${reason}): the node runs as a process instead.`);
  return emulated("native", folder);
}
