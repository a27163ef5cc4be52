// D = alpha A B C + beta D: PolyBench's 2mm.
import { digestReals, fraction, get, set } from "./array";

const NI = 16, NJ = 18, NK = 22, NL = 24;
const A = memory.data(NI * NK * sizeof<Real>());
const B = memory.data(NK * NJ * sizeof<Real>());
const C = memory.data(NJ * NL * sizeof<Real>());
const D = memory.data(NI * NL * sizeof<Real>());
const T = memory.data(NI * NJ * sizeof<Real>());

export function setup(): void {
  for (let i = 0; i < NI; i++)
    for (let j = 0; j < NK; j++) set(A, i * NK + j, fraction((i * j + 1) % NI, NI));
  for (let i = 0; i < NK; i++)
    for (let j = 0; j < NJ; j++) set(B, i * NJ + j, fraction((i * (j + 1)) % NJ, NJ));
  for (let i = 0; i < NJ; i++)
    for (let j = 0; j < NL; j++) set(C, i * NL + j, fraction((i * (j + 3) + 1) % NL, NL));
  for (let i = 0; i < NI; i++)
    for (let j = 0; j < NL; j++) set(D, i * NL + j, fraction((i * (j + 2)) % NK, NK));
}

export function run(): void {
  const alpha: Real = 1.5, beta: Real = 1.2;
  for (let i = 0; i < NI; i++) {
    for (let j = 0; j < NJ; j++) {
      let sum: Real = 0;
      for (let k = 0; k < NK; k++) sum += alpha * get(A, i * NK + k) * get(B, k * NJ + j);
      set(T, i * NJ + j, sum);
    }
  }
  for (let i = 0; i < NI; i++) {
    for (let j = 0; j < NL; j++) {
      let sum = get(D, i * NL + j) * beta;
      for (let k = 0; k < NJ; k++) sum += get(T, i * NJ + k) * get(C, k * NL + j);
      set(D, i * NL + j, sum);
    }
  }
}

export function checksum(): i32 {
  return digestReals(D, NI * NL);
}
