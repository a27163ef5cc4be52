// The reset button and the mains: in the middle of an upload, and of an observation.
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Emulated } from "../../host/lib/emulate.ts";
import { Node } from "../../host/lib/node.ts";
import { echo, first, pack, provisioned } from "../harness/module.ts";
import { eachTarget, scratch } from "../harness/target.ts";
import { feeding } from "../harness/feeding.ts";

/** Sends a package and gives up when half of it is there; how many bytes that were. */
async function pushHalf(node: Node, bytes: Uint8Array): Promise<number> {
  const gaveUp = new AbortController();
  let sent = 0;
  const pushing = node.push(bytes, {
    blockSize: 64,
    signal: gaveUp.signal,
    onProgress: (so) => {
      sent = so;
      if (so >= bytes.length / 2) gaveUp.abort();
    },
  });
  await expect(pushing).rejects.toThrow();
  return sent;
}

/** Where an upload began, and that it was completed. */
async function pushRest(node: Node, bytes: Uint8Array): Promise<number> {
  let began: number | undefined;
  await node.push(bytes, {
    blockSize: 64,
    onProgress: (sent) => {
      began ??= sent - 64;
    },
  });
  return began ?? -1;
}

/** Feeds the echo until its trial is over. */
async function confirm(board: Emulated, node: Node): Promise<void> {
  const confirmed = first(node.watchApp(), ({ state }) => state === "confirmed");
  for (let i = 0; i < 12; i++) {
    await feeding(board, "level", 100 + i, () =>
      first(node.observe("outputs/echo"), ({ value }) => value === 100 + i),
    );
  }
  await confirmed;
}

eachTarget("resets", (start, target) => {
  for (const how of ["a reset", "a power cut"]) {
    test(`${how} in the middle of an upload leaves the old module, and the upload goes on where it was`, async () => {
      using folder = scratch();
      let board = await provisioned(start, folder.path);
      const next = await pack(target, "flood-alarm", 2);
      let sent: number;
      {
        await using node = await Node.connect(board.address);
        await node.push(await pack(target, echo, 1));
        await confirm(board, node);
        sent = await pushHalf(node, next);
        expect(sent).toBeLessThan(next.length);
        if (how === "a reset") await board.reset();
      }
      if (how === "a power cut") {
        await board.stop();
        board = await start({ flash: join(folder.path, "flash") });
      }
      await using node = await Node.connect(board.address);
      expect(await node.app()).toMatchObject({ sequence: 1, state: "confirmed", returned: false });
      // QEMU's STM32 has nothing in its register for that.
      // Renode's is always the same.
      const cause = how === "a reset" && !target.startsWith("renode") ? "pin" : "power on";
      expect((await node.info()).reset).toBe(target === "qemu-stm32" ? "unknown" : cause);
      // The old one works while the new one comes.
      const seen = first(node.observe("outputs/echo"), ({ value }) => value === 777);
      board.feed("level", 777);
      await seen;
      const began = await pushRest(node, next);
      expect(began).toBeGreaterThan(0);
      expect(began).toBeLessThanOrEqual(sent);
      expect(await node.app()).toMatchObject({ sequence: 2, state: "trial" });
    });
  }

  test("a reset in the middle of an observation ends it, and the next sees every value again", async () => {
    using folder = scratch();
    const board = await provisioned(start, folder.path);
    await using node = await Node.connect(board.address);
    await node.push(await pack(target, echo, 1));
    await confirm(board, node);
    await feeding(board, "level", 500, () =>
      first(node.observe("outputs/echo"), ({ value }) => value === 500),
    );
    await board.reset();
    const { coap } = await node.info();
    expect(coap.observers).toBe(0);
    const values: number[] = [];
    const watching = (async () => {
      for await (const { value } of node.observe("outputs/echo")) {
        values.push(value);
        if (value === 520) return;
        board.feed("level", value + 1);
      }
    })();
    await expect.poll(async () => (await node.info()).coap.observers).toBe(1);
    board.feed("level", 510);
    await watching;
    expect(values).toEqual([510, 511, 512, 513, 514, 515, 516, 517, 518, 519, 520]);
  });
});
