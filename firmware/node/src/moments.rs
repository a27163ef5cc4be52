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
