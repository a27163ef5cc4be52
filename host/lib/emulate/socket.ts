// Sockets of emulators: a path or a TCP port of this computer.
import { once } from "node:events";
import { createConnection, createServer, type Socket } from "node:net";

/** A TCP port that nobody has. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** Connects to a socket's path, or to a TCP port of this computer. */
export async function connect(to: string | number): Promise<Socket> {
  const socket = createConnection(
    typeof to === "number" ? { host: "127.0.0.1", port: to } : { path: to },
  );
  await once(socket, "connect");
  socket.on("error", () => {});
  return socket;
}
