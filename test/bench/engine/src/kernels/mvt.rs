//! x1 = x1 + A y1 and x2 = x2 + Aᵀ y2: PolyBench's mvt.
use super::{Kernel, Real, digest_reals, fraction};

const N: usize = 40;

arrays! {
    a: [[Real; N]; N],
    x1: [Real; N],
    x2: [Real; N],
    y1: [Real; N],
    y2: [Real; N],
}

impl Kernel for Arrays {
    fn setup(&mut self) {
        for i in 0..N {
            self.x1[i] = fraction(i, N);
            self.x2[i] = fraction((i + 1) % N, N);
            self.y1[i] = fraction((i + 3) % N, N);
            self.y2[i] = fraction((i + 4) % N, N);
            for j in 0..N {
                self.a[i][j] = fraction((i * j) % N, N);
            }
        }
    }

    fn run(&mut self) {
        for i in 0..N {
            let mut sum = self.x1[i];
            for j in 0..N {
                sum += self.a[i][j] * self.y1[j];
            }
            self.x1[i] = sum;
        }
        for i in 0..N {
            let mut sum = self.x2[i];
            for j in 0..N {
                sum += self.a[j][i] * self.y2[j];
            }
            self.x2[i] = sum;
        }
    }

    fn checksum(&self) -> i32 {
        digest_reals(&self.x1) ^ digest_reals(&self.x2)
    }
}
