// Frames on a serial line that carries datagrams and text side by side: slipmux (draft-bormann-t2trg-slipmux).

import { printable } from "../text.ts";

export const frameEnd = 0xc0;
const escape = 0xdb;
const diagnosticFrame = 0x0a;
export const coapFrame = 0xa9;
const longestFrame = 2048;

/** Frames bytes for a slipmux line; CoAP frames carry the FCS-16 of RFC 1662 §C.2. */
export function encodeFrame(kind: number, content: Uint8Array): number[] {
  const bytes = [kind, ...content];
  if (kind === coapFrame) {
    const sum = fcs16(bytes);
    bytes.push(sum & 255, sum >> 8);
  }
  return [
    frameEnd,
    ...bytes.flatMap((byte) =>
      byte === frameEnd ? [escape, 0xdc] : byte === escape ? [escape, 0xdd] : [byte],
    ),
    frameEnd,
  ];
}

/** Finds frames in what a line brings; noise costs the frame it is in, never the one behind it. */
export function frameDecoder(
  onDatagram: (datagram: Buffer) => void,
  onText: (text: string) => void,
): (bytes: Uint8Array) => void {
  let frame: number[] = [];
  let escaped = false;
  let broken = false;
  return (bytes) => {
    for (const byte of bytes) {
      if (byte === frameEnd) {
        const [kind] = frame;
        if (kind === diagnosticFrame && !broken) {
          onText(printable(Buffer.from(frame.slice(1)).toString("utf8").trimEnd()));
        } else if (kind === coapFrame && !broken && frame.length > 3) {
          const sum = fcs16(frame.slice(0, -2));
          if (sum === (frame.at(-2) ?? 0) + (frame.at(-1) ?? 0) * 256) {
            onDatagram(Buffer.from(frame.slice(1, -2)));
          }
        }
        frame = [];
        escaped = false;
        broken = false;
      } else if (escaped) {
        escaped = false;
        if (byte === 0xdc) frame.push(frameEnd);
        else if (byte === 0xdd) frame.push(escape);
        else broken = true;
      } else if (byte === escape) {
        escaped = true;
      } else if (frame.length < longestFrame) {
        frame.push(byte);
      } else {
        broken = true;
      }
    }
  };
}

function fcs16(bytes: Iterable<number>): number {
  let sum = 0xffff;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >> 1) ^ 0x8408 : sum >> 1;
  }
  return sum ^ 0xffff;
}
