// A machine with eight instructions that computes primes by trial division: a branch table in a loop.
import { digest } from "./array";

const REGISTERS = memory.data(8 * 4);
// Each instruction: operation, register, register, number or target.
const PROGRAM = memory.data<u8>([
  0, 0, 0, 2, // r0 = 2
  0, 3, 0, 1, // r3 = 1
  0, 1, 0, 2, // 2: r1 = 2
  6, 1, 0, 9, // 3: if r1 == r0: 9
  5, 2, 0, 0, // r2 = r0
  4, 2, 1, 0, // r2 = r2 mod r1
  7, 2, 0, 12, // if r2 == 0: 12
  1, 1, 3, 0, // r1 = r1 + r3
  3, 0, 0, 3, // go to 3
  1, 4, 3, 0, // 9: r4 = r4 + 1
  2, 5, 0, 0, // r5 = r5 * 31 ^ r0
  5, 6, 0, 0, // r6 = r0
  1, 0, 3, 0, // 12: r0 = r0 + 1
  8, 0, 0, 80, // if r0 == 80: end
  3, 0, 0, 2, // go to 2
]);

// @ts-ignore: decorator
@inline function register(number: i32): usize {
  return REGISTERS + (<usize>number << 2);
}

export function setup(): void {
  for (let number = 0; number < 8; number++) store<i32>(register(number), 0);
}

export function run(): void {
  let counter = 0;
  for (;;) {
    const at = PROGRAM + (<usize>counter << 2);
    const a = register(load<u8>(at, 1)), b = register(load<u8>(at, 2));
    const number: i32 = load<u8>(at, 3);
    counter++;
    switch (<i32>load<u8>(at)) {
      case 0:
        store<i32>(a, number);
        break;
      case 1:
        store<i32>(a, load<i32>(a) + load<i32>(b));
        break;
      case 2:
        store<i32>(a, (load<i32>(a) * 31) ^ load<i32>(b));
        break;
      case 3:
        counter = number;
        break;
      case 4:
        store<i32>(a, load<i32>(a) % load<i32>(b));
        break;
      case 5:
        store<i32>(a, load<i32>(b));
        break;
      case 6:
        if (load<i32>(a) == load<i32>(b)) counter = number;
        break;
      case 7:
        if (load<i32>(a) == 0) counter = number;
        break;
      default:
        if (load<i32>(a) == number) return;
    }
  }
}

export function checksum(): i32 {
  return digest(REGISTERS, 8 * 4);
}
