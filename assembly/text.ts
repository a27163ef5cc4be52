// Text for the log and for replies, put together in one place of memory without allocating.
//
// A text in quotes or a template that stands in `log(…)` or in a reply is taken apart by the build:
//
//     log(`level ${value} mm`)   becomes   __log(__put(__raw(__begin(), …"level "…), value) …)
//
// `__begin` gives where the text begins and each step passes it on, so that a value may itself come from a function that logs.

/** The longest text in bytes: what is beyond is counted, and left out. A log line and a text of an output are shorter still. */
export const textSize: usize = 512;
// @ts-ignore: decorator
@lazy const room: usize = memory.data(512);
/** Where the next byte goes. */
// @ts-ignore: decorator
@lazy let end: usize = 0;

/** Begins a text. */
// @ts-ignore: decorator
@inline export function __begin(): usize {
  return end;
}

/** Address of a text that began there. */
// @ts-ignore: decorator
@inline export function __at(begin: usize): i32 {
  return <i32>(room + begin);
}

/** Ends a text that began there; its length in bytes, which may be more than there was room for. */
// @ts-ignore: decorator
@inline export function __end(begin: usize): i32 {
  const length = <i32>(end - begin);
  end = begin;
  return length;
}

/** Adds a byte. */
export function byte(value: u32): void {
  if (end < textSize) store<u8>(room + end, value);
  end++;
}

/** Adds UTF-8 that lies in memory. */
export function __raw(begin: usize, address: usize, length: usize): usize {
  for (const after = address + length; address < after; address++) byte(load<u8>(address));
  return begin;
}

/** Goes on with a text to which another one was added, which began at its end. */
// @ts-ignore: decorator
@inline export function __also(begin: usize, added: usize): usize {
  return begin;
}

/** Adds a value as text: numbers in the fewest digits that read back as the same number. */
// @ts-ignore: decorator
@inline export function __put<T>(begin: usize, value: T): usize {
  if (isBoolean<T>()) bytes(value ? 0x65757274 : 0x65736c6166);
  else if (isInteger<T>()) {
    if (isSigned<T>()) signed(<i64>value);
    else decimal(<u64>value, 1);
  } else if (isFloat<T>())
    // @ts-ignore: T is a number here
    float<T>(value);
  else if (isString<T>()) characters(changetype<string>(value));
  // @ts-ignore: every class that has it
  else characters(value.toString());
  return begin;
}

/** Adds a number with so many digits behind the point: `fixed(value, 2)` in a template. */
export function __fixed(begin: usize, value: f64, digits: i32): usize {
  let scale: f64 = 1;
  while (digits-- > 0) scale *= 10;
  const scaled = floor<f64>(abs<f64>(value) * scale + 0.5);
  // Values that do not fit 64 bits, and NaN, are formatted as without this.
  if (!(scaled < 1e18)) float<f32>(<f32>value);
  else {
    if (value < 0 && scaled > 0) byte(0x2d);
    decimal(<u64>scaled, <u64>scale);
  }
  return begin;
}

/** Adds a text in quotes, as JSON has it (RFC 8259 §7). */
export function __quoted(begin: usize, text: string): usize {
  byte(0x22);
  for (let index = 0; index < text.length; index++) {
    const unit = <u32>text.charCodeAt(index);
    if (unit === 0x22 || unit === 0x5c) byte(0x5c);
    index = character(text, index, unit < 0x20 ? 0x20 : unit);
  }
  byte(0x22);
  return begin;
}

/** Adds the bytes of a word, the lowest first, up to the last that is not zero. */
function bytes(word: u64): void {
  do byte(<u32>word & 0xff);
  while ((word >>= 8) !== 0);
}

function signed(value: i64): void {
  if (value < 0) byte(0x2d);
  decimal(value < 0 ? 0 - <u64>value : <u64>value, 1);
}

/** `value / scale`, where the scale is a power of ten: with as many digits behind the point as it has zeros. */
function decimal(value: u64, scale: u64): void {
  let power = scale;
  while (value / power > 9) power *= 10;
  for (;;) {
    byte(0x30 + <u32>((value / power) % 10));
    if (power === 1) break;
    if (power === scale) byte(0x2e);
    power /= 10;
  }
}

/** The fewest digits that read back; from 10^15 upwards and below 10^-6 with a power of ten. */
function float<T extends number>(value: T): void {
  let size = <f64>abs<T>(value);
  let power = 0;
  if (value < 0) byte(0x2d);
  // NaN, Infinity
  if (!(size < Infinity)) return bytes(isNaN<f64>(size) ? 0x4e614e : 0x7974696e69666e49);
  if (size !== 0 && !(size >= 1e-6 && size < 1e15)) {
    for (; size >= 10; power++) size /= 10;
    for (; size < 1; power--) size *= 10;
  }
  // Nine digits are enough for any f32, and it takes nine where the power of ten has moved its bits; an f64 gets fifteen.
  let scale: f64 = sizeof<T>() === 4 && power !== 0 ? 1e8 : 1;
  while (
    <T>(nearest(size * scale) / scale) !== <T>size &&
    (sizeof<T>() === 4 || size * scale < 1e15)
  )
    scale *= 10;
  decimal(<u64>nearest(size * scale), <u64>scale);
  if (power !== 0) {
    byte(0x65);
    signed(power);
  }
}

function characters(text: string): void {
  const length = text.length;
  for (let index = 0; index < length; index++)
    index = character(text, index, <u32>text.charCodeAt(index));
}

/** One character, of which `unit` is the first code unit, as UTF-8; where its last code unit is. */
function character(text: string, index: i32, unit: u32): i32 {
  if (unit < 0x80) byte(unit);
  else {
    let code = unit;
    if ((unit & 0xfc00) === 0xd800 && index + 1 < text.length)
      code = 0x10000 + ((unit & 0x3ff) << 10) + (<u32>text.charCodeAt(++index) & 0x3ff);
    byte(code < 0x800 ? 0xc0 | (code >> 6) : code < 0x10000 ? 0xe0 | (code >> 12) : 0xf0 | (code >> 18));
    if (code >= 0x10000) byte(0x80 | ((code >> 12) & 63));
    if (code >= 0x800) byte(0x80 | ((code >> 6) & 63));
    byte(0x80 | (code & 63));
  }
  return index;
}
