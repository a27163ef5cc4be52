//! C = alpha A Bᵀ + alpha B Aᵀ + beta C, the lower half: PolyBench's syr2k.
use super::{Kernel, Real, digest_reals, fraction};

const M: usize = 20;
const N: usize = 30;

arrays! {
    a: [[Real; M]; N],
    b: [[Real; M]; N],
    c: [[Real; N]; N],
}

impl Kernel for Arrays {
    fn setup(&mut self) {
        for i in 0..N {
            for j in 0..M {
                self.a[i][j] = fraction((i * j + 1) % N, N);
                self.b[i][j] = fraction((i * j + 2) % M, M);
            }
            for j in 0..N {
                self.c[i][j] = fraction((i * j + 3) % N, M);
            }
        }
    }

    fn run(&mut self) {
        let (alpha, beta): (Real, Real) = (1.5, 1.2);
        let Self { a, b, c } = self;
        for i in 0..N {
            for j in 0..i + 1 {
                c[i][j] *= beta;
            }
            for k in 0..M {
                for j in 0..i + 1 {
                    c[i][j] += a[j][k] * alpha * b[i][k] + b[j][k] * alpha * a[i][k];
                }
            }
        }
    }

    fn checksum(&self) -> i32 {
        digest_reals(self.c.as_flattened())
    }
}
