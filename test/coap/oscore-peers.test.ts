// The library under OSCORE against a server written by others: aiocoap, which also checks Echo after its start (RFC 8613 §B.1.2).
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Endpoint } from "../../host/lib/coap/endpoint.ts";
import { openLink } from "../../host/lib/coap/open.ts";
import { Context } from "../../host/lib/coap/oscore.ts";
import { ReservedNumbers } from "../../host/lib/coap/sequence.ts";

const python = fileURLToPath(new URL("../../.cache/python/bin/python", import.meta.url));
const server = fileURLToPath(new URL("../peers/aiocoap-oscore-server.py", import.meta.url));
const loads = spawnSync(python, ["-c", "import aiocoap.oscore"]).status === 0;
if (!loads)
  console.log("skipped: aiocoap with OSCORE is not here; the set-up installs it where Python can");

const secret = "0102030405060708090a0b0c0d0e0f10";
const salt = "9e7ca92223786340";

describe.skipIf(!loads)("aiocoap as a server", () => {
  let folder: string;
  let peer: ChildProcess;
  let address: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "wasmote-"));
    const settings = {
      "sender-id_hex": "01",
      "recipient-id_hex": "",
      secret_hex: secret,
      salt_hex: salt,
      algorithm: "AES-CCM-16-64-128",
      window: 32,
    };
    mkdirSync(join(folder, "server"));
    writeFileSync(join(folder, "server/settings.json"), JSON.stringify(settings));
    peer = spawn(python, [server, join(folder, "server")], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [port] = (await once(createInterface({ input: peer.stdout! }), "line")) as [string];
    address = `coap://127.0.0.1:${port}`;
  });
  afterAll(async () => {
    if (peer.exitCode === null && peer.kill()) await once(peer, "exit");
    rmSync(folder, { recursive: true, force: true });
  });

  /** A client with a context: the right one, or one whose secret differs. */
  async function client(change: { secret?: string; sender?: string } = {}): Promise<Endpoint> {
    const material = {
      secret: Buffer.from(change.secret ?? secret, "hex"),
      salt: Buffer.from(salt, "hex"),
      sender: Buffer.from(change.sender ?? "", "hex"),
      recipient: Buffer.from("01", "hex"),
    };
    const context = new Context(material, new ReservedNumbers(join(folder, "numbers")));
    return new Endpoint(await openLink(address), { context, patience: 20_000 });
  }

  test("answers, takes and gives bodies in blocks, and is observed", async () => {
    const endpoint = await client();
    try {
      expect((await endpoint.request("GET", "count")).payload.toString()).toBe("0");
      const body = Buffer.from(Array.from({ length: 3000 }, (_, at) => at & 0xff));
      expect((await endpoint.request("PUT", "body", { payload: body })).status).toBe("2.04");
      expect((await endpoint.request("GET", "body")).payload.equals(body)).toBe(true);
      await expect(endpoint.request("GET", "absent")).rejects.toMatchObject({ status: "4.04" });
      const seen: string[] = [];
      for await (const { payload } of endpoint.observe("count")) {
        seen.push(payload.toString());
        if (seen.length === 5) break;
        await endpoint.request("POST", "count");
      }
      expect(seen).toEqual(["0", "1", "2", "3", "4"]);
    } finally {
      await endpoint.close();
    }
  });

  test.each([
    ["another secret", { secret: "ff".repeat(16) }, /4\.00|not protected/],
    ["an ID that it does not know", { sender: "07" }, /4\.01|not protected/],
  ])("refuses %s, and that is not believed to be an answer", async (_, change, message) => {
    const endpoint = await client(change);
    try {
      const asked = endpoint.request("GET", "count");
      await expect(asked).rejects.toMatchObject({ code: "insecure" });
      await expect(asked).rejects.toThrow(message);
    } finally {
      await endpoint.close();
    }
  });
});
