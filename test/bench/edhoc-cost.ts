// What a key exchange costs a node: instructions of the responder of EDHOC on the emulated Cortex-M4F, and its flash.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../host/setup.mjs";
import { runImage } from "./coap-cost.ts";
import { readImage } from "./elf.ts";
import type { Table } from "./report.ts";
import { partOf } from "./size.ts";

export interface HandshakeCost {
  /** Steps with the instructions and the bytes of stack that they take, and whether they came to what RFC 9529 has. */
  steps: { step: string; instructions: number; stack: number; good: boolean }[];
  /** Instructions of all of a handshake. */
  whole: number;
  /** Bytes of flash: EDHOC with its curve. */
  flash: number;
}

/** The steps of a handshake, in their order; what else is measured is a part of them. */
export const handshakeSteps = [
  "message_1 is read",
  "message_2 is composed",
  "message_3 is opened",
  "message_3 is verified",
  "message_4 and the OSCORE context",
];

/** Measures, or says why it cannot. */
export function measureHandshake(): HandshakeCost | string {
  const image = join(root, "dist/edhoc.elf");
  if (!existsSync(image)) return "dist/edhoc.elf has not been built here";
  const steps = runImage<HandshakeCost["steps"][number]>(image);
  if (typeof steps === "string") return steps;
  const whole = steps
    .filter(({ step }) => handshakeSteps.includes(step))
    .reduce((sum, { instructions }) => sum + instructions, 0);
  return { steps, whole, flash: readImage(image, partOf).parts.get("edhoc") ?? NaN };
}

export function handshakeTables({ steps, whole, flash }: HandshakeCost): Table[] {
  const row = (what: string, instructions: number, stack: number) => [
    what,
    instructions,
    Number((instructions / 168_000).toFixed(2)),
    stack,
  ];
  return [
    {
      title: `A handshake of EDHOC at the end that is asked, on the Cortex-M4F (QEMU); ${flash.toLocaleString("en")} bytes of flash`,
      columns: ["step", "instructions", "ms at 168 MHz, one a cycle", "bytes of stack"],
      rows: [
        ...steps.map(({ step, instructions, stack }) => row(step, instructions, stack)),
        row("a handshake", whole, Math.max(...steps.map(({ stack }) => stack))),
      ],
    },
  ];
}
