// B = alpha Aᵀ B with a unit lower triangular A: PolyBench's trmm.
import { digestReals, fraction, get, set } from "./array";

const M = 20, N = 30;
const A = memory.data(M * M * sizeof<Real>());
const B = memory.data(M * N * sizeof<Real>());

export function setup(): void {
  for (let i = 0; i < M; i++) {
    for (let j = 0; j < i; j++) set(A, i * M + j, fraction((i + j) % M, M));
    set(A, i * M + i, 1);
    for (let j = 0; j < N; j++) set(B, i * N + j, fraction((N + i - j) % N, N));
  }
}

export function run(): void {
  const alpha: Real = 1.5;
  for (let i = 0; i < M; i++) {
    for (let j = 0; j < N; j++) {
      let sum = get(B, i * N + j);
      for (let k = i + 1; k < M; k++) sum += get(A, k * M + i) * get(B, k * N + j);
      set(B, i * N + j, alpha * sum);
    }
  }
}

export function checksum(): i32 {
  return digestReals(B, M * N);
}
