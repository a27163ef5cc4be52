// Jacobi's iteration in two dimensions: PolyBench's jacobi-2d.
import { digestReals, fraction, get, set } from "./array";

const N = 30, STEPS = 20;
const A = memory.data(N * N * sizeof<Real>());
const B = memory.data(N * N * sizeof<Real>());

export function setup(): void {
  for (let i = 0; i < N; i++) {
    for (let j = 0; j < N; j++) {
      set(A, i * N + j, fraction(i * (j + 2) + 2, N));
      set(B, i * N + j, fraction(i * (j + 3) + 3, N));
    }
  }
}

function step(to: usize, from: usize): void {
  const fifth: Real = 0.2;
  for (let i = 1; i < N - 1; i++) {
    for (let j = 1; j < N - 1; j++) {
      const at = i * N + j;
      set(to, at, fifth * (get(from, at) + get(from, at - 1) + get(from, at + 1) + get(from, at + N) + get(from, at - N)));
    }
  }
}

export function run(): void {
  for (let t = 0; t < STEPS; t++) {
    step(B, A);
    step(A, B);
  }
}

export function checksum(): i32 {
  return digestReals(A, N * N);
}
