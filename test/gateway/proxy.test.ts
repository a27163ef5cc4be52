// HTTP to CoAP as RFC 8075 says, case by case, against a CoAP server that does as it is told.
import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  acceptOf,
  formatOf,
  isMulticast,
  parseTarget,
  typeOf,
} from "../../host/gateway/mapping.ts";
import { Cache, observingPays } from "../../host/gateway/cache.ts";
import { randomBelow } from "../harness/random.ts";
import { option, pathOf, scripted, type Scripted, type ScriptedServer } from "./coap-server.ts";
import { startGateway, until, type Running } from "./harness.ts";

const uint = (...bytes: number[]) => Buffer.from(bytes);
const script = new Map<
  string,
  (count: number) => Scripted | undefined | Promise<Scripted | undefined>
>();
let server: ScriptedServer;
let running: Running;
let base: string;
let next = 0;

beforeAll(async () => {
  const counts = new Map<string, number>();
  server = await scripted((request) => {
    const path = pathOf(request);
    counts.set(path, (counts.get(path) ?? 0) + 1);
    return script.get(path)?.(counts.get(path)!) ?? { code: "4.04" };
  });
  running = await startGateway({ targets: [`127.0.0.1:${server.port}`] });
  base = `/hc/coap://127.0.0.1:${server.port}`;
});
afterAll(async () => {
  await running[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

/** Asks for a resource that answers so, each time another one. */
async function answered(reply: Scripted, init: RequestInit = {}): Promise<Response> {
  const path = `case-${next++}`;
  script.set(path, () => reply);
  return running.ask(`${base}/${path}`, init);
}

describe("codes (RFC 8075 §7)", () => {
  const cases: [string, string, number, RequestInit?][] = [
    ["2.01", "made", 201, { method: "POST" }],
    ["2.02", "", 204, { method: "DELETE" }],
    ["2.02", "gone", 200, { method: "DELETE" }],
    ["2.04", "", 204, { method: "PUT", body: "x", headers: { "content-type": "text/plain" } }],
    [
      "2.04",
      "changed",
      200,
      { method: "PUT", body: "x", headers: { "content-type": "text/plain" } },
    ],
    ["2.05", "content", 200],
    ["4.00", "what", 400],
    ["4.01", "", 403],
    ["4.02", "", 500],
    ["4.02", "", 400, { headers: { accept: "application/json" } }],
    ["4.03", "", 403],
    ["4.04", "", 404],
    ["4.05", "", 400],
    ["4.06", "", 406],
    ["4.12", "", 412],
    ["4.13", "", 413],
    ["4.15", "", 415],
    ["5.00", "broken", 500],
    ["5.01", "", 501],
    ["5.02", "", 502],
    ["5.03", "", 503],
    ["5.04", "", 504],
    ["5.05", "", 502],
    ["4.31", "", 400],
    ["5.31", "", 500],
  ];
  test.each(cases)("%s with %j is %i", async (code, payload, status, init) => {
    const response = await answered({ code, payload }, init);
    expect(response.status).toBe(status);
    const text = await response.text();
    if (payload !== "") expect(text).toBe(payload);
    if (code === "4.05") expect(text).toBe("CoAP server returned 4.05");
  });

  test("5.03 says when to come back, from Max-Age", async () => {
    const response = await answered({
      code: "5.03",
      options: [{ name: "Max-Age", value: uint(17) }],
    });
    expect([response.status, response.headers.get("retry-after")]).toEqual([503, "17"]);
  });

  test("2.01 says where, below the gateway", async () => {
    const options = [
      { name: "Location-Path", value: Buffer.from("a b") },
      { name: "Location-Path", value: Buffer.from("7") },
      { name: "Location-Query", value: Buffer.from("x=1") },
    ];
    const response = await answered({ code: "2.01", options }, { method: "POST" });
    expect(response.headers.get("location")).toBe(`${base}/a%20b/7?x%3D1`);
  });

  test("a method that CoAP has not is 501, and asks nobody", async () => {
    const before = server.requests.length;
    const response = await running.ask(`${base}/x`, { method: "OPTIONS" });
    expect([response.status, server.requests.length]).toEqual([501, before]);
  });

  test("HEAD has the headers of GET and no body", async () => {
    const response = await answered({ code: "2.05", payload: "12345" }, { method: "HEAD" });
    expect([
      response.status,
      response.headers.get("content-length"),
      await response.text(),
    ]).toEqual([200, "5", ""]);
  });
});

describe("formats (RFC 8075 §6)", () => {
  test.each([
    [0, "text/plain;charset=utf-8"],
    [40, "application/link-format"],
    [60, "application/cbor"],
    [112, "application/senml+cbor"],
    [432, "application/td+json"],
    [9999, "application/coap-payload;cf=9999"],
  ])("Content-Format %i comes out as %s", async (format, type) => {
    const value = format < 256 ? uint(format) : uint(format >> 8, format & 255);
    const response = await answered({
      code: "2.05",
      payload: "x",
      options: [{ name: "Content-Format", value }],
    });
    expect(response.headers.get("content-type")).toBe(type);
  });

  test("a content coding is part of the format, both ways", () => {
    expect(typeOf(11060)).toEqual({ type: "application/cbor", coding: "deflate" });
    expect(formatOf("application/cbor", "deflate")).toBe(11060);
    expect(formatOf("Text/Plain; Charset=UTF-8")).toBe(0);
    expect(formatOf("text/plain")).toBe(0);
    expect(formatOf("text/plain;charset=latin1")).toBeUndefined();
  });

  test.each([
    [undefined, undefined],
    ["*/*", undefined],
    ["application/*", undefined],
    ["application/cbor", 60],
    ["text/html, application/json;q=0.5", undefined],
    ["application/cbor;q=0.3, application/json", 50],
  ])("Accept %s is option %s", (header, format) => expect(acceptOf(header)).toBe(format));

  test("what CoAP has no name for is 415, also coap-payload, and reaches nobody", async () => {
    for (const type of ["text/html", "application/coap-payload;cf=60"]) {
      const before = server.requests.length;
      const response = await running.ask(`${base}/x`, {
        method: "PUT",
        body: "x",
        headers: { "content-type": type },
      });
      expect([response.status, server.requests.length]).toEqual([415, before]);
    }
  });
});

describe("addresses (RFC 8075 §5)", () => {
  test.each([
    ["coap://host/a/b?c=d&e", { host: "host", port: 5683, path: ["a", "b"], query: ["c=d", "e"] }],
    ["coap:/host/a", { host: "host", port: 5683, path: ["a"], query: [] }],
    ["coaps://host:77/", { host: "host", port: 77, path: [], query: [] }],
    ["COAP://[2001:db8::1]:9/x%2Fy", { host: "[2001:db8::1]", port: 9, path: ["x/y"], query: [] }],
  ])("%s is read", (uri, parts) => expect(parseTarget(uri)).toMatchObject(parts));

  test.each([
    "host/a",
    "http://host/",
    "coap://",
    "coap://h:99999/",
    "coap://h/%zz",
    "coap://u@h/",
    `coap://h/${"a".repeat(256)}`,
  ])("%s is refused", (uri) => expect(parseTarget(uri)).toBeUndefined());

  test("foreign targets are refused by default, groups always", async () => {
    await using closed = await startGateway();
    expect((await closed.ask("/hc/coap://127.0.0.1:1/x")).status).toBe(403);
    expect((await running.ask("/hc/coap://224.0.1.187/x")).status).toBe(403);
    expect((await running.ask("/hc/host/x")).status).toBe(400);
    expect([
      isMulticast("239.1.2.3"),
      isMulticast("[ff02::fd]"),
      isMulticast("ffm.example"),
      isMulticast("10.0.0.1"),
    ]).toEqual([true, true, false, false]);
  });

  test("target_uri in the query is the same target", async () => {
    script.set("by-query", () => ({ code: "2.05", payload: "here" }));
    const uri = encodeURIComponent(`coap://127.0.0.1:${server.port}/by-query`);
    expect(await (await running.ask(`/hc/?target_uri=${uri}`)).text()).toBe("here");
  });
});

describe("the cache (RFC 7252 §5.6)", () => {
  const asked = (path: string) =>
    server.requests.filter((request) => pathOf(request) === path).length;

  test("a fresh answer is given again, with its age", async () => {
    script.set("fresh", () => ({
      code: "2.05",
      payload: "v",
      options: [{ name: "Max-Age", value: uint(100) }],
    }));
    await running.ask(`${base}/fresh`);
    const again = await running.ask(`${base}/fresh`);
    expect([again.headers.get("x-wasmote-from"), asked("fresh")]).toEqual(["cache", 1]);
    expect(Number(again.headers.get("age"))).toBeLessThan(100);
    expect(again.headers.get("cache-control")).toMatch(/^private, max-age=\d+$/);
  });

  test("Max-Age 0 is not kept", async () => {
    script.set("zero", () => ({
      code: "2.05",
      payload: "v",
      options: [{ name: "Max-Age", value: uint() }],
    }));
    await running.ask(`${base}/zero`);
    const again = await running.ask(`${base}/zero`);
    expect([again.headers.get("cache-control"), asked("zero")]).toEqual(["no-store", 2]);
  });

  test("a change makes what is kept stale; a 2.03 makes it good again", async () => {
    const tag = { name: "ETag", value: uint(1, 2) };
    script.set("tagged", (count) =>
      count === 1
        ? { code: "2.05", payload: "v", options: [tag] }
        : count === 2
          ? { code: "2.04" }
          : { code: "2.03", options: [tag] },
    );
    expect((await running.ask(`${base}/tagged`)).headers.get("etag")).toBe('"0102"');
    await running.ask(`${base}/tagged`, { method: "PUT" });
    const third = await running.ask(`${base}/tagged`);
    expect([third.status, await third.text(), third.headers.get("x-wasmote-from")]).toEqual([
      200,
      "v",
      "validated",
    ]);
    expect(
      option(
        server.requests.findLast((request) => pathOf(request) === "tagged")!,
        "ETag",
      ),
    ).toEqual(uint(1, 2));
    expect(
      (await running.ask(`${base}/tagged`, { headers: { "if-none-match": '"0102"' } })).status,
    ).toBe(304);
    expect(
      (await running.ask(`${base}/tagged`, { headers: { "if-none-match": '"ffff"' } })).status,
    ).toBe(200);
  });

  test("If-Match goes to the node as bytes, If-None-Match: * as its option", async () => {
    script.set("conditional", () => ({ code: "4.12" }));
    const response = await running.ask(`${base}/conditional`, {
      method: "PUT",
      headers: { "if-match": '"0a0b"', "if-none-match": "*" },
    });
    expect(response.status).toBe(412);
    const request = server.requests.findLast((one) => pathOf(one) === "conditional")!;
    expect([option(request, "If-Match"), option(request, "If-None-Match")]).toEqual([
      uint(10, 11),
      uint(),
    ]);
  });

  test("other options are other answers", async () => {
    script.set("formats", (count) => ({ code: "2.05", payload: String(count) }));
    await running.ask(`${base}/formats`);
    const other = await running.ask(`${base}/formats`, { headers: { accept: "application/cbor" } });
    expect(await other.text()).toBe("2");
  });

  test("identical requests are one upstream, and others wait their turn", async () => {
    let release: () => void = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    script.set("slow", async () => (await held, { code: "2.05", payload: "once" }));
    const many = Array.from({ length: 20 }, () => running.ask(`${base}/slow`));
    await until(() => running.gateway.upstream.joined >= 19);
    release();
    expect(new Set(await Promise.all(many.map(async (one) => (await one).text())))).toEqual(
      new Set(["once"]),
    );
    // What so many read is observed from then on; asked it was once.
    const plain = server.requests.filter(
      (request) => pathOf(request) === "slow" && option(request, "Observe") === undefined,
    );
    expect(plain.length).toBe(1);
  });

  test("stays within its bytes, and forgets what was used longest ago", () => {
    const cache = new Cache(20_000);
    const key = (index: number) => ({
      authority: "n",
      method: "GET",
      options: [{ name: "Uri-Path", value: Buffer.from(String(index)) }],
    });
    for (let index = 0; index < 100; index++)
      cache.keep(key(index), {
        status: "2.05",
        payload: Buffer.alloc(1000),
        format: 0,
        options: [],
      });
    expect(cache.bytes).toBeLessThanOrEqual(20_000);
    expect([cache.find(key(0)), cache.find(key(99))?.fresh]).toEqual([undefined, true]);
  });

  test("counts names as well as bodies: whoever asks for long ones gets no more room", () => {
    const cache = new Cache(1_000_000);
    for (let index = 0; index < 2_000; index++) {
      const words = Array.from({ length: 10 }, (_, at) => `${index}-${at}`.padEnd(250, "x"));
      const options = words.map((word) => ({ name: "Uri-Path", value: Buffer.from(word) }));
      const key = { authority: "n", method: "GET", options };
      const tags = [{ name: "9999", value: Buffer.alloc(1_000) }];
      cache.keep(key, { status: "2.05", payload: Buffer.alloc(0), format: 0, options: tags });
    }
    expect(cache.size).toBeGreaterThan(50);
    expect(cache.size * 3_500).toBeLessThan(1_000_000);
  });

  test("knows all representations of a resource, whichever came, went or were pushed out", () => {
    const cache = new Cache(60_000);
    const random = randomBelow(18);
    const key = (path: number, accept: number) => ({
      authority: "n",
      method: "GET",
      options: [
        { name: "Uri-Path", value: Buffer.from(String(path)) },
        { name: "Accept", value: Buffer.from([accept]) },
      ],
    });
    const stale = new Map<string, boolean>();
    for (let step = 0; step < 5_000; step++) {
      const [path, accept] = [random(4), random(12)];
      if (random(5) === 0) {
        cache.invalidate(key(path, accept));
        for (let other = 0; other < 12; other++) stale.set(`${path}/${other}`, true);
      } else {
        const payload = Buffer.alloc(random(8_000));
        const kept = cache.keep(key(path, accept), {
          status: "2.05",
          payload,
          format: 0,
          options: [],
        });
        expect(kept === undefined).toBe(payload.length > 7_500);
        stale.set(`${path}/${accept}`, false);
      }
      for (let one = 0; one < 4; one++)
        for (let other = 0; other < 12; other++) {
          const found = cache.find(key(one, other));
          if (found !== undefined) expect(found.fresh).toBe(!stale.get(`${one}/${other}`));
        }
      expect(cache.bytes).toBeLessThanOrEqual(60_000);
    }
  });

  test("observing pays where reads come more than twice as often as changes (RFC 8075 §8.2)", () => {
    expect([
      observingPays(1, 1),
      observingPays(2, 1),
      observingPays(1.9, 1),
      observingPays(100, 10),
    ]).toEqual([true, false, true, false]);
  });
});

test("a body of many blocks comes whole, both ways (RFC 7959)", async () => {
  const body = Buffer.from(Array.from({ length: 5000 }, (_, index) => index % 251));
  const got: Buffer[] = [];
  const blocks = await scripted((request) => {
    const block1 = option(request, "Block1");
    const block2 = option(request, "Block2");
    const number = (value: Buffer | undefined) =>
      (value ?? uint()).reduce((sum, byte) => sum * 256 + byte, 0);
    if (block1 !== undefined) {
      got.push(request.payload);
      return {
        code: number(block1) & 8 ? "2.31" : "2.04",
        options: [{ name: "Block1", value: block1 }],
      };
    }
    const at = number(block2) >>> 4;
    const more = (at + 1) * 64 < body.length ? 8 : 0;
    const value = (at << 4) | more | 2;
    return {
      code: "2.05",
      payload: body.subarray(at * 64, (at + 1) * 64),
      options: [{ name: "Block2", value: uint(value >> 8, value & 255) }],
    };
  });
  await using _ = blocks;
  await using open = await startGateway({ targets: ["127.0.0.1"] });
  const place = `/hc/coap://127.0.0.1:${blocks.port}/big`;
  const down = Buffer.from(await (await open.ask(place)).arrayBuffer());
  expect(down.equals(body)).toBe(true);
  expect(
    (
      await open.ask(place, {
        method: "PUT",
        body,
        headers: { "content-type": "application/octet-stream" },
      })
    ).status,
  ).toBe(204);
  expect(createHash("sha256").update(Buffer.concat(got)).digest("hex")).toBe(
    createHash("sha256").update(body).digest("hex"),
  );
});

test("more than a node has room for waits, more than may wait is 503, and another node is asked meanwhile", async () => {
  let release: () => void = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  await using slow = await scripted(async () => (await held, { code: "2.05", payload: "late" }));
  await using quick = await scripted(() => ({ code: "2.05", payload: "now" }));
  await using open = await startGateway({ targets: ["127.0.0.1"] });
  const many = Array.from({ length: 80 }, (_, index) =>
    open.ask(`/hc/coap://127.0.0.1:${slow.port}/${index}`),
  );
  await until(() => open.gateway.upstream.refused >= 15);
  expect(await (await open.ask(`/hc/coap://127.0.0.1:${quick.port}/x`)).text()).toBe("now");
  expect(slow.requests.length).toBe(1);
  release();
  const statuses = (await Promise.all(many)).map(({ status }) => status);
  expect(statuses.filter((status) => status === 200).length).toBe(65);
  expect(statuses.filter((status) => status === 503).length).toBe(15);
});
