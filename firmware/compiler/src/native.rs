//! Runs compiled code on an Armv7E-M: the engine's third tier.
//!
//! A frame lies where the engine's loops have it, and its record in the same 20 bytes; but a record of compiled code has only its
//! last three words: the address of the caller's frame, its position in the module behind its call, and the address where its code
//! goes on. The first two are free, and hold what is needed where a call began outside compiled code:
//!
//! | called by | word 0 | word 1 | word 4 |
//! | --- | --- | --- | --- |
//! | the embedder | nobody | the callee's record | `done` |
//! | `call_indirect`, by the engine | the callee's record, 1 if its frame was moved up | where the caller's code goes on | `return` |
//! | compiled code, `call_indirect` too | nothing | nothing | where the caller's code goes on |
use crate::arena::Code;
use crate::bytes::Bytes;
use crate::entry::ty;
use crate::facts::{FLOAT, WIDE};
use crate::registers::Leave;
use core::cmp::Ordering;
use core::mem::offset_of;
use wasmote_engine::numeric::{self, DOUBLE, Rounding};
use wasmote_engine::opcode::op;
use wasmote_engine::tier::{self, Exit, FRAME_RECORD, Frame, NOBODY, Record, State, Tier, double};
use wasmote_engine::{FuncType, Module, TrapKind};

core::arch::global_asm!(include_str!("native.s"), options(raw));

/// What native.s knows: the first seven words are the context of compiled code.
#[repr(C)]
struct Context {
    frames: u32,
    globals: u32,
    length: u32,
    exit: u32,
    trap: u32,
    stack: u32,
    helpers: u32,
    memory: u32,
    frame: u32,
    fuel: u32,
    target: u32,
    low: u32,
    high: u32,
    float: u32,
    position: u32,
    indirect: u32,
    /// What an indirect call looks at: the tables' headers, and what their places count from; the reference to the first of the module's
    /// own functions, and how many they are; their types, their entries in the code, and their records.
    tables: u32,
    region: u32,
    reference: u32,
    own: u32,
    types: u32,
    entries: u32,
    records: u32,
}

/// What native.s has the numbers of.
const _: () = {
    assert!(offset_of!(Context, memory) == 28 && offset_of!(Context, target) == 40);
    assert!(offset_of!(Context, low) == 44 && offset_of!(Context, float) == 52);
    assert!(offset_of!(Context, indirect) == 60);
    assert!(offset_of!(Context, tables) == 64 && offset_of!(Context, region) == 68);
    assert!(offset_of!(Context, reference) == 72 && offset_of!(Context, own) == 76);
    assert!(offset_of!(Context, types) == 80 && offset_of!(Context, entries) == 84);
    assert!(offset_of!(Context, records) == 88 && size_of::<Record>() == 24);
    assert!(offset_of!(Record, params) == 12 && offset_of!(Record, results) == 18);
    assert!(offset_of!(Record, room) == 20 && WIDE == 2);
};

unsafe extern "C" {
    fn wasmote_compiler_enter(context: *mut Context) -> u32;
    fn wasmote_compiler_exit();
    fn wasmote_compiler_trap();
    fn wasmote_compiler_stack();
    fn wasmote_compiler_done();
    fn wasmote_compiler_return();
    fn wasmote_compiler_indirect();
}

fn address(function: unsafe extern "C" fn()) -> u32 {
    function as usize as u32
}

/// The kinds of traps by their numbers.
const KINDS: [TrapKind; 11] = [
    TrapKind::Unreachable,
    TrapKind::DivideByZero,
    TrapKind::IntegerOverflow,
    TrapKind::InvalidConversion,
    TrapKind::MemoryOutOfBounds,
    TrapKind::TableOutOfBounds,
    TrapKind::UndefinedElement,
    TrapKind::UninitializedElement,
    TrapKind::IndirectCallType,
    TrapKind::StackExhausted,
    TrapKind::Host,
];

/// A compiled module in executable memory.
#[derive(Clone, Copy, Debug)]
pub struct Native<'a> {
    code: Code<'a>,
}

/// What lies behind the call by which compiled code left.
struct Site {
    /// Position in the function, fuel owed, why, operands.
    at: u32,
    owed: u32,
    why: u16,
    height: u32,
}

impl Site {
    /// Whether it asks for something, beside fuel.
    fn is_served(&self) -> bool {
        [Leave::Import, Leave::Step, Leave::Indirect]
            .iter()
            .any(|why| self.why == *why as u16)
    }
}

impl<'a> Native<'a> {
    /// Code that can be executed where it lies.
    ///
    /// # Safety
    /// It was compiled for the module of the instance it is given to, with [`crate::Options::grows`] unless that instance's memory
    /// cannot grow; it was not changed since, and it lies in executable memory.
    pub unsafe fn new(code: Code<'a>) -> Self {
        // SAFETY: what was written is seen by what is fetched from here on.
        unsafe { core::arch::asm!("dsb", "isb", options(nostack, preserves_flags)) };
        Self { code }
    }

    fn base(&self) -> u32 {
        self.code.bytes().as_ptr() as u32
    }

    fn half(&self, at: u32) -> u16 {
        let at = at.wrapping_sub(self.base()) as usize;
        match self.code.bytes().get(at..at + 2) {
            Some(&[a, b]) => u16::from_le_bytes([a, b]),
            _ => 0,
        }
    }

    /// The site whose code goes on at this address.
    fn site(&self, native: u32) -> Site {
        let at = (native & !1).wrapping_sub(6);
        let owed = self.half(at + 2);
        Site {
            at: self.half(at).into(),
            owed: u32::from(owed & 0xfff),
            why: owed >> 12,
            height: self.half(at + 4).into(),
        }
    }

    /// The function that code at this address is of, by its record's place.
    fn function_at(&self, module: &Module<'_>, native: u32) -> u32 {
        let at = native.wrapping_sub(self.base());
        let count = module.functions() - module.imported_functions();
        let index = last(count, |own| self.code.function(own).0 <= at);
        module.record_of(index)
    }

    /// Where the engine enters a function.
    fn begin(&self, module: &Module<'_>, function: u32) -> u32 {
        let own = (function - module.record_of(0)) / size_of::<Record>() as u32;
        (self.base() + self.code.function(own).1) | 1
    }

    /// Runs code from where the state says to where it leaves, with the result of an indirect call that was made outside.
    unsafe fn enter(&self, state: &State, module: &Module<'_>, result: u64) -> (u32, Context) {
        let base = state.base as u32;
        let (types, records) = module.own_functions();
        let imported = module.imported_functions();
        let mut context = Context {
            frames: base + state.frames,
            globals: base,
            length: state.memory as u32,
            exit: address(wasmote_compiler_exit),
            trap: address(wasmote_compiler_trap),
            stack: address(wasmote_compiler_stack),
            helpers: HELPERS.as_ptr() as u32,
            memory: base + state.layout.memory as u32,
            frame: base + state.fp,
            fuel: state.fuel as u32,
            target: state.native,
            low: result as u32,
            high: (result >> 32) as u32,
            float: result as u32,
            position: 0,
            indirect: address(wasmote_compiler_indirect),
            tables: base + state.layout.tables,
            region: base,
            reference: state.reference(imported),
            own: module.functions() - imported,
            types: types as u32,
            entries: self.base() + 4,
            records: records as u32,
        };
        // SAFETY: the target is in code that was compiled for this module, at a place where it left or is entered.
        let way = unsafe { wasmote_compiler_enter(&raw mut context) };
        (way, context)
    }

    /// The state as the engine has it, in this function and at this position, with so much owed.
    fn settle(
        state: &mut State,
        module: &Module<'_>,
        context: &Context,
        function: u32,
        code: u32,
        owed: u32,
    ) {
        let base = state.base as u32;
        let record = module.record(function);
        state.function = function;
        state.wide = record.room.is_wide();
        state.frames = context.frames.wrapping_sub(base);
        state.fp = context.frame.wrapping_sub(base);
        state.branch = record.branch;
        state.code = code;
        state.fuel = context.fuel.wrapping_sub(owed).cast_signed() as isize;
    }

    /// What a site asks for, with the state at its instruction; nothing once that is done.
    unsafe fn serve(&self, state: &mut State, module: &Module<'_>, site: &Site) -> Option<Exit> {
        let at = state.code;
        if site.why == Leave::Import as u16 {
            // Tested before the call is charged: a slice that is left with something has to get on.
            if state.fuel <= 0 {
                return Some(Exit::OutOfFuel);
            }
            let mut bytes = Bytes {
                bytes: module.bytes(),
                at: at as usize + 1,
            };
            let function = bytes.u32();
            state.code = bytes.at as u32;
            state.fuel -= (state.code - at) as isize;
            return Some(Exit::Import(function));
        }
        let frames = state.frames;
        // SAFETY: the state is one of this module's, at an instruction whose operands are in their slots.
        let exit = unsafe { tier::step(state, module) };
        if state.frames != frames {
            self.called(state, module);
        }
        exit
    }

    /// An indirect call was begun by the engine: its record becomes one of compiled code.
    fn called(&self, state: &mut State, module: &Module<'_>) {
        let frame = state.frame(module, state.frames);
        let at = state.frames;
        let moved = u32::from(frame.gap != 0);
        state.set_slot(at, false, u64::from(state.function | moved));
        state.set_slot(at + 4, false, state.native.into());
        let back = address(wasmote_compiler_return);
        let caller = (state.base as u32).wrapping_add(frame.frame);
        Self::record(state, caller, frame.code, back);
        state.native = self.begin(module, state.function);
    }

    /// Writes what the newest record has of its caller: where its frame is, its position, and where its code goes on.
    fn record(state: &mut State, frame: u32, position: u32, back: u32) {
        for (word, value) in [(2, frame), (3, position), (4, back)] {
            state.set_slot(state.frames + word * 4, false, value.into());
        }
    }

    /// The type of an indirect call, and the place of its first result.
    fn indirect<'m>(state: &State, module: &Module<'m>, site: &Site) -> (FuncType<'m>, u32) {
        let caller = module.record(state.function);
        let mut bytes = Bytes {
            bytes: module.bytes(),
            at: (caller.code + site.at) as usize + 1,
        };
        let ty = module.ty(bytes.u32());
        let below = site.height - 1 - ty.param_bytes().len() as u32;
        let size = if state.wide { 8 } else { 4 };
        let at = state.fp + (u32::from(caller.locals) + 1 + below) * size;
        (ty, at)
    }

    /// What the host answered an indirect call with, if it is one value: compiled code has it in registers.
    fn answered(state: &State, module: &Module<'_>, site: &Site) -> u64 {
        match Self::indirect(state, module, site) {
            (ty, at) if ty.result_bytes().len() == 1 => state.slot(at, state.wide),
            _ => 0,
        }
    }

    /// An indirect call that the engine began has returned: several results go where the caller has them, a single one is given.
    fn returned(&self, state: &mut State, module: &Module<'_>, context: &Context) -> u64 {
        let at = context.frames.wrapping_sub(state.base as u32) - FRAME_RECORD;
        let word = state.slot(at, false) as u32;
        let native = state.slot(at + 4, false) as u32;
        let (callee, moved) = (module.record(word & !1), word & 1 != 0);
        let site = self.site(native);
        let function = self.function_at(module, native);
        Self::settle(state, module, context, function, 0, 0);
        let (ty, to) = Self::indirect(state, module, &site);
        let size = if state.wide { 8 } else { 4 };
        let mut result = 0;
        match ty.result_bytes() {
            [single] => result = context.result(*single),
            several => {
                let from = to + if moved { 4 } else { 0 };
                let wide = callee.room.is_wide();
                let width = if wide { 8 } else { 4 };
                let count = several.len() as u32;
                for i in 0..count {
                    // Wider ones from the last on, so that none is written over.
                    let i = if state.wide && !wide {
                        count - 1 - i
                    } else {
                        i
                    };
                    let v = state.slot(from + i * width, wide);
                    state.set_slot(to + i * size, state.wide, v);
                }
            }
        }
        state.native = native;
        state.code = NOBODY;
        result
    }

    /// The function that the embedder called has returned: what the engine does then ([`State::leave`]), for a record that is not the
    /// engine's. Its frame begins where its arguments lay.
    fn done(&self, state: &mut State, module: &Module<'_>, context: &Context) {
        let at = context.frames.wrapping_sub(state.base as u32) - FRAME_RECORD;
        let function = state.slot(at + 4, false) as u32;
        Self::settle(state, module, context, function, 0, 0);
        let results = u32::from(module.record(function).results);
        if results == 1 {
            let own = (function - module.record_of(0)) / size_of::<Record>() as u32;
            let value = match self.code.entry(own) & FLOAT {
                0 => u64::from(context.low) | u64::from(context.high) << 32,
                _ => context.float.into(),
            };
            state.set_slot(state.fp, state.wide, value);
        }
        state.top = state.fp + results * if state.wide { 8 } else { 4 };
        state.function = NOBODY;
    }

    /// The function with an instruction at this position, by its record's place, and where the instruction before it starts.
    fn call_before(module: &Module<'_>, position: u32) -> (u32, u32) {
        let function = function_of(module, position);
        let mut bytes = Bytes {
            bytes: module.bytes(),
            at: module.record(function).code as usize,
        };
        loop {
            let at = bytes.at;
            let byte = bytes.byte();
            bytes.skip(byte);
            if bytes.at >= position as usize {
                return (function, at as u32);
            }
        }
    }
}

impl Context {
    /// The single result of a function, of this type.
    fn result(&self, ty: u8) -> u64 {
        match ty {
            ty::F32 => self.float.into(),
            wide if ty::is_wide(wide) => u64::from(self.low) | u64::from(self.high) << 32,
            _ => self.low.into(),
        }
    }
}

/// The last of so many for which it holds, if it holds only for the first ones.
fn last(count: u32, holds: impl Fn(u32) -> bool) -> u32 {
    let (mut low, mut high) = (0, count);
    while high - low > 1 {
        let middle = (low + high) / 2;
        if holds(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// The function whose code this position is in, by its record's place.
fn function_of(module: &Module<'_>, position: u32) -> u32 {
    let count = module.functions() - module.imported_functions();
    let own = last(count, |own| {
        module.record(module.record_of(own)).code < position
    });
    module.record_of(own)
}

// SAFETY: compiled code keeps to the contract: it accesses its frame, its record, the globals and, within bounds, the memory.
unsafe impl Tier for Native<'_> {
    unsafe fn run(&self, state: &mut State, module: &Module<'_>) -> Option<Exit> {
        if state.function == NOBODY {
            return None;
        }
        let mut result = 0;
        if state.native == 0 {
            let at = state.frames;
            let function = state.function;
            state.set_slot(at + 4, false, function.into());
            let frame = state.slot(at + 16, false) as u32;
            Self::record(state, frame, 0, address(wasmote_compiler_done));
            state.native = self.begin(module, function);
        } else {
            // What could not be begun for want of fuel.
            let site = self.site(state.native);
            let function = self.function_at(module, state.native);
            if site.is_served() && state.code == module.record(function).code + site.at {
                // SAFETY: the state was left by the site itself.
                if let Some(exit) = unsafe { self.serve(state, module, &site) } {
                    return Some(exit);
                }
            } else if site.why == Leave::Indirect as u16 {
                result = Self::answered(state, module, &site);
            }
        }
        loop {
            // SAFETY: as the contract has it, for code that was compiled for this module.
            let (way, context) = unsafe { self.enter(state, module, result) };
            result = 0;
            match way {
                0 => {
                    state.native = ((context.target & !1) + 6) | 1;
                    let site = self.site(state.native);
                    let function = self.function_at(module, state.native);
                    let record = module.record(function);
                    let code = record.code + site.at;
                    // An indirect call was charged before: that is given back.
                    let owed = match site.why == Leave::Indirect as u16 {
                        true => site.owed.wrapping_neg(),
                        false => site.owed,
                    };
                    Self::settle(state, module, &context, function, code, owed);
                    let size = if state.wide { 8 } else { 4 };
                    state.top = state.fp + (u32::from(record.locals) + 1 + site.height) * size;
                    if !site.is_served() {
                        return Some(Exit::OutOfFuel);
                    }
                    // SAFETY: the state is at the site's instruction.
                    if let Some(exit) = unsafe { self.serve(state, module, &site) } {
                        return Some(exit);
                    }
                }
                1 => {
                    let at = context.target & !1;
                    let function = self.function_at(module, at);
                    let code = module.record(function).code + u32::from(self.half(at)) + 1;
                    let owed = self.half(at + 2);
                    let kind = KINDS.get(usize::from(owed >> 12));
                    let owed = u32::from(owed & 0xfff);
                    Self::settle(state, module, &context, function, code, owed);
                    let kind = kind.copied().unwrap_or(TrapKind::Unreachable);
                    return Some(Exit::Trap(kind));
                }
                2 => {
                    let (function, at) = Self::call_before(module, context.position);
                    Self::settle(state, module, &context, function, at + 1, 0);
                    return Some(Exit::Trap(TrapKind::StackExhausted));
                }
                3 => {
                    self.done(state, module, &context);
                    return Some(Exit::Done);
                }
                _ => result = self.returned(state, module, &context),
            }
        }
    }

    fn frame(&self, state: &State, module: &Module<'_>, at: u32) -> Frame {
        // A call that was not begun for want of fuel has its only record as the engine wrote it.
        if state.native == 0 {
            return state.frame(module, at);
        }
        let word = |i: u32| state.slot(at + i * 4, false) as u32;
        let code = word(3);
        let function = if word(4) == address(wasmote_compiler_done) {
            NOBODY
        } else {
            function_of(module, code)
        };
        Frame {
            function,
            code,
            branch: 0,
            frame: word(2).wrapping_sub(state.base as u32),
            gap: 0,
        }
    }
}

/// What compiled code has computed for it: numbers as they are, those of 32 bits in the lower half.
type Helper = extern "C" fn(u64, u64) -> u64;

macro_rules! helpers {
    ($count:literal: $($name:ident |$a:ident, $b:ident| $value:expr;)* => $($double:ident)* => $($single:ident)*) => {
        /// In the order of [`crate::long::HELPED`].
        static HELPERS: [Helper; $count] = {
            $(extern "C" fn $name($a: u64, $b: u64) -> u64 {
                let _ = $b;
                $value
            })*
            [$($name,)* $(double::$double,)* $(single::$single,)*]
        };
        const _: () = {
            let (mut names, mut helped): (&[u8], &[u8]) =
                (&[$(op::$name,)* $(op::$double,)* $(op::$single,)*], &crate::long::HELPED);
            while let ([name, more @ ..], [other, others @ ..]) = (names, helped) {
                assert!(*name == *other, "the order of the helpers");
                (names, helped) = (more, others);
            }
        };
    };
}

/// What float.s has, and what it leaves.
mod single {
    use wasmote_engine::numeric::{Rounding, SINGLE};

    macro_rules! functions {
        ($($name:ident $function:ident;)*) => {
            unsafe extern "C" {
                $(safe fn $function(a: u64, b: u64) -> u64;)*
            }
            $(pub(super) const $name: super::Helper = $function;)*
        };
    }
    functions! {
        F32_CEIL wasmote_compiler_f32_ceil;
        F32_FLOOR wasmote_compiler_f32_floor;
        F32_TRUNC wasmote_compiler_f32_trunc;
        F32_NEAREST wasmote_compiler_f32_nearest;
        F32_MIN wasmote_compiler_f32_min;
        F32_MAX wasmote_compiler_f32_max;
    }
    core::arch::global_asm!(include_str!("float.s"), whole = sym whole);

    /// A number that has no fraction already, or none: however it is rounded. The upper half means nothing.
    extern "C" fn whole(a: u64) -> u64 {
        SINGLE.integral(a & 0xffff_ffff, Rounding::TowardsZero)
    }
}

fn f64(a: u64) -> f64 {
    f64::from_bits(a)
}

#[expect(non_snake_case, reason = "named after their opcodes")]
mod helpers {
    use super::*;

    helpers! { 45:
        I32_POPCNT |a, b| u64::from((a as u32).count_ones());
        I64_POPCNT |a, b| u64::from(a.count_ones());
        I64_DIV_S |a, b| a.cast_signed().checked_div(b.cast_signed()).unwrap_or(0).cast_unsigned();
        I64_DIV_U |a, b| a.checked_div(b).unwrap_or(0);
        I64_REM_S |a, b| a.cast_signed().checked_rem(b.cast_signed()).unwrap_or(0).cast_unsigned();
        I64_REM_U |a, b| a.checked_rem(b).unwrap_or(0);
        I64_SHL |a, b| a.wrapping_shl(b as u32);
        I64_SHR_S |a, b| a.cast_signed().wrapping_shr(b as u32).cast_unsigned();
        I64_SHR_U |a, b| a.wrapping_shr(b as u32);
        I64_ROTL |a, b| a.rotate_left(b as u32 & 63);
        I64_ROTR |a, b| a.rotate_right(b as u32 & 63);
        F64_CEIL |a, b| DOUBLE.integral(a, Rounding::Up);
        F64_FLOOR |a, b| DOUBLE.integral(a, Rounding::Down);
        F64_TRUNC |a, b| DOUBLE.integral(a, Rounding::TowardsZero);
        F64_NEAREST |a, b| DOUBLE.integral(a, Rounding::Nearest);
        F64_SQRT |a, b| numeric::sqrt64(f64(a));
        F64_MIN |a, b| DOUBLE.choose(a, b, Ordering::Less);
        F64_MAX |a, b| DOUBLE.choose(a, b, Ordering::Greater);
        F32_CONVERT_I64_S |a, b| u64::from((a.cast_signed() as f32).to_bits());
        F32_CONVERT_I64_U |a, b| u64::from((a as f32).to_bits());
        F64_CONVERT_I64_S |a, b| (a.cast_signed() as core::primitive::f64).to_bits();
        F64_CONVERT_I64_U |a, b| (a as core::primitive::f64).to_bits();
        I64_CLZ |a, b| u64::from(a.leading_zeros());
        I64_CTZ |a, b| u64::from(a.trailing_zeros());
        F64_COPYSIGN |a, b| a & !(1 << 63) | b & 1 << 63;
        // In assembly: made of what the fast loop is made of, and in float.s.
        =>
        F64_EQ F64_NE F64_LT F64_GT F64_LE F64_GE
        F64_ADD F64_SUB F64_MUL F64_DIV
        F32_DEMOTE_F64 F64_CONVERT_I32_S F64_CONVERT_I32_U F64_PROMOTE_F32
        =>
        F32_CEIL F32_FLOOR F32_TRUNC F32_NEAREST F32_MIN F32_MAX
    }
    pub(super) static ALL: &[Helper; 45] = &HELPERS;
}
use helpers::ALL as HELPERS;
