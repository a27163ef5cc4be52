// Samples in a file: CSV (RFC 4180) as spreadsheets and loggers write it.
import { oneLine } from "./text.ts";

/** A sample of a sensor at a time, in milliseconds since the start. */
export interface Sample {
  at: number;
  sensor: string;
  value: number;
}

/** Samples that cannot be read; says which line and why. */
export class SamplesError extends Error {
  override name = "SamplesError";
}

/**
 * Samples from CSV: a head line with `time` (milliseconds, or a date) or none, and a column for each sensor. Empty cells are no
 * samples; `#` begins a comment. Without a time, lines are a second apart. Cells may be quoted, and semicolons may stand between them.
 */
export function readSamples(text: string): Sample[] {
  const { head, rows } = readTable(text);
  const column = head.findIndex((name) => /^(time|date)$/i.test(name));
  if (head.some((name) => name !== "" && !Number.isNaN(Number(name))))
    throw new SamplesError(
      "line 1 has to name the columns: time, then a sensor for each, as in: time,level",
    );
  const samples: Sample[] = [];
  let begin: number | undefined;
  rows.forEach(({ cells, number }, row) => {
    const stamp = column < 0 ? String(row * 1000) : (cells[column] ?? "");
    const time = stamp !== "" && Number.isFinite(Number(stamp)) ? Number(stamp) : Date.parse(stamp);
    if (Number.isNaN(time)) throw new SamplesError(`line ${number}: ${shown(stamp)} is not a time`);
    begin ??= time;
    cells.forEach((cell, index) => {
      const sensor = head[index];
      if (index === column || cell === "" || sensor === undefined) return;
      samples.push({ at: time - (begin ?? 0), sensor, value: numberOf(cell, number) });
    });
  });
  return samples;
}

/** A CSV's head line, and the rows below it: for samples, and for what a network is given. */
export function readTable(text: string): { head: string[]; rows: Row[] } {
  if (/[\0\ufffd]/.test(text)) throw new SamplesError("this is not text: samples are lines of CSV");
  const [first, ...rows] = readRows(text.replace(/^\ufeff/, ""));
  if (first === undefined) throw new SamplesError("there are no lines");
  return { head: first.cells, rows };
}

/** The number in a cell of a line; an empty one is none. */
export function numberOf(cell: string, line: number): number {
  const value = cell === "" ? Number.NaN : Number(cell);
  if (Number.isNaN(value)) throw new SamplesError(`line ${line}: ${shown(cell)} is not a number`);
  return value;
}

const shown = (text: string) => (text === "" ? "an empty cell" : oneLine(text.slice(0, 40)));

interface Row {
  cells: string[];
  /** Of its first line in the file. */
  number: number;
}

/** The rows that are neither empty nor comments, quotes taken off. */
function readRows(text: string): Row[] {
  const rows: Row[] = [];
  const head = text.split("\n").find((line) => !/^\s*(#|\r?$)/.test(line)) ?? "";
  const comma = head.includes(",") || !head.includes(";") ? "," : ";";
  let [cells, cell, quoted, number, begin] = [[] as string[], "", false, 1, 1];
  // Whether the cell was quoted, whose blanks count.
  let whole = false;
  const endCell = () => {
    cells.push(whole ? cell : cell.trim());
    [cell, whole] = ["", false];
  };
  const endRow = () => {
    endCell();
    const bare = cells.length === 1 && cells[0] === "";
    if (!bare && !cells[0]?.startsWith("#")) rows.push({ cells, number: begin });
    cells = [];
  };
  for (let at = 0; at < text.length; at++) {
    const character = text[at] ?? "";
    if (quoted) {
      if (character === "\n") number++;
      if (character !== '"') cell += character;
      else if (text[at + 1] === '"') cell += text[++at];
      else quoted = false;
    } else if (character === '"' && cell.trim() === "") {
      [quoted, whole, cell] = [true, true, ""];
    } else if (character === comma) endCell();
    else if (character === "\n") {
      endRow();
      begin = ++number;
    } else if (!(whole && /\s/.test(character))) cell += character;
  }
  if (quoted) throw new SamplesError(`line ${begin}: a quote has no end`);
  endRow();
  return rows;
}
