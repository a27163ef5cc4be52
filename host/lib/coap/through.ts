// A way to a node through a gateway, which has the link to it: a WebSocket whose messages are datagrams. The token is WASMOTE_TOKEN's.
import { WebSocket } from "ws";
import { NodeError } from "../errors.ts";
import { oneLine } from "../text.ts";
import type { Link } from "./link.ts";

/** How long a gateway may take to let somebody in, in milliseconds. */
const patience = 10_000;
/** Message IDs of what is under way: a WebSocket loses nothing, so that nothing is said twice. */
const mostUnderway = 256;

/** Opens `gateway+http://HOST:PORT/NODE`. */
export async function openThrough(address: string): Promise<Link> {
  const url = new URL(address.slice("gateway+".length));
  const place = new URL(`/api/nodes${url.pathname}/coap`, url);
  place.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const token = process.env["WASMOTE_TOKEN"];
  const socket = new WebSocket(place, {
    perMessageDeflate: false,
    handshakeTimeout: patience,
    maxPayload: 4_096,
    ...(token ? { headers: { authorization: `Bearer ${token}` } } : {}),
  });
  const name = oneLine(decodeURIComponent(url.pathname.slice(1)));
  await new Promise<void>((resolve, reject) => {
    const fail = (message: string, cause?: unknown) =>
      reject(new NodeError("link", message, { cause }));
    socket.once("open", resolve);
    socket.once("error", (cause) =>
      fail(`the gateway ${url.origin} cannot be reached: ${oneLine(cause.message)}`, cause),
    );
    socket.once("unexpected-response", (_, { statusCode }) => {
      socket.terminate();
      fail(
        statusCode === 404
          ? `the gateway ${url.origin} has no node ${name}`
          : statusCode === 401 || statusCode === 403
            ? `the gateway ${url.origin} lets nobody in without a token: set WASMOTE_TOKEN`
            : `the gateway ${url.origin} refuses with status ${statusCode}`,
      );
    });
  });
  let closing = false;
  const underway = new Set<number>();
  const link: Link = {
    address,
    send: (datagram) => {
      const confirmable = datagram.length >= 4 && (datagram[0]! & 0x30) === 0;
      if (confirmable) {
        const id = datagram[2]! * 256 + datagram[3]!;
        if (underway.has(id)) return;
        if (underway.size >= mostUnderway) underway.clear();
        underway.add(id);
      }
      socket.send(datagram, () => {});
    },
    onDatagram: () => {},
    onText: () => {},
    onUnreachable: () => {},
    onLost: () => {},
    close: async () => {
      closing = true;
      if (socket.readyState === WebSocket.CLOSED) return;
      await new Promise<void>((resolve) => {
        socket.once("close", () => resolve());
        socket.close();
        // Whoever does not answer is left all the same.
        setTimeout(() => socket.terminate(), 1_000).unref();
      });
    },
  };
  socket.on("message", (data, isBinary) => {
    if (!isBinary || !Buffer.isBuffer(data)) return;
    if (data.length >= 4) underway.delete(data.readUInt16BE(2));
    link.onDatagram(data);
  });
  socket.on("error", () => {});
  socket.on("close", () => {
    if (!closing) link.onLost(new Error("the gateway closed the connection"));
  });
  return link;
}
