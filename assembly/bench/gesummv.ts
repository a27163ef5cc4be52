// y = alpha A x + beta B x: PolyBench's gesummv.
import { digestReals, fraction, get, set } from "./array";

const N = 30;
const A = memory.data(N * N * sizeof<Real>());
const B = memory.data(N * N * sizeof<Real>());
const X = memory.data(N * sizeof<Real>());
const Y = memory.data(N * sizeof<Real>());

export function setup(): void {
  for (let i = 0; i < N; i++) {
    set(X, i, fraction(i, N));
    for (let j = 0; j < N; j++) {
      set(A, i * N + j, fraction((i * j + 1) % N, N));
      set(B, i * N + j, fraction((i * j + 2) % N, N));
    }
  }
}

export function run(): void {
  const alpha: Real = 1.5, beta: Real = 1.2;
  for (let i = 0; i < N; i++) {
    let a: Real = 0, b: Real = 0;
    for (let j = 0; j < N; j++) {
      a += get(A, i * N + j) * get(X, j);
      b += get(B, i * N + j) * get(X, j);
    }
    set(Y, i, alpha * a + beta * b);
  }
}

export function checksum(): i32 {
  return digestReals(Y, N);
}
