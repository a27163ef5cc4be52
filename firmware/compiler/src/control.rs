//! Blocks, branches and what holds where they meet.
//!
//! At a label every operand lies in its slot, but for a single result: that is in r0, in r0 and r1, or in s0. Locals that live in
//! registers do so for the whole function. What is owed at a label is what the first branch there owes; who comes there with
//! another debt pays the difference.
use crate::asm::Pass;
use crate::encode::{self, Cond, Op, Reg};
use crate::entry::{Entry, Kind, ty};
use crate::function::{Fun, Taken};
use crate::limits::{BODY, Made, OWED, Refusal};
use crate::registers::{FLOAT_SCRATCH, FRAME, FUEL, LR, Leave, PC, SCRATCH, SP, context};
use crate::work::{Control, Home, UNKNOWN};
use wasmote_engine::TrapKind;
use wasmote_engine::opcode::op;

/// Types in a row, as they lie in the module.
pub(crate) type Types<'m> = &'m [u8];

impl<'m> Fun<'_, 'm> {
    /// Parameters and results of a block.
    fn block_types(&self, control: &Control) -> (Types<'m>, Types<'m>) {
        if control.opcode == op::END {
            return (&[], self.body.ty.result_bytes());
        }
        match control.ty {
            ty if ty >= 0 => {
                let ty = self.facts.module.ty(ty as u32);
                (ty.param_bytes(), ty.result_bytes())
            }
            -64 => (&[], &[]),
            ty => {
                const SINGLE: [u8; 6] = [0x7f, 0x7e, 0x7d, 0x7c, 0x70, 0x6f];
                let byte = (ty & 0x7f) as u8;
                let at = SINGLE.iter().position(|b| *b == byte).unwrap_or(0);
                (&[], SINGLE.get(at..=at).unwrap_or(&[]))
            }
        }
    }

    /// What a branch to a block carries.
    fn carried(&self, control: &Control) -> Types<'m> {
        let (params, results) = self.block_types(control);
        if control.opcode == op::LOOP {
            params
        } else {
            results
        }
    }

    /// The block a branch names.
    fn target(&self, label: u32) -> (usize, Control) {
        let index = self.depth.saturating_sub(1 + label as usize);
        let control = self.controls.get(index).copied();
        (index, control.unwrap_or(Control::NONE))
    }

    fn open(&mut self, control: Control) -> Made<()> {
        *self.controls.get_mut(self.depth).ok_or(Refusal::Blocks)? = control;
        self.depth += 1;
        Ok(())
    }

    fn update(&mut self, index: usize, change: impl FnOnce(&mut Control)) {
        if let Some(control) = self.controls.get_mut(index) {
            change(control);
        }
    }

    /// All that is compiled of a function.
    pub(crate) fn compile(&mut self) -> Made<u32> {
        let length = self.record.end - self.record.code;
        let frame = u32::from(self.record.slots) * self.size;
        if length > BODY {
            return Err(Refusal::Length);
        }
        if frame > crate::limits::FRAME {
            return Err(Refusal::Locals);
        }
        self.exit = self.asm.label();
        self.reload = self.asm.label();
        let begin = self.prologue()?;
        let end = self.asm.label();
        self.open(Control {
            opcode: op::END,
            label: end,
            ..Control::NONE
        })?;
        while self.depth > 0 {
            self.here = self.at;
            self.asm.sink.mark(self.here as u32);
            if self.dead.is_some() {
                let byte = self.byte();
                self.pass_over(byte)?;
            } else if !self.used()? {
                let byte = self.byte();
                self.instruction(byte)?;
            }
            if self.dead.is_none() {
                self.owed += (self.at - self.here) as i32;
                if self.owed > OWED && !self.asm.flags {
                    self.charge(self.owed);
                    self.owed = 0;
                }
            }
            self.place_stubs(self.dead.is_some());
            if let Some(refusal) = self.asm.refusal {
                return Err(refusal);
            }
        }
        self.asm.sink.mark(0);
        self.epilogue();
        self.place_stubs(true);
        self.asm.sink.mark(0);
        self.place_exits();
        // Entered out of fuel: nothing is in registers yet.
        self.asm.refusal.map_or(Ok(begin), Err)
    }

    /// Where other functions enter: the record is written, locals are made; then the place where the engine's own entry begins,
    /// whose offset is the result.
    ///
    /// In: r3 the frame, r7 the caller's, r12 the caller's position, lr where it goes on.
    fn prologue(&mut self) -> Made<u32> {
        let room = self.record.room.bytes();
        self.asm.sink.mark(0);
        self.asm.load(2, SP, context::FRAMES);
        if !self.asm.add_constant(1, 3, room) {
            self.asm.constant(1, room);
            self.asm.op_reg(Op::Add, 1, 1, 3);
        }
        self.asm.put(encode::cmp(1, 2));
        let distance = self.facts.stack as i32 - (self.origin + self.asm.at) as i32;
        let distance = if self.asm.pass == Pass::Emit {
            distance
        } else {
            0
        };
        match encode::branch(distance, Some(Cond::Hi), true) {
            Some(code) => self.asm.put(code),
            None => return Err(Refusal::Length),
        }
        // The caller's frame, its position and where it goes on; two words of the record stay free.
        let kept = 1 << FRAME | 1 << SCRATCH;
        self.asm.put(encode::several(false, 2, kept | 1 << LR));
        self.asm.put(encode::adds_imm8(true, 2, 8));
        self.asm.store(2, SP, context::FRAMES);
        self.asm.mov(FRAME, 3);
        let params = u32::from(self.record.params);
        let locals = u32::from(self.record.locals);
        self.zero_locals(params, locals);
        self.subtract_fuel((locals - params) as i32);
        let begun = self.asm.label();
        self.asm.forward(begun, Some(Cond::Gt));
        self.leave(Leave::Entry, self.at, 0)?;
        self.asm.bind(begun);
        let begin = self.asm.at;
        if begin > 510 {
            return Err(Refusal::Locals);
        }
        self.load_locals(0..params);
        for index in params..locals {
            match self.local(index).home {
                Home::Reg(pin) => self.asm.constant(pin, 0),
                Home::Float(pin) => {
                    self.asm.constant(SCRATCH, 0);
                    self.asm.put(encode::vmov_to(pin, SCRATCH));
                }
                Home::Frame => {}
            }
        }
        Ok(begin)
    }

    /// Makes the locals that live in the frame zero.
    fn zero_locals(&mut self, params: u32, locals: u32) {
        let words = (locals - params) * self.size / 4;
        let lies = |index| self.local(index).home == Home::Frame;
        if words == 0 || words <= 24 && !(params..locals).any(lies) {
            return;
        }
        self.asm.constant(0, 0);
        if words <= 24 {
            for index in params..locals {
                if self.local(index).home == Home::Frame {
                    let at = self.local_slot(index);
                    self.asm.store(0, FRAME, at);
                    if ty::is_wide(self.local(index).ty) {
                        self.asm.store(0, FRAME, at + 4);
                    }
                }
            }
        } else {
            let first = self.local_slot(params);
            self.asm.put(encode::addw(false, 1, FRAME, first as u16));
            self.asm.constant(2, words);
            let again = self.asm.label();
            self.asm.bind(again);
            self.asm.store(0, 1, 0);
            self.asm.put(encode::adds_imm8(false, 1, 4));
            self.asm.put(encode::adds_imm8(true, 2, 1));
            self.asm.back(again, Some(Cond::Ne));
        }
    }

    /// Charges fuel so that the flags say what is left.
    fn subtract_fuel(&mut self, fuel: i32) {
        let fuel = fuel.unsigned_abs();
        let low = if encode::immediate(fuel).is_some() {
            fuel
        } else {
            self.charge((fuel & !0xff) as i32);
            fuel & 0xff
        };
        let imm = encode::immediate(low).unwrap_or(0);
        self.asm.put(encode::op_imm(Op::Sub, true, FUEL, FUEL, imm));
    }

    /// The function returns: results in r0, r0 and r1, or s0; several in their slots, and then where the arguments were.
    fn epilogue(&mut self) {
        let results = self.body.ty.result_bytes();
        if results.len() > 1 {
            for (index, ty) in results.iter().enumerate() {
                let (from, to) = (self.slot(index), self.local_slot(index as u32));
                self.asm.load(0, FRAME, from);
                self.asm.store(0, FRAME, to);
                if ty::is_wide(*ty) {
                    self.asm.load(0, FRAME, from + 4);
                    self.asm.store(0, FRAME, to + 4);
                }
            }
        }
        self.asm.load(2, SP, context::FRAMES);
        self.asm.put(encode::adds_imm8(false, 2, 20));
        self.asm.store(2, SP, context::FRAMES);
        let kept = 1 << FRAME | 1 << SCRATCH;
        self.asm.put(encode::several(true, 2, kept | 1 << PC));
    }

    /// Code that is never reached: only where it ends matters.
    fn pass_over(&mut self, byte: u8) -> Made<()> {
        let nested = self.dead.unwrap_or(0);
        match byte {
            op::BLOCK | op::LOOP | op::IF => {
                self.dead = Some(nested + 1);
                self.skip(byte);
            }
            op::END if nested > 0 => self.dead = Some(nested - 1),
            op::ELSE if nested == 0 => self.otherwise()?,
            op::END => self.end()?,
            _ => self.skip(byte),
        }
        Ok(())
    }

    /// Nothing comes behind this instruction.
    pub(crate) fn stop(&mut self) {
        self.drop_bases();
        self.drop_globals();
        self.dead = Some(0);
        self.asm.flags = false;
    }

    // ---- meeting at a label ----

    /// Brings the topmost operands where a label has them, and changes nothing that is known of any.
    fn carry(&mut self, types: Types<'_>, height: usize, looping: bool) {
        let from = self.height.saturating_sub(types.len());
        let taken = |this: &Self, i: usize| (this.entry(from + i), from + i);
        if let ([ty], false) = (types, looping) {
            let operand = taken(self, 0);
            match *ty {
                ty::F32 => self.float_into(operand, 0),
                wide if ty::is_wide(wide) => self.pair_into(operand, 0, 1),
                _ => self.int_into(operand, 0),
            }
            return;
        }
        for index in 0..types.len() {
            let operand = taken(self, index);
            if operand.0.kind != Kind::Slot || from != height {
                let to = self.slot(height + index);
                self.store_at(operand, FRAME, to);
            }
        }
    }

    /// The operands of a label, from `height` on.
    fn arrive(&mut self, types: Types<'_>, height: usize, looping: bool) -> Made<()> {
        self.height = height;
        self.free = self.temps;
        self.free_floats = 0x7fff;
        for index in 0..height {
            let entry = self.entry(index);
            debug_assert!(matches!(entry.kind, Kind::Slot | Kind::Const));
        }
        if let ([ty], false) = (types, looping) {
            return match *ty {
                ty::F32 => {
                    self.free_floats &= !1;
                    self.push(Entry::float(0))
                }
                wide if ty::is_wide(wide) => {
                    let (low, high) = (self.claim(0), self.claim(1));
                    self.push(Entry::pair(wide, low, high))
                }
                narrow => {
                    let reg = self.claim(0);
                    self.push(Entry::reg(narrow, reg))
                }
            };
        }
        for ty in types {
            self.push(Entry::slot(*ty))?;
        }
        Ok(())
    }

    /// What coming to this label with such a debt has to pay; the first one sets what is owed there.
    fn settle(&mut self, index: usize, owed: i32) -> i32 {
        let mut difference = 0;
        self.update(index, |control| {
            if control.owed == UNKNOWN {
                control.owed = owed as u16;
            }
            difference = owed - i32::from(control.owed);
        });
        difference
    }

    /// A branch that is taken, or taken if the flags say so. Nothing is changed that the code behind it knows.
    fn branch(&mut self, label: u32, cond: Option<Cond>) -> Made<()> {
        let (index, control) = self.target(label);
        let types = self.carried(&control);
        let height = usize::from(control.height);
        let looping = control.opcode == op::LOOP;
        let mut owed = self.owed_at_trap();
        if control.opcode == op::END {
            // The `end` of the function is passed too.
            owed += 1;
        } else if self.height > height + types.len() && types.len() > 1 {
            owed += types.len() as i32;
        }
        let flags = core::mem::replace(&mut self.asm.flags, cond.is_some());
        let difference = if looping { 0 } else { self.settle(index, owed) };
        if let (Some(cond), [], 0, false) = (cond, types, difference, looping) {
            self.asm.flags = flags;
            self.asm.forward(control.label, Some(cond));
            return Ok(());
        }
        let over = cond.map(|cond| {
            let over = self.asm.label();
            self.asm.forward(over, Some(cond.not()));
            over
        });
        self.asm.flags = false;
        self.carry(types, height, looping);
        if looping {
            self.subtract_fuel(owed);
            self.asm.back(control.label, Some(Cond::Gt));
            // A loop's code begins behind its type.
            let head = i32::from(control.otherwise);
            let (now, at) = (self.height, (self.record.code as i32 + head) as usize);
            self.height = height + types.len();
            self.leave(Leave::Fuel, at, 0)?;
            self.height = now;
            self.asm.back(control.otherwise_owed, None);
        } else {
            self.charge(difference);
            self.asm.forward(control.label, None);
        }
        if let Some(over) = over {
            self.asm.bind(over);
        }
        self.asm.flags = false;
        Ok(())
    }

    // ---- instructions ----

    /// Takes a condition, as flags: what must hold.
    pub(crate) fn condition(&mut self) -> Made<Cond> {
        let taken = self.pop();
        if taken.0.kind == Kind::Flags {
            return Ok(taken.0.cond());
        }
        let reg = self.int(taken)?;
        self.asm.compare_constant(reg, 0);
        self.give(reg);
        self.asm.flags = true;
        Ok(Cond::Ne)
    }

    pub(crate) fn block(&mut self, byte: u8) -> Made<()> {
        let ty = self.s64() as i32;
        // Operands that stay below are in their slots from here on, so the flags of an `if` come last.
        let condition = (byte == op::IF).then(|| self.pop());
        let held = condition.filter(|(entry, _)| entry.kind == Kind::Flags);
        let mut control = Control {
            opcode: byte,
            label: self.asm.label(),
            ty,
            ..Control::NONE
        };
        let (params, _) = self.block_types(&control);
        let height = self.height.saturating_sub(params.len());
        control.height = height as u16;
        for index in 0..self.height {
            // A local may be set within; what a loop takes, or an `else` takes again, is in its slot.
            if self.entry(index).kind != Kind::Const || index >= height {
                self.spill(index);
            }
        }
        match byte {
            op::LOOP => {
                let owed = self.owed_now();
                self.charge(owed);
                self.now_owed(0);
                control.otherwise = (self.at as u32 - self.record.code) as u16;
                // Who comes back from outside, with registers that hold nothing, goes in where what is kept is computed.
                control.otherwise_owed = control.label;
                if self.keeps(control.otherwise) {
                    control.otherwise_owed = self.asm.label();
                    self.asm.bind(control.otherwise_owed);
                    self.compute_for_loop(control.otherwise)?;
                }
                self.asm.bind(control.label);
            }
            op::IF => {
                let cond = match (held, condition) {
                    (Some((entry, _)), _) => entry.cond(),
                    (None, Some(taken)) => {
                        let reg = self.int(taken)?;
                        self.asm.compare_constant(reg, 0);
                        self.give(reg);
                        Cond::Ne
                    }
                    (None, None) => Cond::Ne,
                };
                control.otherwise = self.asm.label();
                control.otherwise_owed = self.owed_at_trap() as u16;
                self.asm.forward(control.otherwise, Some(cond.not()));
                self.asm.flags = false;
            }
            _ => {}
        }
        self.open(control)
    }

    /// `else`, or where an `if` without one would have it.
    pub(crate) fn otherwise(&mut self) -> Made<()> {
        let index = self.depth.saturating_sub(1);
        let (_, control) = self.target(0);
        let (params, results) = self.block_types(&control);
        let height = usize::from(control.height);
        if self.dead.is_none() {
            let owed = self.owed_at_trap();
            let difference = self.settle(index, owed);
            self.carry(results, height, false);
            self.charge(difference);
            self.asm.forward(control.label, None);
        }
        self.place_stubs(true);
        self.asm.bind(control.otherwise);
        self.dead = None;
        self.update(index, |control| control.opcode = op::ELSE);
        self.arrive(params, height, true)?;
        self.now_owed(i32::from(control.otherwise_owed));
        Ok(())
    }

    pub(crate) fn end(&mut self) -> Made<()> {
        let index = self.depth.saturating_sub(1);
        let (_, mut control) = self.target(0);
        let (params, results) = self.block_types(&control);
        let height = usize::from(control.height);
        // The fuel owed behind the `end` when it is reached without a branch.
        let mut owed = self.owed_at_trap();
        if control.opcode == op::IF {
            if params.is_empty() && control.owed == UNKNOWN && self.dead.is_none() {
                self.charge(owed - i32::from(control.otherwise_owed));
                self.asm.bind(control.otherwise);
                self.depth -= 1;
                self.now_owed(i32::from(control.otherwise_owed));
                return Ok(());
            }
            self.otherwise()?;
            (_, control) = self.target(0);
            owed = i32::from(control.otherwise_owed);
        }
        if control.opcode == op::END && control.owed == UNKNOWN && self.dead.is_some() {
            // Nothing ever returns; what follows is never reached.
            self.depth = 0;
            return Ok(());
        }
        if control.opcode == op::LOOP || control.owed == UNKNOWN && control.opcode != op::END {
            // Nothing branches here: who comes on the straight line goes on as he is.
            if self.dead.is_none() {
                self.flush_kept();
            }
            self.depth -= 1;
            return Ok(());
        }
        if self.dead.is_none() {
            let difference = self.settle(index, owed);
            self.carry(results, height, false);
            self.charge(difference);
        }
        self.dead = None;
        (_, control) = self.target(0);
        self.asm.bind(control.label);
        self.depth -= 1;
        if control.opcode == op::END {
            let several = if results.len() > 1 { results.len() } else { 0 };
            self.charge(i32::from(control.owed) + several as i32);
            return Ok(());
        }
        self.arrive(results, height, false)?;
        self.now_owed(i32::from(control.owed));
        Ok(())
    }

    pub(crate) fn br(&mut self) -> Made<()> {
        let label = self.u32();
        self.branch(label, None)?;
        self.stop();
        Ok(())
    }

    pub(crate) fn br_if(&mut self) -> Made<()> {
        let label = self.u32();
        let cond = self.condition()?;
        self.branch(label, Some(cond))?;
        self.asm.flags = false;
        Ok(())
    }

    pub(crate) fn ret(&mut self) -> Made<()> {
        // One less than a branch to the function's `end`, which is not passed.
        self.owed -= 1;
        let label = self.depth.saturating_sub(1) as u32;
        self.branch(label, None)?;
        self.owed += 1;
        self.stop();
        Ok(())
    }

    /// A jump through a table of distances; where more is to be done than to jump, by way of a place that does it.
    pub(crate) fn br_table(&mut self) -> Made<()> {
        let index = self.pop();
        let reg = self.int(index)?;
        let count = self.u32();
        let labels = self.at;
        self.asm.constant(SCRATCH, count);
        self.asm.put(encode::cmp(reg, SCRATCH));
        let default = self.asm.label();
        self.asm.forward(default, Some(Cond::Hs));
        self.asm.put(encode::tbh(reg));
        let from = self.asm.at;
        let first = self.asm.label();
        for at in 1..count {
            if self.asm.label() != first + at as u16 {
                return Err(Refusal::Branches);
            }
        }
        for at in 0..count {
            let place = first + at as u16;
            self.asm.table_entry(place, from);
        }
        self.give(reg);
        self.at = labels;
        for at in 0..count {
            let label = self.u32();
            self.asm.bind(first + at as u16);
            self.branch(label, None)?;
        }
        self.asm.bind(default);
        let label = self.u32();
        self.branch(label, None)?;
        self.stop();
        Ok(())
    }

    pub(crate) fn unreachable(&mut self) -> Made<()> {
        let trap = self.trap(TrapKind::Unreachable)?;
        self.asm.forward(trap, None);
        self.stop();
        Ok(())
    }

    pub(crate) fn select(&mut self) -> Made<()> {
        let cond = self.condition()?;
        let (b, a) = (self.pop(), self.pop());
        self.asm.flags = true;
        if ty::is_wide(a.0.ty) {
            self.select_wide(a, b, cond)?;
        } else if a.0.ty == ty::F32 && (self.is_float(a) || self.is_float(b)) {
            let (x, y) = (self.float(a)?, self.float(b)?);
            let to = if x < FLOAT_SCRATCH {
                x
            } else {
                self.float_temp()?
            };
            self.float_into((Entry::float(x), 0), to);
            self.asm.put(encode::it(cond.not()));
            self.asm.put(encode::vunary(encode::Unary::Mov, to, y));
            self.give_float(y);
            self.push(Entry::float(to))?;
        } else {
            let (x, y) = (self.int(a)?, self.int(b)?);
            // The first operand's own register, unless a local lives there.
            let to = if self.temps >> x & 1 == 1 {
                x
            } else {
                self.temp()?
            };
            self.asm.mov(to, x);
            self.asm.put(encode::it(cond.not()));
            self.asm.put(encode::mov(to, y));
            self.give(y);
            self.push(Entry::reg(a.0.ty, to))?;
        }
        self.asm.flags = false;
        Ok(())
    }

    fn is_float(&self, (entry, _): Taken) -> bool {
        match entry.kind {
            Kind::Float => true,
            Kind::Local => matches!(self.local(entry.value()).home, Home::Float(_)),
            _ => false,
        }
    }

    fn select_wide(&mut self, a: Taken, b: Taken, cond: Cond) -> Made<()> {
        let (low, high) = self.pair(a)?;
        let (x, y): (Reg, Reg) = match b.0.kind {
            Kind::Pair => (b.0.low(), b.0.high()),
            _ => {
                self.checks.base = None;
                self.pair_into(b, SCRATCH, LR);
                (SCRATCH, LR)
            }
        };
        self.asm.put(encode::itt(cond.not()));
        self.asm.put(encode::mov(low, x));
        self.asm.put(encode::mov(high, y));
        self.release(b);
        self.push(Entry::pair(a.0.ty, low, high))
    }
}
