// Solves L x = b with a lower triangular L: PolyBench's trisolv.
import { digestReals, fraction, get, set } from "./array";

const N = 40;
const L = memory.data(N * N * sizeof<Real>());
const B = memory.data(N * sizeof<Real>());
const X = memory.data(N * sizeof<Real>());

export function setup(): void {
  for (let i = 0; i < N; i++) {
    set(B, i, <Real>i);
    for (let j = 0; j <= i; j++) set(L, i * N + j, fraction((i + N - j + 1) * 2, N));
  }
}

export function run(): void {
  for (let i = 0; i < N; i++) {
    let sum = get(B, i);
    for (let j = 0; j < i; j++) sum -= get(L, i * N + j) * get(X, j);
    set(X, i, sum / get(L, i * N + i));
  }
}

export function checksum(): i32 {
  return digestReals(X, N);
}
