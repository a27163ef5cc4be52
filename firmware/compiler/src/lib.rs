//! A validated module as Thumb-2 code, with the same results, fuel, traps and stack as the engine's loops, to the bit.
//!
//! ```text
//! Module ──measure──▶ bytes ──compile(into so many bytes)──▶ Code ──Native (on the chip)──▶ Instance::set_tier
//! ```
//!
//! The code is a pure function of the validated module and of [`Options`]; it does not depend on where it or the module lies. It
//! is made in passes over the bytes of one function after the other, without a tree: scan (which locals live in registers),
//! measure, settle (which branches are short) and emit. All memory is handed in: [`Work`], at most 8 KiB, and the place of the
//! code. What is beyond the limits of limits.rs is a [`Refusal`], and the module is interpreted as a whole.
//!
//! What compiled code holds in registers, where it leaves and how it comes back is in docs/compiler.md.
#![no_std]

pub mod encode;

mod access;
mod address;
mod arena;
mod asm;
mod bytes;
mod call;
mod checks;
mod control;
mod entry;
mod facts;
mod float;
mod function;
mod group;
mod hoist;
mod integer;
mod kept;
mod limits;
mod long;
mod memory;
#[cfg(target_arch = "arm")]
mod native;
mod plain;
mod registers;
mod resident;
mod scan;
mod verify;
mod work;

pub use arena::{Code, Trace, compile, compile_traced, measure};
pub use facts::Options;
pub use limits::Refusal;
#[cfg(target_arch = "arm")]
pub use native::Native;
pub use resident::Arena;
pub use verify::{Fault, marks, verify};
pub use work::Work;
