// What a benchmark returns, and how it becomes Markdown, SVG and JSON. A benchmark measures; this lays out.

export type Cell = string | number;

export interface Table {
  title: string;
  columns: string[];
  rows: Cell[][];
}

/** Bars side by side: one group for each label, one bar for each series. */
export interface Plot {
  title: string;
  unit: string;
  labels: string[];
  /** Labels that stand out, such as a mean. */
  emphasised?: string[];
  series: { name: string; values: number[] }[];
}

export interface Report {
  name: string;
  title: string;
  /** What is measured and how, in a few sentences. */
  method: string;
  /** What to know first: where Wasmote loses, what could not be measured. */
  notes: string[];
  tables: Table[];
  plots: Plot[];
}

export function markdown(report: Report): string {
  const parts = [
    `# ${report.title}`,
    `${report.method}\n\nMade by \`npm run -s bench -- ${report.name}\`; running it again replaces this page.`,
    ...(report.notes.length > 0 ? [report.notes.map((note) => `- ${note}`).join("\n")] : []),
    ...report.plots.map((plot, number) => `![${plot.title}](${plotFile(report, number)})`),
    ...report.tables.map((table) => `## ${table.title}\n\n${tableMarkdown(table)}`),
  ];
  return `${parts.join("\n\n")}\n`;
}

export function plotFile(report: Report, number: number): string {
  return `${report.name}${number === 0 ? "" : `-${number + 1}`}.svg`;
}

/** A table as it is read in a terminal and on a page alike: columns of even width, numbers to the right. */
export function tableMarkdown({ columns, rows }: Table): string {
  const text = rows.map((row) =>
    row.map((cell) => (typeof cell === "number" ? figure(cell) : cell)),
  );
  const widths = columns.map((column, index) =>
    Math.max(column.length, 3, ...text.map((row) => row[index]?.length ?? 0)),
  );
  const right = columns.map((_, index) => rows.every((row) => typeof row[index] === "number"));
  const line = (cells: string[]) =>
    `| ${cells.map((cell, index) => (right[index] ? cell.padStart(widths[index] ?? 0) : cell.padEnd(widths[index] ?? 0))).join(" | ")} |`;
  const rule = `| ${widths.map((width, index) => (right[index] ? `${"-".repeat(width - 1)}:` : "-".repeat(width))).join(" | ")} |`;
  return [line(columns), rule, ...text.map(line)].join("\n");
}

/** Three figures that mean something, with the thousands set apart. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return "-";
  if (Number.isInteger(value) || Math.abs(value) >= 100)
    return Math.round(value).toLocaleString("en-US");
  return value.toPrecision(3);
}

const colours = ["#1f5f8b", "#e08e45", "#8fb8a8", "#c9a227", "#6d597a", "#999999"];

export function svg({ title, unit, labels, series, emphasised = [] }: Plot): string {
  const bar = series.length > 2 ? 10 : 13;
  const group = bar * series.length + 10;
  const longest = Math.max(...labels.map((label) => label.length));
  const left = Math.max(110, longest * 8 + 30);
  const width = 760;
  const top = 64;
  const bottom = top + group * labels.length;
  const largest = Math.max(...series.flatMap(({ values }) => values).filter(Number.isFinite), 1e-9);
  const step = niceStep(largest / 5);
  const scale = (width - left - 64) / largest;
  const text = (x: number, y: number, content: string, extra = "") =>
    `<text x="${x}" y="${y}"${extra && ` ${extra}`}>${escape(content)}</text>`;
  const ticks = Array.from({ length: Math.floor(largest / step) + 1 }, (_, tick) => tick * step);
  const grid = ticks.flatMap((tick) => {
    const x = Math.round(left + tick * scale) + 0.5;
    return [
      `<path d="M${x} ${top - 6}V${bottom}" stroke="${tick === 0 ? "#8a8f98" : "#e3e6ea"}"/>`,
      text(x, bottom + 16, figure(tick), 'text-anchor="middle" fill="#6b7280" font-size="11"'),
    ];
  });
  const legend = series.map(({ name }, index) => {
    const x = left + index * 130;
    return `<rect x="${x}" y="36" width="11" height="11" rx="2" fill="${colours[index]}"/>${text(x + 17, 46, name)}`;
  });
  const bars = labels.flatMap((label, row) => {
    const above = top + row * group;
    const bold = emphasised.includes(label);
    return [
      ...(bold
        ? [
            `<rect x="8" y="${above - 3}" width="${width - 16}" height="${group - 2}" rx="4" fill="#eef3f8"/>`,
          ]
        : []),
      text(
        left - 10,
        above + (bar * series.length) / 2 + 4,
        label,
        `text-anchor="end"${bold ? ' font-weight="bold"' : ""}`,
      ),
      ...series.map(({ values }, index) => {
        const value = values[row] ?? NaN;
        const y = above + index * bar;
        const length = Number.isFinite(value) ? Math.max(1, value * scale) : 0;
        return (
          `<rect x="${left}" y="${y}" width="${length.toFixed(1)}" height="${bar - 1.5}" rx="1.5" fill="${colours[index]}"/>` +
          text(
            Math.round(left + length + 5),
            y + bar - 2,
            figure(value),
            'font-size="10" fill="#374151"',
          )
        );
      }),
    ];
  });
  const height = bottom + 28;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="system-ui, sans-serif" font-size="12" fill="#111827">`,
    `<rect width="100%" height="100%" fill="#ffffff"/>`,
    text(12, 22, title, 'font-weight="bold" font-size="15"'),
    text(width - 12, 46, unit, 'text-anchor="end" fill="#6b7280"'),
    ...legend,
    // The band behind what stands out lies under the grid.
    ...bars.filter((part) => part.startsWith('<rect x="8"')),
    ...grid,
    ...bars.filter((part) => !part.startsWith('<rect x="8"')),
    "</svg>\n",
  ].join("\n");
}

/** The next of 1, 2, 5, 10, 20, … from here. */
function niceStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return ([1, 2, 5].find((factor) => factor * power >= least) ?? 10) * power;
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
