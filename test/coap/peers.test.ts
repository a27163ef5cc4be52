// CoAP clients that nobody here wrote, with the native board as their server: aiocoap (Python) and npm `coap` (node-coap).
import { spawn } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import coap from "coap";
import { parse } from "coap-packet";
import { describe, expect, onTestFinished, test } from "vitest";
import { environment } from "../../host/setup.mjs";
import { emulate } from "../../host/lib/emulate.ts";
import { startPlugtest } from "../harness/plugtest.ts";

type Case = Record<string, unknown> & { case: string };

const { python } = environment() as { python?: { ok: boolean; what: string } };

/** Runs the cases of test/peers/aiocoap-client.py; each by its name, less that. */
async function aiocoap(...words: string[]): Promise<Record<string, Omit<Case, "case">>> {
  const script = join(import.meta.dirname, "../peers/aiocoap-client.py");
  const child = spawn(python?.what ?? "", [script, ...words], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill());
  const cases: Record<string, Omit<Case, "case">> = {};
  for await (const line of createInterface({ input: child.stdout })) {
    const { case: name, ...result } = JSON.parse(line) as Case;
    cases[name] = result;
  }
  return cases;
}

async function board(...words: string[]) {
  const node = await startPlugtest(...words);
  onTestFinished(() => node.stop());
  return node;
}

/** Stands between client and node and remembers the tokens of requests with this option, and who sent them. */
async function spy(port: number, option: string) {
  const seen: { token: string; from: number }[] = [];
  const front = createSocket("udp4").bind(0, "127.0.0.1");
  await once(front, "listening");
  const backs = new Map<number, Socket>();
  front.on("message", (bytes: Buffer, client) => {
    const packet = parse(bytes);
    if (packet.options.some(({ name }) => name === option))
      seen.push({ token: packet.token.toString("hex"), from: client.port });
    let back = backs.get(client.port);
    if (!back) {
      back = createSocket("udp4");
      back.on("message", (answer) => front.send(answer, client.port, "127.0.0.1"));
      backs.set(client.port, back);
    }
    back.send(bytes, port, "127.0.0.1");
  });
  onTestFinished(() => {
    front.close();
    for (const back of backs.values()) back.close();
  });
  return { port: front.address().port, seen };
}

const lines = Array.from({ length: 21 }, (_, number) => String(number).padStart(4, "0"));

describe.skipIf(!python?.ok)(
  `aiocoap${python?.ok ? "" : `: skipped: ${python?.what ?? "not set up: npm test sets it up"}`}`,
  () => {
    test(
      "reads, writes, observes, discovers and sends bodies both ways, a fresh token for each block",
      { timeout: 180_000 },
      async () => {
        const node = await board();
        const { port, seen } = await spy(node.port, "Block1");
        const cases = await aiocoap("udp", "127.0.0.1", String(port));
        expect(cases).toEqual({
          get: { code: "2.05 Content", payload: "what /test is" },
          non: { code: "2.05 Content", type: "NON" },
          missing: { code: "4.04 Not Found" },
          put: {
            codes: ["2.04 Changed", "2.05 Content", "2.03 Valid"],
            payload: "from aiocoap",
          },
          formats: {
            answers: ["2.05 Content plain", "2.05 Content <form", "4.06 Not Acceptable"],
          },
          discovery: { links: 20, filtered: ["/link1", "/link2"] },
          download: { length: 1280, numbers: lines },
          upload: { codes: ["2.04 Changed", "2.05 Content"], same: true },
          create: { codes: ["2.01 Created", "2.05 Content"], same: true },
          both_ways: { code: "2.04 Changed", same: true },
          too_large: { code: "4.13 Request Entity Too Large" },
          at_once: { answers: Array.from({ length: 8 }, () => ["2.04 Changed", 1280]) },
          observe: { values: ["state 0", "state 1", "state 2"] },
          observe_large: { length: 1304 },
          separate: { code: "2.05 Content", payload: "it took a while" },
        });
        // No token came twice from one client: uploads are told apart without them.
        const tokens = seen.map(({ token, from }) => `${from} ${token}`);
        expect(tokens.length).toBeGreaterThan(20);
        expect(new Set(tokens).size).toBe(tokens.length);
      },
    );

    test(
      "does the same over a serial line, through a bridge to slipmux",
      { timeout: 120_000 },
      async () => {
        const node = await board("--pty");
        const cases = await aiocoap("serial", node.serial!);
        expect(cases).toEqual({
          get: { code: "2.05 Content", payload: "what /test is" },
          put: {
            codes: ["2.04 Changed", "2.05 Content", "2.03 Valid"],
            payload: "from aiocoap",
          },
          discovery: { links: 20, filtered: ["/link1", "/link2"] },
          download: { length: 1280, numbers: lines },
          upload: { codes: ["2.04 Changed", "2.05 Content"], same: true },
          both_ways: { code: "2.04 Changed", same: true },
          observe: { values: ["state 0", "state 1", "state 2"] },
        });
      },
    );

    test(
      "reads a document in blocks, eight at once, of one state each while the node is observed and changed",
      { timeout: 120_000 },
      async () => {
        const node = await emulate({ machine: "native" });
        onTestFinished(() => node.stop());
        let level = 0;
        const feeding = setInterval(() => node.feed("level", ++level), 50);
        onTestFinished(() => clearInterval(feeding));
        const { hostname, port } = new URL(node.address);
        const { readers } = await aiocoap("readers", hostname, port);
        expect(readers).toEqual({ answers: Array(8).fill(10), failed: [], told: true });
      },
    );

    test("finds the node through the group, and hears nothing where nothing fits", async (context) => {
      const node = await board();
      if (!node.group) context.skip("this machine lets nobody join a multicast group");
      const { group } = await aiocoap("group", "127.0.0.1", String(node.port));
      expect(group).toEqual({
        answers: { "01": '2.05 Content </test>;rt="test";title="the default resource";ct=0' },
      });
    });
  },
);

describe("node-coap", () => {
  interface Wish {
    path: string;
    method?: "GET" | "PUT" | "POST" | "DELETE";
    payload?: Buffer | string;
    block1?: number;
    observe?: boolean;
  }
  const request = (port: number, { path, method = "GET", payload, block1, observe }: Wish) => {
    const outgoing = coap.request({
      host: "127.0.0.1",
      port,
      pathname: path,
      method,
      ...(observe ? { observe: true } : {}),
    });
    if (block1 !== undefined) outgoing.setOption("Block1", Buffer.from([Math.log2(block1) - 4]));
    outgoing.end(payload);
    return once(outgoing, "response").then(([response]) => response as coap.IncomingMessage);
  };

  test("reads, writes, deletes, and is told when something is missing", async () => {
    const { port } = await board();
    const put = await request(port, {
      path: "/validate",
      method: "PUT",
      payload: "from node-coap",
    });
    expect(put.code).toBe("2.04");
    const get = await request(port, { path: "/validate" });
    expect([get.code, get.payload.toString()]).toEqual(["2.05", "from node-coap"]);
    expect((await request(port, { path: "/test", method: "DELETE" })).code).toBe("2.02");
    expect((await request(port, { path: "/nothing" })).code).toBe("4.04");
    const separate = await request(port, { path: "/separate" });
    expect(separate.payload.toString()).toBe("it took a while");
  });

  test("fetches and sends bodies in blocks", async () => {
    const { port } = await board();
    const large = await request(port, { path: "/large" });
    const numbers = large.payload
      .toString()
      .split("\n")
      .map((line) => line.slice(0, 4));
    expect(numbers).toEqual(lines);
    const body = Buffer.from("node-coap ".repeat(300));
    const put = await request(port, {
      path: "/large-update",
      method: "PUT",
      payload: body,
      block1: 256,
    });
    expect(put.code).toBe("2.04");
    const get = await request(port, { path: "/large-update" });
    expect(get.payload.equals(body)).toBe(true);
    const links = await request(port, { path: "/.well-known/core" });
    expect(links.payload.toString().match(/<\/[^>]*>/g)).toHaveLength(20);
  });

  test("observes, and ends its observation", async () => {
    const node = await board();
    const stream = (await request(node.port, {
      path: "/obs",
      observe: true,
    })) as coap.ObserveReadStream;
    const states: string[] = [];
    const told = () => once(stream, "data").then(([data]) => states.push(String(data)));
    // The first state comes with the response.
    await told();
    for (const state of ["one", "two", "three"]) {
      const next = told();
      await request(node.port, { path: "/obs", method: "PUT", payload: state });
      await next;
    }
    expect(states.slice(1)).toEqual(["one", "two", "three"]);
    stream.close();
  });
});
