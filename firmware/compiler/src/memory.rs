//! Loads and stores, with the bounds of the memory in front of them.
//!
//! The address is compared with the last one that fits, rounded down to what an instruction can hold. Beyond that a second,
//! exact look at the length of the memory as it is then decides, off the straight line.
use crate::bytes::Bytes;
use crate::checks::Span;
use crate::encode::{self, Access, Cond, Op, Reg, Shift};
use crate::entry::{Entry, Kind, ty};
use crate::function::Fun;
use crate::limits::{GROUP, Made, OWED};
use crate::registers::{LR, MEMORY, SCRATCH, SP, context};
use crate::work::{Home, MORE, Stub, UNKNOWN};
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

/// Addresses and offsets up to here are held in an instruction, with the bytes behind them.
const FAR: u32 = 4088;

/// An access: its address as a register that is shifted and a number, and how many bytes from there on it reaches.
struct Wanted {
    reg: Reg,
    shift: u8,
    more: u16,
    reach: u16,
}

impl Wanted {
    fn end(&self) -> u16 {
        self.more + self.reach
    }
}

/// A load of 32 bits or fewer at what was just fetched and a number that is perhaps added: its place, the number, and how far
/// it reaches.
fn load_behind(r: &mut Bytes<'_>) -> Option<(usize, u32, u32)> {
    let (mut at, mut more) = (r.at, 0);
    let mut byte = r.byte();
    if byte == op::I32_CONST {
        more = r.s64() as u32;
        if r.byte() != op::I32_ADD {
            return None;
        }
        at = r.at;
        byte = r.byte();
    }
    let loads = matches!(
        byte,
        op::I32_LOAD | op::F32_LOAD | op::I32_LOAD8_S..=op::I32_LOAD16_U
    );
    r.u32();
    let offset = r.u32();
    let (_, size, _) = kind(byte);
    (loads && more < FAR && offset < FAR).then_some((at, more, offset + size))
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
        let known = match (entry.kind, self.local(entry.value()).home) {
            (Kind::Sum, _) => (entry.low(), entry.high(), entry.value()),
            (Kind::Local, Home::Reg(pin)) => (pin, 0, 0),
            _ => (self.int(taken)?, 0, 0),
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
        self.look(&wanted, loads)?;
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
    fn based(&mut self, wanted: &Wanted, offset: u32) -> Place {
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

    /// Traps unless an access is within the memory. Where it is known to be, nothing is done; where a local is the address,
    /// accesses that follow are looked at with it.
    fn look(&mut self, wanted: &Wanted, loads: bool) -> Made<()> {
        let lasts = wanted.shift == 0 && !self.is_temp(wanted.reg);
        let span = self.checks.spans.get(usize::from(wanted.reg)).copied();
        let span = span.filter(|span| lasts && span.line == self.asm.lines);
        if span.is_some_and(|span| span.from <= wanted.more && wanted.end() <= span.to) {
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
        // What a store writes is seen where a load behind it traps.
        if lasts && loads {
            self.group(&own, &mut from, &mut to);
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

    /// Loads that follow on a straight line at the same local and a number, with nothing between that another part of the program
    /// or its user could see: their bounds are looked at in their order, before the first of them.
    fn group(&mut self, own: &Stub, from: &mut u16, to: &mut u16) {
        let all = 0..self.locals.len() as u32;
        let home = Home::Reg(own.reg);
        let Some(local) = all.into_iter().find(|i| self.local(*i).home == home) else {
            return;
        };
        let mut r = Bytes {
            bytes: self.bytes,
            at: self.at,
        };
        let mut found = 1;
        while found < GROUP && r.at < self.record.end as usize {
            let byte = r.byte();
            match byte {
                op::LOCAL_GET => {
                    if r.u32() != local {
                        continue;
                    }
                    let back = r.at;
                    let Some((at, more, reach)) = load_behind(&mut r) else {
                        r.at = back;
                        continue;
                    };
                    let end = u64::from(more) + u64::from(reach);
                    if end >= FAR.into() || end > self.facts.least {
                        return;
                    }
                    let owed = self.owed + (at - self.here) as i32 + 1;
                    if owed > OWED {
                        return;
                    }
                    self.wait(Stub {
                        label: UNKNOWN,
                        more: more as u16,
                        reach,
                        at: (at as u32).wrapping_sub(self.record.code) as u16,
                        owed: owed as u16,
                        ..*own
                    });
                    (*from, *to) = ((*from).min(more as u16), (*to).max(end as u16));
                    found += 1;
                }
                op::LOCAL_SET | op::LOCAL_TEE => {
                    if r.u32() == local {
                        return;
                    }
                }
                op::I32_CONST
                | op::F32_CONST
                | op::I32_EQZ..=op::I32_GE_U
                | op::F32_EQ..=op::F32_GE
                | op::I32_CLZ..=op::I32_CTZ
                | op::I32_ADD..=op::I32_MUL
                | op::I32_AND..=op::I32_ROTR
                | op::F32_ABS..=op::F32_NEG
                | op::F32_SQRT..=op::F32_DIV => r.skip(byte),
                _ => return,
            }
        }
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
