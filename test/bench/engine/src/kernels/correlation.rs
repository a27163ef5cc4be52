//! The correlation matrix of M variables over N samples: PolyBench's correlation.
use super::{Kernel, Real, digest_reals, fraction, sqrt};

const M: usize = 28;
const N: usize = 32;

arrays! {
    d: [[Real; M]; N],
    c: [[Real; M]; M],
    mean: [Real; M],
    deviation: [Real; M],
}

impl Kernel for Arrays {
    fn setup(&mut self) {
        for i in 0..N {
            for j in 0..M {
                self.d[i][j] = fraction(i * j, M) + i as Real;
            }
        }
    }

    fn run(&mut self) {
        let (epsilon, count): (Real, Real) = (0.1, N as Real);
        for j in 0..M {
            let mut sum: Real = 0.0;
            for i in 0..N {
                sum += self.d[i][j];
            }
            self.mean[j] = sum / count;
        }
        for j in 0..M {
            let mut sum: Real = 0.0;
            for i in 0..N {
                let off = self.d[i][j] - self.mean[j];
                sum += off * off;
            }
            let deviation = sqrt(sum / count);
            self.deviation[j] = if deviation <= epsilon { 1.0 } else { deviation };
        }
        for i in 0..N {
            for j in 0..M {
                self.d[i][j] = (self.d[i][j] - self.mean[j]) / (sqrt(count) * self.deviation[j]);
            }
        }
        for i in 0..M - 1 {
            self.c[i][i] = 1.0;
            for j in i + 1..M {
                let mut sum: Real = 0.0;
                for k in 0..N {
                    sum += self.d[k][i] * self.d[k][j];
                }
                self.c[i][j] = sum;
                self.c[j][i] = sum;
            }
        }
        self.c[M - 1][M - 1] = 1.0;
    }

    fn checksum(&self) -> i32 {
        digest_reals(self.c.as_flattened())
    }
}
