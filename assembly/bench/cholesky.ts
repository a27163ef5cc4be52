// A = L Lᵀ of a positive definite matrix, in place: PolyBench's cholesky.
import { digestReals, get, set } from "./array";
import { definite } from "./definite";

const N = 40;
const A = memory.data(N * N * sizeof<Real>());
const L = memory.data(N * N * sizeof<Real>());

export function setup(): void {
  definite(A, L, N);
}

export function run(): void {
  for (let i = 0; i < N; i++) {
    for (let j = 0; j < i; j++) {
      let sum = get(A, i * N + j);
      for (let k = 0; k < j; k++) sum -= get(A, i * N + k) * get(A, j * N + k);
      set(A, i * N + j, sum / get(A, j * N + j));
    }
    let sum = get(A, i * N + i);
    for (let k = 0; k < i; k++) sum -= get(A, i * N + k) * get(A, i * N + k);
    set(A, i * N + i, sqrt<Real>(sum));
  }
}

export function checksum(): i32 {
  return digestReals(A, N * N);
}
