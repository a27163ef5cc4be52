//! Puts instructions one after the other, in three passes over a function: measure (every forward branch long), settle (short
//! where it reaches) and emit. Distances only shrink from the first to the second, so what was found short stays so.
use crate::encode::{self, Access, Code, Cond, Op, Reg, Shift};
use crate::limits::{BRANCHES, Refusal};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    Measure,
    Settle,
    Emit,
}

/// Where compiled code goes, a halfword at a time and in order.
pub(crate) trait Sink {
    fn put(&mut self, half: u16);
    /// The same for what is no instruction.
    fn data(&mut self, half: u16) {
        self.put(half);
    }
    /// The call of a function of the module's own from this place.
    fn call(&mut self, _own: u32, _from: u32) -> Code {
        Code {
            bits: 0,
            wide: true,
        }
    }
    /// What comes next is of the instruction at this place in the module; 0: of none.
    fn mark(&mut self, _place: u32) {}
}

/// Counts, and keeps nothing.
pub(crate) struct Nowhere;

impl Sink for Nowhere {
    fn put(&mut self, _: u16) {}
}

pub(crate) struct Asm<'w> {
    pub(crate) sink: &'w mut dyn Sink,
    pub(crate) pass: Pass,
    /// Bytes from the function's start.
    pub(crate) at: u32,
    labels: &'w mut [u16],
    short: &'w mut [u8],
    next_label: u16,
    next_branch: usize,
    /// By how much the last label moved up since the pass before.
    drift: u32,
    /// Whether the flags hold something that is still to be looked at.
    pub(crate) flags: bool,
    /// How often something came between that ends a straight line: a label, or a call.
    pub(crate) lines: u32,
    /// The first thing that did not fit.
    pub(crate) refusal: Option<Refusal>,
}

impl<'w> Asm<'w> {
    pub(crate) fn new(
        sink: &'w mut dyn Sink,
        pass: Pass,
        labels: &'w mut [u16],
        short: &'w mut [u8],
    ) -> Self {
        Self {
            sink,
            pass,
            at: 0,
            labels,
            short,
            next_label: 0,
            next_branch: 0,
            drift: 0,
            flags: false,
            lines: 0,
            refusal: None,
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.refusal.get_or_insert(refusal);
    }

    /// What is no instruction.
    pub(crate) fn half(&mut self, half: u16) {
        self.sink.data(half);
        self.at += 2;
    }

    pub(crate) fn put(&mut self, code: Code) {
        if code.wide {
            self.sink.put((code.bits >> 16) as u16);
            self.at += 2;
        }
        self.sink.put(code.bits as u16);
        self.at += 2;
    }

    pub(crate) fn label(&mut self) -> u16 {
        let label = self.next_label;
        if usize::from(label) >= self.labels.len() {
            self.refuse(Refusal::Branches);
            return 0;
        }
        self.next_label += 1;
        label
    }

    fn place(&self, label: u16) -> u32 {
        u32::from(self.labels.get(usize::from(label)).copied().unwrap_or(0)) * 2
    }

    pub(crate) fn bind(&mut self, label: u16) {
        self.lines += 1;
        if self.at > 0x1_fffe {
            return self.refuse(Refusal::Length);
        }
        let before = self.place(label);
        match self.pass {
            Pass::Measure => {}
            Pass::Settle => self.drift = before.saturating_sub(self.at),
            Pass::Emit => {
                debug_assert_eq!(before, self.at, "label {label} moved");
                if before != self.at {
                    self.refuse(Refusal::Length);
                }
            }
        }
        if let Some(place) = self.labels.get_mut(usize::from(label)) {
            *place = (self.at / 2) as u16;
        }
    }

    /// Branches to a label that was bound.
    pub(crate) fn back(&mut self, label: u16, cond: Option<Cond>) {
        let distance = self.place(label) as i32 - self.at as i32;
        let wide = !encode::reaches_short(distance, cond.is_some());
        self.branch(distance, cond, wide);
    }

    fn branch(&mut self, distance: i32, cond: Option<Cond>, wide: bool) {
        match encode::branch(distance, cond, wide) {
            Some(code) => self.put(code),
            None => {
                self.refuse(Refusal::Length);
                self.put(Code {
                    bits: 0xde00,
                    wide: false,
                });
            }
        }
    }

    /// Branches to a label that is still to be bound.
    pub(crate) fn forward(&mut self, label: u16, cond: Option<Cond>) {
        let index = self.next_branch;
        self.next_branch += 1;
        let Some(bits) = self.short.get_mut(index / 8).filter(|_| index < BRANCHES) else {
            return self.refuse(Refusal::Branches);
        };
        let bit = 1 << (index % 8);
        let target = u32::from(self.labels.get(usize::from(label)).copied().unwrap_or(0)) * 2;
        let (distance, short) = match self.pass {
            Pass::Measure => (4, false),
            Pass::Settle => {
                let distance = target as i32 - self.drift as i32 - self.at as i32;
                let short = encode::reaches_short(distance, cond.is_some());
                *bits = *bits & !bit | if short { bit } else { 0 };
                (if short { distance } else { 4 }, short)
            }
            Pass::Emit => (target as i32 - self.at as i32, *bits & bit != 0),
        };
        self.branch(distance, cond, !short);
    }

    /// The distance of a label from here in halfwords, for a table of branches; the label is still to be bound.
    pub(crate) fn table_entry(&mut self, label: u16, from: u32) {
        let distance = (self.place(label) as i32 - from as i32) / 2;
        let entry = if self.pass == Pass::Emit {
            u16::try_from(distance)
        } else {
            Ok(0)
        };
        match entry {
            Ok(entry) => self.half(entry),
            Err(_) => {
                self.refuse(Refusal::Length);
                self.half(0);
            }
        }
    }

    /// Calls a place of this function that is still to be bound, or was.
    pub(crate) fn call_label(&mut self, label: u16) {
        let distance = if self.pass == Pass::Emit {
            self.place(label) as i32 - self.at as i32
        } else {
            0
        };
        self.call(distance);
    }

    pub(crate) fn call(&mut self, distance: i32) {
        self.lines += 1;
        match encode::call(distance) {
            Some(code) => self.put(code),
            None => {
                self.refuse(Refusal::Length);
                self.put(Code {
                    bits: 0xde00_de00,
                    wide: true,
                });
            }
        }
    }

    /// Calls a function of the module's own; this function lies at `origin`.
    pub(crate) fn call_function(&mut self, own: u32, origin: u32) {
        self.lines += 1;
        let code = self.sink.call(own, origin + self.at);
        self.put(code);
    }

    // ---- instructions in their shortest form ----

    pub(crate) fn mov(&mut self, rd: Reg, rm: Reg) {
        if rd != rm {
            self.put(encode::mov(rd, rm));
        }
    }

    pub(crate) fn constant(&mut self, rd: Reg, v: u32) {
        if v < 256 && rd < 8 && !self.flags {
            self.put(encode::movs_imm(rd, v as u8));
        } else if v < 65536 {
            self.put(encode::movw(rd, v as u16));
        } else if let Some(imm) = encode::immediate(v) {
            self.put(encode::op_imm(Op::Orr, false, rd, 15, imm));
        } else if let Some(imm) = encode::immediate(!v) {
            self.put(encode::op_imm(Op::Orn, false, rd, 15, imm));
        } else {
            self.put(encode::movw(rd, v as u16));
            self.put(encode::movt(rd, (v >> 16) as u16));
        }
    }

    /// `rd = rn + v`, no flags looked at; `false` if it takes a register for `v`.
    pub(crate) fn add_constant(&mut self, rd: Reg, rn: Reg, v: u32) -> bool {
        let negative = v.wrapping_neg();
        if v == 0 {
            self.mov(rd, rn);
        } else if !self.flags && rd < 8 && rn < 8 && v < 8 {
            self.put(encode::adds_imm3(false, rd, rn, v as u8));
        } else if !self.flags && rd < 8 && rn < 8 && negative < 8 {
            self.put(encode::adds_imm3(true, rd, rn, negative as u8));
        } else if !self.flags && rd == rn && rd < 8 && v < 256 {
            self.put(encode::adds_imm8(false, rd, v as u8));
        } else if !self.flags && rd == rn && rd < 8 && negative < 256 {
            self.put(encode::adds_imm8(true, rd, negative as u8));
        } else if v < 4096 {
            self.put(encode::addw(false, rd, rn, v as u16));
        } else if negative < 4096 {
            self.put(encode::addw(true, rd, rn, negative as u16));
        } else if let Some(imm) = encode::immediate(v) {
            self.put(encode::op_imm(Op::Add, false, rd, rn, imm));
        } else if let Some(imm) = encode::immediate(negative) {
            self.put(encode::op_imm(Op::Sub, false, rd, rn, imm));
        } else {
            return false;
        }
        true
    }

    pub(crate) fn op_reg(&mut self, op: Op, rd: Reg, rn: Reg, rm: Reg) {
        let low = rd < 8 && rn < 8 && rm < 8 && !self.flags;
        let short = match op {
            Op::And => Some(0),
            Op::Eor => Some(1),
            Op::Orr => Some(12),
            _ => None,
        };
        match (op, short) {
            (Op::Add, _) if low => self.put(encode::adds_short(rd, rn, rm)),
            (Op::Sub, _) if low => self.put(encode::subs_short(rd, rn, rm)),
            (Op::Add, _) if rd == rn => self.put(encode::add_short(rd, rm)),
            (Op::Add, _) if rd == rm => self.put(encode::add_short(rd, rn)),
            (_, Some(short)) if low && rd == rn => self.put(encode::op_short(short, rd, rm)),
            (_, Some(short)) if low && rd == rm => self.put(encode::op_short(short, rd, rn)),
            _ => self.put(encode::op_reg(op, false, rd, rn, rm, Shift::Lsl, 0)),
        }
    }

    /// `rd = rn + (rm << amount)`, no flags looked at.
    pub(crate) fn add_shifted(&mut self, rd: Reg, rn: Reg, rm: Reg, amount: u8) {
        if amount == 0 {
            return self.op_reg(Op::Add, rd, rn, rm);
        }
        self.put(encode::op_reg(
            Op::Add,
            false,
            rd,
            rn,
            rm,
            Shift::Lsl,
            amount,
        ));
    }

    /// `rd = rm << amount`, no flags looked at.
    pub(crate) fn shift_left(&mut self, rd: Reg, rm: Reg, amount: u8) {
        self.put(if rd < 8 && rm < 8 && !self.flags {
            encode::shifts_imm_short(Shift::Lsl, rd, rm, amount)
        } else {
            encode::shift_imm(Shift::Lsl, rd, rm, amount)
        });
    }

    pub(crate) fn compare_constant(&mut self, rn: Reg, v: u32) -> bool {
        if rn < 8 && v < 256 {
            self.put(encode::cmp_imm8(rn, v as u8));
        } else if let Some(imm) = encode::immediate(v) {
            self.put(encode::op_imm(Op::Sub, true, 15, rn, imm));
        } else if let Some(imm) = encode::immediate(v.wrapping_neg()) {
            self.put(encode::op_imm(Op::Add, true, 15, rn, imm));
        } else {
            return false;
        }
        true
    }

    pub(crate) fn load(&mut self, rt: Reg, rn: Reg, offset: u32) {
        self.put(encode::access_imm(Access::Ldr, rt, rn, offset));
    }

    pub(crate) fn store(&mut self, rt: Reg, rn: Reg, offset: u32) {
        self.put(encode::access_imm(Access::Str, rt, rn, offset));
    }
}
