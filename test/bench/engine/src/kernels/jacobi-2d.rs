//! Jacobi's iteration in two dimensions: PolyBench's jacobi-2d.
use super::{Kernel, Real, digest_reals, fraction};

const N: usize = 30;
const STEPS: usize = 20;

arrays! {
    a: [[Real; N]; N],
    b: [[Real; N]; N],
}

fn step(to: &mut [[Real; N]; N], from: &[[Real; N]; N]) {
    let fifth: Real = 0.2;
    for i in 1..N - 1 {
        for j in 1..N - 1 {
            let row = from[i][j] + from[i][j - 1] + from[i][j + 1];
            to[i][j] = fifth * (row + from[i + 1][j] + from[i - 1][j]);
        }
    }
}

impl Kernel for Arrays {
    fn setup(&mut self) {
        for i in 0..N {
            for j in 0..N {
                self.a[i][j] = fraction(i * (j + 2) + 2, N);
                self.b[i][j] = fraction(i * (j + 3) + 3, N);
            }
        }
    }

    fn run(&mut self) {
        for _ in 0..STEPS {
            step(&mut self.b, &self.a);
            step(&mut self.a, &self.b);
        }
    }

    fn checksum(&self) -> i32 {
        digest_reals(self.a.as_flattened())
    }
}
