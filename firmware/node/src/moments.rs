//! What a document tells of the node itself, as it was at one moment: all blocks of one read are of the same (RFC 7959 §2.4),
//! however many others read, observe or change things meanwhile.
use crate::board::Gauges;
use crate::mail::Stats;
use core::sync::atomic::Ordering;
use wasmote_coap::{Counters, READS, Read};
use wasmote_oscore::Counters as GuardCounters;

/// Moments that are kept for reads under way: when there are more of them, they share the newest.
const KEPT: usize = 3;
/// The oldest that is shared, in milliseconds: after that a newer one takes the place of the oldest, and who reads that begins
/// again.
const SHARED: u64 = 5_000;
/// Tasks of a board whose longest times are told.
const TASKS: usize = 8;

/// What changes from one moment to the next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) now: u64,
    pub(crate) counters: Counters,
    /// Of the security stage.
    pub(crate) guard: GuardCounters,
    pub(crate) observers: usize,
    pub(crate) gauges: Gauges,
    /// The board's tasks: the most cycles of each.
    pub(crate) longest: [u32; TASKS],
    pub(crate) stats: Stats,
    pub(crate) dropped: u32,
    pub(crate) refused: u32,
}

impl Default for Moment {
    fn default() -> Self {
        Self {
            now: 0,
            counters: Counters::default(),
            guard: GuardCounters::default(),
            observers: 0,
            gauges: Gauges::default(),
            longest: [0; TASKS],
            stats: Stats::default(),
            dropped: 0,
            refused: 0,
        }
    }
}

impl Moment {
    /// What the board's tasks took at this moment: it is read while they run.
    pub(crate) fn measured(mut self) -> Self {
        for (to, (_, cycles)) in self.longest.iter_mut().zip(self.gauges.tasks) {
            *to = cycles.load(Ordering::Relaxed);
        }
        self
    }

    /// The board's tasks with the most cycles that each has taken.
    pub(crate) fn longest(&self) -> impl Iterator<Item = (&'static str, u32)> + '_ {
        let names = self.gauges.tasks.iter().map(|(name, _)| *name);
        names.zip(self.longest)
    }
}

/// The moments of the reads under way.
#[derive(Debug)]
pub(crate) struct Moments {
    kept: [Moment; KEPT],
    newest: usize,
    /// Which of them each read has.
    of: [Option<u8>; READS],
}

impl Moments {
    pub(crate) fn new() -> Self {
        Self {
            kept: [Moment::default(); KEPT],
            newest: 0,
            of: [None; READS],
        }
    }

    /// The moment that an answer tells: the present one, but for a later block that of the first.
    pub(crate) fn choose(&mut self, read: Option<Read>, present: Moment) -> Moment {
        let Some(read) = read else { return present };
        let Some(index) = self.index(read, &present) else {
            return present;
        };
        self.kept.get(index).copied().unwrap_or(present)
    }

    /// A read of something else begins: it needs none.
    pub(crate) fn forget(&mut self, read: Option<Read>) {
        if let Some(read) = read.filter(|read| read.begins)
            && let Some(of) = self.of.get_mut(usize::from(read.number))
        {
            *of = None;
        }
    }

    fn index(&mut self, read: Read, present: &Moment) -> Option<usize> {
        let number = usize::from(read.number);
        if !read.begins {
            return self.of.get(number).copied()?.map(usize::from);
        }
        let others = self
            .of
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != number && read.open >> other & 1 == 1);
        let held = others.fold([false; KEPT], |mut held, (_, of)| {
            if let Some(place) = of.and_then(|of| held.get_mut(usize::from(of))) {
                *place = true;
            }
            held
        });
        let free = held.iter().position(|held| !held);
        let newest_at = self.kept.get(self.newest).map_or(0, |m| m.now);
        let shares = free.is_none() && present.now < newest_at + SHARED;
        if !shares {
            let all = self.kept.iter().enumerate();
            let oldest = all.min_by_key(|(_, m)| m.now).map(|(index, _)| index);
            self.newest = free.or(oldest)?;
            *self.kept.get_mut(self.newest)? = *present;
        }
        let index = self.newest;
        *self.of.get_mut(number)? = Some(index as u8);
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(now: u64) -> Moment {
        Moment {
            now,
            ..Moment::default()
        }
    }

    fn read(number: u8, begins: bool, open: u16) -> Option<Read> {
        Some(Read {
            number,
            begins,
            open,
        })
    }

    #[test]
    fn each_read_has_its_moment_for_as_long_as_there_is_room() {
        let mut moments = Moments::new();
        assert_eq!(moments.choose(None, at(7)).now, 7);
        for number in 0..KEPT as u8 {
            let open = (1u16 << number) - 1;
            let begun = 100 + u64::from(number);
            assert_eq!(
                moments.choose(read(number, true, open), at(begun)).now,
                begun
            );
        }
        for number in 0..KEPT as u8 {
            let later = moments.choose(read(number, false, 0b111), at(900));
            assert_eq!(later.now, 100 + u64::from(number));
        }
        // One more shares the newest while that is young, and takes the place of the oldest then.
        for (now, told) in [
            (4_000, 102),
            (102 + SHARED - 1, 102),
            (102 + SHARED, 102 + SHARED),
        ] {
            assert_eq!(
                moments.choose(read(9, true, 0b111), at(now)).now,
                told,
                "{now}"
            );
            assert_eq!(moments.choose(read(9, false, 0b111), at(now + 1)).now, told);
        }
        let first = moments.choose(read(0, false, 0b111), at(9_000));
        assert_eq!(first.now, 102 + SHARED, "its moment was the oldest");
        let second = moments.choose(read(1, false, 0b111), at(9_000));
        assert_eq!(second.now, 101);
    }

    #[test]
    fn a_place_is_held_by_reads_that_are_open_and_no_others() {
        let mut moments = Moments::new();
        for number in 0..KEPT as u8 {
            moments.choose(read(number, true, 0), at(100 + u64::from(number)));
        }
        // Nothing of that is open any more: each new read begins at its own time.
        for (number, now) in [(5, 200), (6, 300), (5, 400)] {
            assert_eq!(moments.choose(read(number, true, 0), at(now)).now, now);
        }
        // Only the second is: the others give way.
        let mut moments = Moments::new();
        for number in 0..KEPT as u8 {
            let open = (1u16 << number) - 1;
            moments.choose(read(number, true, open), at(100 + u64::from(number)));
        }
        for now in [200, 300, 400] {
            assert_eq!(moments.choose(read(7, true, 0b010), at(now)).now, now);
            assert_eq!(moments.choose(read(1, false, 0b010), at(now)).now, 101);
        }
    }

    #[test]
    fn a_read_of_something_else_has_none() {
        let mut moments = Moments::new();
        moments.choose(read(2, true, 0), at(5));
        moments.forget(read(2, false, 0));
        assert_eq!(moments.choose(read(2, false, 0), at(6)).now, 5);
        moments.forget(read(2, true, 0));
        assert_eq!(moments.choose(read(2, false, 0), at(6)).now, 6);
    }
}
