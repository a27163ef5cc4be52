//! A positive definite matrix, as PolyBench makes it for cholesky, lu and ludcmp.
use super::{Real, fraction};

/// Fills `a` with L Lᵀ of a lower triangular L; `l` has room for L.
pub(super) fn definite<const N: usize>(a: &mut [[Real; N]; N], l: &mut [[Real; N]; N]) {
    for i in 0..N {
        for j in 0..i {
            l[i][j] = -fraction(j % N, N) + 1.0;
        }
        l[i][i] = 1.0;
    }
    for i in 0..N {
        for j in 0..N {
            let mut sum: Real = 0.0;
            for k in 0..N {
                sum += l[i][k] * l[j][k];
            }
            a[i][j] = sum;
        }
    }
}
