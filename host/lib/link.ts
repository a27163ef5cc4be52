// How datagrams reach a node: UDP, or a serial line with slipmux (draft-bormann-t2trg-slipmux).
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { setTimeout } from "node:timers/promises";
import { NodeError } from "./errors.ts";

/** A way to one node. */
export interface Link {
  /** The address it was opened with. */
  readonly address: string;
  /** Sends a datagram, or loses it. */
  send(datagram: Uint8Array): void;
  /** Called for each datagram that comes in. */
  onDatagram: (datagram: Buffer) => void;
  /** Called for each line of text that a serial line carries beside the datagrams. */
  onText: (text: string) => void;
  /** Called when the network says that nothing listens there (ICMP). */
  onUnreachable: (cause: Error) => void;
  /** Called once when the link is lost. */
  onLost: (cause: Error) => void;
  close(): Promise<void>;
}

/** Opens `coap://host[:port]` or `serial:/dev/ttyACM0[?baud=115200]`. */
export async function openLink(address: string, signal?: AbortSignal): Promise<Link> {
  const link = await open(address);
  if (!signal?.aborted) return link;
  await link.close();
  throw new NodeError("aborted", `opening ${address} was given up`, { cause: signal.reason });
}

async function open(address: string): Promise<Link> {
  if (address.startsWith("serial:")) return openSerial(address);
  let url: URL;
  try {
    url = new URL(address);
  } catch (cause) {
    throw new NodeError("address", `${address} is no address of a node: ${examples}`, { cause });
  }
  if (url.protocol !== "coap:" || url.hostname === "") {
    throw new NodeError("address", `${address} is no address of a node: ${examples}`);
  }
  return openUdp(address, url);
}

const examples = "write coap://192.168.1.20 or serial:/dev/ttyACM0";

async function openUdp(address: string, url: URL): Promise<Link> {
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
  const link: Link = {
    address,
    send: (datagram) => {
      // A socket that has just been closed sends nothing; a datagram may always be lost.
      try {
        socket.send(datagram, () => {});
      } catch {
        // closed
      }
    },
    onDatagram: () => {},
    onText: () => {},
    onUnreachable: () => {},
    onLost: () => {},
    close: async () => {
      socket.removeAllListeners("error");
      socket.on("error", () => {});
      await new Promise<void>((resolve) => {
        try {
          socket.close(() => resolve());
        } catch {
          resolve();
        }
      });
    },
  };
  socket.on("message", (datagram) => link.onDatagram(datagram));
  try {
    const connected = once(socket, "connect");
    socket.connect(Number(url.port || 5683), host);
    await connected;
  } catch (cause) {
    throw new NodeError("link", `${host} cannot be reached: ${(cause as Error).message}`, {
      cause,
    });
  }
  // ICMP errors of what was sent come back here.
  socket.on("error", (cause) => link.onUnreachable(cause));
  return link;
}

// ---- serial -------------------------------------------------------------------------------------------------------------

const end = 0xc0;
const escape = 0xdb;
const diagnosticFrame = 0x0a;
const coapFrame = 0xa9;
const longestFrame = 2048;

async function openSerial(address: string): Promise<Link> {
  const [path = "", query = ""] = address.slice("serial:".length).split("?", 2);
  const baudRate = Number(new URLSearchParams(query).get("baud") ?? 115_200);
  if (path === "" || !Number.isInteger(baudRate) || baudRate <= 0) {
    throw new NodeError("address", `${address} is no address of a node: ${examples}`);
  }
  const { SerialPort } = await import("serialport");
  const port = new SerialPort({ path, baudRate, autoOpen: false });
  const open = () => new Promise<Error | null>((resolve) => port.open(resolve));
  let cause = await open();
  // Who is just ending, or just starting a program of its own, gives its lock back in a moment.
  for (let tries = 0; cause !== null && locked.test(cause.message) && tries < 10; tries++) {
    await setTimeout(50);
    cause = await open();
  }
  if (cause !== null)
    throw new NodeError("link", `${path} cannot be opened: ${reasonOf(cause)}`, { cause });
  const link: Link = {
    address,
    send: (datagram) => {
      if (port.isOpen) port.write(Buffer.from(encodeFrame(coapFrame, datagram)));
    },
    onDatagram: () => {},
    onText: () => {},
    onUnreachable: () => {},
    onLost: () => {},
    close: () =>
      new Promise((resolve) => {
        if (port.isOpen) port.close(() => resolve());
        else resolve();
      }),
  };
  const decode = frameDecoder(
    (datagram) => link.onDatagram(datagram),
    (text) => link.onText(text),
  );
  port.on("data", decode);
  port.on("error", (cause) => link.onLost(cause));
  port.on("close", (cause: Error | null) => {
    if (cause) link.onLost(cause);
  });
  // Whatever noise the other side holds ends here.
  port.write(Buffer.from([end]));
  return link;
}

/** What the operating systems say of a port that somebody else has. */
const locked = /lock|busy|temporarily unavailable/i;

/** Why a port cannot be opened, in words that help. */
function reasonOf({ message }: Error): string {
  if (locked.test(message)) return "another program has it open (a terminal, or another wasmote)";
  if (/permission|access denied/i.test(message))
    return `${message}: on Linux, \`sudo usermod -aG dialout $USER\` and a new login give access`;
  return message.replace(/^Error:? /, "");
}

/** Frames bytes for a slipmux line; CoAP frames carry the FCS-16 of RFC 1662 §C.2. */
export function encodeFrame(kind: number, content: Uint8Array): number[] {
  const bytes = [kind, ...content];
  if (kind === coapFrame) {
    const sum = fcs16(bytes);
    bytes.push(sum & 255, sum >> 8);
  }
  return [
    end,
    ...bytes.flatMap((byte) =>
      byte === end ? [escape, 0xdc] : byte === escape ? [escape, 0xdd] : [byte],
    ),
    end,
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
      if (byte === end) {
        const [kind] = frame;
        if (kind === diagnosticFrame && !broken) {
          onText(Buffer.from(frame.slice(1)).toString("utf8").trimEnd());
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
        if (byte === 0xdc) frame.push(end);
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
