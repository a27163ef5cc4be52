// What a request costs the node: instructions on the emulated Cortex-M4F, flash and RAM of the CoAP server.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../host/setup.mjs";
import { readImage } from "./elf.ts";
import type { Table } from "./report.ts";
import { partOf } from "./size.ts";

export interface Cost {
  /** Instructions by kind of request, with the bytes of both datagrams. */
  requests: { name: string; instructions: number; request: number; answer: number }[];
  /** Instructions to open a message, by what is wrong with its tag, and how often it was taken. */
  tags: { tag: string; instructions: number; taken: number }[];
  /**
   * A node under a flood, by what it consists of: instructions of each datagram; of the answer to somebody with a context, alone and right
   * behind as many as the board's Ethernet controller keeps (on average, and at most); and how many of these waited longer than twice that.
   */
  floods: {
    flood: string;
    each: number;
    idle: number;
    mean: number;
    most: number;
    late: number;
    rounds: number;
  }[];
  /** Bytes of RAM that the server's tables take, for IPv4 peers. */
  ram: number;
  /** Bytes of RAM for eight security contexts: the stage with their keys and windows, and what the server knows of each. */
  contexts: { stage: number; keys: number };
  /** Bytes of flash that its code takes in the board's image, and that of security. */
  flash: number;
  security: number;
}

/** Measures, or says why it cannot. */
export function measureCost(): Cost | string {
  const [image, board] = ["coap-cost.elf", "stm32f407-discovery.elf"].map((name) =>
    join(root, "dist", name),
  ) as [string, string];
  const missing = [image, board].find((path) => !existsSync(path));
  if (missing) return `${missing.slice(root.length + 1)} has not been built here`;
  type Line = Cost["requests"][number] & Cost["tags"][number] & Cost["floods"][number];
  const lines = runImage<Line & { bytes?: number } & Partial<Cost["contexts"]>>(image);
  if (typeof lines === "string") return lines;
  const ram = lines.find(({ bytes }) => bytes !== undefined)?.bytes ?? NaN;
  const { stage = NaN, keys = NaN } = lines.find((line) => line.stage !== undefined) ?? {};
  const { parts } = readImage(board, partOf);
  const [flash, security] = ["coap", "oscore"].map((part) => parts.get(part) ?? NaN) as [
    number,
    number,
  ];
  const requests = lines.filter(({ instructions, tag }) => instructions !== undefined && !tag);
  const floods = lines.filter(({ flood }) => flood !== undefined).toReversed();
  const tags = lines.filter(({ tag }) => tag !== undefined);
  return { requests, tags, floods, ram, contexts: { stage, keys }, flash, security };
}

/** Runs an image on the emulated Cortex-M4F, one nanosecond an instruction; the lines of JSON that it prints, or why there are none. */
export function runImage<Line>(image: string): Line[] | string {
  const machine = "-M mps2-an386 -icount shift=0 -display none -monitor none -serial none";
  const semihosting = ["-semihosting-config", "enable=on,target=native"];
  const { stdout, status, error } = spawnSync(
    "qemu-system-arm",
    [...machine.split(" "), ...semihosting, "-kernel", image],
    { encoding: "utf8", timeout: 300_000 },
  );
  if (error) return `QEMU: ${error.message}`;
  if (status !== 0) throw new Error(`the measurement ended with ${status}: ${stdout}`);
  const lines = stdout.trim().split("\n");
  return lines.map((line) => JSON.parse(line) as Line);
}

export function costTables({
  requests,
  tags,
  floods,
  ram,
  contexts,
  flash,
  security,
}: Cost): Table[] {
  return [
    {
      title: "Instructions on the Cortex-M4F (QEMU), from the datagram to the end of the answer",
      columns: ["request", "instructions", "µs at 168 MHz, one a cycle", "bytes in", "bytes out"],
      rows: requests.map(({ name, instructions, request, answer }) => [
        name,
        instructions,
        Number((instructions / 168).toFixed(1)),
        request,
        answer,
      ]),
    },
    {
      title: "Instructions to open a protected message of 64 bytes (AES-CCM-16-64-128)",
      columns: ["its tag is", "instructions", "taken, of 200"],
      rows: tags.map(({ tag, instructions, taken }) => [tag, instructions, taken]),
    },
    {
      title:
        "A secured node under a flood of 1,000 datagrams a second: the answer to a protected GET right behind four of them, as many as the " +
        "board's Ethernet controller keeps",
      columns: [
        "what floods it",
        "instructions each",
        "mean, times idle",
        "most, times idle",
        "% later than twice",
      ],
      rows: floods.map(({ flood, each, idle, mean, most, late, rounds }) => [
        flood,
        each,
        Number((mean / idle).toFixed(2)),
        Number((most / idle).toFixed(2)),
        Number(((100 * late) / rounds).toFixed(1)),
      ]),
    },
    {
      title: "The CoAP server in the board's image",
      columns: ["what", "bytes"],
      rows: [
        ["flash: code of the crate", flash],
        ["flash: OSCORE and its cipher (SHA-256 is the packages' too)", security],
        ["RAM: all tables, for 16 observers, 8 uploads and 96 remembered requests", ram],
        [
          "RAM: eight security contexts (aim: 3 KiB), with the room that a message is opened in",
          contexts.stage + contexts.keys,
        ],
      ],
    },
  ];
}
