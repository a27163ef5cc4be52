//! y = alpha A x + beta B x: PolyBench's gesummv.
use super::{Kernel, Real, digest_reals, fraction};

const N: usize = 30;

arrays! {
    a: [[Real; N]; N],
    b: [[Real; N]; N],
    x: [Real; N],
    y: [Real; N],
}

impl Kernel for Arrays {
    fn setup(&mut self) {
        for i in 0..N {
            self.x[i] = fraction(i, N);
            for j in 0..N {
                self.a[i][j] = fraction((i * j + 1) % N, N);
                self.b[i][j] = fraction((i * j + 2) % N, N);
            }
        }
    }

    fn run(&mut self) {
        let (alpha, beta): (Real, Real) = (1.5, 1.2);
        for i in 0..N {
            let (mut a, mut b): (Real, Real) = (0.0, 0.0);
            for j in 0..N {
                a += self.a[i][j] * self.x[j];
                b += self.b[i][j] * self.x[j];
            }
            self.y[i] = alpha * a + beta * b;
        }
    }

    fn checksum(&self) -> i32 {
        digest_reals(&self.y)
    }
}
