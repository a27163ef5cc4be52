//! What the operator sets: the parameters of the package that runs. What is set stays when a new package comes, by the names of
//! the parameters and as far as their ranges still fit.
//!
//! **When.** The module has a new value at once. Flash has it before the answer where this parameter was not written in the last
//! [`SETTLE`] and a write is left of [`WRITES`]; else the newest value is written as soon as both are so, the parameter that
//! waits longest first. The answer says which: it is empty, or gives the seconds. So a slider may be dragged for as long as one likes, and
//! costs one write in ten seconds, or in ten minutes where it goes on for hours.
//!
//! **What a power cut leaves.** The value that was written last. Lost is what the answer said is to be written later: ten seconds of
//! changes as a rule, and never more than ten minutes for each parameter that waits. Before another package takes the place, and
//! before an orderly restart, all is written at once.
//!
//! **Wear.** [`WRITES`] and [`EACH`] hold for everybody together, with a security context or without: some ten erasures a
//! day at most, whoever changes what how often.
use super::{Io, Runner, load};
use crate::decimal::Decimal;
use crate::mail::{LINE, Up};
use crate::module::{Facts, NAMES};
use crate::slot::{Budget, Flash, SlotError};
use core::fmt::Write;
use wasmote_coap::Code;

/// Values that are written at once ...
const WRITES: u8 = 16;
/// ... and milliseconds until one more may be.
const EACH: u64 = 600_000;
/// Milliseconds from one write of a parameter to the next, which is then of its newest value.
const SETTLE: u64 = 10_000;
/// Milliseconds after which a write that failed is tried again.
const RETRY: u64 = 60_000;

/// Parameters that were changed: their names, which lie in the flash of the package before, and values.
pub(super) type Settings = heapless::Vec<(&'static str, f32), NAMES>;

/// What the Runner knows of parameters that flash does not.
#[derive(Debug)]
pub(super) struct Unsaved {
    /// Numbers and values, in the order in which they came to wait.
    values: heapless::Vec<(u8, f32), NAMES>,
    /// Era and sequence of the package whose they are.
    of: (u32, u32),
    /// Seconds since the start from which on each may be written.
    from: [u32; NAMES],
    writes: Budget,
    /// Before this time nothing is written, as the last try failed.
    retry: u64,
    /// That it did was told.
    told: bool,
}

impl Unsaved {
    pub(super) fn new() -> Self {
        Self {
            values: heapless::Vec::new(),
            of: (0, 0),
            from: [0; NAMES],
            writes: Budget::new(WRITES, EACH),
            retry: 0,
            told: false,
        }
    }

    /// A package's parameter has a value that flash has not.
    fn put(&mut self, of: (u32, u32), number: u8, value: f32) {
        if self.of != of {
            self.values.clear();
            self.of = of;
        }
        match self.values.iter_mut().find(|(n, _)| *n == number) {
            Some((_, place)) => *place = value,
            // There are as many places as parameters.
            None => drop(self.values.push((number, value))),
        }
    }

    /// The value of a package's parameter, where flash has not the newest.
    fn get(&self, of: (u32, u32), number: usize) -> Option<f32> {
        let found = self.values.iter().find(|(n, _)| usize::from(*n) == number);
        found.filter(|_| self.of == of).map(|(_, value)| *value)
    }

    /// When one may be written, in milliseconds since the start.
    fn due(&self, number: u8) -> u64 {
        let from = self.from.get(usize::from(number)).copied().unwrap_or(0);
        let from = u64::from(from) * 1000;
        from.max(self.writes.due()).max(self.retry)
    }

    /// What may be written next, and when: of equals, what waits longest.
    fn next(&self) -> Option<(u64, usize, u8)> {
        let all = self.values.iter().enumerate();
        all.map(|(place, (number, _))| (self.due(*number), place, *number))
            .min()
    }

    /// One was written.
    fn wrote(&mut self, now: u64, number: u8) {
        self.values.retain(|(n, _)| *n != number);
        if let Some(from) = self.from.get_mut(usize::from(number)) {
            *from = u32::try_from((now + SETTLE) / 1000).unwrap_or(u32::MAX);
        }
        let _ = self.writes.spend();
        self.told = false;
    }
}

impl<F: Flash> Runner<F> {
    /// Era and sequence of the package that runs, or is to run again.
    fn identity(&self) -> Option<(u32, u32)> {
        let slot = self.slots.slot(self.slots.current()?);
        Some((slot.era, slot.sequence))
    }

    /// When there is a parameter to write.
    pub(super) fn unsaved_until(&self) -> Option<u64> {
        let (due, _, _) = self.unsaved.next()?;
        (self.identity() == Some(self.unsaved.of)).then_some(due)
    }

    /// The module that begins gets what flash has not.
    pub(super) fn give_parameters(&mut self) {
        let Some(of) = self.identity() else { return };
        let Some(active) = &mut self.active else {
            return;
        };
        for (number, place) in active.parameters.iter_mut().enumerate() {
            if let Some(value) = self.unsaved.get(of, number) {
                *place = value;
            }
        }
    }

    /// A new value of a parameter.
    pub(super) fn set_parameter(&mut self, io: &mut impl Io, ticket: u16, number: u8, value: f32) {
        let of = self.identity();
        let place = self
            .active
            .as_mut()
            .and_then(|active| active.parameters.get_mut(usize::from(number)));
        let (Some(place), Some(of)) = (place, of) else {
            self.post
                .answer(ticket, Code::NOT_FOUND, format_args!("no package runs"));
            return;
        };
        // What is so already is not told again.
        if place.to_bits() != value.to_bits() {
            *place = value;
            self.unsaved.put(of, number, value);
            let _ = self.post.mail.up.enqueue(Up::Parameter(number, value));
            self.post.app = true;
            self.save_parameters(io, false);
        }
        if self.unsaved.get(of, usize::from(number)).is_none() {
            self.post.answer(ticket, Code::CHANGED, format_args!(""));
            return;
        }
        let now = io.micros() / 1000;
        let due = self.unsaved.due(number).saturating_sub(now).div_ceil(1000);
        self.post.answer(
            ticket,
            Code::CHANGED,
            format_args!("kept over a reset in {} s", due.max(1)),
        );
    }

    /// Writes what waits and may be written, or all of it where it is `now_or_never`. Whether there was anything.
    pub(super) fn save_parameters(&mut self, io: &mut impl Io, now_or_never: bool) -> bool {
        let now = io.micros() / 1000;
        self.unsaved.writes.at(now);
        let mut any = false;
        while let Some((due, _, number)) = self.unsaved.next() {
            let late = now_or_never || due <= now;
            if !late || self.identity() != Some(self.unsaved.of) {
                break;
            }
            any = true;
            let value = self.unsaved.get(self.unsaved.of, usize::from(number));
            let written = value.map(|value| self.slots.set_parameter(u16::from(number), value));
            let Some(Err(error)) = written else {
                self.unsaved.wrote(now, number);
                continue;
            };
            self.unsaved.retry = now + RETRY;
            if !core::mem::replace(&mut self.unsaved.told, true) {
                self.post.log(format_args!(
                    "parameters are saved later: {}",
                    match error {
                        SlotError::Worn => "the flash was erased often enough for today",
                        SlotError::Full => "the journal is full until this is over",
                        _ => "storage",
                    }
                ));
            }
            break;
        }
        if any {
            self.follow(io);
        }
        any
    }

    /// What the operator has set of the package that runs, or is to run again: names and values of its parameters.
    pub(super) fn settings(&mut self) -> Settings {
        let facts = match &self.active {
            Some(active) => Some(active.package.facts),
            // It trapped, and waits for its next start.
            None => self.slots.current().and_then(|slot| {
                let checked = load::recheck(&mut self.slots, slot, self.scratch)?;
                load::load(&self.slots, &checked, &self.limits, self.memory)
                    .ok()
                    .map(|package| package.facts)
            }),
        };
        let of = self.identity().unwrap_or_default();
        let mut settings = Settings::new();
        for (number, parameter) in facts.iter().flat_map(Facts::parameters).enumerate() {
            let newest = self.unsaved.get(of, number);
            if let Some(value) = newest.or_else(|| self.slots.parameter(number as u16)) {
                let _ = settings.push((parameter.name, value));
            }
        }
        settings
    }

    /// Lets the package that has just been made active have what the operator set of the one before it, where the name and the
    /// range still fit; says what does not.
    pub(super) fn keep_settings(&mut self, io: &mut impl Io, settings: &Settings) {
        let (Some(active), Some(of)) = (&self.active, self.identity()) else {
            return;
        };
        let facts = active.package.facts;
        let mut lost = heapless::String::<LINE>::new();
        for (name, value) in settings {
            let all = facts.parameters().enumerate();
            let mut named = all.filter(|(_, p)| p.name == *name);
            let fits = named.find(|(_, p)| (p.minimum..=p.maximum).contains(value));
            if let Some((number, _)) = fits {
                self.unsaved.put(of, number as u8, *value);
            } else {
                let _ = write!(lost, " {name}={}", Decimal::from(*value));
            }
        }
        self.give_parameters();
        self.save_parameters(io, true);
        if !lost.is_empty() {
            self.post
                .log(format_args!("parameters that do not fit any more:{lost}"));
        }
    }
}
