//! Gauss-Seidel's iteration over nine points: PolyBench's seidel-2d.
use super::{Kernel, Real, digest_reals, fraction};

const N: usize = 40;
const STEPS: usize = 20;

arrays! {
    a: [[Real; N]; N],
}

impl Kernel for Arrays {
    fn setup(&mut self) {
        for i in 0..N {
            for j in 0..N {
                self.a[i][j] = fraction(i * (j + 2) + 2, N);
            }
        }
    }

    fn run(&mut self) {
        let a = &mut self.a;
        let nine: Real = 9.0;
        for _ in 0..STEPS {
            for i in 1..N - 1 {
                for j in 1..N - 1 {
                    let above = a[i - 1][j - 1] + a[i - 1][j] + a[i - 1][j + 1];
                    let row = above + a[i][j - 1] + a[i][j] + a[i][j + 1];
                    let all = row + a[i + 1][j - 1] + a[i + 1][j] + a[i + 1][j + 1];
                    a[i][j] = all / nine;
                }
            }
        }
    }

    fn checksum(&self) -> i32 {
        digest_reals(self.a.as_flattened())
    }
}
