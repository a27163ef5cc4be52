//! What follows when a run ended badly: a trap, memory that is used up, fuel that is.
use super::active::Job;
use super::{Io, Runner};
use crate::mail::{EXHAUSTED, Event};
use crate::slot::{Flash, Reason, State};
use wasmote_engine::{Place, TrapKind};

impl<F: Flash> Runner<F> {
    /// The module cannot go on. Where it had been asked something, it begins anew at once and is asked nothing for a while. Else:
    /// back to the package before it during a trial, or once more from the start, later.
    pub(super) fn failed(&mut self, io: &mut impl Io, mut event: Event) {
        self.backtrace.clear();
        let Some(active) = &self.active else { return };
        if let Event::Trap(sequence, Some(trap)) = event
            && trap.kind == TrapKind::Unreachable
            && active.package.facts.exhausts(trap.place.offset)
        {
            event = Event::Memory(sequence, trap.place);
        }
        self.event = event;
        let (slot, sequence) = (active.package.slot, active.package.manifest.sequence);
        let (job, trial) = (active.job, active.trial);
        for place in active.instance.backtrace().take(self.backtrace.capacity()) {
            let _ = self.backtrace.push(place);
        }
        let reason = match event {
            Event::Trap(_, Some(trap)) => {
                self.stats.traps = self.stats.traps.saturating_add(1);
                self.post
                    .log(format_args!("package {sequence}: trap: {trap}"));
                Reason::Trap
            }
            Event::Memory(_, Place { function, offset }) => {
                self.stats.traps = self.stats.traps.saturating_add(1);
                self.post.log(format_args!(
                    "package {sequence}: trap: {EXHAUSTED} in function {function} at byte {offset}"
                ));
                Reason::Trap
            }
            _ => {
                self.post
                    .log(format_args!("package {sequence}: a run took all its fuel"));
                Reason::Fuel
            }
        };
        self.post.stats = true;
        if self.on_trial(slot) {
            // Nothing of it counts: what the package before it left is there still.
            self.keeper.begin(io.micros() / 1000);
        }
        self.unload();
        let now = io.micros() / 1000;
        if let Some(Job::Request(_)) = job {
            self.requests.fail(now);
            self.resume_package(io);
            if let Some(active) = &mut self.active {
                active.trial = trial;
                active.start_counts = false;
            }
        } else if self.slots.slot(slot).state == State::Trial {
            self.returned = true;
            let _ = self.slots.reject(slot, reason);
            self.restart.forget();
            self.resume_package(io);
            match self.slots.current() {
                Some(back) => {
                    let back = self.slots.slot(back).sequence;
                    self.post
                        .log(format_args!("returned from package {sequence} to {back}"));
                }
                None => self
                    .post
                    .log(format_args!("package {sequence} left, none to return to")),
            }
        } else {
            self.restart.fail(now);
        }
    }
}
