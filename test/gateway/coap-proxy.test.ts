// CoAP to CoAP (RFC 7252 §5.7): by Proxy-Uri and Proxy-Scheme, for nodes at /nodes, cached, block by block, observed once for many; with
// aiocoap's client beside.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseConfig } from "../../host/gateway/config.ts";
import { answerOf, type Method, type Option, type Response } from "../../host/lib/coap/endpoint.ts";
import { Node } from "../../host/lib/node.ts";
import { environment } from "../../host/setup.mjs";
import { option, pathOf, scripted, type Scripted, type ScriptedServer } from "./coap-server.ts";
import { startGateway, until, type Running } from "./harness.ts";

const { python } = environment() as { python?: { ok: boolean; what: string } };
const uint = (...bytes: number[]) => Buffer.from(bytes);
const bits = (value: Buffer | undefined) =>
  (value ?? uint()).reduce((sum, byte) => sum * 256 + byte, 0);

let server: ScriptedServer;
let running: Running;
let client: Node;
const notify: ((reply: Scripted) => void)[] = [];
const big = Buffer.from(Array.from({ length: 5_000 }, (_, at) => at % 251));
const bodies: Buffer[] = [];

function answer(request: Parameters<Parameters<typeof scripted>[0]>[0]): Scripted {
  const block1 = option(request, "Block1");
  if (block1 !== undefined) {
    bodies.push(request.payload);
    return {
      code: bits(block1) & 8 ? "2.31" : "2.04",
      options: [{ name: "Block1", value: block1 }],
    };
  }
  const path = pathOf(request);
  if (path === "tagged")
    return { code: "2.05", payload: "v", options: [{ name: "ETag", value: uint(1, 2) }] };
  if (path === "missing") return { code: "4.04", payload: "not here" };
  if (path === "big") {
    const at = bits(option(request, "Block2")) >>> 4;
    const more = (at + 1) * 64 < big.length ? 8 : 0;
    const value = (at << 4) | more | 2;
    return {
      code: "2.05",
      payload: big.subarray(at * 64, (at + 1) * 64),
      options: [{ name: "Block2", value: uint(value >> 8, value & 255) }],
    };
  }
  const observe = option(request, "Observe");
  if (path === "sensors/level" && observe?.length === 0)
    return { code: "2.05", payload: "1", options: [{ name: "Observe", value: uint(1) }] };
  return {
    code: request.code === "0.01" ? "2.05" : "2.04",
    payload: request.code === "0.01" ? path : "",
    options: [{ name: "Max-Age", value: uint(200) }],
  };
}

beforeAll(async () => {
  server = await scripted(answer, (one) => notify.push(one));
  running = await startGateway({
    targets: [`127.0.0.1:${server.port}`],
    coap: { listen: { host: "127.0.0.1", port: 0 }, role: "operate" },
  });
  client = await Node.connect(`coap://127.0.0.1:${running.gateway.coapProxy!.port}`);
});
afterAll(async () => {
  await client.close();
  await running[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

async function ask(
  options: Record<string, string | Buffer>,
  {
    method = "GET",
    payload,
    at = client,
  }: { method?: Method; payload?: Uint8Array; at?: Node } = {},
): Promise<Response> {
  const list: Option[] = Object.entries(options).map(([name, value]) => ({
    name,
    value: Buffer.from(value as string),
  }));
  try {
    return await at.request(method, "", { options: list, payload });
  } catch (error) {
    const found = answerOf(error);
    if (found === undefined) throw error;
    return found;
  }
}
const uri = (path: string) => ({ "Proxy-Uri": `coap://127.0.0.1:${server.port}/${path}` });
const asked = (path: string) => server.requests.filter((one) => pathOf(one) === path).length;
const value = ({ options }: Response, name: string) =>
  options.find((one) => one.name === name)?.value;

test("Proxy-Uri: the answer of the server, kept for as long as it says, and less of it as it ages", async () => {
  const first = await ask(uri("a/b"));
  expect([first.status, first.payload.toString(), bits(value(first, "Max-Age"))]).toEqual([
    "2.05",
    "a/b",
    200,
  ]);
  const again = await ask(uri("a/b"));
  expect([again.payload.toString(), asked("a/b")]).toEqual(["a/b", 1]);
  expect(bits(value(again, "Max-Age"))).toBeLessThanOrEqual(200);
  // What HTTP asks for is the same thing.
  const http = await running.ask(`/hc/coap://127.0.0.1:${server.port}/a/b`);
  expect([await http.text(), http.headers.get("x-wasmote-from")]).toEqual(["a/b", "cache"]);
});

test("Proxy-Scheme with Uri-Host, Uri-Port, Uri-Path is the same", async () => {
  const response = await ask({
    "Proxy-Scheme": "coap",
    "Uri-Host": "127.0.0.1",
    "Uri-Port": uint(server.port >> 8, server.port & 255),
    "Uri-Path": "by-scheme",
  });
  expect([response.status, response.payload.toString()]).toEqual(["2.05", "by-scheme"]);
});

test("an error of the server's is its answer; a change is one", async () => {
  const missing = await ask(uri("missing"));
  expect([missing.status, missing.payload.toString()]).toEqual(["4.04", "not here"]);
  expect((await ask(uri("changed"), { method: "PUT", payload: Buffer.from("x") })).status).toBe(
    "2.04",
  );
  expect(server.requests.at(-1)!.payload.toString()).toBe("x");
  const audit = await running.json<{ who: string; what: string; target: string }[]>("/api/audit");
  expect(audit[0]).toMatchObject({
    who: "coap://127.0.0.1",
    what: "PUT",
    target: `coap://127.0.0.1:${server.port}/changed`,
  });
});

test("an ETag that the client has already is 2.03", async () => {
  const first = await ask(uri("tagged"));
  expect(value(first, "ETag")).toEqual(uint(1, 2));
  const valid = await ask({ ...uri("tagged"), ETag: uint(1, 2) });
  expect([valid.status, valid.payload.length]).toEqual(["2.03", 0]);
  expect((await ask({ ...uri("tagged"), ETag: uint(9) })).status).toBe("2.05");
});

test.each<[string, Record<string, string | Buffer>, string]>([
  ["a target that is not allowed", { "Proxy-Uri": "coap://127.0.0.1:9/x" }, "4.03"],
  ["a group", { "Proxy-Uri": "coap://224.0.1.187/x" }, "4.03"],
  ["coaps", { "Proxy-Uri": "coaps://127.0.0.1/x" }, "5.05"],
  ["HTTP", { "Proxy-Uri": "http://127.0.0.1/x" }, "5.05"],
  ["a URI that is none", { "Proxy-Uri": "coap://" }, "4.00"],
  ["another scheme", { "Proxy-Scheme": "http", "Uri-Host": "127.0.0.1" }, "5.05"],
  ["a scheme without a host", { "Proxy-Scheme": "coap" }, "4.00"],
  ["nothing", { "Uri-Path": "x" }, "4.04"],
  ["a node that is not there", { "Uri-Path": "nodes" }, "4.04"],
])("%s is refused, and nobody is asked", async (_, options, status) => {
  const before = server.requests.length;
  const response = await ask(options);
  expect([response.status, server.requests.length]).toEqual([status, before]);
});

test("unsafe options that are not known are refused, safe ones go along (RFC 7252 §5.7.1)", async () => {
  // 2050 is elective and unsafe, 2048 elective and safe, 2053 critical and safe.
  expect((await ask({ ...uri("unsafe"), 2050: "x" })).status).toBe("4.02");
  expect([(await ask({ ...uri("safe"), 2048: "x" })).status, asked("unsafe")]).toEqual(["2.05", 0]);
  expect(option(server.requests.at(-1)!, "2048")?.toString()).toBe("x");
});

test("hops are counted, and a circle ends (RFC 8768)", async () => {
  expect((await ask({ ...uri("hops"), "Hop-Limit": uint(1) })).status).toBe("5.08");
  for (const wrong of [Buffer.alloc(0), Buffer.of(0), uint(256)])
    expect((await ask({ ...uri("hops"), "Hop-Limit": wrong })).status).toBe("4.00");
  await ask({ ...uri("hops"), "Hop-Limit": uint(9) });
  expect(option(server.requests.at(-1)!, "Hop-Limit")).toEqual(uint(8));
  // A proxy that is its own target.
  const place = `127.0.0.1:${running.gateway.coapProxy!.port}`;
  await using round = await startGateway({
    targets: ["*"],
    coap: { listen: { host: "127.0.0.1", port: 0 }, role: "operate" },
  });
  await using at = await Node.connect(`coap://127.0.0.1:${round.gateway.coapProxy!.port}`);
  expect((await ask({ "Proxy-Uri": `coap://${place}/x` }, { at })).status).toBe("4.04");
});

test("bodies of many blocks come whole, both ways", async () => {
  const down = await ask(uri("big"));
  expect(down.payload.equals(big)).toBe(true);
  const up = await ask(uri("upload"), { method: "PUT", payload: big });
  expect([up.status, Buffer.concat(bodies).equals(big)]).toEqual(["2.04", true]);
});

test("a server that is silent is 5.04", async () => {
  const silent = await scripted(() => undefined);
  await using short = await startGateway({
    targets: ["127.0.0.1"],
    coap: { listen: { host: "127.0.0.1", port: 0 }, role: "operate" },
  });
  await using at = await Node.connect(`coap://127.0.0.1:${short.gateway.coapProxy!.port}`);
  // Nothing listens at a port that was just closed.
  await silent[Symbol.asyncDispose]();
  const gone = await ask({ "Proxy-Uri": `coap://127.0.0.1:${silent.port}/x` }, { at });
  expect(gone.status).toBe("5.04");
});

test("who comes with CoAP has the role of the configuration and no more; without it nothing is passed on", async () => {
  await using reading = await startGateway({
    targets: ["*"],
    coap: { listen: { host: "127.0.0.1", port: 0 }, role: "read" },
  });
  await using at = await Node.connect(`coap://127.0.0.1:${reading.gateway.coapProxy!.port}`);
  expect((await ask(uri("x"), { at })).status).toBe("4.03");
  await using none = await startGateway({
    targets: ["*"],
    directory: { host: "127.0.0.1", port: 0 },
  });
  await using there = await Node.connect(`coap://127.0.0.1:${none.gateway.coap!.port}`);
  expect((await ask(uri("x"), { at: there })).status).toBe("5.05");
  expect(() => parseConfig({ coap: {} })).toThrow(/coap.listen is missing/);
  expect(parseConfig({ directory: "5683", coap: { role: "operate" } }).coap).toEqual({
    listen: undefined,
    role: "operate",
  });
});

describe("one of our nodes at /nodes/NAME/PATH", () => {
  test("is read by many and observed once; its values come as notifications", async () => {
    // A node that says what the gateway asks of one, as far as it goes.
    const { gateway } = running;
    const envelope = (value_: number) => {
      const payload = Buffer.from(String(value_));
      const response = { status: "2.05", payload, format: 0, options: [] };
      gateway.upstream.cache.observed("wye", "sensors/level", response);
      gateway.hub.publish({
        node: "wye",
        resource: "sensors/level",
        time: Date.now(),
        value: value_,
      });
    };
    gateway.add("wye", `coap://127.0.0.1:${server.port}`, "configured");
    envelope(1);
    const before = asked("sensors/level");
    const path = {
      options: ["nodes", "wye", "sensors", "level"].map((part) => ({
        name: "Uri-Path",
        value: Buffer.from(part),
      })),
    };
    const ends = new AbortController();
    const seen: string[][] = [[], []];
    const watching = seen.map(async (list) => {
      await using viewer = await Node.connect(`coap://127.0.0.1:${gateway.coapProxy!.port}`);
      for await (const { payload } of viewer.notifications("", { ...path, signal: ends.signal }))
        list.push(payload.toString());
    });
    await until(() => seen.every((list) => list.length === 1));
    for (let count = 2; count < 40; count++) {
      envelope(count);
      await until(() => seen.every((list) => list.at(-1) === String(count)));
    }
    expect([gateway.coapProxy!.observers, asked("sensors/level")]).toEqual([2, before]);
    ends.abort();
    await Promise.all(watching);
    await until(() => gateway.coapProxy!.observers === 0);
    await gateway.nodes.remove("wye");
  });
});

test.skipIf(python?.ok !== true)(
  `aiocoap's client goes through it${python?.ok ? "" : ` (skipped: ${python?.what})`}`,
  async () => {
    const child = spawn(python!.what, [
      "-c",
      `import asyncio, aiocoap
from aiocoap.proxy.client import ProxyForwarder
async def main():
    context = await aiocoap.Context.create_client_context()
    proxy = ProxyForwarder("coap://127.0.0.1:${running.gateway.coapProxy!.port}", context)
    request = aiocoap.Message(code=aiocoap.GET, uri="coap://127.0.0.1:${server.port}/from/aiocoap")
    response = await proxy.request(request).response
    print(response.code, response.payload.decode())
    large = await proxy.request(aiocoap.Message(code=aiocoap.GET, uri="coap://127.0.0.1:${server.port}/big")).response
    print(len(large.payload))
    await context.shutdown()
asyncio.run(main())`,
    ]);
    let text = "";
    let errors = "";
    child.stdout.on("data", (part: Buffer) => (text += part.toString()));
    child.stderr.on("data", (part: Buffer) => (errors += part.toString()));
    await once(child, "close");
    expect(text, errors).toBe("2.05 Content from/aiocoap\n5000\n");
  },
  180_000,
);
