// The number of primes below 4096 by the sieve of Eratosthenes: bytes, short loops.
const N = 4096;
const COMPOSITE = memory.data(N);
let count: i32 = 0;

export function setup(): void {}

export function run(): void {
  let primes = 0;
  for (let i = 0; i < N; i++) store<u8>(COMPOSITE + i, 0);
  for (let i = 2; i < N; i++) {
    if (load<u8>(COMPOSITE + i)) continue;
    primes++;
    for (let j = i + i; j < N; j += i) store<u8>(COMPOSITE + j, 1);
  }
  count = primes;
}

export function checksum(): i32 {
  return count;
}
