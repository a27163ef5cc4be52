//! i64 and f64: in two registers, or by the engine's own functions.
use crate::encode::{self, Access, Cond, Op, Reg, Shift};
use crate::entry::{Entry, Kind, ty};
use crate::function::{Fun, Taken};
use crate::limits::Made;
use crate::registers::{LR, SCRATCH, SP, context};
use wasmote_engine::TrapKind;
use wasmote_engine::opcode::{op, rule};

/// What compiled code has computed by a function, in the order of their addresses (native.rs has the functions).
pub(crate) const HELPED: [u8; 45] = [
    op::I32_POPCNT,
    op::I64_POPCNT,
    op::I64_DIV_S,
    op::I64_DIV_U,
    op::I64_REM_S,
    op::I64_REM_U,
    op::I64_SHL,
    op::I64_SHR_S,
    op::I64_SHR_U,
    op::I64_ROTL,
    op::I64_ROTR,
    op::F64_CEIL,
    op::F64_FLOOR,
    op::F64_TRUNC,
    op::F64_NEAREST,
    op::F64_SQRT,
    op::F64_MIN,
    op::F64_MAX,
    op::F32_CONVERT_I64_S,
    op::F32_CONVERT_I64_U,
    op::F64_CONVERT_I64_S,
    op::F64_CONVERT_I64_U,
    op::I64_CLZ,
    op::I64_CTZ,
    op::F64_COPYSIGN,
    op::F64_EQ,
    op::F64_NE,
    op::F64_LT,
    op::F64_GT,
    op::F64_LE,
    op::F64_GE,
    op::F64_ADD,
    op::F64_SUB,
    op::F64_MUL,
    op::F64_DIV,
    op::F32_DEMOTE_F64,
    op::F64_CONVERT_I32_S,
    op::F64_CONVERT_I32_U,
    op::F64_PROMOTE_F32,
    op::F32_CEIL,
    op::F32_FLOOR,
    op::F32_TRUNC,
    op::F32_NEAREST,
    op::F32_MIN,
    op::F32_MAX,
];

/// Whether an operand is in this register or the next, or half of it.
fn inside((entry, _): Taken, low: Reg) -> bool {
    let there = |reg| reg == low || reg == low + 1;
    match entry.kind {
        Kind::Reg => there(entry.low()),
        Kind::Pair => there(entry.low()) || there(entry.high()),
        _ => false,
    }
}

impl Fun<'_, '_> {
    /// Has one of the engine's functions compute it: operands in r0 and r1, r2 and r3, the result in r0 and r1.
    pub(crate) fn helped(&mut self, byte: u8) -> Made<()> {
        let Some(index) = HELPED.iter().position(|b| *b == byte) else {
            return self.stepped(byte);
        };
        let (count, result) = rule(byte, 0).map_or((0, None), |rule| {
            (rule.effect.operands().count(), rule.effect.result())
        });
        let mut second = (count == 2).then(|| self.pop());
        let mut first = self.pop();
        self.flush(self.height);
        if let Some(last) = &mut second {
            let exchanged = matches!(byte, op::F64_ADD | op::F64_MUL | op::F64_EQ | op::F64_NE);
            if exchanged && (inside(*last, 0) || inside(first, 2) && last.0.kind != Kind::Pair) {
                core::mem::swap(&mut first, last);
            }
            *last = self.out_of_the_way(*last, first);
        }
        self.argument(first, 0);
        self.release(first);
        if let Some(second) = second {
            self.argument(second, 2);
            self.release(second);
        }
        self.asm.load(SCRATCH, SP, context::HELPERS);
        self.asm.put(encode::access_imm(
            Access::Ldr,
            SCRATCH,
            SCRATCH,
            index as u32 * 4,
        ));
        self.asm.put(encode::blx(SCRATCH));
        self.asm.lines += 1;
        let ty = result.unwrap_or(ty::I32);
        let low = self.claim(0);
        if ty::is_wide(ty) {
            let high = self.claim(1);
            self.push(Entry::pair(ty, low, high))
        } else {
            self.push(Entry::reg(ty, low))
        }
    }

    /// Moves a second operand out of r0 and r1, where the first one goes: to its own place, if the first one is not there.
    fn out_of_the_way(&mut self, taken: Taken, first: Taken) -> Taken {
        let (entry, index) = taken;
        if !inside(taken, 0) {
            return taken;
        }
        if !inside(first, 2) {
            self.argument(taken, 2);
            self.release(taken);
            let there = if ty::is_wide(entry.ty) {
                Entry::pair(entry.ty, 2, 3)
            } else {
                Entry::reg(entry.ty, 2)
            };
            return (there, index);
        }
        let to = self.slot(index);
        self.store_at(taken, crate::registers::FRAME, to);
        self.release(taken);
        (Entry::slot(entry.ty), index)
    }

    fn argument(&mut self, taken: Taken, to: Reg) {
        if ty::is_wide(taken.0.ty) {
            self.pair_into(taken, to, to + 1);
        } else {
            self.int_into(taken, to);
        }
    }

    pub(crate) fn compare_wide(&mut self, byte: u8) -> Made<()> {
        if byte == op::I64_EQZ {
            let taken = self.pop();
            let (low, high) = self.pair(taken)?;
            self.asm.put(encode::op_reg(
                Op::Orr,
                true,
                SCRATCH,
                low,
                high,
                Shift::Lsl,
                0,
            ));
            self.give(low);
            self.give(high);
            return self.push_condition(Cond::Eq);
        }
        let (b, a) = (self.pop(), self.pop());
        let (low, high) = self.pair(a)?;
        let (x, y) = self.pair(b)?;
        let cond = match byte {
            op::I64_EQ | op::I64_NE => {
                // Equal where no bit differs.
                self.asm.op_reg(Op::Eor, low, low, x);
                self.asm.op_reg(Op::Eor, high, high, y);
                self.asm.put(encode::op_reg(
                    Op::Orr,
                    true,
                    SCRATCH,
                    low,
                    high,
                    Shift::Lsl,
                    0,
                ));
                crate::integer::condition(byte - op::I64_EQ)
            }
            _ => {
                let cond = crate::integer::condition(byte - op::I64_EQ);
                // The difference says whether it is less; whether it is more, with the operands exchanged.
                let exchange = matches!(cond, Cond::Gt | Cond::Hi | Cond::Le | Cond::Ls);
                let ((al, ah), (bl, bh)) = if exchange {
                    ((x, y), (low, high))
                } else {
                    ((low, high), (x, y))
                };
                self.asm.put(encode::cmp(al, bl));
                self.asm.put(encode::op_reg(
                    Op::Sbc,
                    true,
                    SCRATCH,
                    ah,
                    bh,
                    Shift::Lsl,
                    0,
                ));
                if exchange { cond.exchanged() } else { cond }
            }
        };
        for reg in [low, high, x, y] {
            self.give(reg);
        }
        self.push_condition(cond)
    }

    pub(crate) fn wide(&mut self, byte: u8) -> Made<()> {
        match byte {
            op::I64_ADD | op::I64_SUB | op::I64_AND | op::I64_OR | op::I64_XOR => {
                self.binary_wide(byte)
            }
            op::I64_MUL => {
                let (b, a) = (self.pop(), self.pop());
                let (low, high) = self.pair(a)?;
                let (x, y) = self.pair(b)?;
                // The upper half: both products across, and what the lower halves carry over.
                self.asm.put(encode::mul(high, high, x));
                self.asm.put(encode::mla(false, high, low, y, high));
                self.checks.base = None;
                self.asm.put(encode::umull(SCRATCH, LR, low, x));
                self.asm.op_reg(Op::Add, high, high, LR);
                self.asm.mov(low, SCRATCH);
                self.give(x);
                self.give(y);
                self.push(Entry::pair(ty::I64, low, high))
            }
            op::I64_SHL | op::I64_SHR_S | op::I64_SHR_U => {
                let amount = self.entry(self.height.saturating_sub(1));
                if amount.kind == Kind::Const {
                    self.pop();
                    self.shift_wide(byte, amount.value() & 63)
                } else {
                    self.helped(byte)
                }
            }
            op::I64_DIV_S..=op::I64_REM_U => self.divide_wide(byte),
            _ => self.helped(byte),
        }
    }

    fn binary_wide(&mut self, byte: u8) -> Made<()> {
        let (b, a) = (self.pop(), self.pop());
        let (low, high) = self.pair(a)?;
        let (x, y) = match b.0.kind {
            Kind::Pair => (b.0.low(), b.0.high()),
            _ => {
                self.checks.base = None;
                self.pair_into(b, SCRATCH, LR);
                (SCRATCH, LR)
            }
        };
        let (first, second) = match byte {
            op::I64_ADD => (Op::Add, Op::Adc),
            op::I64_SUB => (Op::Sub, Op::Sbc),
            op::I64_AND => (Op::And, Op::And),
            op::I64_OR => (Op::Orr, Op::Orr),
            _ => (Op::Eor, Op::Eor),
        };
        if first == second {
            self.asm.op_reg(first, low, low, x);
            self.asm.op_reg(second, high, high, y);
        } else {
            self.asm
                .put(encode::op_reg(first, true, low, low, x, Shift::Lsl, 0));
            self.asm
                .put(encode::op_reg(second, false, high, high, y, Shift::Lsl, 0));
        }
        self.release(b);
        self.push(Entry::pair(ty::I64, low, high))
    }

    /// A shift by 0 to 63.
    fn shift_wide(&mut self, byte: u8, amount: u32) -> Made<()> {
        let taken = self.pop();
        let (low, high) = self.pair(taken)?;
        let n = amount as u8;
        let sign = |this: &mut Self, to, from| {
            this.asm.put(encode::shift_imm(Shift::Asr, to, from, 31));
        };
        match (byte, n) {
            (_, 0) => {}
            (op::I64_SHL, 32) => {
                self.asm.mov(high, low);
                self.asm.constant(low, 0);
            }
            (op::I64_SHL, 33..) => {
                self.asm
                    .put(encode::shift_imm(Shift::Lsl, high, low, n - 32));
                self.asm.constant(low, 0);
            }
            (op::I64_SHL, _) => {
                self.asm.put(encode::shift_imm(Shift::Lsl, high, high, n));
                self.asm.put(encode::op_reg(
                    Op::Orr,
                    false,
                    high,
                    high,
                    low,
                    Shift::Lsr,
                    32 - n,
                ));
                self.asm.put(encode::shift_imm(Shift::Lsl, low, low, n));
            }
            (op::I64_SHR_U, 32..) => {
                if n == 32 {
                    self.asm.mov(low, high);
                } else {
                    self.asm
                        .put(encode::shift_imm(Shift::Lsr, low, high, n - 32));
                }
                self.asm.constant(high, 0);
            }
            (_, 32..) => {
                if n == 32 {
                    self.asm.mov(low, high);
                } else {
                    self.asm
                        .put(encode::shift_imm(Shift::Asr, low, high, n - 32));
                }
                sign(self, high, high);
            }
            _ => {
                let shift = if byte == op::I64_SHR_U {
                    Shift::Lsr
                } else {
                    Shift::Asr
                };
                self.asm.put(encode::shift_imm(Shift::Lsr, low, low, n));
                self.asm.put(encode::op_reg(
                    Op::Orr,
                    false,
                    low,
                    low,
                    high,
                    Shift::Lsl,
                    32 - n,
                ));
                self.asm.put(encode::shift_imm(shift, high, high, n));
            }
        }
        self.push(Entry::pair(ty::I64, low, high))
    }

    fn divide_wide(&mut self, byte: u8) -> Made<()> {
        let (b, a) = (self.pop(), self.pop());
        let (x, y) = self.pair(b)?;
        let trap = self.trap(TrapKind::DivideByZero)?;
        self.asm
            .put(encode::op_reg(Op::Orr, true, SCRATCH, x, y, Shift::Lsl, 0));
        self.asm.forward(trap, Some(Cond::Eq));
        if byte == op::I64_DIV_S {
            let (low, high) = self.pair(a)?;
            let trap = self.trap(TrapKind::IntegerOverflow)?;
            let over = self.asm.label();
            // Both halves of the divisor all ones, and the dividend the least there is.
            self.asm.op_reg(Op::And, SCRATCH, x, y);
            self.asm.compare_constant(SCRATCH, u32::MAX);
            self.asm.forward(over, Some(Cond::Ne));
            self.asm.put(encode::op_imm(Op::Eor, false, SCRATCH, high, {
                encode::immediate(1 << 31).unwrap_or(0)
            }));
            self.asm.put(encode::op_reg(
                Op::Orr,
                true,
                SCRATCH,
                SCRATCH,
                low,
                Shift::Lsl,
                0,
            ));
            self.asm.forward(trap, Some(Cond::Eq));
            self.asm.bind(over);
            self.push(Entry::pair(ty::I64, low, high))?;
        } else {
            self.push(a.0)?;
        }
        self.push(Entry::pair(ty::I64, x, y))?;
        self.helped(byte)
    }

    pub(crate) fn extend_wide(&mut self, byte: u8) -> Made<()> {
        let taken = self.pop();
        match byte {
            op::I64_REINTERPRET_F64 | op::F64_REINTERPRET_I64 => {
                let ty = if byte == op::I64_REINTERPRET_F64 {
                    ty::I64
                } else {
                    ty::F64
                };
                let (low, high) = self.pair(taken)?;
                self.push(Entry::pair(ty, low, high))
            }
            op::I64_EXTEND_I32_S | op::I64_EXTEND_I32_U => {
                let (low, high) = (self.temp()?, self.temp()?);
                self.int_into(taken, low);
                self.release(taken);
                if byte == op::I64_EXTEND_I32_S {
                    self.asm.put(encode::shift_imm(Shift::Asr, high, low, 31));
                } else {
                    self.asm.constant(high, 0);
                }
                self.push(Entry::pair(ty::I64, low, high))
            }
            _ => {
                let (low, high) = self.pair(taken)?;
                if byte != op::I64_EXTEND32_S {
                    self.asm
                        .put(encode::extend_signed(byte == op::I64_EXTEND8_S, low, low));
                }
                self.asm.put(encode::shift_imm(Shift::Asr, high, low, 31));
                self.push(Entry::pair(ty::I64, low, high))
            }
        }
    }

    pub(crate) fn double(&mut self, byte: u8) -> Made<()> {
        if !matches!(byte, op::F64_ABS | op::F64_NEG) {
            return self.helped(byte);
        }
        let taken = self.pop();
        let (low, high) = self.pair(taken)?;
        let op = if byte == op::F64_ABS {
            Op::Bic
        } else {
            Op::Eor
        };
        let sign = encode::immediate(1 << 31).unwrap_or(0);
        self.asm.put(encode::op_imm(op, false, high, high, sign));
        self.push(Entry::pair(ty::F64, low, high))
    }
}
