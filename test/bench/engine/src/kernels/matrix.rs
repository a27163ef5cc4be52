//! Integer matrices: a constant added and multiplied, a vector, a product, and a product of bit fields: the matrix work of CoreMark.
use super::{Kernel, digest};

const N: usize = 16;
const ROUNDS: usize = 2;

arrays! {
    a: [[i16; N]; N],
    b: [[i16; N]; N],
    c: [[i32; N]; N],
}

impl Arrays {
    fn total(&self, clip: i32) -> i32 {
        let (mut sum, mut last, mut score) = (0_i32, 0, 0);
        for &value in self.c.iter().flatten() {
            sum = sum.wrapping_add(value);
            if sum > clip {
                score += 10;
                sum = 0;
            } else {
                score += i32::from(value > last);
            }
            last = value;
        }
        score
    }

    fn product(&self, i: usize, k: usize, j: usize) -> i32 {
        i32::from(self.a[i][k]).wrapping_mul(i32::from(self.b[k][j]))
    }
}

impl Kernel for Arrays {
    fn setup(&mut self) {
        for at in 0..N * N {
            let order = at as i32 + 1;
            let value = (order * 7919) % 65536;
            self.b[at / N][at % N] = (value + order) as i16;
            self.a[at / N][at % N] = ((value + 2 * order) & 0xff) as i16;
        }
    }

    fn run(&mut self) {
        for round in 0..ROUNDS {
            let value = round as i16 + 3;
            for element in self.a.iter_mut().flatten() {
                *element = element.wrapping_add(value);
            }
            for i in 0..N {
                for j in 0..N {
                    self.c[i][j] = i32::from(self.a[i][j]) * i32::from(value);
                }
            }
            let mut score = self.total(4000);
            for i in 0..N {
                let mut sum = 0_i32;
                for j in 0..N {
                    sum = sum.wrapping_add(i32::from(self.a[i][j]) * i32::from(self.b[0][j]));
                }
                self.c[i / N][i % N] = sum;
            }
            score += self.total(4000);
            for i in 0..N {
                for j in 0..N {
                    let mut sum = 0_i32;
                    for k in 0..N {
                        sum = sum.wrapping_add(self.product(i, k, j));
                    }
                    self.c[i][j] = sum;
                }
            }
            score += self.total(4000);
            for i in 0..N {
                for j in 0..N {
                    let mut sum = 0_i32;
                    for k in 0..N {
                        let product = self.product(i, k, j);
                        sum += ((product >> 2) & 15) * ((product >> 5) & 127);
                    }
                    self.c[i][j] = sum;
                }
            }
            score += self.total(4000);
            for element in self.a.iter_mut().flatten() {
                *element = element.wrapping_sub(value);
            }
            self.c[0][round] = score;
        }
    }

    fn checksum(&self) -> i32 {
        let pairs = self.a.as_flattened().chunks_exact(2);
        let words = pairs.map(|pair| u32::from(pair[0] as u16) | u32::from(pair[1] as u16) << 16);
        digest(
            self.c
                .iter()
                .flatten()
                .map(|element| element.cast_unsigned()),
        ) ^ digest(words)
    }
}
