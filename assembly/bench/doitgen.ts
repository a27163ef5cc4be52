// A multiresolution kernel, A[r][q] = A[r][q] C: PolyBench's doitgen.
import { digestReals, fraction, get, set } from "./array";

const NR = 10, NQ = 8, NP = 12;
const A = memory.data(NR * NQ * NP * sizeof<Real>());
const C = memory.data(NP * NP * sizeof<Real>());
const SUM = memory.data(NP * sizeof<Real>());

export function setup(): void {
  for (let i = 0; i < NR; i++)
    for (let j = 0; j < NQ; j++)
      for (let k = 0; k < NP; k++) set(A, (i * NQ + j) * NP + k, fraction((i * j + k) % NP, NP));
  for (let i = 0; i < NP; i++)
    for (let j = 0; j < NP; j++) set(C, i * NP + j, fraction((i * j) % NP, NP));
}

export function run(): void {
  for (let r = 0; r < NR; r++) {
    for (let q = 0; q < NQ; q++) {
      const row = (r * NQ + q) * NP;
      for (let p = 0; p < NP; p++) {
        let sum: Real = 0;
        for (let s = 0; s < NP; s++) sum += get(A, row + s) * get(C, s * NP + p);
        set(SUM, p, sum);
      }
      for (let p = 0; p < NP; p++) set(A, row + p, get(SUM, p));
    }
  }
}

export function checksum(): i32 {
  return digestReals(A, NR * NQ * NP);
}
