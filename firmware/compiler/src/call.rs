//! Calls. Arguments lie where the callee's frame begins, in slots of its own width; a result comes back in registers.
use crate::asm::Pass;
use crate::encode::{self, Op};
use crate::entry::{Entry, ty};
use crate::function::Fun;
use crate::limits::Made;
use crate::registers::{FRAME, Leave, SCRATCH};
use wasmote_engine::FuncType;

/// The new frame, until the callee has it.
const NEW_FRAME: u8 = 3;

impl<'m> Fun<'_, 'm> {
    pub(crate) fn call(&mut self) -> Made<()> {
        let index = self.u32();
        let module = self.facts.module;
        let Some(own) = index.checked_sub(module.imported_functions()) else {
            let ty = module.func_type(index);
            return self.leave_for(ty, Leave::Import, 0);
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
                // From the last one on, as they lie apart.
                for i in (0..params.len() as u32).rev() {
                    self.asm.load(SCRATCH, FRAME, at + i * 4);
                    self.asm.store(SCRATCH, NEW_FRAME, i * 8);
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
        let distance = if self.asm.pass == Pass::Emit {
            self.facts.entry(own) as i32 - (self.origin + self.asm.at) as i32
        } else {
            0
        };
        self.asm.call(distance);
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

    pub(crate) fn call_indirect(&mut self) -> Made<()> {
        let ty = self.u32();
        self.u32();
        let ty = self.facts.module.ty(ty);
        self.leave_for(Some(ty), Leave::Step, 1)
    }

    /// A call that is made from outside: arguments and results lie in slots, and `more` operands above the arguments.
    fn leave_for(&mut self, ty: Option<FuncType<'m>>, why: Leave, more: usize) -> Made<()> {
        let Some(ty) = ty else { return Ok(()) };
        let taken = ty.param_bytes().len() + more;
        let below = self.height.saturating_sub(taken);
        self.flush(below);
        self.leave(why, self.here, self.owed);
        self.now_owed(0);
        self.height = below;
        for ty in ty.result_bytes() {
            self.push(Entry::slot(*ty))?;
        }
        Ok(())
    }
}
