// Nodes that register by themselves (RFC 9176 §5.1): the gateway knows them by their name, and goes on knowing them at another address.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { makeFlash } from "../../host/lib/package.ts";
import { feeding } from "../harness/feeding.ts";
import { key } from "../harness/module.ts";
import { eachTarget, scratch } from "../harness/target.ts";
import { startGateway, until } from "./harness.ts";

eachTarget(
  "registration",
  (start, target) => {
    test("a node registers by its name, is read, and stays the same node at another address", async () => {
      using folder = scratch();
      await using running = await startGateway({ directory: { host: "127.0.0.1", port: 0 } });
      const { gateway } = running;
      // QEMU's network calls the computer that it runs on 10.0.2.2.
      const address = target === "native" ? "127.0.0.1" : "10.0.2.2";
      const port = gateway.coap!.port;
      const flash = join(folder.path, "flash");
      writeFileSync(
        flash,
        makeFlash({
          name: "wye",
          keys: [key.publicKey],
          directory: { address, port, lifetime: 60 },
        }),
      );
      const one = await start({ flash });
      const node = await until(() => gateway.nodes.get("wye"));
      await until(() => node.lastSeen > 0);
      const before = node.address;
      const [registration] = gateway.directory!.list();
      expect(registration).toMatchObject({ endpoint: "wye", base: before, lifetime: 60 });
      expect(registration!.links.map(({ path }) => path)).toContain("/sensors/level");
      const has = (wanted: number) => [...gateway.hub.all()].some(({ value }) => value === wanted);
      await feeding(one, "level", 7, () => until(() => has(7)));

      await one.stop();
      const again = await start({ flash });
      await until(() => node.address !== before);
      expect(gateway.nodes.get("wye")).toBe(node);
      expect(gateway.directory!.list().map(({ location }) => location)).toEqual([
        registration!.location,
      ]);
      // The other address answers, and what was known of the node is known of it still.
      await feeding(again, "level", 9, () => until(() => has(9)));
      await until(async () =>
        (await node.connection.log()).some((line) => line.includes("the directory knows the node")),
      );
    }, 120_000);
  },
  ["native", "qemu-mps2"],
);

eachTarget(
  "registration",
  (start) => {
    test("a directory given as a word goes before the flash; a directory that comes later is found", async () => {
      const lost = await startGateway({ directory: { host: "127.0.0.1", port: 0 } });
      const { port } = lost.gateway.coap!;
      await lost[Symbol.asyncDispose]();
      // Nobody is there yet: the request is repeated (RFC 7252 §4.2).
      await start({ name: "usk", arguments: ["--directory", `127.0.0.1:${port}`] });
      await using running = await startGateway({ directory: { host: "127.0.0.1", port } });
      await until(() => running.gateway.nodes.get("usk")?.lastSeen);
      expect(running.gateway.directory!.list().map(({ lifetime }) => lifetime)).toEqual([600]);
    }, 60_000);
  },
  ["native"],
);
