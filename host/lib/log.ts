// Lines of a node's log: who says them, how much they matter, and the line of the source that a module's come from.
import { sourcePlace, type SourcePlace } from "./backtrace.ts";
import type { Kept } from "./kept.ts";

/** Severities of RFC 5424 §6.2.1 that a line may have beside information, which is not said. */
const levels: Readonly<Record<number, string>> = { 3: "error", 4: "warning", 7: "debug" };

/** What stands behind who says a line, for its severity. */
export function levelName(level: number | undefined): string {
  const name = level === undefined ? undefined : levels[level];
  return name === undefined ? "" : ` ${name}`;
}

/** A line of the log. */
export interface LogLine {
  /** As the node writes it. */
  line: string;
  /** Seconds since the node started, as it writes them. */
  time?: string;
  from?: "node" | "module";
  /** Of a module's line: `error`, `warning`, `info` or `debug`. */
  level?: string;
  /** The byte of the module at which it is said, or at which it trapped, and where that is in the source. */
  offset?: number;
  place?: SourcePlace;
  text: string;
}

/** Takes a line apart; what is of another form is a text. */
export function readLine(line: string): LogLine {
  const found =
    /^(\d+\.\d{3}) (?:(node)|module@(\d+)(?: (error|warning|debug))?): (.*)$/s.exec(line) ??
    undefined;
  if (found === undefined) return { line, text: line };
  const [, time = "", node, offset = "", level = "info", text = ""] = found;
  if (node !== undefined) return { line, time, from: "node", text };
  return { line, time, from: "module", level, offset: Number(offset), text };
}

/** The package that a line of the node's says runs from there on; 0 where it says that another does, and not which. */
function turn({ from, text }: LogLine): number | undefined {
  if (from !== "node") return undefined;
  const [, begun, back] =
    /^package (\d+) goes on trial$|^returned from package \d+ to (\d+)$/.exec(text) ?? [];
  const sequence = begun ?? back;
  if (sequence !== undefined) return Number(sequence);
  const over =
    /^package (?:\d+ )?(?:withdrawn by hand|removed|is damaged: left)$|none to return to$/;
  return over.test(text) ? 0 : undefined;
}

/** Reads lines in the order of the log, and finds their places: each is of the package that ran then. */
export class LogReader {
  #running: number | undefined;
  readonly #kept: (sequence: number) => Kept | undefined;

  /**
   * @param kept What is kept of the package with a sequence number.
   * @param running The package that ran when the first line was written, where that is known.
   */
  constructor(kept: (sequence: number) => Kept | undefined, running?: number) {
    this.#kept = kept;
    this.#running = running;
  }

  read(text: string): LogLine {
    const line = readLine(text);
    this.#running = turn(line) ?? this.#running;
    const [, trapped, at] =
      (line.from === "node" && /^package (\d+): trap: .* at byte (\d+)$/.exec(line.text)) || [];
    const sequence = trapped === undefined ? this.#running : Number(trapped);
    const offset = at === undefined ? line.offset : Number(at);
    if (offset === undefined || !sequence) return line;
    const place = sourcePlace(this.#kept(sequence), offset);
    // Of a trap only the byte is said, not who called: a place in the library says nothing to its user.
    if (place === undefined || (line.from === "node" && !place.own)) return line;
    return { ...line, offset, place };
  }
}

/** Which package ran when the first of these lines was written, when this one runs behind the last. */
export function firstRunning(
  lines: readonly string[],
  now: number | undefined,
): number | undefined {
  return lines.some((line) => turn(readLine(line)) !== undefined) ? undefined : now;
}

/** A line as people read it: the place in the source instead of the byte. */
export function shownLine({ line, time, from, place, level = "info", text }: LogLine): string {
  if (place === undefined || time === undefined) return line;
  if (from === "node") return `${line}, ${place.file}:${place.line}:${place.column}`;
  const said = level === "info" ? "" : ` ${level}`;
  return `${time} ${place.file}:${place.line}:${place.column}${said}: ${text}`;
}
