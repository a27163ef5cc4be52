// The whole gateway over native nodes: values to viewers and history, access, operation, alarms, what happens when nodes and it come and go.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { connect } from "node:net";
import { once } from "node:events";
import { createServer } from "node:http";
import { createHmac } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Ajv } from "ajv";
import formats from "ajv-formats";
import { WebSocket } from "ws";
import type { Envelope } from "../../host/gateway/envelope.ts";
import type { Alarm } from "../../host/gateway/alarms.ts";
import { roleOf } from "../../host/gateway/access.ts";
import { routes } from "../../host/gateway/api.ts";
import { emulate, missing, type Emulated } from "../../host/lib/emulate.ts";
import { Node } from "../../host/lib/node.ts";
import { root, environment } from "../../host/setup.mjs";
import { makeFlash } from "../../host/lib/package.ts";
import { echo, key, pack } from "../harness/module.ts";
import { events, startGateway, until, type Running } from "./harness.ts";

const reason = missing("native");
describe.skipIf(reason !== undefined)(
  `the gateway over nodes${reason ? ` (skipped: ${reason})` : ""}`,
  () => {
    let running: Running;
    let node: Emulated;
    let folder: string;
    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), "wasmote-gateway-nodes-"));
      const flash = join(folder, "wye.flash");
      writeFileSync(flash, makeFlash({ name: "wye", keys: [key.publicKey] }));
      node = await emulate({ machine: "native", flash });
      running = await startGateway(
        {
          rules: [
            {
              name: "high",
              kind: "threshold",
              nodes: ["*"],
              resource: "sensors/level",
              above: 5000,
              below: undefined,
              hysteresis: 100,
              for: 0,
              severity: "critical",
            },
          ],
          virtual: [
            {
              name: "mean",
              kind: "aggregate",
              function: "mean",
              sources: ["*/sensors/level"],
              fresh: 60,
            },
          ],
        },
        { nodes: { wye: node.address } },
      );
      await until(() => running.gateway.nodes.get("wye")?.resources.length);
    });
    afterAll(async () => {
      await running[Symbol.asyncDispose]();
      await node.stop();
      rmSync(folder, { recursive: true, force: true });
    });

    /** Feeds a level and waits until the gateway has it. */
    const level = async (value: number) => {
      node.feed("level", value);
      return until(() => {
        const newest = running.gateway.hub.newest("wye", "sensors/level");
        return newest?.value === value && newest;
      });
    };

    test("one observation upstream, the same envelope by Server-Sent Events and WebSocket, history behind", async () => {
      await level(100);
      const before = running.gateway.upstream.requests;
      const stop = new AbortController();
      const streams = await Promise.all(
        [1, 2, 3].map(() =>
          running.ask("/nodes/wye/sensors/level", {
            headers: { accept: "text/event-stream" },
            signal: stop.signal,
          }),
        ),
      );
      const socket = new WebSocket(
        `${running.url.replace("http", "ws")}/api/stream?node=wye&resource=sensors/*`,
        { headers: { authorization: `Bearer ${running.token}` } },
      );
      const fromSocket = new Promise<Envelope>((resolve) =>
        socket.on("message", (text: Buffer) => {
          const envelope = JSON.parse(text.toString()) as Envelope;
          if (envelope.value === 101) resolve(envelope);
        }),
      );
      await once(socket, "open");
      await level(101);
      const find = async (response: Response) => {
        for await (const { id, data } of events(response))
          if (data.value === 101) return { id, data };
        throw new Error("the stream ended");
      };
      const found = await Promise.all(streams.map(find));
      const envelope = await fromSocket;
      expect(found.map(({ data }) => data)).toEqual([envelope, envelope, envelope]);
      expect(found[0]).toMatchObject({
        id: envelope.seq,
        data: { node: "wye", resource: "sensors/level" },
      });
      expect(running.gateway.upstream.requests).toBe(before);
      socket.close();
      stop.abort();
      const { points } = await running.json<{ points: { value: number }[] }>(
        "/api/history?node=wye&resource=sensors/level",
      );
      expect(points.map((point) => point.value).slice(-2)).toEqual([100, 101]);
      const text = await (
        await running.ask("/api/history?node=wye&resource=sensors/level&format=csv")
      ).text();
      expect(text).toMatch(/^time,value\r\n/);
    });

    test("who comes back gets what was missed, or is told that it is gone", async () => {
      const { seq } = await level(200);
      await level(201);
      await level(202);
      const stop = new AbortController();
      const values: (number | null)[] = [];
      for await (const { data } of events(
        await running.ask("/api/stream?node=wye&resource=sensors/level", {
          headers: { "last-event-id": String(seq) },
          signal: stop.signal,
        }),
      )) {
        values.push(data.value);
        if (values.length === 2) break;
      }
      expect(values).toEqual([201, 202]);
      const gone = events(
        await running.ask("/api/stream?node=wye", {
          headers: { "last-event-id": "7" },
          signal: stop.signal,
        }),
      );
      expect((await gone.next()).value).toMatchObject({ event: "resync" });
      stop.abort();
    });

    test("an observed resource is answered from its observation, without asking the node", async () => {
      await level(300);
      const before = running.gateway.upstream.requests;
      const response = await running.ask("/nodes/wye/sensors/level");
      expect([
        await response.text(),
        response.headers.get("x-wasmote-from"),
        running.gateway.upstream.requests,
      ]).toEqual(["300", "cache", before]);
    });

    test("a virtual resource is one like any other", async () => {
      await level(400);
      expect(running.gateway.hub.newest("gateway", "virtual/mean")?.value).toBe(400);
      const { points } = await running.json<{ points: { value: number }[] }>(
        "/api/history?node=gateway&resource=virtual/mean",
      );
      expect(points.at(-1)?.value).toBe(400);
    });

    test("an alarm is raised once, acknowledged by name, and ends", async () => {
      await level(6000);
      await level(6001);
      const [alarm] = await running.json<Alarm[]>("/api/alarms");
      expect(alarm).toMatchObject({ rule: "high", node: "wye", severity: "critical", value: 6000 });
      await level(10);
      expect((await running.json<Alarm[]>("/api/alarms"))[0]?.ended).toBeTypeOf("number");
      const response = await running.ask("/api/alarms/acknowledge", {
        method: "POST",
        body: JSON.stringify({ id: alarm!.id }),
      });
      expect([response.status, await running.json("/api/alarms")]).toEqual([200, []]);
      const audit = await running.json<{ who: string; what: string }[]>("/api/audit");
      expect(audit[0]).toMatchObject({ who: "first", what: "acknowledge" });
    });

    test("a package that fits is installed and its output observed; one for another class is refused with all reasons", async () => {
      const fitting = await pack("native", echo, 1);
      const put = (bytes: Uint8Array, check = "") =>
        running.ask(`/api/nodes/wye/app${check}`, { method: "PUT", body: Buffer.from(bytes) });
      expect(await (await put(fitting, "?check=1")).json()).toMatchObject({
        fits: true,
        reasons: [],
      });
      expect((await put(fitting)).status).toBe(200);
      await level(42);
      await until(() => running.gateway.hub.newest("wye", "outputs/echo")?.value === 42);
      const wrong = await put(await pack("qemu-stm32", echo, 1));
      expect(wrong.status).toBe(409);
      const { error } = (await wrong.json()) as { error: { message: string } };
      expect(error.message).toMatch(/is for stm32f407.*; .*sequence number 1/);
      expect((await put(Buffer.from("no package"))).status).toBe(400);
    });

    test("what a Thing is described as holds against its own words, and OpenAPI names every route", async () => {
      const thing = await running.json<{
        properties: Record<string, { forms: { href: string }[] }>;
      }>("/api/nodes/wye/thing");
      // W3C's own schema of descriptions (Thing Description 1.1).
      const schema = JSON.parse(
        readFileSync(
          join(
            root,
            "node_modules/wot-thing-description-types/schema/td-json-schema-validation.json",
          ),
          "utf8",
        ),
      ) as object;
      const ajv = new Ajv({ strict: false, allErrors: true });
      formats.default(ajv);
      const check = ajv.compile(schema);
      expect(check(thing) ? [] : check.errors).toEqual([]);
      // One that lacks what it needs is none: the schema is not empty.
      expect(check({ ...thing, title: undefined, security: [] })).toBe(false);
      const context = (thing as unknown as { "@context": unknown[] })["@context"];
      expect(context).toContainEqual(
        expect.objectContaining({ cov: "https://www.w3.org/2019/wot/coap#" }),
      );
      expect(
        thing.properties["sensors_level"]!.forms.map((one) => new URL(one.href).protocol),
      ).toEqual(["http:", "http:", "coap:", "coap:"]);
      // What each form says it gives is what its property is described as, as a consumer checks it (node-wot does).
      type Form = { href: string; contentType: string; op: unknown; "cov:accept"?: number };
      await using direct = await Node.connect(running.gateway.nodes.get("wye")!.address);
      let forms = 0;
      for (const [name, property] of Object.entries(thing.properties)) {
        const fits = ajv.compile(property);
        for (const form of property.forms as Form[]) {
          if (form.op !== "readproperty") continue;
          forms++;
          const { pathname, search, protocol } = new URL(form.href);
          if (protocol === "coap:") {
            const accept = { name: "Accept", value: Buffer.from([form["cov:accept"]!]) };
            const { payload } = await direct.request("GET", pathname, { options: [accept] });
            expect(fits(JSON.parse(payload.toString())), form.href).toBe(true);
            continue;
          }
          const answer = await running.ask(pathname + search, {
            headers: { accept: form.contentType },
          });
          expect([answer.status, answer.headers.get("content-type")]).toEqual([
            200,
            form.contentType,
          ]);
          expect(fits(await answer.json()), `${name}: ${form.href}`).toBe(true);
        }
      }
      expect(forms).toBeGreaterThan(5);
      const level = ajv.compile(thing.properties["sensors_level"]!);
      const stream = await running.ask("/nodes/wye/sensors/level", {
        headers: { accept: "text/event-stream" },
      });
      for await (const { data } of events(stream)) {
        expect(level(data)).toBe(true);
        break;
      }
      expect(level(42) || level({})).toBe(false);
      const { paths } = await running.json<{ paths: Record<string, Record<string, unknown>> }>(
        "/openapi.json",
      );
      for (const { path, method } of routes)
        expect(paths[path]).toHaveProperty(method.toLowerCase());
    });

    test("metrics are in Prometheus' text format, each name declared before its values", async () => {
      const text = await (await running.ask("/metrics")).text();
      const declared = new Set<string>();
      for (const line of text.trimEnd().split("\n")) {
        const type = /^# TYPE (\w+) (gauge|counter)$/.exec(line);
        if (type) declared.add(type[1]!);
        else if (!line.startsWith("# HELP ")) {
          const sample =
            /^(\w+)(?:\{(?:\w+="(?:[^"\\]|\\.)*",?)*\})? (-?[\d.]+(?:e[+-]?\d+)?|NaN|[+-]Inf)$/.exec(
              line,
            );
          expect(sample, line).not.toBeNull();
          expect(declared.has(sample![1]!)).toBe(true);
        }
      }
      expect(text).toMatch(/wasmote_value\{node="wye",resource="sensors\/level"\} 42\n/);
    });

    const { prometheus } = environment() as { prometheus?: { ok: boolean; what: string } };
    const parser = prometheus?.ok === true ? "" : ` (skipped: ${prometheus?.what ?? "not set up"})`;
    test.skipIf(parser !== "")(
      `metrics are what Prometheus' own parser reads, whatever stands in a name${parser}`,
      async () => {
        const name = 'we"ird\\x\ny';
        running.gateway.hub.publish({
          node: name,
          resource: "a=b,{}",
          time: Date.now(),
          value: 3.5,
        });
        const text = await (await running.ask("/metrics")).text();
        running.gateway.hub.forget(name);
        const program = `import json, sys
from prometheus_client.parser import text_string_to_metric_families as read
print(json.dumps([[f.name, f.type, f.documentation, [[s.name, s.labels, s.value] for s in f.samples]] for f in read(sys.stdin.read())]))`;
        const { stdout, stderr } = spawnSync(prometheus!.what, ["-c", program], {
          input: text,
          encoding: "utf8",
        });
        expect(stderr).toBe("");
        type Sample = [string, Record<string, string>, number];
        const families = JSON.parse(stdout) as [string, string, string, Sample[]][];
        expect(families.length).toBeGreaterThan(20);
        for (const [family, type, help] of families)
          expect([type === "gauge" || type === "counter", help.length > 0], family).toEqual([
            true,
            true,
          ]);
        const [, , , values] = families.find(([family]) => family === "wasmote_value")!;
        expect(values).toContainEqual(["wasmote_value", { node: name, resource: "a=b,{}" }, 3.5]);
      },
    );

    test("a node that stops leaves a gap and an age, and is observed again when it is back at another address", async () => {
      const { gateway } = running;
      await level(500);
      const seen = gateway.nodes.get("wye")!.lastSeen;
      await node.stop();
      await until(() => gateway.hub.newest("wye", "sensors/level")?.gap);
      expect(gateway.nodes.get("wye")!.lastSeen).toBeGreaterThanOrEqual(seen);
      node = await emulate({ machine: "native", flash: join(folder, "wye.flash") });
      gateway.add("wye", node.address, "configured");
      await until(() => {
        node.feed("level", 501);
        return gateway.hub.newest("wye", "sensors/level")?.value === 501;
      });
      const { points } = await running.json<{ points: { value: number | null }[] }>(
        "/api/history?node=wye&resource=sensors/level",
      );
      const values = points.map((point) => point.value);
      expect(values.slice(values.indexOf(500))).toEqual(expect.arrayContaining([500, null, 501]));
    });
  },
);

describe("access", () => {
  let running: Running;
  beforeAll(async () => void (running = await startGateway()));
  afterAll(() => running[Symbol.asyncDispose]());

  test("every route needs its role, and nothing else lets anybody in", async () => {
    const { access } = running.gateway;
    const tokens = Object.fromEntries(
      (["read", "operate", "install", "admin"] as const).map((role) => [
        role,
        access.create(role, role),
      ]),
    );
    const order = ["read", "operate", "install", "admin"];
    for (const { method, path, role } of routes) {
      if (role === undefined || path === "/api/stream") continue;
      const address = running.url + path.replaceAll(/\{\w+\}/g, "nobody");
      expect(
        (await fetch(address, { method, headers: { authorization: "Bearer wm_wrong" } })).status,
        path,
      ).toBe(401);
      for (const own of order) {
        const { status } = await fetch(address, {
          method,
          headers: { authorization: `Bearer ${tokens[own]}` },
        });
        expect(status === 403, `${method} ${path} with ${own}: ${status}`).toBe(
          order.indexOf(own) < order.indexOf(role),
        );
      }
    }
  });

  test.each([
    ["GET", "sensors/level", "read"],
    ["PUT", "time", "operate"],
    ["PUT", "app/params/limit", "operate"],
    ["POST", "app/x/reset", "operate"],
    ["PUT", "app", "install"],
    ["DELETE", "app/", "install"],
    ["DELETE", "app/staged", "install"],
    ["POST", "app/rollback", "install"],
    ["POST", "/app//rollback/", "install"],
    ["PUT", "app/params/x/y", "install"],
    ["GET", "keys", "admin"],
    ["PUT", "keys/3", "admin"],
    ["DELETE", "keys/3", "admin"],
    ["POST", "keys/3/more", "admin"],
    ["FETCH", "app/x/reset", "read"],
    ["PUT", "nothing/known", "operate"],
  ])("%s of %s needs %s", (method, path, role) => expect(roleOf(method, path)).toBe(role));

  test("a role is not got round by another way to write the same resource, over HTTP or as CoAP", async () => {
    const operator = running.gateway.access.create("escapes", "operate");
    const ask = async (method: string, path: string) =>
      (
        await fetch(`${running.url}/nodes/wye/${path}`, {
          method,
          headers: { authorization: `Bearer ${operator}` },
        })
      ).status;
    for (const [method, path] of [
      ["POST", "app/rollback"],
      ["POST", "%61pp/rollback"],
      ["POST", "app%2Frollback"],
      ["POST", "app//rollback"],
      ["PUT", "ap%70"],
      ["PUT", "ap%70/"],
      ["DELETE", "app/%73taged"],
      ["PUT", "keys/3"],
      ["PUT", "key%73/%33"],
      ["GET", "k%65ys"],
    ] as const)
      expect(await ask(method, path), `${method} ${path}`).toBe(403);
    // The role that it has is good for what it is for: there is no such node.
    expect(await ask("PUT", "app/params/limit")).toBe(404);
    expect(await ask("PUT", "%E0%A4%A")).toBe(400);
  });

  test("at the first start this computer needs none, unless a page of somebody else's, a foreign name or a proxy asks", async () => {
    const status = (headers: Record<string, string>) =>
      new Promise<number>((resolve, reject) => {
        const socket = connect(running.gateway.port, "127.0.0.1");
        const lines = Object.entries({ host: `127.0.0.1:${running.gateway.port}`, ...headers }).map(
          ([name, value]) => `${name}: ${value}`,
        );
        socket.write(
          `GET /api/nodes HTTP/1.1\r\n${lines.join("\r\n")}\r\nconnection: close\r\n\r\n`,
        );
        socket.once(
          "data",
          (text) => (resolve(Number(text.toString().split(" ")[1])), socket.destroy()),
        );
        socket.once("error", reject);
      });
    expect(await status({})).toBe(200);
    const foreign: Record<string, string>[] = [
      { host: "rebound.example" },
      { origin: "http://evil.example" },
      { "sec-fetch-site": "cross-site" },
      { "x-forwarded-for": "192.0.2.1" },
    ];
    for (const headers of foreign) expect(await status(headers), JSON.stringify(headers)).toBe(401);
  });

  test("a later start lets nobody in without a token, and knows the tokens it made; a revoked one is none", async () => {
    const folder = mkdtempSync(join(tmpdir(), "wasmote-gateway-again-"));
    const first = await startGateway({}, { folder });
    const { token } = first;
    await first[Symbol.asyncDispose]();
    const second = await startGateway({}, { folder });
    expect(second.gateway.access.first).toBeUndefined();
    expect((await fetch(`${second.url}/api/nodes`)).status).toBe(401);
    const bearer = { authorization: `Bearer ${token}` };
    expect((await fetch(`${second.url}/api/nodes`, { headers: bearer })).status).toBe(200);
    // Whoever starts it may have one more, where the first was lost.
    let newest = bearer;
    for (const name of ["admin-2", "admin-3"]) {
      newest = { authorization: `Bearer ${second.gateway.access.another()}` };
      const tokens = await fetch(`${second.url}/api/tokens`, { headers: newest });
      expect(await tokens.json()).toContainEqual(expect.objectContaining({ name, role: "admin" }));
    }
    const revoke = (name: string) =>
      fetch(`${second.url}/api/tokens/${name}`, { method: "DELETE", headers: newest });
    expect((await revoke("first")).status).toBe(204);
    expect((await fetch(`${second.url}/api/nodes`, { headers: bearer })).status).toBe(401);
    // Without an administrator nobody could make a token any more.
    expect((await revoke("admin-2")).status).toBe(204);
    const last = await revoke("admin-3");
    expect([last.status, await last.text()]).toEqual([409, expect.stringContaining("the last")]);
    expect((await fetch(`${second.url}/api/nodes`, { headers: newest })).status).toBe(200);
    await second[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  test("a foreign page's WebSocket is refused", async () => {
    const socket = new WebSocket(`${running.url.replace("http", "ws")}/api/stream`, {
      origin: "http://evil.example",
    });
    const [error] = (await once(socket, "error")) as [Error];
    expect(error.message).toMatch(/403/);
  });
});

test("an alarm reaches a webhook, signed, after the webhook was away", async () => {
  const got: { body: string; signature: string; id: string }[] = [];
  let refuse = 2;
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (part) => (body += part));
    request.on("end", () => {
      if (refuse-- > 0) return void response.writeHead(500).end();
      got.push({
        body,
        signature: String(request.headers["wasmote-signature"]),
        id: String(request.headers["wasmote-id"]),
      });
      response.end();
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const running = await startGateway({
    deliveries: [{ kind: "webhook", name: "hook", url: `http://127.0.0.1:${port}/`, secret: "s3" }],
  });
  running.gateway.alarms.raise({
    id: "x/y/z",
    rule: "x",
    kind: "trap",
    severity: "critical",
    node: "y",
    resource: "z",
    text: "it trapped",
    since: 1,
    value: null,
  });
  await until(() => got.length);
  const { body, signature, id } = got[0]!;
  const [, time, hex] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(signature)!;
  expect(createHmac("sha256", "s3").update(`${time}.${id}.${body}`).digest("hex")).toBe(hex);
  expect(JSON.parse(body)).toMatchObject({ change: "raised", alarm: { node: "y" } });
  await until(() => running.gateway.outbox.waiting() === 0);
  // A second one, when nothing waits any more; and the outbox had no trouble of its own.
  running.gateway.alarms.acknowledge("x/y/z", "anna");
  await until(() => got.length === 2);
  expect(running.gateway.alarms.list().map(({ id: one }) => one)).toEqual(["x/y/z"]);
  await running[Symbol.asyncDispose]();
  server.close();
});
