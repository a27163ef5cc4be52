// s = Aᵀ r and q = A p: PolyBench's bicg.
import { digestReals, fraction, get, set } from "./array";

const M = 38, N = 42;
const A = memory.data(N * M * sizeof<Real>());
const R = memory.data(N * sizeof<Real>());
const P = memory.data(M * sizeof<Real>());
const S = memory.data(M * sizeof<Real>());
const Q = memory.data(N * sizeof<Real>());

export function setup(): void {
  for (let i = 0; i < M; i++) set(P, i, fraction(i, M));
  for (let i = 0; i < N; i++) {
    set(R, i, fraction(i, N));
    for (let j = 0; j < M; j++) set(A, i * M + j, fraction((i * (j + 1)) % N, N));
  }
}

export function run(): void {
  for (let i = 0; i < M; i++) set(S, i, 0);
  for (let i = 0; i < N; i++) {
    let sum: Real = 0;
    for (let j = 0; j < M; j++) {
      set(S, j, get(S, j) + get(R, i) * get(A, i * M + j));
      sum += get(A, i * M + j) * get(P, j);
    }
    set(Q, i, sum);
  }
}

export function checksum(): i32 {
  return digestReals(S, M) ^ digestReals(Q, N);
}
