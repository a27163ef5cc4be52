//! What a tier works on: the region with everything an instance has, and where execution is in it.
use crate::footprint::Layout;
use crate::trap::TrapKind;

#[cfg(target_endian = "big")]
compile_error!("memory is accessed in the byte order of the target, which must be little endian");

/// The state of an instance: what its region holds, and where execution is. Positions are byte offsets in the module, in the
/// table or in the region. tier.rs says what holds of it whenever a tier is entered or left.
#[derive(Debug)]
pub struct State {
    /// The region, for as long as the instance lives.
    pub base: *mut u8,
    /// Where everything lies in it.
    pub layout: Layout,
    /// Bytes of linear memory.
    pub memory: usize,
    /// References to the instance's functions are this and their index.
    pub function_base: u32,
    /// The instruction to execute next, in the module.
    pub code: u32,
    /// The next branch's entry, in the table.
    pub branch: u32,
    /// The frame of the function.
    pub fp: u32,
    /// Behind the topmost operand.
    pub top: u32,
    /// The newest frame record.
    pub frames: u32,
    /// The function, by its record in the table.
    pub function: u32,
    /// Whether its slots are 64 bits wide.
    pub wide: bool,
    /// What is left; negative when a segment took more than there was.
    pub fuel: isize,
    /// For a tier that was handed in: where it goes on; 0 when a call begins.
    pub native: u32,
    /// Whether the portable loop is to execute one instruction only.
    pub(crate) once: bool,
}

/// Why a tier was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The function that the embedder called has returned.
    Done,
    /// The fuel is used up.
    OutOfFuel,
    /// A call of the imported function with this index.
    Import(u32),
    /// A call of a foreign reference, with the index of the type of the call.
    Foreign(u32, u32),
    /// A trap.
    Trap(TrapKind),
}

/// In place of a function: the caller of the one that the embedder called. In place of a position in the code: a call
/// for which the stack had no room.
pub const NOBODY: u32 = u32::MAX;

impl State {
    /// The state of an instance in a region that `layout` fits, before anything was set up.
    pub(crate) fn new(base: *mut u8, layout: Layout, function_base: u32) -> Self {
        Self {
            base,
            layout,
            memory: 0,
            function_base,
            code: 0,
            branch: 0,
            fp: 0,
            top: layout.stack,
            frames: layout.stack_end,
            function: NOBODY,
            wide: false,
            fuel: 0,
            native: 0,
            once: false,
        }
    }

    /// Looks at what `read32` and `write32` are trusted with, in tests and with the feature `checked`.
    #[inline(always)]
    fn trust(&self, at: u32) {
        if cfg!(any(debug_assertions, feature = "checked")) {
            assert!(at.is_multiple_of(4) && u64::from(at) + 4 <= self.layout.memory);
        }
    }

    pub(crate) fn read32(&self, at: u32) -> u32 {
        self.trust(at);
        // SAFETY: every offset below `layout.memory` lies in the region; `at` is a multiple of 4 that the layout gave.
        unsafe { self.base.add(at as usize).cast::<u32>().read() }
    }

    pub(crate) fn write32(&mut self, at: u32, v: u32) {
        self.trust(at);
        // SAFETY: as in `read32`.
        unsafe { self.base.add(at as usize).cast::<u32>().write(v) }
    }

    /// The value of the slot at this offset, which the layout gave.
    pub fn slot(&self, at: u32, wide: bool) -> u64 {
        let low = u64::from(self.read32(at));
        if wide {
            low | u64::from(self.read32(at + 4)) << 32
        } else {
            low
        }
    }

    /// Sets the slot at this offset, which the layout gave.
    pub fn set_slot(&mut self, at: u32, wide: bool, v: u64) {
        self.write32(at, v as u32);
        if wide {
            self.write32(at + 4, (v >> 32) as u32);
        }
    }
}
