// What the operator set stays over a push and a reset, where name and range still fit; what does not fit is said.
import { expect, test } from "vitest";
import { Node } from "../../host/lib/node.ts";
import { pack, provisioned } from "../harness/module.ts";
import { eachTarget, scratch } from "../harness/target.ts";

const program = (...parameters: string[]) => `
import { output, parameter, sensor } from "wasmote";
const level = sensor("level");
const out = output("out");
${parameters.map((one, index) => `const p${index} = parameter(${one});`).join("\n")}
level.onSample((value) => {
  if (value < 0) unreachable();
  out.publish(value${parameters.map((_, index) => ` + p${index}.value`).join("")});
});
`;

eachTarget(
  "parameters",
  (start, target) => {
    const value = (node: Node, name: string) =>
      node.get(`app/params/${name}`, { accept: "text" }).then(Number);
    /** Reaches the end of the trial. */
    const confirm = async (node: Node, feed: (value: number) => void) => {
      for (let i = 0; i < 9; i++) feed(100 + i);
      for await (const { state } of node.watchApp()) if (state === "confirmed") return;
    };

    test("that an operator set stay over a push, where name and range still fit", async () => {
      using folder = scratch();
      const board = await provisioned(start, folder.path);
      await using node = await Node.connect(board.address);
      const first = program(
        '"limit", 3000, 0, 10000',
        '"width", 5, 0, 100',
        '"gone", 1, 0, 9',
        '"same", 7',
      );
      await node.push(await pack(target, first, 1));
      await confirm(node, (level) => board.feed("level", level));
      await node.put("app/params/limit", "2500");
      await node.put("app/params/width", "50");
      await node.put("app/params/gone", "2");
      // Another order, another range, another initial value.
      const second = program('"same", 8', '"width", 1, 0, 10', '"limit", 100, 0, 5000');
      await node.push(await pack(target, second, 2));
      const now = async () => [
        await value(node, "limit"),
        await value(node, "width"),
        await value(node, "same"),
      ];
      expect(await now()).toEqual([2500, 1, 8]);
      expect(await node.get("log", { accept: "text" })).toContain(
        "parameters that do not fit any more: width=50 gone=2",
      );
      await confirm(node, (level) => board.feed("level", level));
      await board.reset();
      expect(await now()).toEqual([2500, 1, 8]);
      // One that has trapped and waits to begin anew hands over what was set, too.
      board.feed("level", -1);
      for await (const { event } of node.watchApp()) if (event !== undefined) break;
      await node.push(await pack(target, program('"limit", 5, 0, 9000'), 3));
      expect(await value(node, "limit")).toBe(2500);
    });
  },
  ["native"],
);
