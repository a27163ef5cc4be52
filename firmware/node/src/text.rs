//! What texts may be that a person chose: names, units, vendors, for which the rules are in contract.toml; and how long lines are.

/// The longest line of the log, in bytes.
pub const LINE: usize = 96;

/// A rule for texts of a kind.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The fewest and the most bytes of UTF-8.
    pub least: usize,
    /// See `least`.
    pub most: usize,
    /// The first and the last code point of each range that is allowed.
    pub ranges: &'static [(u32, u32)],
    /// Likewise for the first character.
    pub first: &'static [(u32, u32)],
}

impl Rule {
    /// Whether a text is allowed.
    pub fn takes(&self, text: &str) -> bool {
        (self.least..=self.most).contains(&text.len())
            && text.chars().all(|c| self.allows(c))
            && text.chars().take(1).all(|c| within(self.first, c))
    }

    /// Whether a text may have this character.
    pub fn allows(&self, c: char) -> bool {
        within(self.ranges, c)
    }
}

fn within(ranges: &[(u32, u32)], c: char) -> bool {
    let point = u32::from(c);
    let mut all = ranges.iter();
    all.any(|(from, to)| (*from..=*to).contains(&point))
}

#[cfg(test)]
mod tests {
    use crate::contract::text::{LABEL, NAME, NODE, UNIT};

    #[test]
    fn each_kind_takes_what_it_is_for_and_nothing_that_breaks_what_it_goes_into() {
        for good in ["wye", "0", "a-b_c.d:e", "x23456789012345678901234567890ab"] {
            assert!(NODE.takes(good) && NAME.takes(good), "{good}");
        }
        assert!(NAME.takes("_x") && !NODE.takes("_x") && !NODE.takes("-"));
        for bad in [
            "",
            "a b",
            "a/b",
            "a\"b",
            "\u{1b}[2J",
            "ä",
            "x234567890123456789012345678901234",
        ] {
            assert!(!NODE.takes(bad) && !NAME.takes(bad), "{bad}");
        }
        for good in ["", "mm", "%RH", "m/s2", "1/s", "Cel", "[iU]"] {
            assert!(UNIT.takes(good), "{good}");
        }
        for bad in ["\"", "\\", " ", "\n", "°C", "12345678901234567"] {
            assert!(!UNIT.takes(bad), "{bad}");
        }
        for good in ["", "ACME Ltd. (x)", "Füllstand", "水位", "1.0.0-rc1", "😀"] {
            assert!(LABEL.takes(good), "{good}");
        }
        for bad in [
            "\"",
            "a\\b",
            "<b>",
            "\n",
            "\u{7f}",
            "\u{85}",
            "\u{ad}",
            "\u{200b}",
            "\u{202e}x",
            "\u{2066}",
            "\u{2028}",
            "\u{feff}",
            "\u{e0041}",
            "123456789012345678901234567890123",
        ] {
            assert!(!LABEL.takes(bad), "{bad:?}");
        }
    }
}
