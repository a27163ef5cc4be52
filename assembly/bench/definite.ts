// A positive definite matrix, as PolyBench makes it for cholesky, lu and ludcmp.
import { fraction, get, set } from "./array";

/** Fills the n x n matrix `a` with L Lᵀ of a lower triangular L; `l` has room for L. */
export function definite(a: usize, l: usize, n: i32): void {
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) set(l, i * n + j, fraction(-j % n, n) + <Real>1);
    set(l, i * n + i, 1);
  }
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      let sum: Real = 0;
      for (let k = 0; k < n; k++) sum += get(l, i * n + k) * get(l, j * n + k);
      set(a, i * n + j, sum);
    }
  }
}
