// How an RNA sequence folds, by dynamic programming: PolyBench's nussinov.
import { digest, int, setInt } from "./array";

const N = 60;
const TABLE = memory.data(N * N * 4);
const BASES = memory.data(N);

export function setup(): void {
  for (let i = 0; i < N; i++) store<u8>(BASES + i, (i + 1) % 4);
}

function larger(a: i32, b: i32): i32 {
  return a > b ? a : b;
}

export function run(): void {
  for (let i = N - 1; i >= 0; i--) {
    for (let j = i + 1; j < N; j++) {
      let best = larger(int(TABLE, i * N + j), int(TABLE, i * N + j - 1));
      if (i + 1 < N) {
        best = larger(best, int(TABLE, (i + 1) * N + j));
        const pair = i < j - 1 && load<u8>(BASES + i) + load<u8>(BASES + j) == 3;
        best = larger(best, int(TABLE, (i + 1) * N + j - 1) + i32(pair));
      }
      for (let k = i + 1; k < j; k++)
        best = larger(best, int(TABLE, i * N + k) + int(TABLE, (k + 1) * N + j));
      setInt(TABLE, i * N + j, best);
    }
  }
}

export function checksum(): i32 {
  return digest(TABLE, N * N * 4);
}
