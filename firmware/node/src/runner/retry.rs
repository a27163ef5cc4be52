//! When to try again after a failure: later each time, until things have gone well for a while.

/// The first wait, in milliseconds; doubled each time up to [`LONGEST`].
const SHORTEST: u64 = 1_000;
/// The longest wait, in milliseconds.
const LONGEST: u64 = 60_000;

/// After so many milliseconds without a failure the next wait is the shortest again.
const CALM: u64 = 600_000;

/// A wait that doubles with each failure.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Retry {
    /// The last wait, in milliseconds; 0 when nothing has failed.
    wait: u64,
    /// Until when, in milliseconds since the start.
    until: Option<u64>,
    /// When the last failure was, in milliseconds since the start.
    failed: u64,
}

impl Retry {
    /// Begins a wait, twice as long as the last one.
    pub(super) fn fail(&mut self, now: u64) {
        if now.saturating_sub(self.failed) > CALM {
            self.wait = 0;
        }
        self.failed = now;
        self.wait = (self.wait * 2).clamp(SHORTEST, LONGEST);
        self.until = Some(now.saturating_add(self.wait));
    }

    /// Until when to wait, in milliseconds since the start.
    pub(super) fn until(&self) -> Option<u64> {
        self.until
    }

    /// Whether a wait is over; a wait that was never begun is not.
    pub(super) fn due(&self, now: u64) -> bool {
        self.until.is_some_and(|until| now >= until)
    }

    /// How much of a wait is left, in milliseconds.
    pub(super) fn left(&self, now: u64) -> Option<u64> {
        self.until?.checked_sub(now).filter(|left| *left > 0)
    }

    /// The wait is over; the next one is still twice as long.
    pub(super) fn resume(&mut self) {
        self.until = None;
    }

    /// All has gone well: the next failure begins with the shortest wait.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}
