//! The heat equation in three dimensions: PolyBench's heat-3d.
use super::{Kernel, Real, digest_reals, fraction};

const N: usize = 10;
const STEPS: usize = 20;

type Cube = [[[Real; N]; N]; N];

arrays! {
    a: Cube,
    b: Cube,
}

fn step(to: &mut Cube, from: &Cube) {
    let (eighth, two): (Real, Real) = (0.125, 2.0);
    for i in 1..N - 1 {
        for j in 1..N - 1 {
            for k in 1..N - 1 {
                let here = from[i][j][k];
                to[i][j][k] = eighth * (from[i + 1][j][k] - two * here + from[i - 1][j][k])
                    + eighth * (from[i][j + 1][k] - two * here + from[i][j - 1][k])
                    + eighth * (from[i][j][k + 1] - two * here + from[i][j][k - 1])
                    + here;
            }
        }
    }
}

impl Kernel for Arrays {
    fn setup(&mut self) {
        for i in 0..N {
            for j in 0..N {
                for k in 0..N {
                    self.a[i][j][k] = fraction((i + j + N - k) * 10, N);
                }
            }
        }
        self.b = self.a;
    }

    fn run(&mut self) {
        for _ in 0..STEPS {
            step(&mut self.b, &self.a);
            step(&mut self.a, &self.b);
        }
    }

    fn checksum(&self) -> i32 {
        digest_reals(self.a.as_flattened().as_flattened())
    }
}
