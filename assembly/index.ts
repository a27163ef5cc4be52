// The sensor SDK: what a module is written with. `import { … } from "wasmote"` resolves here.
//
// Sensors, outputs and parameters are declared at the top level with names in quotes. `wasmote build` turns each name into a
// small number and writes the names into the module's custom section, so none of this costs a byte in the module: the
// classes below are integers, their methods single instructions or imports.
import * as node from "./contract";
import { requestBufferSize } from "./contract";
import { __payload } from "./cbor";
import { __also, __at, __begin, __end, __fixed, __long, __put, __quoted, __raw } from "./text";
export { cbor } from "./cbor";
export * from "./filters";
export * from "./time";
export { __also, __begin, __fixed, __put, __quoted, __raw };

/** A sensor of the node. Declare one with {@link sensor}. */
@unmanaged @final
export class Sensor {
  /** The newest sample; NaN before the first, and while the sensor is silent or faulty. */
  // @ts-ignore: decorator
  @inline get value(): f32 {
    return node.read(<i32>changetype<usize>(this));
  }

  /**
   * Runs `handler` for each new sample. Written at the top level of the program, once for a sensor:
   *
   *     level.onSample((millimetres) => smooth.publish(average.next(millimetres)));
   */
  onSample(handler: (value: f32) => void): void {}
}

/** What outputs published last, each as bits that are zero for NaN. */
// @ts-ignore: decorator
@lazy const published: usize = memory.data(64);
// @ts-ignore: decorator
@inline const nothing: u32 = 0x7fc00000;

/** Where a number lies while it is published that is no single. */
// @ts-ignore: decorator
@lazy const told: usize = memory.data(8, 8);

/** A value that the module publishes, to be read and observed at `/outputs/{name}`. Declare one with {@link output}. */
@unmanaged @final
export class Output<T = f32> {
  /** Publishes a value. Those who observe the output are told of it. A text is cut at 48 bytes. */
  // @ts-ignore: decorator
  @inline publish(value: T): void {
    if (isString<T>()) this.__tell(__put<string>(__begin(), changetype<string>(value)));
    else if (isReference<T>())
      node.tell(this.__number, <i32>changetype<usize>(value), <i32>offsetof<T>());
    else if (isFloat<T>() && sizeof<T>() === 4) node.publish(this.__number, <f32>value);
    else {
      store<T>(told, value);
      node.tell(this.__number, <i32>told, <i32>sizeof<T>());
    }
  }

  // @ts-ignore: decorator
  @inline get __number(): i32 {
    return <i32>changetype<usize>(this);
  }

  /** For the build step: publishes the text that began there. */
  __tell(begin: usize): void {
    node.tell(this.__number, __at(begin), __end(begin));
  }

  /** What was published last; NaN while nothing was. Only a program that reads it keeps it, in four bytes an output; of singles only. */
  // @ts-ignore: decorator
  @inline get value(): f32 {
    if (!isFloat<T>() || sizeof<T>() !== 4) ERROR("only an output of f32 can be read");
    return reinterpret<f32>(load<u32>(published + (changetype<usize>(this) << 2)) ^ nothing);
  }

  /** For the build step: publishes a value, and keeps it. */
  __publish(value: T): void {
    if (isFloat<T>() && sizeof<T>() === 4)
      store<u32>(published + (changetype<usize>(this) << 2), reinterpret<u32>(<f32>value) ^ nothing);
    this.publish(value);
  }
}

/** A number that the operator can change while the module runs, at `/app/params/{name}`. Declare one with {@link parameter}. */
@unmanaged @final
export class Parameter {
  /** The present value. */
  // @ts-ignore: decorator
  @inline get value(): f32 {
    return node.parameter(<i32>changetype<usize>(this));
  }
}

/** Declares a sensor by the name it has on the node: `const level = sensor("level");` */
// @ts-ignore: decorator
@inline export function sensor(name: string): Sensor {
  return changetype<Sensor>(name);
}

/**
 * Declares an output: `const flow = output("flow", "m3/s");` takes singles (f32). `output<string>("state")` takes texts of up to 48
 * bytes, `output<i32>("count")` numbers of another type, `output<Day>("day")` small records: objects of a class of this file whose
 * fields are numbers. Six outputs may have such a type.
 * @param unit A SenML unit (RFC 8428 §12.1), such as `m`, `Cel`, `%RH`, `m3/s`; empty for a plain number.
 */
// @ts-ignore: decorator
@inline export function output<T = f32>(
  name: string,
  unit: string = changetype<string>(0),
): Output<T> {
  return changetype<Output<T>>(name);
}

/**
 * Declares a parameter: `const limit = parameter("limit", 200, 0, 1000);`
 * @param initial Its value until somebody changes it; all three must be written as numbers.
 */
// @ts-ignore: decorator
@inline export function parameter(
  name: string,
  initial: f32,
  minimum: f32 = -f32.MAX_VALUE,
  maximum: f32 = f32.MAX_VALUE,
): Parameter {
  return changetype<Parameter>(name);
}

/**
 * Something that the node keeps over resets, updates and rollbacks. Declare one with {@link state}.
 */
@unmanaged @final
export class State<T> {
  /** The present value. Of a record its fields are read and set: `day.value.rain += 0.2`. */
  // @ts-ignore: decorator
  @inline get value(): T {
    // @ts-ignore: an object of T lies there
    if (isReference<T>()) return changetype<T>(this);
    return load<T>(changetype<usize>(this));
  }

  // @ts-ignore: decorator
  @inline set value(value: T) {
    if (isReference<T>())
      memory.copy(changetype<usize>(this), changetype<usize>(value), offsetof<T>());
    else store<T>(changetype<usize>(this), value);
  }
}

/**
 * Declares what survives: `const total = state("total", 0);` is a number (f64; `state<i32>("count", 0)` is another type), and
 * `const day = state("day", new Day());` a small record of numbers. The node saves what has changed within ten minutes and before an
 * update, and gives it back by name and type before the program starts; the operator reads it at `/app/state/{name}`.
 * @param initial Its value until then, written as a number, or as `new` and the class of this file whose fields are numbers.
 */
// @ts-ignore: decorator
@inline export function state<T>(name: string, initial: T): State<T> {
  return changetype<State<T>>(name);
}

/**
 * Runs `handler` every so many milliseconds, which are known before the program runs: `every(5 * 60 * 1000, report);`. Written at the
 * top level, as often as there are periods; the module is woken at their greatest common divisor.
 */
export function every(milliseconds: i32, handler: () => void): void {}

/** What timers are due for: each a time and whether it runs. */
// @ts-ignore: decorator
@lazy const timers: usize = memory.data(128);

/** Something that happens once, later. Declare one with {@link timer}. */
@unmanaged @final
export class Timer {
  /** Runs the handler once, so many milliseconds from now (at most 24 days); a start before is forgotten. */
  start(milliseconds: i32): void {
    const place = timers + (changetype<usize>(this) << 3);
    store<u32>(place, now() + milliseconds);
    store<u32>(place, 1, 4);
  }

  /** Forgets the start. */
  // @ts-ignore: decorator
  @inline stop(): void {
    store<u32>(timers + (changetype<usize>(this) << 3), 0, 4);
  }

  /** Whether it was started and has not run. */
  // @ts-ignore: decorator
  @inline get running(): bool {
    return <bool>load<u32>(timers + (changetype<usize>(this) << 3), 4);
  }
}

/**
 * Declares a timer, which `start` sets going: `const close = timer(() => gpio(0, false));`. Written at the top level. A tenth of a
 * second is how exact it is.
 */
// @ts-ignore: decorator
@inline export function timer(handler: () => void): Timer {
  return changetype<Timer>(0);
}

/** For the build step: the timer with this number. */
// @ts-ignore: decorator
@inline export function __timer(index: usize): Timer {
  return changetype<Timer>(index);
}

/** For the build step: whether a timer is due, which ends it. */
export function __due(index: usize): bool {
  const place = timers + (index << 3);
  if (load<u32>(place, 4) === 0 || <i32>(now() - load<u32>(place)) < 0) return false;
  store<u32>(place, 0, 4);
  return true;
}

/** Milliseconds since the node started; starts again from zero after 49 days. */
// @ts-ignore: decorator
@inline export function now(): u32 {
  return <u32>node.now();
}

/** Wall clock in milliseconds since 1970-01-01 UTC; 0 while the node's clock has not been set. */
// @ts-ignore: decorator
@inline export function unix(): i64 {
  return node.unix();
}

/** Sets a general-purpose output of the node, such as a light or a relay. */
// @ts-ignore: decorator
@inline export function gpio(pin: i32, high: bool): void {
  node.gpio(pin, i32(high));
}

/** How much a line of the log matters (RFC 5424 §6.2.1). */
export namespace Level {
  export const ERROR: i32 = 3;
  export const WARNING: i32 = 4;
  export const INFO: i32 = 6;
  export const DEBUG: i32 = 7;
}

/**
 * Writes a line to the node's log: ``log(`level ${value} mm`);`` or `log("no echo", Level.WARNING)`. `wasmote logs` shows the line of
 * the source that it comes from.
 * @param level One of {@link Level}.
 */
export function log(text: string, level: i32 = Level.INFO): void {
  const begin = __put<string>(__begin(), text);
  if (level === Level.INFO) __log(begin);
  else __note(begin, level);
}

/** For the build step: writes the text that began there, with a level. */
export function __note(begin: usize, level: i32): void {
  node.note(level, __at(begin), __end(begin));
}

/** For the build step: writes the text that began there. */
export function __log(begin: usize): void {
  node.log(__at(begin), __end(begin));
}

/**
 * A number with so many digits behind the point, in a template: ``log(`${fixed(value, 1)} mm`)``. Anywhere else it is a text
 * that is made in memory.
 */
export function fixed(value: f64, digits: i32): string {
  return taken(__fixed(__begin(), value, digits));
}

/** A text with quotes around it and escapes in it, as JSON has it, in a template: `` `{"name":${quoted(name)}}` ``. */
export function quoted(text: string): string {
  return taken(__quoted(__begin(), text));
}

function taken(begin: usize): string {
  const length = __end(begin);
  return String.UTF8.decodeUnsafe(<usize>__at(begin), <usize>length);
}

// ---- requests ---------------------------------------------------------------------------------------------------------

/** Methods of CoAP (RFC 7252 §12.1.1, RFC 8132 §6). */
export namespace Method {
  export const GET: i32 = 1;
  export const POST: i32 = 2;
  export const PUT: i32 = 3;
  export const DELETE: i32 = 4;
  export const FETCH: i32 = 5;
}

/** Answers of CoAP (RFC 7252 §5.9), as a class in the upper three bits and a detail below. */
export namespace Code {
  export const CREATED: i32 = 0x41;
  export const DELETED: i32 = 0x42;
  export const CHANGED: i32 = 0x44;
  export const CONTENT: i32 = 0x45;
  export const BAD_REQUEST: i32 = 0x80;
  export const NOT_FOUND: i32 = 0x84;
  export const METHOD_NOT_ALLOWED: i32 = 0x85;
  export const INTERNAL_SERVER_ERROR: i32 = 0xa0;
}

/** Content-Formats (RFC 7252 §12.3, RFC 8949 §9.4, RFC 8428 §12.3). */
export namespace Format {
  export const TEXT: i32 = 0;
  export const OCTETS: i32 = 42;
  export const JSON: i32 = 50;
  export const CBOR: i32 = 60;
  export const SENML_JSON: i32 = 110;
  export const SENML_CBOR: i32 = 112;
}

/** Where the node puts a request: the path, then the payload. Its size is in the custom section. */
// @ts-ignore: decorator
@lazy const requestBuffer: usize = memory.data(requestBufferSize);

/** For the build step: the request buffer's address. */
// @ts-ignore: decorator
@inline export function __requestBuffer(): i32 {
  return <i32>requestBuffer;
}

// @ts-ignore: decorator
@lazy let pathLength: i32 = 0;
// @ts-ignore: decorator
@lazy let payloadLength: i32 = 0;

/** A request below `/app/x`. There is one at a time. */
@unmanaged @final
export class Request {
  /** One of {@link Method}. */
  // @ts-ignore: decorator
  @inline get method(): i32 {
    return <i32>changetype<usize>(this);
  }

  /** Whether the request's path below `/app/x/` is this one; ASCII only. */
  at(path: string): bool {
    if (path.length !== pathLength) return false;
    for (let index = 0; index < pathLength; index++) {
      if (<u16>path.charCodeAt(index) !== <u16>load<u8>(requestBuffer + index)) return false;
    }
    return true;
  }

  /** Length of the payload in bytes. */
  // @ts-ignore: decorator
  @inline get length(): i32 {
    return payloadLength;
  }

  /** One byte of the payload; 0 beyond its end. */
  byte(index: i32): u8 {
    return <u32>index < <u32>payloadLength ? load<u8>(requestBuffer + pathLength + index) : 0;
  }

  /** The payload read as a whole number, as in `42` or `-7`; what follows the digits is ignored. */
  number(): i32 {
    const negative = this.byte(0) === 0x2d;
    let result = 0;
    for (let index = i32(negative); ; index++) {
      const digit = <u32>this.byte(index) - 0x30;
      if (digit > 9) break;
      result = result * 10 + digit;
    }
    return negative ? -result : result;
  }

  /** The payload read as a number, as in `12.5` or `-7`; NaN where it begins with none. What follows the digits is ignored. */
  decimal(): f32 {
    const negative = this.byte(0) === 0x2d;
    let result: f64 = 0;
    let scale: f64 = 0;
    let digits = 0;
    for (let index = i32(negative); ; index++) {
      const byte = this.byte(index);
      const digit = <u32>byte - 0x30;
      if (digit <= 9) {
        result = result * 10 + <f64>digit;
        scale *= 10;
        digits++;
      } else if (byte === 0x2e && scale === 0) scale = 1;
      else break;
    }
    if (digits === 0) return NaN;
    if (scale > 0) result /= scale;
    return <f32>(negative ? -result : result);
  }

  /** The payload as a text, which is made in memory. */
  get text(): string {
    return String.UTF8.decodeUnsafe(requestBuffer + pathLength, payloadLength);
  }

  /** The path below `/app/x/` as a text, which is made in memory; {@link at} compares it without. */
  get path(): string {
    return String.UTF8.decodeUnsafe(requestBuffer, pathLength);
  }

  /**
   * Answers with one of {@link Code} and a text of up to 512 bytes: `request.reply(Code.CONTENT, text, Format.JSON)`.
   * @param format One of {@link Format}, or another Content-Format; without one nothing is said of it.
   */
  reply(code: i32, text: string = "", format: i32 = -1): void {
    const begin = __put<string>(__begin(), text);
    if (format < 0) this.__reply(code, begin);
    else this.__replyAs(code, begin, format);
  }

  /** Answers with what `cbor` has put together. */
  replyCbor(code: i32 = Code.CONTENT, format: i32 = Format.CBOR): void {
    this.__replyAs(code, __payload(), format);
  }

  /** Answers with bytes that lie in memory, at most 512. */
  replyBytes(code: i32, format: i32, address: usize, length: i32): void {
    node.answer(code, format, <i32>address, length);
  }

  /** Answers 2.05 with a whole number as text. */
  replyNumber(value: i32): void {
    this.__reply(Code.CONTENT, __put<i32>(__begin(), value));
  }

  /** For the build step: answers with the text that began there. */
  __reply(code: i32, begin: usize): void {
    const long = __long();
    const length = __end(begin);
    if (long) tooLong();
    else node.reply(code, __at(begin), length);
  }

  /** For the build step: likewise, in a format. */
  __replyAs(code: i32, begin: usize, format: i32): void {
    const long = __long();
    const length = __end(begin);
    if (long) tooLong();
    else node.answer(code, format, __at(begin), length);
  }
}

/** Half an answer would be taken for a whole one: this is said instead (RFC 7252 §5.5.2). */
function tooLong(): void {
  const text = memory.data<u8>([
    // "reply > 512 bytes"
    0x72, 0x65, 0x70, 0x6c, 0x79, 0x20, 0x3e, 0x20, 0x35, 0x31, 0x32, 0x20, 0x62, 0x79, 0x74, 0x65, 0x73,
  ]);
  node.reply(Code.INTERNAL_SERVER_ERROR, <i32>text, 17);
}

/** Answers requests below `/app/x`. Written at the top level, once in a program. */
export function onRequest(handler: (request: Request) => void): void {}

/** For the build step: what the node says of a request, made into one. */
export function __request(method: i32, path: i32, payload: i32): Request {
  pathLength = path;
  payloadLength = payload;
  return changetype<Request>(<usize>method);
}
