// A secured node with a client written by others: aiocoap, which takes blocks and Echo by itself.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { writeExport } from "../../host/cli/keys.ts";
import { allRights, encodeKeys, makeKey } from "../../host/lib/keys.ts";
import { makeFlash } from "../../host/lib/package.ts";
import { rights } from "../../host/lib/contract.ts";
import { missing } from "../../host/lib/emulate.ts";
import { scratch, startTarget } from "../harness/target.ts";

const python = fileURLToPath(new URL("../../.cache/python/bin/python", import.meta.url));
const client = fileURLToPath(new URL("../peers/aiocoap-oscore-client.py", import.meta.url));
const loads = spawnSync(python, ["-c", "import aiocoap.oscore"]).status === 0;
if (!loads)
  console.log("skipped: aiocoap with OSCORE is not here; the set-up installs it where Python can");

interface Answer {
  code?: string;
  payload?: string;
  protected?: boolean;
  first?: string;
  payloads?: string[];
  error?: string;
}

/** aiocoap with a context that lies in a folder. */
function peer(address: string, folder: string) {
  const child = spawn(python, [client, address, folder], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<Answer> => {
    const { value, done } = await lines.next();
    if (done) throw new Error("aiocoap has ended");
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

// The board with Ethernet in QEMU, and the process: aiocoap speaks no slipmux.
describe.each(["native", "qemu-mps2"])("aiocoap as a client of %s", (target) => {
  const reason = loads ? missing(target as "native") : "aiocoap is not here";
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
        await using admin = peer(node.address, join(folder.path, "context-0"));
        await using reader = peer(node.address, join(folder.path, "context-1"));
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
          expect(await reader.ask(method, path, "1")).toMatchObject({
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
