// A node on Ethernet: its address, and a cable that is pulled and plugged in again while it runs.
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { setImmediate as turn, setTimeout as delay } from "node:timers/promises";
import { generate, parse } from "coap-packet";
import { expect, test } from "vitest";
import { Node } from "../../host/lib/node.ts";
import { echo, first, pack, provisioned } from "../harness/module.ts";
import { eachTarget, scratch } from "../harness/target.ts";
import { counted, counting, ticking } from "../harness/counting.ts";
import { feeding } from "../harness/feeding.ts";

/** Echo (RFC 9175 §2.2.1), as the library that makes packets calls it. */
const echoOption = "252";

eachTarget(
  "the network",
  (start, target) => {
    test("a pulled cable stops nothing but the answers, and a plugged one brings them back", async () => {
      using folder = scratch();
      const board = await provisioned(start, folder.path);
      await using node = await Node.connect(board.address);
      await node.push(await pack(target, echo, 1));
      expect(await node.info()).toMatchObject({
        link: { address: "10.0.2.15", origin: "dhcp", lost: 0, damaged: 0, unsent: 0 },
      });
      await board.plug?.(false);
      await expect(node.get("node", { signal: AbortSignal.timeout(1500) })).rejects.toThrow();
      // The module goes on with its work meanwhile.
      board.feed("level", 42);
      await board.plug?.(true);
      await expect.poll(() => node.get("outputs/echo"), { timeout: 30_000 }).toBe("42");
      expect(await node.info()).toMatchObject({
        link: { address: "10.0.2.15", origin: "dhcp" },
        reset: "power on",
      });
      await feeding(board, "level", 43, () =>
        first(node.observe("outputs/echo"), ({ value }) => value === 43),
      );
    });

    test("the ports of one host have its turns together", async () => {
      using folder = scratch();
      const board = await provisioned(start, folder.path);
      await using node = await Node.connect(board.address);
      const port = Number(new URL(board.address).port);
      const uptime = async () => Number((await node.info()).uptime);
      const before = await uptime();
      let changed = 0;
      // Each shows that it is where it says (RFC 9175 §2.3), as soon as it is asked to.
      const abuse = async (client: number) => {
        const socket = createSocket("udp4").bind(0, "127.0.0.1");
        await once(socket, "listening");
        const answers = new Map<number, (answer: ReturnType<typeof parse>) => void>();
        socket.on("message", (bytes) => {
          const answer = parse(bytes);
          answers.get(answer.messageId)?.(answer);
        });
        let echo: Buffer | undefined;
        for (let number = 0; number < 12; number++) {
          const messageId = client * 100 + number;
          const options = [
            { name: "Uri-Path" as const, value: Buffer.from("time") },
            ...(echo === undefined ? [] : [{ name: echoOption, value: echo }]),
          ];
          const about = { code: "0.03", confirmable: true, messageId, token: Buffer.of(client) };
          const request = generate({ ...about, options, payload: Buffer.from("1700000000") });
          const answered = new Promise<ReturnType<typeof parse>>((resolve) =>
            answers.set(messageId, resolve),
          );
          // As a client does: again until it is answered (RFC 7252 §4.2).
          const again = setInterval(() => socket.send(request, port), 2_000);
          socket.send(request, port);
          const { code, options: said } = await answered;
          clearInterval(again);
          if (code === "2.04") changed++;
          else expect(["4.01", "5.03"]).toContain(code);
          const given = said.find(({ name }) => String(name) === echoOption)?.value;
          if (Buffer.isBuffer(given)) echo = given;
        }
        socket.close();
      };
      await Promise.all(Array.from({ length: 16 }, (_, client) => abuse(client)));
      // Sixteen at once and two a second, and as many of all together that have not shown themselves.
      const most = 2 * (16 + ((await uptime()) - before) / 500);
      expect(changed).toBeGreaterThan(8);
      expect(changed).toBeLessThanOrEqual(most + 2);
    });

    // Renode's time lags behind ours by as much as there is to do, so a flood has no rate there.
    const why = target === "qemu-mps2" ? "" : " (skipped: a flood has no rate there)";
    test.skipIf(why)(
      `a flood of discovery takes no sample and no tick from the module${why}`,
      async () => {
        using folder = scratch();
        const board = await provisioned(start, folder.path);
        await using node = await Node.connect(board.address);
        await node.push(await pack(target, counting("button"), 1));
        await expect.poll(() => counted(node, "ticks"), { timeout: 30_000 }).toBeGreaterThan(1);
        const paced = await ticking(node);

        // As much as goes, each request a new one.
        const flood = createSocket("udp4");
        flood.bind(0, "127.0.0.1");
        await once(flood, "listening");
        let answers = 0;
        flood.on("message", () => answers++);
        const port = Number(new URL(board.address).port);
        let flooding = true;
        const wave = async () => {
          for (let id = 0; flooding; id = (id + 1) % 0x1_0000) {
            const token = Buffer.alloc(2);
            token.writeUInt16BE(id);
            const options = [".well-known", "core"].map((part) => ({
              name: "Uri-Path" as const,
              value: Buffer.from(part),
            }));
            const code = "0.01";
            flood.send(generate({ code, confirmable: false, messageId: id, token, options }), port);
            if (id % 8 === 0) await turn();
          }
        };
        const waves = wave();
        const fed = 60;
        for (let sample = 0; sample < fed; sample++) {
          board.feed("button", sample % 2);
          await delay(50);
        }
        flooding = false;
        await waves;
        expect(answers).toBeGreaterThan(20);
        flood.close();

        // All samples came to the module, and its ticks kept to the board's own time.
        await expect.poll(() => counted(node, "samples"), { timeout: 60_000 }).toBe(fed);
        const { ticks, due } = await paced();
        expect(ticks).toBeGreaterThan(due - 3 - due / 50);
        expect((await node.info()).reset).toBe("power on");
        expect((await node.stats()).samples_dropped).toBe(0);
      },
      120_000,
    );
  },
  ["qemu-mps2", "renode-ethernet"],
);
