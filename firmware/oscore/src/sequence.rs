//! Our own sequence numbers: each is used once, across resets and power cuts (RFC 8613 §7.2.1).
//!
//! A number may be used only below a limit that lies in flash already (RFC 8613 §B.1.1): after a reset numbers go on at the
//! limit, so those between are skipped, never used again. Whoever owns the journal writes a higher limit when told to, and
//! says so when that is done; until then the numbers that are left serve.

/// The end of all sequence numbers (RFC 8613 §7.2.1: Partial IVs have at most five bytes).
pub const END: u64 = 1 << 40;
/// How many numbers are reserved at once: with a limit of 16 bytes a sector of 16 KiB lasts for 260,000 of them.
pub const AHEAD: u64 = 256;

/// A counter with its reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence {
    next: u64,
    /// No number from here on may be used: what lies in flash.
    limit: u64,
}

impl Sequence {
    /// After a reset, with the limit that lies in flash: nothing can be used until a higher one lies there.
    pub const fn resume(limit: u64) -> Self {
        Self { next: limit, limit }
    }

    /// The limit that should be written now, when there is one: less than half of a reserve is left.
    pub fn wanted(&self) -> Option<u64> {
        let left = self.limit - self.next;
        let wanted = (self.next + AHEAD).min(END);
        (left < AHEAD / 2 && wanted > self.limit).then_some(wanted)
    }

    /// A limit lies in flash now. A lower one than before changes nothing.
    pub fn reserved(&mut self, limit: u64) {
        self.limit = self.limit.max(limit.min(END));
    }

    /// The next number; `None` when none may be used: the reserve is used up, or all numbers are.
    pub fn take(&mut self) -> Option<u64> {
        let number = self.next;
        (number < self.limit).then(|| {
            self.next += 1;
            number
        })
    }

    /// How many numbers were used or skipped.
    pub const fn used(&self) -> u64 {
        self.next
    }
}
