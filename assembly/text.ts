// Text for the log and for replies, put together in one place of memory without allocating.
//
// A text in quotes or a template that stands in `log(…)` or in a reply is taken apart by the build:
//
//     log(`level ${value} mm`)   becomes   __log(__put(__raw(__begin(), …"level "…), value) …)
//
// `__begin` gives where the text begins and each step passes it on, so that a value may itself come from a function that logs.

/** The longest text in bytes; a log line and a text of an output are shorter still. */
const textSize: usize = 512;
/** Behind it there is room for a byte too many, by which a text that is too long is known, and for a number: see {@link single}. */
// @ts-ignore: decorator
@lazy const room: usize = memory.data(544);
/** Where in it the next byte goes, and where no more do. */
// @ts-ignore: decorator
@lazy let end: usize = 0;
// @ts-ignore: decorator
@lazy let limit: usize = textSize + 1;

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

/** Ends a text that began there; its length in bytes. Of one that is too long, there is as much as there was room for, and a byte. */
// @ts-ignore: decorator
@inline export function __end(begin: usize): i32 {
  const length = <i32>(end - begin);
  end = begin;
  return length;
}

/** Whether the text that is put together is too long. */
// @ts-ignore: decorator
@inline export function __long(): bool {
  return end > textSize;
}

/** Adds a byte, where there is room for it. */
export function byte(value: u32): void {
  if (end >= limit) return;
  store<u8>(room + end, value);
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

/** Infinity, NaN */
// @ts-ignore: decorator
@lazy const strange: usize = memory.data<u8>([0x49, 0x6e, 0x66, 0x69, 0x6e, 0x69, 0x74, 0x79, 0x4e, 0x61, 0x4e]);

/** The fewest digits that read back, of an f64 at most fifteen; from 10^15 upwards and below 10^-6 with a power of ten. */
function float<T extends number>(value: T): void {
  const size = abs<T>(value);
  let power: u64 = 0;
  let unit: f64 = 1;
  if (value < 0) byte(0x2d);
  // @ts-ignore: T is a number here
  if (!(size < <T>Infinity)) {
    const rest: usize = isNaN<T>(size) ? 3 : 8;
    __raw(0, isNaN<T>(size) ? strange + 8 : strange, rest);
    return;
  }
  // @ts-ignore: T is a number here
  if (size !== <T>0 && (size < <T>1e-6 || size >= <T>1e15)) {
    for (; <T>(<f64>size / unit) >= <T>10; power++) unit *= 10;
    // @ts-ignore: T is a number here
    for (; <T>(<f64>size / unit) < <T>1; power++) unit /= 10;
  }
  let scale: u64 = 1;
  let digits: f64;
  for (;;) {
    digits = nearest<f64>((<f64>size / unit) * <f64>scale);
    if (<T>((digits / <f64>scale) * unit) === size) break;
    // A single has at most nine.
    if (sizeof<T>() === 8 && digits >= 1e14) break;
    scale *= 10;
  }
  decimal(<u64>digits, scale);
  if (power === 0) return;
  byte(0x65);
  // @ts-ignore: T is a number here
  if (size < <T>1) byte(0x2d);
  decimal(power, 1);
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

/** Where a text of a single lies until the next; its length is in {@link singleLength}. It leaves alone what is being put together. */
function single(value: f32): usize {
  const before = end;
  end = textSize + 1;
  limit = 544;
  __put<f32>(end, value);
  singleLength = end - textSize - 1;
  limit = textSize + 1;
  end = before;
  return room + textSize + 1;
}
// @ts-ignore: decorator
@lazy let singleLength: usize = 0;

/** For AssemblyScript's own `toString`: the text of a single, made in memory. */
// @ts-ignore: decorator
@global export function __single(value: f32): String {
  const at = single(value);
  return String.UTF8.decodeUnsafe(at, singleLength);
}

/** For AssemblyScript's own `join`: writes the text as UTF-16; how many characters it has. */
// @ts-ignore: decorator
@global export function __singleAt(buffer: usize, value: f32): u32 {
  const at = single(value);
  for (let index: usize = 0; index < singleLength; index++)
    store<u16>(buffer + (index << 1), load<u8>(at + index));
  return <u32>singleLength;
}

/** For both: the length of a double's text without the `.0` of a whole one. */
// @ts-ignore: decorator
@global export function __whole(buffer: usize, length: u32): u32 {
  return load<u32>(buffer + (length << 1) - 4) === 0x30002e ? length - 2 : length;
}
