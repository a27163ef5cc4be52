//! The number of primes below 4096 by the sieve of Eratosthenes: bytes, short loops.
use super::Kernel;

const N: usize = 4096;

arrays! {
    composite: [u8; N],
    count: i32,
}

impl Kernel for Arrays {
    fn setup(&mut self) {}

    fn run(&mut self) {
        let mut primes = 0;
        self.composite = [0; N];
        for i in 2..N {
            if self.composite[i] != 0 {
                continue;
            }
            primes += 1;
            for j in (i + i..N).step_by(i) {
                self.composite[j] = 1;
            }
        }
        self.count = primes;
    }

    fn checksum(&self) -> i32 {
        self.count
    }
}
