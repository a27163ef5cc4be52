// What the demonstration looks like: in a terminal a chart that moves while text appears above it; anywhere else plain
// lines, the same text with one line whenever something changes.

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

export function createScreen(output: NodeJS.WriteStream, plain: boolean): Screen {
  return plain || !output.isTTY ? new Lines(output) : new Chart(output);
}

/** For pipes, logs and tests. */
class Lines implements Screen {
  protected readonly output: NodeJS.WritableStream;
  private last: Point | undefined;

  constructor(output: NodeJS.WritableStream) {
    this.output = output;
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
        `   ${date}  level ${String(level).padStart(4)} mm  flow ${flow.toFixed(0).padStart(4)} m3/s  alarm ${alarm ? "ON " : "off"}  filter ${version}`,
      );
    }
    this.last = point;
  }

  end(): void {}
}

const rows = 8;
const blocks = " ▁▂▃▄▅▆▇█";
const full = 500;
const paint = {
  river: "\x1b[34m",
  alarm: "\x1b[31m",
  dim: "\x1b[2m",
  bold: "\x1b[1m",
  off: "\x1b[0m",
};

/** For people: the last weeks as bars, blue, red while the alarm is on; the filter's version beneath. */
class Chart extends Lines {
  private readonly points: Point[] = [];
  private readonly terminal: NodeJS.WriteStream;
  private shown = 0;

  constructor(terminal: NodeJS.WriteStream) {
    super(terminal);
    this.terminal = terminal;
    terminal.write("\x1b[?25l");
  }

  override step(title: string): void {
    this.say(`\n${paint.bold}${title}${paint.off}`);
  }

  override say(text: string): void {
    this.clear();
    super.say(text);
    this.draw();
  }

  override point(point: Point): void {
    this.points.push(point);
    this.clear();
    this.draw();
  }

  override end(): void {
    this.terminal.write("\x1b[?25h");
  }

  private clear(): void {
    if (this.shown > 0) this.terminal.write(`\x1b[${this.shown}A\x1b[J`);
    this.shown = 0;
  }

  private draw(): void {
    const last = this.points.at(-1);
    if (last === undefined) return;
    // A terminal that does not know its width is taken for the usual one.
    const width = Math.max(20, Math.min((this.terminal.columns || 80) - 12, 120));
    const seen = this.points.slice(-width);
    const lines = [""];
    for (let row = rows - 1; row >= 0; row -= 1) {
      const label = row === rows - 1 ? `${full}` : row === 0 ? "m3/s" : "";
      const bars = seen.map(({ flow, alarm }, index) => {
        const eighths = Math.round((Math.min(flow, full) / full) * rows * 8) - row * 8;
        const colour = alarm ? paint.alarm : paint.river;
        const bar = blocks[Math.max(0, Math.min(8, eighths))] ?? blocks[0];
        return seen[index - 1]?.alarm === alarm ? bar : `${colour}${bar}`;
      });
      lines.push(`${paint.dim}${label.padStart(6)} │${paint.off}${bars.join("")}${paint.off}`);
    }
    const versions = seen.map((point, index) =>
      seen[index - 1]?.version === point.version ? " " : point.version.slice(0, 1),
    );
    lines.push(`${paint.dim}filter │${paint.off}${versions.join("")}`);
    const alarm = last.alarm ? `${paint.alarm}${paint.bold}FLOOD ALARM${paint.off}` : "no alarm";
    lines.push(
      `       ${last.date}  level ${last.level} mm  flow ${last.flow.toFixed(0)} m3/s  ${alarm}`,
    );
    this.terminal.write(`${lines.join("\n")}\n`);
    this.shown = lines.length;
  }
}
