// A thousand samples, each as soon as both observers have seen the one before: a node may pass over states while one is under way
// (RFC 7641 §4.5.1), but none that its observers keep up with. Each is told once, in order, as it came and as the module made
// of it.
import { expect, test } from "vitest";
import { Node } from "../../host/lib/node.ts";
import { echo, pack, provisioned } from "../harness/module.ts";
import { eachTarget, scratch } from "../harness/target.ts";

const samples = 1000;

eachTarget("observe", (start, target) => {
  test("of 1,000 samples, faster than 10 a second, none is lost, repeated or out of order", async () => {
    using folder = scratch();
    const board = await provisioned(start, folder.path);
    await using node = await Node.connect(board.address);
    await node.push(await pack(target, echo, 1));
    const seen: Record<string, number[]> = { "sensors/level": [], "outputs/echo": [] };
    let fed = 0;
    const feed = () => {
      const confirmed = Math.min(...Object.values(seen).map(({ length }) => length));
      if (fed < samples && fed === confirmed) board.feed("level", 1000 + fed++);
    };
    const before = await node.info();
    const watching = Object.entries(seen).map(async ([path, values]) => {
      for await (const { value } of node.observe(path)) {
        values.push(value);
        feed();
        if (values.length === samples) return;
      }
    });
    await expect.poll(async () => coap(await node.info()).observers).toBe(2);
    feed();
    await Promise.all(watching);
    const expected = Array.from({ length: samples }, (_, index) => 1000 + index);
    expect(seen["sensors/level"]).toEqual(expected);
    expect(seen["outputs/echo"]).toEqual(expected);
    const after = await node.info();
    // By the node's own clock: 1,000 samples at 10 a second take 100 s.
    expect(Number(after.uptime) - Number(before.uptime)).toBeLessThan(100_000);
    expect(await node.stats()).toMatchObject({ runs: samples + 1, samples_dropped: 0, traps: 0 });
    expect(after.link).toMatchObject({ lost: 0, damaged: 0 });
  }, 180_000);
});

function coap(info: Record<string, unknown>): Record<string, number> {
  return info.coap as Record<string, number>;
}
