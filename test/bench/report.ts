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

const colours = ["#2a6f97", "#e07a5f", "#81b29a", "#f2cc8f", "#6d597a", "#999999"];

export function svg({ title, unit, labels, series }: Plot): string {
  const bar = 14;
  const group = bar * series.length + 12;
  const left = 150;
  const width = 720;
  const top = 52;
  const height = top + group * labels.length + 16;
  const largest = Math.max(...series.flatMap(({ values }) => values).filter(Number.isFinite), 1e-9);
  const scale = (width - left - 90) / largest;
  const text = (x: number, y: number, content: string, extra = "") =>
    `<text x="${x}" y="${y}" ${extra}>${escape(content)}</text>`;
  const legend = series.map(({ name }, index) => {
    const x = left + index * 140;
    return `<rect x="${x}" y="30" width="10" height="10" fill="${colours[index]}"/>${text(x + 15, 39, name)}`;
  });
  const bars = labels.flatMap((label, row) => [
    text(left - 8, top + row * group + (bar * series.length) / 2 + 4, label, 'text-anchor="end"'),
    ...series.map(({ values }, index) => {
      const value = values[row] ?? 0;
      const y = top + row * group + index * bar;
      const length = Math.max(1, value * scale);
      return (
        `<rect x="${left}" y="${y}" width="${length.toFixed(1)}" height="${bar - 2}" fill="${colours[index]}"/>` +
        text(Math.round(left + length + 5), y + bar - 4, figure(value))
      );
    }),
  ]);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="100%" height="100%" fill="#ffffff"/>`,
    text(12, 18, `${title} (${unit})`, 'font-weight="bold" font-size="14"'),
    ...legend,
    ...bars,
    "</svg>\n",
  ].join("\n");
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
