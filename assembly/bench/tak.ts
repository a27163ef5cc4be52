// Takeuchi's function: calls with three arguments, nested in one another.
let result: i32 = 0;

export function setup(): void {}

function tak(x: i32, y: i32, z: i32): i32 {
  return y < x ? tak(tak(x - 1, y, z), tak(y - 1, z, x), tak(z - 1, x, y)) : z;
}

export function run(): void {
  result = tak(12, 8, 4);
}

export function checksum(): i32 {
  return result;
}
