//! A multiresolution kernel, A[r][q] = A[r][q] C: PolyBench's doitgen.
use super::{Kernel, Real, digest_reals, fraction};

const NR: usize = 10;
const NQ: usize = 8;
const NP: usize = 12;

arrays! {
    a: [[[Real; NP]; NQ]; NR],
    c: [[Real; NP]; NP],
    sum: [Real; NP],
}

impl Kernel for Arrays {
    fn setup(&mut self) {
        for i in 0..NR {
            for j in 0..NQ {
                for k in 0..NP {
                    self.a[i][j][k] = fraction((i * j + k) % NP, NP);
                }
            }
        }
        for i in 0..NP {
            for j in 0..NP {
                self.c[i][j] = fraction((i * j) % NP, NP);
            }
        }
    }

    fn run(&mut self) {
        for r in 0..NR {
            for q in 0..NQ {
                for p in 0..NP {
                    let mut sum: Real = 0.0;
                    for s in 0..NP {
                        sum += self.a[r][q][s] * self.c[s][p];
                    }
                    self.sum[p] = sum;
                }
                self.a[r][q] = self.sum;
            }
        }
    }

    fn checksum(&self) -> i32 {
        digest_reals(self.a.as_flattened().as_flattened())
    }
}
