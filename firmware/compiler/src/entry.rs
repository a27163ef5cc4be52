//! An operand that is not, or not yet, where the engine's loops would have it.
use crate::address::{Address, NONE, Root};
use crate::encode::{Cond, Float, Reg};

/// Where an operand is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// In its slot of the frame.
    Slot,
    /// A number of 32 bits; of 64 bits, its sign extended.
    Const,
    /// Still in its local, which was not set since.
    Local,
    /// In a general register.
    Reg,
    /// In a register for floats.
    Float,
    /// In two general registers.
    Pair,
    /// A general register shifted left, and a number below 4096 that is added or subtracted; not yet computed. Where locals live in
    /// all of them, another register perhaps, and a number below 65536.
    Sum,
    /// A condition: 1 where it holds. Taken by the very next instruction.
    Flags,
}

/// An operand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    /// Its type, as in the format.
    pub(crate) ty: u8,
    a: u8,
    b: u8,
    value: u32,
}

/// The types of values, as in the format.
pub(crate) mod ty {
    pub(crate) const I32: u8 = 0x7f;
    pub(crate) const I64: u8 = 0x7e;
    pub(crate) const F32: u8 = 0x7d;
    pub(crate) const F64: u8 = 0x7c;

    /// Whether a value of this type has 64 bits.
    pub(crate) const fn is_wide(ty: u8) -> bool {
        ty == I64 || ty == F64
    }
}

impl Entry {
    pub(crate) const SLOT: Self = Self::slot(ty::I32);

    const fn new(kind: Kind, ty: u8, a: u8, b: u8, value: u32) -> Self {
        Self {
            kind,
            ty,
            a,
            b,
            value,
        }
    }

    pub(crate) const fn slot(ty: u8) -> Self {
        Self::new(Kind::Slot, ty, 0, 0, 0)
    }

    pub(crate) const fn constant(ty: u8, value: u32) -> Self {
        Self::new(Kind::Const, ty, 0, 0, value)
    }

    pub(crate) const fn local(ty: u8, index: u32) -> Self {
        Self::new(Kind::Local, ty, 0, 0, index)
    }

    pub(crate) const fn reg(ty: u8, reg: Reg) -> Self {
        Self::new(Kind::Reg, ty, reg, 0, 0)
    }

    pub(crate) const fn float(float: Float) -> Self {
        Self::new(Kind::Float, ty::F32, float, 0, 0)
    }

    pub(crate) const fn pair(ty: u8, low: Reg, high: Reg) -> Self {
        Self::new(Kind::Pair, ty, low, high, 0)
    }

    pub(crate) const fn flags(cond: Cond) -> Self {
        Self::new(Kind::Flags, ty::I32, 0, 0, cond as u32)
    }

    pub(crate) const fn sum(reg: Reg, shift: u8, value: u32) -> Self {
        Self::of(Address::of(reg, shift, value))
    }

    pub(crate) const fn of(Address { root, value }: Address) -> Self {
        let b = root.plain << 4 | root.shift;
        Self::new(Kind::Sum, ty::I32, root.shifted, b, value)
    }

    /// What a sum is the sum of.
    pub(crate) const fn address(self) -> Address {
        let root = Root {
            plain: self.b >> 4,
            shifted: self.a,
            shift: self.b & 15,
        };
        Address {
            root,
            value: self.value,
        }
    }

    /// Whether it is the sum of two registers.
    pub(crate) const fn has_two(self) -> bool {
        matches!(self.kind, Kind::Sum) && self.b >> 4 != NONE
    }

    /// The constant, or the index of the local.
    pub(crate) const fn value(self) -> u32 {
        self.value
    }

    /// The register, or the lower one of two.
    pub(crate) const fn low(self) -> u8 {
        self.a
    }

    /// The upper one of two registers.
    pub(crate) const fn high(self) -> u8 {
        self.b
    }

    pub(crate) fn cond(self) -> Cond {
        const ALL: [Cond; 14] = [
            Cond::Eq,
            Cond::Ne,
            Cond::Hs,
            Cond::Lo,
            Cond::Mi,
            Cond::Pl,
            Cond::Vs,
            Cond::Vc,
            Cond::Hi,
            Cond::Ls,
            Cond::Ge,
            Cond::Lt,
            Cond::Gt,
            Cond::Le,
        ];
        ALL.get(self.value as usize).copied().unwrap_or(Cond::Eq)
    }
}
