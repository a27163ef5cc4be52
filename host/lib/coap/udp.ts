// Datagrams over UDP, to one node.
import { createSocket } from "node:dgram";
import { lookup } from "node:dns/promises";
import { once } from "node:events";
import { NodeError } from "../errors.ts";
import { noAddress } from "./address.ts";
import type { Link } from "./link.ts";

/** Opens `coap://host[:port]`. */
export async function openUdp(address: string): Promise<Link> {
  let url: URL;
  try {
    url = new URL(address);
  } catch (cause) {
    throw noAddress(address, cause);
  }
  if (url.protocol !== "coap:" || url.hostname === "") throw noAddress(address);
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const unreachable = (cause: unknown) =>
    new NodeError("link", `${host} cannot be reached: ${(cause as Error).message}`, { cause });
  // Of a name with addresses of both kinds the older one: small nodes have no other.
  const found = await lookup(host, { verbatim: false }).catch((cause: unknown) => {
    throw unreachable(cause);
  });
  const socket = createSocket(found.family === 6 ? "udp6" : "udp4");
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
    socket.connect(Number(url.port || 5683), found.address);
    await connected;
  } catch (cause) {
    await link.close();
    throw unreachable(cause);
  }
  // ICMP errors of what was sent come back here.
  socket.on("error", (cause) => link.onUnreachable(cause));
  return link;
}
