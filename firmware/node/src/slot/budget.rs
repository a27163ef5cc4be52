//! How often flash may be erased for those who hold no key, or written for anybody: so many times a day, whatever they send.

/// Erasures a day that need nobody's trust: at this rate a sector that stands 10,000 of them lasts five years in three slots.
pub const ERASES: u8 = 16;
/// Milliseconds until one more is granted: an hour and a half.
const EACH: u64 = 86_400_000 / ERASES as u64;

/// A bucket, full at the start, that fills one by one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    most: u8,
    /// Milliseconds until one more is granted.
    each: u64,
    left: u8,
    /// Up to when it was filled, in milliseconds since the start.
    filled: u64,
    now: u64,
    refused: u32,
}

impl Budget {
    /// Of [`ERASES`].
    pub(super) fn of_erasures() -> Self {
        Self::new(ERASES, EACH)
    }

    /// So many at once, and one more after so many milliseconds.
    pub(crate) fn new(most: u8, each: u64) -> Self {
        Self {
            most,
            each,
            left: most,
            filled: 0,
            now: 0,
            refused: 0,
        }
    }

    /// It is so late.
    pub(crate) fn at(&mut self, now: u64) {
        self.now = now;
        let more = now.saturating_sub(self.filled) / self.each;
        if more > 0 {
            self.filled += more * self.each;
            self.left = more
                .saturating_add(u64::from(self.left))
                .min(u64::from(self.most)) as u8;
        }
        if self.left == self.most {
            // A full bucket does not save up for later.
            self.filled = now;
        }
    }

    /// Takes one, or counts that there was none.
    pub(crate) fn spend(&mut self) -> bool {
        let left = self.left.checked_sub(1);
        if let Some(left) = left {
            self.left = left;
        } else {
            self.refused = self.refused.saturating_add(1);
        }
        left.is_some()
    }

    /// From when on there is one, in milliseconds since the start.
    pub(crate) fn due(&self) -> u64 {
        if self.left > 0 {
            0
        } else {
            self.filled.saturating_add(self.each)
        }
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
