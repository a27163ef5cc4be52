// The covariance matrix of M variables over N samples: PolyBench's covariance.
import { digestReals, fraction, get, set } from "./array";

const M = 28, N = 32;
const D = memory.data(N * M * sizeof<Real>());
const C = memory.data(M * M * sizeof<Real>());
const MEAN = memory.data(M * sizeof<Real>());

export function setup(): void {
  for (let i = 0; i < N; i++)
    for (let j = 0; j < M; j++) set(D, i * M + j, fraction(i * j, M));
}

export function run(): void {
  const count: Real = <Real>N;
  for (let j = 0; j < M; j++) {
    let sum: Real = 0;
    for (let i = 0; i < N; i++) sum += get(D, i * M + j);
    set(MEAN, j, sum / count);
  }
  for (let i = 0; i < N; i++)
    for (let j = 0; j < M; j++) set(D, i * M + j, get(D, i * M + j) - get(MEAN, j));
  for (let i = 0; i < M; i++) {
    for (let j = i; j < M; j++) {
      let sum: Real = 0;
      for (let k = 0; k < N; k++) sum += get(D, k * M + i) * get(D, k * M + j);
      sum /= count - <Real>1;
      set(C, i * M + j, sum);
      set(C, j * M + i, sum);
    }
  }
}

export function checksum(): i32 {
  return digestReals(C, M * M);
}
