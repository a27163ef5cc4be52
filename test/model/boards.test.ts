// A year of decisions on whole nodes: the station's package on the process and on each emulated board, over CoAP, beside this computer's
// engine: level, rain, danger and alarm of every day, bit for bit.
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  DayRunner,
  depth,
  mostGiven,
  mostRead,
  readNodeDays,
  writeDays,
} from "../../host/flood/days.ts";
import { levelOf, readDays } from "../../host/flood/history.ts";
import { buildStation } from "../../host/flood/station.ts";
import { needsOf } from "../../host/lib/needs.ts";
import { NodeError } from "../../host/lib/errors.ts";
import { Node } from "../../host/lib/node.ts";
import { generateKey, makeFlash, makePackage } from "../../host/lib/package.ts";
import { writeFileSync } from "node:fs";
import { eachTarget, scratch } from "../harness/target.ts";

/** Days that a node is given at a time: those before the first new one are needed to decide of it. */
const fresh = mostGiven - depth + 1;

eachTarget("a year of decisions", (start, target) => {
  test("is that of this computer to the bit", async () => {
    using folder = scratch();
    const key = generateKey();
    const flash = join(folder.path, "flash");
    writeFileSync(flash, makeFlash({ name: "wye", keys: [key.publicKey] }));
    const { address } = await start({ flash });
    await using node = await Node.connect(address);
    const { module } = await buildStation();
    await node.push(
      makePackage(
        module,
        {
          vendor: "",
          class: (await node.info()).class,
          sequence: 1,
          name: "station",
          version: "1.0.0",
          needs: needsOf(module),
        },
        key,
      ),
    );
    /** A node answers only so many questions a second of one host: it says so, and is asked again. */
    const asked = async (...words: Parameters<Node["request"]>) => {
      for (;;)
        try {
          return (await node.request(...words)).payload;
        } catch (error) {
          if (!(error instanceof NodeError) || !["answer", "refused"].includes(error.code))
            throw error;
          if (error.status !== "4.29" && error.status !== "5.03") throw error;
          await new Promise((resolve) => setTimeout(resolve, 200));
        }
    };
    const year = readDays()
      .slice(-366 - depth + 1)
      .map(({ day, flow, rain }) => ({ day, level: levelOf(flow), rain: Math.fround(rain) }));
    const expected = new DayRunner(module).decide(year, 0);
    expect(expected).toHaveLength(366);
    expect(expected.some(({ alarm }) => alarm)).toBe(true);
    const made: { day: number; danger: number; alarm: boolean | undefined }[] = [];
    for (let first = 0; first + depth - 1 < year.length; first += fresh) {
      const given = year.slice(first, first + mostGiven);
      await asked("PUT", "app/x/days", { payload: writeDays(given), format: "octets" });
      for (let from = given[depth - 1]!.day; from <= given.at(-1)!.day; from += mostRead)
        for (const one of readNodeDays(
          await asked("FETCH", "app/x/days", {
            payload: Buffer.from(String(from)),
            format: "text",
          }),
        )) {
          expect({ day: one.day, level: one.level, rain: one.rain }).toEqual(
            year.find(({ day }) => day === one.day),
          );
          made.push({ day: one.day, danger: one.danger, alarm: one.alarm });
        }
    }
    expect(made, target).toEqual(expected);
  });
});
