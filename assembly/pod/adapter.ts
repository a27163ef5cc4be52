// A filter as a WASI command: samples come in as SenML records (RFC 8428), one JSON object a line on standard input, what the filter publishes
// goes out the same way, its log to standard error. Joined with the filter by host/lib/build/pod.ts, which also writes ./facts.
//
// Time is that of the samples: `t` in seconds, the first one is the start. What is due before a sample comes first, as in a simulation.
import { __at, __begin, __end, __put, __raw, byte as __byte } from "../text";
import {
  fieldCount,
  fieldName,
  fieldPlace,
  fieldType,
  longestText,
  outputName,
  parameterOf,
  sensorOf,
  sensors,
  tick,
  typeOf_bool,
  typeOf_f32,
  typeOf_f64,
  typeOf_i32,
  typeOf_i64,
  typeOf_text,
  typeOf_u32,
} from "./facts";

// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "fd_read")
declare function fdRead(fd: i32, vectors: usize, count: i32, read: usize): i32;
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "fd_write")
declare function fdWrite(fd: i32, vectors: usize, count: i32, written: usize): i32;
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "proc_exit")
declare function procExit(code: i32): void;
// @ts-ignore: decorator
@external("filter", "start")
declare function filterStart(): void;
// @ts-ignore: decorator
@external("filter", "sample")
declare function filterSample(sensor: i32, value: f32): void;
// @ts-ignore: decorator
@external("filter", "tick")
declare function filterTick(): void;
/** A byte of the filter's own memory. */
// @ts-ignore: decorator
@external("peek", "byte")
declare function filterByte(address: i32): u32;

const lineSize: usize = 4096;
const line: usize = memory.data(4096);
const chunkSize: usize = 65536;
const chunk: usize = memory.data(65536);
/** An address and a length, and how much was moved. */
const vector: usize = memory.data(8);
const moved: usize = memory.data(4);
/** How much was written: apart from `moved`, which may be what is written. */
const written: usize = memory.data(4);
const latest: usize = memory.data(4 * 64);
/** A value of the filter's, copied from its memory. */
const value: usize = memory.data(8, 8);

/** Milliseconds since the first sample. */
let now: f64 = 0;
/** Milliseconds since 1970 of the first sample; NaN before it. */
let first: f64 = NaN;
let nextTick: f64 = tick;
/** Seconds that a time may be from 1970: until the year 2242. One beyond is of another unit, and no clock is moved so far. */
const latestTime: f64 = 8589934592;
/** Lines so far, those that were no samples, and the first of these. */
let lines: i32 = 0;
let refused: i32 = 0;
let firstRefused: i32 = 0;

// ---- what the filter calls ----------------------------------------------------------------------------------------------

export function r(sensor: i32): f32 {
  if (<u32>sensor >= <u32>sensors) unreachable();
  return load<f32>(latest + (<usize>sensor << 2));
}
export function m(parameter: i32): f32 {
  return parameterOf(parameter);
}
export function n(): i32 {
  return <i32>(<u32>(<u64>now & 0xffffffff));
}
export function u(): i64 {
  return isNaN(first) ? 0 : <i64>(first + now);
}
export function g(pin: i32, level: i32): void {
  if (<u32>pin > 255) unreachable();
}
export function y(code: i32, address: i32, length: i32): void {
  unreachable();
}
export function p(output: i32, value: f32): void {
  const begin = head(outputName(output));
  number<f32>(begin, value);
  tail(begin);
}
/** An output that takes texts, or values of a type: a record has a line for each of its fields, as a node's has a SenML record. */
export function o(output: i32, address: i32, length: i32): void {
  const count = fieldCount(output);
  if (count == 0) unreachable();
  for (let field = 0; field < count; field++) {
    const begin = head(fieldName(output, field));
    told(begin, fieldType(output, field), address + fieldPlace(output, field), length);
    tail(begin);
  }
}

function told(begin: usize, type: u32, address: i32, length: i32): void {
  if (type == typeOf_text) words(begin, address, length);
  else if (type == typeOf_bool) {
    put(begin, ',"vb":');
    __put<bool>(begin, filterByte(address) != 0);
  } else if (type == typeOf_i32) number<i32>(begin, taken<i32>(address));
  else if (type == typeOf_u32) number<u32>(begin, taken<u32>(address));
  else if (type == typeOf_i64) number<i64>(begin, taken<i64>(address));
  else if (type == typeOf_f32) number<f32>(begin, taken<f32>(address));
  else if (type == typeOf_f64) number<f64>(begin, taken<f64>(address));
  else unreachable();
}

/** A value in the filter's memory. */
function taken<T>(address: i32): T {
  for (let index: usize = 0; index < sizeof<T>(); index++)
    store<u8>(value + index, filterByte(address + <i32>index));
  return load<T>(value);
}

/** A text as JSON has it (RFC 8259 §7), cut as a node cuts it: between two characters. */
function words(begin: usize, address: i32, length: i32): void {
  let end = min(length, longestText);
  while (end > 0 && end < length && (filterByte(address + end) & 0xc0) == 0x80) end--;
  put(begin, ',"vs":"');
  for (let index = 0; index < end; index++) {
    const byte = filterByte(address + index);
    if (byte < 0x20) {
      put(begin, byte < 0x10 ? "\\u000" : "\\u001");
      const digit = byte & 15;
      __byte(digit < 10 ? 0x30 + digit : 0x57 + digit);
      continue;
    }
    if (byte == 0x22 || byte == 0x5c) __byte(0x5c);
    __byte(byte);
  }
  put(begin, '"');
}

/** Begins a record: its name, whose length stands before it, and the time. */
function head(name: usize): usize {
  const begin = __begin();
  put(begin, '{"n":"');
  __raw(begin, name, load<u8>(name - 1));
  put(begin, '","t":');
  __put<f64>(begin, (isNaN(first) ? now : first + now) / 1000);
  return begin;
}

function tail(begin: usize): void {
  put(begin, "}\n");
    write(1, <usize>__at(begin), __end(begin));
}

function number<T extends number>(begin: usize, value: T): void {
  // A value that is not a number has none in JSON (RFC 8428 §5): the record says so with the name of the value as text.
  const none = isFloat<T>() && value - value != 0;
  put(begin, none ? ',"vs":"' : ',"v":');
  __put<T>(begin, value);
  if (none) put(begin, '"');
}

/** Nobody asks a pod. */
export function z(code: i32, format: i32, address: i32, length: i32): void {
  unreachable();
}
/** A line with a level is a line. */
export function v(level: i32, address: i32, length: i32): void {
  l(address, length);
}
export function l(address: i32, length: i32): void {
  for (let index = 0; index < length; index++) {
    // A line of the log is one line here too.
    const byte = filterByte(address + index);
    store<u8>(moved, byte < 0x20 ? 0x20 : byte);
    write(2, moved, 1);
  }
  store<u8>(moved, 0x0a);
  write(2, moved, 1);
}

function put(begin: usize, text: string): void {
  __put<string>(begin, text);
}

function write(fd: i32, at: usize, length: i32): void {
  while (length > 0) {
    store<u32>(vector, at);
    store<u32>(vector, length, 4);
    if (fdWrite(fd, vector, 1, written) != 0) procExit(74);
    const part = load<u32>(written);
    at += part;
    length -= part;
  }
}

// ---- lines --------------------------------------------------------------------------------------------------------------

let place: usize = 0;
let last: usize = 0;

function space(): void {
  while (place < last) {
    const byte = load<u8>(place);
    if (byte != 0x20 && byte != 0x09 && byte != 0x0d) return;
    place++;
  }
}

/** Passes one byte, where it is this one. */
function pass(byte: u32): bool {
  space();
  if (place >= last || load<u8>(place) != byte) return false;
  place++;
  return true;
}

/** A text without escapes; its length, or -1. It begins at `begun`. */
let begun: usize = 0;
function quoted(): i32 {
  if (!pass(0x22)) return -1;
  begun = place;
  while (place < last) {
    const byte = load<u8>(place++);
    if (byte == 0x22) return <i32>(place - 1 - begun);
    if (byte == 0x5c || byte < 0x20) return -1;
  }
  return -1;
}

/** A number as JSON has it (RFC 8259 §6); NaN where there is none. */
function numeral(): f64 {
  space();
  const minus = place < last && load<u8>(place) == 0x2d;
  if (minus) place++;
  let mantissa: u64 = 0;
  let power = 0;
  let digits = 0;
  let point = false;
  const start = place;
  while (place < last) {
    const byte = load<u8>(place);
    if (byte == 0x2e && !point && digits > 0) point = true;
    else if (byte - 0x30 <= 9) {
      digits++;
      if (mantissa < 1000000000000000000) {
        mantissa = mantissa * 10 + (byte - 0x30);
        if (point) power--;
      } else if (!point) power++;
    } else break;
    place++;
  }
  // Neither 01 nor 1. is a number of JSON.
  const zero = digits > 1 && load<u8>(start) == 0x30 && load<u8>(start + 1) != 0x2e;
  if (digits == 0 || zero || load<u8>(place - 1) == 0x2e) return NaN;
  if (place < last && (load<u8>(place) | 0x20) == 0x65) {
    place++;
    const down = place < last && load<u8>(place) == 0x2d;
    if (down || (place < last && load<u8>(place) == 0x2b)) place++;
    let exponent = 0;
    let any = false;
    while (place < last && load<u8>(place) - 0x30 <= 9) {
      if (exponent < 10000) exponent = exponent * 10 + (load<u8>(place) - 0x30);
      place++;
      any = true;
    }
    if (!any) return NaN;
    power += down ? -exponent : exponent;
  }
  let value = <f64>mantissa;
  // Exact up to 15 digits and powers of 22, which is what sensors give; beyond within a unit in the last place or two.
  for (let step = 0; power > 0; power -= step) {
    step = min(power, 22);
    value *= tens(step);
  }
  for (let step = 0; power < 0; power += step) {
    step = min(-power, 22);
    value /= tens(step);
  }
  return minus ? -value : value;
}

function tens(power: i32): f64 {
  let value: f64 = 1;
  while (power-- > 0) value *= 10;
  return value;
}

/** One line: a sample, an empty line, or something else, which is counted, as one that is too long is. */
function take(length: usize, long: bool): void {
  lines++;
  place = line;
  last = line + length;
  space();
  if (!long && (place == last || record())) return;
  if (refused++ == 0) firstRefused = lines;
}

/**
 * Whether a record would mean something else than it says here: a base value (RFC 8428 §4.1), which holds for all records after it too, or a field
 * that has to be understood (§4.4).
 */
function foreign(at: usize, length: i32): bool {
  return length > 0 && (load<u8>(at) == 0x62 || load<u8>(at + length - 1) == 0x5f);
}

function record(): bool {
  let name: usize = 0;
  let nameLength = 0;
  let value: f64 = NaN;
  let time: f64 = NaN;
  let state = false;
  if (!pass(0x7b)) return false;
  do {
    const length = quoted();
    if (length < 0 || foreign(begun, length)) return false;
    const key = length == 1 ? <u32>load<u8>(begun) : 0;
    const word = length == 2 && load<u16>(begun) == 0x7376;
    if (!pass(0x3a)) return false;
    space();
    if (place < last && load<u8>(place) == 0x22) {
      const size = quoted();
      if (size < 0) return false;
      if (key == 0x6e) {
        name = begun;
        nameLength = size;
      }
      // "vs", where a node says what is wrong with a sensor.
      if (word) state = true;
    } else {
      const given = numeral();
      if (isNaN(given)) return false;
      if (key == 0x76) value = given;
      if (key == 0x74) time = given;
      if (abs(time) > latestTime) return false;
    }
  } while (pass(0x2c));
  if (!pass(0x7d)) return false;
  space();
  if (place != last || nameLength == 0 || (isNaN(value) && !state)) return false;
  sample(name, nameLength, <f32>value, time);
  return true;
}

function sample(name: usize, length: i32, value: f32, time: f64): void {
  if (!isNaN(time)) {
    const at = time * 1000;
    if (isNaN(first)) first = at;
    // A clock that goes back does not take the filter's with it.
    const passed = at - first;
    if (passed > now) {
      while (tick > 0 && nextTick <= passed) {
        now = nextTick;
        nextTick += tick;
        filterTick();
      }
      now = passed;
    }
  }
  const sensor = sensorOf(name, length);
  if (sensor < 0) return;
  store<f32>(latest + (<usize>sensor << 2), value);
  if (isNaN(value)) return;
  filterSample(sensor, value);
}

export function _start(): void {
  for (let sensor = 0; sensor < sensors; sensor++) store<f32>(latest + (<usize>sensor << 2), NaN);
  filterStart();
  let length: usize = 0;
  let long = false;
  for (;;) {
    store<u32>(vector, chunk);
    store<u32>(vector, chunkSize, 4);
    if (fdRead(0, vector, 1, moved) != 0) procExit(74);
    const count = load<u32>(moved);
    if (count == 0) break;
    for (let index: usize = 0; index < count; index++) {
      const byte = load<u8>(chunk + index);
      if (byte == 0x0a) {
        take(length, long);
        length = 0;
        long = false;
      } else if (length < lineSize) store<u8>(line + length++, byte);
      else long = true;
    }
  }
  take(length, long);
  if (refused > 0) {
    const begin = __begin();
    __put<i32>(begin, refused);
    put(begin, refused == 1 ? " line is no sample: line " : " lines are no samples: the first is line ");
    __put<i32>(begin, firstRefused);
    put(begin, '. A sample is written {"n":"level","t":1.5,"v":1234}, its time in seconds.\n');
        write(2, <usize>__at(begin), __end(begin));
    procExit(65);
  }
}
