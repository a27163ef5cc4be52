// Jacobi's iteration in one dimension: PolyBench's jacobi-1d.
import { digestReals, fraction, get, set } from "./array";

const N = 30, STEPS = 20;
const A = memory.data(N * sizeof<Real>());
const B = memory.data(N * sizeof<Real>());

export function setup(): void {
  for (let i = 0; i < N; i++) {
    set(A, i, fraction(i + 2, N));
    set(B, i, fraction(i + 3, N));
  }
}

export function run(): void {
  const third: Real = 0.33333;
  for (let t = 0; t < STEPS; t++) {
    for (let i = 1; i < N - 1; i++) set(B, i, third * (get(A, i - 1) + get(A, i) + get(A, i + 1)));
    for (let i = 1; i < N - 1; i++) set(A, i, third * (get(B, i - 1) + get(B, i) + get(B, i + 1)));
  }
}

export function checksum(): i32 {
  return digestReals(A, N);
}
