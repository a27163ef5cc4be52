// E-mail against a real SMTP server, from a package: what arrives, and what becomes of it when the server is away, refuses, or says nothing.
import { createServer } from "node:net";
import { once } from "node:events";
import { SMTPServer, type SMTPServerOptions } from "smtp-server";
import { expect, test } from "vitest";
import { channelsOf } from "../../host/gateway/deliveries.ts";
import { startGateway, until } from "./harness.ts";

interface Mail {
  from: string;
  to: string[];
  text: string;
  user: string | undefined;
}

/** Starts one at a port of the system's choice, or at a given one. */
async function smtp(options: SMTPServerOptions = {}, port = 0) {
  const mails: Mail[] = [];
  const server = new SMTPServer({
    authOptional: true,
    hideSTARTTLS: true,
    logger: false,
    onData: (stream, session, done) => {
      let text = "";
      stream.on("data", (part: Buffer) => (text += part.toString()));
      stream.on("end", () => {
        const { mailFrom, rcptTo } = session.envelope;
        mails.push({
          from: mailFrom === false ? "" : mailFrom.address,
          to: rcptTo.map(({ address }) => address),
          text,
          user: session.user,
        });
        done();
      });
    },
    ...options,
  });
  server.on("error", () => {});
  server.listen(port, "127.0.0.1");
  await once(server.server, "listening");
  return {
    mails,
    port: (server.server.address() as { port: number }).port,
    stop: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}

const mail = (port: number, more: { user?: string; to?: string[] } = {}) => ({
  kind: "mail" as const,
  name: "duty",
  server: `smtp://${more.user ? `${more.user}@` : ""}127.0.0.1:${port}`,
  from: "gateway@example.org",
  to: more.to ?? ["duty@example.org", "chief@example.org"],
});
const alarm = (text: string) => ({
  id: `flood/wye/outputs/${text}`,
  rule: "flood",
  kind: "threshold" as const,
  severity: "critical" as const,
  node: "wye",
  resource: "outputs/flow",
  text,
  since: 1,
  value: 217,
});

test("an alarm is a mail to all of them, with what it is about; it waits while the server is away", async () => {
  const first = await smtp();
  await using running = await startGateway({ deliveries: [mail(first.port)] });
  const { alarms, outbox } = running.gateway;
  alarms.raise(alarm("is above 216"));
  await until(() => first.mails.length);
  expect(first.mails[0]).toMatchObject({
    from: "gateway@example.org",
    to: ["duty@example.org", "chief@example.org"],
  });
  expect(first.mails[0]!.text).toMatch(/^Subject: critical raised: wye is above 216\r?$/m);
  expect(first.mails[0]!.text).toMatch(/^Message-ID: <\d+\.alarm@wasmote>\r?$/m);
  expect(first.mails[0]!.text).toContain('"value": 217');
  await until(() => outbox.waiting() === 0);
  await first.stop();
  alarms.raise(alarm("is above 218"));
  await until(() => outbox.failed > 0);
  expect(outbox.waiting()).toBe(1);
  const back = await smtp({}, first.port);
  await until(() => back.mails.length);
  expect(back.mails[0]!.text).toContain("is above 218");
  await until(() => outbox.waiting() === 0);
  await back.stop();
}, 30_000);

test("name and password go along, and wrong ones are a failure like any other", async () => {
  const server = await smtp({
    authOptional: false,
    allowInsecureAuth: true,
    onAuth: ({ username, password }, _, done) =>
      username === "gateway" && password === "s&cret"
        ? done(null, { user: "gateway" })
        : done(new Error("no")),
  });
  const right = channelsOf([mail(server.port, { user: "gateway:s%26cret" })], undefined);
  const wrong = channelsOf([mail(server.port, { user: "gateway:other" })], undefined);
  const body = JSON.stringify({ change: "raised", alarm: alarm("x") });
  await right.get("duty")!(body, 1);
  expect(server.mails[0]!.user).toBe("gateway");
  await expect(wrong.get("duty")!(body, 2)).rejects.toThrow(/login/i);
  await server.stop();
});

test("a server that refuses is no delivery; what stands in a text ends no header", async () => {
  const refusing = await smtp({
    onRcptTo: (_, __, done) =>
      done(Object.assign(new Error("no such user"), { responseCode: 550 })),
  });
  const open = await smtp();
  const body = JSON.stringify({ change: "raised", alarm: alarm("x\r\nBcc: thief@example.org") });
  const deliver = (port: number) => channelsOf([mail(port)], undefined).get("duty")!(body, 1);
  await expect(deliver(refusing.port)).rejects.toThrow(/recipients were rejected/);
  await deliver(open.port);
  expect(open.mails[0]!.to).toEqual(["duty@example.org", "chief@example.org"]);
  expect(open.mails[0]!.text).not.toMatch(/^Bcc:/m);
  await Promise.all([refusing.stop(), open.stop()]);
});

test("a server that takes a connection and says nothing holds nobody up", async () => {
  const sockets = new Set<{ destroy: () => void }>();
  const silent = createServer((socket) => void sockets.add(socket)).listen(0, "127.0.0.1");
  await once(silent, "listening");
  const { port } = silent.address() as { port: number };
  const deliver = channelsOf([mail(port)], undefined, 300).get("duty")!;
  const body = JSON.stringify({ change: "raised", alarm: alarm("x") });
  const began = performance.now();
  await expect(deliver(body, 1)).rejects.toThrow(/timeout|greeting/i);
  // Far from the minutes that it takes by itself.
  expect(performance.now() - began).toBeLessThan(20_000);
  for (const socket of sockets) socket.destroy();
  silent.close();
}, 40_000);
