// Values drawn in a terminal: a line of bars, or charts over one axis of time.
import { clock, oneLine, shortest } from "../lib/text.ts";

const bars = "▁▂▃▄▅▆▇█";

/** A value and when it was, in milliseconds. */
export interface Point {
  at: number;
  value: number;
}

export interface Series {
  label: string;
  points: Point[];
}

/** A line of values as a chart of one row. */
export function spark(values: readonly number[]): string {
  const [low, high] = range(values);
  const step = (high - low) / (bars.length - 1) || 1;
  return values.map((value) => bars[Math.round((value - low) / step)] ?? " ").join("");
}

export interface ChartOptions {
  /** The width of the terminal. */
  columns?: number;
  /** Rows of each chart. */
  height?: number;
  /** How a moment is written under the axis. */
  moment?: (at: number) => string;
}

/**
 * Charts under each other, of the same time: what stands in one column was at one time. Between two values the older one stands, since
 * that is what the node had; before the first there is nothing.
 */
export function charts(
  all: readonly Series[],
  { columns = 80, height = 6, moment = clock }: ChartOptions = {},
): string[] {
  const series = all.filter(({ points }) => points.length > 0);
  if (series.length === 0) return [];
  const times = series.flatMap(({ points }) => points.map(({ at }) => at));
  const [from, to] = [Math.min(...times), Math.max(...times)];
  const labels = series.map(({ points }) => range(points.map(({ value }) => value)).map(number));
  const margin = Math.max(...labels.flat().map(({ length }) => length));
  const most = Math.max(8, columns - margin - 3);
  // No more columns than there are moments.
  const width = Math.min(most, new Set(times).size);
  const rows = series.flatMap(({ label, points }) => [
    oneLine(`${label} = ${shortest(points.at(-1)?.value ?? Number.NaN)}`).slice(0, columns),
    ...draw(sampled(points, from, to, width), height, margin),
  ]);
  return [...rows, axis(moment(from), moment(to), margin, width)];
}

/** The largest value in each column of time, or the last one before it. */
function sampled(
  points: readonly Point[],
  from: number,
  to: number,
  width: number,
): (number | undefined)[] {
  const column = (at: number) =>
    to === from ? 0 : Math.min(width - 1, Math.floor(((at - from) / (to - from)) * width));
  const columns = Array.from<number | undefined>({ length: width }).fill(undefined);
  const last = Array.from<number | undefined>({ length: width }).fill(undefined);
  for (const { at, value } of points) {
    const place = column(at);
    const before = columns[place];
    // A peak is what one looks for.
    columns[place] = before === undefined || value > before ? value : before;
    last[place] = value;
  }
  let held: number | undefined;
  return columns.map((value, place) => {
    const shown = value ?? held;
    held = last[place] ?? held;
    return shown;
  });
}

function draw(values: readonly (number | undefined)[], height: number, margin: number): string[] {
  const [low, high] = range(values.filter((value) => value !== undefined));
  const steps = height * bars.length;
  const scale = (high - low) / (steps - 1) || 1;
  return Array.from({ length: height }, (_, row) => {
    const base = (height - 1 - row) * bars.length;
    const cells = values.map((value) => {
      if (value === undefined || Number.isNaN(value)) return " ";
      const level = Math.min(steps - 1, Math.max(0, Math.round((value - low) / scale))) - base;
      return level < 0 ? " " : (bars[Math.min(level, bars.length - 1)] ?? " ");
    });
    const label = row === 0 ? number(high) : row === height - 1 ? number(low) : "";
    return `${label.padStart(margin)} ┤${cells.join("")}`.trimEnd();
  });
}

/** The line under the charts: when the first column was, and the last. */
function axis(from: string, to: string, margin: number, width: number): string {
  const line = `${" ".repeat(margin)} └`;
  if (from === to || from.length + to.length + 1 > width) return `${line}${from} … ${to}`;
  return `${line}${from}${" ".repeat(width - from.length - to.length)}${to}`;
}

function range(values: readonly number[]): [low: number, high: number] {
  const finite = values.filter(Number.isFinite);
  return finite.length === 0 ? [0, 0] : [Math.min(...finite), Math.max(...finite)];
}

function number(value: number): string {
  return String(Number(value.toPrecision(5)));
}
