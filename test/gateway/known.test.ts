// Who asks for what is not there is told so, with what there is: streams, sockets, history, tunnels; and requests that cannot be read.
import { once } from "node:events";
import { connect } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { WebSocket } from "ws";
import { startGateway, type Running } from "./harness.ts";

let running: Running;
const lines: string[] = [];
beforeAll(async () => {
  // A node that is known and not there: what is asked of the gateway itself it answers.
  running = await startGateway(
    {},
    { nodes: { wye: "coap://127.0.0.1:9" }, say: (line) => lines.push(line) },
  );
  running.gateway.hub.publish({ node: "wye", resource: "sensors/level", time: 1, value: 5 });
});
afterAll(() => running[Symbol.asyncDispose]());

const said = async (response: Response) => {
  const { error } = (await response.json()) as { error: { message: string } };
  return [response.status, error.message] as const;
};

test("streams and history of a node that there is not are refused with the names that there are", async () => {
  const unknown = [404, expect.stringContaining("there is no node wyee; there are: wye")];
  for (const path of [
    "/api/stream?node=wyee",
    "/api/stream?node=wye&node=wyee",
    "/api/history?node=wyee&resource=sensors/level",
    "/api/nodes/wyee",
    "/nodes/wyee/sensors/level",
  ])
    expect(await said(await running.ask(path)), path).toEqual(unknown);
  const headers = { accept: "text/event-stream" };
  expect(await said(await running.ask("/nodes/wyee/sensors/level", { headers }))).toEqual(unknown);
  // One that there is, and names that may come.
  for (const path of ["/api/stream?node=wye", "/api/stream?node=wy*", "/api/stream?node=usk*"]) {
    const ending = new AbortController();
    const { status } = await running.ask(path, { signal: ending.signal });
    expect(status, path).toBe(200);
    ending.abort();
  }
});

test("a WebSocket to a node that there is not is refused with a sentence", async () => {
  for (const path of [
    "/api/stream?node=wyee",
    "/nodes/wyee/sensors/level",
    "/api/nodes/wyee/coap",
  ]) {
    const socket = new WebSocket(running.gateway.url.replace("http", "ws") + path, {
      headers: { authorization: `Bearer ${running.token}` },
    });
    const [, response] = (await once(socket, "unexpected-response")) as [
      unknown,
      AsyncIterable<Buffer> & { statusCode: number },
    ];
    let body = "";
    for await (const part of response) body += part.toString();
    expect([response.statusCode, body], path).toEqual([
      404,
      expect.stringContaining("there is no node wyee; there are: wye"),
    ]);
  }
});

test("a last number that is none is refused where somebody wrote it, and passed over where a browser sends it", async () => {
  for (const last of ["abc", "", "-1", "1.5", "99999999999999999999"])
    expect(await said(await running.ask(`/api/stream?last=${last}`)), last).toEqual([
      400,
      expect.stringContaining("last is the number of an envelope"),
    ]);
  const ending = new AbortController();
  const { status } = await running.ask("/api/stream", {
    headers: { "last-event-id": "somebody else's" },
    signal: ending.signal,
  });
  expect(status).toBe(200);
  ending.abort();
});

test.each([
  ["an address that is too long", `GET /${"a".repeat(1_000_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 414],
  ["a header that is too long", `GET / HTTP/1.1\r\nX: ${"a".repeat(1_000_000)}\r\n\r\n`, 431],
  ["a request for two hosts", "GET / HTTP/1.1\r\nHost: x\r\nhOST: y\r\n\r\n", 400],
  ["no HTTP", "hello\r\n\r\n", 400],
])("%s is answered with a sentence", async (_, request, status) => {
  const socket = connect(running.gateway.port, "127.0.0.1");
  socket.on("error", () => {});
  let answer = "";
  socket.setEncoding("utf8").on("data", (text: string) => (answer += text));
  await once(socket, "connect");
  socket.write(request);
  await expect.poll(() => answer).toMatch(/\r\n\r\n.*\n/s);
  socket.destroy();
  expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} [A-Z]`));
  const { error } = JSON.parse(answer.slice(answer.indexOf("\r\n\r\n"))) as {
    error: { status: number; message: string };
  };
  expect(error.status).toBe(status);
  expect(error.message).toMatch(/\w+ \w+ \w+/);
});

test("a client that hangs up in the middle of what it sends is no fault of the gateway", async () => {
  for (const path of [
    "/api/placements/a?level=wye",
    "/api/hosted/a?level=wye/sensors/level",
    "/nodes/wye/sensors/level",
  ]) {
    const socket = connect(running.gateway.port, "127.0.0.1");
    await once(socket, "connect");
    const head = `PUT ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${running.token}\r\n`;
    socket.write(`${head}Expect: 100-continue\r\nContent-Length: 100\r\n\r\n`);
    // It has been taken up.
    await once(socket, "data");
    socket.end("ab");
    await once(socket.resume(), "close");
  }
  expect((await running.ask("/api/nodes")).status).toBe(200);
  expect(lines.filter((line) => line.includes("failed"))).toEqual([]);
});
