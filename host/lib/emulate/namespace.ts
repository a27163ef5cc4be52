// A separate network for an emulator with Ethernet: a namespace with a TAP interface (renode/network.mjs runs in it), and the way into it
// from outside.
import { spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { accessSync, constants, existsSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import { packageRoot } from "../root.ts";
import { onPath } from "./programs.ts";
import { connect } from "./socket.ts";

/** The address that the board gets by DHCP. */
const board = "10.0.2.15";
/** CoAP's port (RFC 7252 §6.1). */
const port = 5683;

/** What begins a command in a network namespace of its own: root may make one, and whoever may make a user namespace is root in that. */
const ways = [
  ["unshare", "--net"],
  ["unshare", "--net", "--user", "--map-root-user"],
];
const device = "/dev/net/tun";

/** The way that works here, or why none does. Tried once. */
let tried: { way: string[] } | { reason: string } | undefined;

function apart(): { way: string[] } | { reason: string } {
  return (tried ??= tryWays());
}

function tryWays(): { way: string[] } | { reason: string } {
  if (process.platform !== "linux") return { reason: "only Linux has network namespaces" };
  const needed = ["unshare", "ip", "setpriv"].find((program) => onPath(program) === undefined);
  if (needed !== undefined) return { reason: `there is no ${needed} for a network namespace` };
  if (!existsSync(device)) return { reason: `there is no ${device} for a TAP interface` };
  try {
    accessSync(device, constants.R_OK | constants.W_OK);
  } catch {
    return { reason: `${device} may be opened by root only: chmod 666 ${device}, once, as root` };
  }
  let said = "";
  for (const way of ways) {
    const tap = ["ip", "tuntap", "add", "dev", "wasmote0", "mode", "tap"];
    const [program = "", ...words] = [...way, ...tap];
    const { status, stderr } = spawnSync(program, words, { encoding: "utf8" });
    if (status === 0) return { way };
    said = stderr.trim().split("\n").at(-1) ?? "";
  }
  return {
    reason: `neither root nor a user namespace gives a TAP interface in a network namespace: ${said}`,
  };
}

/** Why there can be no such network here, or nothing. */
export function missingNamespace(): string | undefined {
  const found = apart();
  return "reason" in found ? found.reason : undefined;
}

/** The words that start a program in such a network, to which `gate` is the way in. */
export function inNamespace(gate: string, program: string, words: string[]): [string, string[]] {
  const found = apart();
  if ("reason" in found) throw new Error(found.reason);
  const [first = "", ...rest] = found.way;
  const inner = [process.execPath, join(packageRoot, "renode/network.mjs"), gate, program];
  return [first, [...rest, ...inner, ...words]];
}

/** What the emulator is told so that the board's network is the TAP interface. */
export const tapCommands = [
  'emulation CreateTap "wasmote0" "tap"',
  "connector Connect host.tap network",
];

/** Connects to a TCP port inside the namespace. */
export async function connectThrough(gate: string, to: number): Promise<Socket> {
  const socket = await connect(gate);
  socket.write(`tcp ${to}\n`);
  // An empty line says that it is joined; else it is closed.
  const joined = once(socket, "readable").then(() => socket.read(1) !== null);
  const closed = once(socket, "close").then(() => false);
  if (await Promise.race([joined, closed])) return socket;
  socket.destroy();
  throw new Error(`nobody listens at port ${to}`);
}

/** A UDP port of this computer that leads to the board: each client gets its own socket inside, so that the node can tell clients apart. */
export async function portThrough(
  gate: string,
): Promise<{ address: string; close: () => Promise<void> }> {
  const outside = createSocket("udp4").bind(0, "127.0.0.1");
  await once(outside, "listening");
  const clients = new Map<number, Promise<Socket>>();
  let open = true;
  const join = async (client: number) => {
    const socket = await connect(gate);
    let held = Buffer.alloc(0);
    socket.on("data", (bytes: Buffer) => {
      held = Buffer.concat([held, bytes]);
      while (held.length >= 2 && held.length >= 2 + held.readUInt16BE(0)) {
        const length = held.readUInt16BE(0);
        if (open) outside.send(held.subarray(2, 2 + length), client, "127.0.0.1");
        held = held.subarray(2 + length);
      }
    });
    socket.once("close", () => clients.delete(client));
    socket.write(`udp ${board} ${port}\n`);
    return socket;
  };
  outside.on("message", (bytes, from) => {
    const there = clients.get(from.port) ?? join(from.port);
    clients.set(from.port, there);
    const length = Buffer.alloc(2);
    length.writeUInt16BE(bytes.length);
    there.then(
      (socket) => socket.write(Buffer.concat([length, bytes])),
      () => clients.delete(from.port),
    );
  });
  outside.on("error", () => {});
  return {
    address: `coap://127.0.0.1:${outside.address().port}`,
    close: async () => {
      open = false;
      const all = await Promise.allSettled(clients.values());
      for (const one of all) if (one.status === "fulfilled") one.value.destroy();
      await new Promise<void>((resolve) => outside.close(() => resolve()));
    },
  };
}
