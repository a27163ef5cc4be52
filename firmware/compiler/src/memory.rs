//! Loads and stores, with the bounds of the memory in front of them.
//!
//! The address is compared with the last one that fits, rounded down to what an instruction can hold. Beyond that a second,
//! exact look at the length of the memory as it is then decides, off the straight line.
use crate::encode::{self, Access, Cond, Op, Reg, Shift};
use crate::entry::{Entry, Kind, ty};
use crate::function::Fun;
use crate::limits::Made;
use crate::registers::{LR, MEMORY, SCRATCH, SP, context};
use crate::work::Stub;
use wasmote_engine::TrapKind;
use wasmote_engine::opcode::op;

/// The access of an opcode, its bytes, and the type of the value.
fn kind(byte: u8) -> (Access, u32, u8) {
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

/// Where an access goes.
enum Place {
    /// At a register and so many bytes.
    Offset(Reg, u32),
    /// At the sum of two registers.
    Sum(Reg, Reg),
}

impl Fun<'_, '_> {
    pub(crate) fn access(&mut self, byte: u8) -> Made<()> {
        self.u32();
        let offset = self.u32();
        let (access, size, ty) = kind(byte);
        if access.is_store() {
            self.store_value(access, size, offset)
        } else {
            self.load_value(byte, access, size, ty, offset)
        }
    }

    fn load_value(&mut self, byte: u8, access: Access, size: u32, ty: u8, offset: u32) -> Made<()> {
        let Some((place, given)) = self.place(offset, size)? else {
            return Ok(());
        };
        if size == 8 {
            let (low, high) = (self.temp()?, self.temp()?);
            self.both(Access::Ldr, low, high, &place);
            if let Some(given) = given {
                self.give(given);
            }
            return self.push(Entry::pair(ty, low, high));
        }
        if ty == ty::I64 {
            let (low, high) = (self.temp()?, self.temp()?);
            self.single(access, low, &place);
            if let Some(given) = given {
                self.give(given);
            }
            if matches!(byte, op::I64_LOAD8_S | op::I64_LOAD16_S | op::I64_LOAD32_S) {
                self.asm.put(encode::shift_imm(Shift::Asr, high, low, 31));
            } else {
                self.asm.constant(high, 0);
            }
            return self.push(Entry::pair(ty, low, high));
        }
        let to = match given {
            Some(given) => self.result(&[given])?,
            None => self.result(&[])?,
        };
        self.single(access, to, &place);
        self.push(Entry::reg(ty, to))
    }

    fn store_value(&mut self, access: Access, size: u32, offset: u32) -> Made<()> {
        let value = self.pop();
        if size == 8 {
            let (low, high) = self.pair(value)?;
            let Some((place, given)) = self.place(offset, size)? else {
                return Ok(());
            };
            self.both(Access::Str, low, high, &place);
            self.give(low);
            self.give(high);
            if let Some(given) = given {
                self.give(given);
            }
            return Ok(());
        }
        let from = self.int(value)?;
        let Some((place, given)) = self.place(offset, size)? else {
            return Ok(());
        };
        self.single(access, from, &place);
        self.give(from);
        if let Some(given) = given {
            self.give(given);
        }
        Ok(())
    }

    fn single(&mut self, access: Access, reg: Reg, place: &Place) {
        self.asm.put(match *place {
            Place::Offset(base, offset) => encode::access_imm(access, reg, base, offset),
            Place::Sum(base, index) => encode::access_reg(access, reg, base, index),
        });
    }

    fn both(&mut self, access: Access, low: Reg, high: Reg, place: &Place) {
        let (base, offset) = match *place {
            Place::Offset(base, offset) => (base, offset),
            Place::Sum(base, index) => {
                self.asm.op_reg(Op::Add, SCRATCH, base, index);
                (SCRATCH, 0)
            }
        };
        self.asm.put(encode::access_imm(access, low, base, offset));
        self.asm
            .put(encode::access_imm(access, high, base, offset + 4));
    }

    /// Takes an address, has its bounds looked at, and says where it is, with a register to give back; nothing where it always
    /// traps, and no code follows.
    fn place(&mut self, offset: u32, size: u32) -> Made<Option<(Place, Option<Reg>)>> {
        let taken = self.pop();
        let (entry, _) = taken;
        let reach = u64::from(offset) + u64::from(size);
        if entry.kind == Kind::Const && u64::from(entry.value()) + reach <= self.facts.least {
            let at = entry.value() + offset;
            if at + size <= 4096 {
                return Ok(Some((Place::Offset(MEMORY, at), None)));
            }
            self.asm.constant(SCRATCH, at);
            return Ok(Some((Place::Sum(MEMORY, SCRATCH), None)));
        }
        let reg = self.int(taken)?;
        if !self.check(reg, reach)? {
            return Ok(None);
        }
        if offset == 0 {
            return Ok(Some((Place::Sum(MEMORY, reg), Some(reg))));
        }
        if offset <= 4088 {
            self.asm.op_reg(Op::Add, SCRATCH, MEMORY, reg);
            return Ok(Some((Place::Offset(SCRATCH, offset), Some(reg))));
        }
        self.asm.constant(SCRATCH, offset);
        self.asm.op_reg(Op::Add, SCRATCH, SCRATCH, reg);
        Ok(Some((Place::Sum(MEMORY, SCRATCH), Some(reg))))
    }

    /// Traps unless so many bytes from the address in a register on are in the memory; `false` where they never are.
    fn check(&mut self, reg: Reg, reach: u64) -> Made<bool> {
        let flags = core::mem::replace(&mut self.asm.flags, false);
        debug_assert!(!flags);
        let kind = TrapKind::MemoryOutOfBounds;
        if reach > self.facts.least {
            let trap = self.trap(kind)?;
            let Some(reach) = u32::try_from(reach).ok().filter(|_| self.facts.grows) else {
                self.asm.forward(trap, None);
                self.stop();
                return Ok(false);
            };
            self.asm.load(SCRATCH, SP, context::LENGTH);
            self.asm.constant(LR, reach);
            self.asm.put(encode::op_reg(
                Op::Sub,
                true,
                SCRATCH,
                SCRATCH,
                LR,
                Shift::Lsl,
                0,
            ));
            self.asm.forward(trap, Some(Cond::Lo));
            self.asm.put(encode::cmp(reg, SCRATCH));
            self.asm.forward(trap, Some(Cond::Hi));
            return Ok(true);
        }
        let limit = (self.facts.least - reach).min(u64::from(u32::MAX)) as u32;
        // The upper 8 bits are what an instruction holds.
        let kept = limit
            & u32::MAX
                .checked_shl(24_u32.saturating_sub(limit.leading_zeros()))
                .unwrap_or(0);
        self.asm.compare_constant(reg, kept);
        if kept == limit && !self.facts.grows {
            let trap = self.trap(kind)?;
            self.asm.forward(trap, Some(Cond::Hi));
            return Ok(true);
        }
        let (label, back) = (self.asm.label(), self.asm.label());
        self.asm.forward(label, Some(Cond::Hi));
        self.asm.bind(back);
        let stub = Stub {
            label,
            back,
            reg,
            reach: reach as u32,
            at: (self.here as u32).wrapping_sub(self.record.code) as u16,
            owed: self.owed_at_trap() as u16,
            kind: kind as u8,
        };
        self.wait(stub);
        Ok(true)
    }
}
