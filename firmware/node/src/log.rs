//! The newest lines of the node and of the module.
use crate::contract::text::LABEL;
use crate::mail::{LINE, Said};
use core::fmt::{self, Write};

/// Lines kept.
pub(crate) const LINES: usize = 20;

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

/// What stands behind the place of a line for its severity.
fn name(level: u32) -> &'static str {
    match level {
        3 => " error",
        4 => " warning",
        7 => " debug",
        _ => "",
    }
}

#[derive(Debug)]
pub(crate) struct Line {
    /// Milliseconds since the start.
    pub(crate) at: u64,
    /// How the module said it; nothing of the node's own.
    pub(crate) said: Option<Said>,
    pub(crate) text: heapless::String<LINE>,
}

impl fmt::Display for Line {
    /// One line for a terminal, whatever a module wrote: what a label may not have is shown by its number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, millis) = (self.at / 1000, self.at % 1000);
        write!(f, "{seconds}.{millis:03} ")?;
        match self.said {
            None => f.write_str("node: ")?,
            Some(said) => write!(f, "module@{}{}: ", said.at(), name(said.level()))?,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_when_to_the_millisecond_and_what_no_terminal_may_get_as_its_number() {
        let most = (1 << 28) - 1;
        for (at, said, text, shown) in [
            (0, None, "begins", "0.000 node: begins"),
            (61_007, Said::new(6, 9), "a", "61.007 module@9: a"),
            (
                4_294_967_295_999,
                Said::new(3, most),
                "",
                "4294967295.999 module@268435455 error: ",
            ),
            (
                1_999,
                Said::new(4, 0),
                "\u{1b}[2J",
                "1.999 module@0 warning: \\u{1b}[2J",
            ),
            (
                1,
                Said::new(7, 1),
                "\u{202e}\n",
                "0.001 module@1 debug: \\u{202e}\\u{a}",
            ),
        ] {
            let mut line = Line {
                at,
                said,
                text: heapless::String::new(),
            };
            let _ = line.text.push_str(text);
            let mut told = heapless::String::<64>::new();
            let _ = write!(told, "{line}");
            assert_eq!(told, shown);
        }
    }

    #[test]
    fn a_severity_that_no_line_has_is_none() {
        for level in (0..20).filter(|level| ![3, 4, 6, 7].contains(level)) {
            assert_eq!(Said::new(level, 1), None);
        }
    }

    #[test]
    fn a_full_log_loses_its_oldest_line() {
        let mut log = Log::new();
        for at in 0..3 * LINES as u64 {
            log.push(Line {
                at,
                said: None,
                text: heapless::String::new(),
            });
            let from = (at + 1).saturating_sub(LINES as u64);
            assert!(log.0.iter().map(|line| line.at).eq(from..=at));
        }
    }
}
