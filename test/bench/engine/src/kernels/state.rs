//! Recognises numbers in a text, character by character: the state machine of CoreMark.
use super::{Kernel, digest};

const LENGTH: usize = 1024;
const STATES: usize = 8;

arrays! {
    text: [u8; LENGTH],
    counts: [u32; 2 * STATES],
}

const START: usize = 0;
const INVALID: usize = 1;
const SIGN: usize = 2;
const INTEGER: usize = 3;
const FLOAT: usize = 4;
const EXPONENT: usize = 5;
const EXPONENT_SIGN: usize = 6;
const SCIENTIFIC: usize = 7;

/// The kinds of words, by the random number: eight characters each, a comma behind.
const WORDS: [&[u8; 8]; 8] = [
    b"50127489",
    b"-8743.12",
    b"+5.5e+91",
    b"-.123456",
    b"T0.3e-1F",
    b"+45E-12!",
    b"123.4567",
    b"..1e5ee7",
];

/// The state after a character.
fn step(state: usize, c: u8) -> usize {
    let digit = c.is_ascii_digit();
    match (state, c) {
        (START | SIGN | INTEGER, _) if digit => INTEGER,
        (START | SIGN | INTEGER, b'.') => FLOAT,
        (START, b'+' | b'-') => SIGN,
        (FLOAT, b'e' | b'E') => EXPONENT,
        (FLOAT, _) if digit => FLOAT,
        (EXPONENT, b'+' | b'-') => EXPONENT_SIGN,
        (EXPONENT_SIGN | SCIENTIFIC, _) if digit => SCIENTIFIC,
        _ => INVALID,
    }
}

impl Kernel for Arrays {
    fn setup(&mut self) {
        let mut random: i32 = 0x66;
        for field in self.text.chunks_exact_mut(9) {
            random = random.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            let word = (random >> 16) & 7;
            field[..8].copy_from_slice(WORDS[word as usize]);
            field[8] = b',';
        }
    }

    fn run(&mut self) {
        let mut state = START;
        for &c in &self.text {
            let ended = c == b',';
            let counted = if ended {
                STATES + state
            } else {
                step(state, c)
            };
            self.counts[counted] += 1;
            state = if ended { START } else { counted };
        }
    }

    fn checksum(&self) -> i32 {
        digest(self.counts.iter().copied())
    }
}
