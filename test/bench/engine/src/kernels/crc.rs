//! The 16-bit cyclic redundancy check of CoreMark, bit by bit, over a buffer.
use super::Kernel;
use core::hint::black_box;

const LENGTH: usize = 512;

arrays! {
    buffer: [u8; LENGTH],
    sum: u32,
}

fn update(mut crc: u32, mut byte: u32) -> u32 {
    for _ in 0..8 {
        // LLVM would know the loop for what it is and look the result up; this is about doing the work.
        let carry = black_box((byte ^ crc) & 1 != 0);
        byte >>= 1;
        if carry {
            crc ^= 0x4002;
        }
        crc >>= 1;
        crc = if carry { crc | 0x8000 } else { crc & 0x7fff };
    }
    crc
}

impl Kernel for Arrays {
    fn setup(&mut self) {
        let mut random: i32 = 1;
        for byte in &mut self.buffer {
            random = random.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            *byte = (random >> 16) as u8;
        }
    }

    fn run(&mut self) {
        let bytes = self.buffer.iter();
        self.sum = bytes.fold(0, |crc, &byte| update(crc, u32::from(byte)));
    }

    fn checksum(&self) -> i32 {
        self.sum.cast_signed()
    }
}
