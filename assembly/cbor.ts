// CBOR for replies (RFC 8949 §3), put together where texts are, without allocating:
//
//     cbor.begin();
//     cbor.map(2);
//     cbor.text("level"); cbor.float(level.value);
//     cbor.text("count"); cbor.int(count);
//     request.replyCbor();
import { __begin, __end, __put, __raw, byte } from "./text";

/** Where what is being put together begins, and whether it is. */
// @ts-ignore: decorator
@lazy let from: usize = 0;
// @ts-ignore: decorator
@lazy let open: bool = false;

/** For the SDK: ends it, and says where it begins. */
export function __payload(): usize {
  if (!open) from = __begin();
  open = false;
  return from;
}

/** The bytes of a number, the highest first. */
function big(value: u64, count: u32): void {
  while (count-- > 0) byte(<u32>(value >> (count << 3)) & 0xff);
}

/** A major type with its argument in the fewest bytes. */
function head(major: u32, value: u64): void {
  const size: u32 = value < 24 ? 0 : value < 0x100 ? 1 : value < 0x10000 ? 2 : value < 0x100000000 ? 4 : 8;
  const detail: u32 = size === 0 ? <u32>value : size === 1 ? 24 : size === 2 ? 25 : size === 4 ? 26 : 27;
  byte((major << 5) | detail);
  big(value, size);
}

/** CBOR of a reply. What does not fit 512 bytes makes the reply a 5.00. */
export namespace cbor {
  /** Begins; what was begun and not sent is forgotten. */
  export function begin(): void {
    if (open) __end(from);
    from = __begin();
    open = true;
  }

  /** A map of so many entries, each a key and a value. */
  export function map(entries: u32): void {
    head(5, entries);
  }

  /** An array of so many values. */
  export function array(values: u32): void {
    head(4, values);
  }

  /** A whole number. */
  export function int(value: i64): void {
    if (value < 0) head(1, <u64>~value);
    else head(0, <u64>value);
  }

  /** A single. */
  export function float(value: f32): void {
    byte(0xfa);
    big(reinterpret<u32>(value), 4);
  }

  /** A double. */
  export function double(value: f64): void {
    byte(0xfb);
    big(reinterpret<u64>(value), 8);
  }

  export function boolean(value: bool): void {
    byte(value ? 0xf5 : 0xf4);
  }

  /** Nothing. */
  export function none(): void {
    byte(0xf6);
  }

  /** A text. */
  export function text(value: string): void {
    head(3, String.UTF8.byteLength(value));
    __put<string>(__begin(), value);
  }

  /** Bytes that lie in memory. */
  export function bytes(address: usize, length: u32): void {
    head(2, length);
    __raw(__begin(), address, length);
  }
}
