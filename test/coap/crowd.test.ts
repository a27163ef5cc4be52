// Many at once, and a module that never rests: everybody is answered, rightly and soon.
import { expect, test } from "vitest";
import { Node } from "../../host/lib/node.ts";
import { times } from "../bench/coap-board.ts";
import { load, quantile } from "../bench/load.ts";
import { feeding } from "../harness/feeding.ts";
import { first, long, pack, provisioned } from "../harness/module.ts";
import { eachTarget, scratch } from "../harness/target.ts";

eachTarget("a crowd", (start, target) => {
  // Renode's MAC drops of eight frames in a row, and its serial line lags: see renode/README.md.
  const clients = target.startsWith("renode") ? 4 : 64;

  test(`${clients} at once are all answered, none twice, each with its own`, async () => {
    const board = await start();
    await using node = await Node.connect(board.address);
    // The sensor goes on: one that falls silent gives no old value.
    const fed = <T>(work: () => Promise<T>) => feeding(board, "level", 1234, work);
    await fed(() => first(node.observe("sensors/level"), ({ value }) => value === 1234));
    if (board.address.startsWith("coap:")) {
      // Each with a socket of its own, and no second attempt: a lost answer stays lost.
      const { hostname, port } = new URL(board.address);
      const { times, lost, wrong } = await fed(() =>
        load({
          host: hostname,
          port: Number(port),
          path: "sensors/level",
          clients,
          repeats: 15,
          limit: 30_000,
          expect: (text) => text === "1234",
        }),
      );
      expect([times.length, lost, wrong]).toEqual([clients * 15, 0, 0]);
      return;
    }
    // A serial line has one client; it asks so many questions at once, each with a token of its own.
    const paths = ["sensors/level", "sensors/button", "time", "app/staged"];
    const [expected, answers] = await fed(async () => [
      await Promise.all(paths.map((path) => node.get(path))),
      await Promise.all(
        Array.from({ length: clients }, (_, index) => node.get(paths[index % paths.length]!)),
      ),
    ]);
    const wanted = Array.from({ length: clients }, (_, index) => expected[index % paths.length]);
    // The time goes on meanwhile.
    const comparable = (all: (string | undefined)[]) => all.filter((_, index) => index % 4 !== 2);
    expect(comparable(answers)).toEqual(comparable(wanted));
  });

  test("a module that is never done delays no answer until its run has ended", async () => {
    using folder = scratch();
    const board = await provisioned(start, folder.path);
    await using node = await Node.connect(board.address);
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
    const idleInside = await inside();
    // Compiled where the board compiles, and interpreted.
    for (const tier of ["compiled", "interpreted"] as const) {
      await node.setTier(tier);
      await node.push(await pack(target, long, tier === "compiled" ? 1 : 2));
      // It has run, and it is behind with its ticks: the next run begins when one has ended.
      const missed = async () => (await node.stats()).ticks_missed;
      await expect.poll(missed, { timeout: 60_000 }).toBeGreaterThan(0);
      const busyInside = await inside();
      // Each answer says how many runs have ended. Were it held back until a run ends, no more than two in a row would say the same: one that
      // waited, and one whose request came before the next run began. What was never so is not a matter of this computer's speed; how
      // soon five in a row are seen is.
      let [runs, row, longest] = [-1, 0, 0];
      const inOneRun = async () => {
        for (let i = 0; i < 50 && longest < 5; i++) {
          const stats = await node.stats();
          row = stats.runs === runs ? row + 1 : 1;
          runs = stats.runs ?? 0;
          longest = Math.max(longest, row);
        }
        return longest;
      };
      await expect.poll(inOneRun, { timeout: 60_000 }).toBeGreaterThanOrEqual(5);
      // It goes on running, and was not stopped for it.
      const ended = runs;
      const goesOn = async () => (await node.stats()).runs;
      await expect.poll(goesOn, { timeout: 60_000 }).toBeGreaterThan(ended);
      expect(await node.app()).toMatchObject({
        returned: false,
        // A process compiles nothing.
        tier: target === "native" ? "interpreted" : tier,
      });
      expect(busyInside / idleInside, "instructions of an answer, busy against idle").toBeLessThan(
        1.2,
      );
    }
  });
});
