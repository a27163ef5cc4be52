//! i32.
use crate::address::Address;
use crate::encode::{self, Cond, Op, Reg, Shift};
use crate::entry::{Entry, Kind, ty};
use crate::function::{Fun, Taken};
use crate::limits::Made;
use crate::registers::SCRATCH;
use crate::work::Home;
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

/// A factor as `x + (x << n)` or `(x << n) - x`, shifted left again.
fn factors(v: u32) -> Option<(Op, u8, u8)> {
    let shift = v.trailing_zeros();
    let odd = v.checked_shr(shift)?;
    let (op, power) = if (odd & 3) == 1 {
        (Op::Add, odd - 1)
    } else {
        (Op::Rsb, odd.wrapping_add(1))
    };
    let good = power.is_power_of_two() && power > 1 && shift <= 8;
    good.then_some((op, power.trailing_zeros() as u8, shift as u8))
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

    /// What two numbers come to: one of them is 0 where what changes in an expression that is kept would be (hoist.rs).
    fn folded(&self, byte: u8) -> Option<u32> {
        let of = |below: usize| {
            let entry = self.entry(self.height.checked_sub(below)?);
            (entry.kind == Kind::Const).then_some(entry.value())
        };
        let (a, b) = (of(2)?, of(1)?);
        match byte {
            op::I32_ADD => Some(a.wrapping_add(b)),
            op::I32_SUB => Some(a.wrapping_sub(b)),
            op::I32_SHL => Some(a.wrapping_shl(b)),
            _ => None,
        }
    }

    pub(crate) fn integer(&mut self, byte: u8) -> Made<()> {
        if let Some(value) = self.folded(byte) {
            self.height -= 2;
            return self.push(Entry::constant(ty::I32, value));
        }
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
            op::I32_MUL => self.multiply(),
            _ => self.binary(byte),
        }
    }

    /// A product, with what is added to it right away.
    fn multiply(&mut self) -> Made<()> {
        let (b, a) = (self.pop(), self.pop());
        let added = self.added_next();
        if let (None, Kind::Const, Some((op, by, shift))) = (added, b.0.kind, factors(b.0.value()))
        {
            let x = self.int(a)?;
            let to = self.result(&[x])?;
            let sum = encode::op_reg(op, false, to, x, x, Shift::Lsl, by);
            self.asm.put(sum);
            if self.is_temp(to) && self.push_sum(to, shift, 0)? {
                return Ok(());
            }
            if shift > 0 {
                self.asm.shift_left(to, to, shift);
            }
            return self.push(Entry::reg(ty::I32, to));
        }
        let (x, y) = (self.int(a)?, self.int(b)?);
        let Some(added) = added else {
            let to = self.result(&[x, y])?;
            self.asm.put(encode::mul(to, x, y));
            return self.push(Entry::reg(ty::I32, to));
        };
        let z = self.int(added)?;
        let to = self.result(&[x, y, z])?;
        self.asm.put(encode::mla(false, to, x, y, z));
        self.push(Entry::reg(ty::I32, to))
    }

    /// Whether the next instructions add something to the result, which is not pushed yet: what it is, those being passed.
    fn added_next(&mut self) -> Option<Taken> {
        if self.peek() == op::I32_ADD {
            let below = self.entry(self.height.checked_sub(1)?);
            if !matches!(below.kind, Kind::Reg | Kind::Local | Kind::Slot) {
                return None;
            }
            self.at += 1;
            return Some(self.pop());
        }
        let at = self.at;
        if self.peek() == op::LOCAL_GET {
            self.at += 1;
            let index = self.u32();
            if self.peek() == op::I32_ADD && matches!(self.local(index).home, Home::Reg(_)) {
                self.at += 1;
                return Some((Entry::local(ty::I32, index), 0));
            }
        }
        self.at = at;
        None
    }

    /// An operand as a register that is shifted and a number, if it is one without an instruction.
    pub(crate) fn as_sum(&mut self, (entry, _): Taken) -> Option<(Reg, u8, u32)> {
        match (entry.kind, self.local(entry.value()).home) {
            (Kind::Sum, _) if !entry.has_two() => {
                let Address { root, value } = entry.address();
                Some((root.shifted, root.shift, value))
            }
            (Kind::Reg, _) => Some((entry.low(), 0, 0)),
            (Kind::Local, Home::Reg(pin)) => Some((pin, 0, 0)),
            _ => None,
        }
    }

    /// Pushes a sum that is not computed yet, unless a local is set to it right away.
    fn push_sum(&mut self, reg: Reg, shift: u8, value: u32) -> Made<bool> {
        self.push_address(Address::of(reg, shift, value))
    }

    /// An operand that is no sum of two registers: those are added.
    fn in_one(&mut self, taken: Taken) -> Made<Taken> {
        let (entry, index) = taken;
        if !entry.has_two() {
            return Ok(taken);
        }
        let Address { root, value } = entry.address();
        let reg = self.temp()?;
        self.asm
            .add_shifted(reg, root.plain, root.shifted, root.shift);
        // A number that is too large for a sum in such a register.
        if value.cast_signed().unsigned_abs() >= 4096 {
            self.int_into((Entry::sum(reg, 0, value), index), reg);
            return Ok((Entry::reg(ty::I32, reg), index));
        }
        Ok((Entry::sum(reg, 0, value), index))
    }

    fn push_address(&mut self, address: Address) -> Made<bool> {
        let Address { root, value } = address;
        let near = value.cast_signed().unsigned_abs() < 4096;
        let fits = near || !self.is_temp(root.shifted) && value < 1 << 16;
        if !fits || root.shift > 8 || matches!(self.peek(), op::LOCAL_SET | op::LOCAL_TEE) {
            return Ok(false);
        }
        self.push(Entry::of(address))?;
        Ok(true)
    }

    /// The sum of two operands that are no constants; numbers in them are added later.
    fn add(&mut self, a: Taken, b: Taken) -> Made<()> {
        if let (Some(x), Some(y)) = (self.lasting(a.0), self.lasting(b.0))
            && let Some(sum) = x.sum(y)
            && self.push_address(sum)?
        {
            return Ok(());
        }
        let (a, b) = (self.in_one(a)?, self.in_one(b)?);
        let (mut x, mut y) = match (self.as_sum(a), self.as_sum(b)) {
            (Some(x), Some(y)) => (x, y),
            (Some(x), None) => (x, (self.int(b)?, 0, 0)),
            (None, y) => {
                let first = self.int(a)?;
                let y = match y {
                    Some(y) => y,
                    None => (self.int(b)?, 0, 0),
                };
                ((first, 0, 0), y)
            }
        };
        let value = x.2.wrapping_add(y.2);
        if x.1 > 0 {
            core::mem::swap(&mut x, &mut y);
        }
        if x.1 > 0 {
            // Both are shifted: one of them first.
            self.asm
                .put(encode::shift_imm(Shift::Lsl, SCRATCH, x.0, x.1));
            self.give(x.0);
            x.0 = SCRATCH;
        }
        let to = self.result(&[x.0, y.0])?;
        self.asm.add_shifted(to, x.0, y.0, y.1);
        self.push_with(to, value)
    }

    /// Pushes a register and what is still to be added to it.
    pub(crate) fn push_with(&mut self, to: Reg, value: u32) -> Made<()> {
        if value == 0 {
            return self.push(Entry::reg(ty::I32, to));
        }
        if self.is_temp(to) && self.push_sum(to, 0, value)? {
            return Ok(());
        }
        if !self.asm.add_constant(to, to, value) {
            self.asm.constant(SCRATCH, value);
            self.asm.op_reg(Op::Add, to, to, SCRATCH);
        }
        self.push(Entry::reg(ty::I32, to))
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
        if op == Op::Add && b.0.kind != Kind::Const {
            return self.add(a, b);
        }
        if matches!(op, Op::Add | Op::Sub) && b.0.kind == Kind::Const {
            let v = b.0.value();
            let v = if op == Op::Add { v } else { v.wrapping_neg() };
            let two = a.0.has_two().then(|| a.0.address());
            let sum = self
                .as_sum(a)
                .map(|(reg, shift, value)| Address::of(reg, shift, value));
            if let Some(sum) = two.or(sum)
                && self.push_address(Address {
                    value: sum.value.wrapping_add(v),
                    ..sum
                })?
            {
                return Ok(());
            }
        }
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
        let a = self.in_one(a)?;
        let shift = match byte {
            op::I32_SHL => Shift::Lsl,
            op::I32_SHR_S => Shift::Asr,
            op::I32_SHR_U => Shift::Lsr,
            _ => Shift::Ror,
        };
        if byte == op::I32_SHL
            && b.0.kind == Kind::Const
            && matches!(b.0.value(), 1..=4)
            && let Some((reg, shift, value)) = self.as_sum(a)
        {
            let n = b.0.value();
            let small = value.cast_signed().unsigned_abs() < 4096 >> n;
            if small && self.push_sum(reg, shift + n as u8, value << n)? {
                return Ok(());
            }
        }
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
