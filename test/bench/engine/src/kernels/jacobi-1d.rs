//! Jacobi's iteration in one dimension: PolyBench's jacobi-1d.
use super::{Kernel, Real, digest_reals, fraction};

const N: usize = 30;
const STEPS: usize = 20;

arrays! {
    a: [Real; N],
    b: [Real; N],
}

impl Kernel for Arrays {
    fn setup(&mut self) {
        for i in 0..N {
            self.a[i] = fraction(i + 2, N);
            self.b[i] = fraction(i + 3, N);
        }
    }

    fn run(&mut self) {
        let third: Real = 0.33333;
        let Self { a, b } = self;
        for _ in 0..STEPS {
            for i in 1..N - 1 {
                b[i] = third * (a[i - 1] + a[i] + a[i + 1]);
            }
            for i in 1..N - 1 {
                a[i] = third * (b[i - 1] + b[i] + b[i + 1]);
            }
        }
    }

    fn checksum(&self) -> i32 {
        digest_reals(&self.a)
    }
}
