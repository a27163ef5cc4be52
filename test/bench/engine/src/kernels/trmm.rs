//! B = alpha Aᵀ B with a unit lower triangular A: PolyBench's trmm.
use super::{Kernel, Real, digest_reals, fraction};

const M: usize = 20;
const N: usize = 30;

arrays! {
    a: [[Real; M]; M],
    b: [[Real; N]; M],
}

impl Kernel for Arrays {
    fn setup(&mut self) {
        for i in 0..M {
            for j in 0..i {
                self.a[i][j] = fraction((i + j) % M, M);
            }
            self.a[i][i] = 1.0;
            for j in 0..N {
                self.b[i][j] = fraction((N + i - j) % N, N);
            }
        }
    }

    fn run(&mut self) {
        let alpha: Real = 1.5;
        for i in 0..M {
            for j in 0..N {
                let mut sum = self.b[i][j];
                for k in i + 1..M {
                    sum += self.a[k][i] * self.b[k][j];
                }
                self.b[i][j] = alpha * sum;
            }
        }
    }

    fn checksum(&self) -> i32 {
        digest_reals(self.b.as_flattened())
    }
}
