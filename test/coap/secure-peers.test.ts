// A secured node with clients written by others: aiocoap and Californium's cf-oscore, which take blocks by themselves.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { writeExport } from "../../host/cli/keys.ts";
import { makeIdentity } from "../../host/lib/identity.ts";
import { Context } from "../../host/lib/coap/oscore.ts";
import { allRights, encodeKeys, makeKey, materialOf } from "../../host/lib/keys.ts";
import { Node } from "../../host/lib/node.ts";
import { makeFlash } from "../../host/lib/package.ts";
import { rights } from "../../host/lib/contract.ts";
import { environment } from "../../host/setup.mjs";
import { missing } from "../../host/lib/emulate.ts";
import { Between, hostile } from "../harness/between.ts";
import { random } from "../harness/link.ts";
import { scratch, startTarget } from "../harness/target.ts";

const python = fileURLToPath(new URL("../../.cache/python/bin/python", import.meta.url));
const ours = (name: string) => fileURLToPath(new URL(`../peers/${name}`, import.meta.url));

/** Whether it is here, and how it is started; both understand the same lines. */
interface Client {
  loads: boolean;
  why: string;
  command: readonly string[];
}

const found = environment() as Record<string, { ok: boolean; what: string } | undefined>;
const clients: Record<string, Client> = {
  aiocoap: {
    loads: spawnSync(python, ["-c", "import aiocoap.oscore"]).status === 0,
    why: "aiocoap with OSCORE is not here; the set-up installs it where Python can",
    command: [python, ours("aiocoap-oscore-client.py")],
  },
  Californium: {
    loads: found["californium"]?.ok === true,
    why: found["californium"]?.what ?? "not set up",
    command: ["java", "-cp", found["californium"]?.what ?? "", "OscoreClient"],
  },
};

interface Answer {
  code?: string;
  payload?: string;
  protected?: boolean;
  first?: string;
  payloads?: string[];
  error?: string;
}

/** A client with a context that lies in a folder. It may write files where it runs. */
function peer(
  [program = "", ...words]: readonly string[],
  address: string,
  folder: string,
  more: readonly string[] = [],
) {
  const child = spawn(program, [...words, address, folder, ...more], {
    cwd: folder,
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<Answer> => {
    const { value, done } = await lines.next();
    if (done) throw new Error("the client has ended");
    return JSON.parse(value) as Answer;
  };
  return {
    next,
    send: (request: object) => void child.stdin.write(`${JSON.stringify(request)}\n`),
    async ask(method: string, path: string, payload = ""): Promise<Answer> {
      this.send({ method, path, payload: Buffer.from(payload).toString("hex") });
      return next();
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.kill()) await once(child, "exit");
    },
  };
}

const text = ({ payload = "" }: Answer) => Buffer.from(payload, "hex").toString();

// The board with Ethernet in QEMU, and the process: neither of them speaks slipmux.
const cases = Object.keys(clients).flatMap((name) =>
  ["native", "qemu-mps2"].map((target) => [name, target] as const),
);
describe.each(cases)("%s as a client of %s", (name, target) => {
  const { loads, why, command } = clients[name]!;
  const reason = loads ? missing(target as "native") : why;
  test.skipIf(reason)(
    `reads, writes, gets blocks, observes, and goes on after a reset${reason ? ` (skipped: ${reason})` : ""}`,
    async () => {
      using folder = scratch();
      const keys = [makeKey(0, allRights), { ...makeKey(1, rights.read), peer: 0x70, node: 0xf0 }];
      keys[0]!.peer = 0x71;
      keys[0]!.node = 0xf1;
      const flash = join(folder.path, "flash");
      const contexts = encodeKeys(keys);
      writeFileSync(flash, makeFlash({ name: "wye", keys: [], contexts }));
      for (const [at, key] of keys.entries()) writeExport(join(folder.path, `context-${at}`), key);
      const node = await startTarget(target, { flash });
      try {
        await using admin = peer(command, node.address, join(folder.path, "context-0"));
        await using reader = peer(command, node.address, join(folder.path, "context-1"));
        // Longer than a block.
        const info = await admin.ask("GET", "node");
        expect(info).toMatchObject({ code: "2.05", protected: true });
        expect(info.payload!.length).toBeGreaterThan(2 * 512);
        expect(await admin.ask("PUT", "time", "1700000000")).toMatchObject({ code: "2.04" });
        expect(Number(text(await admin.ask("GET", "time")))).toBeGreaterThanOrEqual(1_700_000_000);
        // Several blocks up: what is no package is refused, and the refusal is protected.
        const body = "x".repeat(3000);
        expect(await admin.ask("PUT", "app", body)).toMatchObject({
          code: "4.00",
          protected: true,
        });
        for (const [method, path] of [
          ["PUT", "time"],
          ["DELETE", "app"],
          ["GET", "keys"],
        ] as const)
          expect(await reader.ask(method, path, method === "PUT" ? "1" : "")).toMatchObject({
            code: "4.03",
            protected: true,
          });
        node.feed("level", 1000);
        reader.send({ observe: "sensors/level", count: 3 });
        const { first } = await reader.next();
        expect(first).toBeDefined();
        for (const value of [2001, 2002]) node.feed("level", value);
        const { payloads } = await reader.next();
        expect(payloads).toHaveLength(3);
        await node.reset();
        expect(await admin.ask("GET", "stats")).toMatchObject({ code: "2.05", protected: true });
        expect(await admin.ask("PUT", "time", "1800000000")).toMatchObject({ code: "2.04" });
      } finally {
        await node.stop();
      }
    },
  );
});

describe.each(Object.keys(clients))("somebody between %s and a secured node", (name) => {
  const { loads, why, command } = clients[name]!;
  const reason = loads ? missing("native") : why;
  test.skipIf(reason)(
    `strips, replays, reorders and delays, and nothing is done twice or late${reason ? ` (skipped: ${reason})` : ""}`,
    async () => {
      using folder = scratch();
      const keys = [makeKey(0, allRights), { ...makeKey(1, rights.read), peer: 0x70, node: 0xf0 }];
      keys[0]!.peer = 0x71;
      keys[0]!.node = 0xf1;
      const flash = join(folder.path, "flash");
      writeFileSync(flash, makeFlash({ name: "wye", keys: [], contexts: encodeKeys(keys) }));
      writeExport(join(folder.path, "context-0"), keys[0]!);
      const node = await startTarget("native", { flash });
      try {
        using between = await Between.before(node.address);
        await using client = peer(command, between.address, join(folder.path, "context-0"));
        let next = 0;
        const context = new Context(materialOf(keys[1]!), { take: () => next++ });
        await using witness = await Node.connect(node.address, { context });
        // Both know each other before somebody comes between them.
        expect(await client.ask("PUT", "time", "1700000000")).toMatchObject({ code: "2.04" });
        const malice = hostile(random(4));
        const held: Buffer[] = [];
        let [current, set, refused] = [0, 0, 0];
        for (let step = 1; step <= 12; step++) {
          between.onRequest = malice.request;
          // What the client hears in the open is not for us to judge: answers come late, twice and out of order.
          const heard: Buffer[] = [];
          between.onAnswer = (datagram) => [datagram, ...heard.splice(0, 1, datagram)];
          const time = 1_700_000_000 + step * 1000;
          const { code } = await client.ask("PUT", "time", String(time));
          if (code === "2.04") set = step;
          else refused++;
          // Nothing is done twice, and nothing that was not said.
          const now = Math.floor((Number(await witness.get("time")) - 1_700_000_000) / 1000);
          expect([current, step]).toContain(now);
          if (code === "2.04") expect(now).toBe(step);
          current = now;
          held.push(...between.captured.splice(0));
        }
        expect(malice.done).toBeGreaterThan(15);
        expect(set + refused).toBeGreaterThan(0);
        expect(set).toBeGreaterThan(6);
        // All that was ever said comes once more, in another order, under other message IDs and from elsewhere.
        const before = (await witness.info()).oscore!;
        for (const [at, datagram] of held.toReversed().entries()) {
          const again = Buffer.from(datagram);
          again.writeUInt16BE((again.readUInt16BE(2) + 0x4000 + at) & 0xffff, 2);
          between.send(again);
          // One after the other: of those that wait a node keeps a few for each host.
          await witness.get("time");
        }
        const now = Math.floor((Number(await witness.get("time")) - 1_700_000_000) / 1000);
        expect(now).toBe(current);
        const after = (await witness.info()).oscore!;
        expect(after["replayed"]! - before["replayed"]!).toBeGreaterThan(10);
      } finally {
        await node.stop();
      }
    },
  );
});

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

describe.each(["native", "qemu-mps2"] as const)("aiocoap and a key exchange with %s", (target) => {
  const { loads, why, command } = clients["aiocoap"]!;
  const reason = loads ? missing(target as "native") : why;
  test.skipIf(reason)(
    `comes to a context that nobody was given, to another when it asks anew, and not with another's key${reason ? ` (skipped: ${reason})` : ""}`,
    async () => {
      using folder = scratch();
      const [own, initiator, stranger] = [makeIdentity(), makeIdentity(), makeIdentity()];
      const flash = join(folder.path, "flash");
      const provision = {
        name: "wye",
        keys: [],
        identity: { secret: own.secret, ccs: own.credential.ccs },
        initiators: [{ ccs: initiator.credential.ccs, rights: allRights }],
      };
      writeFileSync(flash, makeFlash(provision));
      const node = await startTarget(target, { flash });
      const as = ({ secret, credential }: typeof own) => {
        const words = [secret, credential.ccs, own.credential.ccs].map(hex);
        return peer(command, node.address, folder.path, words);
      };
      try {
        {
          await using other = as(stranger);
          const { code, error } = await other.ask("GET", "stats");
          expect([code, error]).toEqual([undefined, expect.stringMatching(/\w/)]);
        }
        // aiocoap leaves it to its user to come again when a node is busy with its flash.
        const patiently = async (client: ReturnType<typeof peer>, ...words: string[]) => {
          const [method = "", path = "", payload] = words;
          for (const until = Date.now() + 60_000; ;) {
            const answer = await client.ask(method, path, payload);
            if (!/ 5\.03 /.test(answer.error ?? "") || Date.now() > until) return answer;
            await delay(500);
          }
        };
        // Each has keys of its own: the second replaces the first.
        for (const time of ["1700000000", "1800000000"]) {
          await using client = as(initiator);
          expect(await patiently(client, "PUT", "time", time)).toMatchObject({ code: "2.04" });
          const stats = await patiently(client, "GET", "stats");
          expect(stats).toMatchObject({ code: "2.05", protected: true });
          expect(await patiently(client, "GET", "keys")).toMatchObject({ code: "2.05" });
        }
      } finally {
        await node.stop();
      }
    },
  );
});
