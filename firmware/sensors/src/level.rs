//! River level: an ultrasonic ranger on a serial line at 9,600 baud, which sends `R`, four digits of millimetres and a carriage
//! return some seven times a second (MaxBotix HRXL-MaxSonar-WR datasheet, serial output).

/// What the ranger says when nothing reflects its pulse.
const NO_ECHO: u16 = 9999;
/// Digits of a reading.
const DIGITS: u8 = 4;
/// In place of a number of digits: waiting for an `R`.
const WAITING: u8 = u8::MAX;
/// A ranger that has given no reading for this long, in milliseconds, does not answer.
const SILENCE: u64 = 3_000;

/// Puts readings together from the bytes of the line.
#[derive(Debug)]
pub struct Level {
    millimetres: u16,
    digits: u8,
    /// Readings that were cut short or had something else in them.
    pub damaged: u32,
    /// Readings without an echo.
    pub no_echo: u32,
    /// When the last good reading came.
    last: u64,
}

impl Default for Level {
    fn default() -> Self {
        Self::new()
    }
}

impl Level {
    /// Waits for the beginning of a reading.
    pub const fn new() -> Self {
        Self {
            millimetres: 0,
            digits: WAITING,
            damaged: 0,
            no_echo: 0,
            last: 0,
        }
    }

    /// Takes a byte that came at `now`; millimetres when a reading ends with it.
    pub fn push(&mut self, now: u64, byte: u8) -> Option<u16> {
        match (byte, self.digits) {
            // Also within a reading: the rest of that one was lost.
            (b'R', before) => {
                self.damaged = self.damaged.wrapping_add(u32::from(before != WAITING));
                (self.millimetres, self.digits) = (0, 0);
            }
            (b'0'..=b'9', 0..DIGITS) => {
                self.millimetres = self.millimetres * 10 + u16::from(byte - b'0');
                self.digits += 1;
            }
            (b'\r', DIGITS) => {
                self.digits = WAITING;
                if self.millimetres == NO_ECHO {
                    self.no_echo = self.no_echo.wrapping_add(1);
                    return None;
                }
                self.last = now;
                return Some(self.millimetres);
            }
            // The ranger's greeting, and noise between readings.
            (_, WAITING) => {}
            _ => self.lost(),
        }
        None
    }

    /// A byte came damaged, or was lost: what it belonged to is none.
    pub fn lost(&mut self) {
        if self.digits != WAITING {
            self.damaged = self.damaged.wrapping_add(1);
            self.digits = WAITING;
        }
    }

    /// Whether good readings come.
    pub fn answers(&self, now: u64) -> bool {
        self.last != 0 && now.saturating_sub(self.last) < SILENCE
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn feed(level: &mut Level, bytes: &[u8]) -> Vec<u16> {
        bytes.iter().filter_map(|b| level.push(1, *b)).collect()
    }

    #[test]
    fn readings_are_millimetres() {
        let mut level = Level::new();
        assert_eq!(
            feed(&mut level, b"R0300\rR1234\rR9998\rR0000\r"),
            [300, 1234, 9998, 0]
        );
        assert_eq!(level.damaged, 0);
    }

    #[test]
    fn the_greeting_of_the_ranger_is_passed_over() {
        let mut level = Level::new();
        assert_eq!(
            feed(&mut level, b"HRXL-MaxSonar-WRL\rPN:MB7366\rR0871\r"),
            [871]
        );
    }

    #[test]
    fn what_is_cut_short_too_long_or_noisy_is_no_reading() {
        for damaged in [
            &b"R12\r"[..],
            b"R12345\r",
            b"R12x4\r",
            b"R 123\r",
            b"R-123\r",
            b"R12\xff4\r",
            b"R123R",
        ] {
            let mut level = Level::new();
            assert_eq!(feed(&mut level, damaged), [], "{damaged:?}");
            assert_eq!(level.damaged, 1, "{damaged:?}");
            assert_eq!(feed(&mut level, b"R0777\r"), [777], "{damaged:?}");
        }
    }

    #[test]
    fn every_string_of_six_bytes_gives_a_reading_only_when_it_is_one() {
        let mut seed = 1_u32;
        let mut readings = 0;
        for _ in 0..200_000 {
            let bytes: Vec<u8> = (0..6)
                .map(|_| {
                    seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12_345);
                    *b"RR0099\r\rx\xff"
                        .get((seed >> 16) as usize % 10)
                        .unwrap_or(&0)
                })
                .collect();
            let found = feed(&mut Level::new(), &bytes);
            let whole = bytes.first() == Some(&b'R')
                && bytes.last() == Some(&b'\r')
                && bytes
                    .get(1..5)
                    .is_some_and(|digits| digits.iter().all(u8::is_ascii_digit));
            let text = bytes.get(1..5).and_then(|d| core::str::from_utf8(d).ok());
            let expected: Vec<u16> = whole
                .then(|| text.and_then(|text| text.parse().ok()))
                .flatten()
                .filter(|millimetres| *millimetres != 9999)
                .into_iter()
                .collect();
            assert_eq!(found, expected, "{bytes:?}");
            readings += found.len();
        }
        assert!(readings > 10);
    }

    #[test]
    fn no_echo_is_no_level() {
        let mut level = Level::new();
        assert_eq!(feed(&mut level, b"R9999\r"), []);
        assert_eq!((level.no_echo, level.damaged), (1, 0));
        assert!(!level.answers(1));
    }

    #[test]
    fn a_damaged_byte_costs_its_reading_and_no_other() {
        let mut level = Level::new();
        assert_eq!(feed(&mut level, b"R12"), []);
        level.lost();
        assert_eq!(feed(&mut level, b"34\rR0500\r"), [500]);
        assert_eq!(level.damaged, 1);
    }

    #[test]
    fn a_silent_ranger_does_not_answer() {
        let mut level = Level::new();
        assert!(!level.answers(10));
        for byte in b"R0500\r" {
            level.push(1_000, *byte);
        }
        assert!(level.answers(3_999));
        assert!(!level.answers(4_000));
    }
}
