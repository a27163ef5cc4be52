// Electric and magnetic fields on a grid, by finite differences in time: PolyBench's fdtd-2d.
import { digestReals, fraction, get, set } from "./array";

const NX = 20, NY = 30, STEPS = 20;
const EX = memory.data(NX * NY * sizeof<Real>());
const EY = memory.data(NX * NY * sizeof<Real>());
const HZ = memory.data(NX * NY * sizeof<Real>());
const SOURCE = memory.data(STEPS * sizeof<Real>());

export function setup(): void {
  for (let i = 0; i < STEPS; i++) set(SOURCE, i, <Real>i);
  for (let i = 0; i < NX; i++) {
    for (let j = 0; j < NY; j++) {
      set(EX, i * NY + j, fraction(i * (j + 1), NX));
      set(EY, i * NY + j, fraction(i * (j + 2), NY));
      set(HZ, i * NY + j, fraction(i * (j + 3), NX));
    }
  }
}

export function run(): void {
  const half: Real = 0.5, most: Real = 0.7;
  for (let t = 0; t < STEPS; t++) {
    for (let j = 0; j < NY; j++) set(EY, j, get(SOURCE, t));
    for (let i = 1; i < NX; i++) {
      for (let j = 0; j < NY; j++) {
        const at = i * NY + j;
        set(EY, at, get(EY, at) - half * (get(HZ, at) - get(HZ, at - NY)));
      }
    }
    for (let i = 0; i < NX; i++) {
      for (let j = 1; j < NY; j++) {
        const at = i * NY + j;
        set(EX, at, get(EX, at) - half * (get(HZ, at) - get(HZ, at - 1)));
      }
    }
    for (let i = 0; i < NX - 1; i++) {
      for (let j = 0; j < NY - 1; j++) {
        const at = i * NY + j;
        set(HZ, at, get(HZ, at) - most * (get(EX, at + 1) - get(EX, at) + get(EY, at + NY) - get(EY, at)));
      }
    }
  }
}

export function checksum(): i32 {
  return digestReals(EX, NX * NY) ^ digestReals(EY, NX * NY) ^ digestReals(HZ, NX * NY);
}
