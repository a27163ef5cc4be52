// What the demonstration looks like: in a terminal a chart that moves while text appears above it; anywhere else plain
// lines, the same text with one line whenever something changes.

import { Drawing } from "../lib/drawing.ts";

/** One sample and what the node made of it. */
export interface Point {
  date: string;
  /** What the level sensor showed: millimetres. */
  level: number;
  /** What the filter published last: cubic metres a second. */
  flow: number;
  alarm: boolean;
  /** The filter that published it. */
  version: string;
}

export interface Screen {
  /** A part of the story begins. */
  step(title: string): void;
  say(text: string): void;
  /** Names and values under each other. */
  table(rows: readonly (readonly [string, string])[]): void;
  point(point: Point): void;
  /** Leaves the terminal as it should be. */
  end(): void;
}

/** What `version` is of a point, and what its letters under the chart stand for. */
export interface Versions {
  name: string;
  legend?: string;
}

export function createScreen(
  output: NodeJS.WriteStream,
  plain: boolean,
  versions: Versions = { name: "filter" },
): Screen {
  const moves = output.isTTY && process.env["TERM"] !== "dumb" && fits(output);
  return plain || !moves ? new Lines(output, versions) : new Chart(output, versions);
}

/** Lines and columns of the chart with what is written below it. */
const size = { rows: 13, columns: 64 };

/** Whether it can be drawn over itself: what has scrolled away or goes on in a second line cannot. */
function fits({ rows, columns }: NodeJS.WriteStream): boolean {
  // A terminal that does not know how large it is is taken for the usual one.
  return (rows || size.rows) >= size.rows && (columns || size.columns) >= size.columns;
}

/** For pipes, logs and tests. */
class Lines implements Screen {
  protected readonly output: NodeJS.WritableStream;
  protected readonly versions: Versions;
  private last: Point | undefined;

  constructor(output: NodeJS.WritableStream, versions: Versions) {
    this.output = output;
    this.versions = versions;
  }

  step(title: string): void {
    this.say(`\n== ${title}`);
  }

  say(text: string): void {
    this.output.write(`${text}\n`);
  }

  table(rows: readonly (readonly [string, string])[]): void {
    const width = Math.max(...rows.map(([name]) => name.length));
    for (const [name, value] of rows) this.say(`   ${name.padEnd(width)}  ${value}`);
  }

  point(point: Point): void {
    const { date, level, flow, alarm, version } = point;
    if (this.last === undefined || this.last.alarm !== alarm || this.last.version !== version) {
      this.say(
        `   ${date}  level ${String(level).padStart(4)} mm  flow ${flow.toFixed(0).padStart(4)} m3/s  alarm ${alarm ? "ON " : "off"}  ${this.versions.name} ${version}`,
      );
    }
    this.last = point;
  }

  end(): void {}
}

const rows = 8;
const blocks = " ▁▂▃▄▅▆▇█";
const full = 500;
/** Without colours where NO_COLOR is set (https://no-color.org). */
const colour = (code: number) => (process.env["NO_COLOR"] ? "" : `\x1b[${code}m`);
const paint = {
  river: colour(34),
  alarm: colour(31),
  dim: colour(2),
  bold: colour(1),
  off: colour(0),
};

/** For people: the last weeks as bars, blue, red while the alarm is on; the filter's version beneath. */
class Chart extends Lines {
  private readonly points: Point[] = [];
  private readonly terminal: NodeJS.WriteStream;
  private readonly drawing: Drawing;

  constructor(terminal: NodeJS.WriteStream, versions: Versions) {
    super(terminal, versions);
    this.terminal = terminal;
    this.drawing = new Drawing(terminal);
  }

  override step(title: string): void {
    this.say(`\n${paint.bold}${title}${paint.off}`);
  }

  override say(text: string): void {
    this.drawing.draw(this.picture(), `${text}\n`);
  }

  override point(point: Point): void {
    this.points.push(point);
    this.drawing.draw(this.picture());
  }

  override end(): void {
    this.drawing.end();
  }

  private picture(): string[] {
    const last = this.points.at(-1);
    // It may have become smaller meanwhile.
    if (last === undefined || !fits(this.terminal)) return [];
    // A terminal that does not know its width is taken for the usual one.
    const width = Math.max(20, Math.min((this.terminal.columns || 80) - 12, 120));
    const seen = this.points.slice(-width);
    const lines = [""];
    for (let row = rows - 1; row >= 0; row -= 1) {
      const label = row === rows - 1 ? `${full}` : row === 0 ? "m3/s" : "";
      const bars = seen.map(({ flow, alarm }, index) => {
        const eighths = Math.round((Math.min(flow, full) / full) * rows * 8) - row * 8;
        const begin = alarm ? paint.alarm : paint.river;
        const bar = blocks[Math.max(0, Math.min(8, eighths))] ?? blocks[0];
        return seen[index - 1]?.alarm === alarm ? bar : `${begin}${bar}`;
      });
      lines.push(`${paint.dim}${label.padStart(6)} │${paint.off}${bars.join("")}${paint.off}`);
    }
    const versions = seen.map((point, index) =>
      seen[index - 1]?.version === point.version ? " " : point.version.slice(0, 1),
    );
    const { name, legend } = this.versions;
    lines.push(`${paint.dim}${name.padStart(6)} │${paint.off}${versions.join("")}`);
    const alarm = last.alarm ? `${paint.alarm}${paint.bold}FLOOD ALARM${paint.off}` : "no alarm";
    lines.push(
      `       ${last.date}  level ${last.level} mm  flow ${last.flow.toFixed(0)} m3/s  ${alarm}`,
    );
    if (legend !== undefined) lines.push(`${paint.dim}       ${legend}${paint.off}`);
    return lines;
  }
}
