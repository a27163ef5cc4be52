//! Solves A x = b by A = L U and two substitutions: PolyBench's ludcmp.
use super::definite::definite;
use super::lu::decompose;
use super::{Kernel, Real, digest_reals, fraction};

const N: usize = 40;

arrays! {
    a: [[Real; N]; N],
    l: [[Real; N]; N],
    b: [Real; N],
    x: [Real; N],
    y: [Real; N],
}

impl Kernel for Arrays {
    fn setup(&mut self) {
        for i in 0..N {
            self.b[i] = fraction(i + 1, N) / 2.0 + 4.0;
        }
        definite(&mut self.a, &mut self.l);
    }

    fn run(&mut self) {
        decompose(&mut self.a);
        for i in 0..N {
            let mut sum = self.b[i];
            for j in 0..i {
                sum -= self.a[i][j] * self.y[j];
            }
            self.y[i] = sum;
        }
        for i in (0..N).rev() {
            let mut sum = self.y[i];
            for j in i + 1..N {
                sum -= self.a[i][j] * self.x[j];
            }
            self.x[i] = sum / self.a[i][i];
        }
    }

    fn checksum(&self) -> i32 {
        digest_reals(&self.x)
    }
}
