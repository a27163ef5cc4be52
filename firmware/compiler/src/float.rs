//! f32, and what floats of both formats and integers become when converted.
use crate::encode::{self, Arith, Cond, Unary};
use crate::entry::{Entry, Kind, ty};
use crate::function::Fun;
use crate::limits::Made;
use crate::registers::{FLOAT_SCRATCH, SCRATCH};
use wasmote_engine::opcode::{more, op};

impl Fun<'_, '_> {
    pub(crate) fn compare_float(&mut self, byte: u8) -> Made<()> {
        // Where a number is none, none of these holds but for "ne".
        let cond = match byte {
            op::F32_EQ => Cond::Eq,
            op::F32_NE => Cond::Ne,
            op::F32_LT => Cond::Mi,
            op::F32_GT => Cond::Gt,
            op::F32_LE => Cond::Ls,
            _ => Cond::Ge,
        };
        let (b, a) = (self.pop(), self.pop());
        let (x, y) = (self.float(a)?, self.float(b)?);
        self.asm.put(encode::vunary(Unary::Cmp, x, y));
        self.asm.put(encode::vmrs());
        self.give_float(x);
        self.give_float(y);
        self.push_condition(cond)
    }

    pub(crate) fn float_arithmetic(&mut self, byte: u8) -> Made<()> {
        let unary = match byte {
            op::F32_ABS => Some(Unary::Abs),
            op::F32_NEG => Some(Unary::Neg),
            op::F32_SQRT => Some(Unary::Sqrt),
            _ => None,
        };
        if let Some(unary) = unary {
            let taken = self.pop();
            let x = self.float(taken)?;
            let to = self.float_result(&[x])?;
            self.asm.put(encode::vunary(unary, to, x));
            return self.push(Entry::float(to));
        }
        let arith = match byte {
            op::F32_ADD => Arith::Add,
            op::F32_SUB => Arith::Sub,
            op::F32_MUL => Arith::Mul,
            op::F32_DIV => Arith::Div,
            op::F32_COPYSIGN => return self.copysign(),
            _ if self.is_truncated(byte) => return self.rounded(byte),
            _ => return self.helped(byte),
        };
        let (b, a) = (self.pop(), self.pop());
        let (x, y) = (self.float(a)?, self.float(b)?);
        let to = self.float_result(&[x, y])?;
        self.asm.put(encode::varith(arith, to, x, y));
        self.push(Entry::float(to))
    }

    fn copysign(&mut self) -> Made<()> {
        let (b, a) = (self.pop(), self.pop());
        let (x, y) = (self.int(a)?, self.int(b)?);
        self.asm.put(encode::op_imm(
            encode::Op::And,
            false,
            SCRATCH,
            y,
            encode::immediate(1 << 31).unwrap_or(0),
        ));
        self.give(x);
        self.give(y);
        let to = self.temp()?;
        self.asm.put(encode::op_imm(
            encode::Op::Bic,
            false,
            to,
            x,
            encode::immediate(1 << 31).unwrap_or(0),
        ));
        self.asm.op_reg(encode::Op::Orr, to, to, SCRATCH);
        self.push(Entry::reg(ty::F32, to))
    }

    /// Whether this rounds, and the next instruction makes an i32 of it, the nearest there is.
    fn is_truncated(&self, byte: u8) -> bool {
        let next = self.bytes.get(self.at + 1);
        let follows = self.peek() == op::PREFIX && next == Some(&more::I32_TRUNC_SAT_F32_S);
        follows && matches!(byte, op::F32_CEIL..=op::F32_TRUNC)
    }

    /// Both at once: what the conversion cuts off tells on which side of the number it is, and it is exact where there is something to cut
    /// off. Beyond 2^31 one more or less is the same float; a NaN is on no side, and becomes 0.
    fn rounded(&mut self, byte: u8) -> Made<()> {
        self.at += 2;
        let step = match byte {
            op::F32_CEIL => Some((Arith::Add, Cond::Gt)),
            op::F32_FLOOR => Some((Arith::Sub, Cond::Mi)),
            _ => None,
        };
        let Some((arith, side)) = step else {
            return self.truncate_saturated(true);
        };
        let taken = self.pop();
        let x = self.float(taken)?;
        let one = self.float_temp()?;
        let whole = FLOAT_SCRATCH;
        let convert = |this: &mut Self, unary, from| {
            this.asm.put(encode::vunary(unary, whole, from));
        };
        convert(self, Unary::ToSigned, x);
        convert(self, Unary::FromSigned, whole);
        let imm = encode::float_immediate(1_f32.to_bits()).unwrap_or(0);
        self.asm.put(encode::vmov_imm(one, imm));
        self.asm.put(encode::vunary(Unary::Cmp, x, whole));
        self.asm.put(encode::vmrs());
        self.asm.put(encode::it(side));
        self.asm.put(encode::varith(arith, whole, whole, one));
        convert(self, Unary::ToSigned, whole);
        self.give_float(x);
        self.give_float(one);
        let to = self.result(&[])?;
        self.asm.put(encode::vmov_from(to, whole));
        self.push(Entry::reg(ty::I32, to))
    }

    /// Towards zero, the nearest there is; 0 for what is not a number.
    pub(crate) fn truncate_saturated(&mut self, signed: bool) -> Made<()> {
        let taken = self.pop();
        let x = self.float(taken)?;
        let unary = if signed {
            Unary::ToSigned
        } else {
            Unary::ToUnsigned
        };
        self.asm.put(encode::vunary(unary, FLOAT_SCRATCH, x));
        self.give_float(x);
        let to = self.result(&[])?;
        self.asm.put(encode::vmov_from(to, FLOAT_SCRATCH));
        self.push(Entry::reg(ty::I32, to))
    }

    pub(crate) fn convert(&mut self, byte: u8) -> Made<()> {
        match byte {
            op::I32_WRAP_I64 => {
                let taken = self.pop();
                let (entry, _) = taken;
                match entry.kind {
                    Kind::Const => self.push(Entry::constant(ty::I32, entry.value())),
                    Kind::Pair => {
                        self.give(entry.high());
                        self.push(Entry::reg(ty::I32, entry.low()))
                    }
                    _ => {
                        let to = self.result(&[])?;
                        self.int_into(taken, to);
                        self.push(Entry::reg(ty::I32, to))
                    }
                }
            }
            op::F32_CONVERT_I32_S | op::F32_CONVERT_I32_U => {
                let taken = self.pop();
                let x = self.int(taken)?;
                self.asm.put(encode::vmov_to(FLOAT_SCRATCH, x));
                self.give(x);
                let to = self.float_result(&[])?;
                let unary = if byte == op::F32_CONVERT_I32_S {
                    Unary::FromSigned
                } else {
                    Unary::FromUnsigned
                };
                self.asm.put(encode::vunary(unary, to, FLOAT_SCRATCH));
                self.push(Entry::float(to))
            }
            op::I32_REINTERPRET_F32 | op::F32_REINTERPRET_I32 => {
                let taken = self.pop();
                let to = if byte == op::I32_REINTERPRET_F32 {
                    ty::I32
                } else {
                    ty::F32
                };
                if taken.0.kind == Kind::Const {
                    return self.push(Entry::constant(to, taken.0.value()));
                }
                // A register that a local lives in is copied: it may be set before this is used.
                let reg = self.int(taken)?;
                let own = if self.temps >> reg & 1 == 1 {
                    reg
                } else {
                    let own = self.temp()?;
                    self.asm.mov(own, reg);
                    own
                };
                self.push(Entry::reg(to, own))
            }
            op::I32_EXTEND8_S | op::I32_EXTEND16_S => {
                let taken = self.pop();
                let x = self.int(taken)?;
                let to = self.result(&[x])?;
                self.asm
                    .put(encode::extend_signed(byte == op::I32_EXTEND8_S, to, x));
                self.push(Entry::reg(ty::I32, to))
            }
            op::I64_EXTEND_I32_S
            | op::I64_EXTEND_I32_U
            | op::I64_REINTERPRET_F64
            | op::F64_REINTERPRET_I64
            | op::I64_EXTEND8_S
            | op::I64_EXTEND16_S
            | op::I64_EXTEND32_S => self.extend_wide(byte),
            op::I32_TRUNC_F32_S
            | op::I32_TRUNC_F32_U
            | op::I32_TRUNC_F64_S
            | op::I32_TRUNC_F64_U
            | op::I64_TRUNC_F32_S
            | op::I64_TRUNC_F32_U
            | op::I64_TRUNC_F64_S
            | op::I64_TRUNC_F64_U => self.stepped(byte),
            _ => self.helped(byte),
        }
    }
}
