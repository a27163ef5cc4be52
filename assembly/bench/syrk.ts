// C = alpha A Aᵀ + beta C, the lower half: PolyBench's syrk.
import { digestReals, fraction, get, set } from "./array";

const M = 20, N = 30;
const A = memory.data(N * M * sizeof<Real>());
const C = memory.data(N * N * sizeof<Real>());

export function setup(): void {
  for (let i = 0; i < N; i++) {
    for (let j = 0; j < M; j++) set(A, i * M + j, fraction((i * j + 1) % N, N));
    for (let j = 0; j < N; j++) set(C, i * N + j, fraction((i * j + 2) % M, M));
  }
}

export function run(): void {
  const alpha: Real = 1.5, beta: Real = 1.2;
  for (let i = 0; i < N; i++) {
    for (let j = 0; j <= i; j++) set(C, i * N + j, get(C, i * N + j) * beta);
    for (let k = 0; k < M; k++) {
      for (let j = 0; j <= i; j++)
        set(C, i * N + j, get(C, i * N + j) + alpha * get(A, i * M + k) * get(A, j * M + k));
    }
  }
}

export function checksum(): i32 {
  return digestReals(C, N * N);
}
