//! The covariance matrix of M variables over N samples: PolyBench's covariance.
use super::{Kernel, Real, digest_reals, fraction};

const M: usize = 28;
const N: usize = 32;

arrays! {
    d: [[Real; M]; N],
    c: [[Real; M]; M],
    mean: [Real; M],
}

impl Kernel for Arrays {
    fn setup(&mut self) {
        for i in 0..N {
            for j in 0..M {
                self.d[i][j] = fraction(i * j, M);
            }
        }
    }

    fn run(&mut self) {
        let count = N as Real;
        for j in 0..M {
            let mut sum: Real = 0.0;
            for i in 0..N {
                sum += self.d[i][j];
            }
            self.mean[j] = sum / count;
        }
        for i in 0..N {
            for j in 0..M {
                self.d[i][j] -= self.mean[j];
            }
        }
        for i in 0..M {
            for j in i..M {
                let mut sum: Real = 0.0;
                for k in 0..N {
                    sum += self.d[k][i] * self.d[k][j];
                }
                sum /= count - 1.0;
                self.c[i][j] = sum;
                self.c[j][i] = sum;
            }
        }
    }

    fn checksum(&self) -> i32 {
        digest_reals(self.c.as_flattened())
    }
}
