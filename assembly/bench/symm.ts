// C = alpha A B + beta C with a symmetric A, of which the lower half is kept: PolyBench's symm.
import { digestReals, fraction, get, set } from "./array";

const M = 20, N = 30;
const A = memory.data(M * M * sizeof<Real>());
const B = memory.data(M * N * sizeof<Real>());
const C = memory.data(M * N * sizeof<Real>());

export function setup(): void {
  for (let i = 0; i < M; i++) {
    for (let j = 0; j < N; j++) {
      set(C, i * N + j, fraction((i + j) % 100, M));
      set(B, i * N + j, fraction((N + i - j) % 100, M));
    }
    for (let j = 0; j < M; j++) set(A, i * M + j, j <= i ? fraction((i + j) % 100, M) : -999);
  }
}

export function run(): void {
  const alpha: Real = 1.5, beta: Real = 1.2;
  for (let i = 0; i < M; i++) {
    for (let j = 0; j < N; j++) {
      let sum: Real = 0;
      for (let k = 0; k < i; k++) {
        set(C, k * N + j, get(C, k * N + j) + alpha * get(B, i * N + j) * get(A, i * M + k));
        sum += get(B, k * N + j) * get(A, i * M + k);
      }
      set(
        C,
        i * N + j,
        beta * get(C, i * N + j) + alpha * get(B, i * N + j) * get(A, i * M + i) + alpha * sum,
      );
    }
  }
}

export function checksum(): i32 {
  return digestReals(C, M * N);
}
