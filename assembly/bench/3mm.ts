// G = (A B) (C D): PolyBench's 3mm.
import { digestReals, fraction, get, set } from "./array";

const NI = 16, NJ = 18, NK = 20, NL = 22, NM = 24;
const A = memory.data(NI * NK * sizeof<Real>());
const B = memory.data(NK * NJ * sizeof<Real>());
const C = memory.data(NJ * NM * sizeof<Real>());
const D = memory.data(NM * NL * sizeof<Real>());
const E = memory.data(NI * NJ * sizeof<Real>());
const F = memory.data(NJ * NL * sizeof<Real>());
const G = memory.data(NI * NL * sizeof<Real>());

export function setup(): void {
  for (let i = 0; i < NI; i++)
    for (let j = 0; j < NK; j++) set(A, i * NK + j, fraction((i * j + 1) % NI, 5 * NI));
  for (let i = 0; i < NK; i++)
    for (let j = 0; j < NJ; j++) set(B, i * NJ + j, fraction((i * (j + 1) + 2) % NJ, 5 * NJ));
  for (let i = 0; i < NJ; i++)
    for (let j = 0; j < NM; j++) set(C, i * NM + j, fraction((i * (j + 3)) % NL, 5 * NL));
  for (let i = 0; i < NM; i++)
    for (let j = 0; j < NL; j++) set(D, i * NL + j, fraction((i * (j + 2) + 2) % NK, 5 * NK));
}

/** Z = X Y, of rows by inner by columns. */
function multiply(z: usize, x: usize, y: usize, rows: i32, inner: i32, columns: i32): void {
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      let sum: Real = 0;
      for (let k = 0; k < inner; k++) sum += get(x, i * inner + k) * get(y, k * columns + j);
      set(z, i * columns + j, sum);
    }
  }
}

export function run(): void {
  multiply(E, A, B, NI, NK, NJ);
  multiply(F, C, D, NJ, NM, NL);
  multiply(G, E, F, NI, NJ, NL);
}

export function checksum(): i32 {
  return digestReals(G, NI * NL);
}
