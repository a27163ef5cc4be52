//! Shortest paths between all pairs: PolyBench's floyd-warshall.
use super::{Kernel, digest};

const N: usize = 60;

arrays! {
    path: [[i32; N]; N],
}

impl Kernel for Arrays {
    fn setup(&mut self) {
        for i in 0..N {
            for j in 0..N {
                let far = (i + j) % 13 == 0 || (i + j) % 7 == 0 || (i + j) % 11 == 0;
                self.path[i][j] = if far { 999 } else { ((i * j) % 7 + 1) as i32 };
            }
        }
    }

    fn run(&mut self) {
        let path = &mut self.path;
        for k in 0..N {
            for i in 0..N {
                for j in 0..N {
                    path[i][j] = path[i][j].min(path[i][k] + path[k][j]);
                }
            }
        }
    }

    fn checksum(&self) -> i32 {
        digest(
            self.path
                .iter()
                .flatten()
                .map(|length| length.cast_unsigned()),
        )
    }
}
