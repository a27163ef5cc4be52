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
  /** Bytes of RAM that the server's tables take, for IPv4 peers. */
  ram: number;
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
  const machine = "-M mps2-an386 -icount shift=0 -display none -monitor none -serial none";
  const semihosting = ["-semihosting-config", "enable=on,target=native"];
  const { stdout, status, error } = spawnSync(
    "qemu-system-arm",
    [...machine.split(" "), ...semihosting, "-kernel", image],
    { encoding: "utf8", timeout: 300_000 },
  );
  if (error) return `QEMU: ${error.message}`;
  if (status !== 0) throw new Error(`the measurement ended with ${status}: ${stdout}`);
  const lines = stdout
    .trim()
    .split("\n")
    .map(
      (line) =>
        JSON.parse(line) as Cost["requests"][number] & Cost["tags"][number] & { bytes?: number },
    );
  const ram = lines.find(({ bytes }) => bytes !== undefined)?.bytes ?? NaN;
  const { parts } = readImage(board, partOf);
  const [flash, security] = ["coap", "oscore"].map((part) => parts.get(part) ?? NaN) as [
    number,
    number,
  ];
  const requests = lines.filter(({ bytes, tag }) => bytes === undefined && tag === undefined);
  const tags = lines.filter(({ tag }) => tag !== undefined);
  return { requests, tags, ram, flash, security };
}

export function costTables({ requests, tags, ram, flash, security }: Cost): Table[] {
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
      title: "The CoAP server in the board's image",
      columns: ["what", "bytes"],
      rows: [
        ["flash: code of the crate", flash],
        ["flash: OSCORE and its cipher (SHA-256 is the packages' too)", security],
        ["RAM: all tables, for 16 observers, 8 uploads and 96 remembered requests", ram],
      ],
    },
  ];
}
