// A linked list that is searched, reversed and sorted by merging: the list work of CoreMark.
import { digest } from "./array";

const COUNT = 96, ROUNDS = 6;
/** The end of a list. */
const END = -1;
// Of each node: the next one, its value, its place at first.
const NEXT = memory.data(COUNT * 2);
const VALUE = memory.data(COUNT * 2);
const PLACE = memory.data(COUNT * 2);
const RESULT = memory.data(ROUNDS * 4);

// @ts-ignore: decorator
@inline function next(node: i32): i32 {
  return load<i16>(NEXT + (<usize>node << 1));
}

// @ts-ignore: decorator
@inline function link(node: i32, to: i32): void {
  store<i16>(NEXT + (<usize>node << 1), to);
}

// @ts-ignore: decorator
@inline function short(array: usize, node: i32): i32 {
  return load<i16>(array + (<usize>node << 1));
}

export function setup(): void {
  let random: i32 = 0x3415;
  for (let node = 0; node < COUNT; node++) {
    random = random * 1103515245 + 12345;
    store<i16>(VALUE + (<usize>node << 1), (random >> 16) & 0xfff);
    store<i16>(PLACE + (<usize>node << 1), node);
    link(node, node + 1 < COUNT ? node + 1 : END);
  }
}

/** How many nodes lie before the first with this value; all of them if there is none. */
function find(head: i32, value: i32): i32 {
  let steps = 0;
  for (let node = head; node != END && short(VALUE, node) != value; node = next(node)) steps++;
  return steps;
}

function reverse(head: i32): i32 {
  let done = END;
  while (head != END) {
    const rest = next(head);
    link(head, done);
    done = head;
    head = rest;
  }
  return done;
}

/** Sorts by the numbers in `key`: merges runs of 1, 2, 4, … nodes. */
function sort(head: i32, key: usize): i32 {
  let run = 1, merges: i32;
  do {
    let left = head, tail = END;
    head = END;
    merges = 0;
    while (left != END) {
      merges++;
      let right = left, lefts = 0;
      while (lefts < run && right != END) {
        lefts++;
        right = next(right);
      }
      let rights = run;
      while (lefts > 0 || (rights > 0 && right != END)) {
        let node: i32;
        if (lefts > 0 && (rights == 0 || right == END || short(key, left) <= short(key, right))) {
          node = left;
          left = next(left);
          lefts--;
        } else {
          node = right;
          right = next(right);
          rights--;
        }
        if (tail == END) head = node;
        else link(tail, node);
        tail = node;
      }
      left = right;
    }
    link(tail, END);
    run <<= 1;
  } while (merges > 1);
  return head;
}

export function run(): void {
  let head = 0;
  for (let round = 0; round < ROUNDS; round++) {
    let found = 0;
    for (let node = 0; node < COUNT; node += 8) found += find(head, short(VALUE, node) + (node & 8));
    head = sort(reverse(head), VALUE);
    const smallest = short(VALUE, head);
    head = sort(head, PLACE);
    store<i32>(RESULT + (<usize>round << 2), found * 31 + smallest);
  }
}

export function checksum(): i32 {
  return digest(RESULT, ROUNDS * 4) ^ digest(NEXT, COUNT * 2);
}
