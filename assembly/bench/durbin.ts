// The Yule-Walker equations by Levinson-Durbin: PolyBench's durbin.
import { digestReals, get, set } from "./array";

const N = 40;
const R = memory.data(N * sizeof<Real>());
const Y = memory.data(N * sizeof<Real>());
const Z = memory.data(N * sizeof<Real>());

export function setup(): void {
  for (let i = 0; i < N; i++) set(R, i, <Real>(N + 1 - i));
}

export function run(): void {
  let beta: Real = 1, alpha = -get(R, 0);
  set(Y, 0, alpha);
  for (let k = 1; k < N; k++) {
    beta = (<Real>1 - alpha * alpha) * beta;
    let sum: Real = 0;
    for (let i = 0; i < k; i++) sum += get(R, k - i - 1) * get(Y, i);
    alpha = -(get(R, k) + sum) / beta;
    for (let i = 0; i < k; i++) set(Z, i, get(Y, i) + alpha * get(Y, k - i - 1));
    for (let i = 0; i < k; i++) set(Y, i, get(Z, i));
    set(Y, k, alpha);
  }
}

export function checksum(): i32 {
  return digestReals(Y, N);
}
