// What must not harm the others: a viewer that does not read, a node that lists other resources each time, one that answers at random.
// Memory stays bounded, and nothing is lost in silence.
import { connect, type Socket } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { encode } from "cbor2";
import { expect, test } from "vitest";
import type { Envelope } from "../../host/gateway/envelope.ts";
import { randomBelow } from "../harness/random.ts";
import { option, pathOf, scripted, type Scripted } from "./coap-server.ts";
import { startGateway, until } from "./harness.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
const used = () => {
  collect();
  return process.memoryUsage().heapUsed;
};

/** What a node says of itself, as little as there has to be. */
const documents: Record<string, (name: string) => Uint8Array> = {
  node: (name) => encode({ name, security: "open", class: "x", contract: 1, limits: {} }),
  stats: () => encode({}),
  app: () => app(0),
};
const app = (highest: number) => encode({ state: "empty", previous: 0, highest, returned: false });
const cbor = { name: "Content-Format", value: Buffer.from([60]) };
const bytes = (value: number) => Buffer.from([value >> 8, value & 255]);

test("a viewer that does not read costs a bounded amount, and is told what was left out", async () => {
  await using running = await startGateway();
  const { gateway, token } = running;
  // Parts of the gateway look on, too.
  const { viewers } = gateway.hub;
  const socket = connect(gateway.port, "127.0.0.1");
  socket.pause();
  socket.write(
    `GET /api/stream HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${token}\r\naccept: text/event-stream\r\n\r\n`,
  );
  await until(() => gateway.hub.viewers > viewers);
  const resources = 7;
  let published = 0;
  const publish = (many: number) => {
    for (let more = 0; more < many; more++, published++)
      gateway.hub.publish({
        node: `n${published % resources}`,
        resource: "x",
        time: published,
        value: published,
      });
  };
  // Until its channel is full, whatever the two kernels keep for it.
  while (gateway.hub.dropped === 0) {
    publish(10_000);
    await gateway.history.flush();
  }
  const before = used();
  publish(30_000);
  await gateway.history.flush();
  // Nobody reads: what comes from here on takes no memory.
  expect(used() - before).toBeLessThan(10e6);
  expect(gateway.hub.dropped).toBeGreaterThan(29_000);
  let text = "";
  let values = 0;
  let told = 0;
  const newest = new Map<string, number>();
  socket.on("data", (part: Buffer) => {
    text += part.toString("latin1");
    const end = text.lastIndexOf("\n");
    for (const [, json = ""] of text.slice(0, end + 1).matchAll(/^data: (\{.*\})$/gm)) {
      const { node, value, dropped = 0 } = JSON.parse(json) as Envelope;
      values++;
      told += dropped;
      newest.set(node, value!);
    }
    text = text.slice(end + 1);
  });
  socket.resume();
  await until(
    () =>
      newest.size === resources &&
      [...newest.values()].every((value) => value >= published - resources),
  );
  // Each value came or is counted in one that came.
  expect(values + told).toBe(published);
  socket.destroy();
}, 120_000);

test("a node that lists other resources each time is known by a bounded number of them", async () => {
  let round = 0;
  let told = 0;
  const tell: ((reply: Scripted) => void)[] = [];
  await using server = await scripted(
    (request) => {
      const path = pathOf(request);
      const observe =
        option(request, "Observe")?.length === 0
          ? [{ name: "Observe", value: Buffer.from([1]) }]
          : [];
      if (path === "app")
        return { code: "2.05", payload: Buffer.from(app(round)), options: [...observe, cbor] };
      const known = documents[path];
      if (known !== undefined)
        return { code: "2.05", payload: Buffer.from(known("liar")), options: [cbor] };
      if (path === ".well-known/core") {
        told = round;
        const odd = [
          "</outputs/>;obs",
          "</outputs/../node>;obs",
          `</outputs/${"x".repeat(60)}>;obs`,
        ];
        const links = Array.from({ length: 40 }, (_, at) => `</outputs/o${round}-${at}>;obs`);
        return { code: "2.05", payload: [...odd, ...links].join(",").slice(0, 1_000) };
      }
      return { code: "2.05", payload: String(round), options: observe };
    },
    (notify, request) => {
      if (pathOf(request) === "app") tell.push(notify);
    },
  );
  await using running = await startGateway(
    {},
    { nodes: { liar: `coap://127.0.0.1:${server.port}` } },
  );
  const { gateway } = running;
  const liar = gateway.nodes.get("liar")!;
  await until(() => liar.resources.length > 0);
  const before = used();
  const seen = new Set<string>();
  for (round = 1; round <= 60; round++) {
    const payload = Buffer.from(app(round));
    const options = [{ name: "Observe", value: bytes(round + 1) }, cbor];
    // What it lists is fetched for each state that is noticed; said again until it is, as a datagram may be lost.
    await until(() => {
      for (const notify of tell) notify({ code: "2.05", payload, options });
      return told === round || liar.app?.highest === round;
    });
    for (const { resource } of gateway.hub.all()) seen.add(resource);
  }
  await until(() => told >= 60);
  expect(seen.size).toBeGreaterThan(0);
  expect(new Set([...gateway.hub.all()].map(({ resource }) => resource)).size).toBeLessThanOrEqual(
    1_024,
  );
  for (const { resource } of gateway.hub.all())
    expect(resource).toMatch(/^outputs\/[\w.:-]{1,32}$/);
  expect(used() - before).toBeLessThan(20e6);
  expect((await running.ask("/api/nodes")).status).toBe(200);
}, 120_000);

test("a node that answers at random costs itself alone", async () => {
  const next = randomBelow(23);
  const noise = (most: number) => Buffer.from(Array.from({ length: next(most) }, () => next(256)));
  const names = [
    "Observe",
    "ETag",
    "Block2",
    "Max-Age",
    "Content-Format",
    "Location-Path",
    "Size2",
  ];
  const codes = ["2.05", "2.05", "2.05", "2.03", "2.31", "4.04", "4.08", "5.00", "5.03", "7.31"];
  let odd = 0;
  await using server = await scripted((request) => {
    const good = documents[pathOf(request)];
    // Often enough as it should be, so that it is talked to at all.
    if (good !== undefined && next(4) > 0)
      return { code: "2.05", payload: Buffer.from(good("noise")), options: [cbor] };
    odd++;
    if (next(20) === 0) return undefined;
    const payload =
      next(2) > 0 ? noise(300) : Buffer.from('</sensors/level>;obs,</outputs/x>;obs;rt="a"');
    const options = Array.from({ length: next(4) }, () => ({
      name: names[next(names.length)]!,
      value: noise(9),
    }));
    return { code: codes[next(codes.length)]!, payload, options };
  });
  await using quiet = await scripted((request) =>
    pathOf(request) === "x" ? { code: "2.05", payload: "fine" } : { code: "4.04" },
  );
  await using running = await startGateway(
    { targets: ["127.0.0.1"] },
    {
      nodes: { noise: `coap://127.0.0.1:${server.port}` },
      period: 20,
      patience: 300,
      reconnect: 50,
    },
  );
  // The limit per token is tried elsewhere.
  running.gateway.access.limit = () => undefined;
  const before = used();
  for (let count = 0; odd < 100; count++) {
    const place = `/nodes/noise/${["node", "app", "sensors/level", "log"][next(4)]!}`;
    const response = await running.ask(`${place}?${count}`);
    expect(response.status).toBeGreaterThanOrEqual(200);
    expect(response.status).toBeLessThan(600);
    await response.arrayBuffer();
    if (count % 50 === 0) {
      const other = await running.ask(`/hc/coap://127.0.0.1:${quiet.port}/x?${count}`);
      expect(await other.text()).toBe("fine");
    }
  }
  expect(used() - before).toBeLessThan(20e6);
}, 120_000);

/** Connections to a gateway that stay; whether each is served and still there. */
function callers({ gateway, token }: Awaited<ReturnType<typeof startGateway>>) {
  const opened: Socket[] = [];
  /** From an address of this machine, for what anybody may ask for. */
  const open = async (localAddress: string, more = "", path = "/healthz") => {
    const socket = connect({ port: gateway.port, host: "127.0.0.1", localAddress });
    opened.push(socket);
    socket.on("error", () => {});
    let said = "";
    socket.on("data", (part: Buffer) => (said += part.toString("latin1")));
    const ask = async () => {
      said = "";
      socket.write(`GET ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\n${more}\r\n`);
      await until(() => said.includes("\r\n\r\n") || socket.destroyed);
      return said.slice(9, 12);
    };
    return { ask, first: await ask() };
  };
  return {
    open,
    own: (mine = token) => open("127.0.0.1", `authorization: Bearer ${mine}\r\n`, "/api/nodes"),
    left: () => opened.filter(({ destroyed }) => !destroyed).length,
    [Symbol.dispose]: () => opened.forEach((socket) => socket.destroy()),
  };
}

test("no number of connections shuts out who has a token, nor other addresses", async () => {
  await using running = await startGateway({}, { connections: 20 });
  using calls = callers(running);
  const { open, own, left } = calls;
  const owner = await own();
  expect(owner.first).toBe("200");
  const neighbour = await open("127.0.0.3");
  // Each is served: the oldest of their own give way.
  for (let more = 0; more < 60; more++) expect((await open("127.0.0.2")).first).toBe("200");
  expect(await owner.ask()).toBe("200");
  expect(await neighbour.ask()).toBe("200");
  expect((await open("127.0.0.4")).first).toBe("200");
  expect((await own()).first).toBe("200");
  await until(() => left() <= 20);
  expect(await running.ask("/api/nodes")).toMatchObject({ status: 200 });
});

test("one token has at most half of the connections, and its newest", async () => {
  await using running = await startGateway({}, { connections: 20 });
  using calls = callers(running);
  const { open, own, left } = calls;
  const other = running.gateway.access.create("reader", "read");
  const reader = await own(other);
  expect(reader.first).toBe("200");
  for (let more = 0; more < 60; more++) expect((await own()).first).toBe("200");
  await until(() => left() <= 11);
  expect(left()).toBe(11);
  expect(await reader.ask()).toBe("200");
  expect((await open("127.0.0.2")).first).toBe("200");
  expect((await own(other)).first).toBe("200");
});
