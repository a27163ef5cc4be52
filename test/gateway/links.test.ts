// Where the gateway's nodes come from besides its configuration, and by which links: multicast on the networks here, and a serial port.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { makeFlash } from "../../host/lib/package.ts";
import { key } from "../harness/module.ts";
import { multicastLoops } from "../harness/peer.ts";
import { eachTarget, scratch } from "../harness/target.ts";
import { startGateway, until } from "./harness.ts";

eachTarget(
  "multicast",
  (start) => {
    test("a node that nobody named is found by its group, called what it calls itself, and observed", async (context) => {
      if (!(await multicastLoops())) context.skip("this machine's own loop takes no multicast");
      using folder = scratch();
      // Whatever else answers on this computer has another name.
      const name = `found-${process.pid}`;
      const flash = join(folder.path, "flash");
      writeFileSync(flash, makeFlash({ name, keys: [key.publicKey] }));
      const board = await start({ flash });
      await using running = await startGateway({ discover: true });
      const { gateway } = running;
      // Nodes of other tests answer, too: they are left alone. No answer has been looked at yet.
      const add = gateway.add.bind(gateway);
      gateway.add = (called, ...rest) => {
        if (called === name) add(called, ...rest);
      };
      const node = await until(() => gateway.nodes.get(name));
      expect(node.origin).toBe("discovered");
      await until(() => node.lastSeen > 0);
      await until(() => {
        board.feed("level", 4242);
        return gateway.hub.newest(name, "sensors/level")?.value === 4242;
      });
    });
  },
  ["native"],
);

eachTarget(
  "serial",
  (start, target) => {
    test("a node behind a serial port is observed, asked over HTTP, and known again after a reset", async () => {
      const board = await start(target === "native" ? { link: "serial" } : {});
      expect(board.address).toMatch(/^serial:/);
      await using running = await startGateway({}, { nodes: { wye: board.address } });
      const { gateway } = running;
      const node = gateway.nodes.get("wye")!;
      await until(() => node.lastSeen > 0);
      let value = 100;
      /** Values that are fed come out, once more each time. */
      const goesOn = async () => {
        const fed = ++value;
        await until(() => {
          board.feed("level", fed);
          return gateway.hub.newest("wye", "sensors/level")?.value === fed;
        });
      };
      await goesOn();
      const level = await running.ask("/nodes/wye/sensors/level");
      expect(level.status).toBe(200);
      // Answered from the observation that the gateway has anyway.
      expect(level.headers.get("x-wasmote-from")).toBe("cache");
      const parts = await running.json<{ board: string }>("/api/nodes/wye");
      expect(JSON.stringify(parts)).toContain(node.info!.board!);
      await board.reset();
      await goesOn();
    });
  },
  ["native", "qemu-stm32"],
);
