// Memory of a module whose handlers allocate: blocks that are used again once nothing refers to them any more.
//
// It stands in for AssemblyScript's `stub` runtime. The build calls `__collect` after each handler, where no local variable
// holds a reference: only the globals are roots; what cannot be reached from them is free. Marking takes no recursion, so that the
// depth of the stack stays known: what is still to be visited is a list through the headers.
//
//      block                                                          object
//      │ link: next to be visited │ size and flags │ class │ length │ …        │   each a word, sizes in bytes
//     -16                        -12              -8      -4        0
//
// Constants in the module's data have a header of the same kind, written by the compiler, with a free word where the flags are.

/** The block is free. */
const free: usize = 1;
/** Set or not: it was reached by the last collection when it is as in `colour`. */
const colours: usize = 2;
/** The block was taken with `heap.alloc`, or is an object of an unmanaged class: it stays until it is given back. */
const raw: usize = 4;
const flags: usize = 7;
const header: usize = 16;

/** The end of the memory. The build writes it, as it fits the memory. */
// @ts-ignore: decorator
@lazy let limit: usize = 0;
/** The first byte that no block has. */
// @ts-ignore: decorator
@lazy let top: usize = start();
/** Where the search for a free block goes on. */
// @ts-ignore: decorator
@lazy let cursor: usize = start();
// @ts-ignore: decorator
@lazy let colour: usize = 0;
/** The first object that is still to be visited. */
// @ts-ignore: decorator
@lazy let grey: usize = 0;
/** Bytes that were free after the last collection and have not been taken since, and how many of them were left before this handler. */
// @ts-ignore: decorator
@lazy let left: isize = 0;
// @ts-ignore: decorator
@lazy let before: isize = 0;
/** The most that a handler has taken: the next one may take as much. */
// @ts-ignore: decorator
@lazy let most: isize = 0;
/** As long as more than this is left, a collection is not worth it. */
// @ts-ignore: decorator
@lazy let enough: isize = 0;

// @ts-ignore: decorator
@inline function start(): usize {
  return (__heap_base + 7) & ~7;
}

/** Takes a block with so many bytes of zeros, the first that fits; a trap when there is none. */
function take(size: usize, kind: usize): usize {
  let need = (size + header + 7) & ~7;
  let again = cursor > start();
  let at = cursor;
  for (;;) {
    if (at >= top) {
      if (size < 0x3fffffff && at + need <= limit) {
        top = at + need;
        break;
      }
      if (!again) unreachable();
      again = false;
      at = start();
      continue;
    }
    const word = load<usize>(at, 4);
    const room = word & ~flags;
    if (word & free && room >= need) {
      if (room - need < header) need = room;
      else store<usize>(at + need, (room - need) | free, 4);
      break;
    }
    at += room;
  }
  cursor = at + need;
  left -= need;
  store<usize>(at, need | kind | colour, 4);
  memory.fill(at + header, 0, need - header);
  return at + header;
}

// @ts-ignore: decorator
@unsafe @global
export function __alloc(size: usize): usize {
  return take(size, raw);
}

// @ts-ignore: decorator
@unsafe @global
export function __realloc(address: usize, size: usize): usize {
  const room = (load<usize>(address - 12) & ~flags) - header;
  if (size <= room) return address;
  const fresh = take(size, raw);
  memory.copy(fresh, address, room);
  __free(address);
  return fresh;
}

// @ts-ignore: decorator
@unsafe @global
export function __free(address: usize): void {
  store<usize>(address - 12, (load<usize>(address - 12) & ~flags) | free);
}

// @ts-ignore: decorator
@unsafe @global
export function __new(size: usize, id: u32): usize {
  const address = take(size, 0);
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
function __visit(address: usize, cookie: u32): void {
  if (address === 0) return;
  const word = load<usize>(address - 12);
  if ((word & colours) === colour) return;
  store<usize>(address - 12, word ^ colours);
  store<usize>(address - header, grey);
  grey = address;
}

/**
 * Frees what nothing refers to, when half of what was free after the last collection has been taken, or less is left than a handler
 * has needed before: what fitted once fits again.
 */
// @ts-ignore: decorator
@unsafe @global
export function __collect(): void {
  most = max(most, before - left);
  before = left;
  if (left > max(enough, most)) return;
  colour ^= colours;
  // @ts-ignore: the compiler's
  __visit_globals(0);
  while (grey !== 0) {
    const address = grey;
    grey = load<usize>(address - header);
    // @ts-ignore: the compiler's
    __visit_members(address, 0);
  }
  // Free blocks that lie side by side become one; the last of all goes to what was never taken.
  let rest = limit;
  let gap: usize = 0;
  let at = start();
  while (at < top) {
    const word = load<usize>(at, 4);
    const size = word & ~flags;
    if (word & free || (!(word & raw) && (word & colours) !== colour)) {
      if (gap === 0) gap = at;
      store<usize>(gap, (at + size - gap) | free, 4);
    } else {
      gap = 0;
      rest -= size;
    }
    at += size;
  }
  if (gap !== 0) top = gap;
  cursor = start();
  before = left = <isize>(rest - start());
  enough = left >> 1;
}
