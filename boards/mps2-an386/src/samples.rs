//! Samples from outside: lines `sample NAME VALUE` on a serial port, as the native node takes them on its standard input; and
//! `times`, for the benchmarks.

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

    /// Takes a byte, and does what is asked for when a good line ends with it.
    pub fn push(
        &mut self,
        byte: u8,
        print_times: impl FnOnce(),
        use_sample: impl FnOnce(&str, f32),
    ) {
        if byte != b'\n' {
            self.broken |= self.line.push(byte).is_err();
            return;
        }
        let broken = core::mem::take(&mut self.broken);
        let text = core::str::from_utf8(&self.line).ok().filter(|_| !broken);
        let mut words = text.unwrap_or("").split_ascii_whitespace();
        match (words.next(), words.next(), words.next().map(str::parse)) {
            (Some("sample"), Some(name), Some(Ok(value))) => use_sample(name, value),
            (Some("times"), None, None) => print_times(),
            _ => {}
        }
        self.line.clear();
    }
}
