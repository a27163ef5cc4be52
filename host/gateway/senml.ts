// Sensor Measurement Lists (RFC 8428) and CSV: history as others read it.
import type { Point } from "./history.ts";

/** A series as a pack: a base name, and times in seconds. Gaps have no value and are left out, as SenML has no word for them. */
export function senml(node: string, resource: string, points: readonly Point[]): object[] {
  const records: Record<string, unknown>[] = points.flatMap<Record<string, unknown>>(
    ({ time, value, text, sum }) => {
      if (value === null && text === undefined) return [];
      // RFC 8428 §5.1: one kind of value a record.
      if (text !== undefined) return [{ n: resource, t: time / 1000, vs: text }];
      return [{ n: resource, t: time / 1000, v: value, ...(sum === undefined ? {} : { s: sum }) }];
    },
  );
  // RFC 8428 §4.5.1: names are letters, digits and - : . / _ and begin with a letter or digit.
  const base = `${node.replaceAll(/[^\w.:/-]/g, "_")}/`;
  if (records[0] !== undefined) records[0] = { bn: base, ...records[0] };
  return records;
}

/** RFC 4180; a gap is a line without a value, a text stands in quotes. */
export function csv(points: readonly Point[]): string {
  const steps = points.some(({ n }) => n !== undefined);
  const head = steps ? "time,mean,n,min,max,sum,last" : "time,value";
  const lines = points.map((point) => {
    const time = new Date(point.time).toISOString();
    const cells = steps
      ? [point.value, point.n, point.min, point.max, point.sum, point.last]
      : [point.text === undefined ? point.value : `"${point.text.replaceAll('"', '""')}"`];
    return [time, ...cells.map((cell) => cell ?? "")].join(",");
  });
  return `${[head, ...lines].join("\r\n")}\r\n`;
}
