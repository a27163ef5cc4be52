//! Our own sequence numbers: each is used once, across resets and power cuts (RFC 8613 §7.2.1).
//!
//! A number may be used only below a limit that lies in flash already (RFC 8613 §B.1.1): after a reset numbers go on at the
//! limit, so those between are skipped, never used again. The owner of the journal writes a higher limit when told to, and
//! reports when that is done; until then the remaining numbers are used.

/// The end of all sequence numbers (RFC 8613 §7.2.1: Partial IVs have at most five bytes).
pub const END: u64 = 1 << 40;
/// How many numbers are reserved at first: what a reset skips at most where little is sent.
pub const AHEAD: u64 = 256;
/// How many are reserved at once where much is sent: each reservation is twice as long as the one before, up to this, so that a
/// notification a second wears the flash ten times a day.
pub const MOST: u64 = 8_192;

/// A counter with its reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence {
    next: u64,
    /// No number from here on may be used: what lies in flash.
    limit: u64,
    /// How many to reserve with the next limit.
    ahead: u64,
}

impl Sequence {
    /// After a reset, with the limit that lies in flash: nothing can be used until a higher one lies there.
    pub const fn resume(limit: u64) -> Self {
        Self {
            next: limit,
            limit,
            ahead: AHEAD,
        }
    }

    /// The limit that should be written now, when there is one: less than half of a reserve is left.
    pub fn wanted(&self) -> Option<u64> {
        let left = self.limit - self.next;
        let wanted = (self.next + self.ahead).min(END);
        (left < AHEAD / 2 && wanted > self.limit).then_some(wanted)
    }

    /// A limit lies in flash now. A lower one than before changes nothing.
    pub fn reserved(&mut self, limit: u64) {
        let limit = limit.min(END);
        if limit > self.limit {
            self.limit = limit;
            self.ahead = (self.ahead * 2).min(MOST);
        }
    }

    /// The next number; `None` when none may be used: the reserve is used up, or all numbers are.
    pub fn take(&mut self) -> Option<u64> {
        let number = self.next;
        self.is_left().then(|| {
            self.next += 1;
            number
        })
    }

    /// Whether there is one.
    pub const fn is_left(&self) -> bool {
        self.next < self.limit
    }

    /// How many numbers were used or skipped.
    pub const fn used(&self) -> u64 {
        self.next
    }
}
