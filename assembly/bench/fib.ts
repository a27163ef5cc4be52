// The Fibonacci number of 15 by two calls each: calls and returns.
let result: i32 = 0;

export function setup(): void {}

function fib(n: i32): i32 {
  return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

export function run(): void {
  result = fib(15);
}

export function checksum(): i32 {
  return result;
}
