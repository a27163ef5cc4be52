//! Calls. Arguments lie where the callee's frame begins, in slots of its own width; a result comes back in registers.
use crate::encode::{self, Cond, Op};
use crate::entry::{Entry, Kind, ty};
use crate::function::Fun;
use crate::limits::Made;
use crate::registers::{FRAME, LR, Leave, SCRATCH, SP, context};
use wasmote_engine::FuncType;

/// The new frame, until the callee has it.
const NEW_FRAME: u8 = 3;
/// What an indirect call is made with (native.s): the index, the type's, the table's header, and 1 where the caller's slots have 64
/// bits. The last is a local's register, which is in its slot.
const INDEX: u8 = 0;
const TYPE: u8 = 1;
const TABLE: u8 = 2;
const WIDTH: u8 = 4;
/// Bytes of a table's header.
const HEADER: u32 = 12;

impl<'m> Fun<'_, 'm> {
    pub(crate) fn call(&mut self) -> Made<()> {
        let index = self.u32();
        let module = self.facts.module;
        let Some(own) = index.checked_sub(module.imported_functions()) else {
            let ty = module.func_type(index);
            return self.leave_for(ty, Leave::Import);
        };
        let Some(ty) = module.func_type(index) else {
            return Ok(());
        };
        let callee = module.record(module.record_of(own)).room.is_wide();
        let caller = self.size == 8;
        let (params, results) = (ty.param_bytes(), ty.result_bytes());
        let first = self.height.saturating_sub(params.len());
        // The height is the callee's now; what stays below is in slots or locals.
        self.height = first;
        let arguments = first..first + params.len();
        self.flush(first);
        let at = self.slot(first);
        for index in arguments {
            self.spill(index);
        }
        self.new_frame(at);
        match (caller, callee) {
            _ if caller == callee => {}
            (false, _) => {
                self.align_frame();
                if !params.is_empty() {
                    self.widen(own, at, params.len() as u32);
                }
            }
            (true, _) => {
                for i in 0..params.len() as u32 {
                    self.asm.load(SCRATCH, FRAME, at + i * 8);
                    self.asm.store(SCRATCH, NEW_FRAME, i * 4);
                }
            }
        }
        let owed = self.owed_now();
        self.charge(owed);
        self.now_owed(0);
        self.spill_locals();
        self.asm.constant(SCRATCH, self.at as u32);
        self.asm.call_function(own, self.origin);
        let locals = u32::from(self.record.locals);
        self.load_locals(0..locals);
        if results.len() > 1 && caller != callee {
            self.take_results(results, at, callee);
        }
        self.returned(results)
    }

    fn new_frame(&mut self, at: u32) {
        self.asm
            .put(encode::addw(false, NEW_FRAME, FRAME, at.min(4095) as u16));
    }

    /// Moves arguments to where wider slots are. Where the callee has no room for them they stay: above the frame may lie records, and
    /// the callee ends at once.
    fn widen(&mut self, own: u32, at: u32, params: u32) {
        let module = self.facts.module;
        let room = module.record(module.record_of(own)).room.bytes();
        if !self.asm.add_constant(LR, NEW_FRAME, room) {
            self.asm.constant(LR, room);
            self.asm.op_reg(Op::Add, LR, LR, NEW_FRAME);
        }
        self.asm.load(SCRATCH, SP, context::FRAMES);
        self.asm.put(encode::cmp(LR, SCRATCH));
        let over = self.asm.label();
        self.asm.forward(over, Some(Cond::Hi));
        // From the last one on, as they lie apart.
        for i in (0..params).rev() {
            self.asm.load(SCRATCH, FRAME, at + i * 4);
            self.asm.store(SCRATCH, NEW_FRAME, i * 8);
        }
        self.asm.bind(over);
        self.new_frame(at);
        self.align_frame();
    }

    /// Moves the new frame up to a multiple of 8.
    fn align_frame(&mut self) {
        self.asm.put(encode::addw(false, NEW_FRAME, NEW_FRAME, 7));
        self.asm
            .put(encode::op_imm(Op::Bic, false, NEW_FRAME, NEW_FRAME, 7));
    }

    /// Several results of a function with slots of another width, from where its frame was.
    fn take_results(&mut self, results: &[u8], at: u32, callee: bool) {
        self.new_frame(at);
        let count = results.len() as u32;
        if callee {
            self.align_frame();
            for i in 0..count {
                self.asm.load(SCRATCH, NEW_FRAME, i * 8);
                self.asm.store(SCRATCH, FRAME, at + i * 4);
            }
        } else {
            for i in (0..count).rev() {
                self.asm.load(SCRATCH, NEW_FRAME, i * 4);
                self.asm.store(SCRATCH, FRAME, at + i * 8);
            }
        }
    }

    /// Results: one in registers, several in slots.
    fn returned(&mut self, results: &[u8]) -> Made<()> {
        match results {
            [ty::F32] => {
                self.free_floats &= !1;
                self.push(Entry::float(0))
            }
            [wide] if ty::is_wide(*wide) => {
                let (low, high) = (self.claim(0), self.claim(1));
                self.push(Entry::pair(*wide, low, high))
            }
            [narrow] => {
                let low = self.claim(0);
                self.push(Entry::reg(*narrow, low))
            }
            several => {
                for ty in several {
                    self.push(Entry::slot(*ty))?;
                }
                Ok(())
            }
        }
    }

    /// A call of what an entry of a table refers to. Native.s looks at the entry and goes to the function, or leaves where that is the
    /// engine's to do: everything lies where the engine wants it, the index too, and is fetched again.
    pub(crate) fn call_indirect(&mut self) -> Made<()> {
        let (of, table) = (self.u32(), self.u32());
        let ty = self.facts.module.ty(of);
        let height = self.height;
        let index = height.saturating_sub(1);
        let first = index.saturating_sub(ty.param_bytes().len());
        let before = self.entry(index);
        self.flush(first);
        // Where it was, it still is: only its slot is filled too.
        let there = matches!(before.kind, Kind::Slot | Kind::Flags);
        let entry = if there { self.entry(index) } else { before };
        self.int_into((entry, index), INDEX);
        let at = self.slot(first);
        self.new_frame(at);
        let owed = self.owed_now();
        self.charge(owed);
        self.now_owed(0);
        self.spill_locals();
        self.asm.constant(SCRATCH, self.at as u32);
        self.asm.constant(TYPE, of);
        self.asm.constant(TABLE, table * HEADER);
        self.asm.constant(WIDTH, u32::from(self.size == 8));
        let distance = self.facts.indirect as i32 - (self.origin + self.asm.at) as i32;
        self.asm.call(distance);
        self.site(Leave::Indirect, self.here, (self.at - self.here) as i32);
        self.height = first;
        self.load_locals(0..u32::from(self.record.locals));
        self.returned(ty.result_bytes())
    }

    /// A call that is made from outside: arguments and results lie in slots.
    fn leave_for(&mut self, ty: Option<FuncType<'m>>, why: Leave) -> Made<()> {
        let Some(ty) = ty else { return Ok(()) };
        let below = self.height.saturating_sub(ty.param_bytes().len());
        self.flush(below);
        self.leave(why, self.here, self.owed)?;
        self.now_owed(0);
        self.height = below;
        for ty in ty.result_bytes() {
            self.push(Entry::slot(*ty))?;
        }
        Ok(())
    }
}
