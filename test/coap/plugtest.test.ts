// The test descriptions of the ETSI CoAP plugtests (github.com/cabo/td-coap4: base, link and block), each as a test of the
// CoAP server with the plugtests' resources. The client's part is played here, packet loss included. At
// the end a table tells what became of each; the titles are the descriptions' own.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { ParsedPacket } from "coap-packet";
import {
  block,
  blockOf,
  Client,
  startPlugtest,
  typeOf,
  uintOf,
  valueOf,
  valuesOf,
  type Message,
  type Plugtest,
} from "../harness/plugtest.ts";

let node: Plugtest;
let client: Client;

beforeAll(async () => {
  node = await startPlugtest();
});
beforeEach(async () => {
  await node.reset();
  client = new Client(node.port);
  return () => client.close();
});

const results: [id: string, title: string, result: string][] = [];

function td(id: string, title: string, run: () => Promise<void>): void {
  test(`${id} ${title}`, async () => {
    const name = id.padEnd(16);
    try {
      await run();
      results.push([name, title, "passed"]);
    } catch (error) {
      results.push([name, title, `failed: ${(error as Error).message.split("\n")[0]}`]);
      throw error;
    }
  });
}

const text = { options: [["Content-Format", 0]] } satisfies Message;

afterAll(async () => {
  await node.stop();
  results.push([
    "TD_COAP_OBS_03  ",
    "",
    "not applicable: the descriptions have no such case any more",
  ]);
  const width = Math.max(...results.map(([, title]) => title.length));
  const passed = results.filter(([, , result]) => result === "passed").length;
  process.stdout.write(
    `\n${results.map(([id, title, result]) => `${id} ${title.padEnd(width)}  ${result}\n`).join("")}` +
      `${passed} passed, ${results.length - 1 - passed} failed, 1 not applicable\n`,
  );
});

/** What every response to this request must be. */
function response(
  packet: ParsedPacket | undefined,
  type: "con" | "non" | "ack",
  codes: string | string[],
  token?: Uint8Array,
): ParsedPacket {
  if (!packet) throw new Error("there is no response");
  expect(typeOf(packet)).toBe(type);
  expect([codes].flat()).toContain(packet.code);
  if (token) expect(packet.token).toEqual(Buffer.from(token));
  return packet;
}

describe("CORE", () => {
  const transactions = [
    ["01", "05", "GET", "0.01", {}, ["2.05"]],
    ["02", "06", "DELETE", "0.04", {}, ["2.02"]],
    ["03", "07", "PUT", "0.03", { ...text, payload: "new" }, ["2.04", "2.01"]],
    ["04", "08", "POST", "0.02", { ...text, payload: "new" }, ["2.01", "2.04"]],
  ] as const;
  for (const type of ["con", "non"] as const) {
    for (const [con, non, method, code, more, codes] of transactions) {
      const id = type === "con" ? con : non;
      td(
        `TD_COAP_CORE_${id}`,
        `Perform ${method} transaction (${type.toUpperCase()} mode)`,
        async () => {
          const token = Buffer.from("tok");
          const answer = response(
            await client.one({ code, type, id: 77, token, path: "test", ...more }),
            type === "con" ? "ack" : "non",
            [...codes],
            token,
          );
          if (type === "con") expect(answer.messageId).toBe(77);
          if (method === "GET") {
            expect(uintOf(answer, "Content-Format")).toBe(0);
            expect(answer.payload.length).toBeGreaterThan(0);
          }
          if (method === "PUT") expect(await client.whole({ path: "test" })).toBe("new");
        },
      );
    }
  }

  const separate = async (token: Buffer) => {
    expect(await client.ask({ id: 77, token, path: "separate" })).toEqual([]);
    await node.advance(1000);
    const [acknowledgement, ...more] = await client.take();
    response(acknowledgement, "ack", "0.00");
    expect(acknowledgement?.messageId).toBe(77);
    expect(more).toEqual([]);
    await node.advance(2000);
    const [late] = await client.take();
    const answer = response(late, "con", "2.05", token);
    expect(uintOf(answer, "Content-Format")).toBe(0);
    expect(answer.payload.length).toBeGreaterThan(0);
    return answer;
  };
  const quiet = async (milliseconds: number) => {
    await node.advance(milliseconds);
    expect(await client.take()).toEqual([]);
  };

  td(
    "TD_COAP_CORE_09",
    "Perform GET transaction with separate response (CON mode, no piggyback)",
    async () => {
      const answer = await separate(Buffer.from([]));
      expect(await client.ask({ code: "0.00", type: "ack", id: answer.messageId })).toEqual([]);
      await quiet(100_000);
    },
  );
  td(
    "TD_COAP_CORE_10",
    "Perform GET transaction containing non-empty Token (CON mode)",
    async () => {
      for (const length of [1, 8]) {
        const token = Buffer.alloc(length, 0x5a);
        response(await client.one({ token, path: "test" }), "ack", "2.05", token);
      }
    },
  );
  td(
    "TD_COAP_CORE_11",
    "Perform GET transaction containing non-empty Token with a separate response (CON mode)",
    async () => {
      const answer = await separate(Buffer.from("eightbyt"));
      expect(await client.ask({ code: "0.00", type: "ack", id: answer.messageId })).toEqual([]);
    },
  );
  td("TD_COAP_CORE_12", "Perform GET transaction using empty Token (CON mode)", async () => {
    const token = Buffer.alloc(0);
    response(await client.one({ token, path: "test" }), "ack", "2.05", token);
  });
  td(
    "TD_COAP_CORE_13",
    "Perform GET transaction containing several URI-Path options (CON mode)",
    async () => {
      const answer = response(await client.one({ path: "seg1/seg2/seg3" }), "ack", "2.05");
      expect(answer.payload.length).toBeGreaterThan(0);
    },
  );
  td(
    "TD_COAP_CORE_14",
    "Perform GET transaction containing several URI-Query options (CON mode)",
    async () => {
      const query = ["first=1", "second=2", "third=3"].map((part) => ["Uri-Query", part] as const);
      const answer = response(await client.one({ path: "query", options: query }), "ack", "2.05");
      expect(answer.payload.toString()).toContain("first=1&second=2&third=3");
    },
  );
  td(
    "TD_COAP_CORE_15",
    "Perform GET transaction (CON mode, piggybacked response) in a lossy context",
    async () => {
      const request = { id: 77, token: Buffer.from("t"), path: "test" };
      // The request is lost: nothing has happened, and the next one is answered.
      const first = response(await client.one(request), "ack", "2.05", request.token);
      // The response is lost: the request sent again is answered again.
      await node.advance(2500);
      const again = response(await client.one(request), "ack", "2.05", request.token);
      expect(again).toEqual(first);
    },
  );
  td(
    "TD_COAP_CORE_16",
    "Perform GET transaction (CON mode, delayed response) in a lossy context",
    async () => {
      const request = { id: 77, token: Buffer.from("t"), path: "separate" };
      await client.ask(request);
      await node.advance(1000);
      response((await client.take())[0], "ack", "0.00");
      // That was lost: the request sent again is acknowledged again, and asked for once.
      response(await client.one(request), "ack", "0.00");
      await node.advance(1500);
      const answer = response((await client.take())[0], "con", "2.05", request.token);
      // The response is lost: it is sent again, and so it is when its acknowledgement is lost.
      await node.advance(3100);
      expect(await client.take()).toEqual([answer]);
      await node.advance(6200);
      expect(await client.take()).toEqual([answer]);
      expect(await client.ask({ code: "0.00", type: "ack", id: answer.messageId })).toEqual([]);
      await quiet(200_000);
    },
  );
  td("TD_COAP_CORE_17", "Perform GET transaction with a separate response (NON mode)", async () => {
    const token = Buffer.from("t");
    expect(await client.ask({ type: "non", token, path: "separate" })).toEqual([]);
    await quiet(1500);
    await node.advance(1000);
    response((await client.take())[0], "non", "2.05", token);
  });
  td(
    "TD_COAP_CORE_18",
    "Perform POST transaction with responses containing several Location-Path options (CON mode)",
    async () => {
      const answer = await client.one({ code: "0.02", path: "test", ...text, payload: "x" });
      response(answer, "ack", "2.01");
      expect(valuesOf(answer, "Location-Path")).toEqual(["location1", "location2", "location3"]);
    },
  );
  td(
    "TD_COAP_CORE_19",
    "Perform POST transaction with responses containing several Location-Query options (CON mode)",
    async () => {
      const answer = await client.one({ code: "0.02", path: "location-query", ...text });
      response(answer, "ack", "2.01");
      expect(valuesOf(answer, "Location-Query")).toEqual(["first=1", "second=2"]);
    },
  );
  td(
    "TD_COAP_CORE_20",
    "Perform GET transaction containing the Accept option (CON mode)",
    async () => {
      for (const [format, content] of [
        [0, /^plain$/],
        [41, /^<.*>$/],
      ] as const) {
        const answer = await client.one({ path: "multi-format", options: [["Accept", format]] });
        response(answer, "ack", "2.05");
        expect(uintOf(answer, "Content-Format")).toBe(format);
        expect(answer.payload.toString()).toMatch(content);
      }
    },
  );
  td(
    "TD_COAP_CORE_21",
    "Perform GET transaction containing the ETag option (CON mode)",
    async () => {
      const first = response(await client.one({ path: "validate" }), "ack", "2.05");
      const etag = valueOf(first, "ETag")!;
      const get = { path: "validate", options: [["ETag", etag]] } satisfies Message;
      const valid = response(await client.one(get), "ack", "2.03");
      expect(valueOf(valid, "ETag")).toEqual(etag);
      expect(valid.payload.length).toBe(0);
      await client.one({ code: "0.03", path: "validate", payload: "another state" });
      const newer = response(await client.one(get), "ack", "2.05");
      expect(valueOf(newer, "ETag")).not.toEqual(etag);
      expect(newer.payload.toString()).toBe("another state");
    },
  );
  td(
    "TD_COAP_CORE_22",
    "Perform GET transaction with responses containing the ETag option and requests containing the If-Match option (CON mode)",
    async () => {
      const tag = async () => valueOf(await client.one({ path: "validate" }), "ETag")!;
      const put = (payload: string, match?: Buffer) =>
        client.one({
          code: "0.03",
          path: "validate",
          payload,
          options: match ? [["If-Match", match]] : [],
        });
      response(await put("first", await tag()), "ack", "2.04");
      const second = await tag();
      response(await put("of another client"), "ack", "2.04");
      response(await put("too late", second), "ack", "4.12");
      expect(await client.whole({ path: "validate" })).toBe("of another client");
    },
  );
  td(
    "TD_COAP_CORE_23",
    "Perform PUT transaction containing the If-None-Match option (CON mode)",
    async () => {
      const put = {
        code: "0.03",
        path: "create1",
        payload: "x",
        options: [["If-None-Match", ""]],
      } satisfies Message;
      response(await client.one(put), "ack", "2.01");
      response(await client.one(put), "ack", "4.12");
    },
  );
  td("TD_COAP_CORE_31", "Perform CoAP Ping (CON mode)", async () => {
    const answer = await client.one({ code: "0.00", id: 77 });
    expect(typeOf(answer)).toBe("rst");
    expect(answer).toMatchObject({ code: "0.00", messageId: 77, token: Buffer.alloc(0) });
    expect(answer.payload.length).toBe(0);
  });
});

describe("LINK", () => {
  const links = async (...filter: string[]) => {
    const options = filter.map((one) => ["Uri-Query", one] as const);
    const first = await client.one({ path: ".well-known/core", options });
    expect(uintOf(first, "Content-Format")).toBe(40);
    const all = await client.whole({ path: ".well-known/core", options });
    return all === "" ? [] : all.split(",").map((link) => /^<([^>]*)>/.exec(link)?.[1]);
  };

  td("TD_COAP_LINK_01", "Access to well-known interface for resource discovery", async () => {
    expect(await links()).toHaveLength(20);
  });
  td("TD_COAP_LINK_02", "Use filtered requests for limiting discovery results", async () => {
    expect(await links("rt=Type1")).toEqual(["/link1", "/link3"]);
  });
  td("TD_COAP_LINK_03", "Handle empty prefix value strings", async () => {
    const typed = await links("rt=*");
    expect(typed).toContain("/test");
    expect(typed).not.toContain("/query");
  });
  td(
    "TD_COAP_LINK_04",
    "Filter discovery results in presence of multiple rt attributes",
    async () => {
      expect(await links("rt=Type2")).toEqual(["/link1", "/link2"]);
    },
  );
  td(
    "TD_COAP_LINK_05",
    "Filter discovery results using if attribute and prefix value strings",
    async () => {
      expect(await links("if=If*")).toEqual(["/link1", "/link2"]);
    },
  );
  td(
    "TD_COAP_LINK_06",
    "Filter discovery results using sz attribute and prefix value strings",
    async () => {
      expect(await links("sz=*")).toEqual(["/large", "/obs-large"]);
    },
  );
  td(
    "TD_COAP_LINK_07",
    "Filter discovery results using href attribute and complete value strings",
    async () => {
      expect(await links("href=/link1")).toEqual(["/link1"]);
    },
  );
  td(
    "TD_COAP_LINK_08",
    "Filter discovery results using href attribute and prefix value strings",
    async () => {
      expect(await links("href=/link*")).toEqual(["/link1", "/link2", "/link3"]);
    },
  );
  td("TD_COAP_LINK_09", "Arrange link descriptions hierarchically", async () => {
    expect(await links("ct=40")).toEqual(["/path"]);
    const path = await client.one({ path: "path" });
    expect(uintOf(path, "Content-Format")).toBe(40);
    expect(path.payload.toString()).toContain("</path/sub1>");
    const sub = response(await client.one({ path: "path/sub1" }), "ack", "2.05");
    expect(sub.payload.toString()).toBe("/path/sub1");
  });
});

describe("BLOCK", () => {
  /** Fetches all blocks from this one on, each checked; the body. */
  const fetch = async (path: string, number: number, size: number): Promise<string> => {
    let body = "";
    for (; ; number++) {
      const answer = await client.one({ path, options: [["Block2", block(number, false, size)]] });
      response(answer, "ack", "2.05");
      const got = blockOf(answer, "Block2")!;
      expect(got.number).toBe(number);
      expect(got.size).toBe(size);
      body += answer.payload.toString();
      if (!got.more) {
        expect(answer.payload.length).toBeLessThanOrEqual(size);
        return body;
      }
      expect(answer.payload.length).toBe(size);
    }
  };
  const lines = Array.from(
    { length: 40 },
    (_, i) =>
      `${String(i).padStart(4, "0")} the quick brown fox jumps over the lazy dog, and so on...\n`,
  )
    .join("")
    .slice(0, 1280);
  /** Sends a body block by block; the last response. */
  const upload = async (code: string, path: string, body: string, size: number) => {
    for (let number = 0; ; number++) {
      const more = (number + 1) * size < body.length;
      const answer = await client.one({
        code,
        path,
        options: [
          ["Content-Format", 0],
          ["Block1", block(number, more, size)],
        ],
        payload: body.slice(number * size, (number + 1) * size),
      });
      expect(blockOf(answer, "Block1")).toEqual({ number, more, size });
      if (!more) return answer;
      response(answer, "ack", "2.31");
    }
  };

  td(
    "TD_COAP_BLOCK_01",
    "Handle GET blockwise transfer for large resource (early negotiation)",
    async () => {
      const first = await client.one({ path: "large", options: [["Block2", block(0, false, 64)]] });
      expect(blockOf(first, "Block2")).toEqual({ number: 0, more: true, size: 64 });
      expect(await fetch("large", 0, 64)).toBe(lines);
    },
  );
  td(
    "TD_COAP_BLOCK_02",
    "Handle GET blockwise transfer for large resource (late negotiation)",
    async () => {
      const first = response(await client.one({ path: "large" }), "ack", "2.05");
      const got = blockOf(first, "Block2")!;
      expect(got).toMatchObject({ number: 0, more: true });
      expect(first.payload.length).toBe(got.size);
      // The client would rather have them half as large.
      const rest = await fetch("large", 2, got.size / 2);
      expect(first.payload.toString() + rest).toBe(lines);
    },
  );
  td("TD_COAP_BLOCK_03", "Handle PUT blockwise transfer for large resource", async () => {
    response(await upload("0.03", "large-update", lines, 128), "ack", "2.04");
    expect(await client.whole({ path: "large-update" })).toBe(lines);
  });
  td("TD_COAP_BLOCK_04", "Handle POST blockwise transfer for creating large resource", async () => {
    const answer = response(await upload("0.02", "large-create", lines, 64), "ack", "2.01");
    const location = valuesOf(answer, "Location-Path");
    expect(location).toHaveLength(2);
    expect(location[0]).toBe("large-create");
    expect(await client.whole({ path: location.join("/") })).toBe(lines);
  });
  td("TD_COAP_BLOCK_05", "Handle POST with two-way blockwise transfer", async () => {
    const answer = response(await upload("0.02", "large-post", lines, 64), "ack", "2.04");
    let part = blockOf(answer, "Block2")!;
    expect(part).toMatchObject({ number: 0, more: true });
    let body = answer.payload.toString();
    const { size } = part;
    while (part.more) {
      const number = part.number + 1;
      const next = response(
        await client.one({
          code: "0.02",
          path: "large-post",
          options: [
            ["Content-Format", 0],
            ["Block2", block(number, false, size)],
          ],
        }),
        "ack",
        "2.04",
      );
      part = blockOf(next, "Block2")!;
      expect(part).toMatchObject({ number, size });
      body += next.payload.toString();
    }
    expect(body).toBe(lines.toUpperCase());
  });
  td(
    "TD_COAP_BLOCK_06",
    "Handle GET blockwise transfer for large resource (early negotiation, 16 byte block size)",
    async () => {
      expect(await fetch("large", 0, 16)).toBe(lines);
    },
  );
});

describe("OBS", () => {
  const token = Buffer.from("obs");
  const acknowledge = (packet: ParsedPacket) =>
    client.ask({ code: "0.00", type: "ack", id: packet.messageId });
  const register = async (path: string, type: "con" | "non" = "con") => {
    const first = await client.one({ type, token, path, options: [["Observe", ""]] });
    response(first, type === "con" ? "ack" : "non", "2.05", token);
    expect(uintOf(first, "Observe")).toBeDefined();
    return first;
  };
  /** The next notification, five seconds later. */
  const next = async (last: ParsedPacket, type: "con" | "non" = "con") => {
    await node.advance(5000);
    const [packet, ...more] = await client.take();
    expect(more).toEqual([]);
    const told = response(packet, type, "2.05", token);
    expect(uintOf(told, "Content-Format")).toBe(uintOf(last, "Content-Format"));
    expect(uintOf(told, "Observe")).toBeGreaterThan(uintOf(last, "Observe")!);
    expect(told.payload).not.toEqual(last.payload);
    return told;
  };
  const silence = async (milliseconds: number) => {
    await node.advance(milliseconds);
    expect(await client.take()).toEqual([]);
  };
  /** Registers and sees three notifications; the last. */
  const observed = async (path = "obs") => {
    let last = await register(path);
    for (let i = 0; i < 3; i++) {
      last = await next(last);
      await acknowledge(last);
    }
    return last;
  };

  td("TD_COAP_OBS_01", "Handle resource observation with CON messages", async () => {
    await observed();
  });
  td("TD_COAP_OBS_02", "Handle resource observation with NON messages", async () => {
    let last = await register("obs-non", "non");
    for (let i = 0; i < 3; i++) last = await next(last, "non");
    // Now and then one is confirmable, as the description lets a server do.
    last = await next(last, "con");
    await acknowledge(last);
    for (let i = 0; i < 10; i++) last = await next(last, "non");
  });
  td("TD_COAP_OBS_04", "Client detection of deregistration (Max-Age)", async () => {
    await observed();
    await node.reset();
    await silence(30_000);
    // The client finds that nothing came for Max-Age and registers again, with the same token.
    const last = await register("obs");
    await acknowledge(await next(last));
  });
  td("TD_COAP_OBS_05", "Server detection of deregistration (client OFF)", async () => {
    await observed();
    let sent = 0;
    for (let i = 0; i < 40; i++) {
      await node.advance(5000);
      sent += (await client.take()).length;
    }
    // RFC 7252 §4.8: one message and four retransmissions, each with the newest state.
    expect(sent).toBe(5);
  });
  td("TD_COAP_OBS_06", "Server detection of deregistration (explicit RST)", async () => {
    const told = await next(await observed());
    await client.ask({ code: "0.00", type: "rst", id: told.messageId });
    await silence(100_000);
  });
  td("TD_COAP_OBS_07", "Server cleans the observers list on DELETE", async () => {
    await observed();
    const other = new Client(node.port);
    response(await other.one({ code: "0.04", path: "obs" }), "ack", "2.02");
    other.close();
    const [told] = await client.take();
    expect(valueOf(response(told, "con", "4.04", token), "Observe")).toBeUndefined();
    await acknowledge(told!);
    await silence(100_000);
  });
  td(
    "TD_COAP_OBS_08",
    "Server cleans the observers list when observed resource content-format changes",
    async () => {
      await observed();
      const other = new Client(node.port);
      const json = { options: [["Content-Format", 50]], payload: "{}" } satisfies Message;
      response(await other.one({ code: "0.03", path: "obs", ...json }), "ack", "2.04");
      other.close();
      const [told] = await client.take();
      const last = response(told, "con", "4.06", token);
      expect(valueOf(last, "Observe")).toBeUndefined();
      await acknowledge(last);
      await silence(100_000);
    },
  );
  td("TD_COAP_OBS_09", "Update of the observed resource", async () => {
    const last = await observed();
    const other = new Client(node.port);
    const put = { code: "0.03", path: "obs", ...text, payload: "a new value" };
    response(await other.one(put), "ack", "2.04");
    other.close();
    const [told] = await client.take();
    response(told, "con", "2.05", token);
    expect(told?.payload.toString()).toBe("a new value");
    expect(uintOf(told!, "Observe")).toBeGreaterThan(uintOf(last, "Observe")!);
    await acknowledge(told!);
  });
  td("TD_COAP_OBS_10", "GET does not cancel resource observation", async () => {
    const last = await observed();
    const other = Buffer.from("another");
    const answer = response(await client.one({ token: other, path: "obs" }), "ack", "2.05", other);
    expect(valueOf(answer, "Observe")).toBeUndefined();
    await acknowledge(await next(last));
  });
  td("TD_COAP_OBS_11", "Handle resource observation with CON messages (lossy case)", async () => {
    let last = await observed();
    for (let round = 0; round < 3; round++) {
      const lost = await next(last);
      // Until it is acknowledged one message alone is on its way, sent again with the newest state.
      await node.advance(3100);
      const again = await client.take();
      expect(again.length).toBe(1);
      response(again[0], "con", "2.05", token);
      expect(uintOf(again[0]!, "Observe")).toBeGreaterThanOrEqual(uintOf(lost, "Observe")!);
      await acknowledge(again[0]!);
      last = again[0]!;
      await node.advance(2000);
      for (const packet of await client.take()) {
        await acknowledge(packet);
        last = packet;
      }
    }
  });
  td("TD_COAP_OBS_12", "GET with Observe=1 does cancel resource observation", async () => {
    await observed();
    const answer = await client.one({ token, path: "obs", options: [["Observe", 1]] });
    expect(valueOf(response(answer, "ack", "2.05", token), "Observe")).toBeUndefined();
    await silence(100_000);
  });

  /** The body that a notification is the first block of. */
  const rest = async (path: string, told: ParsedPacket) => {
    let body = told.payload.toString();
    let part = blockOf(told, "Block2");
    while (part?.more) {
      const options = [["Block2", block(part.number + 1, false, part.size)]] as const;
      const answer = await client.one({ path, options });
      expect(valueOf(answer, "ETag")).toEqual(valueOf(told, "ETag"));
      expect(valueOf(answer, "Observe")).toBeUndefined();
      body += answer.payload.toString();
      part = blockOf(answer, "Block2");
    }
    return body;
  };
  td("TD_COAP_OBS_13", "Handle observation of large resources (with Block2)", async () => {
    let last = await register("obs-large");
    for (let i = 1; i <= 3; i++) {
      last = await next(last);
      await acknowledge(last);
      expect((await rest("obs-large", last)).slice(0, 4)).toBe(String(i).padStart(4, "0"));
    }
  });
  td(
    "TD_COAP_OBS_14",
    "Handle observation of variable size large resources (with Block2)",
    async () => {
      let last = await register("obs-pumping");
      const sizes: number[] = [];
      for (let i = 1; i <= 4; i++) {
        last = await next(last);
        await acknowledge(last);
        sizes.push((await rest("obs-pumping", last)).length);
      }
      expect(sizes).toEqual([704, 1304, 704, 1304]);
    },
  );
});
