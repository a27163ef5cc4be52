//! The Fibonacci number of 15 by two calls each: calls and returns.
use super::Kernel;
use core::hint::black_box;

arrays! {
    result: i32,
}

fn fib(n: i32) -> i32 {
    if n < 2 { n } else { fib(n - 1) + fib(n - 2) }
}

impl Kernel for Arrays {
    fn setup(&mut self) {}

    fn run(&mut self) {
        self.result = fib(black_box(15));
    }

    fn checksum(&self) -> i32 {
        self.result
    }
}
