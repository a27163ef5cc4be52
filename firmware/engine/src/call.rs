//! Calls: frames and their records, which grow towards each other in the stack area of the region.
//!
//! A frame lies where its arguments were pushed: locals, a slot that nothing reads, operands. Its record, which says where its
//! caller goes on, lies at the other end. Together they take what [`crate::tier::Record::room`] says, whatever tier executes the
//! function: so the stack is exhausted at the same call everywhere.
use crate::module::Module;
use crate::sidetable::FRAME_RECORD;
use crate::state::{NOBODY, State};
use crate::trap::TrapKind;
use core::mem::offset_of;

/// A frame record as it lies in the region, in the order of the fast loop's registers. On the chip it holds addresses, which the
/// fast loop moves by one instruction; elsewhere offsets.
#[repr(C)]
pub(crate) struct FrameRecord {
    /// The caller's record in the table, or [`NOBODY`], with [`Self::GAP`] and [`Self::CROSSING`].
    pub(crate) function: u32,
    /// Where the caller goes on, in the table and in the code.
    pub(crate) branch: u32,
    pub(crate) code: u32,
    /// Behind the caller's last `end`.
    pub(crate) end: u32,
    /// The caller's frame.
    pub(crate) frame: u32,
}

const _: () = assert!(size_of::<FrameRecord>() == FRAME_RECORD as usize);

impl FrameRecord {
    /// The frame was moved up by 4 bytes, to be aligned.
    pub(crate) const GAP: u32 = 1;
    /// Caller and callee have slots of different width, or the fast loop cannot go on in the caller, whose immediates may have
    /// several bytes.
    pub(crate) const CROSSING: u32 = 2;
}

/// A frame record in offsets: where the caller goes on.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// The caller, by its record in the table, or [`NOBODY`]; without a caller the rest means nothing.
    pub function: u32,
    /// Behind its call, in the module.
    pub code: u32,
    /// The next branch there, in the table.
    pub branch: u32,
    /// The caller's frame.
    pub frame: u32,
    /// Bytes between the caller's arguments and the callee's frame (alignment).
    pub gap: u32,
}

/// What an indirect call leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callee {
    /// A function of the module's own, by its record.
    Own(u32),
    /// The imported function with this index.
    Import(u32),
    /// A reference that is not this instance's.
    Foreign(u32),
}

impl Callee {
    /// Whether the embedder answers it.
    pub fn is_host(self) -> bool {
        !matches!(self, Self::Own(_))
    }
}

impl State {
    /// What `call_indirect` with this type leads to, from this entry of this table.
    #[inline(always)]
    pub fn callee(
        &self,
        module: &Module<'_>,
        ty: u32,
        table: u32,
        index: u32,
    ) -> Result<Callee, TrapKind> {
        let entry = self
            .table_entry(table, index)
            .ok_or(TrapKind::UndefinedElement)?;
        let reference = entry.checked_sub(1).ok_or(TrapKind::UninitializedElement)?;
        let function = reference.wrapping_sub(self.function_base);
        if function >= module.functions() {
            return Ok(Callee::Foreign(reference));
        }
        let actual = module.type_index(function);
        if actual != ty && module.ty(actual) != module.ty(ty) {
            return Err(TrapKind::IndirectCallType);
        }
        Ok(match function.checked_sub(module.imported_functions()) {
            Some(own) => Callee::Own(module.record_of(own)),
            None => Callee::Import(function),
        })
    }

    /// What the words of frame records are relative to: code, table and region.
    fn origins(&self, module: &Module<'_>) -> [u32; 3] {
        if cfg!(fast_loop) {
            // The fast loop's code position is that of the byte it read last.
            [
                (module.bytes.as_ptr() as u32).wrapping_sub(1),
                module.table.as_ptr() as u32,
                self.base as u32,
            ]
        } else {
            [0, 0, 0]
        }
    }

    /// The frame record at this offset.
    pub fn frame(&self, module: &Module<'_>, at: u32) -> Frame {
        let w = |i: usize| self.read32(at + i as u32);
        let [code, table, region] = self.origins(module);
        let function = w(offset_of!(FrameRecord, function));
        Frame {
            function: match function {
                NOBODY => NOBODY,
                _ => (function & !(FrameRecord::GAP | FrameRecord::CROSSING)).wrapping_sub(table),
            },
            branch: w(offset_of!(FrameRecord, branch)).wrapping_sub(table),
            code: w(offset_of!(FrameRecord, code)).wrapping_sub(code),
            frame: w(offset_of!(FrameRecord, frame)).wrapping_sub(region),
            gap: match function {
                NOBODY => 0,
                _ => (function & FrameRecord::GAP) * 4,
            },
        }
    }

    /// Enters a function of the module's own, by its record, whose arguments lie below `self.top` in slots of the given width.
    pub fn enter(
        &mut self,
        module: &Module<'_>,
        callee: u32,
        from_wide: bool,
    ) -> Result<(), TrapKind> {
        let record = module.record(callee);
        let wide = record.room.is_wide();
        let (params, locals) = (u32::from(record.params), u32::from(record.locals));
        let size = if wide { 8 } else { 4 };
        let args = self.top - params * if from_wide { 8 } else { 4 };
        let base = if wide { args.next_multiple_of(8) } else { args };
        if u64::from(base) + u64::from(record.room.bytes()) > u64::from(self.frames) {
            return Err(TrapKind::StackExhausted);
        }
        if wide && !from_wide {
            for i in (0..params).rev() {
                let v = self.slot(args + i * 4, false);
                self.set_slot(base + i * 8, true, v);
            }
        } else if from_wide && !wide {
            for i in 0..params {
                let v = self.slot(args + i * 8, false);
                self.set_slot(base + i * 4, false, v);
            }
        }
        for i in params..locals {
            self.set_slot(base + i * size, wide, 0);
        }
        self.frames -= FRAME_RECORD;
        let [code, table, region] = self.origins(module);
        let (function, end) = if self.function == NOBODY {
            (NOBODY, 0)
        } else {
            let caller = module.record(self.function);
            let gap = if base != args { FrameRecord::GAP } else { 0 };
            let crossing = if wide != from_wide || caller.room.is_long() {
                FrameRecord::CROSSING
            } else {
                0
            };
            let function = self.function.wrapping_add(table) | gap | crossing;
            (function, caller.end)
        };
        let (frames, branch, at, fp) = (self.frames, self.branch, self.code, self.fp);
        let mut write = |at: usize, v: u32| self.write32(frames + at as u32, v);
        write(offset_of!(FrameRecord, function), function);
        write(offset_of!(FrameRecord, branch), branch.wrapping_add(table));
        write(offset_of!(FrameRecord, code), at.wrapping_add(code));
        write(offset_of!(FrameRecord, end), end.wrapping_add(code));
        write(offset_of!(FrameRecord, frame), fp.wrapping_add(region));
        self.fuel -= (locals - params) as isize;
        self.code = record.code;
        self.branch = record.branch;
        self.function = callee;
        self.fp = base;
        self.wide = wide;
        self.top = base + locals * size + size;
        Ok(())
    }

    /// Leaves the present function, whose results lie below `self.top`; `true` when the embedder called it.
    pub fn leave(&mut self, module: &Module<'_>) -> bool {
        let results = u32::from(module.record(self.function).results);
        if results > 1 {
            self.fuel -= results as isize;
        }
        let frame = self.frame(module, self.frames);
        self.frames += FRAME_RECORD;
        let wide = self.wide;
        let size = if wide { 8 } else { 4 };
        let from = self.top - results * size;
        // The embedder reads results in the width of the function.
        let to_wide = if frame.function == NOBODY {
            wide
        } else {
            module.is_wide(frame.function)
        };
        let to = self.fp - frame.gap;
        let to_size = if to_wide { 8 } else { 4 };
        if to_wide && !wide {
            for i in 0..results {
                let v = self.slot(from + i * 4, false);
                self.set_slot(to + i * 4, false, v);
            }
            for i in (0..results).rev() {
                let v = self.slot(to + i * 4, false);
                self.set_slot(to + i * 8, true, v);
            }
        } else {
            for i in 0..results {
                let v = self.slot(from + i * size, wide);
                self.set_slot(to + i * to_size, to_wide, v);
            }
        }
        self.top = to + results * to_size;
        self.code = frame.code;
        self.branch = frame.branch;
        self.fp = frame.frame;
        self.function = frame.function;
        self.wide = to_wide;
        frame.function == NOBODY
    }
}
