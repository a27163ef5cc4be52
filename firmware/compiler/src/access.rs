//! What an access of the memory is: its kind, its place, and those that are looked at together.
use crate::encode::{Access, Reg};
use crate::entry::ty;
use crate::limits::GROUP;
use wasmote_engine::opcode::op;

/// The access of an opcode, its bytes, and the type of the value.
pub(crate) fn kind(byte: u8) -> (Access, u32, u8) {
    match byte {
        op::I32_LOAD => (Access::Ldr, 4, ty::I32),
        op::I64_LOAD => (Access::Ldr, 8, ty::I64),
        op::F32_LOAD => (Access::Ldr, 4, ty::F32),
        op::F64_LOAD => (Access::Ldr, 8, ty::F64),
        op::I32_LOAD8_S => (Access::Ldrsb, 1, ty::I32),
        op::I32_LOAD8_U => (Access::Ldrb, 1, ty::I32),
        op::I32_LOAD16_S => (Access::Ldrsh, 2, ty::I32),
        op::I32_LOAD16_U => (Access::Ldrh, 2, ty::I32),
        op::I64_LOAD8_S => (Access::Ldrsb, 1, ty::I64),
        op::I64_LOAD8_U => (Access::Ldrb, 1, ty::I64),
        op::I64_LOAD16_S => (Access::Ldrsh, 2, ty::I64),
        op::I64_LOAD16_U => (Access::Ldrh, 2, ty::I64),
        op::I64_LOAD32_S | op::I64_LOAD32_U => (Access::Ldr, 4, ty::I64),
        op::I32_STORE => (Access::Str, 4, ty::I32),
        op::I64_STORE => (Access::Str, 8, ty::I64),
        op::F32_STORE => (Access::Str, 4, ty::F32),
        op::F64_STORE => (Access::Str, 8, ty::F64),
        op::I32_STORE8 => (Access::Strb, 1, ty::I32),
        op::I32_STORE16 => (Access::Strh, 2, ty::I32),
        op::I64_STORE8 => (Access::Strb, 1, ty::I64),
        op::I64_STORE16 => (Access::Strh, 2, ty::I64),
        _ => (Access::Str, 4, ty::I64),
    }
}

/// Addresses and offsets up to here are held in an instruction, with the bytes behind them.
pub(crate) const FAR: u32 = 4088;

/// An access: its address as a register that is shifted and a number, and how many bytes from there on it reaches.
pub(crate) struct Wanted {
    pub(crate) reg: Reg,
    pub(crate) shift: u8,
    pub(crate) more: u16,
    pub(crate) reach: u16,
}

impl Wanted {
    pub(crate) fn end(&self) -> u16 {
        self.more + self.reach
    }
}

/// Where an access goes.
pub(crate) enum Place {
    /// At a register and so many bytes.
    Offset(Reg, u32),
    /// At the sum of two registers.
    Sum(Reg, Reg),
}

/// An access that was found ahead.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    pub(crate) at: u16,
    pub(crate) owed: u16,
    pub(crate) value: u32,
    pub(crate) reach: u16,
}

/// All that were found, and how far they reach before and behind the address of the first.
pub(crate) struct Group {
    pub(crate) all: [Found; GROUP],
    pub(crate) count: usize,
    pub(crate) low: i32,
    pub(crate) high: i32,
}

impl Group {
    /// The accesses but the first, each with its distance from an address.
    pub(crate) fn from(&self, start: u32) -> impl Iterator<Item = (Found, u16)> {
        let all = self.all.iter().take(self.count);
        all.map(move |found| (*found, found.value.wrapping_sub(start) as u16))
    }
}

impl Group {
    /// Adds an access, if it is near enough to the others and there is as much memory.
    pub(crate) fn add(&mut self, first: u32, found: Found, least: u64) {
        let distance = found.value.wrapping_sub(first).cast_signed();
        if distance.unsigned_abs() >= FAR {
            return;
        }
        let low = self.low.min(distance);
        let high = self.high.max(distance + i32::from(found.reach));
        let span = high - low;
        if span >= FAR as i32 || span as u64 > least {
            return;
        }
        (self.low, self.high) = (low, high);
        if let Some(place) = self.all.get_mut(self.count) {
            *place = found;
            self.count += 1;
        }
    }
}
