// A = A + u1 v1ᵀ + u2 v2ᵀ, x = beta Aᵀ y + z, w = alpha A x: PolyBench's gemver.
import { digestReals, fraction, get, set } from "./array";

const N = 40;
const A = memory.data(N * N * sizeof<Real>());
const U1 = memory.data(N * sizeof<Real>());
const V1 = memory.data(N * sizeof<Real>());
const U2 = memory.data(N * sizeof<Real>());
const V2 = memory.data(N * sizeof<Real>());
const W = memory.data(N * sizeof<Real>());
const X = memory.data(N * sizeof<Real>());
const Y = memory.data(N * sizeof<Real>());
const Z = memory.data(N * sizeof<Real>());

export function setup(): void {
  for (let i = 0; i < N; i++) {
    const part = fraction(i + 1, N);
    set(U1, i, <Real>i);
    set(U2, i, part / 2);
    set(V1, i, part / 4);
    set(V2, i, part / 6);
    set(Y, i, part / 8);
    set(Z, i, part / 9);
    for (let j = 0; j < N; j++) set(A, i * N + j, fraction((i * j) % N, N));
  }
}

export function run(): void {
  const alpha: Real = 1.5, beta: Real = 1.2;
  for (let i = 0; i < N; i++) {
    for (let j = 0; j < N; j++)
      set(A, i * N + j, get(A, i * N + j) + get(U1, i) * get(V1, j) + get(U2, i) * get(V2, j));
  }
  for (let i = 0; i < N; i++) {
    let sum = get(X, i);
    for (let j = 0; j < N; j++) sum += beta * get(A, j * N + i) * get(Y, j);
    set(X, i, sum);
  }
  for (let i = 0; i < N; i++) set(X, i, get(X, i) + get(Z, i));
  for (let i = 0; i < N; i++) {
    let sum = get(W, i);
    for (let j = 0; j < N; j++) sum += alpha * get(A, i * N + j) * get(X, j);
    set(W, i, sum);
  }
}

export function checksum(): i32 {
  return digestReals(W, N);
}
