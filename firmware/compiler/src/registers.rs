//! Which register holds what in compiled code, and how it is left.
use crate::encode::{Float, Reg};

/// The registers of compiled code. r0 to r3 hold operands, r12 and lr what an instruction needs at once, the rest of them locals.
pub(crate) const MEMORY: Reg = 6;
pub(crate) const FRAME: Reg = 7;
pub(crate) const FUEL: Reg = 9;
pub(crate) const SCRATCH: Reg = 12;
pub(crate) const SP: Reg = 13;
pub(crate) const LR: Reg = 14;
pub(crate) const PC: Reg = 15;
/// Those that may hold a local.
pub(crate) const PINS: [Reg; 5] = [4, 5, 8, 10, 11];
/// Float registers from here on may hold a local; those below hold operands, but for the last.
pub(crate) const FLOAT_PINS: Float = 16;
pub(crate) const FLOAT_SCRATCH: Float = 15;

/// What compiled code finds at the stack pointer: native.s puts it there.
pub(crate) mod context {
    pub(crate) const FRAMES: u32 = 0;
    pub(crate) const GLOBALS: u32 = 4;
    pub(crate) const LENGTH: u32 = 8;
    pub(crate) const EXIT: u32 = 12;
    pub(crate) const TRAP: u32 = 16;
    pub(crate) const STACK: u32 = 20;
    pub(crate) const HELPERS: u32 = 24;
    /// Behind the address of the caller's Context.
    pub(crate) const INDIRECT: u32 = 32;
}

/// Why compiled code leaves in an orderly way: what lies behind the call of `exit` (function.rs).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Leave {
    /// The fuel is used up at a loop's head or a function's entry.
    Fuel = 0,
    /// A call of an import.
    Import = 1,
    /// An instruction that the engine's loop executes.
    Step = 2,
    /// The same at a function's entry, where registers hold no locals yet.
    Entry = 3,
    /// An indirect call that the engine's loop executes: it was charged before, and its result is expected in registers.
    Indirect = 4,
}
