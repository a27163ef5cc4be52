// Looks for nodes: on the network, at serial ports, in wasmote.toml.
import { readdirSync } from "node:fs";
import { createSocket } from "node:dgram";
import { generate, parse } from "coap-packet";
import { Node } from "../lib/node.ts";
import { print, project, table } from "./context.ts";

interface Found {
  address: string;
  name: string;
  how: string;
}

/** CoAP's group and port (RFC 7252 §12.8). */
const group = "224.0.1.187";
const port = 5683;

export async function scanVerb(options: { seconds: string; json?: boolean }): Promise<void> {
  const listen = Math.max(0.1, Number(options.seconds) || 2) * 1000;
  const found = (await Promise.all([network(listen), serial(listen), named(listen)])).flat();
  print(options.json, found, () =>
    found.length === 0
      ? "no node answers: is one on this network or plugged in? `wasmote emulate` starts one here"
      : table(
          found.map(({ address, name, how }): [string, string] => [address, `${name}  (${how})`]),
        ),
  );
}

/** Who answers a request for /.well-known/core to the group, and has a node's resources. */
async function network(listen: number): Promise<Found[]> {
  const socket = createSocket({ type: "udp4", reuseAddr: true });
  const found = new Map<string, Found>();
  socket.on("message", (bytes, { address, port: from }) => {
    try {
      if (!parse(bytes).payload.toString("utf8").includes("wasmote.node")) return;
      const place = `coap://${address}${from === port ? "" : `:${from}`}`;
      found.set(place, { address: place, name: "", how: "answered the group" });
    } catch {
      // Not CoAP: somebody else's datagram.
    }
  });
  socket.on("error", () => {});
  await new Promise<void>((resolve) => socket.bind(0, resolve));
  const request = generate({
    code: "0.01",
    confirmable: false,
    messageId: 1,
    token: Buffer.from([1]),
    options: [
      { name: "Uri-Path", value: Buffer.from(".well-known") },
      { name: "Uri-Path", value: Buffer.from("core") },
      { name: "Uri-Query", value: Buffer.from("rt=wasmote.node") },
    ],
  });
  socket.send(request, port, group, () => {});
  await new Promise((resolve) => setTimeout(resolve, listen));
  socket.close();
  return Promise.all([...found.values()].map((one) => ask(one, listen)));
}

/** Serial ports that look like a board's; one that does not answer is not a node, or is busy. */
async function serial(listen: number): Promise<Found[]> {
  const ports = readdirSync("/dev").filter((name) => /^(ttyACM|ttyUSB|cu\.usb)/.test(name));
  const all = ports.map((name) =>
    ask({ address: `serial:/dev/${name}`, name: "", how: "serial port" }, listen),
  );
  return Promise.all(all);
}

async function named(listen: number): Promise<Found[]> {
  const all = Object.entries(project().nodes).map(([name, address]) =>
    ask({ address, name, how: "wasmote.toml" }, listen),
  );
  return Promise.all(all);
}

async function ask(one: Found, listen: number): Promise<Found> {
  try {
    await using node = await Node.connect(one.address);
    const info = await node.info(AbortSignal.timeout(listen));
    return {
      ...one,
      name: typeof info["name"] === "string" ? info["name"] : one.name,
      how: `${one.how}, answers`,
    };
  } catch {
    return { ...one, how: `${one.how}, does not answer now` };
  }
}
