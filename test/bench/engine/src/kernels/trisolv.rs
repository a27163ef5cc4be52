//! Solves L x = b with a lower triangular L: PolyBench's trisolv.
use super::{Kernel, Real, digest_reals, fraction};

const N: usize = 40;

arrays! {
    l: [[Real; N]; N],
    b: [Real; N],
    x: [Real; N],
}

impl Kernel for Arrays {
    fn setup(&mut self) {
        for i in 0..N {
            self.b[i] = i as Real;
            for j in 0..i + 1 {
                self.l[i][j] = fraction((i + N - j + 1) * 2, N);
            }
        }
    }

    fn run(&mut self) {
        for i in 0..N {
            let mut sum = self.b[i];
            for j in 0..i {
                sum -= self.l[i][j] * self.x[j];
            }
            self.x[i] = sum / self.l[i][i];
        }
    }

    fn checksum(&self) -> i32 {
        digest_reals(&self.x)
    }
}
