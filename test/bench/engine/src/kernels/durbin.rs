//! The Yule-Walker equations by Levinson-Durbin: PolyBench's durbin.
use super::{Kernel, Real, digest_reals};

const N: usize = 40;

arrays! {
    r: [Real; N],
    y: [Real; N],
    z: [Real; N],
}

impl Kernel for Arrays {
    fn setup(&mut self) {
        for i in 0..N {
            self.r[i] = (N + 1 - i) as Real;
        }
    }

    fn run(&mut self) {
        let (mut beta, mut alpha): (Real, Real) = (1.0, -self.r[0]);
        self.y[0] = alpha;
        for k in 1..N {
            beta *= 1.0 - alpha * alpha;
            let mut sum: Real = 0.0;
            for i in 0..k {
                sum += self.r[k - i - 1] * self.y[i];
            }
            alpha = -(self.r[k] + sum) / beta;
            for i in 0..k {
                self.z[i] = self.y[i] + alpha * self.y[k - i - 1];
            }
            self.y[..k].copy_from_slice(&self.z[..k]);
            self.y[k] = alpha;
        }
    }

    fn checksum(&self) -> i32 {
        digest_reals(&self.y)
    }
}
