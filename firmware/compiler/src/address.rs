//! Addresses that are not computed yet: registers of locals, one of them shifted, and a number.
use crate::encode::Reg;

/// No register.
pub(crate) const NONE: Reg = 15;

/// What addresses have in common: a register, and one that is shifted left.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Root {
    pub(crate) plain: Reg,
    pub(crate) shifted: Reg,
    pub(crate) shift: u8,
}

/// An address: its root and a number.
#[derive(Clone, Copy)]
pub(crate) struct Address {
    pub(crate) root: Root,
    pub(crate) value: u32,
}

impl Address {
    pub(crate) const fn number(value: u32) -> Self {
        Self::of(NONE, 0, value)
    }

    pub(crate) const fn of(shifted: Reg, shift: u8, value: u32) -> Self {
        let root = Root {
            plain: NONE,
            shifted,
            shift,
        };
        Self { root, value }
    }

    /// Their sum, if two registers are enough for it and one of them at most is shifted.
    pub(crate) fn sum(self, other: Self) -> Option<Self> {
        let (a, b) = (self.root, other.root);
        let root = match (a.shifted, b.shifted) {
            (NONE, _) => b,
            (_, NONE) => a,
            _ if a.plain != NONE || b.plain != NONE => return None,
            // In one order where none is shifted.
            (x, y) if a.shift == 0 && (b.shift > 0 || x < y) => Root { plain: x, ..b },
            (_, y) if b.shift == 0 => Root { plain: y, ..a },
            _ => return None,
        };
        let value = self.value.wrapping_add(other.value);
        Some(Self { root, value })
    }

    pub(crate) fn shifted(self, by: Self) -> Option<Self> {
        let n = by.value;
        if by.root.shifted != NONE || self.root.plain != NONE || n > 4 {
            return None;
        }
        let mut root = self.root;
        root.shift += n as u8;
        let value = self.value << n;
        (root.shift <= 8).then_some(Self { root, value })
    }

    pub(crate) fn has(self, reg: Reg) -> bool {
        self.root.plain == reg || self.root.shifted == reg
    }
}
