// The library as a client: over a way that loses, repeats and reorders, against peers that are other people's, and hostile ones.
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { encode } from "cbor2";
import coap from "coap";
import { generate } from "coap-packet";
import { describe, expect, test } from "vitest";
import { NodeError } from "../../host/lib/errors.ts";
import { Node, parseLinks } from "../../host/lib/node.ts";
import { openPackage } from "../../host/lib/package.ts";
import { feeding } from "../harness/feeding.ts";
import { calm, chaoticProxy, random } from "../harness/link.ts";
import { pack, provisioned } from "../harness/module.ts";
import { peer, reply, uintOf, type Peer } from "../harness/peer.ts";
import { eachTarget, scratch } from "../harness/target.ts";

/** Loopback is fast: what gets lost is sent again soon. */
const fast = { ackTimeout: 60, maxRetransmit: 7 };

eachTarget(
  "a client",
  (start) => {
    test.each([1, 2, 3, 4])(
      "pushes, reads and observes over a way that loses, repeats and reorders (seed %i)",
      async (seed) => {
        using folder = scratch();
        const board = await provisioned(start, folder.path);
        const chaos = { seed, loss: 0.15, repeat: 0.15, late: 0.25, delay: 80 };
        await using proxy = await chaoticProxy(board.address, chaos);
        await using node = await Node.connect(proxy.address, fast);
        const bytes = await pack("native", "flood-alarm", 1);
        const told: number[] = [];
        await node.push(bytes, { blockSize: 32, onProgress: (sent) => told.push(sent) });
        expect(told.at(-1)).toBe(bytes.length);
        expect(told).toEqual(told.toSorted((a, b) => a - b));
        expect(await node.app()).toMatchObject({
          sequence: 1,
          size: openPackage(bytes).module.length,
        });
        const resources = await node.discover();
        expect(resources.map(({ path }) => path)).toContain("/outputs/flow");
        const done = new AbortController();
        const seen: number[] = [];
        // What is lost of notifications is sent again by the node after seconds; a renewed registration asks sooner.
        const values = node.observe("outputs/flow", done.signal, { refresh: 200 });
        const watching = (async () => {
          for await (const { value } of values) {
            seen.push(value);
            if (value === 160) done.abort();
          }
        })();
        board.feed("level", 1000);
        board.feed("level", 4000);
        await watching;
        expect(seen.at(-1)).toBe(160);
        expect(new Set(seen).size).toBe(seen.length);
        expect(proxy.counts.lost).toBeGreaterThan(3);
        expect(proxy.counts.repeated).toBeGreaterThan(2);
        expect(proxy.counts.late).toBeGreaterThan(5);
      },
    );

    test("goes on with a push where the link was lost, and where the node was reset", async () => {
      using folder = scratch();
      const board = await provisioned(start, folder.path);
      await using proxy = await chaoticProxy(board.address, calm);
      await using node = await Node.connect(proxy.address, { ...fast, patience: 400 });
      const bytes = await pack("native", "flood-alarm", 1);
      const cut = node.push(bytes, {
        blockSize: 64,
        onProgress: (sent) => sent >= 320 && proxy.cut(true),
      });
      await expect(cut).rejects.toMatchObject({ name: "NodeError", code: "timeout" });
      proxy.cut(false);
      const first: number[] = [];
      const aborted = new AbortController();
      const again = node.push(bytes, {
        blockSize: 64,
        signal: aborted.signal,
        onProgress: (sent) => {
          first.push(sent);
          if (sent >= 448) aborted.abort(new Error("enough"));
        },
      });
      const error = await again.catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: "aborted", cause: { message: "enough" } });
      // What was there was not sent again.
      expect(first[0]).toBeGreaterThan(256);
      await board.reset();
      await node.push(bytes, { blockSize: 64 });
      expect(await node.app()).toMatchObject({ sequence: 1 });
    });

    test("observes on over a reset of the node", async () => {
      using folder = scratch();
      const board = await provisioned(start, folder.path);
      await using node = await Node.connect(board.address, fast);
      const done = new AbortController();
      const values = node.observe("sensors/level", done.signal, { refresh: 150 });
      const next = async () => (await values.next()).value;
      expect(await feeding(board, "level", 1, next)).toMatchObject({ value: 1 });
      await board.reset();
      const later = async () => {
        for (;;) {
          const seen = await next();
          // What was fed again before the reset.
          if (seen?.value !== 1) return seen;
        }
      };
      expect(await feeding(board, "level", 2, later)).toMatchObject({ value: 2 });
      done.abort();
      expect(await values.next()).toEqual({ value: undefined, done: true });
    });

    test("stops everything when its signal fires, with one kind of error", async () => {
      const board = await start();
      await using node = await Node.connect(board.address, fast);
      const fired = AbortSignal.abort(new Error("no more"));
      const all = [
        node.info(fired),
        node.stats(fired),
        node.app(fired),
        node.discover([], fired),
        node.params(fired),
        node.setParam("x", 1, fired),
        node.log(fired),
        node.push(await pack("native", "flood-alarm", 9), { signal: fired }),
        node.rollback(fired),
        node.remove(fired),
        node.get("node", { signal: fired }),
        Node.connect(board.address, { signal: fired }),
      ];
      for (const one of await Promise.allSettled(all)) {
        expect(one).toMatchObject({
          status: "rejected",
          reason: { name: "NodeError", code: "aborted", cause: { message: "no more" } },
        });
      }
      await expect(start({ signal: fired })).rejects.toThrow("no more");
      expect(await node.observe("sensors/level", fired).next()).toMatchObject({ done: true });
      expect(await node.info()).toHaveProperty("class");
    });
  },
  ["native"],
);

const uint = (value: number) =>
  value === 0
    ? Buffer.alloc(0)
    : Buffer.from(value.toString(16).padStart(value > 255 ? 4 : 2, "0"), "hex");

/** What is closed elsewhere, or was never opened. */
const unowned = { [Symbol.asyncDispose]: async () => {} };

describe("a peer that is not as it should be", () => {
  const failing = async (made: Promise<Peer> | string, path = "x", patience = 400) => {
    await using own = typeof made === "string" ? { address: made, ...unowned } : await made;
    const { address } = own;
    await using node = await Node.connect(address, { ...fast, patience });
    return await node.get(path).then(
      (text) => `answered: ${text}`,
      (error: unknown) => {
        expect(error).toBeInstanceOf(NodeError);
        return `${(error as NodeError).code}: ${(error as NodeError).message}`;
      },
    );
  };

  test("is not there: what listens nowhere is said at once, what is silent after the patience", async () => {
    const closed = createSocket("udp4").bind(0, "127.0.0.1");
    await once(closed, "listening");
    const { port } = closed.address();
    closed.close();
    expect(await failing(`coap://127.0.0.1:${port}`, "x", 5000)).toMatch(
      /^timeout: nothing listens/,
    );
    expect(await failing(peer(() => {}))).toMatch(/^timeout: .* does not answer/);
  });

  test("acknowledges and never answers, rejects, or answers another's request", async () => {
    const reset = peer(({ messageId }, send) =>
      send(generate({ reset: true, code: "0.00", messageId, token: Buffer.alloc(0) })),
    );
    expect(await failing(reset)).toMatch(/^protocol: .* rejects/);
    const foreign = peer((request, send) => {
      send(reply({ ...request, token: Buffer.from("other") }, "2.05"));
      send(reply({ ...request, messageId: request.messageId ^ 1 }, "2.05"));
    });
    expect(await failing(foreign)).toMatch(/^timeout: /);
  });

  test("sends a body without an end, of odd blocks, from its middle, or that changes for ever", async () => {
    const blocks = (block: (number: number) => [value: number, size: number, tag: number]) =>
      peer((request, send) => {
        const asked = request.options.find(({ name }) => name === "Block2")?.value as
          | Buffer
          | undefined;
        const number = (asked?.reduce((sum, byte) => sum * 256 + byte, 0) ?? 0) >> 4;
        const [value, size, tag] = block(number);
        send(
          reply(request, "2.05", {
            payload: Buffer.alloc(size, 65),
            options: [
              { name: "ETag", value: Buffer.from([tag]) },
              { name: "Block2", value: uint(value) },
            ],
          }),
        );
      });
    expect(
      await failing(
        blocks((n) => [(n << 4) | 8 | 6, 1024, 1]),
        "x",
        9000,
      ),
    ).toMatch(/^protocol: .*no end/);
    expect(await failing(blocks((n) => [(n << 4) | 8 | 2, 10, 1]))).toMatch(/^protocol: /);
    expect(await failing(blocks((n) => [(n << 4) | 8 | 2, 0, 1]))).toMatch(/^protocol: /);
    expect(await failing(blocks(() => [(5 << 4) | 8 | 2, 64, 1]))).toMatch(/^protocol: .*middle/);
    let changes = 0;
    expect(await failing(blocks((n) => [(n << 4) | 8 | 2, 64, changes++ & 255]))).toMatch(
      /^protocol: .*changes faster/,
    );
  });

  test("asks for an Echo gets it once (RFC 9175 §2.3), and asked for ever gives up", async () => {
    const value = Buffer.from("challenge");
    const once_ = peer((request, send) => {
      const given = request.options.find(({ name }) => String(name) === "252")?.value;
      const right = given !== undefined && Buffer.from(given as Buffer).equals(value);
      send(
        right
          ? reply(request, "2.05", { payload: Buffer.from("hello") })
          : reply(request, "4.01", { options: [{ name: "252", value }] }),
      );
    });
    expect(await failing(once_)).toBe("answered: hello");
    const ever = peer((request, send) =>
      send(reply(request, "4.01", { options: [{ name: "252", value }] })),
    );
    expect(await failing(ever)).toMatch(/^answer: .*4\.01/);
  });

  test("floods an observer: the newest state is seen, and memory stays bounded", async () => {
    // By message: a request that is sent again is the same one.
    const observers = new Set<number>();
    let acknowledged = () => {};
    const flood = new Promise<void>((resolve) => (acknowledged = resolve));
    const last = 1999;
    await using flooding = await peer((request, send) => {
      if (request.ack && request.messageId === last) return acknowledged();
      if (request.code !== "0.01" || request.confirmable !== true) return;
      if (uintOf(request, "Observe") !== 0) return send(reply(request, "2.05"));
      observers.add(request.messageId!);
      const observe = (n: number) => ({ name: "Observe" as const, value: uint(n) });
      send(reply(request, "2.05", { options: [observe(1)], payload: Buffer.from("1") }));
      const notify = (n: number, confirmable = false) => {
        const packet = { code: "2.05", messageId: n, token: request.token, confirmable };
        const options = [observe(n)] as never;
        send(generate({ ...packet, options, payload: Buffer.from(String(n)) }));
      };
      void (async () => {
        for (let n = 2; n < last; n++) {
          notify(n);
          // In heaps, so that the client's turn comes in between.
          if (n % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
        }
        // The last one is acknowledged when all before it were taken in or lost, however long that takes.
        const again = setInterval(() => notify(last, true), 20);
        void flood.then(() => clearInterval(again));
      })();
    });
    await using node = await Node.connect(flooding.address, fast);
    const values = node.observe("outputs/x");
    expect((await values.next()).value).toMatchObject({ value: 1 });
    await flood;
    const seen: number[] = [];
    while (seen.at(-1) !== last) seen.push((await values.next()).value?.value ?? 0);
    // As many as the client keeps (endpoint.ts, `longestQueue`), and the one that was on its way to the reader.
    expect(seen.length).toBeLessThanOrEqual(257);
    await values.return();
    expect(observers.size).toBe(1);
  });

  test("answers with anything: every operation ends with a value or a NodeError, and nothing is left over", async () => {
    const draw = random(11);
    const pick = <T>(list: readonly T[]): T => list[Math.floor(draw(list.length))]!;
    const bytes = (limit: number) =>
      Buffer.from(Array.from({ length: Math.floor(draw(limit)) }, () => Math.floor(draw(256))));
    const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)]);
    const payloads = [
      () => Buffer.alloc(0),
      () => bytes(600),
      () => Buffer.from("<".repeat(900)),
      () => Buffer.from('</a>;x="'.repeat(80)),
      () => Buffer.from("\u001b[2J\u0007 1 2 3"),
      () => Buffer.from(encode(nested(60))),
      () => Buffer.from(encode(null)),
      () => Buffer.from(encode([1, 2])),
      () => Buffer.from(encode({ params: 7, outputs: [3], event: "x", highest: "y", staged: 1 })),
      () => Buffer.from(encode({ digest: new Uint8Array(40), size: -1, received: 1e300 })),
      () => Buffer.alloc(1000, 0x81),
      () => Buffer.from("unknown-key: \u0000\u001b]0;x"),
    ];
    const options = [
      () => ({ name: "Observe", value: bytes(5) }),
      () => ({ name: "Block1", value: bytes(5) }),
      () => ({ name: "Block2", value: bytes(5) }),
      () => ({ name: "ETag", value: bytes(9) }),
      () => ({ name: "Max-Age", value: bytes(5) }),
      () => ({ name: "Content-Format", value: bytes(5) }),
      () => ({ name: "252", value: bytes(41) }),
    ];
    const codes = [
      "0.00",
      "0.01",
      "2.01",
      "2.04",
      "2.05",
      "2.31",
      "4.01",
      "4.04",
      "4.08",
      "4.13",
      "5.03",
      "7.31",
    ];
    let mute = false;
    await using hostile = await peer((request, send) => {
      if (mute) return;
      for (let copies = 1 + draw(2); copies > 0; copies--) {
        if (draw(4) < 1) send(bytes(60));
        else {
          const token = draw(6) < 1 ? bytes(9) : request.token;
          const messageId = draw(6) < 1 ? Math.floor(draw(65536)) : request.messageId;
          const kind = pick([
            { ack: true },
            { ack: true },
            { confirmable: true },
            { reset: true },
            {},
          ]);
          const list = options.filter(() => draw(4) < 1).map((make) => make());
          try {
            const packet = { ...kind, token, messageId, code: pick(codes), options: list as never };
            const datagram = generate({ ...packet, payload: pick(payloads)() });
            if (draw(5) < 1) datagram[Math.floor(draw(datagram.length))] = Math.floor(draw(256));
            send(datagram);
          } catch {
            // The codec makes no such message.
          }
        }
      }
    });
    const unhandled: unknown[] = [];
    const note = (reason: unknown) => unhandled.push(reason);
    process.on("unhandledRejection", note);
    process.on("uncaughtException", note);
    const outcomes = new Map<string, number>();
    const bytes_ = await pack("native", "flood-alarm", 1);
    for (let round = 0; round < 24; round++) {
      // However fast everything goes, there are some whom nobody answers.
      mute = round % 6 === 5;
      await using node = await Node.connect(hostile.address, { ackTimeout: 5, patience: 25 });
      const limit = AbortSignal.timeout(250);
      const drain = async (items: AsyncIterable<unknown>) => {
        let count = 0;
        for await (const _ of items) if (++count > 20) break;
      };
      const all = [
        node.info(limit),
        node.stats(limit),
        node.app(limit),
        node.params(limit),
        node.log(limit),
        node.discover([], limit),
        node.setParam("x", 1, limit),
        node.rollback(limit),
        node.remove(limit),
        node.push(bytes_, { signal: limit, blockSize: 256 }),
        drain(node.observe("outputs/x", limit)),
        drain(node.watchApp(limit)),
        drain(node.watchLog(limit)),
      ];
      for (const one of await Promise.allSettled(all)) {
        if (one.status === "rejected") expect(one.reason).toBeInstanceOf(NodeError);
        const kind = one.status === "fulfilled" ? "value" : (one.reason as NodeError).code;
        outcomes.set(kind, (outcomes.get(kind) ?? 0) + 1);
      }
    }
    process.off("unhandledRejection", note);
    process.off("uncaughtException", note);
    expect(unhandled).toEqual([]);
    // It was a mixture, not one thing over and over.
    expect([...outcomes.keys()]).toEqual(
      expect.arrayContaining(["value", "timeout", "protocol", "answer"]),
    );
  });

  test("links are read in time that grows with their length alone", () => {
    const began = process.cpuUsage().user;
    parseLinks("<".repeat(200_000));
    parseLinks('</a>;x="'.repeat(20_000));
    expect(process.cpuUsage().user - began).toBeLessThan(2_000_000);
    expect(parseLinks('</a>;rt="x";obs,</b>;sz=3')).toEqual([
      { path: "/a", attributes: { rt: "x", obs: true } },
      { path: "/b", attributes: { sz: "3" } },
    ]);
  });
});

describe("npm's coap as the server", () => {
  test("a body of many blocks and an observation are read from it", async () => {
    const text = Array.from({ length: 700 }, (_, index) => `line ${index}`).join("\n");
    let timer: NodeJS.Timeout | undefined;
    const server = coap.createServer((request, response) => {
      if (request.url === "/long") return void response.end(text);
      if (request.headers["Observe"] !== 0) return void response.end("0");
      let count = 0;
      timer = setInterval(() => response.write(String(++count)), 20);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
    const { port } = (server as unknown as { _sock: Socket })._sock.address();
    await using node = await Node.connect(`coap://127.0.0.1:${port}`);
    expect(await node.get("long")).toBe(text);
    const seen: number[] = [];
    for await (const { value } of node.observe("count")) {
      seen.push(value);
      if (seen.length === 4) break;
    }
    expect(seen).toEqual([1, 2, 3, 4]);
    clearInterval(timer);
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });
});
