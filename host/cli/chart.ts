// Values drawn in a terminal: a line of bars, or a chart of several rows.

const bars = "▁▂▃▄▅▆▇█";

/** A line of values as a chart of one row. */
export function spark(values: readonly number[]): string {
  const [low, high] = range(values);
  const step = (high - low) / (bars.length - 1) || 1;
  return values.map((value) => bars[Math.round((value - low) / step)] ?? " ").join("");
}

/** A chart: the newest values at the right, as many as there are columns; its rows, the lowest last. */
export function chart(values: readonly number[], { width = 60, height = 8 } = {}): string[] {
  // A column for several values shows the largest: a peak is what one looks for.
  const each = Math.max(1, Math.ceil(values.length / width));
  const columns = Array.from({ length: Math.ceil(values.length / each) }, (_, index) =>
    Math.max(...values.slice(index * each, (index + 1) * each)),
  );
  const [low, high] = range(values);
  const steps = height * bars.length;
  const scale = (high - low) / (steps - 1) || 1;
  const labels = [number(high), number(low)];
  const margin = Math.max(...labels.map(({ length }) => length));
  return Array.from({ length: height }, (_, row) => {
    const from = (height - 1 - row) * bars.length;
    const cells = columns.map((value) => {
      const level = Math.round((value - low) / scale) - from;
      return level < 0 ? " " : (bars[Math.min(level, bars.length - 1)] ?? " ");
    });
    const label = row === 0 ? labels[0]! : row === height - 1 ? labels[1]! : "";
    return `${label.padStart(margin)} ┤${cells.join("")}`;
  });
}

function range(values: readonly number[]): [low: number, high: number] {
  const finite = values.filter(Number.isFinite);
  return finite.length === 0 ? [0, 0] : [Math.min(...finite), Math.max(...finite)];
}

function number(value: number): string {
  return String(Number(value.toPrecision(5)));
}
