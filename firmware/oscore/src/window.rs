//! The replay window (RFC 8613 §7.4): which sequence numbers of the other end were seen.

/// How many of the newest numbers are told apart; RFC 8613 §3.2.2 names 32 as the default.
pub const SIZE: u64 = 32;

/// A sliding window. It moves only for messages whose tag was right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// All numbers below this one are old.
    lowest: u64,
    /// Bit `n`: `lowest + n` was seen.
    seen: u32,
}

impl Default for Window {
    fn default() -> Self {
        Self::new()
    }
}

impl Window {
    /// Nothing was seen.
    pub const fn new() -> Self {
        Self { lowest: 0, seen: 0 }
    }

    /// Everything up to this number counts as seen: where a window was lost and a fresh message fixes its lower edge
    /// (RFC 8613 §B.1.2).
    pub const fn after(number: u64) -> Self {
        Self {
            lowest: number.saturating_add(1),
            seen: 0,
        }
    }

    /// The lowest number that may still be new: what an orderly reset keeps.
    pub const fn lowest(&self) -> u64 {
        self.lowest
    }

    /// The lowest number above all that were seen.
    pub fn above(&self) -> u64 {
        self.lowest + u64::from(u32::BITS - self.seen.leading_zeros())
    }

    /// Whether a number is new.
    pub fn is_new(&self, number: u64) -> bool {
        match number.checked_sub(self.lowest) {
            None => false,
            Some(at) if at >= SIZE => true,
            Some(at) => self.seen >> at & 1 == 0,
        }
    }

    /// Strikes a number out; `false` when it was not new.
    #[must_use]
    pub fn strike(&mut self, number: u64) -> bool {
        if !self.is_new(number) {
            return false;
        }
        let mut at = number - self.lowest;
        if at >= SIZE {
            let shift = at - (SIZE - 1);
            self.seen = u32::try_from(shift)
                .ok()
                .and_then(|shift| self.seen.checked_shr(shift))
                .unwrap_or(0);
            self.lowest += shift;
            at = SIZE - 1;
        }
        self.seen |= 1 << at;
        true
    }
}
