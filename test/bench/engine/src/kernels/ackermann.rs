//! Ackermann's function: deep recursion.
use super::Kernel;
use core::hint::black_box;

arrays! {
    result: i32,
}

fn ackermann(m: i32, n: i32) -> i32 {
    if m == 0 {
        return n + 1;
    }
    ackermann(m - 1, if n == 0 { 1 } else { ackermann(m, n - 1) })
}

impl Kernel for Arrays {
    fn setup(&mut self) {}

    fn run(&mut self) {
        self.result = ackermann(black_box(2), black_box(12));
    }

    fn checksum(&self) -> i32 {
        self.result
    }
}
