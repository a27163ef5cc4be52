//! How much of the CPU what comes from outside may take. A flood is answered as far as this goes; the rest waits where it
//! came, and is lost there, and counted, when there is no more room. Sampling and the module keep what is left.
//!
//! Time is a budget: it refills while the links are idle, as fast as time goes by, up to [`MOST`]; taking datagrams and
//! answering them empties it. So over any time longer than a burst the links have at most half of the CPU.

/// Microseconds that a burst may take before the rest has a turn.
pub const MOST: u32 = 5_000;

/// The purse.
#[derive(Debug)]
pub struct Share {
    /// Microseconds left; below zero after an answer that took longer than there was.
    left: i64,
    /// When it was last looked at.
    at: u64,
}

impl Default for Share {
    fn default() -> Self {
        Self::new()
    }
}

impl Share {
    /// A full one.
    pub const fn new() -> Self {
        Self {
            left: MOST as i64,
            at: 0,
        }
    }

    /// The links have been idle since the last call. The time is in microseconds.
    pub fn rested(&mut self, now: u64) {
        let gained = self.passed(now);
        self.left = self.left.saturating_add(gained).min(i64::from(MOST));
    }

    /// The links have been worked for since the last call; whether they may go on.
    pub fn worked(&mut self, now: u64) -> bool {
        let spent = self.passed(now);
        // A debt of more than a second was not caused by this work.
        self.left = self.left.saturating_sub(spent).max(-1_000_000);
        self.left > 0
    }

    /// When they may go on, in whole milliseconds from the last call.
    pub fn again(&self) -> u64 {
        (1 - self.left).max(0) as u64 / 1000 + 1
    }

    fn passed(&mut self, now: u64) -> i64 {
        let passed = now.saturating_sub(self.at);
        self.at = now;
        i64::try_from(passed).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_gets_half_of_the_time_whatever_an_answer_takes() {
        for answer in [1_u64, 10, 300, 3_000, 33_000] {
            let mut share = Share::new();
            let (mut now, mut working, mut resting) = (0, 0_u64, 0_u64);
            while now < 10_000_000 {
                share.rested(now);
                let start = now;
                while share.worked(now) {
                    now += answer;
                }
                working += now - start;
                // The server is woken by the next tick at the earliest, and by a sample of 1 kHz in any case.
                let pause = 1000 - now % 1000;
                now += pause;
                resting += pause;
            }
            let most = u64::from(MOST) + answer;
            assert!(working <= resting + most, "{answer}: {working}, {resting}");
            // And not much less than half either.
            assert!(
                working + most + resting / 10 >= resting,
                "{answer}: {working}, {resting}"
            );
        }
    }

    #[test]
    fn a_burst_after_a_rest_is_taken_at_once_and_no_longer_than_said() {
        let mut share = Share::new();
        share.rested(1 << 40);
        let mut now = 1 << 40;
        let start = now;
        while share.worked(now) {
            now += 10;
        }
        assert_eq!(now - start, u64::from(MOST));
        assert_eq!(share.again(), 1);
    }

    #[test]
    fn it_says_when_there_is_some_again() {
        for debt in [0, 1, 999, 1_000, 1_001, 33_000] {
            let mut share = Share::new();
            let now = u64::from(MOST) + debt;
            assert!(!share.worked(now));
            let again = share.again();
            share.rested(now + again * 1000);
            assert!(share.worked(now + again * 1000));
            assert!((again - 1) * 1000 <= debt + 1);
        }
        // A clock that stops or was set back adds nothing, and one that jumped does not cause a lasting debt.
        let mut share = Share::new();
        share.rested(500);
        share.rested(100);
        assert!(!share.worked(u64::MAX));
        assert!(share.again() <= 1_001);
    }
}
