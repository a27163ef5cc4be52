// Others' implementations around the gateway: servers of libcoap and aiocoap behind it, californium-proxy2 beside it for what both do.
import { spawn, type ChildProcess } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { environment, root } from "../../host/setup.mjs";
import { pathOf, scripted, type ScriptedServer } from "./coap-server.ts";
import { startGateway, until, type Running } from "./harness.ts";

type Found = { ok: boolean; what: string } | undefined;
const { python, libcoap, californium } = environment() as Record<string, Found>;
const text = { "content-type": "text/plain;charset=utf-8" };
const why = (found: Found) => (found?.ok ? "" : ` (skipped: ${found?.what ?? "not set up"})`);

async function freePort(): Promise<number> {
  const socket = createSocket("udp4").bind(0, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address();
  await new Promise<void>((resolve) => socket.close(() => resolve()));
  return port;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill("SIGKILL");
  await exit;
}

/** A program of somebody else's that serves CoAP at a port; resolves when the gateway gets an answer from it. */
async function behind(
  running: Running,
  command: (port: string) => readonly string[],
): Promise<AsyncDisposable & { url: string }> {
  const port = await freePort();
  const [program = "", ...words] = command(String(port));
  const child = spawn(program, words, { stdio: ["ignore", "ignore", "inherit"] });
  const url = `/hc/coap://127.0.0.1:${port}`;
  try {
    await until(async () => {
      if (child.exitCode !== null) throw new Error(`${program} ended`);
      // Its port is closed until it listens; what it answers then does not matter here.
      const signal = AbortSignal.timeout(1_000);
      return running.ask(`${url}/.well-known/core?${Math.random()}`, { signal }).then(
        ({ status }) => status < 500,
        () => false,
      );
    });
  } catch (error) {
    await end(child);
    throw error;
  }
  return { url, [Symbol.asyncDispose]: () => end(child) };
}

describe.skipIf(!libcoap?.ok)(`libcoap's server behind the gateway${why(libcoap)}`, () => {
  let running: Running;
  let server: Awaited<ReturnType<typeof behind>>;
  beforeAll(async () => {
    running = await startGateway({ targets: ["127.0.0.1"] });
    server = await behind(running, (port) => [
      libcoap!.what,
      "-A",
      "127.0.0.1",
      "-p",
      port,
      "-d",
      "4",
      "-v",
      "0",
    ]);
  });
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    await running?.[Symbol.asyncDispose]();
  });

  test("its links, and its index", async () => {
    const links = await running.ask(`${server.url}/.well-known/core`);
    expect(links.status).toBe(200);
    expect(links.headers.get("content-type")).toBe("application/link-format");
    expect(await links.text()).toContain("</time>");
    const index = await running.ask(`${server.url}/`);
    expect(await index.text()).toMatch(/libcoap/);
    expect((await running.ask(`${server.url}/`)).headers.get("x-wasmote-from")).toBe("cache");
  });

  test("a body of 3,000 bytes goes there in blocks and comes back the same", async () => {
    const body = Array.from({ length: 3_000 }, (_, at) => "abcdefghij"[at % 10]).join("");
    const put = await running.ask(`${server.url}/long`, { method: "PUT", body, headers: text });
    expect(put.status).toBe(201);
    expect(await (await running.ask(`${server.url}/long`)).text()).toBe(body);
  });

  test("what was changed is read anew, and what was deleted is gone", async () => {
    const put = (body: string) =>
      running.ask(`${server.url}/short`, { method: "PUT", body, headers: text });
    expect((await put("one")).status).toBe(201);
    expect(await (await running.ask(`${server.url}/short`)).text()).toBe("one");
    expect((await put("two")).status).toBe(204);
    expect(await (await running.ask(`${server.url}/short`)).text()).toBe("two");
    expect((await running.ask(`${server.url}/short`, { method: "DELETE" })).status).toBe(204);
    expect((await running.ask(`${server.url}/short`)).status).toBe(404);
  });
});

test.skipIf(!python?.ok)(
  `aiocoap's server behind the gateway: a value, what is not there, what may not be${why(python)}`,
  async () => {
    await using running = await startGateway({ targets: ["127.0.0.1"] });
    await using server = await behind(running, (port) => [
      python!.what,
      join(root, "test/bench/peers/aiocoap-server.py"),
      port,
    ]);
    const level = await running.ask(`${server.url}/sensors/level`);
    expect(level.headers.get("content-type")).toBe("text/plain;charset=utf-8");
    expect(await level.text()).toBe("1234");
    expect((await running.ask(`${server.url}/nothing`)).status).toBe(404);
    const put = await running.ask(`${server.url}/sensors/level`, { method: "PUT", body: "" });
    expect(put.status).toBe(400);
    expect(put.statusText).toBe("CoAP server returned 4.05");
  },
);

describe.skipIf(!californium?.ok)(
  `californium-proxy2 3.9.1 beside the gateway${why(californium)}`,
  () => {
    let running: Running;
    let server: ScriptedServer;
    let child: ChildProcess;
    let folder: string;
    let theirs: string;
    const formats: Record<string, number> = { text: 0, link: 40, xml: 41, json: 50, cbor: 60 };

    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), "wasmote-californium-"));
      running = await startGateway({ targets: ["127.0.0.1"] });
      server = await scripted((request) => {
        const [kind = "", what = ""] = pathOf(request).split("/");
        if (kind === "code") return { code: what, payload: /^2\.0[24]/.test(what) ? "" : "said" };
        const format = formats[what];
        const options =
          format === undefined
            ? []
            : [{ name: "Content-Format", value: Buffer.from(format === 0 ? [] : [format]) }];
        return { code: "2.05", payload: "said", options };
      });
      // It writes a file of settings where it is.
      child = spawn("java", ["-cp", californium!.what, "Proxy"], {
        cwd: folder,
        stdio: ["pipe", "pipe", "inherit"],
      });
      const [line] = (await once(createInterface({ input: child.stdout! }), "line")) as [string];
      theirs = `http://127.0.0.1:${(JSON.parse(line) as { port: number }).port}/proxy`;
    });
    afterAll(async () => {
      await end(child);
      await server?.[Symbol.asyncDispose]();
      await running?.[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    });

    /** A request through californium-proxy2. Now and then it leaves one without an answer; that is not what is compared: asked again. */
    async function itsAnswer(target: string, init: RequestInit): Promise<Response> {
      for (let attempt = 0; ; attempt++) {
        const signal = AbortSignal.timeout(10_000);
        try {
          return await fetch(`${theirs}/${target}`, { ...init, signal });
        } catch (error) {
          if (attempt === 5) throw error;
        }
      }
    }

    /** The same request through both. */
    async function both(path: string, init: RequestInit = {}): Promise<[Response, Response]> {
      const target = `coap://127.0.0.1:${server.port}/${path}`;
      return [await running.ask(`/hc/${target}`, init), await itsAnswer(target, init)];
    }

    // What RFC 8075 §7 says, and what californium-proxy2 says where that is something else.
    test.each([
      ["2.05", "GET", 200],
      ["2.01", "POST", 201],
      ["2.02", "DELETE", 204],
      ["2.04", "PUT", 204],
      ["4.00", "GET", 400],
      ["4.01", "GET", 403, 401],
      ["4.02", "GET", 500, 400],
      ["4.03", "GET", 403],
      ["4.04", "GET", 404],
      ["4.05", "GET", 400, 405],
      ["4.06", "GET", 406],
      ["4.12", "GET", 412],
      ["4.13", "PUT", 413],
      ["4.15", "PUT", 415],
      ["5.00", "GET", 500],
      ["5.01", "GET", 501],
      ["5.02", "GET", 502],
      ["5.03", "GET", 503],
      ["5.04", "GET", 504],
      ["5.05", "GET", 502],
    ] as const)("%s to %s is %d", async (code, method, expected, other?: number) => {
      // It fails where a request has no body that may have one.
      const body = method === "GET" || method === "DELETE" ? {} : { body: "said", headers: text };
      const [ours, its] = await both(`code/${code}`, { method, ...body });
      expect({ ours: ours.status, its: its.status }).toEqual({
        ours: expected,
        its: other ?? expected,
      });
    });

    test.each([
      ["text", /^text\/plain/],
      ["link", /^application\/link-format/],
      ["xml", /^application\/xml/],
      ["json", /^application\/json/],
      ["cbor", /^application\/cbor/],
    ])("%s has the same media type and body", async (name, type) => {
      for (const response of await both(`format/${name}`)) {
        expect(response.status).toBe(200);
        expect(response.headers.get("content-type")).toMatch(type);
        expect(await response.text()).toBe("said");
      }
    });

    test("path, query and body reach the server the same", async () => {
      const before = server.requests.length;
      await both("code/2.04?a=1&b=two", {
        method: "PUT",
        body: '{"x":1}',
        headers: { "content-type": "application/json" },
      });
      const asked = server.requests.slice(before).map(({ code, payload, options }) => ({
        code,
        payload: payload.toString(),
        options: options
          .filter(({ name }) => /^(Uri-Path|Uri-Query|Content-Format)$/.test(String(name)))
          .map(({ name, value }) => `${name} ${value.toString("latin1")}`),
      }));
      // Ours first, theirs last.
      const [one, two] = [asked[0], asked.at(-1)];
      expect(asked.length).toBeGreaterThanOrEqual(2);
      expect(one).toEqual(two);
      expect(one?.options).toContain("Uri-Query b=two");
    });

    test("what is fresh is asked for once", async () => {
      for (const turn of [1, 2]) {
        const before = server.requests.length;
        await both("format/fresh");
        const asked = server.requests.length - before;
        if (turn === 1) expect(asked).toBeGreaterThanOrEqual(2);
        else expect(asked).toBe(0);
      }
    });
  },
);
