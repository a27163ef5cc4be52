// The correlation matrix of M variables over N samples: PolyBench's correlation.
import { digestReals, fraction, get, set } from "./array";

const M = 28, N = 32;
const D = memory.data(N * M * sizeof<Real>());
const C = memory.data(M * M * sizeof<Real>());
const MEAN = memory.data(M * sizeof<Real>());
const DEVIATION = memory.data(M * sizeof<Real>());

export function setup(): void {
  for (let i = 0; i < N; i++)
    for (let j = 0; j < M; j++) set(D, i * M + j, fraction(i * j, M) + <Real>i);
}

export function run(): void {
  const epsilon: Real = 0.1, count: Real = <Real>N;
  for (let j = 0; j < M; j++) {
    let sum: Real = 0;
    for (let i = 0; i < N; i++) sum += get(D, i * M + j);
    set(MEAN, j, sum / count);
  }
  for (let j = 0; j < M; j++) {
    let sum: Real = 0;
    for (let i = 0; i < N; i++) {
      const off = get(D, i * M + j) - get(MEAN, j);
      sum += off * off;
    }
    const deviation = sqrt<Real>(sum / count);
    set(DEVIATION, j, deviation <= epsilon ? 1 : deviation);
  }
  for (let i = 0; i < N; i++) {
    for (let j = 0; j < M; j++)
      set(D, i * M + j, (get(D, i * M + j) - get(MEAN, j)) / (sqrt<Real>(count) * get(DEVIATION, j)));
  }
  for (let i = 0; i < M - 1; i++) {
    set(C, i * M + i, 1);
    for (let j = i + 1; j < M; j++) {
      let sum: Real = 0;
      for (let k = 0; k < N; k++) sum += get(D, k * M + i) * get(D, k * M + j);
      set(C, i * M + j, sum);
      set(C, j * M + i, sum);
    }
  }
  set(C, M * M - 1, 1);
}

export function checksum(): i32 {
  return digestReals(C, M * M);
}
