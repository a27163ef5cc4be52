// Many at once, and a module that never rests: everybody is answered, rightly and soon.
import { expect, test } from "vitest";
import { Node } from "../../host/lib/node.ts";
import { times } from "../bench/coap-board.ts";
import { load, quantile } from "../bench/load.ts";
import { busy, first, pack, provisioned } from "../harness/module.ts";
import { eachTarget, scratch } from "../harness/target.ts";

eachTarget("a crowd", (start, target) => {
  // Renode's MAC drops of eight frames in a row, and its serial line lags: see renode/README.md.
  const clients = target.startsWith("renode") ? 4 : 64;

  test(`${clients} at once are all answered, none twice, each with its own`, async () => {
    const board = await start();
    await using node = await Node.connect(board.address);
    const told = first(node.observe("sensors/level"), ({ value }) => value === 1234);
    board.feed("level", 1234);
    await told;
    if (board.address.startsWith("coap:")) {
      // Each with a socket of its own, and no second attempt: a lost answer stays lost.
      const { hostname, port } = new URL(board.address);
      const { times, lost, wrong } = await load({
        host: hostname,
        port: Number(port),
        path: "sensors/level",
        clients,
        repeats: 15,
        limit: 30_000,
        expect: (text) => text === "1234",
      });
      expect([times.length, lost, wrong]).toEqual([clients * 15, 0, 0]);
      return;
    }
    // A serial line has one client; it asks so many questions at once, each with a token of its own.
    const paths = ["sensors/level", "sensors/button", "time", "app/staged"];
    const expected = await Promise.all(paths.map((path) => node.get(path)));
    const answers = Array.from({ length: clients }, (_, index) =>
      node.get(paths[index % paths.length]!),
    );
    const wanted = Array.from({ length: clients }, (_, index) => expected[index % paths.length]);
    // The time goes on meanwhile.
    const comparable = (all: (string | undefined)[]) => all.filter((_, index) => index % 4 !== 2);
    expect(comparable(await Promise.all(answers))).toEqual(comparable(wanted));
  });

  test("a module that is never done delays no answer until its run has ended", async () => {
    using folder = scratch();
    const board = await provisioned(start, folder.path);
    await using node = await Node.connect(board.address);
    const median = async () => {
      const waited = [];
      for (let i = 0; i < 40; i++) {
        const asked = performance.now();
        await node.get("sensors/button");
        waited.push(performance.now() - asked);
      }
      return quantile(
        waited.toSorted((a, b) => a - b),
        0.5,
      );
    };
    // In the board's own time, where it keeps that: from a request's frame to its answer's.
    const inside = async () => {
      if (target !== "qemu-mps2") return 1;
      const { hostname, port } = new URL(board.address);
      await times(board);
      await load({
        host: hostname,
        port: Number(port),
        path: "sensors/button",
        clients: 1,
        repeats: 60,
        pause: 4,
        expect: () => true,
      });
      return quantile(await times(board), 0.5);
    };
    await median();
    const idleInside = await inside();
    // Interpreted, a run takes much longer than an answer over the serial line; compiled it does not.
    if (target === "qemu-stm32") await node.setTier("interpreted");
    await node.push(await pack(target, busy, 1));
    // It has run, and it is behind with its ticks.
    const missed = async () => (await node.stats()).ticks_missed;
    await expect.poll(missed, { timeout: 30_000 }).toBeGreaterThan(0);
    const before = await node.stats();
    const began = performance.now();
    const working = await median();
    const busyInside = await inside();
    // It went on running, and was not stopped for it.
    let after = before;
    const goesOn = async () => (after = await node.stats()).runs;
    await expect.poll(goesOn, { timeout: 50_000 }).toBeGreaterThan(before.runs ?? 0);
    expect(await node.app()).toMatchObject({ sequence: 1, returned: false });
    const run = (performance.now() - began) / ((after.runs ?? 0) - (before.runs ?? 0));
    const figures = `${working.toFixed(2)} ms an answer, ${run.toFixed(1)} ms a run`;
    // One that waited for the end of a run would take about a run. A process has no say in how the operating system shares the
    // CPU between its threads; a board has.
    if (target !== "native") expect(working, figures).toBeLessThan(run * 0.6);
    expect(busyInside / idleInside, "instructions of an answer, busy against idle").toBeLessThan(
      1.2,
    );
  });
});
