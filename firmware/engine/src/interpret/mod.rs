//! The execution loop. It runs the module's own bytes; validation proved what its unchecked accesses rely on, and the
//! feature `checked` verifies that again before every instruction.
//!
//! Slots are 32 bits wide in functions without 64-bit values and 64 bits in all others: the loop is compiled once for
//! each, or once for both where flash is short (see [`tuning::SMALL`]). The top operand is kept in a register, so the operand stack in
//! memory holds all others, above one slot that nothing reads. A frame lies where its arguments were pushed: locals, the unused
//! slot, operands. Frame records grow down from the end of the stack area to meet them.
//!
//! Fuel (docs/engine.md) is counted without touching a counter: `bound` is the address at which the fuel would be used up on
//! a straight line, and moves along with every branch.
mod immediate;
mod kept;
mod slot;
mod tuning;

use crate::call::{Callee, FrameRecord};
use crate::module::Module;
use crate::numeric::{self, DOUBLE, Rounding, SINGLE, canon32, canon64};
use crate::opcode::{more, op};
use crate::sidetable::{Branch, FRAME_RECORD, Record};
use crate::state::{Exit, State};
use crate::trap::TrapKind;
use core::cmp::Ordering::{Greater, Less};
use immediate::{number, place, shape, sign_extend, small};
use kept::Kept;
use slot::{Either, Narrow, Slot, Wide, Width};
use tuning::{FAST, FUSE, SMALL};

/// Executes until there is something to say, or another tier goes on (`None`). Square roots of singles are the caller's.
///
/// # Safety
/// As for [`crate::tier::Tier::run`].
pub(crate) unsafe fn run(
    m: &mut State,
    module: &Module<'_>,
    sqrt: impl Fn(u32) -> u32 + Copy,
) -> Option<Exit> {
    // SAFETY: by the caller's promise, and this is the width of the function.
    unsafe {
        match (SMALL, m.wide) {
            (true, wide) => run_slots(Either(if wide { 8 } else { 4 }), sqrt, m, module),
            (false, true) => run_slots(Wide, sqrt, m, module),
            (false, false) => run_slots(Narrow, sqrt, m, module),
        }
    }
}

/// Runs in slots of one width until something has to be said, or another loop goes on (`None`).
///
/// # Safety
/// `m` describes a function of this width of this (validated) module, at a place where execution stopped or begins.
#[allow(clippy::cognitive_complexity)]
#[allow(
    unsafe_op_in_unsafe_fn,
    reason = "the whole loop rests on the one promise of the validator, stated above"
)]
#[allow(clippy::undocumented_unsafe_blocks, reason = "see the promise above")]
unsafe fn run_slots<W: Width<Slot = S>, S: Slot>(
    width: W,
    sqrt: impl Fn(u32) -> u32,
    m: &mut State,
    module: &Module<'_>,
) -> Option<Exit> {
    let code = module.bytes.as_ptr();
    let table = module.table.as_ptr().cast::<u8>();
    let base = m.base;
    let memory = m.base.add(m.layout.memory as usize);
    let mut memory_len = m.memory;
    let mut pc;
    let mut fp;
    let mut sp;
    let mut tos;
    // The next branch's entry in the table; where on a straight line the fuel would be used up; behind the last `end`.
    let mut stp = Kept::new(table);
    let mut bound = Kept::new(0isize);
    let mut end = Kept::new(code);

    // A slot at an address, and the address so many slots above or below another.
    macro_rules! get {
        ($at:expr) => {
            $at.cast::<S>().read()
        };
    }
    macro_rules! put {
        ($at:expr, $v:expr) => {
            width.put($at, $v)
        };
    }
    macro_rules! above {
        ($at:expr, $n:expr) => {
            $at.add($n * width.size())
        };
    }
    macro_rules! below {
        ($at:expr, $n:expr) => {
            $at.sub($n * width.size())
        };
    }
    macro_rules! load {
        () => {{
            pc = code.add(m.code as usize);
            stp.set(table.add(m.branch as usize));
            fp = base.add(m.fp as usize);
            sp = below!(base.add(m.top as usize), 1);
            tos = get!(sp);
            bound.set(m.fuel.wrapping_add(pc as isize));
            end.set(code.add(module.record(m.function).end as usize));
        }};
    }
    macro_rules! save {
        () => {{
            put!(sp, tos);
            m.code = pc.offset_from(code) as u32;
            m.branch = stp.get().offset_from(table) as u32;
            m.fp = fp.offset_from(base) as u32;
            m.top = above!(sp, 1).offset_from(base) as u32;
            m.fuel = bound.get().wrapping_sub(pc as isize);
        }};
    }
    macro_rules! leave {
        ($exit:expr) => {{
            let exit = $exit;
            save!();
            return Some(exit);
        }};
    }
    macro_rules! trap {
        ($kind:expr) => {
            leave!(Exit::Trap($kind))
        };
    }
    macro_rules! push {
        ($v:expr) => {{
            let v = $v;
            put!(sp, tos);
            sp = above!(sp, 1);
            tos = v;
        }};
    }
    macro_rules! pop {
        () => {{
            let v = tos;
            sp = below!(sp, 1);
            tos = get!(sp);
            v
        }};
    }
    // An unsigned number at `$p`.
    macro_rules! leb {
        ($p:ident) => {{
            let byte = *$p;
            if SMALL || byte & 0x80 != 0 {
                let (v, _, next) = number($p);
                $p = next;
                v as u32
            } else {
                $p = $p.add(1);
                u32::from(byte)
            }
        }};
    }
    macro_rules! skip {
        ($p:ident) => {{
            if SMALL {
                $p = number($p).2;
            } else {
                while *$p & 0x80 != 0 {
                    $p = $p.add(1);
                }
                $p = $p.add(1);
            }
        }};
    }
    // What only a function with wide slots can contain.
    macro_rules! wide {
        ($body:expr) => {
            if W::WIDE {
                $body
            } else {
                trap!(TrapKind::Unreachable)
            }
        };
    }
    macro_rules! un32 {
        (|$a:ident| $v:expr) => {{
            let $a = tos.low();
            tos = tos.with($v);
        }};
    }
    macro_rules! bin32 {
        (|$a:ident, $b:ident| $v:expr) => {{
            let $b = tos.low();
            sp = below!(sp, 1);
            let $a = get!(sp).low();
            tos = tos.with($v);
        }};
    }
    macro_rules! un64 {
        (|$a:ident| $v:expr) => {
            wide!({
                let $a = tos.whole();
                tos = S::from64($v);
            })
        };
    }
    macro_rules! bin64 {
        (|$a:ident, $b:ident| $v:expr) => {
            wide!({
                let $b = tos.whole();
                sp = below!(sp, 1);
                let $a = get!(sp).whole();
                tos = S::from64($v);
            })
        };
    }
    // From a slot of one width to the other.
    macro_rules! narrow {
        (|$a:ident| $v:expr) => {
            wide!({
                let $a = tos.whole();
                tos = tos.with($v);
            })
        };
    }
    macro_rules! widen {
        (|$a:ident| $v:expr) => {
            wide!({
                let $a = tos.low();
                tos = S::from64($v);
            })
        };
    }
    // A truth value: taken at once by the branch that follows it, as it nearly always does.
    macro_rules! truth {
        ($label:lifetime, $below:literal, $v:expr) => {{
            let truth: bool = $v;
            if FUSE && matches!(*pc, op::BR_IF | op::IF) {
                // `br_if` has this bit, and is taken when true; `if` has not, and jumps when false.
                let when = *pc & 8 != 0;
                pc = pc.add(1);
                sp = below!(sp, $below + 1);
                tos = get!(sp);
                break $label truth == when;
            }
            sp = below!(sp, $below);
            tos = tos.with(u32::from(truth));
        }};
    }
    macro_rules! cmp32 {
        ($label:lifetime, $t:ty, $o:tt) => {{
            let (a, b) = (get!(below!(sp, 1)).low() as $t, tos.low() as $t);
            truth!($label, 1, a $o b)
        }};
    }
    macro_rules! compare {
        ($slot:ident as |$v:ident| $e:expr, $o:tt) => {{
            let $v = tos.$slot();
            let b = $e;
            sp = below!(sp, 1);
            let $v = get!(sp).$slot();
            tos = tos.with(u32::from($e $o b));
        }};
    }
    macro_rules! cmp64 {
        ($t:ty, $o:tt) => { wide!(compare!(whole as |v| v as $t, $o)) };
    }
    macro_rules! fcmp32 {
        ($o:tt) => { compare!(low as |v| f32::from_bits(v), $o) };
    }
    macro_rules! fcmp64 {
        ($o:tt) => { wide!(compare!(whole as |v| f64::from_bits(v), $o)) };
    }
    macro_rules! float32 {
        ($o:tt) => { bin32!(|a, b| canon32(f32::from_bits(a) $o f32::from_bits(b))) };
    }
    macro_rules! float64 {
        ($o:tt) => { bin64!(|a, b| canon64(f64::from_bits(a) $o f64::from_bits(b))) };
    }
    // Division and remainder, in the types of their operands.
    macro_rules! divide {
        ($slot:ident as $t:ty, $quotient:expr, |$v:ident| $result:expr) => {{
            let (a, b) = (get!(below!(sp, 1)).$slot() as $t, tos.$slot() as $t);
            if b == 0 {
                trap!(TrapKind::DivideByZero);
            }
            if $quotient && <$t>::MIN != 0 && a == <$t>::MIN && b == !0 {
                trap!(TrapKind::IntegerOverflow);
            }
            sp = below!(sp, 1);
            let $v = if $quotient {
                a.wrapping_div(b)
            } else {
                a.wrapping_rem(b)
            };
            tos = $result;
        }};
    }
    // A float as an integer, which traps where it does not fit.
    macro_rules! truncate {
        ($number:expr) => {{
            let (v, fault) = numeric::truncate($number, tos.whole());
            if let Some(kind) = fault {
                trap!(kind);
            }
            tos = S::from64(v);
        }};
    }
    // The address of `$n` bytes at `$at` plus the offset in the code; `pc` moves only when they are in bounds.
    macro_rules! address {
        ($at:expr, $n:literal) => {{
            if SMALL {
                let (first, next) = place(pc, $at, $n, memory_len);
                if next.is_null() {
                    trap!(TrapKind::MemoryOutOfBounds)
                }
                pc = next;
                memory.add(first as usize)
            } else {
                // Alignment and offset, nearly always one byte each.
                let both = pc.cast::<u16>().read_unaligned();
                let mut p = pc.add(2);
                let offset = if both & 0x8080 == 0 {
                    u32::from(both >> 8)
                } else {
                    p = pc;
                    skip!(p);
                    leb!(p)
                };
                let (last, carry) = ($at).overflowing_add(offset.saturating_add($n - 1));
                if carry || last as usize >= memory_len {
                    trap!(TrapKind::MemoryOutOfBounds)
                }
                pc = p;
                memory.add(last as usize).sub($n - 1)
            }
        }};
    }
    macro_rules! load32 {
        ($t:ty, $n:literal, |$v:ident| $e:expr) => {{
            let at = address!(tos.low(), $n);
            let $v = at.cast::<$t>().read_unaligned();
            tos = tos.with($e);
        }};
    }
    macro_rules! load64 {
        ($t:ty, $n:literal, |$v:ident| $e:expr) => {
            wide!({
                let at = address!(tos.low(), $n);
                let $v = at.cast::<$t>().read_unaligned();
                tos = S::from64($e);
            })
        };
    }
    macro_rules! store {
        ($t:ty, $n:literal, $v:expr) => {{
            let at = address!(get!(below!(sp, 1)).low(), $n);
            at.cast::<$t>().write_unaligned($v as $t);
            sp = below!(sp, 2);
            tos = get!(sp);
        }};
    }
    // Takes the branch whose entry is at `stp`; `pc` points behind the opcode.
    macro_rules! branch {
        () => {{
            let entry = stp.get().cast::<Branch>();
            let distance = (*entry).distance as isize;
            if (*entry).moves() {
                let (kept, dropped) = ((*entry).kept as usize, (*entry).dropped as usize);
                if kept == 0 {
                    sp = below!(sp, dropped);
                    tos = get!(sp);
                } else if kept == 1 {
                    sp = below!(sp, dropped);
                } else {
                    put!(sp, tos);
                    bound.set(bound.get().wrapping_sub(kept as isize));
                    let from = below!(above!(sp, 1), kept);
                    core::ptr::copy(from, below!(from, dropped), kept * width.size());
                    sp = below!(sp, dropped);
                }
            }
            pc = pc.offset(distance);
            let spent = bound.get().wrapping_add(distance);
            bound.set(spent);
            stp.set(entry.cast::<u8>().offset((*entry).then() as isize));
            if distance < 0 && spent.wrapping_sub(pc as isize) <= 0 {
                leave!(Exit::OutOfFuel);
            }
        }};
    }
    // Runs on where `m` says, perhaps in the other width; a function entry tests the fuel.
    macro_rules! proceed {
        () => {{
            if FAST || m.wide != (width.size() == 8) {
                return None;
            }
            load!();
        }};
    }
    // Enters the function with this record, called by the instruction at `$opcode`.
    macro_rules! enter {
        ($callee:expr, $opcode:expr) => {{
            let callee: u32 = $callee;
            let r = table.add(callee as usize).cast::<Record>();
            let (params, locals) = ((*r).params as usize, (*r).locals as usize);
            let new = below!(above!(sp, 1), params);
            let records = base.add(m.frames as usize);
            // The same width and room enough: what `State::enter` does, in registers.
            if !FAST
                && (*r).room.is_wide() == (width.size() == 8)
                && new as usize + (*r).room.bytes() as usize <= records as usize
            {
                put!(sp, tos);
                let w = records.sub(FRAME_RECORD as usize).cast::<FrameRecord>();
                (*w).function = m.function;
                (*w).branch = stp.get().offset_from(table) as u32;
                (*w).code = pc.offset_from(code) as u32;
                (*w).frame = fp.offset_from(base) as u32;
                m.frames -= FRAME_RECORD;
                m.function = callee;
                let entry = (pc as isize).wrapping_add((locals - params) as isize);
                let fuel = bound.get().wrapping_sub(entry);
                let mut local = above!(new, params);
                fp = new;
                sp = above!(new, locals);
                while local < sp {
                    put!(local, S::from32(0));
                    local = above!(local, 1);
                }
                tos = get!(sp);
                pc = code.add((*r).code as usize);
                stp.set(table.add((*r).branch as usize));
                end.set(code.add((*r).end as usize));
                bound.set(fuel.wrapping_add(pc as isize));
                if fuel <= 0 {
                    leave!(Exit::OutOfFuel);
                }
            } else {
                save!();
                if let Err(kind) = m.enter(module, callee, width.size() == 8) {
                    m.code = ($opcode).offset_from(code) as u32 + 1;
                    return Some(Exit::Trap(kind));
                }
                if m.fuel <= 0 {
                    return Some(Exit::OutOfFuel);
                }
                proceed!();
            }
        }};
    }
    macro_rules! ret {
        () => {{
            let newest = base.add(m.frames as usize).cast::<FrameRecord>();
            let caller = (*newest).function;
            let results = (*table.add(m.function as usize).cast::<Record>()).results;
            // To a caller of the same width with at most one result: what `State::leave` does, in registers.
            if !FAST && caller & (FrameRecord::GAP | FrameRecord::CROSSING) == 0 && results <= 1 {
                let fuel = bound.get().wrapping_sub(pc as isize);
                sp = fp;
                if results == 0 {
                    sp = below!(sp, 1);
                    tos = get!(sp);
                }
                m.frames += FRAME_RECORD;
                m.function = caller;
                stp.set(table.add((*newest).branch as usize));
                pc = code.add((*newest).code as usize);
                fp = base.add((*newest).frame as usize);
                end.set(code.add((*table.add(caller as usize).cast::<Record>()).end as usize));
                bound.set(fuel.wrapping_add(pc as isize));
            } else {
            save!();
            if m.leave(module) {
                return Some(Exit::Done);
            }
            proceed!();
            }
        }};
    }

    load!();
    'next: loop {
        #[cfg(feature = "checked")]
        crate::checked::verify(
            m,
            module,
            &crate::checked::Position {
                code: pc as usize - code as usize,
                table: stp.get() as usize - table as usize,
                sp: sp as usize - base as usize,
                fp: fp as usize - base as usize,
                wide: width.size() == 8,
            },
        );
        let byte = *pc;
        pc = pc.add(1);
        // A condition is what the arm breaks out with; all others go on with the next instruction.
        let taken = 'condition: {
            match byte {
                op::UNREACHABLE => trap!(TrapKind::Unreachable),
                op::NOP => {}
                op::BLOCK | op::LOOP => skip!(pc),
                op::IF => break 'condition pop!().low() == 0,
                op::ELSE | op::BR => branch!(),
                op::END => {
                    if pc == end.get() {
                        ret!();
                    }
                }
                op::BR_IF => break 'condition pop!().low() != 0,
                op::BR_TABLE => {
                    let mut p = pc;
                    let n = leb!(p);
                    let _ = p;
                    let index = pop!().low().min(n);
                    stp.set(stp.get().add(index as usize * Branch::BYTES as usize));
                    branch!();
                }
                op::RETURN => ret!(),
                op::CALL => {
                    let opcode = pc.sub(1);
                    let function = leb!(pc);
                    if let Some(own) = function.checked_sub(module.imported_functions()) {
                        enter!(module.record_of(own), opcode);
                    } else {
                        // Tested before the call is charged: a slice that is left with something has to get on.
                        if bound.get().wrapping_sub(opcode as isize) <= 0 {
                            pc = opcode;
                            leave!(Exit::OutOfFuel);
                        }
                        leave!(Exit::Import(function));
                    }
                }
                op::CALL_INDIRECT => {
                    let opcode = pc.sub(1);
                    let mut p = pc;
                    let ty = leb!(p);
                    let table_index = leb!(p);
                    let index = tos.low();
                    let callee = match m.callee(module, ty, table_index, index) {
                        Ok(callee) => callee,
                        Err(kind) => trap!(kind),
                    };
                    if callee.is_host() && bound.get().wrapping_sub(opcode as isize) <= 0 {
                        pc = opcode;
                        leave!(Exit::OutOfFuel);
                    }
                    pc = p;
                    let _ = pop!();
                    match callee {
                        Callee::Foreign(reference) => leave!(Exit::Foreign(reference, ty)),
                        Callee::Import(function) => leave!(Exit::Import(function)),
                        Callee::Own(function) => enter!(function, opcode),
                    }
                }
                op::DROP => _ = pop!(),
                op::SELECT | op::SELECT_T => {
                    if byte == op::SELECT_T {
                        pc = pc.add(2);
                    }
                    let condition = tos.low();
                    sp = below!(sp, 2);
                    tos = get!(above!(sp, usize::from(condition == 0)));
                }
                op::LOCAL_GET => {
                    let index = leb!(pc);
                    let value = get!(above!(fp, index as usize));
                    // What follows nearly always takes it: another local or a constant, perhaps to be added.
                    let next = *pc;
                    let second = matches!(next, op::LOCAL_GET | op::I32_CONST);
                    if FUSE && second && *pc.add(1) & 0x80 == 0 {
                        let second = if next == op::LOCAL_GET {
                            get!(above!(fp, usize::from(*pc.add(1))))
                        } else {
                            S::from32(small(*pc.add(1)))
                        };
                        pc = pc.add(2);
                        if *pc == op::I32_ADD {
                            pc = pc.add(1);
                            push!(S::from32(value.low().wrapping_add(second.low())));
                        } else {
                            push!(value);
                            push!(second);
                        }
                    } else if FUSE && next == op::I32_ADD {
                        tos = tos.with(tos.low().wrapping_add(value.low()));
                        pc = pc.add(1);
                    } else {
                        push!(value);
                    }
                }
                op::LOCAL_SET => {
                    let index = leb!(pc);
                    put!(above!(fp, index as usize), pop!());
                }
                op::LOCAL_TEE => {
                    let index = leb!(pc);
                    put!(above!(fp, index as usize), tos);
                }
                op::GLOBAL_GET => {
                    let index = leb!(pc);
                    push!(get!(base.add(index as usize * 8)));
                }
                op::GLOBAL_SET => {
                    let index = leb!(pc);
                    put!(base.add(index as usize * 8), pop!());
                }
                op::TABLE_GET => {
                    let mut p = pc;
                    let table = leb!(p);
                    match m.table_entry(table, tos.low()) {
                        Some(v) => tos = tos.with(v),
                        None => trap!(TrapKind::TableOutOfBounds),
                    }
                    pc = p;
                }
                op::TABLE_SET => {
                    let mut p = pc;
                    let table = leb!(p);
                    if !m.set_table_entry(table, get!(below!(sp, 1)).low(), tos.low()) {
                        trap!(TrapKind::TableOutOfBounds);
                    }
                    sp = below!(sp, 2);
                    tos = get!(sp);
                    pc = p;
                }
                op::I32_LOAD | op::F32_LOAD => load32!(u32, 4, |v| v),
                op::I64_LOAD | op::F64_LOAD => load64!(u64, 8, |v| v),
                op::I32_LOAD8_S => load32!(i8, 1, |v| v as u32),
                op::I32_LOAD8_U => load32!(u8, 1, |v| u32::from(v)),
                op::I32_LOAD16_S => load32!(i16, 2, |v| v as u32),
                op::I32_LOAD16_U => load32!(u16, 2, |v| u32::from(v)),
                op::I64_LOAD8_S => load64!(i8, 1, |v| v as u64),
                op::I64_LOAD8_U => load64!(u8, 1, |v| u64::from(v)),
                op::I64_LOAD16_S => load64!(i16, 2, |v| v as u64),
                op::I64_LOAD16_U => load64!(u16, 2, |v| u64::from(v)),
                op::I64_LOAD32_S => load64!(i32, 4, |v| v as u64),
                op::I64_LOAD32_U => load64!(u32, 4, |v| u64::from(v)),
                op::I32_STORE | op::F32_STORE => store!(u32, 4, tos.low()),
                op::I64_STORE | op::F64_STORE => wide!(store!(u64, 8, tos.whole())),
                op::I32_STORE8 => store!(u8, 1, tos.low()),
                op::I32_STORE16 => store!(u16, 2, tos.low()),
                op::I64_STORE8 => wide!(store!(u8, 1, tos.whole())),
                op::I64_STORE16 => wide!(store!(u16, 2, tos.whole())),
                op::I64_STORE32 => wide!(store!(u32, 4, tos.whole())),
                op::MEMORY_SIZE => {
                    pc = pc.add(1);
                    push!(tos.with(
                        (memory_len >> module.summary.memory.map_or(0, |t| t.page_log2)) as u32
                    ));
                }
                op::MEMORY_GROW => {
                    pc = pc.add(1);
                    let old = m.grow_memory(module, tos.low());
                    let grown = m.memory - memory_len;
                    bound.set(bound.get().wrapping_sub(grown as isize));
                    tos = tos.with(old.unwrap_or(u32::MAX));
                    memory_len = m.memory;
                    if grown > 0 && bound.get().wrapping_sub(pc as isize) <= 0 {
                        leave!(Exit::OutOfFuel);
                    }
                }
                op::I32_CONST => {
                    let byte = *pc;
                    if byte & 0x80 == 0 {
                        pc = pc.add(1);
                        let value = small(byte);
                        if FUSE && *pc == op::I32_ADD {
                            tos = tos.with(tos.low().wrapping_add(value));
                            pc = pc.add(1);
                        } else {
                            push!(tos.with(value));
                        }
                    } else {
                        let (v, shift, next) = number(pc);
                        pc = next;
                        push!(tos.with(sign_extend(v, shift) as u32));
                    }
                }
                op::I64_CONST => wide!({
                    let byte = *pc;
                    let (v, shift, next) = if byte & 0x80 == 0 {
                        (u64::from(byte), 7, pc.add(1))
                    } else {
                        number(pc)
                    };
                    pc = next;
                    push!(S::from64(sign_extend(v, shift)));
                }),
                op::F32_CONST => {
                    push!(tos.with(pc.cast::<u32>().read_unaligned()));
                    pc = pc.add(4);
                }
                op::F64_CONST => wide!({
                    push!(S::from64(pc.cast::<u64>().read_unaligned()));
                    pc = pc.add(8);
                }),
                op::I32_EQZ => truth!('condition, 0, tos.low() == 0),
                op::I32_EQ => cmp32!('condition, u32, ==),
                op::I32_NE => cmp32!('condition, u32, !=),
                op::I32_LT_S => cmp32!('condition, i32, <),
                op::I32_LT_U => cmp32!('condition, u32, <),
                op::I32_GT_S => cmp32!('condition, i32, >),
                op::I32_GT_U => cmp32!('condition, u32, >),
                op::I32_LE_S => cmp32!('condition, i32, <=),
                op::I32_LE_U => cmp32!('condition, u32, <=),
                op::I32_GE_S => cmp32!('condition, i32, >=),
                op::I32_GE_U => cmp32!('condition, u32, >=),
                op::I64_EQZ => narrow!(|a| u32::from(a == 0)),
                op::I64_EQ => cmp64!(u64, ==),
                op::I64_NE => cmp64!(u64, !=),
                op::I64_LT_S => cmp64!(i64, <),
                op::I64_LT_U => cmp64!(u64, <),
                op::I64_GT_S => cmp64!(i64, >),
                op::I64_GT_U => cmp64!(u64, >),
                op::I64_LE_S => cmp64!(i64, <=),
                op::I64_LE_U => cmp64!(u64, <=),
                op::I64_GE_S => cmp64!(i64, >=),
                op::I64_GE_U => cmp64!(u64, >=),
                op::F32_EQ => fcmp32!(==),
                op::F32_NE => fcmp32!(!=),
                op::F32_LT => fcmp32!(<),
                op::F32_GT => fcmp32!(>),
                op::F32_LE => fcmp32!(<=),
                op::F32_GE => fcmp32!(>=),
                op::F64_EQ => fcmp64!(==),
                op::F64_NE => fcmp64!(!=),
                op::F64_LT => fcmp64!(<),
                op::F64_GT => fcmp64!(>),
                op::F64_LE => fcmp64!(<=),
                op::F64_GE => fcmp64!(>=),
                op::I32_CLZ => un32!(|a| a.leading_zeros()),
                op::I32_CTZ => un32!(|a| a.trailing_zeros()),
                op::I32_POPCNT => un32!(|a| a.count_ones()),
                op::I32_ADD => bin32!(|a, b| a.wrapping_add(b)),
                op::I32_SUB => bin32!(|a, b| a.wrapping_sub(b)),
                op::I32_MUL => bin32!(|a, b| a.wrapping_mul(b)),
                op::I32_DIV_S | op::I32_REM_S => {
                    divide!(low as i32, byte == op::I32_DIV_S, |v| tos.with(v as u32))
                }
                op::I32_DIV_U | op::I32_REM_U => {
                    divide!(low as u32, byte == op::I32_DIV_U, |v| tos.with(v))
                }
                op::I32_AND => bin32!(|a, b| a & b),
                op::I32_OR => bin32!(|a, b| a | b),
                op::I32_XOR => bin32!(|a, b| a ^ b),
                op::I32_SHL => bin32!(|a, b| a.wrapping_shl(b)),
                op::I32_SHR_S => bin32!(|a, b| (a as i32).wrapping_shr(b) as u32),
                op::I32_SHR_U => bin32!(|a, b| a.wrapping_shr(b)),
                op::I32_ROTL => bin32!(|a, b| a.rotate_left(b & 31)),
                op::I32_ROTR => bin32!(|a, b| a.rotate_right(b & 31)),
                op::I64_CLZ => un64!(|a| u64::from(a.leading_zeros())),
                op::I64_CTZ => un64!(|a| u64::from(a.trailing_zeros())),
                op::I64_POPCNT => un64!(|a| u64::from(a.count_ones())),
                op::I64_ADD => bin64!(|a, b| a.wrapping_add(b)),
                op::I64_SUB => bin64!(|a, b| a.wrapping_sub(b)),
                op::I64_MUL => bin64!(|a, b| a.wrapping_mul(b)),
                op::I64_DIV_S | op::I64_REM_S => {
                    wide!(divide!(whole as i64, byte == op::I64_DIV_S, |v| S::from64(
                        v as u64
                    )))
                }
                op::I64_DIV_U | op::I64_REM_U => {
                    wide!(divide!(whole as u64, byte == op::I64_DIV_U, |v| S::from64(
                        v
                    )))
                }
                op::I64_AND => bin64!(|a, b| a & b),
                op::I64_OR => bin64!(|a, b| a | b),
                op::I64_XOR => bin64!(|a, b| a ^ b),
                op::I64_SHL => bin64!(|a, b| a.wrapping_shl(b as u32)),
                op::I64_SHR_S => bin64!(|a, b| (a as i64).wrapping_shr(b as u32) as u64),
                op::I64_SHR_U => bin64!(|a, b| a.wrapping_shr(b as u32)),
                op::I64_ROTL => bin64!(|a, b| a.rotate_left(b as u32 & 63)),
                op::I64_ROTR => bin64!(|a, b| a.rotate_right(b as u32 & 63)),
                op::F32_ABS => un32!(|a| a & 0x7fff_ffff),
                op::F32_NEG => un32!(|a| a ^ 0x8000_0000),
                op::F32_CEIL => un32!(|a| SINGLE.integral(a.into(), Rounding::Up) as u32),
                op::F32_FLOOR => un32!(|a| SINGLE.integral(a.into(), Rounding::Down) as u32),
                op::F32_TRUNC => un32!(|a| SINGLE.integral(a.into(), Rounding::TowardsZero) as u32),
                op::F32_NEAREST => un32!(|a| SINGLE.integral(a.into(), Rounding::Nearest) as u32),
                op::F32_SQRT => un32!(|a| sqrt(a)),
                op::F32_ADD => float32!(+),
                op::F32_SUB => float32!(-),
                op::F32_MUL => float32!(*),
                op::F32_DIV => float32!(/),
                op::F32_MIN => bin32!(|a, b| SINGLE.choose(a.into(), b.into(), Less) as u32),
                op::F32_MAX => bin32!(|a, b| SINGLE.choose(a.into(), b.into(), Greater) as u32),
                op::F32_COPYSIGN => bin32!(|a, b| a & 0x7fff_ffff | b & 0x8000_0000),
                op::F64_ABS => un64!(|a| a & !(1 << 63)),
                op::F64_NEG => un64!(|a| a ^ 1 << 63),
                op::F64_CEIL => un64!(|a| DOUBLE.integral(a, Rounding::Up)),
                op::F64_FLOOR => un64!(|a| DOUBLE.integral(a, Rounding::Down)),
                op::F64_TRUNC => un64!(|a| DOUBLE.integral(a, Rounding::TowardsZero)),
                op::F64_NEAREST => un64!(|a| DOUBLE.integral(a, Rounding::Nearest)),
                op::F64_SQRT => un64!(|a| canon64(libm::sqrt(f64::from_bits(a)))),
                op::F64_ADD => float64!(+),
                op::F64_SUB => float64!(-),
                op::F64_MUL => float64!(*),
                op::F64_DIV => float64!(/),
                op::F64_MIN => bin64!(|a, b| DOUBLE.choose(a, b, Less)),
                op::F64_MAX => bin64!(|a, b| DOUBLE.choose(a, b, Greater)),
                op::F64_COPYSIGN => bin64!(|a, b| a & !(1 << 63) | b & 1 << 63),
                op::I32_WRAP_I64 => narrow!(|a| a as u32),
                op::I32_TRUNC_F32_S..=op::I32_TRUNC_F64_U => {
                    truncate!(byte - op::I32_TRUNC_F32_S + more::I32_TRUNC_SAT_F32_S)
                }
                op::I64_EXTEND_I32_S => widen!(|a| a as i32 as u64),
                op::I64_EXTEND_I32_U => widen!(|a| u64::from(a)),
                op::I64_TRUNC_F32_S..=op::I64_TRUNC_F64_U => {
                    truncate!(byte - op::I64_TRUNC_F32_S + more::I64_TRUNC_SAT_F32_S)
                }
                op::F32_CONVERT_I32_S => un32!(|a| (a as i32 as f32).to_bits()),
                op::F32_CONVERT_I32_U => un32!(|a| (a as f32).to_bits()),
                op::F32_CONVERT_I64_S => narrow!(|a| (a as i64 as f32).to_bits()),
                op::F32_CONVERT_I64_U => narrow!(|a| (a as f32).to_bits()),
                op::F32_DEMOTE_F64 => narrow!(|a| canon32(f64::from_bits(a) as f32)),
                op::F64_CONVERT_I32_S => widen!(|a| f64::from(a as i32).to_bits()),
                op::F64_CONVERT_I32_U => widen!(|a| f64::from(a).to_bits()),
                op::F64_CONVERT_I64_S => un64!(|a| (a as i64 as f64).to_bits()),
                op::F64_CONVERT_I64_U => un64!(|a| (a as f64).to_bits()),
                op::F64_PROMOTE_F32 => widen!(|a| canon64(f64::from(f32::from_bits(a)))),
                op::I32_REINTERPRET_F32 | op::F32_REINTERPRET_I32 => {}
                op::I64_REINTERPRET_F64 | op::F64_REINTERPRET_I64 => {}
                op::I32_EXTEND8_S => un32!(|a| a as i8 as u32),
                op::I32_EXTEND16_S => un32!(|a| a as i16 as u32),
                op::I64_EXTEND8_S => un64!(|a| a as i8 as u64),
                op::I64_EXTEND16_S => un64!(|a| a as i16 as u64),
                op::I64_EXTEND32_S => un64!(|a| a as i32 as u64),
                op::REF_NULL => {
                    pc = pc.add(1);
                    push!(tos.with(0));
                }
                op::REF_IS_NULL => un32!(|a| u32::from(a == 0)),
                op::REF_FUNC => {
                    let function = leb!(pc);
                    push!(tos.with(m.reference(function)));
                }
                op::PREFIX => {
                    let mut p = pc;
                    let number = leb!(p) as u8;
                    match number {
                        more::I32_TRUNC_SAT_F32_S..=more::I64_TRUNC_SAT_F64_U => {
                            tos = S::from64(numeric::truncate(number, tos.whole()).0);
                        }
                        _ => {
                            let (operands, two) = shape(number);
                            let x = leb!(p);
                            let y = if two { leb!(p) } else { 0 };
                            // The operands, flushed, end at `sp`.
                            put!(sp, tos);
                            let first = below!(above!(sp, 1), operands);
                            let mut values = [0u32; 3];
                            for (i, v) in values.iter_mut().take(operands).enumerate() {
                                *v = get!(above!(first, i)).low();
                            }
                            m.fuel = 0;
                            match m.bulk(module, number, x, y, values) {
                                Err(kind) => trap!(kind),
                                Ok(result) => {
                                    sp = below!(sp, operands);
                                    tos = get!(sp);
                                    if let Some(v) = result {
                                        push!(tos.with(v));
                                    }
                                }
                            }
                            bound.set(bound.get().wrapping_add(m.fuel));
                            if m.fuel < 0 && bound.get().wrapping_sub(p as isize) <= 0 {
                                pc = p;
                                leave!(Exit::OutOfFuel);
                            }
                        }
                    }
                    pc = p;
                }
                #[cfg(feature = "checked")]
                _ => unreachable!("opcode {byte:#x}"),
                #[cfg(not(feature = "checked"))]
                // SAFETY: validation accepts no other opcode.
                _ => core::hint::unreachable_unchecked(),
            }
            if SMALL && m.once {
                save!();
                return None;
            }
            continue 'next;
        };
        if taken {
            branch!();
        } else {
            skip!(pc);
            stp.set(stp.get().add(Branch::BYTES as usize));
        }
        if SMALL && m.once {
            save!();
            return None;
        }
    }
}
