// C = alpha A B + beta C: PolyBench's gemm.
import { digestReals, fraction, get, set } from "./array";

const NI = 20, NJ = 25, NK = 30;
const A = memory.data(NI * NK * sizeof<Real>());
const B = memory.data(NK * NJ * sizeof<Real>());
const C = memory.data(NI * NJ * sizeof<Real>());

export function setup(): void {
  for (let i = 0; i < NI; i++)
    for (let j = 0; j < NK; j++) set(A, i * NK + j, fraction((i * (j + 1)) % NK, NK));
  for (let i = 0; i < NK; i++)
    for (let j = 0; j < NJ; j++) set(B, i * NJ + j, fraction((i * (j + 2)) % NJ, NJ));
  for (let i = 0; i < NI; i++)
    for (let j = 0; j < NJ; j++) set(C, i * NJ + j, fraction((i * j + 1) % NI, NI));
}

export function run(): void {
  const alpha: Real = 1.5, beta: Real = 1.2;
  for (let i = 0; i < NI; i++) {
    for (let j = 0; j < NJ; j++) set(C, i * NJ + j, get(C, i * NJ + j) * beta);
    for (let k = 0; k < NK; k++) {
      for (let j = 0; j < NJ; j++)
        set(C, i * NJ + j, get(C, i * NJ + j) + alpha * get(A, i * NK + k) * get(B, k * NJ + j));
    }
  }
}

export function checksum(): i32 {
  return digestReals(C, NI * NJ);
}
