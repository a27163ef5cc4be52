// What lasts longer than a request: streams and the way to a node end with their token, are limited by it, and do not outlive their other end.
import { EventEmitter, once } from "node:events";
import { generate, parse } from "coap-packet";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { WebSocket } from "ws";
import { hasRoom, keepAlive } from "../../host/gateway/stream.ts";
import { startGateway, until, type Running } from "./harness.ts";

describe("what is open", () => {
  let running: Running;
  beforeAll(async () => {
    running = await startGateway();
    // Nothing listens there: the way to it is open all the same.
    running.gateway.add("wye", "coap://127.0.0.1:9", "configured");
  });
  afterAll(() => running[Symbol.asyncDispose]());

  const socketFor = async (path: string, token: string) => {
    const socket = new WebSocket(running.url.replace("http", "ws") + path, {
      headers: { authorization: `Bearer ${token}` },
    });
    const closed = once(socket, "close");
    await once(socket, "open");
    return { socket, closed };
  };

  const eventsFor = async (path: string, token: string) => {
    const response = await fetch(running.url + path, {
      headers: { authorization: `Bearer ${token}`, accept: "text/event-stream" },
    });
    expect(response.status).toBe(200);
    let ended = false;
    const reading = (async () => {
      try {
        for await (const part of response.body!) void part;
      } catch {
        // Cut off.
      }
      ended = true;
    })();
    return { reading, over: () => ended, cancel: () => response.body!.cancel().catch(() => {}) };
  };

  test("ends with its token, and with no other", async () => {
    const { access, hub } = running.gateway;
    const viewers = hub.viewers;
    const gone = access.create("gone", "read");
    const stays = access.create("stays", "read");
    const paths = ["/api/stream", "/nodes/wye/sensors/level"];
    const all = await Promise.all(paths.map((path) => eventsFor(path, gone)));
    const ways = [...paths, "/api/nodes/wye/coap"];
    const sockets = await Promise.all(ways.map((path) => socketFor(path, gone)));
    const other = await socketFor("/api/stream", stays);
    const left = await eventsFor("/api/stream", stays);
    expect(access.revoke("gone")).toBe(true);
    await Promise.all(all.map(({ reading }) => reading));
    for (const { closed } of sockets) expect((await closed)[0]).toBe(1008);
    // Both of the other one's are there, and get what comes.
    await until(() => hub.viewers === viewers + 2);
    expect(left.over()).toBe(false);
    const next = once(other.socket, "message");
    hub.publish({ node: "wye", resource: "sensors/level", time: 1, value: 42 });
    expect(String((await next)[0])).toContain('"value":42');
    expect(
      (await fetch(`${running.url}/api/me`, { headers: { authorization: `Bearer ${gone}` } }))
        .status,
    ).toBe(401);
    // A new token of the same name is another one; what was open for it is not held against it.
    access.create("gone", "read");
    other.socket.close();
    await other.closed;
    expect(access.revoke("gone") && access.revoke("stays")).toBe(true);
    await left.reading;
  });

  test("is limited as requests are: a message of CoAP is one", async () => {
    const { access } = running.gateway;
    const { socket, closed } = await socketFor(
      "/api/nodes/wye/coap",
      access.create("busy", "read"),
    );
    let id = 0;
    const ask = async () => {
      const answer = once(socket, "message");
      const options = [{ name: "Uri-Path" as const, value: Buffer.from("stats") }];
      socket.send(
        generate({
          code: "0.01",
          messageId: ++id,
          token: Buffer.from([1]),
          confirmable: true,
          options,
        }),
      );
      return parse((await answer)[0] as Buffer);
    };
    const principal = { name: "busy", role: "read" as const };
    // On a busy machine there is another turn by the time the message has come.
    await expect
      .poll(async () => {
        while (access.limit(principal) === undefined);
        const { code, payload } = await ask();
        return `${code} ${payload.toString()}`;
      })
      .toBe("5.03 too many requests");
    socket.close();
    await closed;
  });
});

test("a WebSocket whose other end is silent ends, one that answers stays", () => {
  vi.useFakeTimers();
  try {
    class Fake extends EventEmitter {
      pings = 0;
      over = false;
      readonly answers: boolean;
      constructor(answers: boolean) {
        super();
        this.answers = answers;
      }
      ping() {
        this.pings++;
        if (this.answers) this.emit("pong");
      }
      terminate() {
        this.over = true;
        this.emit("close");
      }
    }
    const make = (answers: boolean) => {
      const socket = new Fake(answers);
      keepAlive(socket as unknown as WebSocket);
      return socket;
    };
    const [silent, answering] = [make(false), make(true)];
    vi.advanceTimersByTime(300_000);
    expect([silent.over, silent.pings]).toEqual([true, 1]);
    expect([answering.over, answering.pings]).toEqual([false, 15]);
    answering.terminate();
    expect(vi.getTimerCount()).toBe(0);
    // What is not read does not pile up.
    const at = (bufferedAmount: number) => hasRoom({ bufferedAmount } as WebSocket);
    expect([at(0), at(200_000), at(300_000)]).toEqual([true, true, false]);
  } finally {
    vi.useRealTimers();
  }
});
