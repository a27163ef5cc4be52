// y = Aᵀ (A x): PolyBench's atax.
import { digestReals, fraction, get, set } from "./array";

const M = 38, N = 42;
const A = memory.data(M * N * sizeof<Real>());
const X = memory.data(N * sizeof<Real>());
const Y = memory.data(N * sizeof<Real>());

export function setup(): void {
  for (let i = 0; i < N; i++) set(X, i, <Real>1 + fraction(i, N));
  for (let i = 0; i < M; i++)
    for (let j = 0; j < N; j++) set(A, i * N + j, fraction((i + j) % N, 5 * M));
}

export function run(): void {
  for (let i = 0; i < N; i++) set(Y, i, 0);
  for (let i = 0; i < M; i++) {
    let sum: Real = 0;
    for (let j = 0; j < N; j++) sum += get(A, i * N + j) * get(X, j);
    for (let j = 0; j < N; j++) set(Y, j, get(Y, j) + get(A, i * N + j) * sum);
  }
}

export function checksum(): i32 {
  return digestReals(Y, N);
}
