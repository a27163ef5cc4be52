//! What sensors said lately, and how they are.
use crate::board::{FAULTS, Fault};
use crate::document::Sample;
use crate::module::NAMES;

/// Samples kept of each sensor.
pub(crate) const HISTORY: usize = 16;
/// A fault between samples that come all the same is counted, and says nothing of the newest: in milliseconds.
const PATIENCE: u64 = 1_000;

/// A sensor's samples and faults. All zeros at first, so that a static of it takes no flash.
#[derive(Debug)]
pub(crate) struct Track {
    samples: heapless::HistoryBuf<Sample, HISTORY>,
    /// Milliseconds between the last two samples; 0 before there are two.
    interval: u32,
    /// One more than the place of its present fault in [`Fault::ALL`]; 0 while there is none.
    fault: u8,
    /// Whether the module was told that there is no value now.
    lost: bool,
    /// Faults by kind.
    faults: [u32; FAULTS],
}

impl Track {
    const fn new() -> Self {
        Self {
            samples: heapless::HistoryBuf::new(),
            interval: 0,
            fault: 0,
            lost: false,
            faults: [0; FAULTS],
        }
    }

    /// A sample, which says that the sensor is well.
    pub(crate) fn sample(&mut self, sample: Sample) {
        if let Some(last) = self.samples.recent() {
            let interval = sample.at.saturating_sub(last.at);
            self.interval = u32::try_from(interval).unwrap_or(u32::MAX);
        }
        self.samples.write(sample);
        (self.fault, self.lost) = (0, false);
    }

    /// A fault; whether it is news.
    pub(crate) fn fail(&mut self, fault: Fault) -> bool {
        let kinds = Fault::ALL.iter().zip(&mut self.faults).zip(1u8..);
        let mut news = false;
        for ((kind, count), code) in kinds {
            if *kind == fault {
                *count = count.saturating_add(1);
                news = core::mem::replace(&mut self.fault, code) != code;
            }
        }
        news
    }

    /// What is wrong with it now.
    pub(crate) fn fault(&self, now: u64) -> Option<Fault> {
        let fault = Fault::ALL.get(usize::from(self.fault.checked_sub(1)?))?;
        let fresh = self
            .samples
            .recent()
            .is_some_and(|s| now.saturating_sub(s.at) < PATIENCE);
        (!fresh || *fault == Fault::Silent).then_some(*fault)
    }

    /// Whether its newest value is no present one any more, which is said once.
    pub(crate) fn lose(&mut self, now: u64) -> bool {
        self.fault(now).is_some() && !core::mem::replace(&mut self.lost, true)
    }

    /// How often it had each fault.
    pub(crate) fn faults(&self) -> &[u32; FAULTS] {
        &self.faults
    }

    /// Its newest samples, the oldest of them first.
    pub(crate) fn newest(&self, count: usize) -> impl Iterator<Item = &Sample> {
        let skip = self.samples.len().saturating_sub(count);
        self.samples.oldest_ordered().skip(skip)
    }

    /// For how many seconds from now on its newest value is good (RFC 7252 §5.10.5): until the next but one is due, and none once that
    /// is over. 60, which is what is meant where nothing is said, before that is known and at most.
    pub(crate) fn max_age(&self, now: u64) -> u32 {
        match (self.interval, self.samples.recent()) {
            (0, _) | (_, None) => 60,
            (interval, Some(last)) => {
                // In 32 bits, which the chip divides by itself.
                let age = u32::try_from(now.saturating_sub(last.at)).unwrap_or(u32::MAX);
                let left = interval.saturating_mul(2).saturating_sub(age);
                left.div_ceil(1000).min(60)
            }
        }
    }
}

/// All sensors.
pub(crate) struct History(pub(crate) [Track; NAMES]);

impl History {
    pub(crate) const fn new() -> Self {
        Self([const { Track::new() }; NAMES])
    }
}
