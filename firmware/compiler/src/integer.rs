//! i32.
use crate::encode::{self, Cond, Op, Reg, Shift};
use crate::entry::{Entry, Kind, ty};
use crate::function::{Fun, Taken};
use crate::limits::Made;
use crate::registers::SCRATCH;
use wasmote_engine::TrapKind;
use wasmote_engine::opcode::op;

/// The condition of a comparison, by its place among the ten of a type.
pub(crate) fn condition(place: u8) -> Cond {
    match place {
        0 => Cond::Eq,
        1 => Cond::Ne,
        2 => Cond::Lt,
        3 => Cond::Lo,
        4 => Cond::Gt,
        5 => Cond::Hi,
        6 => Cond::Le,
        7 => Cond::Ls,
        8 => Cond::Ge,
        _ => Cond::Hs,
    }
}

impl Fun<'_, '_> {
    /// A condition as an operand: as flags, if the next instruction takes it so.
    pub(crate) fn push_condition(&mut self, cond: Cond) -> Made<()> {
        self.asm.flags = true;
        let entry = Entry::flags(cond);
        if matches!(self.peek(), op::BR_IF | op::IF | op::SELECT | op::I32_EQZ) {
            return self.push(entry);
        }
        let to = self.result(&[])?;
        self.int_into((entry, 0), to);
        self.push(Entry::reg(ty::I32, to))
    }

    pub(crate) fn compare(&mut self, byte: u8) -> Made<()> {
        if byte == op::I32_EQZ {
            let taken = self.pop();
            if taken.0.kind == Kind::Flags {
                return self.push_condition(taken.0.cond().not());
            }
            let reg = self.int(taken)?;
            self.asm.compare_constant(reg, 0);
            self.give(reg);
            return self.push_condition(Cond::Eq);
        }
        let cond = condition(byte - op::I32_EQ);
        let (b, a) = (self.pop(), self.pop());
        let cond = self.compare_operands(a, b, cond)?;
        self.push_condition(cond)
    }

    fn compare_operands(&mut self, a: Taken, b: Taken, cond: Cond) -> Made<Cond> {
        let (a, b, cond) = if a.0.kind == Kind::Const && b.0.kind != Kind::Const {
            (b, a, cond.exchanged())
        } else {
            (a, b, cond)
        };
        let x = self.int(a)?;
        if b.0.kind == Kind::Const && self.asm.compare_constant(x, b.0.value()) {
            self.give(x);
            return Ok(cond);
        }
        let y = self.int(b)?;
        self.asm.put(encode::cmp(x, y));
        self.give(x);
        self.give(y);
        Ok(cond)
    }

    pub(crate) fn integer(&mut self, byte: u8) -> Made<()> {
        match byte {
            op::I32_CLZ | op::I32_CTZ => {
                let taken = self.pop();
                let a = self.int(taken)?;
                let to = self.result(&[a])?;
                if byte == op::I32_CTZ {
                    self.asm.put(encode::rbit(to, a));
                    self.asm.put(encode::clz(to, to));
                } else {
                    self.asm.put(encode::clz(to, a));
                }
                self.push(Entry::reg(ty::I32, to))
            }
            op::I32_POPCNT => self.helped(byte),
            op::I32_DIV_S..=op::I32_REM_U => self.divide(byte),
            op::I32_SHL..=op::I32_ROTR => self.shift(byte),
            op::I32_MUL => {
                let (b, a) = (self.pop(), self.pop());
                let (x, y) = (self.int(a)?, self.int(b)?);
                let to = self.result(&[x, y])?;
                self.asm.put(encode::mul(to, x, y));
                self.push(Entry::reg(ty::I32, to))
            }
            _ => self.binary(byte),
        }
    }

    fn binary(&mut self, byte: u8) -> Made<()> {
        let (b, a) = (self.pop(), self.pop());
        let op = match byte {
            op::I32_ADD => Op::Add,
            op::I32_SUB => Op::Sub,
            op::I32_AND => Op::And,
            op::I32_OR => Op::Orr,
            _ => Op::Eor,
        };
        // A constant comes second, where that makes no difference.
        let (a, b) = if a.0.kind == Kind::Const && op != Op::Sub {
            (b, a)
        } else {
            (a, b)
        };
        let x = self.int(a)?;
        if b.0.kind == Kind::Const {
            let v = b.0.value();
            let imm = encode::immediate(v);
            let inverted = encode::immediate(!v);
            let adds = match op {
                Op::Add => Some(v),
                Op::Sub => Some(v.wrapping_neg()),
                _ => None,
            };
            let to = self.result(&[x])?;
            let done = match (op, adds) {
                (_, Some(v)) => self.asm.add_constant(to, x, v),
                (_, None) => match (imm, inverted) {
                    (Some(imm), _) => {
                        self.asm.put(encode::op_imm(op, false, to, x, imm));
                        true
                    }
                    (None, Some(inverted)) if op == Op::And => {
                        self.asm
                            .put(encode::op_imm(Op::Bic, false, to, x, inverted));
                        true
                    }
                    _ => false,
                },
            };
            if !done {
                self.asm.constant(SCRATCH, v);
                self.asm.op_reg(op, to, x, SCRATCH);
            }
            return self.push(Entry::reg(ty::I32, to));
        }
        let y = self.int(b)?;
        let to = self.result(&[x, y])?;
        self.asm.op_reg(op, to, x, y);
        self.push(Entry::reg(ty::I32, to))
    }

    fn shift(&mut self, byte: u8) -> Made<()> {
        let (b, a) = (self.pop(), self.pop());
        let shift = match byte {
            op::I32_SHL => Shift::Lsl,
            op::I32_SHR_S => Shift::Asr,
            op::I32_SHR_U => Shift::Lsr,
            _ => Shift::Ror,
        };
        let x = self.int(a)?;
        if b.0.kind == Kind::Const {
            let amount = match byte {
                op::I32_ROTL => (32 - (b.0.value() & 31)) & 31,
                _ => b.0.value() & 31,
            } as u8;
            let to = self.result(&[x])?;
            if amount == 0 {
                self.asm.mov(to, x);
            } else if to < 8 && x < 8 && !self.asm.flags && shift != Shift::Ror {
                self.asm.put(encode::shifts_imm_short(shift, to, x, amount));
            } else {
                self.asm.put(encode::shift_imm(shift, to, x, amount));
            }
            return self.push(Entry::reg(ty::I32, to));
        }
        let y = self.int(b)?;
        // The architecture looks at 8 bits of the amount, WebAssembly at 5.
        if byte == op::I32_ROTL {
            self.asm.put(encode::op_imm(Op::Rsb, false, SCRATCH, y, 0));
            self.asm
                .put(encode::op_imm(Op::And, false, SCRATCH, SCRATCH, 31));
        } else {
            self.asm.put(encode::op_imm(Op::And, false, SCRATCH, y, 31));
        }
        let to = self.result(&[x, y])?;
        self.asm.put(encode::shift_reg(shift, to, x, SCRATCH));
        self.push(Entry::reg(ty::I32, to))
    }

    /// Traps unless the divisor is another number than 0.
    fn check_divisor(&mut self, y: Reg) -> Made<()> {
        let trap = self.trap(TrapKind::DivideByZero)?;
        self.asm.compare_constant(y, 0);
        self.asm.forward(trap, Some(Cond::Eq));
        Ok(())
    }

    fn divide(&mut self, byte: u8) -> Made<()> {
        let (b, a) = (self.pop(), self.pop());
        let signed = matches!(byte, op::I32_DIV_S | op::I32_REM_S);
        let known = (b.0.kind == Kind::Const).then(|| b.0.value());
        let (x, y) = (self.int(a)?, self.int(b)?);
        if known.is_none_or(|v| v == 0) {
            self.check_divisor(y)?;
        }
        if byte == op::I32_DIV_S && known.is_none_or(|v| v == u32::MAX) {
            let trap = self.trap(TrapKind::IntegerOverflow)?;
            let over = self.asm.label();
            self.asm.compare_constant(y, u32::MAX);
            self.asm.forward(over, Some(Cond::Ne));
            self.asm.compare_constant(x, 1 << 31);
            self.asm.forward(trap, Some(Cond::Eq));
            self.asm.bind(over);
        }
        if matches!(byte, op::I32_DIV_S | op::I32_DIV_U) {
            let to = self.result(&[x, y])?;
            self.asm.put(encode::div(signed, to, x, y));
            return self.push(Entry::reg(ty::I32, to));
        }
        self.asm.put(encode::div(signed, SCRATCH, x, y));
        let to = self.result(&[x, y])?;
        self.asm.put(encode::mla(true, to, SCRATCH, y, x));
        self.push(Entry::reg(ty::I32, to))
    }
}
