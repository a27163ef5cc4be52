// Text that came from outside, made safe to show: a node, a file of somebody else's, another program.
//
// A terminal obeys control characters (ECMA-48), and bidirectional controls (UAX #9) let a line read otherwise than it is. Neither
// has a use in what a node says, so each is replaced. What only moves the line is kept where text may have several.

/** Control, format and surrogate characters, and the separators of lines and paragraphs. */
const unsafe = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
const unsafeButLines = /(?![\t\n])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** Text of several lines. */
export function printable(text: string): string {
  return text.replaceAll(unsafeButLines, "\ufffd");
}

/** A name or a value: it stays on its line. */
export function oneLine(text: string): string {
  return text.replaceAll(unsafe, "\ufffd");
}

/** JSON on one line that a terminal shows as it is; a reader of JSON gets every character back. */
export function safeJson(value: unknown): string {
  return (JSON.stringify(value) ?? "null").replaceAll(unsafe, (character) =>
    [...Array(character.length).keys()]
      .map((at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, "0")}`)
      .join(""),
  );
}

/** A number in the fewest digits that read back as the same value: of 32 bits where it is one, as the values of modules are. */
export function shortest(value: number): string {
  if (!Number.isFinite(value) || Math.fround(value) !== value) return String(value);
  for (let digits = 1; digits < 9; digits++) {
    const text = String(Number(value.toPrecision(digits)));
    if (Math.fround(Number(text)) === value) return text;
  }
  return String(Number(value.toPrecision(9)));
}

/** So many of something that takes an s: `1 node`, `3 nodes`. */
export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

/** A value of a node as people read it: a number in its shortest form, or the text that it is. */
export function shownReading({ value, text }: { value: number; text?: string }): string {
  return text ?? shortest(value);
}

/** A moment, in milliseconds since 1970, as the time of the day here. */
export function clock(at: number): string {
  const time = new Date(at);
  const two = (value: number) => String(value).padStart(2, "0");
  const whole = [time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(":");
  return `${whole}.${String(time.getMilliseconds()).padStart(3, "0")}`;
}
