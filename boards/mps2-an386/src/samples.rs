//! Samples from outside: lines `sample NAME VALUE` on a serial port, as the native node takes them on its standard input.

/// The longest line.
const LINE: usize = 48;

/// Puts lines together.
#[derive(Debug, Default)]
pub struct Samples {
    line: heapless::Vec<u8, LINE>,
    /// The line is too long: wait for its end.
    broken: bool,
}

impl Samples {
    /// At the start of a line.
    pub const fn new() -> Self {
        Self {
            line: heapless::Vec::new(),
            broken: false,
        }
    }

    /// Takes a byte; a sensor's name and value when a good line ends with it.
    pub fn push<T>(&mut self, byte: u8, use_sample: impl FnOnce(&str, f32) -> T) -> Option<T> {
        if byte != b'\n' {
            self.broken |= self.line.push(byte).is_err();
            return None;
        }
        let broken = core::mem::take(&mut self.broken);
        let text = core::str::from_utf8(&self.line).ok().filter(|_| !broken);
        let mut words = text.unwrap_or("").split_ascii_whitespace();
        let result = match (words.next(), words.next(), words.next().map(str::parse)) {
            (Some("sample"), Some(name), Some(Ok(value))) => Some(use_sample(name, value)),
            _ => None,
        };
        self.line.clear();
        result
    }
}
