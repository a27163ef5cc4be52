//! How often flash may be erased for those who hold no key: so many times a day, whatever they send.

/// Erasures a day that need nobody's trust: at this rate a sector that stands 10,000 of them lasts five years in three slots.
pub const ERASES: u8 = 16;
/// Milliseconds until one more is granted.
const EACH: u64 = 86_400_000 / ERASES as u64;

/// A bucket of [`ERASES`], full at the start, that fills by one every hour and a half.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    left: u8,
    /// Up to when it was filled, in milliseconds since the start.
    filled: u64,
    now: u64,
    refused: u32,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self {
            left: ERASES,
            filled: 0,
            now: 0,
            refused: 0,
        }
    }

    /// It is so late.
    pub(super) fn at(&mut self, now: u64) {
        self.now = now;
        let more = now.saturating_sub(self.filled) / EACH;
        if more > 0 {
            self.filled += more * EACH;
            self.left = more
                .saturating_add(u64::from(self.left))
                .min(u64::from(ERASES)) as u8;
        }
        if self.left == ERASES {
            // A full bucket does not save up for later.
            self.filled = now;
        }
    }

    /// Takes one, or counts that there was none.
    pub(super) fn spend(&mut self) -> bool {
        let left = self.left.checked_sub(1);
        if let Some(left) = left {
            self.left = left;
        } else {
            self.refused = self.refused.saturating_add(1);
        }
        left.is_some()
    }

    /// What is left of it.
    pub(super) fn left(&self) -> u8 {
        self.left
    }

    /// How often there was nothing left.
    pub(super) fn refused(&self) -> u32 {
        self.refused
    }
}
