//! Why and where a run was ended.

/// The kind of a trap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TrapKind {
    /// `unreachable` was executed.
    Unreachable,
    /// Integer division or remainder by zero.
    DivideByZero,
    /// The result of a division or of a conversion from a float does not fit.
    IntegerOverflow,
    /// A NaN was converted to an integer.
    InvalidConversion,
    /// An access outside the linear memory.
    MemoryOutOfBounds,
    /// An access outside a table.
    TableOutOfBounds,
    /// An indirect call beyond the end of the table.
    UndefinedElement,
    /// An indirect call of a null reference.
    UninitializedElement,
    /// An indirect call of a function of another type.
    IndirectCallType,
    /// The value stack and call frames are full.
    StackExhausted,
    /// The embedder refused a host call.
    Host,
}

impl TrapKind {
    /// The wording of the specification's test suite.
    pub fn message(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::DivideByZero => "integer divide by zero",
            Self::IntegerOverflow => "integer overflow",
            Self::InvalidConversion => "invalid conversion to integer",
            Self::MemoryOutOfBounds => "out of bounds memory access",
            Self::TableOutOfBounds => "out of bounds table access",
            Self::UndefinedElement => "undefined element",
            Self::UninitializedElement => "uninitialized element",
            Self::IndirectCallType => "indirect call type mismatch",
            Self::StackExhausted => "call stack exhausted",
            Self::Host => "host function failed",
        }
    }
}

/// A place in the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Index of the function (imports first); `u32::MAX` while segments are initialised.
    pub function: u32,
    /// The byte of the module at which the instruction (or the segment) starts.
    pub offset: u32,
}

/// The end of a run that cannot be resumed. The instance stays readable and may be called again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trap {
    /// Why.
    pub kind: TrapKind,
    /// Where.
    pub place: Place,
}

impl core::fmt::Display for Trap {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "{} in function {} at byte {}",
            self.kind.message(),
            self.place.function,
            self.place.offset
        )
    }
}

impl core::error::Error for Trap {}
