// A = Q R by modified Gram-Schmidt: PolyBench's gramschmidt, with its two sizes changed over, so that the rank is full.
import { digestReals, fraction, get, set } from "./array";

const M = 30, N = 20;
const A = memory.data(M * N * sizeof<Real>());
const R = memory.data(N * N * sizeof<Real>());
const Q = memory.data(M * N * sizeof<Real>());

export function setup(): void {
  const hundred: Real = 100, ten: Real = 10;
  for (let i = 0; i < M; i++)
    for (let j = 0; j < N; j++) set(A, i * N + j, fraction((i * j) % M, M) * hundred + ten);
}

export function run(): void {
  for (let k = 0; k < N; k++) {
    let sum: Real = 0;
    for (let i = 0; i < M; i++) sum += get(A, i * N + k) * get(A, i * N + k);
    const norm = sqrt<Real>(sum);
    set(R, k * N + k, norm);
    for (let i = 0; i < M; i++) set(Q, i * N + k, get(A, i * N + k) / norm);
    for (let j = k + 1; j < N; j++) {
      let product: Real = 0;
      for (let i = 0; i < M; i++) product += get(Q, i * N + k) * get(A, i * N + j);
      set(R, k * N + j, product);
      for (let i = 0; i < M; i++) set(A, i * N + j, get(A, i * N + j) - get(Q, i * N + k) * product);
    }
  }
}

export function checksum(): i32 {
  return digestReals(R, N * N) ^ digestReals(Q, M * N);
}
