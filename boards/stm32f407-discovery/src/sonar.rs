//! The river-level sensor: a MaxBotix ultrasonic ranger on a UART, which sends `R`, four digits of millimetres and a carriage
//! return (MaxBotix HRXL-MaxSonar-WR datasheet, serial output) some seven times a second.

/// Puts readings together from the bytes of the line.
#[derive(Debug, Default)]
pub struct Sonar {
    millimetres: u16,
    /// Digits so far; 5 while waiting for an `R`.
    digits: u8,
}

impl Sonar {
    /// A parser that waits for the beginning of a reading.
    pub const fn new() -> Self {
        Self {
            millimetres: 0,
            digits: 5,
        }
    }

    /// Takes a byte; a reading in millimetres when it is complete. Anything else on the line is passed over.
    pub fn push(&mut self, byte: u8) -> Option<u16> {
        match (byte, self.digits) {
            (b'R', _) => *self = Self::default(),
            (b'0'..=b'9', 0..=3) => {
                self.millimetres = self.millimetres * 10 + u16::from(byte - b'0');
                self.digits += 1;
            }
            (b'\r', 4) => {
                self.digits = 5;
                return Some(self.millimetres);
            }
            _ => self.digits = 5,
        }
        None
    }
}
