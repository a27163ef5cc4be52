//! What the operator has set stays when a new package comes: parameters by their names, as far as their ranges still fit.
use super::{Runner, load};
use crate::mail::LINE;
use crate::module::{Facts, NAMES};
use crate::slot::Flash;
use core::fmt::Write;

/// Parameters that were changed: their names, which lie in the flash of the package before, and values.
pub(super) type Settings = heapless::Vec<(&'static str, f32), NAMES>;

impl<F: Flash> Runner<F> {
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
        let mut settings = Settings::new();
        for (number, parameter) in facts.iter().flat_map(Facts::parameters).enumerate() {
            if let Some(value) = self.slots.parameter(number as u16) {
                let _ = settings.push((parameter.name, value));
            }
        }
        settings
    }

    /// Lets the package that has just been made active have what the operator set of the one before it, where the name and the
    /// range still fit; says what does not.
    pub(super) fn keep_settings(&mut self, settings: &Settings) {
        let Some(active) = &mut self.active else {
            return;
        };
        let facts = active.package.facts;
        let mut lost = heapless::String::<LINE>::new();
        for (name, value) in settings {
            let found = facts
                .parameters()
                .enumerate()
                .find(|(_, p)| p.name == *name);
            let kept = found.is_some_and(|(number, p)| {
                (p.minimum..=p.maximum).contains(value)
                    && self.slots.set_parameter(number as u16, *value).is_ok()
                    && active
                        .parameters
                        .get_mut(number)
                        .map(|place| *place = *value)
                        .is_some()
            });
            if !kept {
                let _ = write!(lost, " {name}={value}");
            }
        }
        if !lost.is_empty() {
            self.post
                .log(format_args!("parameters that do not fit any more:{lost}"));
        }
    }
}
