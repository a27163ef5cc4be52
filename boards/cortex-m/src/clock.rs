//! Milliseconds since the start in 64 bits, on a CPU whose words have 32: they last longer than any board.
//!
//! 32 bits of milliseconds are over after 49.7 days. Two words cannot be read at once, and a reader may come between the two
//! writes or hold them up, whatever its priority. So the second word counts *halves* of the first one's round, and its lowest bit
//! says what the first one's highest must be: a word that is read a little too early or too late is seen by that and still means the
//! same moment.
use core::sync::atomic::{AtomicU32, Ordering};

/// Half a round of the milliseconds, 24.8 days.
const HALF: u32 = 1 << 31;

/// A clock with one writer and any number of readers.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Clock {
    /// The milliseconds, as far as they go.
    low: AtomicU32,
    /// Halves of the milliseconds' round that are over.
    halves: AtomicU32,
}

impl Clock {
    /// At zero.
    pub const fn new() -> Self {
        Self {
            low: AtomicU32::new(0),
            halves: AtomicU32::new(0),
        }
    }

    /// A millisecond later. To be called by one task; gives the new time.
    pub fn tick(&self) -> u64 {
        let low = self.low.load(Ordering::Relaxed).wrapping_add(1);
        self.low.store(low, Ordering::Release);
        if low.is_multiple_of(HALF) {
            let halves = self.halves.load(Ordering::Relaxed).wrapping_add(1);
            self.halves.store(halves, Ordering::Release);
        }
        self.now()
    }

    /// The time. For any task, above or below the one that ticks.
    pub fn now(&self) -> u64 {
        let halves = self.halves.load(Ordering::Acquire);
        let low = self.low.load(Ordering::Acquire);
        moment(halves, low)
    }

    /// The lower word, for what only takes differences.
    pub fn low(&self) -> u32 {
        self.low.load(Ordering::Relaxed)
    }
}

/// What the words mean, if they were read less than half a round apart.
fn moment(halves: u32, low: u32) -> u64 {
    u64::from(halves) * u64::from(HALF) + u64::from(low ^ (halves & 1) << 31)
}

/// A moment to be woken at: set by one task, looked at by another, in one word.
#[derive(Debug, Default)]
pub struct Alarm(AtomicU32);

impl Alarm {
    /// How far ahead an alarm may be set, 12.4 days; for later ones it goes off too early, and is set again.
    const AHEAD: u64 = 1 << 30;

    /// Due at zero.
    pub const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Sets it; without a moment, as far ahead as it can be.
    pub fn set(&self, now: u64, at: Option<u64>) {
        let last = now + Self::AHEAD;
        let at = at.map_or(last, |at| at.clamp(now, last));
        self.0.store(at as u32, Ordering::Relaxed);
    }

    /// Whether the moment has come; it stays due until the alarm is set again.
    pub fn is_due(&self, now: u64) -> bool {
        (now as u32).wrapping_sub(self.0.load(Ordering::Relaxed)) < HALF
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: u64) -> Clock {
        Clock {
            low: AtomicU32::new(time as u32),
            halves: AtomicU32::new((time >> 31) as u32),
        }
    }

    /// Moments at which one of the words has just changed or is about to.
    fn edges() -> impl Iterator<Item = u64> {
        let ends = (1..9).chain([1 << 20, (1 << 32) - 1]);
        ends.flat_map(|half: u64| (half << 31) - 3..(half << 31) + 3)
    }

    #[test]
    fn time_goes_on_over_the_end_of_the_words() {
        for start in edges() {
            let clock = at(start);
            assert_eq!(clock.now(), start);
            for later in 1..8 {
                assert_eq!(clock.tick(), start + later);
                assert_eq!(clock.now(), start + later);
                assert_eq!(clock.low(), (start + later) as u32);
            }
        }
    }

    #[test]
    fn a_reader_between_the_two_writes_sees_the_time_before_or_after() {
        for time in edges() {
            let (old, new) = (time >> 31, (time + 1) >> 31);
            // The writer was interrupted after its first write; or the reader after its first read, by the whole tick.
            for halves in [old, new] {
                assert_eq!(moment(halves as u32, (time + 1) as u32), time + 1);
            }
            assert_eq!(moment(old as u32, time as u32), time);
        }
        // Even a reader that was held up for weeks.
        assert_eq!(moment(2, 1 << 31), 1 << 31 | 1 << 32);
        assert_eq!(moment(2, 7), 1 << 32 | 7);
    }

    #[test]
    fn an_alarm_is_due_from_its_moment_on_whatever_the_words_do() {
        for now in edges() {
            for ahead in [0, 1, 2, 1000, Alarm::AHEAD - 1, Alarm::AHEAD] {
                let alarm = Alarm::new();
                alarm.set(now, Some(now + ahead));
                assert_eq!(alarm.is_due(now), ahead == 0);
                assert!(ahead == 0 || !alarm.is_due(now + ahead - 1));
                assert!(alarm.is_due(now + ahead) && alarm.is_due(now + ahead + 1_000_000));
            }
            // One in the past is due, one far ahead goes off early, and none is far ahead.
            let alarm = Alarm::new();
            alarm.set(now, Some(0));
            assert!(alarm.is_due(now));
            for later in [None, Some(u64::MAX)] {
                alarm.set(now, later);
                assert!(!alarm.is_due(now + Alarm::AHEAD - 1) && alarm.is_due(now + Alarm::AHEAD));
            }
        }
    }
}
