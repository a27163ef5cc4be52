//! s = Aᵀ r and q = A p: PolyBench's bicg.
use super::{Kernel, Real, digest_reals, fraction};

const M: usize = 38;
const N: usize = 42;

arrays! {
    a: [[Real; M]; N],
    r: [Real; N],
    p: [Real; M],
    s: [Real; M],
    q: [Real; N],
}

impl Kernel for Arrays {
    fn setup(&mut self) {
        for i in 0..M {
            self.p[i] = fraction(i, M);
        }
        for i in 0..N {
            self.r[i] = fraction(i, N);
            for j in 0..M {
                self.a[i][j] = fraction((i * (j + 1)) % N, N);
            }
        }
    }

    fn run(&mut self) {
        self.s = [0.0; M];
        for i in 0..N {
            let mut sum: Real = 0.0;
            for j in 0..M {
                self.s[j] += self.r[i] * self.a[i][j];
                sum += self.a[i][j] * self.p[j];
            }
            self.q[i] = sum;
        }
    }

    fn checksum(&self) -> i32 {
        digest_reals(&self.s) ^ digest_reals(&self.q)
    }
}
