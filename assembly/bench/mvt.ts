// x1 = x1 + A y1 and x2 = x2 + Aᵀ y2: PolyBench's mvt.
import { digestReals, fraction, get, set } from "./array";

const N = 40;
const A = memory.data(N * N * sizeof<Real>());
const X1 = memory.data(N * sizeof<Real>());
const X2 = memory.data(N * sizeof<Real>());
const Y1 = memory.data(N * sizeof<Real>());
const Y2 = memory.data(N * sizeof<Real>());

export function setup(): void {
  for (let i = 0; i < N; i++) {
    set(X1, i, fraction(i, N));
    set(X2, i, fraction((i + 1) % N, N));
    set(Y1, i, fraction((i + 3) % N, N));
    set(Y2, i, fraction((i + 4) % N, N));
    for (let j = 0; j < N; j++) set(A, i * N + j, fraction((i * j) % N, N));
  }
}

export function run(): void {
  for (let i = 0; i < N; i++) {
    let sum = get(X1, i);
    for (let j = 0; j < N; j++) sum += get(A, i * N + j) * get(Y1, j);
    set(X1, i, sum);
  }
  for (let i = 0; i < N; i++) {
    let sum = get(X2, i);
    for (let j = 0; j < N; j++) sum += get(A, j * N + i) * get(Y2, j);
    set(X2, i, sum);
  }
}

export function checksum(): i32 {
  return digestReals(X1, N) ^ digestReals(X2, N);
}
