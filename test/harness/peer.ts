// A CoAP peer on UDP that answers each datagram as a test tells it.
import { createSocket, type RemoteInfo } from "node:dgram";
import { once } from "node:events";
import { generate, parse, type ParsedPacket } from "coap-packet";

export interface Peer extends AsyncDisposable {
  readonly address: string;
}

export async function peer(
  answer: (request: ParsedPacket, send: (datagram: Buffer) => void) => void,
): Promise<Peer> {
  const socket = createSocket("udp4").bind(0, "127.0.0.1");
  await once(socket, "listening");
  socket.on("error", () => {});
  let open = true;
  socket.on("message", (datagram: Buffer, { port, address }: RemoteInfo) => {
    answer(parse(datagram), (bytes) => {
      if (open) socket.send(bytes, port, address, () => {});
    });
  });
  return {
    address: `coap://127.0.0.1:${socket.address().port}`,
    async [Symbol.asyncDispose]() {
      open = false;
      socket.close();
    },
  };
}

/** A piggybacked response. */
export function reply(request: ParsedPacket, code: string, more: object = {}): Buffer {
  const { messageId, token } = request;
  return generate({ ack: true, messageId, token, code, ...more });
}

export function uintOf(packet: ParsedPacket, name: string): number | undefined {
  const found = packet.options.find((one) => one.name === name)?.value as Buffer | undefined;
  return found?.reduce((sum, byte) => sum * 256 + byte, 0);
}

/** Whether datagrams to a group come back by this computer's own loop: not every machine lets them. */
export async function multicastLoops(): Promise<boolean> {
  const group = "224.0.1.187";
  const socket = createSocket({ type: "udp4", reuseAddr: true });
  socket.on("error", () => {});
  try {
    socket.bind(0);
    await once(socket, "listening");
    socket.addMembership(group, "127.0.0.1");
    socket.setMulticastInterface("127.0.0.1");
    const heard = once(socket, "message", { signal: AbortSignal.timeout(2000) });
    socket.send("?", socket.address().port, group, () => {});
    await heard;
    return true;
  } catch {
    return false;
  } finally {
    socket.close();
  }
}
