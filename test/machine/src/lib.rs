//! Executes a script of modules and calls with the engine, and tells the outcome of each: what the conformance suite,
//! the differential tests and the measurements run, in this process or on an emulated chip.
//!
//! A script is a [`Settings`] header and commands one after the other; an answer is one [`Outcome`] for each. Both are
//! bytes, little-endian, so that they go through a file of the emulator's. Linking is done here, as an embedder does it:
//! an instance that imports another's memory, table or global gets a copy before it runs.
#![no_std]
extern crate alloc;

#[cfg(target_arch = "arm")]
mod flip;
#[cfg(target_arch = "arm")]
mod guard;
mod script;
mod store;
mod sweep;

pub use script::{CALLS, Command, Outcome, Settings, Status, decode_outcomes, encode_command};
use script::{Input, decode_command};
use store::Store;

/// Executes a script; `clock` is read before and after each command, `out` gets the encoded outcomes. Ends early, with an
/// outcome that says so, at a malformed command.
pub fn execute(script: &[u8], clock: &mut dyn FnMut() -> u32, out: &mut dyn FnMut(&[u8])) {
    let mut input = Input::new(script);
    let Some(settings) = Settings::decode(&mut input) else {
        return out(&Outcome::fault("the script has no header").encode());
    };
    let mut store = Store::new(settings);
    while !input.is_empty() {
        let Some(command) = decode_command(&mut input) else {
            return out(&Outcome::fault("a malformed command").encode());
        };
        let before = clock();
        let mut outcome = store.command(&command);
        outcome.time = clock().wrapping_sub(before);
        out(&outcome.encode());
    }
}
