// Solves A x = b by A = L U and two substitutions: PolyBench's ludcmp.
import { digestReals, fraction, get, set } from "./array";
import { definite } from "./definite";

const N = 40;
const A = memory.data(N * N * sizeof<Real>());
const L = memory.data(N * N * sizeof<Real>());
const B = memory.data(N * sizeof<Real>());
const X = memory.data(N * sizeof<Real>());
const Y = memory.data(N * sizeof<Real>());

export function setup(): void {
  const two: Real = 2, four: Real = 4;
  for (let i = 0; i < N; i++) set(B, i, fraction(i + 1, N) / two + four);
  definite(A, L, N);
}

export function run(): void {
  for (let i = 0; i < N; i++) {
    for (let j = 0; j < i; j++) {
      let sum = get(A, i * N + j);
      for (let k = 0; k < j; k++) sum -= get(A, i * N + k) * get(A, k * N + j);
      set(A, i * N + j, sum / get(A, j * N + j));
    }
    for (let j = i; j < N; j++) {
      let sum = get(A, i * N + j);
      for (let k = 0; k < i; k++) sum -= get(A, i * N + k) * get(A, k * N + j);
      set(A, i * N + j, sum);
    }
  }
  for (let i = 0; i < N; i++) {
    let sum = get(B, i);
    for (let j = 0; j < i; j++) sum -= get(A, i * N + j) * get(Y, j);
    set(Y, i, sum);
  }
  for (let i = N - 1; i >= 0; i--) {
    let sum = get(Y, i);
    for (let j = i + 1; j < N; j++) sum -= get(A, i * N + j) * get(X, j);
    set(X, i, sum / get(A, i * N + i));
  }
}

export function checksum(): i32 {
  return digestReals(X, N);
}
