// A gateway beside nodes that answer only those who have a context: its own project has one, strangers have none.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createSocket } from "node:dgram";
import { once } from "node:events";
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
  let open: Emulated;
  beforeAll(async () => {
    const key = makeKey(0, allRights);
    const flash = join(folder, "flash");
    writeFileSync(flash, makeFlash({ name: "wye", keys: [], contexts: encodeKeys([key]) }));
    keepNodeKeys(project, "wye", [key]);
    node = await emulate({ machine: "native", flash });
    open = await emulate({ machine: "native" });
  });
  afterAll(async () => {
    await node.stop();
    await open.stop();
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
    expect(running.gateway.nodes.get("wye")!.trouble).toMatch(/secured.*no context.*keys claim/);
  });

  test("and whatever else cannot be read is said at the start, each with what to do, and once", async () => {
    const said: string[] = [];
    const server = createSocket("udp4").bind(0, "127.0.0.1");
    await once(server, "listening");
    // A CoAP server that is no node: everything is 4.04, in an acknowledgement (RFC 7252 §5.2.1).
    server.on("message", (datagram, from) => {
      const token = datagram.subarray(4, 4 + (datagram[0]! & 15));
      const head = Buffer.from([0x60 | token.length, 0x84, datagram[2]!, datagram[3]!]);
      server.send(Buffer.concat([head, token]), from.port, from.address);
    });
    try {
      const nodes = {
        secret: node.address,
        nowhere: "coap://no-such-host.invalid",
        bare: "usk",
        wrong: "coap://127.0.0.1:99999",
        port: "serial:/dev/no-such-port",
        other: `coap://127.0.0.1:${server.address().port}`,
      };
      const say = (text: string) => said.push(text);
      const running = await startGateway({ discover: false }, { nodes, say, reconnect: 600 });
      await using _ = running;
      await until(() =>
        Object.keys(nodes).every((one) =>
          said.some((line) => line.startsWith(`${one} cannot be read yet: `)),
        ),
      );
      const line = (name: string) => said.filter((text) => text.startsWith(`${name} `));
      expect(line("secret")).toEqual([expect.stringMatching(/secured.*`wasmote keys claim`/)]);
      expect(line("nowhere")).toEqual([expect.stringMatching(/no-such-host.*wasmote\.toml/)]);
      expect(line("bare")).toEqual([expect.stringMatching(/usk is not an address.*wasmote\.toml/)]);
      expect(line("wrong")).toEqual([
        expect.stringMatching(/99999 is not an address.*wasmote\.toml/),
      ]);
      expect(line("port")).toEqual([expect.stringMatching(/no-such-port.*plugged in/)]);
      expect(line("other")).toEqual([expect.stringMatching(/4\.04.*no node of Wasmote/)]);
      // The dashboard has the same words.
      const known = await running.json<{ name: string; trouble: string }[]>("/api/nodes");
      for (const { name, trouble } of known) expect(line(name)[0]).toContain(trouble);
      // One that is corrected is told of; none is told of twice, however often it is tried.
      running.gateway.nodes.get("other")!.move(open.address);
      await until(() => said.includes("other answers now"));
      expect(said.length).toBe(Object.keys(nodes).length + 1);
    } finally {
      server.close();
    }
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
