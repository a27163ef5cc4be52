//! y = Aᵀ (A x): PolyBench's atax.
use super::{Kernel, Real, digest_reals, fraction};

const M: usize = 38;
const N: usize = 42;

arrays! {
    a: [[Real; N]; M],
    x: [Real; N],
    y: [Real; N],
}

impl Kernel for Arrays {
    fn setup(&mut self) {
        for i in 0..N {
            self.x[i] = 1.0 + fraction(i, N);
        }
        for i in 0..M {
            for j in 0..N {
                self.a[i][j] = fraction((i + j) % N, 5 * M);
            }
        }
    }

    fn run(&mut self) {
        self.y = [0.0; N];
        for i in 0..M {
            let mut sum: Real = 0.0;
            for j in 0..N {
                sum += self.a[i][j] * self.x[j];
            }
            for j in 0..N {
                self.y[j] += self.a[i][j] * sum;
            }
        }
    }

    fn checksum(&self) -> i32 {
        digest_reals(&self.y)
    }
}
