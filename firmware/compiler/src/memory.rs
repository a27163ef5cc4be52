//! Loads and stores, with the bounds of the memory in front of them.
//!
//! The address is compared with the last one that fits, rounded down to what an instruction can hold. Beyond that a second,
//! exact look at the length of the memory as it is then decides, off the straight line.
use crate::access::{FAR, Group, Place, Wanted, kind};
use crate::address::{Address, NONE};
use crate::checks::Span;
use crate::encode::{self, Access, Cond, Op, Reg, Shift};
use crate::entry::{Entry, Kind, ty};
use crate::function::Fun;
use crate::limits::Made;
use crate::registers::{LR, MEMORY, SCRATCH, SP, context};
use crate::work::{MORE, Stub, UNKNOWN};
use wasmote_engine::TrapKind;
use wasmote_engine::opcode::op;

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
        let Some((place, given)) = self.place(offset, size, true)? else {
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
            let Some((place, given)) = self.place(offset, size, false)? else {
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
        let Some((place, given)) = self.place(offset, size, false)? else {
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
    fn place(&mut self, offset: u32, size: u32, loads: bool) -> Made<Option<(Place, Option<Reg>)>> {
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
        let lasting = self.lasting(entry);
        if let Some(address) = lasting
            && let Some(place) = self.grouped(address, (offset, size), loads)?
        {
            return Ok(Some((place, None)));
        }
        let known = match lasting {
            // Two registers: their sum first.
            Some(Address { root, value }) if root.plain != NONE => {
                let reg = self.temp()?;
                self.asm
                    .add_shifted(reg, root.plain, root.shifted, root.shift);
                (reg, 0, value)
            }
            Some(Address { root, value }) => (root.shifted, root.shift, value),
            None if entry.kind == Kind::Sum => {
                let Address { root, value } = entry.address();
                (root.shifted, root.shift, value)
            }
            None => (self.int(taken)?, 0, 0),
        };
        let (mut reg, mut shift, mut more) = known;
        let far = u64::from(more) + reach;
        if more >= FAR || far >= FAR.into() || far > self.facts.least {
            // The address itself first.
            let whole = (Entry::sum(reg, shift, more), 0);
            if shift > 0 || more > 0 {
                if !self.is_temp(reg) {
                    reg = self.temp()?;
                }
                self.int_into(whole, reg);
                (shift, more) = (0, 0);
            }
            if reach >= FAR.into() || reach > self.facts.least {
                return self.place_far(reg, offset, reach);
            }
        }
        let wanted = Wanted {
            reg,
            shift,
            more: more as u16,
            reach: (offset + size) as u16,
        };
        self.look(&wanted, None)?;
        Ok(Some((self.based(&wanted, more + offset), Some(reg))))
    }

    /// An address with an offset that no instruction holds, or beyond the least memory there is.
    fn place_far(
        &mut self,
        reg: Reg,
        offset: u32,
        reach: u64,
    ) -> Made<Option<(Place, Option<Reg>)>> {
        self.checks.base = None;
        if !self.check(reg, reach)? {
            return Ok(None);
        }
        if offset == 0 {
            return Ok(Some((Place::Sum(MEMORY, reg), Some(reg))));
        }
        self.asm.constant(SCRATCH, offset);
        self.asm.op_reg(Op::Add, SCRATCH, SCRATCH, reg);
        Ok(Some((Place::Sum(MEMORY, SCRATCH), Some(reg))))
    }

    /// The place of an access whose bounds were looked at. Where a local's first byte is stays known.
    pub(crate) fn based(&mut self, wanted: &Wanted, offset: u32) -> Place {
        let (reg, shift) = (wanted.reg, wanted.shift);
        if offset == 0 && shift == 0 {
            return Place::Sum(MEMORY, reg);
        }
        let lasts = shift == 0 && !self.is_temp(reg);
        let base = if lasts { LR } else { SCRATCH };
        if !lasts || self.checks.base != Some((reg, self.asm.lines)) {
            self.asm.put(encode::op_reg(
                Op::Add,
                false,
                base,
                MEMORY,
                reg,
                Shift::Lsl,
                shift,
            ));
        }
        if lasts {
            self.checks.base = Some((reg, self.asm.lines));
        }
        Place::Offset(base, offset)
    }

    /// Whether an access is known to be within the memory.
    pub(crate) fn is_known(&self, wanted: &Wanted) -> bool {
        let lasts = wanted.shift == 0 && !self.is_temp(wanted.reg);
        let span = self.checks.spans.get(usize::from(wanted.reg)).copied();
        let span = span.filter(|span| lasts && span.line == self.asm.lines);
        span.is_some_and(|span| span.from <= wanted.more && wanted.end() <= span.to)
    }

    /// Traps unless an access is within the memory, and those of a group whose addresses are numbers from this one on. Where it is
    /// known to be, nothing is done.
    pub(crate) fn look(&mut self, wanted: &Wanted, group: Option<(&Group, u32)>) -> Made<()> {
        if self.is_known(wanted) {
            return Ok(());
        }
        let flags = core::mem::replace(&mut self.asm.flags, false);
        debug_assert!(!flags);
        let (label, back) = (self.asm.label(), self.asm.label());
        let own = Stub {
            label,
            back: MORE,
            reg: wanted.reg,
            shift: wanted.shift,
            more: wanted.more,
            reach: wanted.reach.into(),
            at: (self.here as u32).wrapping_sub(self.record.code) as u16,
            owed: self.owed_at_trap() as u16,
            kind: TrapKind::MemoryOutOfBounds as u8,
        };
        let first = self.waiting;
        self.wait(own);
        let (mut from, mut to) = (wanted.more, wanted.end());
        if let Some((group, start)) = group {
            for (found, more) in group.from(start) {
                self.wait(Stub {
                    label: UNKNOWN,
                    more,
                    reach: found.reach.into(),
                    at: found.at,
                    owed: found.owed,
                    ..own
                });
                (from, to) = (from.min(more), to.max(more + found.reach));
            }
        }
        let last = self.waiting.saturating_sub(1);
        let limit = (self.facts.least - u64::from(to)) >> wanted.shift;
        let limit = limit.min(u64::from(u32::MAX)) as u32;
        // The upper 8 bits are what an instruction holds.
        let kept = limit
            & u32::MAX
                .checked_shl(24_u32.saturating_sub(limit.leading_zeros()))
                .unwrap_or(0);
        self.asm.compare_constant(wanted.reg, kept);
        let exact = kept == limit && !self.facts.grows && to == wanted.reach;
        let alone = first == last && wanted.shift == 0;
        self.asm.forward(label, Some(Cond::Hi));
        // The place that the second check branches back to does not end the straight line.
        let line = self.asm.lines;
        self.asm.bind(back);
        self.asm.lines = line;
        let back = if exact && alone { UNKNOWN } else { back };
        if let Some(stub) = self.stubs.get_mut(last) {
            stub.back = back;
        }
        if back != UNKNOWN {
            self.checks.base = None;
        }
        if let Some(span) = self.checks.spans.get_mut(usize::from(wanted.reg)) {
            *span = Span {
                line: self.asm.lines,
                from,
                to,
            };
        }
        Ok(())
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
            shift: 0,
            more: 0,
            reach: reach as u32,
            at: (self.here as u32).wrapping_sub(self.record.code) as u16,
            owed: self.owed_at_trap() as u16,
            kind: kind as u8,
        };
        self.wait(stub);
        Ok(true)
    }
}
