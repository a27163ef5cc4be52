// Key exchanges with a node from outside, over the link that it has: who comes to a context, what stays of it, and what strangers can do.
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { Initiator, type Credential, type Identity } from "../../host/lib/coap/edhoc.ts";
import { exchange } from "../../host/lib/coap/exchange.ts";
import { Context } from "../../host/lib/coap/oscore.ts";
import { rights } from "../../host/lib/contract.ts";
import { NodeError } from "../../host/lib/errors.ts";
import { makeIdentity } from "../../host/lib/identity.ts";
import { allRights, encodeKeys, makeKey, materialOf } from "../../host/lib/keys.ts";
import { Node } from "../../host/lib/node.ts";
import { makeFlash } from "../../host/lib/package.ts";
import { eachTarget, scratch, type Start } from "../harness/target.ts";

/** Numbers that are used once. */
function numbers(): { take(): number } {
  let next = 0;
  return { take: () => next++ };
}

const addressed = { name: "Content-Format", value: Buffer.from([65]) };

async function begin(start: Start, folder: string) {
  const [own, admin, reader] = [makeIdentity(), makeIdentity(), makeIdentity()];
  const key = makeKey(0, allRights);
  const flash = join(folder, "flash");
  const provision = {
    name: "wye",
    keys: [],
    contexts: encodeKeys([key]),
    identity: { secret: own.secret, ccs: own.credential.ccs },
    initiators: [
      { ccs: admin.credential.ccs, rights: allRights, place: 0 },
      { ccs: reader.credential.ccs, rights: rights.read },
    ],
  };
  writeFileSync(flash, makeFlash(provision));
  const target = await start({ flash });
  const connect = (context: Context | null) =>
    Node.connect(target.address, { context, patience: 60_000 });
  return {
    target,
    admin,
    reader,
    connect,
    old: new Context(materialOf(key), numbers()),
    /** A key exchange; while the node has one with somebody else it is tried again. */
    agree: async (who: Identity, known: Credential = own.credential): Promise<Context> => {
      await using node = await connect(null);
      for (const until = Date.now() + 60_000; ;) {
        try {
          const initiator = new Initiator({ own: who, connection: randomBytes(1) });
          const { material } = await exchange(node, initiator, [known]);
          return new Context(material, numbers());
        } catch (error) {
          const busy = error instanceof NodeError && error.status === "5.03";
          if (!busy || Date.now() > until) throw error;
          await delay(500);
        }
      }
    },
  };
}

eachTarget(
  "key exchanges with a node",
  (start) => {
    test("come to contexts with the rights of the record, which survive a reset and replace what there was", async () => {
      using folder = scratch();
      const { agree, connect, admin, reader, old, target } = await begin(start, folder.path);
      const [first, mine] = [await agree(admin), await agree(reader)];
      {
        // Until the new one is used the old one is good.
        await using before = await connect(old);
        expect(await before.read("keys", { accept: "cbor" })).toMatchObject({
          place: [0, 1, 2],
          initiator: [0, 0, 1],
          replaces: [8, 0, 8],
        });
      }
      await target.reset();
      {
        await using after = await connect(first);
        expect((await after.front()).full).toBe(true);
      }
      {
        await using read = await connect(mine);
        expect((await read.request("GET", "stats")).status).toBe("2.05");
        await expect(read.put("time", "5")).rejects.toMatchObject({ status: "4.03" });
      }
      // Flash is written behind the answer.
      const heard = async () => {
        await using before = await connect(old);
        return await before.front().then(
          () => "answers",
          (error: NodeError) => error.code,
        );
      };
      await expect.poll(heard, { timeout: 60_000 }).toBe("insecure");
      // The next one replaces the first, over a reset.
      const second = await agree(admin);
      await target.reset();
      await using last = await connect(second);
      const listed = await last.read("keys", { accept: "cbor" });
      expect(listed).toMatchObject({ initiator: expect.arrayContaining([0, 1]) as unknown });
    });

    test("are refused to whoever is not known, and say what is no message", async () => {
      using folder = scratch();
      const { agree, connect, admin } = await begin(start, folder.path);
      const [stranger, other] = [makeIdentity(), makeIdentity()];
      await expect(agree(stranger)).rejects.toMatchObject({
        code: "answer",
        diagnostic: "it does not know our credential",
      });
      // Another node in its place.
      await expect(agree(admin, other.credential)).rejects.toMatchObject({ code: "insecure" });
      // One after the other: a serial line is one client's.
      {
        await using node = await connect(null);
        const refused = async (payload: Uint8Array, format = addressed) => {
          const options = { payload, options: [format] };
          const answer = node.request("POST", ".well-known/edhoc", options);
          return answer.then(
            ({ status }) => status,
            (error: NodeError) => error.status,
          );
        };
        expect(await refused(Buffer.alloc(0))).toBe("4.00");
        expect(await refused(Buffer.from([0xf5]))).toBe("4.00");
        expect(await refused(Buffer.from([0xf5, 0, 2, 0x40, 0]))).toBe("4.00");
        expect(await refused(Buffer.from([0x03, 0x41, 0x00]))).toBe("4.00");
        expect(await refused(Buffer.alloc(900, 0xf5))).toBe("4.00");
        const text = { ...addressed, value: Buffer.alloc(0) };
        expect(await refused(Buffer.from([0xf5]), text)).toBe("4.15");
      }
      // None of it keeps those out who are known.
      const context = await agree(admin);
      await using after = await connect(context);
      expect((await after.front()).full).toBe(true);
    });
  },
  ["native", "qemu-stm32", "qemu-mps2"],
);
