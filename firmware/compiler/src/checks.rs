//! Addresses whose bounds were looked at, so that it is not done again.
use crate::address::Address;
use crate::encode::Reg;

/// What is known of addresses on a straight line: see `lines` in asm.rs.
pub(crate) struct Checks {
    /// Of each register in which a local lives: that its value and these numbers lie within the memory.
    pub(crate) spans: [Span; 12],
    /// The register that was added to the memory's first byte in lr, and when.
    pub(crate) base: Option<(Reg, u32)>,
}

#[derive(Clone, Copy)]
pub(crate) struct Span {
    /// The straight line on which it holds.
    pub(crate) line: u32,
    pub(crate) from: u16,
    /// Behind the last byte; 0 where nothing is known.
    pub(crate) to: u16,
}

impl Checks {
    pub(crate) const NONE: Self = Self {
        spans: [Span {
            line: 0,
            from: 0,
            to: 0,
        }; 12],
        base: None,
    };

    /// A register is set to something else.
    pub(crate) fn forget(&mut self, reg: Reg) {
        if let Some(span) = self.spans.get_mut(usize::from(reg)) {
            span.to = 0;
        }
        if self.base.is_some_and(|(of, _)| of == reg) {
            self.base = None;
        }
    }
}

/// A register with the memory's first byte, what a root holds and a number: bytes so far from there on are in the memory.
#[derive(Clone, Copy)]
pub(crate) struct Base {
    pub(crate) address: Address,
    pub(crate) from: u16,
    pub(crate) to: u16,
    pub(crate) reg: Reg,
    /// The straight line on which it holds.
    pub(crate) line: u32,
}
