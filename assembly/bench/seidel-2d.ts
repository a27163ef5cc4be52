// Gauss-Seidel's iteration over nine points: PolyBench's seidel-2d.
import { digestReals, fraction, get, set } from "./array";

const N = 40, STEPS = 20;
const A = memory.data(N * N * sizeof<Real>());

export function setup(): void {
  for (let i = 0; i < N; i++)
    for (let j = 0; j < N; j++) set(A, i * N + j, fraction(i * (j + 2) + 2, N));
}

export function run(): void {
  const nine: Real = 9;
  for (let t = 0; t < STEPS; t++) {
    for (let i = 1; i < N - 1; i++) {
      for (let j = 1; j < N - 1; j++) {
        const at = i * N + j;
        const above = get(A, at - N - 1) + get(A, at - N) + get(A, at - N + 1);
        const row = above + get(A, at - 1) + get(A, at) + get(A, at + 1);
        const all = row + get(A, at + N - 1) + get(A, at + N) + get(A, at + N + 1);
        set(A, at, all / nine);
      }
    }
  }
}

export function checksum(): i32 {
  return digestReals(A, N * N);
}
