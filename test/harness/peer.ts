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
