//! Takeuchi's function: calls with three arguments, nested in one another.
use super::Kernel;
use core::hint::black_box;

arrays! {
    result: i32,
}

fn tak(x: i32, y: i32, z: i32) -> i32 {
    if y < x {
        tak(tak(x - 1, y, z), tak(y - 1, z, x), tak(z - 1, x, y))
    } else {
        z
    }
}

impl Kernel for Arrays {
    fn setup(&mut self) {}

    fn run(&mut self) {
        self.result = tak(black_box(12), 8, 4);
    }

    fn checksum(&self) -> i32 {
        self.result
    }
}
