//! The contract of a tier: one function that executes from a state until something has to be said.
//!
//! There are three. The portable loop (interpret) executes everything, everywhere. The fast loop (thumb) executes most on a
//! Cortex-M4F and leaves the rest to the portable one, instruction by instruction. A third may be handed in by the embedder
//! ([`crate::Instance::set_tier`]): compiled code, say. Whatever executes, the results, the fuel, the traps with their places, and
//! the call at which the stack ends are the same to the bit; docs/engine.md has the rules.
//!
//! # The state on entry and on exit
//!
//! A tier is entered where another one, or it itself, was left, and with a call that [`State::enter`] has just begun. Then
//!
//! * `function` is the record of the active function, `wide` its width, `fp` its frame, `frames` the newest frame record;
//! * `code` is the instruction to execute next, `branch` the first branch's entry from there on;
//! * the locals lie from `fp` on, then a slot that nothing reads, then the operands; `top` is behind the topmost one;
//! * `fuel` is what is left, and more than 0 on entry;
//! * `native` is 0 when a call begins, and otherwise what the tier that was handed in left there;
//! * `memory` is the size of the linear memory in bytes. `base`, `layout` and `function_base` are as they were made.
//!
//! [`State`] is exactly so again when the tier is left, but for this:
//!
//! | exit | `code` | operands below `top` |
//! | --- | --- | --- |
//! | `None` | the next instruction | all; another tier goes on |
//! | `Done` | means nothing | the results, in the width of the function that was called; `frames` and `fp` as before its call |
//! | `OutOfFuel` | the next instruction | all; `fuel` is 0 or less |
//! | `Import`, `Foreign` | behind the call | all, the arguments topmost; the embedder replaces them by the results |
//! | `Trap` | behind the first byte of the instruction that trapped | unspecified |
//!
//! The records from `frames` on say who called whom ([`State::frame`]), and what of the module's bytes they mean is read after every
//! exit but `None` and `Done`: for a backtrace.
//!
//! # Fuel
//!
//! A tier charges what docs/engine.md says, tests `fuel` only where it says, and leaves with [`Exit::OutOfFuel`] as soon as
//! such a test finds 0 or less. What a segment took beyond the fuel stays owed.
use crate::module::Module;
use crate::{interpret, numeric};

pub use crate::call::{Callee, Frame};
pub use crate::decode::skip;
pub use crate::footprint::Layout;
pub use crate::reader::{Load, Reader, Refusal};
pub use crate::sidetable::{ALIGNMENT, Branch, FRAME_RECORD, Record, Room};
pub use crate::state::{Exit, NOBODY, State};
#[cfg(fast_loop)]
pub use crate::thumb::double;

#[cfg(fast_loop)]
use crate::thumb::sqrt;
#[cfg(not(fast_loop))]
use libm::sqrtf as sqrt;

/// A way to execute a module, beside those of the engine.
///
/// # Safety
/// [`Tier::run`] keeps to the contract above, for every module it is handed, and writes nothing but the state's region and the
/// state.
pub unsafe trait Tier: Sync {
    /// Executes until there is something to say; `None` lets the engine's own tiers go on.
    ///
    /// # Safety
    /// The state is one of this validated module's, as the contract has it.
    unsafe fn run(&self, state: &mut State, module: &Module<'_>) -> Option<Exit>;

    /// The frame record at this offset, for a tier that writes its own: of equal length, with [`NOBODY`] as the function of
    /// only the first one.
    fn frame(&self, state: &State, module: &Module<'_>, at: u32) -> Frame {
        state.frame(module, at)
    }
}

/// A tier handed in by the embedder, or none.
#[derive(Clone, Copy, Default)]
pub(crate) struct Chosen<'m>(pub(crate) Option<&'m dyn Tier>);

impl core::fmt::Debug for Chosen<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(if self.0.is_some() { "Some" } else { "None" })
    }
}

impl Chosen<'_> {
    /// The frame record at this offset.
    pub(crate) fn frame(self, state: &State, module: &Module<'_>, at: u32) -> Frame {
        match self.0 {
            Some(tier) => tier.frame(state, module, at),
            None => state.frame(module, at),
        }
    }
}

/// Has the portable loop execute the next instruction, for a tier that leaves a rare one to it; where it is not built to execute
/// single instructions (on a computer, but for the feature `checked`), all that follow.
///
/// # Safety
/// As for [`Tier::run`].
pub unsafe fn step(state: &mut State, module: &Module<'_>) -> Option<Exit> {
    state.once = true;
    // SAFETY: by the caller's promise.
    let exit = unsafe { interpret::run(state, module, |a| numeric::sqrt32(a, sqrt)) };
    state.once = false;
    exit
}

/// Executes with the tier that was handed in, and with the engine's own what it leaves.
///
/// # Safety
/// As for [`Tier::run`].
#[inline(always)]
pub(crate) unsafe fn execute(tier: Chosen<'_>, state: &mut State, module: &Module<'_>) -> Exit {
    loop {
        if let Some(tier) = tier.0 {
            // SAFETY: by the caller's promise, which every tier keeps.
            if let Some(exit) = unsafe { tier.run(state, module) } {
                return exit;
            }
        }
        #[cfg(fast_loop)]
        // SAFETY: as above.
        if let Some(exit) = unsafe { crate::thumb::run(state, module) } {
            return exit;
        }
        // SAFETY: as above.
        if let Some(exit) = unsafe { interpret::run(state, module, |a| numeric::sqrt32(a, sqrt)) } {
            return exit;
        }
    }
}
