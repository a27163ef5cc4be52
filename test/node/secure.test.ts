// A secured node from outside, over the link that it has: who may do what, what somebody on the way can do, and what a reset leaves.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { Context } from "../../host/lib/coap/oscore.ts";
import { resources, rights } from "../../host/lib/contract.ts";
import { NodeError } from "../../host/lib/errors.ts";
import { makeIdentity } from "../../host/lib/identity.ts";
import { encodeKey, encodeKeys, makeKey, materialOf, type NodeKey } from "../../host/lib/keys.ts";
import { Node } from "../../host/lib/node.ts";
import { makeFlash, provisionOffset } from "../../host/lib/package.ts";
import type { Method } from "../../host/lib/coap/endpoint.ts";
import { Between, hostile } from "../harness/between.ts";
import { feeding } from "../harness/feeding.ts";
import { random } from "../harness/link.ts";
import { eachTarget, scratch, type Start } from "../harness/target.ts";

/** Roles by their rights; the administrator may do everything. */
const roles: Record<string, number> = {
  administrator: rights.read | rights.operate | rights.install | rights.admin,
  reader: rights.read,
  operator: rights.read | rights.operate,
  installer: rights.install,
  keeper: rights.admin,
};

/** Numbers that are used once: a test's client lives as long as its context. */
function numbers(first = 0): { take(): number } {
  let next = first;
  return { take: () => next++ };
}

/** Flash of a node with a context for each role. */
function secured(): { flash: Uint8Array; keys: Record<string, NodeKey> } {
  const keys = Object.fromEntries(
    Object.entries(roles).map(([role, mask], place) => [
      role,
      { ...makeKey(place, mask), peer: place + 1, node: 0x81 + place },
    ]),
  );
  const contexts = encodeKeys(Object.values(keys));
  const { secret, credential } = makeIdentity();
  const identity = { secret, ccs: credential.ccs };
  const provision = { name: "wye", keys: [], development: true, contexts, identity };
  return { flash: makeFlash(provision), keys };
}

async function begin(start: Start, folder: string) {
  const { flash, keys } = secured();
  const file = join(folder, "flash");
  writeFileSync(file, flash);
  const target = await start({ flash: file });
  const clients = new Map<string, Context>();
  const contextOf = (role: string) => {
    const known = clients.get(role) ?? new Context(materialOf(keys[role]!), numbers());
    clients.set(role, known);
    return known;
  };
  return {
    target,
    keys,
    contextOf,
    as: (role: string, address = target.address) =>
      Node.connect(address, { context: contextOf(role), patience: 40_000 }),
  };
}

/** The status of an answer, whatever it is. */
async function status(node: Node, method: Method, path: string): Promise<string> {
  for (const until = Date.now() + 10_000; ;) {
    try {
      return (await node.request(method, path)).status;
    } catch (error) {
      if (!(error instanceof NodeError) || error.status === undefined) throw error;
      // Busy with its flash for a moment.
      if (error.status !== "5.03" || Date.now() > until) return error.status;
      await delay(100);
    }
  }
}

const place: Record<string, string> = {
  "sensors/{name}": "sensors/level",
  "outputs/{name}": "outputs/none",
  "app/params/{name}": "app/params/none",
  "app/state/{name}": "app/state/none",
  "app/x/*": "app/x/none",
  "keys/{name}": "keys/7",
};

eachTarget(
  "a secured node",
  (start) => {
    test("answers each role what the contract lets it have, and strangers next to nothing", async () => {
      using folder = scratch();
      const { as, target } = await begin(start, folder.path);
      let cells = 0;
      for (const role of [...Object.keys(roles), "stranger"]) {
        const held = roles[role] ?? 0;
        // It remembers what was asked of it for a while, up to a number.
        await target.reset();
        await using node =
          role === "stranger" ? await Node.connect(target.address) : await as(role);
        for (const { path, rights: row } of resources) {
          for (const [method, right] of Object.entries(row)) {
            const needed = right === "public" ? 0 : rights[right as keyof typeof rights];
            const code = await status(node, method as Method, place[path] ?? path);
            const may = needed === 0 || (held & needed) !== 0;
            const refused = code === "4.01" || code === "4.03";
            expect({ role, method, path, code, refused }).toMatchObject({ refused: !may });
            if (refused) expect(code).toBe(role === "stranger" ? "4.01" : "4.03");
            cells++;
          }
        }
      }
      expect(cells).toBe(6 * resources.flatMap(({ rights: row }) => Object.keys(row)).length);
      await using stranger = await Node.connect(target.address);
      expect(await stranger.front()).toEqual({ name: "wye", security: "secured", full: false });
      await expect(stranger.info()).rejects.toMatchObject({ status: "4.01" });
    });

    test("goes on when a bit of its provisioning record flips, and opens to nobody when every copy is damaged", async () => {
      using folder = scratch();
      const { flash, keys } = secured();
      const damaged = (copies: number) => {
        const bytes = Uint8Array.from(flash);
        const record = Buffer.from(bytes.buffer, provisionOffset);
        for (let at = 0, left = copies; left > 0; left--, at += 4) {
          at = record.indexOf("WMPR", at);
          record[at + 20]! ^= 4;
        }
        const file = join(folder.path, `damaged-${copies}`);
        writeFileSync(file, bytes);
        return file;
      };
      const context = () => new Context(materialOf(keys["administrator"]!), numbers());
      {
        const target = await start({ flash: damaged(2) });
        await using node = await Node.connect(target.address, { context: context() });
        expect(await node.info()).toMatchObject({ name: "wye", security: "secured" });
      }
      const target = await start({ flash: damaged(3) });
      await using stranger = await Node.connect(target.address);
      expect(await stranger.front()).toMatchObject({ security: "secured" });
      for (const path of ["stats", "log", "sensors/level"])
        expect(await status(stranger, "GET", path)).toBe("4.01");
      expect(await status(stranger, "DELETE", "app")).toBe("4.01");
    });

    test("is read, set and observed; after a reset a context goes on with one round trip more", async () => {
      using folder = scratch();
      const { as, target } = await begin(start, folder.path);
      await using node = await as("administrator");
      expect((await node.info()).security).toBe("secured");
      await node.put("time", "1700000000");
      const seen: number[] = [];
      const next = () => 1000 + seen.length;
      await feeding(target, "level", next, async () => {
        for await (const { value } of node.observe("sensors/level")) {
          if (value < 1000 || seen.includes(value)) continue;
          seen.push(value);
          if (seen.length === 3) break;
          target.feed("level", next());
        }
      });
      expect(seen).toEqual([1000, 1001, 1002]);
      await target.reset();
      expect((await node.info()).security).toBe("secured");
      const { oscore } = await node.info();
      expect(oscore?.["challenged"]).toBeGreaterThan(0);
    });

    test("takes a new secret for an old one, and keeps the old one until the new was used", async () => {
      using folder = scratch();
      const { as, keys, target } = await begin(start, folder.path);
      const old = keys["administrator"]!;
      const fresh = { ...makeKey(6, old.rights), peer: 0x40, node: 0xc0 };
      const context = new Context(materialOf(fresh), numbers());
      const anew = () => Node.connect(target.address, { context, patience: 40_000 });
      // One after the other: a serial line is one client's.
      {
        await using before = await as("administrator");
        await before.request("PUT", "keys/6", { payload: encodeKey(fresh, old.place) });
        await target.reset();
        expect((await before.front()).full).toBe(true);
      }
      {
        await using after = await anew();
        expect((await after.front()).full).toBe(true);
      }
      {
        await using before = await as("administrator");
        // Flash is written behind the answer.
        const heard = () =>
          before.front().then(
            () => "answers",
            (error: NodeError) => error.code,
          );
        await expect.poll(heard, { timeout: 20_000 }).toBe("insecure");
      }
      await target.reset();
      await using after = await anew();
      expect((await after.front()).full).toBe(true);
      expect(await status(after, "DELETE", `keys/${keys["keeper"]!.place}`)).toBe("2.02");
      expect(await status(after, "DELETE", "keys/6")).toBe("4.09");
    });
  },
  ["native", "qemu-stm32", "qemu-mps2", "renode", "renode-ethernet"],
);

eachTarget(
  "somebody between a client and a secured node",
  (start) => {
    test("replays what was said, and nothing is done twice", async () => {
      using folder = scratch();
      const { as, target } = await begin(start, folder.path);
      using between = await Between.before(target.address);
      await using node = await as("administrator", between.address);
      await node.put("time", "1700000000");
      await node.put("time", "1800000000");
      const before = (await node.info()).oscore!;
      const requests = between.captured.slice();
      for (const [at, datagram] of requests.entries()) {
        // Under a new message ID, so that it is not a duplicate of RFC 7252 §4.5.
        const again = Buffer.from(datagram);
        again.writeUInt16BE((again.readUInt16BE(2) + 0x4000 + at) & 0xffff, 2);
        between.send(again);
      }
      expect(Number(await node.get("time"))).toBeGreaterThan(1_799_999_999);
      const after = (await node.info()).oscore!;
      expect(after["replayed"]! - before["replayed"]!).toBeGreaterThanOrEqual(requests.length - 1);
    });

    test.each([1, 2, 3])(
      "strips, adds, holds back, repeats and swaps, from seed %i, and what is believed is true",
      async (seed) => {
        using folder = scratch();
        const { as, target } = await begin(start, folder.path);
        using between = await Between.before(target.address);
        await using node = await as("administrator", between.address);
        await using witness = await as("operator");
        const malice = hostile(random(seed));
        await node.put("time", "1700000000");
        between.onRequest = malice.request;
        between.onAnswer = malice.answer;
        let current = 0;
        const pending = new Set<number>();
        let [believed, doubted] = [0, 0];
        const doubt = (error: NodeError) => {
          expect(error.code).toBe("insecure");
          doubted++;
          return undefined;
        };
        for (let step = 1; step <= 40; step++) {
          // The sensor goes on: one that falls silent gives no old value.
          await feeding(target, "level", step, async () => {
            const told = () => witness.get("sensors/level");
            await expect.poll(told).toBe(String(step));
            const set = 1_700_000_000 + step * 1000;
            const put = await node.put("time", String(set)).then(() => true, doubt);
            if (put) current = step;
            else pending.add(step);
            // Nothing is done twice, and nothing that was not said. What was not answered may still be done, once.
            const now = Math.floor((Number(await witness.get("time")) - 1_700_000_000) / 1000);
            if (now !== current) expect(pending.delete(now), `${now} at ${step}`).toBe(true);
            current = now;
            const seen = await node.get("sensors/level").catch(doubt);
            if (seen === undefined) return;
            expect(seen).toBe(String(step));
            believed++;
          });
        }
        expect(malice.done).toBeGreaterThan(100);
        expect(believed).toBeGreaterThan(10);
        expect(believed + doubted).toBeGreaterThanOrEqual(40);
      },
    );

    test("repeats and overtakes notifications, and an observer sees each value once, in order", async () => {
      using folder = scratch();
      const { as, target } = await begin(start, folder.path);
      using between = await Between.before(target.address);
      await using node = await as("reader", between.address);
      const all: Buffer[] = [];
      // The newest one, then all that came before it.
      between.onAnswer = (datagram) => {
        const sent = [datagram, ...all];
        all.push(datagram);
        return sent;
      };
      const seen: number[] = [];
      const next = () => (seen.at(-1) ?? 0) + 1;
      await feeding(target, "level", next, async () => {
        for await (const { value } of node.observe("sensors/level")) {
          // Fed again while a slow machine waits, a value may come twice, but never one from before it.
          expect(value).toBeGreaterThanOrEqual(seen.at(-1) ?? 1);
          if (value !== seen.at(-1)) seen.push(value);
          if (value >= 12) break;
          target.feed("level", next());
        }
      });
      expect(seen.length).toBeGreaterThan(10);
      expect(all.length).toBeGreaterThan(seen.length);
    });

    test("changes a bit anywhere, and nothing passes", async () => {
      using folder = scratch();
      const { as, target } = await begin(start, folder.path);
      using between = await Between.before(target.address);
      await using node = await as("administrator", between.address);
      await node.put("time", "1700000000");
      let bit = 0;
      // Behind header and token: option and ciphertext.
      between.onRequest = (datagram) => {
        const at = 8 + (bit % (((datagram.length - 8) * 8) >> 3));
        const changed = Buffer.from(datagram);
        changed[at]! ^= 1 << (bit & 7);
        bit += 5;
        changed.writeUInt16BE((changed.readUInt16BE(2) + bit) & 0xffff, 2);
        return [changed, datagram];
      };
      for (let n = 0; n < 40; n++) {
        // The answer to what was changed may come first, and is not believed.
        await node.put("time", String(1_700_000_100 + n)).catch((error: NodeError) => {
          expect(error.code).toBe("insecure");
        });
      }
      between.onRequest = (datagram) => [datagram];
      const { oscore } = await node.info();
      expect(oscore!["forged"]! + oscore!["unknown"]!).toBeGreaterThan(20);
      expect(Math.abs(Number(await node.get("time")) - 1_700_000_139)).toBeLessThan(40);
    });

    test("floods it with forgeries, and whoever has a context is answered", async () => {
      using folder = scratch();
      const { as, target } = await begin(start, folder.path);
      using between = await Between.before(target.address);
      await using node = await as("reader", between.address);
      await node.get("stats");
      const model = between.captured.at(-1)!;
      const forged = (n: number) => {
        const one = Buffer.from(model);
        one.writeUInt16BE(n & 0xffff, 2);
        one[one.length - 1]! ^= 1 + (n % 255);
        // Another sequence number, so that it is no replay that costs nothing.
        return one;
      };
      let sent = 0;
      for (let round = 0; round < 20; round++) {
        for (let n = 0; n < 25; n++) between.send(forged(sent++));
        expect(
          await node.get("sensors/rain").catch((error: NodeError) => error.status),
        ).toBeDefined();
      }
      expect(sent).toBe(500);
    });
  },
  ["native"],
);

describe("a context's bytes", () => {
  test("are those that a node reads", () => {
    const key = { place: 2, secret: Buffer.alloc(16, 7), peer: 1, node: 0x81, rights: 9 };
    expect(Buffer.from(encodeKey(key)).toString("hex")).toBe(`${"07".repeat(16)}018109`);
    expect(encodeKey(key, 3).at(-1)).toBe(0x80 | 0x30 | 9);
    expect(encodeKeys([key]).length).toBe(3 * 19);
  });
});
