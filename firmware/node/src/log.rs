//! The newest lines of the node and of the module.
use crate::contract::text::LABEL;
use crate::mail::LINE;
use core::fmt::{self, Write};

/// Lines kept.
pub(crate) const LINES: usize = 24;

/// The log: a full one loses its oldest line.
pub(crate) struct Log(pub(crate) heapless::Deque<Line, LINES>);

impl Log {
    pub(crate) const fn new() -> Self {
        Self(heapless::Deque::new())
    }

    pub(crate) fn push(&mut self, line: Line) {
        if self.0.is_full() {
            self.0.pop_front();
        }
        let _ = self.0.push_back(line);
    }
}

#[derive(Debug)]
pub(crate) struct Line {
    /// Milliseconds since the start.
    pub(crate) at: u64,
    /// Whether the module said it.
    pub(crate) module: bool,
    pub(crate) text: heapless::String<LINE>,
}

impl fmt::Display for Line {
    /// One line for a terminal, whatever a module wrote: what a label may not have is shown by its number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = if self.module { "module" } else { "node" };
        let (seconds, millis) = (self.at / 1000, self.at % 1000);
        write!(f, "{seconds}.{millis:03} {from}: ")?;
        for c in self.text.chars() {
            if LABEL.allows(c) {
                f.write_char(c)?;
            } else {
                write!(f, "\\u{{{:x}}}", u32::from(c))?;
            }
        }
        Ok(())
    }
}
