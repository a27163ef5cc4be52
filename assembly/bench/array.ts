// Numbers in linear memory, for the benchmark kernels: an array is the address of its first element.
//
// `Real` is f32 or f64, as the build says (`--use Real=f32`), so that each kernel is written once. Every kernel exports
// `setup`, `run` and `checksum`; `run` is what is timed. The arrays start as zeros. The same kernels in Rust are in
// test/bench/engine/src/kernels, operation by operation, so that the checksums are equal to the bit.

// @ts-ignore: decorator
@inline export function get(array: usize, index: i32): Real {
  return load<Real>(array + (<usize>index << alignof<Real>()));
}

// @ts-ignore: decorator
@inline export function set(array: usize, index: i32, value: Real): void {
  store<Real>(array + (<usize>index << alignof<Real>()), value);
}

// @ts-ignore: decorator
@inline export function int(array: usize, index: i32): i32 {
  return load<i32>(array + (<usize>index << 2));
}

// @ts-ignore: decorator
@inline export function setInt(array: usize, index: i32, value: i32): void {
  store<i32>(array + (<usize>index << 2), value);
}

/** a / b as a real number. */
// @ts-ignore: decorator
@inline export function fraction(a: i32, b: i32): Real {
  return <Real>a / <Real>b;
}

/** FNV-1a over 32-bit words, of which there are two to an f64. */
export function digest(array: usize, bytes: i32): i32 {
  let hash: i32 = <i32>0x811c9dc5;
  for (let at = 0; at < bytes; at += 4) hash = (hash ^ load<i32>(array + at)) * 16777619;
  return hash;
}

/** The digest of an array of reals. */
// @ts-ignore: decorator
@inline export function digestReals(array: usize, length: i32): i32 {
  return digest(array, length * <i32>sizeof<Real>());
}
