//! G = (A B) (C D): PolyBench's 3mm.
use super::{Kernel, Real, digest_reals, fraction};

const NI: usize = 16;
const NJ: usize = 18;
const NK: usize = 20;
const NL: usize = 22;
const NM: usize = 24;

arrays! {
    a: [[Real; NK]; NI],
    b: [[Real; NJ]; NK],
    c: [[Real; NM]; NJ],
    d: [[Real; NL]; NM],
    e: [[Real; NJ]; NI],
    f: [[Real; NL]; NJ],
    g: [[Real; NL]; NI],
}

/// Z = X Y.
fn multiply<const ROWS: usize, const INNER: usize, const COLUMNS: usize>(
    z: &mut [[Real; COLUMNS]; ROWS],
    x: &[[Real; INNER]; ROWS],
    y: &[[Real; COLUMNS]; INNER],
) {
    for i in 0..ROWS {
        for j in 0..COLUMNS {
            let mut sum: Real = 0.0;
            for k in 0..INNER {
                sum += x[i][k] * y[k][j];
            }
            z[i][j] = sum;
        }
    }
}

impl Kernel for Arrays {
    fn setup(&mut self) {
        for i in 0..NI {
            for j in 0..NK {
                self.a[i][j] = fraction((i * j + 1) % NI, 5 * NI);
            }
        }
        for i in 0..NK {
            for j in 0..NJ {
                self.b[i][j] = fraction((i * (j + 1) + 2) % NJ, 5 * NJ);
            }
        }
        for i in 0..NJ {
            for j in 0..NM {
                self.c[i][j] = fraction((i * (j + 3)) % NL, 5 * NL);
            }
        }
        for i in 0..NM {
            for j in 0..NL {
                self.d[i][j] = fraction((i * (j + 2) + 2) % NK, 5 * NK);
            }
        }
    }

    fn run(&mut self) {
        multiply(&mut self.e, &self.a, &self.b);
        multiply(&mut self.f, &self.c, &self.d);
        multiply(&mut self.g, &self.e, &self.f);
    }

    fn checksum(&self) -> i32 {
        digest_reals(self.g.as_flattened())
    }
}
