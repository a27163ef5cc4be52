// The resource directory (RFC 9176): registration, simple registration, update, lookup, expiry; with aiocoap's client beside.
import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { encode } from "cbor2";
import { generate, parse } from "coap-packet";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Node, parseLinks } from "../../host/lib/node.ts";
import { answerOf, type Response } from "../../host/lib/coap/endpoint.ts";
import { environment } from "../../host/setup.mjs";
import { startGateway, until, type Running } from "./harness.ts";

const { python } = environment() as { python?: { ok: boolean; what: string } };

let running: Running;
let client: Node;
beforeAll(async () => {
  running = await startGateway({ directory: { host: "127.0.0.1", port: 0 } });
  client = await Node.connect(`coap://127.0.0.1:${running.gateway.coap!.port}`);
});
afterAll(async () => {
  await client.close();
  await running[Symbol.asyncDispose]();
});

const post = (path: string, query: string[], payload = "") =>
  client
    .request("POST", path, { query, payload: Buffer.from(payload), format: "link" })
    .catch((error: unknown) => {
      const answer = answerOf(error);
      if (answer === undefined) throw error;
      return answer;
    });
const location = ({ options }: Response) =>
  options
    .filter(({ name }) => name === "Location-Path")
    .map(({ value }) => value.toString())
    .join("/");
const look = async (path: string, ...query: string[]) =>
  parseLinks((await client.request("GET", path, { query })).payload.toString());

test("says where registration and lookup are", async () => {
  const links = await look(".well-known/core");
  expect(links.map(({ attributes }) => attributes["rt"])).toEqual([
    "core.rd",
    "core.rd-lookup-ep",
    "core.rd-lookup-res",
    "core.hc",
  ]);
  // By what is asked for (RFC 6690 §4.1).
  expect((await look(".well-known/core", "rt=core.rd*")).length).toBe(3);
  expect((await look(".well-known/core", "href=/rd")).length).toBe(1);
});

test("the same name keeps its place; another domain is another", async () => {
  const first = await post("rd", ["ep=same", "lt=60"], '</a>;rt="temperature"');
  const again = await post("rd", ["ep=same", "lt=70"], "</b>");
  const other = await post("rd", ["ep=same", "d=other"], "</b>");
  expect([
    first.status,
    location(first) === location(again),
    location(first) === location(other),
  ]).toEqual(["2.01", true, false]);
  expect((await look("rd-lookup/ep", "ep=same")).length).toBe(2);
  expect((await look("rd-lookup/ep", "ep=same", "d=other"))[0]?.attributes).toMatchObject({
    ep: "same",
    d: "other",
  });
});

test("lookups: all criteria hold, a star ends a prefix, one word of several; links are resolved; pages", async () => {
  await post(
    "rd",
    ["ep=look", "et=river"],
    '</sensors/level>;rt="wasmote.sensor core.s";obs,</sensors/rain>;rt="wasmote.sensor"',
  );
  const [link] = await look("rd-lookup/res", "ep=look", "rt=core.s");
  expect(link?.path).toMatch(/^coap:\/\/127\.0\.0\.1:\d+\/sensors\/level$/);
  expect(link?.attributes["anchor"]).toMatch(/^coap:\/\/127/);
  expect((await look("rd-lookup/res", "ep=look", "rt=wasmote.*")).length).toBe(2);
  expect((await look("rd-lookup/res", "ep=look", "rt=core.s", "rt=nothing")).length).toBe(0);
  expect((await look("rd-lookup/ep", "et=river")).length).toBe(1);
  expect(
    (await look("rd-lookup/res", "ep=look", "count=1", "page=1")).map(({ path }) =>
      path.split("/").pop(),
    ),
  ).toEqual(["rain"]);
});

test("an update prolongs, a removal removes, a lifetime ends", async () => {
  const place = location(await post("rd", ["ep=brief", "lt=60"], "</a>"));
  expect((await post(place, ["lt=120"])).status).toBe("2.04");
  expect(
    running.gateway.directory!.list().find(({ endpoint }) => endpoint === "brief")?.lifetime,
  ).toBe(120);
  expect(running.gateway.nodes.get("brief")).toBeDefined();
  running.gateway.directory!.expire(performance.now() + 121_000);
  expect((await look("rd-lookup/ep", "ep=brief")).length).toBe(0);
  expect(running.gateway.nodes.get("brief")).toBeUndefined();
  expect((await post(place, [])).status).toBe("4.04");
});

test.each([
  [[], "4.00"],
  [["ep="], "4.00"],
  [[`ep=${"x".repeat(64)}`], "4.00"],
  [["ep=a\u0007b"], "4.00"],
  [["ep=x", "lt=0"], "4.00"],
  [["ep=x", "lt=4294967296"], "4.00"],
  [["ep=x", "base=coap://192.0.2.9"], "4.03"],
  [["ep=x", "base=http://127.0.0.1"], "4.03"],
])("%j is refused with %s", async (query, code) =>
  expect((await post("rd", query)).status).toBe(code),
);

test("a critical option that is not known is refused (RFC 7252 §5.4.1)", async () => {
  const status = (name: string) =>
    client.request("GET", "rd-lookup/ep", { options: [{ name, value: Buffer.from("x") }] }).then(
      (response) => response.status,
      (error: unknown) => answerOf(error)?.status,
    );
  expect([await status("9"), await status("65001"), await status("If-Match")]).toEqual([
    "4.02",
    "4.02",
    "4.02",
  ]);
  expect([await status("65000"), await status("Max-Age")]).toEqual(["2.05", "2.05"]);
});

describe("a name is whose it was first (RFC 9176 §7.5)", () => {
  /** An endpoint that answers requests from a socket of its own, and what it gets back for its own ones. */
  async function endpoint(name?: string) {
    const socket = createSocket("udp4");
    socket.bind(0, "127.0.0.1");
    await once(socket, "listening");
    let next = 100;
    const waiting = new Map<number, (code: string) => void>();
    socket.on("message", (bytes, from) => {
      const packet = parse(bytes);
      if (packet.ack) return waiting.get(packet.messageId)?.(packet.code);
      const { messageId, token } = packet;
      const payload = name === undefined ? undefined : encode({ name, security: "open" });
      const reply = payload === undefined ? { code: "4.04" } : { code: "2.05", payload };
      socket.send(
        generate({ ...reply, payload: Buffer.from(payload ?? []), ack: true, messageId, token }),
        from.port,
        from.address,
      );
    });
    return {
      port: socket.address().port,
      close: () => new Promise<void>((resolve) => socket.close(() => resolve())),
      ask: (code: string, path: string, query: string[] = []) =>
        new Promise<string>((resolve) => {
          const messageId = next++;
          waiting.set(messageId, resolve);
          const options = [
            ...path.split("/").map((part) => ["Uri-Path", part] as const),
            ...query.map((part) => ["Uri-Query", part] as const),
          ].map(([option, text]) => ({ name: option, value: Buffer.from(text) }));
          socket.send(
            generate({ code, confirmable: true, messageId, token: Buffer.from([1]), options }),
            running.gateway.coap!.port,
            "127.0.0.1",
          );
        }),
    };
  }
  const base = (name: string) =>
    running.gateway.directory!.list().find((one) => one.endpoint === name)?.base;

  test("a stranger gets it neither by registering, nor by updating, nor by removing, while the node answers", async () => {
    const node = await endpoint("held");
    const stranger = await endpoint("held");
    expect(await node.ask("0.02", "rd", ["ep=held", "lt=60"])).toBe("2.01");
    const before = base("held");
    const place = running.gateway
      .directory!.list()
      .find((one) => one.endpoint === "held")!.location;
    expect([
      await stranger.ask("0.02", "rd", ["ep=held", "lt=60"]),
      await stranger.ask("0.02", place, ["lt=9000"]),
      await stranger.ask("0.04", place),
      base("held"),
    ]).toEqual(["4.03", "4.03", "4.03", before]);
    // The node itself does all of it.
    expect(await node.ask("0.02", place, ["lt=120"])).toBe("2.04");
    expect(await node.ask("0.02", "rd", ["ep=held", "lt=60"])).toBe("2.01");
    // Gone from its address, it may be anywhere else: the name goes along.
    await node.close();
    expect(await stranger.ask("0.02", "rd", ["ep=held", "lt=60"])).toBe("2.01");
    expect(base("held")).toBe(`coap://127.0.0.1:${stranger.port}`);
    expect(await stranger.ask("0.04", place)).toBe("2.02");
    await stranger.close();
  });

  test("another node that has the address by now does not hold the name", async () => {
    const other = await endpoint("other");
    expect(await other.ask("0.02", "rd", ["ep=moved", "lt=60"])).toBe("2.01");
    const moved = await endpoint("moved");
    expect(await moved.ask("0.02", "rd", ["ep=moved", "lt=60"])).toBe("2.01");
    expect(base("moved")).toBe(`coap://127.0.0.1:${moved.port}`);
    await Promise.all([other.close(), moved.close()]);
  });

  test("an endpoint that is no node of ours holds its name too", async () => {
    const plain = await endpoint();
    const stranger = await endpoint();
    expect(await plain.ask("0.02", "rd", ["ep=plain", "lt=60"])).toBe("2.01");
    expect(await stranger.ask("0.02", "rd", ["ep=plain", "lt=60"])).toBe("4.03");
    await Promise.all([plain.close(), stranger.close()]);
  });
});

test("simple registration: the directory fetches the links from where the request came, and keeps the name", async () => {
  const socket = createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  const codes: string[] = [];
  socket.on("message", (bytes, from) => {
    const packet = parse(bytes);
    if (packet.code !== "0.01") return void codes.push(packet.code);
    const core = packet.options.some(({ value }) => value.toString() === "core");
    const options = [{ name: "Content-Format" as const, value: Buffer.from([40]) }];
    const { messageId, token } = packet;
    const reply = core
      ? { code: "2.05", options, payload: Buffer.from('</sensors/level>;rt="wasmote.sensor"') }
      : { code: "4.04" };
    socket.send(generate({ ...reply, ack: true, messageId, token }), from.port, from.address);
  });
  const words = [
    ["Uri-Path", ".well-known"],
    ["Uri-Path", "rd"],
    ["Uri-Query", "ep=simple"],
  ] as const;
  const options = words.map(([name, text]) => ({ name, value: Buffer.from(text) }));
  const request = generate({
    code: "0.02",
    confirmable: true,
    messageId: 7,
    token: Buffer.from([1]),
    options,
  });
  socket.send(request, running.gateway.coap!.port, "127.0.0.1");
  await until(() =>
    running.gateway.directory!.list().some(({ endpoint }) => endpoint === "simple"),
  );
  expect(running.gateway.nodes.get("simple")?.address).toBe(
    `coap://127.0.0.1:${socket.address().port}`,
  );
  expect((await look("rd-lookup/res", "ep=simple")).length).toBe(1);
  await until(() => codes.length > 0);
  expect(codes[0]).toBe("2.04");
  await running.gateway.nodes.remove("simple");
  socket.close();
  expect((await post(".well-known/rd", ["ep=x", "base=coap://127.0.0.1"])).status).toBe("4.00");
});

describe.skipIf(!python?.ok)(
  `aiocoap's client${python?.ok ? "" : ` (skipped: ${python?.what ?? "no aiocoap"})`}`,
  () => {
    test("registers itself and is found", async () => {
      const script = `
import asyncio, aiocoap, aiocoap.resource as resource
from aiocoap.resourcedirectory.client.register import Registerer
async def main():
    site = resource.Site()
    class Level(resource.ObservableResource):
        async def render_get(self, request): return aiocoap.Message(payload=b"7")
    site.add_resource(["sensors", "level"], Level())
    site.add_resource([".well-known", "core"], resource.WKCResource(site.get_resources_as_linkheader))
    context = await aiocoap.Context.create_server_context(site, bind=("127.0.0.1", 0))
    Registerer(context, rd="coap://127.0.0.1:${running.gateway.coap!.port}", lt=60, registration_parameters={"ep": "aiocoap"})
    await asyncio.sleep(60)
asyncio.run(main())
`;
      const child = spawn(python!.what, ["-c", script], { stdio: "inherit" });
      try {
        await until(() =>
          running.gateway.directory!.list().some(({ endpoint }) => endpoint === "aiocoap"),
        );
        const links = await look("rd-lookup/res", "ep=aiocoap");
        expect(links.some(({ path }) => path.endsWith("/sensors/level"))).toBe(true);
      } finally {
        child.kill();
      }
    });
  },
);
