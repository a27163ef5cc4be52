//! A = L Lᵀ of a positive definite matrix, in place: PolyBench's cholesky.
use super::definite::definite;
use super::{Kernel, Real, digest_reals, sqrt};

const N: usize = 40;

arrays! {
    a: [[Real; N]; N],
    l: [[Real; N]; N],
}

impl Kernel for Arrays {
    fn setup(&mut self) {
        definite(&mut self.a, &mut self.l);
    }

    fn run(&mut self) {
        let a = &mut self.a;
        for i in 0..N {
            for j in 0..i {
                let mut sum = a[i][j];
                for k in 0..j {
                    sum -= a[i][k] * a[j][k];
                }
                a[i][j] = sum / a[j][j];
            }
            let mut sum = a[i][i];
            for k in 0..i {
                sum -= a[i][k] * a[i][k];
            }
            a[i][i] = sqrt(sum);
        }
    }

    fn checksum(&self) -> i32 {
        digest_reals(self.a.as_flattened())
    }
}
