// Datagrams over a serial line, framed by slipmux, with the text beside them.
import { setTimeout } from "node:timers/promises";
import { NodeError } from "../errors.ts";
import { noAddress } from "./address.ts";
import type { Link } from "./link.ts";
import { coapFrame, encodeFrame, frameDecoder, frameEnd } from "./slipmux.ts";

/** Opens `serial:PATH[?baud=N]`. */
export async function openSerial(address: string): Promise<Link> {
  const [path = "", query = ""] = address.slice("serial:".length).split("?", 2);
  const baudRate = Number(new URLSearchParams(query).get("baud") ?? 115_200);
  if (path === "" || !Number.isInteger(baudRate) || baudRate <= 0) {
    throw noAddress(address);
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
  port.write(Buffer.from([frameEnd]));
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
