//! C = alpha A B + beta C with a symmetric A, of which the lower half is kept: PolyBench's symm.
use super::{Kernel, Real, digest_reals, fraction};

const M: usize = 20;
const N: usize = 30;

arrays! {
    a: [[Real; M]; M],
    b: [[Real; N]; M],
    c: [[Real; N]; M],
}

impl Kernel for Arrays {
    fn setup(&mut self) {
        for i in 0..M {
            for j in 0..N {
                self.c[i][j] = fraction((i + j) % 100, M);
                self.b[i][j] = fraction((N + i - j) % 100, M);
            }
            for j in 0..M {
                self.a[i][j] = if j <= i {
                    fraction((i + j) % 100, M)
                } else {
                    -999.0
                };
            }
        }
    }

    fn run(&mut self) {
        let (alpha, beta): (Real, Real) = (1.5, 1.2);
        let Self { a, b, c } = self;
        for i in 0..M {
            for j in 0..N {
                let mut sum: Real = 0.0;
                for k in 0..i {
                    c[k][j] += alpha * b[i][j] * a[i][k];
                    sum += b[k][j] * a[i][k];
                }
                c[i][j] = beta * c[i][j] + alpha * b[i][j] * a[i][i] + alpha * sum;
            }
        }
    }

    fn checksum(&self) -> i32 {
        digest_reals(self.c.as_flattened())
    }
}
