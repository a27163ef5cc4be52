// A fleet: many nodes in one process, each for itself.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { emulateFleet, missing, type Fleet } from "../../host/lib/emulate.ts";
import { root } from "../../host/setup.mjs";
import { Node } from "../../host/lib/node.ts";
import { echo, first, pack } from "../harness/module.ts";

const size = 200;
const reason =
  missing("native") ??
  (process.platform === "linux" ? undefined : "only Linux has all of 127.0.0.0/8");

describe.skipIf(reason !== undefined)(
  `a fleet of ${size}${reason ? ` (skipped: ${reason})` : ""}`,
  () => {
    test("all answer, each under its own name with its own sample", async () => {
      await using fleet = disposable(await emulateFleet(size));
      expect(new Set(fleet.nodes.map(({ address }) => address)).size).toBe(size);
      for (const { address } of fleet.nodes)
        expect(address).toMatch(/^coap:\/\/127\.\d+\.\d+\.\d+:5683$/);
      const nodes = await Promise.all(fleet.nodes.map(({ address }) => Node.connect(address)));
      fleet.nodes.forEach(({ name }, index) => fleet.feed(name, "level", 1000 + index));
      const levels = await Promise.all(
        nodes.map((node, index) =>
          first(node.observe("sensors/level"), ({ value }) => value === 1000 + index),
        ),
      );
      expect(levels.map(({ value }) => value)).toEqual(nodes.map((_, index) => 1000 + index));
      const infos = await Promise.all(nodes.map((node) => node.info()));
      expect(infos.map(({ name }) => name)).toEqual(fleet.nodes.map(({ name }) => name));
      await Promise.all(nodes.map((node) => node.close()));
    });

    test("what is installed on one runs there alone", async () => {
      await using fleet = disposable(await emulateFleet(8, ["--dev"]));
      const nodes = await Promise.all(fleet.nodes.map(({ address }) => Node.connect(address)));
      await nodes[2]!.push(await pack("native", echo, 1));
      const value = first(nodes[2]!.observe("outputs/echo"));
      fleet.feed("node-3", "level", 7);
      expect((await value).value).toBe(7);
      const states = await Promise.all(nodes.map(async (node) => (await node.app()).state));
      expect(states).toEqual(states.map((_, index) => (index === 2 ? "trial" : "empty")));
      await Promise.all(nodes.map((node) => node.close()));
    });

    test("two fleets find room beside each other, and no fleet is refused", async () => {
      const fleets = await Promise.all([emulateFleet(50), emulateFleet(50)]);
      const addresses = fleets.flatMap(({ nodes }) => nodes.map(({ address }) => address));
      expect(new Set(addresses).size).toBe(100);
      await Promise.all(fleets.map((fleet) => fleet.stop()));
      const child = spawn(join(root, "dist/wasmote-native"), ["--fleet", "0"]);
      let said = "";
      child.stderr.on("data", (text) => (said += text));
      const [code] = await once(child, "close");
      expect([code, said]).toEqual([1, "wasmote-native: --fleet takes 1 to 4000\n"]);
    });
  },
);

function disposable(fleet: Fleet): Fleet & AsyncDisposable {
  return { ...fleet, [Symbol.asyncDispose]: () => fleet.stop() };
}
