// Days of a river: rain and flow, from the record of the Wye in examples/flood or from a file of the same form.
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { UserError } from "../lib/errors.ts";
import { readWhole } from "../lib/files.ts";
import { packageRoot } from "../lib/root.ts";
import { oneLine } from "../lib/text.ts";

export interface RiverDay {
  /** YYYY-MM-DD. */
  date: string;
  /** Days since 1970-01-01. */
  day: number;
  /** Millimetres. */
  rain: number;
  /** Cubic metres a second. */
  flow: number;
}

/** The level at which the station's archive counts a flood (peaks over threshold), in m3/s. */
export const floodFlow = 216.074;

/** The river Wye at Belmont, 1935 to 2017; the file names its source. */
export const riverFile = join(packageRoot, "examples/flood/river-wye-55002.csv.gz");

/** Flow in m3/s at a level in millimetres, as assembly/flood/station.ts computes it: rating · h · √h, with h in metres. */
export function ratingFlow(level: number, rating = 20): number {
  const metres = Math.fround(Math.fround(level) / 1000);
  if (!(metres > 0)) return 0;
  return Math.fround(Math.fround(Math.fround(rating) * metres) * Math.fround(Math.sqrt(metres)));
}

/** The level in whole millimetres at which the river carries this flow. */
export const levelOf = (flow: number, rating = 20): number =>
  Math.round(1000 * (flow / rating) ** (2 / 3));

/** Whether a river can have had that: rain in mm, flow in m3/s. */
export const isRiverDay = ({ rain, flow }: Pick<RiverDay, "rain" | "flow">): boolean =>
  rain >= 0 && rain < 1e4 && flow > 0 && flow < 1e6;

/** A line of names, as other files of samples begin with: nothing in it is a number. */
export const isHead = (line: string): boolean => !/\d/.test(line);

/** Reads days; a line that is not one is a UserError with its number. */
export function readDays(file = riverFile): RiverDay[] {
  const bytes = readWhole(file);
  const text = (
    file.endsWith(".gz") ? gunzipSync(bytes, { maxOutputLength: 64 << 20 }) : bytes
  ).toString("utf8");
  const days: RiverDay[] = [];
  text.split(/\r?\n/).forEach((line, index) => {
    if (line.trim() === "" || line.startsWith("#")) return;
    if (days.length === 0 && isHead(line)) return;
    const [when = "", rain = "", flow = ""] = line.split(",").map((part) => part.trim());
    const german = /^(\d\d)-(\d\d)-(\d{4})$/.exec(when);
    const date = german ? `${german[3]}-${german[2]}-${german[1]}` : when;
    const time = /^\d{4}-\d\d-\d\d$/.test(date) ? Date.parse(date) : Number.NaN;
    const one = { date, day: time / 86_400_000, rain: Number(rain), flow: Number(flow) };
    const sound = rain !== "" && isRiverDay(one) && Number.isInteger(one.day);
    if (!sound || one.day <= (days.at(-1)?.day ?? -1e9))
      throw new UserError(
        `${oneLine(file)}:${index + 1}: not a day, its rain and its flow`,
        "write a line for each day, the older ones first: 2014-02-14,5.2,311",
        "usage",
      );
    days.push(one);
  });
  return days;
}
