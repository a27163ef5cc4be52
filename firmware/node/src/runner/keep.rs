//! What a module keeps (`state("total", 0)`): over resets, updates and rollbacks.
//!
//! **When.** After each run that ended well the values are taken from the module's memory. A change is in flash at most
//! [`limits::STATE_PERIOD`] later; and before another package takes the place, and before an orderly restart. A power cut so costs ten
//! minutes of it at most.
//!
//! **What comes back.** Before `start`, each state by its name and type: what was there when the package before it was left in good
//! order; else what was saved for this package, else for the one before. A package that fails its trial leaves nothing: the one
//! before goes on from where it was left.
//!
//! **Wear.** A save appends to the slot (see `slot/records.rs`), unless nothing changed. Its erasures come out of the daily
//! budget; when that is spent, the state is saved later.
use super::{Io, Runner, load};
use crate::contract::limits;
use crate::mail::{Reply, ReplyKind};
use crate::module::{Facts, NAMES, StateFact};
use crate::slot::{Flash, SlotError, State, checksum};
use wasmote_coap::Code;
use wasmote_engine::Instance;

/// All values of a module, one behind the other.
pub(super) type Values = heapless::Vec<u8, { limits::STATE_BYTES as usize }>;
/// They as they are saved: before each the checksum of its name and type, and its length.
type Block = heapless::Vec<u8, { limits::STATE_BYTES as usize + NAMES * MARK }>;
/// Bytes before a value.
const MARK: usize = 5;
/// What says that a record of the slot is such a block.
const TAG: u32 = 1;
/// Milliseconds after which a save that failed is tried again.
const RETRY: u64 = 60_000;

/// What the Runner knows of states.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    /// As they were after the last good run.
    now: Values,
    /// As they are in flash; empty while that is not known.
    saved: Values,
    /// When that was, in milliseconds since the start.
    saved_at: Option<u64>,
    /// When a change is to be saved at the earliest.
    due: u64,
    /// Of the package that was left in good order.
    carried: Block,
    /// That the flash is worn for today was told.
    told: bool,
}

/// What a name and a type are to a block.
fn mark(state: &StateFact) -> [u8; 4] {
    checksum(&[state.name.as_bytes(), &[0], state.shape.bytes()]).to_le_bytes()
}

/// The state that a module's memory has at a place.
fn place(state: &StateFact, memory: &[u8]) -> Option<core::ops::Range<usize>> {
    let end = state.at.checked_add(state.shape.size())? as usize;
    (end <= memory.len()).then_some(state.at as usize..end)
}

/// The values in a module's memory; empty where one is not in it.
fn take(facts: &Facts, memory: &[u8]) -> Values {
    let mut values = Values::new();
    for state in facts.states() {
        let bytes = place(&state, memory).and_then(|range| memory.get(range));
        if bytes.is_none_or(|bytes| values.extend_from_slice(bytes).is_err()) {
            return Values::new();
        }
    }
    values
}

/// Puts what a block has of a module's states into its memory.
fn give(facts: &Facts, block: &[u8], memory: &mut [u8]) {
    for state in facts.states() {
        let mut rest = block;
        while let Some((head, behind)) = rest.split_first_chunk::<MARK>() {
            let [a, b, c, d, length] = *head;
            let (value, next) = behind.split_at(usize::from(length).min(behind.len()));
            if [a, b, c, d] == mark(&state)
                && value.len() == state.shape.size() as usize
                && let Some(to) = place(&state, memory).and_then(|range| memory.get_mut(range))
            {
                to.copy_from_slice(value);
            }
            rest = next;
        }
    }
}

/// Values with what they are.
fn block(facts: &Facts, values: &[u8]) -> Block {
    let (mut block, mut rest) = (Block::new(), values);
    for state in facts.states() {
        let size = state.shape.size() as usize;
        let Some((value, behind)) = rest.split_at_checked(size) else {
            break;
        };
        let _ = block.extend_from_slice(&mark(&state));
        let _ = block.push(size as u8);
        let _ = block.extend_from_slice(value);
        rest = behind;
    }
    block
}

impl Keeper {
    /// Another package begins: nothing is known of it.
    pub(super) fn begin(&mut self, now: u64) {
        self.now.clear();
        self.saved.clear();
        self.saved_at = None;
        self.due = now + u64::from(limits::STATE_PERIOD);
    }

    /// A run ended well.
    pub(super) fn look(&mut self, facts: &Facts, instance: &Instance<'_, '_>) {
        if facts.keeps() {
            self.now = take(facts, instance.memory());
        }
    }

    /// The package is left in good order.
    pub(super) fn carry(&mut self, facts: &Facts) {
        if facts.keeps() && !self.now.is_empty() {
            self.carried = block(facts, &self.now);
        } else if !facts.keeps() {
            self.carried.clear();
        }
    }

    /// What was kept is not wanted any more.
    pub(super) fn forget(&mut self) {
        self.now.clear();
        self.carried.clear();
    }

    /// When there is something to save.
    pub(super) fn until(&self) -> Option<u64> {
        (!self.now.is_empty() && self.now != self.saved).then_some(self.due)
    }

    /// The value with this number, with the milliseconds since it was saved as it is or was: `None` where no run has been yet.
    pub(super) fn value(&self, facts: &Facts, number: u8, now: u64) -> Option<(u32, &[u8])> {
        let mut at = 0;
        for (index, state) in facts.states().enumerate() {
            let end = at + state.shape.size() as usize;
            if index == usize::from(number) {
                let age = self.saved_at.map(|at| now.saturating_sub(at));
                let age = age.and_then(|age| u32::try_from(age).ok());
                return Some((age.unwrap_or(u32::MAX), self.now.get(at..end)?));
            }
            at = end;
        }
        None
    }
}

impl<F: Flash> Runner<F> {
    /// The module was set up and its `start` comes next: it gets what was kept.
    pub(super) fn give_states(&mut self) {
        let Some(active) = &mut self.active else {
            return;
        };
        let (facts, slot) = (active.package.facts, active.package.slot);
        if !facts.keeps() {
            return;
        }
        let memory = active.instance.memory_mut();
        if !self.keeper.carried.is_empty() {
            give(&facts, &self.keeper.carried, memory);
            return;
        }
        let mut bytes = [0; crate::slot::STATE];
        let previous = self.slots.previous();
        let saved = self.slots.saved(slot, &mut bytes);
        let saved = saved.or_else(|| self.slots.saved(previous?, &mut bytes));
        if let Some((TAG, length)) = saved {
            give(&facts, bytes.get(..length).unwrap_or(&[]), memory);
        }
    }

    /// Saves what has changed, where it is time or `now_or_never`.
    pub(super) fn save_states(&mut self, io: &mut impl Io, now_or_never: bool) -> bool {
        let now = io.micros() / 1000;
        let due = self.keeper.until();
        let Some(active) = self
            .active
            .as_ref()
            .filter(|_| due.is_some_and(|due| now_or_never || due <= now))
        else {
            return false;
        };
        let block = block(&active.package.facts, &self.keeper.now);
        let saved = self.slots.save(TAG, &block);
        let keeper = &mut self.keeper;
        keeper.due = now + u64::from(limits::STATE_PERIOD);
        match saved {
            Ok(()) => {
                keeper.saved.clone_from(&keeper.now);
                keeper.saved_at = Some(now);
                keeper.told = false;
            }
            Err(error) => {
                keeper.due = now + RETRY;
                if !core::mem::replace(&mut keeper.told, true) {
                    self.post.log(format_args!(
                        "the state is saved later: {}",
                        match error {
                            SlotError::Worn => "the flash was erased often enough for today",
                            SlotError::Full => "the journal is full until this is over",
                            _ => "storage",
                        }
                    ));
                }
            }
        }
        self.follow(io);
        true
    }

    /// Saves what has changed: for a board that is about to restart in good order.
    pub fn rest(&mut self, io: &mut impl Io) {
        self.save_states(io, true);
        self.save_parameters(io, true);
    }

    /// Answers with the value of a state, which the Server writes in the format that was asked for.
    pub(super) fn tell_state(&mut self, io: &mut impl Io, ticket: u16, number: u8, form: u16) {
        let now = io.micros() / 1000;
        let active = self.active.as_ref();
        let found = active.and_then(|a| self.keeper.value(&a.package.facts, number, now));
        let Some((age, value)) = found else {
            let text = "the module has not run since it was started";
            self.post
                .answer(ticket, Code::SERVICE_UNAVAILABLE, format_args!("{text}"));
            return;
        };
        let mut payload = heapless::Vec::new();
        let _ = payload.extend_from_slice(&age.to_le_bytes());
        let _ = payload.extend_from_slice(value);
        self.post.reply = Some(Reply {
            ticket,
            code: Code::CONTENT,
            payload,
            body: None,
            format: None,
            kind: ReplyKind::State(number, form),
        });
    }

    /// A full journal moves the package that runs to another slot: then its module goes on from there, or
    /// begins anew where that cannot be.
    pub(super) fn follow(&mut self, io: &mut impl Io) {
        let runs = self.active.as_ref().map(|active| active.package.slot);
        let current = self.slots.current();
        if runs.is_none() || current.is_none() || runs == current {
            return;
        }
        if current.is_some_and(|slot| self.move_over(slot)) {
            return;
        }
        self.restart.forget();
        self.resume_package(io);
        self.post.log(format_args!(
            "the package was moved in flash and begins anew"
        ));
    }

    /// The package that runs was moved to another slot: its module goes on from there. `false` in the middle of a run, and
    /// where it does not lie there as it was.
    pub(super) fn move_over(&mut self, slot: usize) -> bool {
        let idle = self
            .active
            .as_ref()
            .is_some_and(|active| active.job.is_none());
        if !idle {
            return false;
        }
        let checked = load::recheck(&mut self.slots, slot, self.scratch);
        let Some(checked) = checked.filter(|checked| !checked.remade) else {
            return false;
        };
        let Ok(package) = load::load(&self.slots, &checked, &self.limits, self.memory) else {
            return false;
        };
        let Some(active) = &mut self.active else {
            return false;
        };
        let compiled = active.tiers.code > 0;
        let (before, after) = (active.package.module, package.module);
        // It changes nothing between two runs, and a tier is bound to where the module lies.
        let _ = active.instance.set_tier(None);
        let moved = active.instance.moved(package.module);
        if moved {
            active.package = package;
            let arena = self.arena.filter(|_| compiled);
            if let Some(arena) = arena.filter(|arena| arena.moved(&before, &after)) {
                let _ = active.instance.set_tier(arena.tier());
            } else if compiled {
                active.tiers = super::tier::moved();
            }
            self.post.app = true;
        }
        moved
    }

    /// Whether the package in this slot is on trial.
    pub(super) fn on_trial(&self, slot: usize) -> bool {
        self.slots.slot(slot).state == State::Trial
    }
}
