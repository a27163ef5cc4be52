// RFC 8075 as tables of cases: formats by the oracle of its appendix A, templates by its examples, every response code there is, blocks,
// discovery, and when to observe rather than ask.
import { readFileSync } from "node:fs";
import { get, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Cache } from "../../host/gateway/cache.ts";
import { parseConfig } from "../../host/gateway/config.ts";
import { Interest } from "../../host/gateway/interest.ts";
import { acceptOf, formatOf, parseTarget, statusOf } from "../../host/gateway/mapping.ts";
import { UriTemplate } from "../../host/gateway/uri-template.ts";
import type { Response as CoapResponse } from "../../host/lib/coap/endpoint.ts";
import { Node, parseLinks } from "../../host/lib/node.ts";
import { root } from "../../host/setup.mjs";
import { option, pathOf, scripted, type Scripted } from "./coap-server.ts";
import { startGateway, until } from "./harness.ts";

const uint = (...bytes: number[]) => Buffer.from(bytes);
const bits = (value: Buffer | undefined) =>
  (value ?? uint()).reduce((sum, byte) => sum * 256 + byte, 0);
const { proxy: standard } = parseConfig({});

describe("media types (RFC 8075 §6)", () => {
  const { formats } = JSON.parse(readFileSync(join(root, "test/vectors/rfc8075.json"), "utf8")) as {
    formats: [string, number | null, number | null][];
  };

  test("go as the oracle of appendix A says, strictly and generalized", () => {
    expect(formats.length).toBeGreaterThan(50);
    for (const [type, strict, loose] of formats)
      expect([formatOf(type) ?? null, formatOf(type, "", { loose: true }) ?? null], type).toEqual([
        strict,
        loose,
      ]);
  });

  test("a format by its number passes only where that is allowed, and only as a number of 16 bits", () => {
    const type = (number: string) => `application/coap-payload;cf=${number}`;
    expect([
      formatOf(type("60")),
      formatOf(type("60"), "", { loose: true }),
      formatOf(type("60"), "", { unknown: true }),
      formatOf(type("65535"), "", { unknown: true }),
      formatOf(type("65536"), "", { unknown: true }),
      formatOf(type("x"), "", { unknown: true, loose: true }),
      acceptOf(type("9999"), { unknown: true }),
    ]).toEqual([undefined, undefined, 60, 65_535, undefined, undefined, 9_999]);
  });

  test("settings open both, through the whole gateway", async () => {
    await using server = await scripted(() => ({ code: "2.04" }));
    const proxy = { ...standard, loose: true, unknownFormats: true };
    await using open = await startGateway({ targets: ["127.0.0.1"], proxy });
    await using closed = await startGateway({ targets: ["127.0.0.1"] });
    const put = (running: typeof open, type: string) =>
      running.ask(`/hc/coap://127.0.0.1:${server.port}/x`, {
        method: "PUT",
        body: "x",
        headers: { "content-type": type },
      });
    expect((await put(open, "application/coap-payload;cf=4711")).status).toBe(204);
    expect(bits(option(server.requests.at(-1)!, "Content-Format"))).toBe(4711);
    expect((await put(open, "application/soap+xml")).status).toBe(204);
    expect(bits(option(server.requests.at(-1)!, "Content-Format"))).toBe(41);
    expect((await put(closed, "application/soap+xml")).status).toBe(415);
    const accept = { headers: { accept: "application/coap-payload;cf=4711" } };
    const place = `/hc/coap://127.0.0.1:${server.port}/y`;
    expect([(await closed.ask(place, accept)).status, server.requests.length]).toEqual([406, 2]);
    await open.ask(place, accept);
    expect(bits(option(server.requests.at(-1)!, "Accept"))).toBe(4711);
  });
});

describe("templates (RFC 8075 §5.4)", () => {
  test.each([
    ["?target_uri={+tu}", "?target_uri=coap://s.example.com/light", "coap://s.example.com/light"],
    ["?target_uri={+tu}", "?target_uri=coaps://s.example.com/light", "coaps://s.example.com/light"],
    ["forward/{+tu}", "forward/coap://s.example.com/light", "coap://s.example.com/light"],
    ["forward/{+tu}", "forward/coap://h/a?b=1&c=2", "coap://h/a?b=1&c=2"],
    ["?coap_uri={+tu}", "?coap_uri=s.example.com/light", "s.example.com/light"],
    ["{+s}/{+hp}{+p}{+qq}", "coap/s.example.com/light", "coap://s.example.com/light"],
    ["{+s}/{+hp}{+p}{+qq}", "coap/s.example.com/light?on", "coap://s.example.com/light?on"],
    ["{+s}/{+hp}{+p}{+qq}", "coaps/h:99", "coaps://h:99"],
    [
      "?s={+s}&hp={+hp}&p={+p}&q={+q}",
      "?s=coap&hp=s.example.com&p=/light&q=",
      "coap://s.example.com/light",
    ],
    [
      "?s={+s}&hp={+hp}&p={+p}&q={+q}",
      "?s=coaps&hp=s.example.com&p=/light&q=on",
      "coaps://s.example.com/light?on",
    ],
    ["{+tu}", "coap://%5B2001:db8::1%5D/light?on", "coap://[2001:db8::1]/light?on"],
    // Its own escapes stay; those of a client that escaped the whole of it go.
    ["?target_uri={+tu}", "?target_uri=coap://h/a%2Fb", "coap://h/a%2Fb"],
    ["?target_uri={+tu}", "?target_uri=coap%3A%2F%2Fh%2Fa%252Fb", "coap://h/a%2Fb"],
    ["forward/{+tu}", "elsewhere/coap://h/a", undefined],
    ["{+s}/{+hp}{+p}{+qq}", "http/h/a", undefined],
  ])("%s takes %s apart", (template, rest, uri) =>
    expect(new UriTemplate(template).unpack(rest)).toBe(uri),
  );

  test.each([
    "",
    "x",
    "{tu}{tu}",
    "{+tu}{+p}",
    "{+s}/{+p}",
    "{+hp}{+p}{+q}{+qq}",
    "{+uri}",
    "{+tu",
    "a b{+tu}",
  ])("%j is no template", (text) => expect(() => new UriTemplate(text)).toThrow(/template/));

  test("without a scheme it is the client's error (§5.3.1), and an escaped slash stays in its segment", async () => {
    expect(parseTarget("s.example.com/light")).toBeUndefined();
    await using server = await scripted((request) => ({ code: "2.05", payload: pathOf(request) }));
    const proxy = { ...standard, template: "?s={+s}&hp={+hp}&p={+p}&q={+q}" };
    await using running = await startGateway({ targets: ["127.0.0.1"], proxy });
    const place = `127.0.0.1:${server.port}`;
    expect((await running.ask(`/hc/${place}/light`)).status).toBe(400);
    for (const rest of [
      `coap://${place}/a%2Fb/c`,
      `?target_uri=coap://${place}/a%2Fb/c`,
      `?s=coap&hp=${place}&p=/a%2Fb/c&q=`,
    ])
      expect(await (await running.ask(`/hc/${rest}`)).text(), rest).toBe("a/b/c");
    const paths = server.requests.map(({ options }) =>
      options.filter(({ name }) => name === "Uri-Path").map(({ value }) => value.toString()),
    );
    expect(paths).toEqual([["a/b", "c"]]);
  });

  test("the proxy is found over HTTP and over CoAP, with its template and origin (§5.5)", async () => {
    const proxy = { ...standard, template: "?uri={+tu}" };
    await using running = await startGateway({
      proxy,
      origin: "https://p.example.com",
      directory: { host: "127.0.0.1", port: 0 },
    });
    const response = await running.ask("/.well-known/core?rt=core.hc");
    const link = '</hc/>;rt="core.hc";hct="?uri={+tu}"';
    expect([
      response.headers.get("content-type"),
      response.headers.get("link"),
      await response.text(),
    ]).toEqual(["application/link-format", link, link]);
    // It tells of what is behind the gateway: nobody reads it without a token (§10.4).
    expect(
      (await fetch(`${running.url}/.well-known/core`, { headers: { authorization: "Bearer x" } }))
        .status,
    ).toBe(401);
    await using client = await Node.connect(`coap://127.0.0.1:${running.gateway.coap!.port}`);
    const { payload } = await client.request("GET", ".well-known/core", { query: ["rt=core.hc"] });
    expect(parseLinks(payload.toString())).toEqual([
      {
        path: "/hc/",
        attributes: { rt: "core.hc", anchor: "https://p.example.com", hct: "?uri={+tu}" },
      },
    ]);
  });
});

describe("response codes (RFC 8075 §7)", () => {
  /** Table 2, for a request without condition or headers of its own, and a response with a payload. */
  const table: Record<string, number> = {
    "2.01": 201,
    "2.02": 200,
    "2.03": 200,
    "2.04": 200,
    "2.05": 200,
    "2.31": 502,
    "4.00": 400,
    "4.01": 403,
    "4.02": 500,
    "4.03": 403,
    "4.04": 404,
    "4.05": 400,
    "4.06": 406,
    "4.08": 502,
    "4.09": 409,
    "4.12": 412,
    "4.13": 413,
    "4.15": 415,
    "4.22": 422,
    "4.29": 429,
    "5.00": 500,
    "5.01": 501,
    "5.02": 502,
    "5.03": 503,
    "5.04": 504,
    "5.05": 502,
    "5.08": 508,
  };

  test("each there can be has a status; one that nobody knows counts as its class (RFC 7252 §5.9)", () => {
    for (let code = 0; code < 256; code++) {
      const text = `${code >> 5}.${String(code & 31).padStart(2, "0")}`;
      const generic = { 2: 200, 4: 400, 5: 500 }[code >> 5] ?? 502;
      const { status } = statusOf(text, { payload: true, conditional: false, fromHeader: false });
      expect(status, text).toBe(table[text] ?? generic);
    }
  });

  test("4.05 stands in the reason, and what a server says never does (§6.5.3)", async () => {
    const replies: Record<string, Scripted> = {
      method: { code: "4.05", payload: "no\r\nx-evil: 1" },
      wrong: { code: "4.00", payload: "no\r\nx-evil: 1" },
    };
    await using server = await scripted((request) => replies[pathOf(request)]);
    await using running = await startGateway({ targets: ["127.0.0.1"] });
    const ask = (path: string) =>
      new Promise<IncomingMessage>((resolve, reject) =>
        get(
          `${running.url}/hc/coap://127.0.0.1:${server.port}/${path}`,
          { headers: { authorization: `Bearer ${running.token}` } },
          (response) => (response.resume(), resolve(response)),
        ).on("error", reject),
      );
    const [method, wrong] = [await ask("method"), await ask("wrong")];
    expect([method.statusCode, method.statusMessage]).toEqual([400, "CoAP server returned 4.05"]);
    expect([wrong.statusMessage, wrong.headers["x-evil"]]).toEqual(["Bad Request", undefined]);
  });
});

describe("blocks (RFC 8075 §8.3)", () => {
  const put = (
    running: { ask: (path: string, init: RequestInit) => Promise<Response> },
    port: number,
    length: number,
  ) =>
    running.ask(`/hc/coap://127.0.0.1:${port}/x`, {
      method: "PUT",
      body: Buffer.alloc(length, 7),
      headers: { "content-type": "application/octet-stream" },
    });
  /** Takes blocks as they come; a body that is whole only up to a limit. */
  const taking = (most: number, szx?: number) => {
    const got: number[] = [];
    return scripted((request) => {
      const block = option(request, "Block1");
      if (block === undefined && request.payload.length > most)
        return {
          code: "4.13",
          options: szx === undefined ? [] : [{ name: "Block1", value: uint(szx) }],
        };
      got.push(request.payload.length);
      return {
        code: bits(block) & 8 ? "2.31" : "2.04",
        payload: bits(block) & 8 ? "" : String(got.reduce((a, b) => a + b, 0)),
        options: block === undefined ? [] : [{ name: "Block1", value: block }],
      };
    });
  };

  test("4.13 is answered with blocks, of the size that the server names", async () => {
    await using named = await taking(100, 2);
    await using plain = await taking(100);
    await using running = await startGateway({ targets: ["127.0.0.1"] });
    const response = await put(running, named.port, 300);
    expect([response.status, await response.text()]).toEqual([200, "300"]);
    expect(bits(option(named.requests[1]!, "Block1")) & 7).toBe(2);
    expect(await (await put(running, plain.port, 300)).text()).toBe("300");
    expect((await put(running, plain.port, 10)).status).toBe(200);
  });

  test("a server without blocks is asked once, and then whole", async () => {
    await using server = await scripted((request) =>
      option(request, "Block1") === undefined ? { code: "2.04" } : { code: "4.02" },
    );
    const proxy = { ...standard, threshold: 64, block: 64 };
    await using running = await startGateway({ targets: ["127.0.0.1"], proxy });
    for (const _ of [1, 2]) expect((await put(running, server.port, 500)).status).toBe(204);
    expect(server.requests.map((request) => option(request, "Block1") !== undefined)).toEqual([
      true,
      false,
      false,
    ]);
  });

  test("threshold and size are the configuration's", async () => {
    await using server = await taking(0);
    const proxy = { ...standard, threshold: 64, block: 32 };
    await using running = await startGateway({ targets: ["127.0.0.1"], proxy });
    expect(await (await put(running, server.port, 100)).text()).toBe("100");
    expect(server.requests.map(({ payload }) => payload.length)).toEqual([32, 32, 32, 4]);
  });
});

test("an answer that comes after the client has left is kept for the next one (RFC 8075 §8.1)", async () => {
  let release: () => void = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  await using server = await scripted(async () => (await held, { code: "2.05", payload: "late" }));
  await using running = await startGateway({ targets: ["127.0.0.1"] });
  const place = `/hc/coap://127.0.0.1:${server.port}/x`;
  const gone = new AbortController();
  const first = running.ask(place, { signal: gone.signal }).catch(() => undefined);
  await until(() => server.requests.length);
  gone.abort();
  await first;
  release();
  const again = await running.ask(place);
  expect([await again.text(), server.requests.length]).toEqual(["late", 1]);
});

describe("observe rather than ask (RFC 8075 §8.2)", () => {
  const key = {
    authority: "n",
    method: "GET",
    options: [{ name: "Uri-Path", value: Buffer.from("x") }],
  };
  const response = (payload: string): CoapResponse => ({
    status: "2.05",
    payload: Buffer.from(payload),
    format: 0,
    options: [],
  });

  /** Reads every `reads` and changes every `changes` milliseconds for so long; whether it was observed at the end. */
  function observed(reads: number, changes: number, length = 20_000): boolean {
    let under = false;
    const node = {
      notifications: async function* (_: string, { signal }: { signal: AbortSignal }) {
        under = true;
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        under = false;
        yield* [] as CoapResponse[];
      },
    } as unknown as Node;
    const interest = new Interest(new Cache());
    for (let time = reads; time <= length; time += reads) {
      interest.read(key, time);
      interest.came(
        key,
        response(String(Math.floor(time / changes))),
        () => Promise.resolve(node),
        time,
      );
    }
    const result = interest.observing > 0;
    interest.close();
    expect(under).toBe(false);
    return result;
  }

  test.each([
    [1_000, 4_000, true],
    [1_000, 2_000, true],
    [1_000, 1_000_000, true],
    [4_000, 1_000, true],
    [19_000, 1_000, false],
  ])("reads every %i ms and changes every %i ms: %s", (reads, changes, wanted) =>
    expect(observed(reads, changes)).toBe(wanted),
  );

  test("what is read often is observed, answers without asking, and is left when nobody reads it", async () => {
    let asked = 0;
    let tell: ((reply: Scripted) => void) | undefined;
    const fresh = { name: "Max-Age", value: uint() };
    await using server = await scripted(
      (request) => {
        if (option(request, "Observe")?.length === 0)
          return {
            code: "2.05",
            payload: "0",
            options: [
              { name: "Observe", value: uint(1) },
              { name: "Max-Age", value: uint(100) },
            ],
          };
        asked++;
        return { code: "2.05", payload: "0", options: [fresh] };
      },
      (notify) => (tell = notify),
    );
    await using running = await startGateway({ targets: ["127.0.0.1"] });
    const place = `/hc/coap://127.0.0.1:${server.port}/often`;
    const { interest } = running.gateway.upstream;
    while (interest.observing === 0) await running.ask(place);
    await until(async () => (await running.ask(place)).headers.get("x-wasmote-from") === "cache");
    const before = asked;
    for (let count = 0; count < 10; count++)
      expect((await running.ask(place)).headers.get("x-wasmote-from")).toBe("cache");
    expect(asked).toBe(before);
    tell!({ code: "2.05", payload: "1", options: [{ name: "Observe", value: uint(2) }] });
    await until(async () => (await (await running.ask(place)).text()) === "1");
    expect(asked).toBe(before);
    interest.close();
    await until(() => interest.observing === 0);
  });

  test("a server that does not let itself be observed is asked as before", async () => {
    await using server = await scripted(() => ({
      code: "2.05",
      payload: "0",
      options: [{ name: "Max-Age", value: uint() }],
    }));
    await using running = await startGateway({ targets: ["127.0.0.1"] });
    const place = `/hc/coap://127.0.0.1:${server.port}/plain`;
    const tries = () =>
      server.requests.filter((request) => option(request, "Observe")?.length === 0).length;
    while (tries() === 0) await running.ask(place);
    await until(() => running.gateway.upstream.interest.observing === 0);
    for (let count = 0; count < 10; count++) expect((await running.ask(place)).status).toBe(200);
    expect(tries()).toBe(1);
  });
});
