//! A = A + u1 v1ᵀ + u2 v2ᵀ, x = beta Aᵀ y + z, w = alpha A x: PolyBench's gemver.
use super::{Kernel, Real, digest_reals, fraction};

const N: usize = 40;

arrays! {
    a: [[Real; N]; N],
    u1: [Real; N],
    v1: [Real; N],
    u2: [Real; N],
    v2: [Real; N],
    w: [Real; N],
    x: [Real; N],
    y: [Real; N],
    z: [Real; N],
}

impl Kernel for Arrays {
    fn setup(&mut self) {
        for i in 0..N {
            let part = fraction(i + 1, N);
            self.u1[i] = i as Real;
            self.u2[i] = part / 2.0;
            self.v1[i] = part / 4.0;
            self.v2[i] = part / 6.0;
            self.y[i] = part / 8.0;
            self.z[i] = part / 9.0;
            for j in 0..N {
                self.a[i][j] = fraction((i * j) % N, N);
            }
        }
    }

    fn run(&mut self) {
        let (alpha, beta): (Real, Real) = (1.5, 1.2);
        for i in 0..N {
            for j in 0..N {
                self.a[i][j] = self.a[i][j] + self.u1[i] * self.v1[j] + self.u2[i] * self.v2[j];
            }
        }
        for i in 0..N {
            let mut sum = self.x[i];
            for j in 0..N {
                sum += beta * self.a[j][i] * self.y[j];
            }
            self.x[i] = sum;
        }
        for i in 0..N {
            self.x[i] += self.z[i];
        }
        for i in 0..N {
            let mut sum = self.w[i];
            for j in 0..N {
                sum += alpha * self.a[i][j] * self.x[j];
            }
            self.w[i] = sum;
        }
    }

    fn checksum(&self) -> i32 {
        digest_reals(&self.w)
    }
}
