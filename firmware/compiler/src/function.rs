//! A function while it is compiled: its registers, its operands, and how they get from one place to another.
use crate::address::{Address, NONE};
use crate::asm::{Asm, Pass, Sink};
use crate::bytes::Bytes;
use crate::checks::{Base, Checks};
use crate::encode::{self, Access, Cond, Float, Op, Reg, Shift, Unary};
use crate::entry::{Entry, Kind, ty};
use crate::facts::Facts;
use crate::limits::{GROUP, Made, Refusal};
use crate::registers::{FLOAT_SCRATCH, FRAME, FUEL, LR, Leave, PINS, SCRATCH, SP, context};
use crate::work::{Control, Home, Kept, Local, MORE, Round, Stub, UNKNOWN, Use, Work};
use wasmote_engine::opcode::op;
use wasmote_engine::{Body, TrapKind, tier::Record};

/// An operand that was taken, with the index of its slot.
pub(crate) type Taken = (Entry, usize);

pub(crate) struct Fun<'w, 'm> {
    pub(crate) asm: Asm<'w>,
    pub(crate) facts: &'w Facts<'m>,
    pub(crate) body: &'w Body<'m>,
    pub(crate) record: Record,
    /// The function's place in the arena.
    pub(crate) origin: u32,
    pub(crate) bytes: &'m [u8],
    /// Position in the module, and of the instruction.
    pub(crate) at: usize,
    pub(crate) here: usize,
    entries: &'w mut [Entry],
    pub(crate) height: usize,
    pub(crate) controls: &'w mut [Control],
    pub(crate) depth: usize,
    pub(crate) locals: &'w mut [Local],
    pub(crate) stubs: &'w mut [Stub],
    pub(crate) waiting: usize,
    /// General registers that may hold operands, and those of them that are free.
    pub(crate) temps: u16,
    pub(crate) free: u16,
    pub(crate) free_floats: u16,
    /// Fuel taken since it was last charged, up to the present instruction.
    pub(crate) owed: i32,
    /// Bytes of a slot.
    pub(crate) size: u32,
    /// Blocks opened in code that is never reached; `None` in code that is.
    pub(crate) dead: Option<u32>,
    pub(crate) exit: u16,
    pub(crate) reload: u16,
    pub(crate) exits: bool,
    /// What is computed in front of loops, where it is used, and the loops (hoist.rs).
    pub(crate) kept: &'w [Kept],
    pub(crate) uses: &'w [Use],
    pub(crate) rounds: &'w [Round],
    /// The next use, and where what is being computed in front of a loop ends.
    pub(crate) next_use: usize,
    pub(crate) until: usize,
    /// What fills the hole of the expression whose hole ends at `until`: that expression.
    pub(crate) filling: Option<usize>,
    /// What is known of addresses; addresses with the memory's first byte (group.rs), the register among theirs that an access is
    /// just made at.
    pub(crate) checks: Checks,
    pub(crate) bases: [Option<Base>; 2],
    /// The register that the globals' place is in, and on which straight line.
    pub(crate) globals_at: Option<(Reg, u32)>,
    pub(crate) busy: Reg,
}

/// The first so many.
fn first<T>(all: &[T], count: u8) -> &[T] {
    all.get(..usize::from(count)).unwrap_or(&[])
}

impl<'w, 'm> Fun<'w, 'm> {
    pub(crate) fn new(
        facts: &'w Facts<'m>,
        body: &'w Body<'m>,
        work: &'w mut Work,
        sink: &'w mut dyn Sink,
        pass: Pass,
        origin: u32,
    ) -> Self {
        let record = body.record;
        let mut temps = 0b1111;
        let count = usize::from(record.locals) + usize::from(work.kept_count);
        for pin in PINS {
            let used = work.locals.iter().take(count);
            if !used.into_iter().any(|l| l.home == Home::Reg(pin)) {
                temps |= 1 << pin;
            }
        }
        Self {
            asm: Asm::new(sink, pass, &mut work.labels, &mut work.short),
            facts,
            body,
            record,
            origin,
            bytes: facts.module.bytes(),
            at: record.code as usize,
            here: record.code as usize,
            entries: &mut work.entries,
            height: 0,
            controls: &mut work.controls,
            depth: 0,
            locals: &mut work.locals,
            stubs: &mut work.stubs,
            waiting: 0,
            temps,
            free: temps,
            free_floats: 0x7fff,
            owed: 0,
            size: if record.room.is_wide() { 8 } else { 4 },
            dead: None,
            exit: 0,
            reload: 0,
            exits: false,
            kept: first(&work.kept, work.kept_count),
            uses: first(&work.uses, work.use_count),
            rounds: first(&work.rounds, work.round_count),
            next_use: 0,
            until: usize::MAX,
            filling: None,
            checks: Checks::NONE,
            bases: [None; 2],
            globals_at: None,
            busy: NONE,
        }
    }

    // ---- the module's bytes ----

    pub(crate) fn byte(&mut self) -> u8 {
        let byte = self.bytes.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        byte
    }

    /// The opcode of the next instruction; none if this one is computed ahead of a loop, where something else follows.
    pub(crate) fn peek(&self) -> u8 {
        let next = self.bytes.get(self.at).filter(|_| self.at < self.until);
        next.copied().unwrap_or(0)
    }

    pub(crate) fn u32(&mut self) -> u32 {
        let mut bytes = Bytes {
            bytes: self.bytes,
            at: self.at,
        };
        let value = bytes.u32();
        self.at = bytes.at;
        value
    }

    pub(crate) fn s64(&mut self) -> u64 {
        let mut bytes = Bytes {
            bytes: self.bytes,
            at: self.at,
        };
        let value = bytes.s64();
        self.at = bytes.at;
        value
    }

    /// Passes over what follows an opcode.
    pub(crate) fn skip(&mut self, byte: u8) {
        let mut bytes = Bytes {
            bytes: self.bytes,
            at: self.at,
        };
        bytes.skip(byte);
        self.at = bytes.at;
    }

    // ---- fuel ----

    /// What is owed at a trap of the present instruction, which has passed its first byte.
    pub(crate) fn owed_at_trap(&self) -> i32 {
        self.owed + 1
    }

    /// What is owed behind the immediates read so far.
    pub(crate) fn owed_now(&self) -> i32 {
        self.owed + (self.at - self.here) as i32
    }

    /// From here on, behind the immediates read so far, so much is owed.
    pub(crate) fn now_owed(&mut self, owed: i32) {
        self.owed = owed - (self.at - self.here) as i32;
    }

    /// Charges fuel, or gives it back; no flags.
    pub(crate) fn charge(&mut self, fuel: i32) {
        if fuel != 0 {
            let amount = fuel.unsigned_abs().min(4095) as u16;
            self.asm.put(encode::addw(fuel > 0, FUEL, FUEL, amount));
        }
    }

    // ---- where operands and locals lie ----

    pub(crate) fn local_slot(&self, local: u32) -> u32 {
        local * self.size
    }

    /// The slot of the operand with this index.
    pub(crate) fn slot(&self, index: usize) -> u32 {
        (u32::from(self.record.locals) + 1 + index as u32) * self.size
    }

    pub(crate) fn local(&self, index: u32) -> Local {
        self.locals
            .get(index as usize)
            .copied()
            .unwrap_or(Local::NONE)
    }

    pub(crate) fn entry(&self, index: usize) -> Entry {
        self.entries.get(index).copied().unwrap_or(Entry::SLOT)
    }

    pub(crate) fn set_entry(&mut self, index: usize, entry: Entry) {
        if let Some(place) = self.entries.get_mut(index) {
            *place = entry;
        }
    }

    pub(crate) fn push(&mut self, entry: Entry) -> Made<()> {
        *self.entries.get_mut(self.height).ok_or(Refusal::Operands)? = entry;
        self.height += 1;
        Ok(())
    }

    pub(crate) fn pop(&mut self) -> Taken {
        self.height = self.height.saturating_sub(1);
        (self.entry(self.height), self.height)
    }

    // ---- registers ----

    pub(crate) fn give(&mut self, reg: Reg) {
        self.free |= self.temps & 1_u16.checked_shl(reg.into()).unwrap_or(0);
    }

    pub(crate) fn give_float(&mut self, float: Float) {
        if float < FLOAT_SCRATCH {
            self.free_floats |= 1 << float;
        }
    }

    /// Gives back what an operand was in.
    pub(crate) fn release(&mut self, (entry, _): Taken) {
        match entry.kind {
            Kind::Reg | Kind::Sum => self.give(entry.low()),
            Kind::Pair => {
                self.give(entry.low());
                self.give(entry.high());
            }
            Kind::Float => self.give_float(entry.low()),
            _ => {}
        }
    }

    /// Whether a register holds operands, and no local.
    pub(crate) fn is_temp(&self, reg: Reg) -> bool {
        self.temps >> reg & 1 == 1
    }

    /// A free register; an operand may have to leave its own.
    pub(crate) fn temp(&mut self) -> Made<Reg> {
        if self.free == 0 && !self.drop_globals() && !self.drop_idle() {
            let held = (0..self.height).find(|i| {
                let entry = self.entry(*i);
                match entry.kind {
                    Kind::Reg | Kind::Sum => self.is_temp(entry.low()),
                    Kind::Pair => true,
                    _ => false,
                }
            });
            self.spill(held.ok_or(Refusal::Operands)?);
        }
        let reg = self.free.trailing_zeros() as Reg;
        self.free &= self.free.wrapping_sub(1);
        Ok(reg)
    }

    pub(crate) fn float_temp(&mut self) -> Made<Float> {
        if self.free_floats == 0 {
            let held = (0..self.height).find(|i| {
                let entry = self.entry(*i);
                entry.kind == Kind::Float && entry.low() < FLOAT_SCRATCH
            });
            self.spill(held.ok_or(Refusal::Operands)?);
        }
        let float = self.free_floats.trailing_zeros() as Float;
        self.free_floats &= self.free_floats.wrapping_sub(1);
        Ok(float)
    }

    /// Claims a register that is known to be free.
    pub(crate) fn claim(&mut self, reg: Reg) -> Reg {
        self.free &= !(1 << reg);
        reg
    }

    /// Moves an operand to its slot.
    pub(crate) fn spill(&mut self, index: usize) {
        let entry = self.entry(index);
        if entry.kind != Kind::Slot {
            let to = self.slot(index);
            self.store_at((entry, index), FRAME, to);
            self.release((entry, index));
            // A number below the innermost block stays one: who branches to the block's end has not come by here.
            if entry.kind != Kind::Const || index >= self.floor() {
                self.set_entry(index, Entry::slot(entry.ty));
            }
        }
    }

    /// Operands below the innermost block.
    fn floor(&self) -> usize {
        let innermost = self.controls.get(self.depth.wrapping_sub(1));
        innermost.map_or(0, |control| control.height.into())
    }

    /// Moves all operands out of registers, and those from `from` on to their slots.
    pub(crate) fn flush(&mut self, from: usize) {
        for index in 0..self.height {
            let kept = matches!(self.entry(index).kind, Kind::Const | Kind::Local) && index < from;
            if !kept {
                self.spill(index);
            }
        }
    }

    /// Moves operands that are still in this local elsewhere: it is about to be set.
    pub(crate) fn flush_local(&mut self, local: u32) -> Made<()> {
        let home = self.local(local).home;
        for index in 0..self.height {
            let entry = self.entry(index);
            if entry.kind == Kind::Sum && matches!(home, Home::Reg(pin) if entry.address().has(pin))
            {
                let reg = self.temp()?;
                self.int_into((entry, index), reg);
                self.set_entry(index, Entry::reg(entry.ty, reg));
            }
            if entry.kind == Kind::Local && entry.value() == local {
                let moved = match entry.ty {
                    ty::F32 if matches!(self.local(local).home, Home::Float(_)) => {
                        let float = self.float_temp()?;
                        self.float_into((entry, index), float);
                        Entry::float(float)
                    }
                    wide if ty::is_wide(wide) => {
                        self.spill(index);
                        continue;
                    }
                    narrow => {
                        let reg = self.temp()?;
                        self.int_into((entry, index), reg);
                        Entry::reg(narrow, reg)
                    }
                };
                self.set_entry(index, moved);
            }
        }
        Ok(())
    }

    // ---- operands into registers. These change nothing that is known of any operand ----

    /// The 32 bits of an operand into this register; r12 is not used, nor the flags.
    pub(crate) fn int_into(&mut self, (entry, index): Taken, to: Reg) {
        match entry.kind {
            Kind::Reg => self.asm.mov(to, entry.low()),
            Kind::Const => self.asm.constant(to, entry.value()),
            Kind::Local => match self.local(entry.value()).home {
                Home::Reg(pin) => self.asm.mov(to, pin),
                Home::Float(pin) => self.asm.put(encode::vmov_from(to, pin)),
                Home::Frame => {
                    let at = self.local_slot(entry.value());
                    self.asm.load(to, FRAME, at);
                }
            },
            Kind::Slot => {
                let at = self.slot(index);
                self.asm.load(to, FRAME, at);
            }
            Kind::Float => self.asm.put(encode::vmov_from(to, entry.low())),
            Kind::Pair => self.asm.mov(to, entry.low()),
            Kind::Sum => {
                let Address { root, value } = entry.address();
                let mut from = to;
                if root.plain != NONE {
                    self.asm
                        .add_shifted(to, root.plain, root.shifted, root.shift);
                } else if root.shift > 0 {
                    self.asm.shift_left(to, root.shifted, root.shift);
                } else {
                    from = root.shifted;
                }
                if !self.asm.add_constant(to, from, value) {
                    self.asm.add_constant(to, from, value & 0xfff);
                    self.asm.add_constant(to, to, value & !0xfff);
                }
            }
            Kind::Flags => {
                let cond = entry.cond();
                self.asm.put(encode::ite(cond));
                for value in [1, 0] {
                    self.asm.put(if to < 8 {
                        encode::movs_imm(to, value)
                    } else {
                        encode::movw(to, value.into())
                    });
                }
                self.asm.flags = false;
            }
        }
    }

    /// An operand into this float register; r12 may be used.
    pub(crate) fn float_into(&mut self, (entry, index): Taken, to: Float) {
        let at = match entry.kind {
            Kind::Float => {
                if entry.low() != to {
                    self.asm.put(encode::vunary(Unary::Mov, to, entry.low()));
                }
                return;
            }
            Kind::Local => match self.local(entry.value()).home {
                Home::Float(pin) => {
                    if pin != to {
                        self.asm.put(encode::vunary(Unary::Mov, to, pin));
                    }
                    return;
                }
                Home::Reg(pin) => return self.asm.put(encode::vmov_to(to, pin)),
                Home::Frame => self.local_slot(entry.value()),
            },
            Kind::Slot => self.slot(index),
            Kind::Reg => return self.asm.put(encode::vmov_to(to, entry.low())),
            _ => {
                if let Some(imm) = encode::float_immediate(entry.value())
                    && entry.kind == Kind::Const
                {
                    return self.asm.put(encode::vmov_imm(to, imm));
                }
                self.int_into((entry, index), SCRATCH);
                return self.asm.put(encode::vmov_to(to, SCRATCH));
            }
        };
        if at <= 1020 {
            self.asm.put(encode::vaccess(true, to, FRAME, at));
        } else {
            self.asm.load(SCRATCH, FRAME, at);
            self.asm.put(encode::vmov_to(to, SCRATCH));
        }
    }

    /// The 64 bits of an operand into these registers.
    pub(crate) fn pair_into(&mut self, (entry, index): Taken, low: Reg, high: Reg) {
        let at = match entry.kind {
            Kind::Pair => {
                let (a, b) = (entry.low(), entry.high());
                if low != b {
                    self.asm.mov(low, a);
                    self.asm.mov(high, b);
                } else if high != a {
                    self.asm.mov(high, b);
                    self.asm.mov(low, a);
                } else {
                    self.asm.mov(SCRATCH, a);
                    self.asm.mov(high, b);
                    self.asm.mov(low, SCRATCH);
                }
                return;
            }
            Kind::Const => {
                self.asm.constant(low, entry.value());
                let sign = (entry.value().cast_signed() >> 31).cast_unsigned();
                return self.asm.constant(high, sign);
            }
            Kind::Local => self.local_slot(entry.value()),
            _ => self.slot(index),
        };
        self.asm.load(low, FRAME, at);
        self.asm.load(high, FRAME, at + 4);
    }

    /// Stores an operand at a place in a frame; r12 and lr may be used.
    pub(crate) fn store_at(&mut self, taken: Taken, frame: Reg, at: u32) {
        let (entry, _) = taken;
        if ty::is_wide(entry.ty) {
            let (low, high) = match entry.kind {
                Kind::Pair => (entry.low(), entry.high()),
                _ => {
                    self.checks.base = None;
                    self.pair_into(taken, SCRATCH, LR);
                    (SCRATCH, LR)
                }
            };
            self.asm.store(low, frame, at);
            return self.asm.store(high, frame, at + 4);
        }
        let float = match (entry.kind, self.local(entry.value()).home) {
            (Kind::Float, _) => Some(entry.low()),
            (Kind::Local, Home::Float(pin)) => Some(pin),
            _ => None,
        };
        if let Some(float) = float {
            // r12 may hold an address.
            let (base, at) = if at <= 1020 {
                (frame, at)
            } else {
                self.checks.base = None;
                self.asm.put(encode::addw(false, LR, frame, at as u16));
                (LR, 0)
            };
            return self.asm.put(encode::vaccess(false, float, base, at));
        }
        let from = match (entry.kind, self.local(entry.value()).home) {
            (Kind::Reg, _) => entry.low(),
            (Kind::Local, Home::Reg(pin)) => pin,
            _ => {
                self.int_into(taken, SCRATCH);
                SCRATCH
            }
        };
        self.asm.store(from, frame, at);
    }

    // ---- operands that are taken into registers, to be given back ----

    pub(crate) fn int(&mut self, taken: Taken) -> Made<Reg> {
        let (entry, _) = taken;
        match (entry.kind, self.local(entry.value()).home) {
            (Kind::Reg, _) => Ok(entry.low()),
            (Kind::Local, Home::Reg(pin)) => Ok(pin),
            (Kind::Sum, _) if self.is_temp(entry.low()) => {
                self.int_into(taken, entry.low());
                Ok(entry.low())
            }
            _ => {
                let reg = self.temp()?;
                self.int_into(taken, reg);
                self.release(taken);
                Ok(reg)
            }
        }
    }

    pub(crate) fn float(&mut self, taken: Taken) -> Made<Float> {
        let (entry, _) = taken;
        match (entry.kind, self.local(entry.value()).home) {
            (Kind::Float, _) => Ok(entry.low()),
            (Kind::Local, Home::Float(pin)) => Ok(pin),
            _ => {
                let float = self.float_temp()?;
                self.float_into(taken, float);
                self.release(taken);
                Ok(float)
            }
        }
    }

    /// A pair of registers that nothing else looks at.
    pub(crate) fn pair(&mut self, taken: Taken) -> Made<(Reg, Reg)> {
        let (entry, _) = taken;
        if entry.kind == Kind::Pair {
            return Ok((entry.low(), entry.high()));
        }
        let (low, high) = (self.temp()?, self.temp()?);
        self.pair_into(taken, low, high);
        Ok((low, high))
    }

    /// The register that the next instruction, if it sets a local which lives in one, wants the result in.
    fn wanted(&mut self) -> Made<Option<Home>> {
        if !matches!(self.peek(), op::LOCAL_SET | op::LOCAL_TEE) {
            return Ok(None);
        }
        let at = self.at;
        self.at += 1;
        let index = self.u32();
        self.at = at;
        let home = self.local(index).home;
        if home == Home::Frame {
            return Ok(None);
        }
        self.flush_local(index)?;
        Ok(Some(home))
    }

    /// Gives these back and says where the result goes: an instruction that reads them before it writes it follows.
    pub(crate) fn result(&mut self, given: &[Reg]) -> Made<Reg> {
        let wanted = self.wanted()?;
        for reg in given {
            self.give(*reg);
        }
        match wanted {
            Some(Home::Reg(pin)) => Ok(pin),
            _ => self.temp(),
        }
    }

    pub(crate) fn float_result(&mut self, given: &[Float]) -> Made<Float> {
        let wanted = self.wanted()?;
        for float in given {
            self.give_float(*float);
        }
        match wanted {
            Some(Home::Float(pin)) => Ok(pin),
            _ => self.float_temp(),
        }
    }

    // ---- leaving ----

    /// A place behind the straight line that traps; where it is waiting to be placed.
    pub(crate) fn trap(&mut self, kind: TrapKind) -> Made<u16> {
        let label = self.asm.label();
        let stub = Stub {
            label,
            at: (self.here as u32).wrapping_sub(self.record.code) as u16,
            owed: self.owed_at_trap() as u16,
            kind: kind as u8,
            ..Stub::NONE
        };
        self.wait(stub);
        Ok(label)
    }

    pub(crate) fn wait(&mut self, stub: Stub) {
        if let Some(place) = self.stubs.get_mut(self.waiting) {
            *place = stub;
            self.waiting += 1;
        }
    }

    /// Places what waits, if it must be or the straight line has ended.
    pub(crate) fn place_stubs(&mut self, ended: bool) {
        let full = self.waiting + GROUP + 2 > self.stubs.len();
        if self.waiting == 0 || !ended && !full {
            return;
        }
        let flags = core::mem::replace(&mut self.asm.flags, true);
        let over = (!ended).then(|| self.asm.label());
        if let Some(over) = over {
            self.asm.forward(over, None);
        }
        let mut group = 0;
        for index in 0..self.waiting {
            let Some(stub) = self.stubs.get(index).copied() else {
                continue;
            };
            if stub.label != UNKNOWN {
                self.asm.bind(stub.label);
                group = index;
            }
            self.asm.sink.mark(self.record.code + u32::from(stub.at));
            if stub.back != UNKNOWN {
                self.second_look(&stub);
            }
            if stub.back == MORE {
                let trap = self.asm.label();
                self.asm.forward(trap, Some(Cond::Hi));
                if let Some(place) = self.stubs.get_mut(index) {
                    place.label = trap;
                }
                continue;
            }
            if stub.back != UNKNOWN {
                self.asm.back(stub.back, Some(Cond::Ls));
            }
            self.place_trap(&stub);
            for before in group..index {
                if let Some(stub) = self.stubs.get(before).copied() {
                    self.asm.bind(stub.label);
                    self.place_trap(&stub);
                }
            }
        }
        self.waiting = 0;
        if let Some(over) = over {
            self.asm.bind(over);
        }
        self.asm.flags = flags;
    }

    /// Compares an address with the length of the memory, which has perhaps grown, less the bytes behind the address, which are
    /// fewer than it has.
    fn second_look(&mut self, stub: &Stub) {
        let last = (self.facts.least - u64::from(stub.reach)) as u32;
        if !self.facts.grows && last < 1 << 16 {
            self.asm.constant(SCRATCH, last);
        } else {
            self.asm.load(SCRATCH, SP, context::LENGTH);
            if !self
                .asm
                .add_constant(SCRATCH, SCRATCH, stub.reach.wrapping_neg())
            {
                self.asm.constant(LR, stub.reach);
                self.asm.op_reg(Op::Sub, SCRATCH, SCRATCH, LR);
            }
        }
        let mut reg = stub.reg;
        if stub.shift > 0 {
            self.asm
                .put(encode::shift_imm(Shift::Lsl, LR, reg, stub.shift));
            reg = LR;
        }
        if stub.more > 0 {
            self.asm.put(encode::addw(false, LR, reg, stub.more));
            reg = LR;
        }
        self.asm.put(encode::cmp(reg, SCRATCH));
    }

    fn place_trap(&mut self, stub: &Stub) {
        let distance = self.facts.trap as i32 - (self.origin + self.asm.at) as i32;
        self.asm.call(distance);
        self.asm.half(stub.at);
        self.asm.half(stub.owed | u16::from(stub.kind) << 12);
    }

    /// Leaves so that it can be gone on from: locals go to their slots, and are fetched again behind it, and what is computed in
    /// front of the loop is computed again.
    pub(crate) fn leave(&mut self, why: Leave, at: usize, owed: i32) -> Made<()> {
        if why == Leave::Entry || !self.spills() {
            let distance = self.facts.exit as i32 - (self.origin + self.asm.at) as i32;
            self.asm.call(distance);
        } else {
            self.exits = true;
            self.asm.call_label(self.exit);
        }
        self.site(why, at, owed);
        if why == Leave::Entry {
            return Ok(());
        }
        if self.pinned() {
            self.exits = true;
            self.asm.call_label(self.reload);
        }
        // A loop is gone on with in front of what is computed before it.
        if why == Leave::Fuel {
            return Ok(());
        }
        let open = self.controls.get(..self.depth).unwrap_or(&[]);
        let Some(innermost) = open.iter().rfind(|c| c.opcode == op::LOOP) else {
            return Ok(());
        };
        // All registers of operands are free here; there are enough of them that none goes to its slot.
        let at = innermost.otherwise;
        let before = (self.free, self.free_floats);
        (self.free, self.free_floats) = (self.temps, 0x7fff);
        self.compute_for_loop(at)?;
        (self.free, self.free_floats) = before;
        Ok(())
    }

    /// What lies behind a call by which code leaves: the position in the function, what is owed there and why, operands.
    pub(crate) fn site(&mut self, why: Leave, at: usize, owed: i32) {
        self.asm
            .half((at as u32).wrapping_sub(self.record.code) as u16);
        self.asm.half(owed.max(0) as u16 | (why as u16) << 12);
        self.asm.half(self.height as u16);
    }

    /// Whether any local lives in a register.
    fn pinned(&self) -> bool {
        let count = usize::from(self.record.locals);
        self.locals
            .iter()
            .take(count)
            .any(|l| l.home != Home::Frame)
    }

    fn spills(&self) -> bool {
        (0..u32::from(self.record.locals)).any(|i| self.is_spilled(i))
    }

    /// Whether a local's slot may be out of date.
    fn is_spilled(&self, index: u32) -> bool {
        let local = self.local(index);
        local.home != Home::Frame && (local.set || index >= u32::from(self.record.params))
    }

    /// Locals to their slots.
    pub(crate) fn spill_locals(&mut self) {
        for index in 0..u32::from(self.record.locals) {
            if self.is_spilled(index) {
                let at = self.local_slot(index);
                match self.local(index).home {
                    Home::Reg(pin) => self.asm.store(pin, FRAME, at),
                    Home::Float(pin) => self.asm.put(encode::vaccess(false, pin, FRAME, at)),
                    Home::Frame => {}
                }
            }
        }
    }

    /// Locals from their slots.
    pub(crate) fn load_locals(&mut self, of: core::ops::Range<u32>) {
        for index in of {
            let at = self.local_slot(index);
            match self.local(index).home {
                Home::Reg(pin) => self.asm.load(pin, FRAME, at),
                Home::Float(pin) => self.asm.put(encode::vaccess(true, pin, FRAME, at)),
                Home::Frame => {}
            }
        }
    }

    /// What is shared by all places that leave.
    pub(crate) fn place_exits(&mut self) {
        self.asm.bind(self.exit);
        if self.exits && self.spills() {
            self.spill_locals();
            self.asm
                .put(encode::access_imm(Access::Ldr, 15, SP, context::EXIT));
        }
        self.asm.bind(self.reload);
        if self.exits && self.pinned() {
            self.load_locals(0..u32::from(self.record.locals));
            self.asm.put(encode::bx(LR));
        }
    }
}
