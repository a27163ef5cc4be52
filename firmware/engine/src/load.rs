//! Why a module was not accepted.

/// The kind of a [`LoadError`]; the text is the wording of the specification's test suite where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The bytes are not a module.
    Malformed(&'static str),
    /// A module, but not a valid one.
    Invalid(&'static str),
    /// Perhaps valid, but beyond what this engine or the caller's buffers take.
    Unsupported(&'static str),
}

/// A refusal of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadError {
    /// What is wrong.
    pub fault: Fault,
    /// The byte of the module at which it was found.
    pub offset: u32,
}

impl core::fmt::Display for LoadError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (kind, what) = match self.fault {
            Fault::Malformed(what) => ("malformed", what),
            Fault::Invalid(what) => ("invalid", what),
            Fault::Unsupported(what) => ("unsupported", what),
        };
        write!(f, "{kind} at byte {}: {what}", self.offset)
    }
}

impl core::error::Error for LoadError {}
