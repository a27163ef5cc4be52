// Recognises numbers in a text, character by character: the state machine of CoreMark.
import { digest } from "./array";

const LENGTH = 1024, STATES = 8;
const TEXT = memory.data(LENGTH);
/** How often each state was entered, and how often a number ended in it. */
const COUNTS = memory.data(2 * STATES * 4);

const START = 0, INVALID = 1, SIGN = 2, INTEGER = 3, FLOAT = 4, EXPONENT = 5, EXPONENT_SIGN = 6, SCIENTIFIC = 7;

/** The kinds of words, by the random number: eight characters each, a comma behind. */
const WORDS = memory.data<u8>([
  53, 48, 49, 50, 55, 52, 56, 57, 45, 56, 55, 52, 51, 46, 49, 50, 43, 53, 46, 53, 101, 43, 57, 49,
  45, 46, 49, 50, 51, 52, 53, 54, 84, 48, 46, 51, 101, 45, 49, 70, 43, 52, 53, 69, 45, 49, 50, 33,
  49, 50, 51, 46, 52, 53, 54, 55, 46, 46, 49, 101, 53, 101, 101, 55,
]);

export function setup(): void {
  let random: i32 = 0x66;
  for (let at = 0; at + 9 <= LENGTH; at += 9) {
    random = random * 1103515245 + 12345;
    const word = (random >> 16) & 7;
    for (let index = 0; index < 8; index++) store<u8>(TEXT + at + index, load<u8>(WORDS + word * 8 + index));
    store<u8>(TEXT + at + 8, 44);
  }
}

// @ts-ignore: decorator
@inline function digit(c: i32): bool {
  return <u32>(c - 48) < 10;
}

/** The state after a character. */
function step(state: i32, c: i32): i32 {
  switch (state) {
    case START:
      return digit(c) ? INTEGER : c == 43 || c == 45 ? SIGN : c == 46 ? FLOAT : INVALID;
    case SIGN:
      return digit(c) ? INTEGER : c == 46 ? FLOAT : INVALID;
    case INTEGER:
      return c == 46 ? FLOAT : digit(c) ? INTEGER : INVALID;
    case FLOAT:
      return c == 69 || c == 101 ? EXPONENT : digit(c) ? FLOAT : INVALID;
    case EXPONENT:
      return c == 43 || c == 45 ? EXPONENT_SIGN : INVALID;
    case EXPONENT_SIGN:
    case SCIENTIFIC:
      return digit(c) ? SCIENTIFIC : INVALID;
    default:
      return INVALID;
  }
}

export function run(): void {
  let state = START;
  for (let at = 0; at < LENGTH; at++) {
    const c: i32 = load<u8>(TEXT + at);
    const ended = c == 44;
    const counted = ended ? STATES + state : step(state, c);
    const place = COUNTS + (<usize>counted << 2);
    store<i32>(place, load<i32>(place) + 1);
    state = ended ? START : counted;
  }
}

export function checksum(): i32 {
  return digest(COUNTS, 2 * STATES * 4);
}
