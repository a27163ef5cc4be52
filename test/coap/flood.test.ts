// The native node under a flood: what it keeps of what it has not dealt with yet is bounded, and whoever asks is answered.
import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { setImmediate as turn } from "node:timers/promises";
import { generate } from "coap-packet";
import { expect, onTestFinished, test } from "vitest";
import { missing } from "../../host/lib/emulate.ts";
import { programs } from "../../host/lib/emulate/programs.ts";
import { Node } from "../../host/lib/node.ts";

const reason =
  missing("native") ?? (process.platform === "linux" ? undefined : "only Linux tells of memory");
const why = reason === undefined ? "" : ` (skipped: ${reason})`;

test.skipIf(reason)(
  `a flood takes no memory, and the next who asks is answered${why}`,
  async () => {
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
    /** Kilobytes of memory that it ever had at once. */
    const peak = () =>
      Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))?.[1]);
    await using node = await Node.connect(`coap://127.0.0.1:${port}`);
    await node.info();
    const before = peak();
    const flood = createSocket("udp4").bind(0, "127.0.0.1");
    await once(flood, "listening");
    onTestFinished(() => void flood.close());
    // Each asks for a thousand bytes: queued without bounds, they and their answers are some thirty megabytes.
    for (let id = 0; id < 30_000; id++) {
      const token = Buffer.of(id >> 8, id & 255);
      const options = [".well-known", "core"].map((part) => ({
        name: "Uri-Path" as const,
        value: Buffer.from(part),
      }));
      const payload = Buffer.alloc(1000, id);
      const about = { code: "0.01", confirmable: false, messageId: id & 0xffff, token } as const;
      flood.send(generate({ ...about, options, payload }), port, "127.0.0.1");
      if (id % 16 === 0) await turn();
    }
    expect((await node.info()).board).toBe("native");
    expect(peak() - before).toBeLessThan(1_500);
  },
  60_000,
);
