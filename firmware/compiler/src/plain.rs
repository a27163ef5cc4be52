//! One instruction after the other: which of the families lowers it.
use crate::address::NONE;
use crate::encode::Reg;
use crate::entry::{Entry, Kind, ty};
use crate::function::Fun;
use crate::limits::Made;
use crate::registers::{FRAME, Leave, SP, context};
use crate::work::Home;
use wasmote_engine::opcode::{more, op, rule};

impl Fun<'_, '_> {
    pub(crate) fn instruction(&mut self, byte: u8) -> Made<()> {
        self.busy = NONE;
        if !Self::is_plain(byte) {
            self.drop_bases();
            if !matches!(byte, op::GLOBAL_GET | op::GLOBAL_SET) {
                self.drop_globals();
            }
        }
        match byte {
            op::UNREACHABLE => self.unreachable(),
            op::NOP => Ok(()),
            op::BLOCK | op::LOOP | op::IF => self.block(byte),
            op::ELSE => self.otherwise(),
            op::END => self.end(),
            op::BR => self.br(),
            op::BR_IF => self.br_if(),
            op::BR_TABLE => self.br_table(),
            op::RETURN => self.ret(),
            op::CALL => self.call(),
            op::CALL_INDIRECT => self.call_indirect(),
            op::DROP => {
                let taken = self.pop();
                self.release(taken);
                Ok(())
            }
            op::SELECT => self.select(),
            op::SELECT_T => {
                self.skip(byte);
                self.select()
            }
            op::LOCAL_GET => {
                let index = self.u32();
                let ty = self.local(index).ty;
                self.push(Entry::local(ty, index))
            }
            op::LOCAL_SET | op::LOCAL_TEE => self.local_set(byte == op::LOCAL_TEE),
            op::GLOBAL_GET | op::GLOBAL_SET => self.global(byte == op::GLOBAL_SET),
            op::I32_LOAD..=op::I64_STORE32 => self.access(byte),
            op::MEMORY_SIZE => self.memory_size(),
            op::I32_CONST => {
                let value = self.s64() as u32;
                self.push(Entry::constant(ty::I32, value))
            }
            op::I64_CONST => {
                let value = self.s64();
                self.wide_constant(ty::I64, value)
            }
            op::F32_CONST => {
                let value = self.raw(4) as u32;
                self.push(Entry::constant(ty::F32, value))
            }
            op::F64_CONST => {
                let value = self.raw(8);
                self.wide_constant(ty::F64, value)
            }
            op::I32_EQZ..=op::I32_GE_U => self.compare(byte),
            op::I64_EQZ..=op::I64_GE_U => self.compare_wide(byte),
            op::F32_EQ..=op::F32_GE => self.compare_float(byte),
            op::I32_CLZ..=op::I32_ROTR => self.integer(byte),
            op::I64_CLZ..=op::I64_ROTR => self.wide(byte),
            op::F32_ABS..=op::F32_COPYSIGN => self.float_arithmetic(byte),
            op::F64_EQ..=op::F64_GE | op::F64_ABS..=op::F64_COPYSIGN => self.double(byte),
            op::I32_WRAP_I64..=op::I64_EXTEND32_S => self.convert(byte),
            op::REF_NULL => {
                let ty = self.byte();
                self.push(Entry::constant(ty, 0))
            }
            op::REF_IS_NULL => self.compare(op::I32_EQZ),
            op::PREFIX => self.prefixed(),
            _ => self.stepped(byte),
        }
    }

    fn raw(&mut self, bytes: usize) -> u64 {
        let end = self.at + bytes;
        let bytes = self.bytes.get(self.at..end).unwrap_or(&[]);
        self.at = end;
        bytes.iter().rev().fold(0, |v, b| v << 8 | u64::from(*b))
    }

    fn wide_constant(&mut self, ty: u8, value: u64) -> Made<()> {
        let low = value as u32;
        if value == i64::from(low.cast_signed()).cast_unsigned() {
            return self.push(Entry::constant(ty, low));
        }
        let (a, b) = (self.temp()?, self.temp()?);
        self.asm.constant(a, low);
        self.asm.constant(b, (value >> 32) as u32);
        self.push(Entry::pair(ty, a, b))
    }

    fn local_set(&mut self, keep: bool) -> Made<()> {
        let index = self.u32();
        let taken = self.pop();
        let local = self.local(index);
        let (entry, _) = taken;
        let same = entry.kind == Kind::Local && entry.value() == index;
        if !same {
            self.flush_local(index)?;
        }
        match local.home {
            _ if same => {}
            Home::Reg(pin) => {
                self.forget(pin);
                self.int_into(taken, pin);
                self.release(taken);
            }
            Home::Float(pin) => {
                self.float_into(taken, pin);
                self.release(taken);
            }
            Home::Frame => {
                let at = self.local_slot(index);
                // What is nowhere yet is fetched once, if it is kept.
                let held = match entry.kind {
                    Kind::Reg | Kind::Float | Kind::Pair => entry,
                    _ if ty::is_wide(entry.ty) => {
                        let (low, high) = self.pair(taken)?;
                        Entry::pair(entry.ty, low, high)
                    }
                    _ => Entry::reg(entry.ty, self.int(taken)?),
                };
                self.store_at((held, 0), FRAME, at);
                let lives = matches!(entry.kind, Kind::Const | Kind::Local);
                if keep && !lives {
                    return self.push(held);
                }
                self.release((held, 0));
                if keep {
                    return self.push(entry);
                }
            }
        }
        if keep {
            self.push(Entry::local(local.ty, index))?;
        }
        Ok(())
    }

    fn global(&mut self, set: bool) -> Made<()> {
        let index = self.u32();
        let ty = self
            .facts
            .module
            .global_type(index)
            .map_or(ty::I32, |g| g.value as u8);
        if index >= 500 {
            self.at = self.here + 1;
            return self.stepped(if set { op::GLOBAL_SET } else { op::GLOBAL_GET });
        }
        let at = index * 8;
        if set {
            let taken = self.pop();
            let held = if ty::is_wide(ty) {
                let (low, high) = self.pair(taken)?;
                Entry::pair(ty, low, high)
            } else {
                Entry::reg(ty, self.int(taken)?)
            };
            let (base, stays) = self.globals()?;
            self.store_at((held, 0), base, at);
            if !stays {
                self.give(base);
            }
            if self.is_got(index) {
                // What was set is the operand that follows.
                let own = held.kind == Kind::Pair || self.is_temp(held.low());
                if own && taken.0.kind != Kind::Const {
                    return self.push(held);
                }
                self.release((held, 0));
                return self.push(taken.0);
            }
            self.release((held, 0));
            return Ok(());
        }
        if ty::is_wide(ty) {
            let (low, high) = (self.temp()?, self.temp()?);
            let (base, stays) = self.globals()?;
            self.asm.load(low, base, at);
            self.asm.load(high, base, at + 4);
            if !stays {
                self.give(base);
            }
            return self.push(Entry::pair(ty, low, high));
        }
        let (base, stays) = self.globals()?;
        let given = [base];
        let to = self.result(if stays { &[] } else { &given })?;
        self.asm.load(to, base, at);
        self.push(Entry::reg(ty, to))
    }

    /// Passes over the next instruction if it gets this global.
    fn is_got(&mut self, index: u32) -> bool {
        if self.peek() != op::GLOBAL_GET {
            return false;
        }
        let at = self.at;
        self.at += 1;
        let got = self.u32() == index;
        if !got {
            self.at = at;
        }
        got
    }

    /// The register with the globals' place, and whether it stays there: on a straight line, where others are free.
    fn globals(&mut self) -> Made<(Reg, bool)> {
        let line = self.asm.lines;
        match self.globals_at {
            Some((reg, since)) if since == line => return Ok((reg, true)),
            _ => self.drop_globals(),
        };
        let low = self.free & 0xff;
        let stays = low.count_ones() > 3;
        let reg = if stays {
            // The last one: results are wanted in the first.
            self.claim(15 - low.leading_zeros() as Reg)
        } else {
            self.temp()?
        };
        self.asm.load(reg, SP, context::GLOBALS);
        self.globals_at = stays.then_some((reg, line));
        Ok((reg, stays))
    }

    /// Gives the register with the globals' place back; `false` where there is none.
    pub(crate) fn drop_globals(&mut self) -> bool {
        let held = self.globals_at.take();
        if let Some((reg, _)) = held {
            self.give(reg);
        }
        held.is_some()
    }

    fn memory_size(&mut self) -> Made<()> {
        self.byte();
        let log2 = self.facts.module.memory_type().map_or(0, |t| t.page_log2);
        let to = self.result(&[])?;
        self.asm.load(to, SP, context::LENGTH);
        if log2 > 0 {
            self.asm.put(crate::encode::shift_imm(
                crate::encode::Shift::Lsr,
                to,
                to,
                log2,
            ));
        }
        self.push(Entry::reg(ty::I32, to))
    }

    fn prefixed(&mut self) -> Made<()> {
        let number = self.u32() as u8;
        match number {
            more::I32_TRUNC_SAT_F32_S | more::I32_TRUNC_SAT_F32_U => {
                self.truncate_saturated(number == more::I32_TRUNC_SAT_F32_S)
            }
            _ => {
                self.at = self.here + 1;
                self.stepped(op::PREFIX)
            }
        }
    }

    /// Has the engine's loop execute this instruction: operands lie where it expects them, and so do results.
    pub(crate) fn stepped(&mut self, byte: u8) -> Made<()> {
        let start = self.at;
        let number = if byte == op::PREFIX { self.u32() } else { 0 };
        self.at = start;
        self.skip(byte);
        self.flush(0);
        self.leave(Leave::Step, self.here, self.owed)?;
        self.now_owed(0);
        let none = (0, None);
        let (taken, given) = match (byte, number as u8) {
            (op::TABLE_GET, _) => {
                self.at = start;
                let table = self.u32();
                let element = self.facts.module.table_type(table);
                (1, element.map(|t| t.element as u8))
            }
            (op::TABLE_SET, _) => (2, None),
            (op::REF_FUNC, _) => (0, Some(0x70)),
            (op::GLOBAL_SET, _) => (1, None),
            (op::GLOBAL_GET, _) => {
                self.at = start;
                let index = self.u32();
                let global = self.facts.module.global_type(index);
                (0, global.map(|g| g.value as u8))
            }
            (op::PREFIX, more::TABLE_GROW) => (2, Some(ty::I32)),
            (op::PREFIX, more::TABLE_FILL) => (3, None),
            _ => rule(byte, number).map_or(none, |rule| {
                (rule.effect.operands().count(), rule.effect.result())
            }),
        };
        self.height = self.height.saturating_sub(taken);
        given.map_or(Ok(()), |ty| self.push(Entry::slot(ty)))
    }
}
