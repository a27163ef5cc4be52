// A gateway beside nodes that answer only those who have a context: its own project has one, strangers have none.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { emulate, missing, type Emulated } from "../../host/lib/emulate.ts";
import { allRights, encodeKeys, keepNodeKeys, makeKey } from "../../host/lib/keys.ts";
import { Node } from "../../host/lib/node.ts";
import { makeFlash } from "../../host/lib/package.ts";
import { openProject } from "../../host/lib/project.ts";
import { startGateway, until } from "./harness.ts";

const reason = missing("native");

describe.skipIf(reason)(`a secured node${reason ? ` (skipped: ${reason})` : ""}`, () => {
  const folder = mkdtempSync(join(tmpdir(), "wasmote-gateway-secured-"));
  const project = openProject(folder);
  let node: Emulated;
  beforeAll(async () => {
    const key = makeKey(0, allRights);
    const flash = join(folder, "flash");
    writeFileSync(flash, makeFlash({ name: "wye", keys: [], contexts: encodeKeys([key]) }));
    keepNodeKeys(project, "wye", [key]);
    node = await emulate({ machine: "native", flash });
  });
  afterAll(async () => {
    await node.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test("is spoken to under the context that the gateway's project has with a node of its name", async () => {
    await using running = await startGateway({}, { project, nodes: { wye: node.address } });
    await until(() => running.gateway.nodes.get("wye")?.resources.length);
    node.feed("level", 1234);
    await until(() => running.gateway.hub.newest("wye", "sensors/level")?.value === 1234);
    expect(running.gateway.nodes.get("wye")!.info?.security).toBe("secured");
    // Somebody else uses the same context meanwhile: neither takes the other for a replay.
    await using other = await Node.connect(node.address, { project, name: "wye" });
    for (let value = 1; value <= 40; value++) {
      await other.put("time", String(1_700_000_000 + value));
      if (value % 8 === 0) await running.gateway.nodes.get("wye")!.connection.stats();
    }
  });

  test("is a stranger's to a gateway that has no context, and it says so", async () => {
    await using running = await startGateway({}, { nodes: { wye: node.address } });
    await until(() => running.gateway.nodes.get("wye")?.trouble);
    expect(running.gateway.nodes.get("wye")!.trouble).toMatch(/secured.*no context/);
  });

  test("gives whoever comes through the proxy to an address no more than a stranger gets", async () => {
    const place = new URL(node.address.replace("coap:", "http:")).host;
    await using running = await startGateway({ targets: [place] }, { project });
    const ask = (path: string) => running.ask(`/hc/coap://${place}/${path}`);
    expect((await ask(".well-known/core")).status).toBe(200);
    // 4.01 in CoAP, which over HTTP would ask for a password (RFC 8075 §7).
    for (const path of ["stats", "sensors/level", "keys"])
      expect((await ask(path)).status, path).toBe(403);
  });
});

test("a context is found by the node's name, its address, or what the node at an address calls itself", async (context) => {
  if (reason) return context.skip(reason);
  const path = mkdtempSync(join(tmpdir(), "wasmote-contexts-"));
  const key = makeKey(0, allRights);
  const flash = join(path, "flash");
  writeFileSync(flash, makeFlash({ name: "wye", keys: [], contexts: encodeKeys([key]) }));
  const target = await emulate({ machine: "native", flash });
  try {
    const project = openProject(path);
    const full = async (options: object) => {
      await using node = await Node.connect(target.address, { project, ...options });
      return (await node.front()).full;
    };
    expect(await full({})).toBe(false);
    keepNodeKeys(project, "wye", [key]);
    expect(await full({ context: null })).toBe(false);
    expect(await full({})).toBe(true);
    expect(await full({ name: "wye" })).toBe(true);
    // Its name here is another than it calls itself.
    expect(await full({ project: { ...project, nodes: { usk: target.address } } })).toBe(true);
    expect(await full({ project: { ...project, nodes: { wye: target.address } } })).toBe(true);
    // One that is known by another name's context is not believed, and nothing is sent in the open.
    keepNodeKeys(project, "usk", [makeKey(0, allRights)]);
    await expect(full({ name: "usk" })).rejects.toMatchObject({ code: "insecure" });
  } finally {
    await target.stop();
    rmSync(path, { recursive: true, force: true });
  }
});
