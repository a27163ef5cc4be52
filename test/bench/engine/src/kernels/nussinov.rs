//! How an RNA sequence folds, by dynamic programming: PolyBench's nussinov.
use super::{Kernel, digest};

const N: usize = 60;

arrays! {
    table: [[i32; N]; N],
    bases: [u8; N],
}

impl Kernel for Arrays {
    fn setup(&mut self) {
        for i in 0..N {
            self.bases[i] = ((i + 1) % 4) as u8;
        }
    }

    fn run(&mut self) {
        let Self { table, bases } = self;
        for i in (0..N).rev() {
            for j in i + 1..N {
                let mut best = table[i][j].max(table[i][j - 1]);
                if i + 1 < N {
                    best = best.max(table[i + 1][j]);
                    let pair = i < j - 1 && bases[i] + bases[j] == 3;
                    best = best.max(table[i + 1][j - 1] + i32::from(pair));
                }
                for k in i + 1..j {
                    best = best.max(table[i][k] + table[k + 1][j]);
                }
                table[i][j] = best;
            }
        }
    }

    fn checksum(&self) -> i32 {
        digest(
            self.table
                .iter()
                .flatten()
                .map(|pairs| pairs.cast_unsigned()),
        )
    }
}
