//! A = L U without pivoting, in place: PolyBench's lu.
use super::definite::definite;
use super::{Kernel, Real, digest_reals};

const N: usize = 40;

arrays! {
    a: [[Real; N]; N],
    l: [[Real; N]; N],
}

/// The decomposition, which ludcmp begins with as well.
pub(super) fn decompose<const N: usize>(a: &mut [[Real; N]; N]) {
    for i in 0..N {
        for j in 0..i {
            let mut sum = a[i][j];
            for k in 0..j {
                sum -= a[i][k] * a[k][j];
            }
            a[i][j] = sum / a[j][j];
        }
        for j in i..N {
            let mut sum = a[i][j];
            for k in 0..i {
                sum -= a[i][k] * a[k][j];
            }
            a[i][j] = sum;
        }
    }
}

impl Kernel for Arrays {
    fn setup(&mut self) {
        definite(&mut self.a, &mut self.l);
    }

    fn run(&mut self) {
        decompose(&mut self.a);
    }

    fn checksum(&self) -> i32 {
        digest_reals(self.a.as_flattened())
    }
}
