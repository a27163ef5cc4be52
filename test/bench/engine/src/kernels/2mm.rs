//! D = alpha A B C + beta D: PolyBench's 2mm.
use super::{Kernel, Real, digest_reals, fraction};

const NI: usize = 16;
const NJ: usize = 18;
const NK: usize = 22;
const NL: usize = 24;

arrays! {
    a: [[Real; NK]; NI],
    b: [[Real; NJ]; NK],
    c: [[Real; NL]; NJ],
    d: [[Real; NL]; NI],
    t: [[Real; NJ]; NI],
}

impl Kernel for Arrays {
    fn setup(&mut self) {
        for i in 0..NI {
            for j in 0..NK {
                self.a[i][j] = fraction((i * j + 1) % NI, NI);
            }
        }
        for i in 0..NK {
            for j in 0..NJ {
                self.b[i][j] = fraction((i * (j + 1)) % NJ, NJ);
            }
        }
        for i in 0..NJ {
            for j in 0..NL {
                self.c[i][j] = fraction((i * (j + 3) + 1) % NL, NL);
            }
        }
        for i in 0..NI {
            for j in 0..NL {
                self.d[i][j] = fraction((i * (j + 2)) % NK, NK);
            }
        }
    }

    fn run(&mut self) {
        let (alpha, beta): (Real, Real) = (1.5, 1.2);
        for i in 0..NI {
            for j in 0..NJ {
                let mut sum: Real = 0.0;
                for k in 0..NK {
                    sum += alpha * self.a[i][k] * self.b[k][j];
                }
                self.t[i][j] = sum;
            }
        }
        for i in 0..NI {
            for j in 0..NL {
                let mut sum = self.d[i][j] * beta;
                for k in 0..NJ {
                    sum += self.t[i][k] * self.c[k][j];
                }
                self.d[i][j] = sum;
            }
        }
    }

    fn checksum(&self) -> i32 {
        digest_reals(self.d.as_flattened())
    }
}
