//! Electric and magnetic fields on a grid, by finite differences in time: PolyBench's fdtd-2d.
use super::{Kernel, Real, digest_reals, fraction};

const NX: usize = 20;
const NY: usize = 30;
const STEPS: usize = 20;

arrays! {
    ex: [[Real; NY]; NX],
    ey: [[Real; NY]; NX],
    hz: [[Real; NY]; NX],
    source: [Real; STEPS],
}

impl Kernel for Arrays {
    fn setup(&mut self) {
        for i in 0..STEPS {
            self.source[i] = i as Real;
        }
        for i in 0..NX {
            for j in 0..NY {
                self.ex[i][j] = fraction(i * (j + 1), NX);
                self.ey[i][j] = fraction(i * (j + 2), NY);
                self.hz[i][j] = fraction(i * (j + 3), NX);
            }
        }
    }

    fn run(&mut self) {
        let Self { ex, ey, hz, source } = self;
        let (half, most): (Real, Real) = (0.5, 0.7);
        for t in 0..STEPS {
            ey[0] = [source[t]; NY];
            for i in 1..NX {
                for j in 0..NY {
                    ey[i][j] -= half * (hz[i][j] - hz[i - 1][j]);
                }
            }
            for i in 0..NX {
                for j in 1..NY {
                    ex[i][j] -= half * (hz[i][j] - hz[i][j - 1]);
                }
            }
            for i in 0..NX - 1 {
                for j in 0..NY - 1 {
                    hz[i][j] -= most * (ex[i][j + 1] - ex[i][j] + ey[i + 1][j] - ey[i][j]);
                }
            }
        }
    }

    fn checksum(&self) -> i32 {
        digest_reals(self.ex.as_flattened())
            ^ digest_reals(self.ey.as_flattened())
            ^ digest_reals(self.hz.as_flattened())
    }
}
