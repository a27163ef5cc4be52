// Alternating-direction implicit heat equation: PolyBench's adi.
import { digestReals, fraction, get, set } from "./array";

const N = 20, STEPS = 20;
const U = memory.data(N * N * sizeof<Real>());
const V = memory.data(N * N * sizeof<Real>());
const P = memory.data(N * N * sizeof<Real>());
const Q = memory.data(N * N * sizeof<Real>());

export function setup(): void {
  for (let i = 0; i < N; i++)
    for (let j = 0; j < N; j++) set(U, i * N + j, fraction(i + N - j, N));
}

export function run(): void {
  const one: Real = 1, two: Real = 2;
  const dx = one / <Real>N, dt = one / <Real>STEPS;
  const mul1 = two * dt / (dx * dx), mul2 = one * dt / (dx * dx);
  const a = -mul1 / two, b = one + mul1, c = a;
  const d = -mul2 / two, e = one + mul2, f = d;
  for (let t = 0; t < STEPS; t++) {
    for (let i = 1; i < N - 1; i++) {
      set(V, i, 1);
      set(P, i * N, 0);
      set(Q, i * N, 1);
      for (let j = 1; j < N - 1; j++) {
        const at = i * N + j;
        const denominator = a * get(P, at - 1) + b;
        set(P, at, -c / denominator);
        const u = -d * get(U, j * N + i - 1) + (one + two * d) * get(U, j * N + i) - f * get(U, j * N + i + 1);
        set(Q, at, (u - a * get(Q, at - 1)) / denominator);
      }
      set(V, (N - 1) * N + i, 1);
      for (let j = N - 2; j >= 1; j--)
        set(V, j * N + i, get(P, i * N + j) * get(V, (j + 1) * N + i) + get(Q, i * N + j));
    }
    for (let i = 1; i < N - 1; i++) {
      set(U, i * N, 1);
      set(P, i * N, 0);
      set(Q, i * N, 1);
      for (let j = 1; j < N - 1; j++) {
        const at = i * N + j;
        const denominator = d * get(P, at - 1) + e;
        set(P, at, -f / denominator);
        const v = -a * get(V, at - N) + (one + two * a) * get(V, at) - c * get(V, at + N);
        set(Q, at, (v - d * get(Q, at - 1)) / denominator);
      }
      set(U, i * N + N - 1, 1);
      for (let j = N - 2; j >= 1; j--)
        set(U, i * N + j, get(P, i * N + j) * get(U, i * N + j + 1) + get(Q, i * N + j));
    }
  }
}

export function checksum(): i32 {
  return digestReals(U, N * N);
}
