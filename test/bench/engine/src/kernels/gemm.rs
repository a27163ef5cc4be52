//! C = alpha A B + beta C: PolyBench's gemm.
use super::{Kernel, Real, digest_reals, fraction};

const NI: usize = 20;
const NJ: usize = 25;
const NK: usize = 30;

arrays! {
    a: [[Real; NK]; NI],
    b: [[Real; NJ]; NK],
    c: [[Real; NJ]; NI],
}

impl Kernel for Arrays {
    fn setup(&mut self) {
        for i in 0..NI {
            for j in 0..NK {
                self.a[i][j] = fraction((i * (j + 1)) % NK, NK);
            }
        }
        for i in 0..NK {
            for j in 0..NJ {
                self.b[i][j] = fraction((i * (j + 2)) % NJ, NJ);
            }
        }
        for i in 0..NI {
            for j in 0..NJ {
                self.c[i][j] = fraction((i * j + 1) % NI, NI);
            }
        }
    }

    fn run(&mut self) {
        let (alpha, beta): (Real, Real) = (1.5, 1.2);
        for i in 0..NI {
            for j in 0..NJ {
                self.c[i][j] *= beta;
            }
            for k in 0..NK {
                for j in 0..NJ {
                    self.c[i][j] += alpha * self.a[i][k] * self.b[k][j];
                }
            }
        }
    }

    fn checksum(&self) -> i32 {
        digest_reals(self.c.as_flattened())
    }
}
