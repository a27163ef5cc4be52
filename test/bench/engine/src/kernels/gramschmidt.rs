//! A = Q R by modified Gram-Schmidt: PolyBench's gramschmidt, with its two sizes changed over, so that the rank is full.
use super::{Kernel, Real, digest_reals, fraction, sqrt};

const M: usize = 30;
const N: usize = 20;

arrays! {
    a: [[Real; N]; M],
    r: [[Real; N]; N],
    q: [[Real; N]; M],
}

impl Kernel for Arrays {
    fn setup(&mut self) {
        for i in 0..M {
            for j in 0..N {
                self.a[i][j] = fraction((i * j) % M, M) * 100.0 + 10.0;
            }
        }
    }

    fn run(&mut self) {
        for k in 0..N {
            let mut sum: Real = 0.0;
            for i in 0..M {
                sum += self.a[i][k] * self.a[i][k];
            }
            let norm = sqrt(sum);
            self.r[k][k] = norm;
            for i in 0..M {
                self.q[i][k] = self.a[i][k] / norm;
            }
            for j in k + 1..N {
                let mut product: Real = 0.0;
                for i in 0..M {
                    product += self.q[i][k] * self.a[i][j];
                }
                self.r[k][j] = product;
                for i in 0..M {
                    self.a[i][j] -= self.q[i][k] * product;
                }
            }
        }
    }

    fn checksum(&self) -> i32 {
        digest_reals(self.r.as_flattened()) ^ digest_reals(self.q.as_flattened())
    }
}
