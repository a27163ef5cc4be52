//! Distance to the water, as an ultrasonic ranger says it on a serial line at 9,600 baud: `R`, four digits of millimetres and a
//! carriage return, some seven times a second (MaxBotix HRXL-MaxSonar-WR datasheet, serial output).
//!
//! The models say in different ways that nothing reflects their pulse. Those for 10 m say 9999. Those for 5 m say 4999 or
//! 5000, which are distances for the others; so both are no distance until something beyond was measured, which no model for 5 m can.
//! None measures 0. Models of other families have three digits of centimetres, or spaces.

/// Digits of a reading.
const DIGITS: u8 = 4;
/// What the models for 10 m say without an echo.
const NO_ECHO: u16 = 9999;
/// What those for 5 m may say, and the farthest that they measure.
const NO_ECHO_NEAR: [u16; 2] = [4999, 5000];
/// A ranger of which nothing whole has come for this long, in milliseconds, is silent.
pub const SILENCE: u64 = 3_000;
/// Whole readings of another form, one after the other, that make it another model; fewer are what noise made of good ones.
const STRANGE: u8 = 3;

/// What came of a line's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// A distance.
    Millimetres(u16),
    /// Nothing reflected the pulse.
    NoEcho,
    /// Bytes were lost, or are noise.
    Damaged,
    /// Again and again it has another form than this driver's models have.
    Model,
}

/// What has been read of a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing: waiting for an `R`.
    Waiting,
    /// So many digits; whether there was something else that other models have.
    Digits(u8, bool),
    /// Something that no model has: waiting for the end.
    Broken,
}

/// Puts readings together from the bytes of the line.
#[derive(Debug)]
pub struct Level {
    millimetres: u16,
    state: State,
    /// Something beyond 5 m was measured.
    far: bool,
    /// Readings of another form since the last good one.
    strange: u8,
    /// When the last whole reading came, whatever it said.
    last: Option<u64>,
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
            state: State::Waiting,
            far: false,
            strange: 0,
            last: None,
        }
    }

    /// Takes a byte that came at `now`; what it says when a reading ends with it.
    pub fn push(&mut self, now: u64, byte: u8) -> Option<Reading> {
        match (byte, self.state) {
            (b'R', before) => {
                (self.millimetres, self.state) = (0, State::Digits(0, false));
                // Within a reading: the rest of that one was lost.
                let begun = ![State::Waiting, State::Digits(0, false)].contains(&before);
                return begun.then_some(Reading::Damaged);
            }
            // The ranger's greeting, and noise between readings.
            (_, State::Waiting) => {}
            (b'\r', state) => {
                self.state = State::Waiting;
                return Some(self.end(now, state));
            }
            (b'0'..=b'9', State::Digits(count, other)) => {
                self.millimetres = self
                    .millimetres
                    .saturating_mul(10)
                    .saturating_add(u16::from(byte - b'0'));
                self.state = State::Digits(count.saturating_add(1), other);
            }
            (b' ' | b'.' | b'-', State::Digits(count, _)) => {
                self.state = State::Digits(count, true);
            }
            _ => self.state = State::Broken,
        }
        None
    }

    /// What a reading says that has ended.
    fn end(&mut self, now: u64, state: State) -> Reading {
        let State::Digits(count, other) = state else {
            return Reading::Damaged;
        };
        if count != DIGITS || other {
            self.strange = self.strange.saturating_add(1);
            if self.strange < STRANGE {
                return Reading::Damaged;
            }
            self.last = Some(now);
            return Reading::Model;
        }
        self.strange = 0;
        self.last = Some(now);
        let millimetres = self.millimetres;
        let near = NO_ECHO_NEAR.contains(&millimetres) && !self.far;
        if millimetres == NO_ECHO || millimetres == 0 || near {
            return Reading::NoEcho;
        }
        self.far |= millimetres > 5000;
        Reading::Millimetres(millimetres)
    }

    /// The line damaged or lost a byte: what it belonged to is not a reading.
    pub fn lost(&mut self) -> Option<Reading> {
        let before = core::mem::replace(&mut self.state, State::Waiting);
        (before != State::Waiting).then_some(Reading::Damaged)
    }

    /// Whether nothing whole has come for a while: the wire is cut, the ranger without power, or there is none.
    pub fn is_silent(&self, now: u64) -> bool {
        self.last
            .is_none_or(|last| now.saturating_sub(last) >= SILENCE)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::Reading::{Damaged, Millimetres, Model, NoEcho};
    use super::*;
    use std::vec::Vec;

    fn feed(level: &mut Level, bytes: &[u8]) -> Vec<Reading> {
        bytes.iter().filter_map(|b| level.push(1, *b)).collect()
    }

    fn say(bytes: &[u8]) -> Vec<Reading> {
        feed(&mut Level::new(), bytes)
    }

    #[test]
    fn readings_are_millimetres() {
        let readings = say(b"R0300\rR1234\rR0001\rR4998\rR5001\rR9998\r");
        let expected = [300, 1234, 1, 4998, 5001, 9998].map(Millimetres);
        assert_eq!(readings, expected);
    }

    #[test]
    fn the_greeting_of_the_ranger_is_passed_over() {
        // Its `R`s begin what is not a reading, and the real ones come all the same.
        let readings = say(b"HXL-MaxSonar-WL\rPN:MB7366\rR0871\r");
        assert_eq!(readings, [Millimetres(871)]);
        let readings = say(b"HRXL-MaxSonar-WRL\rPN:MB7366\rR0871\r");
        assert_eq!(readings.last(), Some(&Millimetres(871)));
        assert!(readings.iter().rev().skip(1).all(|r| *r == Damaged));
    }

    #[test]
    fn no_echo_is_no_distance_whatever_the_model_calls_it() {
        for said in [&b"R9999\r"[..], b"R5000\r", b"R4999\r", b"R0000\r"] {
            assert_eq!(say(said), [NoEcho], "{said:?}");
        }
        // With a reading before and after it.
        let readings = say(b"R4000\rR5000\rR4998\rR4999\r");
        assert_eq!(
            readings,
            [Millimetres(4000), NoEcho, Millimetres(4998), NoEcho]
        );
    }

    #[test]
    fn what_measured_farther_than_five_metres_measures_five_metres() {
        let readings = say(b"R5000\rR5001\rR5000\rR4999\rR9999\rR0000\r");
        let expected = [
            NoEcho,
            Millimetres(5001),
            Millimetres(5000),
            Millimetres(4999),
            NoEcho,
            NoEcho,
        ];
        assert_eq!(readings, expected);
    }

    #[test]
    fn what_is_cut_short_too_long_or_noisy_is_no_reading() {
        for damaged in [
            &b"R12\r"[..],
            b"R\r",
            b"R12345\r",
            b"R1234567890123456789012345678901234567890\r",
            b"R12x4\r",
            b"Rx1234\r",
            b"R1234x\r",
            b"R 123\r",
            b"R-123\r",
            b"R12.34\r",
            b"R12\xff4\r",
            b"R1234\n\r",
            b"R1234R",
        ] {
            let mut level = Level::new();
            assert_eq!(feed(&mut level, damaged), [Damaged], "{damaged:?}");
            assert!(level.is_silent(1));
            assert_eq!(
                feed(&mut level, b"R0777\r"),
                [Millimetres(777)],
                "{damaged:?}"
            );
        }
    }

    #[test]
    fn another_form_again_and_again_is_another_model() {
        // Centimetres; spaces; more digits; decimals.
        for said in [
            &b"R123\r"[..],
            b"R 123\r",
            b"R 1234\r",
            b"R12345\r",
            b"R12.3\r",
        ] {
            let mut level = Level::new();
            let mut readings = Vec::new();
            for _ in 0..4 {
                readings.extend(feed(&mut level, said));
            }
            assert_eq!(readings, [Damaged, Damaged, Model, Model], "{said:?}");
            assert!(!level.is_silent(1));
            // A good reading says that it is none, and the count begins anew.
            assert_eq!(feed(&mut level, b"R0500\r"), [Millimetres(500)]);
            assert_eq!(feed(&mut level, said), [Damaged]);
        }
        // Noise is not a form.
        let mut level = Level::new();
        for _ in 0..300 {
            assert_eq!(feed(&mut level, b"R12?4\r"), [Damaged]);
        }
        // Nor is a count of it endless.
        let mut level = Level::new();
        for _ in 0..300 {
            feed(&mut level, b"R123\r");
        }
        assert_eq!(feed(&mut level, b"R123\r"), [Model]);
    }

    #[test]
    fn every_string_of_six_bytes_gives_a_distance_only_when_it_is_one() {
        let mut seed = 1_u32;
        let mut distances = 0;
        for _ in 0..200_000 {
            let bytes: Vec<u8> = (0..6)
                .map(|_| {
                    seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12_345);
                    *b"RR0099\r\rx\xff"
                        .get((seed >> 16) as usize % 10)
                        .unwrap_or(&0)
                })
                .collect();
            let found: Vec<Reading> = say(&bytes)
                .into_iter()
                .filter(|r| matches!(r, Millimetres(_)))
                .collect();
            let whole = bytes.first() == Some(&b'R')
                && bytes.last() == Some(&b'\r')
                && bytes
                    .get(1..5)
                    .is_some_and(|digits| digits.iter().all(u8::is_ascii_digit));
            let text = bytes.get(1..5).and_then(|d| core::str::from_utf8(d).ok());
            let expected: Vec<Reading> = whole
                .then(|| text.and_then(|text| text.parse().ok()))
                .flatten()
                .filter(|millimetres| ![9999, 0].contains(millimetres))
                .map(Millimetres)
                .into_iter()
                .collect();
            assert_eq!(found, expected, "{bytes:?}");
            distances += found.len();
        }
        assert!(distances > 10);
    }

    #[test]
    fn a_damaged_byte_costs_its_reading_and_no_other() {
        let mut level = Level::new();
        // Between two readings it costs nothing.
        assert_eq!(level.lost(), None);
        assert_eq!(feed(&mut level, b"R12"), []);
        assert_eq!(level.lost(), Some(Damaged));
        assert_eq!(feed(&mut level, b"34\rR0500\r"), [Millimetres(500)]);
    }

    #[test]
    fn a_ranger_that_says_nothing_whole_is_silent() {
        let mut level = Level::new();
        assert!(level.is_silent(0) && level.is_silent(10));
        for (at, said) in [(0, b"R0500\r"), (5_000, b"R9999\r")] {
            for byte in said {
                level.push(at, *byte);
            }
            assert!(!level.is_silent(at) && !level.is_silent(at + 2_999));
            assert!(level.is_silent(at + 3_000));
        }
        // Damaged ones are not heard.
        for byte in b"R12x4\r" {
            level.push(9_000, *byte);
        }
        assert!(level.is_silent(9_000));
    }
}
