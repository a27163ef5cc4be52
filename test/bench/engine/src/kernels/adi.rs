//! Alternating-direction implicit heat equation: PolyBench's adi.
use super::{Kernel, Real, digest_reals, fraction};

const N: usize = 20;
const STEPS: usize = 20;

arrays! {
    u: [[Real; N]; N],
    v: [[Real; N]; N],
    p: [[Real; N]; N],
    q: [[Real; N]; N],
}

impl Kernel for Arrays {
    fn setup(&mut self) {
        for i in 0..N {
            for j in 0..N {
                self.u[i][j] = fraction(i + N - j, N);
            }
        }
    }

    fn run(&mut self) {
        let Self { u, v, p, q } = self;
        let (one, two): (Real, Real) = (1.0, 2.0);
        let (dx, dt) = (one / N as Real, one / STEPS as Real);
        let (mul1, mul2) = (two * dt / (dx * dx), one * dt / (dx * dx));
        let (a, b, c) = (-mul1 / two, one + mul1, -mul1 / two);
        let (d, e, f) = (-mul2 / two, one + mul2, -mul2 / two);
        for _ in 0..STEPS {
            for i in 1..N - 1 {
                v[0][i] = 1.0;
                p[i][0] = 0.0;
                q[i][0] = 1.0;
                for j in 1..N - 1 {
                    let denominator = a * p[i][j - 1] + b;
                    p[i][j] = -c / denominator;
                    let u = -d * u[j][i - 1] + (one + two * d) * u[j][i] - f * u[j][i + 1];
                    q[i][j] = (u - a * q[i][j - 1]) / denominator;
                }
                v[N - 1][i] = 1.0;
                for j in (1..N - 1).rev() {
                    v[j][i] = p[i][j] * v[j + 1][i] + q[i][j];
                }
            }
            for i in 1..N - 1 {
                u[i][0] = 1.0;
                p[i][0] = 0.0;
                q[i][0] = 1.0;
                for j in 1..N - 1 {
                    let denominator = d * p[i][j - 1] + e;
                    p[i][j] = -f / denominator;
                    let v = -a * v[i - 1][j] + (one + two * a) * v[i][j] - c * v[i + 1][j];
                    q[i][j] = (v - d * q[i][j - 1]) / denominator;
                }
                u[i][N - 1] = 1.0;
                for j in (1..N - 1).rev() {
                    u[i][j] = p[i][j] * u[i][j + 1] + q[i][j];
                }
            }
        }
    }

    fn checksum(&self) -> i32 {
        digest_reals(self.u.as_flattened())
    }
}
