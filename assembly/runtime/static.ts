// Memory of a module whose handlers allocate nothing: objects lie one behind the other and stay until the module goes.
//
// This stands in for AssemblyScript's `stub` runtime, which counts in pages of 64 KiB; a module for Wasmote has pages of
// 16 KiB. Nothing is ever freed and no end is tested: the build runs the start, sees how much it takes (`top`, which it
// exports and takes out again), and fits the memory to it. A module whose handlers allocate, or whose start takes an amount
// that depends on what it reads, gets collecting.ts instead.

// @ts-ignore: decorator
@lazy let top: usize = __heap_base;

// @ts-ignore: decorator
@unsafe @global
export function __alloc(size: usize): usize {
  const address = top;
  top = address + size;
  return address;
}

// @ts-ignore: decorator
@unsafe @global
export function __realloc(address: usize, size: usize): usize {
  const fresh = __alloc(size);
  memory.copy(fresh, address, size);
  return fresh;
}

// @ts-ignore: decorator
@unsafe @global
export function __free(address: usize): void {}

// The compiler expects five words before each object that it manages; the last two are the class and the size.
// @ts-ignore: decorator
@unsafe @global
export function __new(size: usize, id: u32): usize {
  const address = __alloc((size + 23) & ~7) + 16;
  store<u32>(address - 8, id);
  store<u32>(address - 4, <u32>size);
  return address;
}

// @ts-ignore: decorator
@unsafe @global
export function __renew(address: usize, size: usize): usize {
  const fresh = __new(size, load<u32>(address - 8));
  memory.copy(fresh, address, min<usize>(size, load<u32>(address - 4)));
  return fresh;
}

// @ts-ignore: decorator
@unsafe @global
export function __link(parent: usize, child: usize, multiple: bool): void {}

// @ts-ignore: decorator
@unsafe @global
export function __pin(address: usize): usize {
  return address;
}

// @ts-ignore: decorator
@unsafe @global
export function __unpin(address: usize): void {}

// @ts-ignore: decorator
@unsafe @global
function __visit(address: usize, cookie: u32): void {}

// @ts-ignore: decorator
@unsafe @global
export function __collect(): void {}
