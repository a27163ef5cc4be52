// TLS by certificate files: HTTPS and secure WebSockets, what is older than TLS 1.2, files that are wrong, and files that are renewed.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type PeerCertificate } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { startGateway, until, type Running } from "./harness.ts";

const missing =
  spawnSync("openssl", ["version"]).status === 0 ? "" : " (skipped: there is no openssl here)";

describe.skipIf(missing !== "")(`TLS${missing}`, () => {
  let folder: string;
  beforeAll(() => (folder = mkdtempSync(join(tmpdir(), "wasmote-tls-"))));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  /** A key and a certificate that it signs itself. */
  function make(name: string) {
    const files = { certificate: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) };
    const words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
    const more = ["-nodes", "-days", "2", "-subj", `/CN=${name}`];
    const alternative = ["-addext", "subjectAltName=IP:127.0.0.1"];
    const where = ["-keyout", files.key, "-out", files.certificate];
    const made = spawnSync("openssl", [...words, ...more, ...alternative, ...where], {
      encoding: "utf8",
    });
    expect(made.status, made.stderr).toBe(0);
    return files;
  }

  const ask = ({ gateway, token }: Running, ca: Buffer, path: string, method = "GET", body = "") =>
    new Promise<{ status: number; cookie: string | undefined }>((resolve, reject) => {
      const headers = { authorization: `Bearer ${token}` };
      const sent = request(`${gateway.url}${path}`, { ca, headers, method }, (response) => {
        response.resume();
        resolve({
          status: response.statusCode ?? 0,
          cookie: response.headers["set-cookie"]?.[0],
        });
      });
      sent.on("error", reject);
      sent.end(body);
    });

  /** The name in the certificate that a new connection gets. */
  const name = (port: number) =>
    new Promise<string>((resolve, reject) => {
      const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false }, () => {
        const { subject } = socket.getPeerCertificate() as PeerCertificate;
        socket.destroy();
        resolve(String(subject.CN));
      });
      socket.on("error", reject);
    });

  test("HTTPS and secure WebSockets; a cookie is for them alone; HTTP and TLS 1.1 get nothing", async () => {
    const tls = make("first");
    const ca = readFileSync(tls.certificate);
    await using running = await startGateway({ tls });
    expect(running.gateway.url).toMatch(/^https:/);
    expect((await ask(running, ca, "/api/nodes")).status).toBe(200);
    const login = await ask(
      running,
      ca,
      "/api/login",
      "POST",
      JSON.stringify({ token: running.token }),
    );
    expect([login.status, login.cookie]).toEqual([200, expect.stringContaining("; Secure")]);
    const socket = new WebSocket(`${running.url.replace("https", "wss")}/api/stream`, {
      ca,
      headers: { authorization: `Bearer ${running.token}` },
    });
    const first = new Promise<string>((resolve, reject) => {
      socket.on("message", (text: Buffer) => resolve(text.toString()));
      socket.on("error", reject);
    });
    await until(() => running.gateway.hub.viewers > 1);
    running.gateway.hub.publish({ node: "wye", resource: "x", time: 1, value: 7 });
    expect(await first).toContain('"value":7');
    socket.terminate();
    await expect(fetch(running.url.replace("https", "http"))).rejects.toThrow();
    const old = new Promise<string>((resolve) => {
      const { port } = running.gateway;
      const versions = { minVersion: "TLSv1", maxVersion: "TLSv1.1" } as const;
      const from = connect(
        {
          port,
          host: "127.0.0.1",
          rejectUnauthorized: false,
          ciphers: "ALL@SECLEVEL=0",
          ...versions,
        },
        () => (from.destroy(), resolve("connected")),
      );
      from.on("error", () => resolve("refused"));
    });
    expect(await old).toBe("refused");
    // A stranger's certificate is not believed by whoever looks.
    await expect(ask(running, readFileSync(make("other").certificate), "/")).rejects.toThrow();
  });

  test("files that are not there, or do not belong together, are said with their names, and nothing is opened", async () => {
    const good = make("good");
    const other = make("another");
    const cases = [
      { ...good, key: join(folder, "nothing") },
      { ...good, certificate: join(folder, "nothing") },
      { certificate: good.certificate, key: other.key },
      { certificate: good.key, key: good.key },
    ];
    for (const tls of cases)
      await expect(startGateway({ tls })).rejects.toThrow(/nothing|no certificate with its key/);
  });

  test("renewed files are taken while it runs; half of one is not", async () => {
    const tls = make("before");
    await using running = await startGateway({ tls }, { renewal: 50 });
    const { port } = running.gateway;
    expect(await name(port)).toBe("before");
    writeFileSync(tls.certificate, "half");
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(await name(port)).toBe("before");
    const next = make("after");
    renameSync(next.key, tls.key);
    renameSync(next.certificate, tls.certificate);
    await until(async () => (await name(port)) === "after");
  });
});
