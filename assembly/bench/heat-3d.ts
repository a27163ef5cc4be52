// The heat equation in three dimensions: PolyBench's heat-3d.
import { digestReals, fraction, get, set } from "./array";

const N = 10, STEPS = 20;
const A = memory.data(N * N * N * sizeof<Real>());
const B = memory.data(N * N * N * sizeof<Real>());

export function setup(): void {
  for (let i = 0; i < N; i++) {
    for (let j = 0; j < N; j++) {
      for (let k = 0; k < N; k++) {
        const heat = fraction((i + j + N - k) * 10, N);
        set(A, (i * N + j) * N + k, heat);
        set(B, (i * N + j) * N + k, heat);
      }
    }
  }
}

function step(to: usize, from: usize): void {
  const eighth: Real = 0.125, two: Real = 2;
  for (let i = 1; i < N - 1; i++) {
    for (let j = 1; j < N - 1; j++) {
      for (let k = 1; k < N - 1; k++) {
        const at = (i * N + j) * N + k;
        const here = get(from, at);
        set(
          to,
          at,
          eighth * (get(from, at + N * N) - two * here + get(from, at - N * N)) +
            eighth * (get(from, at + N) - two * here + get(from, at - N)) +
            eighth * (get(from, at + 1) - two * here + get(from, at - 1)) +
            here,
        );
      }
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
  return digestReals(A, N * N * N);
}
