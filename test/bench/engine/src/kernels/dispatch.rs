//! A machine with eight instructions that computes primes by trial division: a branch table in a loop.
use super::{Kernel, digest};
use core::hint::black_box;

arrays! {
    registers: [i32; 8],
}

/// Each instruction: operation, register, register, number or target.
static PROGRAM: [[u8; 4]; 15] = [
    [0, 0, 0, 2],  // r0 = 2
    [0, 3, 0, 1],  // r3 = 1
    [0, 1, 0, 2],  // 2: r1 = 2
    [6, 1, 0, 9],  // 3: if r1 == r0: 9
    [5, 2, 0, 0],  // r2 = r0
    [4, 2, 1, 0],  // r2 = r2 mod r1
    [7, 2, 0, 12], // if r2 == 0: 12
    [1, 1, 3, 0],  // r1 = r1 + r3
    [3, 0, 0, 3],  // go to 3
    [1, 4, 3, 0],  // 9: r4 = r4 + 1
    [2, 5, 0, 0],  // r5 = r5 * 31 ^ r0
    [5, 6, 0, 0],  // r6 = r0
    [1, 0, 3, 0],  // 12: r0 = r0 + 1
    [8, 0, 0, 80], // if r0 == 80: end
    [3, 0, 0, 2],  // go to 2
];

impl Kernel for Arrays {
    fn setup(&mut self) {
        self.registers = [0; 8];
    }

    fn run(&mut self) {
        let r = &mut self.registers;
        let program = black_box(&PROGRAM);
        let mut counter = 0;
        loop {
            let [operation, a, b, number] = program[counter];
            let (a, b) = (usize::from(a) & 7, usize::from(b) & 7);
            counter += 1;
            match operation {
                0 => r[a] = i32::from(number),
                1 => r[a] = r[a].wrapping_add(r[b]),
                2 => r[a] = r[a].wrapping_mul(31) ^ r[b],
                3 => counter = usize::from(number),
                4 => r[a] = r[a].wrapping_rem(r[b]),
                5 => r[a] = r[b],
                6 if r[a] == r[b] => counter = usize::from(number),
                7 if r[a] == 0 => counter = usize::from(number),
                8 if r[a] == i32::from(number) => return,
                _ => {}
            }
        }
    }

    fn checksum(&self) -> i32 {
        digest(
            self.registers
                .iter()
                .map(|register| register.cast_unsigned()),
        )
    }
}
