// Nodes on the networks of this computer: who answers a request to CoAP's group (RFC 7252 §8, §12.8; RFC 7390 §2.8).
import { randomBytes, randomInt } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { networkInterfaces } from "node:os";
import { generate, parse } from "coap-packet";

export interface DiscoverOptions {
  /** How long to listen, in milliseconds. A node waits up to five seconds before it answers a group (RFC 7252 §8.2). */
  listen?: number;
  signal?: AbortSignal | undefined;
}

const group = "224.0.1.187";
const port = 5683;

/** The addresses of nodes, each once, as they answer. */
export async function* discover(options: DiscoverOptions = {}): AsyncGenerator<string, void, void> {
  const { listen = 6_000, signal } = options;
  const token = randomBytes(4);
  const found = new Set<string>();
  const queue: string[] = [];
  let wake = (): void => {};
  const hear = (bytes: Buffer, { address, port: from }: { address: string; port: number }) => {
    try {
      const packet = parse(bytes);
      if (!packet.token.equals(token) || !packet.payload.includes("wasmote.node")) return;
    } catch {
      // Not CoAP: somebody else's datagram.
      return;
    }
    const place = `coap://${address}${from === port ? "" : `:${from}`}`;
    if (found.has(place)) return;
    found.add(place);
    queue.push(place);
    wake();
  };
  const request = generate({
    code: "0.01",
    confirmable: false,
    messageId: randomInt(0x10000),
    token,
    options: [
      { name: "Uri-Path", value: Buffer.from(".well-known") },
      { name: "Uri-Path", value: Buffer.from("core") },
      { name: "Uri-Query", value: Buffer.from("rt=wasmote.node") },
    ],
  });
  // By every interface, this computer's own loop too: the one that the system would choose need not be the right one.
  const interfaces = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const sockets: Socket[] = [];
  for (const { address, family } of interfaces) {
    if (family !== "IPv4") continue;
    const socket = createSocket("udp4");
    sockets.push(socket);
    socket.on("message", hear);
    socket.on("error", () => {});
    socket.bind(0, address, () => {
      try {
        socket.setMulticastInterface(address);
        socket.send(request, port, group, () => {});
      } catch {
        // An interface without multicast.
      }
    });
  }
  let over = false;
  const end = () => {
    over = true;
    wake();
  };
  const timer = setTimeout(end, listen);
  signal?.addEventListener("abort", end);
  try {
    for (;;) {
      const place = queue.shift();
      if (place !== undefined) yield place;
      else if (over || signal?.aborted) return;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", end);
    for (const socket of sockets) socket.close();
  }
}
