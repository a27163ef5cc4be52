// Ackermann's function: deep recursion.
let result: i32 = 0;

export function setup(): void {}

function ackermann(m: i32, n: i32): i32 {
  if (m == 0) return n + 1;
  return ackermann(m - 1, n == 0 ? 1 : ackermann(m, n - 1));
}

export function run(): void {
  result = ackermann(2, 12);
}

export function checksum(): i32 {
  return result;
}
