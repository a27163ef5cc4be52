// A winter of the river Wye as a level sensor would have seen it: measured flows, turned into millimetres of level by a
// rating curve. The curve is made up, the flows are not: flow = 20 m³/s · h · √h with the level h in metres, which a
// filter can invert with the two instructions that WebAssembly has for it.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../lib/root.ts";

/** One day: the date, rain in millimetres, flow in cubic metres a second, and the level in millimetres that the sensor shows. */
export interface Day {
  date: string;
  rain: number;
  flow: number;
  level: number;
}

/** The level in whole millimetres at which the river carries this flow. */
export function levelOf(flow: number): number {
  return Math.round(1000 * (flow / 20) ** (2 / 3));
}

/** The flow at this level, as a filter computes it. */
export function flowOf(level: number): number {
  const metres = level / 1000;
  return 20 * metres * Math.sqrt(metres);
}

/** Beside this file in the repository; from a bundle, where the package has it. */
const excerpt = join(packageRoot, "host/demo/river-wye-2013-14.csv");

/** Reads the excerpt. */
export function readRiver(): Day[] {
  const text = readFileSync(excerpt, "utf8");
  const rows = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return rows.map((row) => {
    const [date = "", rain, flow] = row.split(",");
    return { date, rain: Number(rain), flow: Number(flow), level: levelOf(Number(flow)) };
  });
}
