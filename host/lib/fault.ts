// A fault in a program, and how it is shown: place, message, the line, and a mark under the column.

/** A fault, with its place in the source: lines and columns from 1; line 0 if there is no place. */
export interface Fault {
  message: string;
  file: string;
  line: number;
  column: number;
}

/** A fault as a compiler shows it; `text` is its file, where that is known. */
export function describe({ message, file, line, column }: Fault, text?: string): string {
  if (line === 0) return `${file}: ${message}`;
  const place = `${file}:${line}:${column}: ${message}`;
  const source = text?.split("\n")[line - 1];
  if (source === undefined) return place;
  // What stands before the column is kept as blanks, tabs as tabs, so that the mark is under it.
  const before = source.slice(0, Math.max(0, column - 1)).replaceAll(/[^\t]/g, " ");
  return `${place}\n  ${source}\n  ${before}^`;
}
