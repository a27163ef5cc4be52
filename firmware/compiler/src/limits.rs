//! The limits of the compiler, all in one place. A module beyond any of them is interpreted as a whole.

/// Labels of a function: targets of branches, its own and those of the compiler.
pub(crate) const LABELS: usize = 1500;
/// Forward branches of a function.
pub(crate) const BRANCHES: usize = 2048;
/// Operands at once.
pub(crate) const OPERANDS: usize = 176;
/// Blocks within each other.
pub(crate) const CONTROLS: usize = 64;
/// Locals of a function, parameters included.
pub(crate) const LOCALS: usize = 256;
/// Traps whose code waits to be placed.
pub(crate) const STUBS: usize = 32;
/// Accesses whose bounds are looked at together.
pub(crate) const GROUP: usize = 10;
/// Expressions that are computed in front of loops, their uses, and such loops.
pub(crate) const KEPT: usize = 12;
pub(crate) const USES: usize = 32;
pub(crate) const ROUNDS: usize = 16;
/// Bytes of a function's code in the module, so that a position in it fits 16 bits.
pub(crate) const BODY: u32 = 0xffff;
/// Bytes of a frame, so that every slot is in reach of a load.
pub(crate) const FRAME: u32 = 4096;
/// Units of fuel that are owed before they are charged.
pub(crate) const OWED: i32 = 3000;

/// Why a module is not compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A function has more labels or branches than fit.
    Branches,
    /// A function has more operands at once than fit, or no register is left for one.
    Operands,
    /// Blocks are nested deeper than fits.
    Blocks,
    /// A function has more locals than fit, or its frame is too large.
    Locals,
    /// A function is too long.
    Length,
    /// The place for the code is too small.
    Arena,
    /// The verifier found something that code may not do.
    Unverified,
    /// No memory was idle that compiling could work in.
    Memory,
}

impl Refusal {
    /// What is shown to the user.
    pub fn message(self) -> &'static str {
        match self {
            Self::Branches => "a function has too many branches",
            Self::Operands => "a function has too many operands",
            Self::Blocks => "blocks are nested too deeply",
            Self::Locals => "a function has too many locals",
            Self::Length => "a function is too long",
            Self::Arena => "no room for the code",
            Self::Unverified => "the verifier refused the code",
            Self::Memory => "no room to compile in",
        }
    }
}

pub(crate) type Made<T> = Result<T, Refusal>;
