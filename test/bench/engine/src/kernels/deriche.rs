//! Deriche's recursive smoothing of an image: PolyBench's deriche, at half its MINI size.
use super::{Kernel, Real, digest_reals, fraction};

const W: usize = 32;
const H: usize = 30;

arrays! {
    input: [[Real; H]; W],
    output: [[Real; H]; W],
    y1: [[Real; H]; W],
    y2: [[Real; H]; W],
}

impl Arrays {
    /// output = y1 + y2
    fn add(&mut self) {
        for i in 0..W {
            for j in 0..H {
                self.output[i][j] = self.y1[i][j] + self.y2[i][j];
            }
        }
    }
}

impl Kernel for Arrays {
    fn setup(&mut self) {
        for i in 0..W {
            for j in 0..H {
                self.input[i][j] = fraction((313 * i + 991 * j) % 65536, 65535);
            }
        }
    }

    fn run(&mut self) {
        // e^-alpha, e^(2 alpha), e^(-2 alpha) and 2^-alpha for alpha = 0.25, as in the other language.
        let (alpha, one, two): (Real, Real, Real) = (0.25, 1.0, 2.0);
        let (down, twice_up): (Real, Real) = (0.778_800_783_071_404_9, 1.648_721_270_700_128_2);
        let (twice_down, half): (Real, Real) = (0.606_530_659_712_633_4, 0.840_896_415_253_714_5);
        let k = (one - down) * (one - down) / (one + two * alpha * down - twice_up);
        let (a1, a2) = (k, k * down * (alpha - one));
        let (a3, a4) = (k * down * (alpha + one), -k * twice_down);
        let (b1, b2) = (half, -twice_down);
        for i in 0..W {
            let (mut ym1, mut ym2, mut xm1): (Real, Real, Real) = (0.0, 0.0, 0.0);
            for j in 0..H {
                let x = self.input[i][j];
                let y = a1 * x + a2 * xm1 + b1 * ym1 + b2 * ym2;
                self.y1[i][j] = y;
                xm1 = x;
                ym2 = ym1;
                ym1 = y;
            }
        }
        for i in 0..W {
            let (mut yp1, mut yp2, mut xp1, mut xp2): (Real, Real, Real, Real) =
                (0.0, 0.0, 0.0, 0.0);
            for j in (0..H).rev() {
                let y = a3 * xp1 + a4 * xp2 + b1 * yp1 + b2 * yp2;
                self.y2[i][j] = y;
                xp2 = xp1;
                xp1 = self.input[i][j];
                yp2 = yp1;
                yp1 = y;
            }
        }
        self.add();
        for j in 0..H {
            let (mut ym1, mut ym2, mut xm1): (Real, Real, Real) = (0.0, 0.0, 0.0);
            for i in 0..W {
                let x = self.output[i][j];
                let y = a1 * x + a2 * xm1 + b1 * ym1 + b2 * ym2;
                self.y1[i][j] = y;
                xm1 = x;
                ym2 = ym1;
                ym1 = y;
            }
        }
        for j in 0..H {
            let (mut yp1, mut yp2, mut xp1, mut xp2): (Real, Real, Real, Real) =
                (0.0, 0.0, 0.0, 0.0);
            for i in (0..W).rev() {
                let y = a3 * xp1 + a4 * xp2 + b1 * yp1 + b2 * yp2;
                self.y2[i][j] = y;
                xp2 = xp1;
                xp1 = self.output[i][j];
                yp2 = yp1;
                yp1 = y;
            }
        }
        self.add();
    }

    fn checksum(&self) -> i32 {
        digest_reals(self.output.as_flattened())
    }
}
