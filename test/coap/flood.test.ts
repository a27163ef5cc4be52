// The native node under a flood: what it keeps of what it has not dealt with yet is bounded, and whoever asks is answered.
import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { setImmediate as turn } from "node:timers/promises";
import { generate, parse } from "coap-packet";
import { expect, onTestFinished, test } from "vitest";
import { missing } from "../../host/lib/emulate.ts";
import { programs } from "../../host/lib/emulate/programs.ts";
import { Node } from "../../host/lib/node.ts";

const reason =
  missing("native") ?? (process.platform === "linux" ? undefined : "only Linux tells of memory");
const why = reason === undefined ? "" : ` (skipped: ${reason})`;

/** A node as a process, its port, and a socket that floods it with requests whose datagrams have so many bytes more. */
async function flooded(payload: number) {
  const child = spawn(programs.native, ["--udp", "127.0.0.1:0"]);
  onTestFinished(() => void child.kill("SIGKILL"));
  let port = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    const found = /"udp":\s*"127\.0\.0\.1:(\d+)"/.exec(line);
    if (found) {
      port = Number(found[1]);
      break;
    }
  }
  child.stdout.resume();
  const flood = await socketAt("127.0.0.1");
  const send = (id: number) => {
    const token = Buffer.of(id >> 8, id & 255);
    const options = [".well-known", "core"].map((part) => ({
      name: "Uri-Path" as const,
      value: Buffer.from(part),
    }));
    const about = { code: "0.01", confirmable: false, messageId: id & 0xffff, token } as const;
    const more = payload === 0 ? {} : { payload: Buffer.alloc(payload, id) };
    flood.send(generate({ ...about, options, ...more }), port, "127.0.0.1");
  };
  return { child, port, send };
}

async function socketAt(host: string) {
  const socket = createSocket("udp4").bind(0, host);
  await once(socket, "listening");
  onTestFinished(() => void socket.close());
  return socket;
}

test.skipIf(reason)(
  `a flood takes no memory, and the next who asks is answered${why}`,
  async () => {
    const { child, port, send } = await flooded(1000);
    /** Kilobytes of memory that it ever had at once. */
    const peak = () =>
      Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))?.[1]);
    await using node = await Node.connect(`coap://127.0.0.1:${port}`);
    await node.info();
    const before = peak();
    // Each asks for a thousand bytes: queued without bounds, they and their answers are some thirty megabytes.
    for (let id = 0; id < 30_000; id++) {
      send(id);
      if (id % 16 === 0) await turn();
    }
    expect((await node.info()).board).toBe("native");
    expect(peak() - before).toBeLessThan(1_500);
  },
  60_000,
);

test.skipIf(reason)(
  `a flood that came before takes nobody's request: it is answered without being sent again${why}`,
  async () => {
    const { child, port, send } = await flooded(0);
    await using node = await Node.connect(`coap://127.0.0.1:${port}`);
    // Others on the same host, and on another.
    const clients = [await socketAt("127.0.0.1"), await socketAt("127.0.0.2")];
    const received = async () => (await node.info()).coap.received;
    for (let round = 0; round < 5; round++) {
      const before = (await received()) ?? 0;
      // All that comes while the process stands still is there at once when it goes on: more than it keeps, and less than the
      // system's buffer of the socket has room for.
      child.kill("SIGSTOP");
      const ahead = 100;
      for (let id = 0; id < ahead; id++) send(round * ahead + id);
      const answers = clients.map(async (client, index) => {
        const [bytes] = (await once(client, "message")) as [Buffer];
        const { code, messageId } = parse(bytes);
        return { index, code, messageId };
      });
      clients.forEach((client, index) => {
        const time = [{ name: "Uri-Path" as const, value: Buffer.from("time") }];
        const about = { code: "0.01", confirmable: true, messageId: 40_000 + round } as const;
        const token = Buffer.of(index);
        client.send(generate({ ...about, token, options: time }), port, "127.0.0.1");
      });
      await turn();
      child.kill("SIGCONT");
      // Nothing is sent again here: without an answer this waits until the test ends.
      expect(await Promise.all(answers)).toEqual(
        clients.map((_, index) => ({ index, code: "2.05", messageId: 40_000 + round })),
      );
      // Counted in datagrams: between the flood and the answers lies no more than was sent before, and the count itself.
      const handled = ((await received()) ?? 0) - before;
      expect(handled).toBeLessThanOrEqual(ahead + clients.length + 12);
    }
  },
  60_000,
);
