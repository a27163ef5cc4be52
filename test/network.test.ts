// A node on Ethernet: its address, and a cable that is pulled and plugged in again while it runs.
import { expect, test } from "vitest";
import { Node } from "../host/lib/node.ts";
import { echo, first, pack, provisioned } from "./harness/module.ts";
import { eachTarget, scratch } from "./harness/target.ts";

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
      const seen = first(node.observe("outputs/echo"), ({ value }) => value === 43);
      await expect.poll(() => node.get("sensors/level")).toBe("42");
      board.feed("level", 43);
      await seen;
    });
  },
  ["qemu-mps2"],
);
