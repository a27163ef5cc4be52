// What a node offers to a module, by its names in the contract. Generated from firmware/node/contract.toml by `npm run gen`. Not for editing.

/** The version of the contract that these imports belong to. */
export const contractVersion: i32 = 1;

/** Bytes of the buffer for requests. */
export const requestBufferSize: i32 = 256;

/** The newest value of the module's sensor with this number; NaN before the first, and while the sensor is silent or faulty. */
// @ts-ignore: decorator
@external("wasmote", "r")
export declare function read(a: i32): f32;

/** Publishes a value on the module's output with this number. */
// @ts-ignore: decorator
@external("wasmote", "p")
export declare function publish(a: i32, b: f32): void;

/** The present value of the module's parameter with this number. */
// @ts-ignore: decorator
@external("wasmote", "m")
export declare function parameter(a: i32): f32;

/** Milliseconds since the node started, modulo 2^32. */
// @ts-ignore: decorator
@external("wasmote", "n")
export declare function now(): i32;

/** Wall clock in milliseconds since 1970-01-01 UTC; 0 while the node's clock has not been set. */
// @ts-ignore: decorator
@external("wasmote", "u")
export declare function unix(): i64;

/** Writes a line of UTF-8 (address, length in bytes) to the node's log; cut at the node's line limit. */
// @ts-ignore: decorator
@external("wasmote", "l")
export declare function log(a: i32, b: i32): void;

/** Sets the node's general-purpose output with this number low (0) or high (anything else). */
// @ts-ignore: decorator
@external("wasmote", "g")
export declare function gpio(a: i32, b: i32): void;

/** Answers the request being handled: CoAP code byte (RFC 7252 §3), address and length of the payload. */
// @ts-ignore: decorator
@external("wasmote", "y")
export declare function reply(a: i32, b: i32, c: i32): void;

/** Answers as `reply` does, in a format: CoAP code byte, Content-Format (RFC 7252 §12.3), address and length of the payload. */
// @ts-ignore: decorator
@external("wasmote", "z")
export declare function answer(a: i32, b: i32, c: i32, d: i32): void;

/** Writes a line as `log` does, with a level before it: 3 error, 4 warning, 6 information, 7 debugging (RFC 5424 §6.2.1). */
// @ts-ignore: decorator
@external("wasmote", "v")
export declare function note(a: i32, b: i32, c: i32): void;

/** Publishes what lies in memory (address, length in bytes) on the module's output with this number, which is a text or has a type. */
// @ts-ignore: decorator
@external("wasmote", "o")
export declare function tell(a: i32, b: i32, c: i32): void;
