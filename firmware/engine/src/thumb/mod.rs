//! The fast execution loop: entry to loop.s, which is written for the registers of Armv7E-M, and the numbers it takes from Rust.
use crate::call::FrameRecord;
use crate::module::Module;
use crate::numeric::{self, DOUBLE, Rounding, canon64};
use crate::opcode::{each_opcode, more};
use crate::sidetable::{Branch, FRAME_RECORD, Record, Room};
use crate::state::{Exit, NOBODY, State};
use core::mem::offset_of;

macro_rules! assemble {
    ($($byte:literal $name:ident $text:literal $immediates:expr, $effect:literal $(, $fuel:ident)?;)*) => {
        core::arch::global_asm!(
            ".cpu cortex-m4",
            ".fpu fpv4-sp-d16",
            // Calls a macro of the assembler's with what is given, a byte and a name, for every opcode.
            ".macro each_opcode do:vararg",
            $(concat!("\\do, ", stringify!($byte), ", ", stringify!($name)),)*
            ".endm",
            // The numbers of the helpers.
            helper_numbers!(),
            include_str!("loop.s"),
            include_str!("double.s"),
            include_str!("exit.s"),
            include_str!("function.s"),
            FUNCTION = const offset_of!(Context, function),
            END = const offset_of!(Context, end),
            FRAMES = const offset_of!(Context, frames),
            CODE = const offset_of!(Context, code_origin),
            TABLE = const offset_of!(Context, table),
            RECORDS = const offset_of!(Context, records),
            IMPORTED = const offset_of!(Context, imported),
            GLOBALS = const offset_of!(Context, globals),
            KEPT = const offset_of!(Context, kept),
            TABLES = const offset_of!(Context, tables),
            REFERENCE = const offset_of!(Context, reference),
            OWN = const offset_of!(Context, own),
            TYPES = const offset_of!(Context, types),
            HELPERS = const offset_of!(Context, helpers),
            LENGTH = const offset_of!(Context, length),
            RECORD_CODE = const offset_of!(Record, code),
            RECORD_BRANCH = const offset_of!(Record, branch),
            RECORD_PARAMS = const offset_of!(Record, params),
            RECORD_LOCALS = const offset_of!(Record, locals),
            RECORD_RESULTS = const offset_of!(Record, results),
            RECORD_ROOM = const offset_of!(Record, room),
            WIDE = const Room::WIDE,
            LONG = const Room::LONG,
            GAP = const FrameRecord::GAP,
            CROSSING = const FrameRecord::CROSSING,
            BRANCH = const Branch::BYTES,
            BRANCH_KEPT = const offset_of!(Branch, kept),
            F64_EQ = sym slow::eq,
            F64_NE = sym slow::ne,
            F64_LT = sym slow::lt,
            F64_GT = sym slow::gt,
            F64_LE = sym slow::le,
            F64_GE = sym slow::ge,
            F64_ADD = sym slow::add,
            F64_MUL = sym slow::mul,
            F64_DIV = sym slow::div,
            F64_PROMOTE_F32 = sym slow::promote,
            F32_DEMOTE_F64 = sym slow::demote,
        );
    };
}

core::arch::global_asm!(include_str!("memory.s"), options(raw));

/// What the loop does in one instruction for several words, or with shifts: their order and size.
const _: () = {
    // `ldrd` and `strd` of two neighbours.
    assert!(offset_of!(Context, end) == offset_of!(Context, function) + 4);
    assert!(offset_of!(Record, end) == offset_of!(Record, code) + 4);
    assert!(offset_of!(Branch, distance) == 0 && Branch::THEN == 4 && Branch::MOVES == 1);
    assert!(offset_of!(Branch, dropped) == offset_of!(Branch, kept) + 2);
    // `stmdb` and `ldmia` of r0 or t, entry, code, stack and frame.
    assert!(offset_of!(FrameRecord, function) == 0 && offset_of!(FrameRecord, branch) == 4);
    assert!(offset_of!(FrameRecord, code) == 8 && offset_of!(FrameRecord, end) == 12);
    assert!(offset_of!(FrameRecord, frame) == 16 && FRAME_RECORD == 20);
    // Three times eight, and three times four.
    assert!(size_of::<Record>() == 24 && Branch::BYTES == 12);
    // In the records' function: flags of the two lowest bits, which a multiple of 4 leaves free.
    assert!(FrameRecord::GAP | FrameRecord::CROSSING == 3);
};

/// The state as the fast loop has it, in addresses. A code position is that of the byte read last.
#[repr(C)]
struct Context {
    /// Record of the function, and its last `end`.
    function: u32,
    end: u32,
    frames: u32,
    /// What offsets in the module and in the table are relative to.
    code_origin: u32,
    table: u32,
    /// The records of the module's own functions.
    records: u32,
    imported: u32,
    globals: u32,
    kept: Registers,
    /// Headers of the tables; the reference to the first of the module's own functions, how many they are and their types.
    tables: u32,
    reference: u32,
    own: u32,
    types: u32,
    helpers: *const Helper,
    /// Bytes of the linear memory.
    length: u32,
}

/// What is in registers while the loop runs, in the order of theirs: entry, code, stack, frame, memory, limit, bound.
#[repr(C)]
struct Registers {
    entry: u32,
    code: u32,
    stack: u32,
    frame: u32,
    memory: u32,
    limit: u32,
    bound: u32,
}

/// What the fast loop has computed for it: numbers of 64 bits as they are, the f32 of a conversion in the lower half.
type Helper = extern "C" fn(u64, u64) -> u64;

/// A helper of each name, in an order that the assembler gets from here. No divisor is 0 or, with signs, -1.
macro_rules! helpers {
    ($($name:ident |$a:ident, $b:ident| $value:expr;)*) => {
        static HELPERS: [Helper; [$(stringify!($name)),*].len()] = [$({
            extern "C" fn helper($a: u64, $b: u64) -> u64 {
                $value
            }
            helper
        }),*];
        macro_rules! helper_numbers {
            () => {
                concat!(".set HELPER, 0\n", $(".equ ", stringify!($name), ", HELPER\n.set HELPER, HELPER + 1\n",)*)
            };
        }
    };
}

helpers! {
    SQRT |a, _b| canon64(libm::sqrt(f64::from_bits(a)));
    NEAREST |a, _b| DOUBLE.integral(a, Rounding::Nearest);
    POPCNT |a, _b| u64::from(a.count_ones());
    F32_S |a, _b| u64::from((a.cast_signed() as f32).to_bits());
    F32_U |a, _b| u64::from((a as f32).to_bits());
    F64_S |a, _b| (a.cast_signed() as f64).to_bits();
    F64_U |a, _b| (a as f64).to_bits();
    SATURATE_S |a, _b| numeric::truncate(more::I64_TRUNC_SAT_F64_S, a).0;
    SATURATE_U |a, _b| numeric::truncate(more::I64_TRUNC_SAT_F64_U, a).0;
    DIV_S |a, b| a.cast_signed().checked_div(b.cast_signed()).unwrap_or(0).cast_unsigned();
    DIV_U |a, b| a.checked_div(b).unwrap_or(0);
    REM_S |a, b| a.cast_signed().checked_rem(b.cast_signed()).unwrap_or(0).cast_unsigned();
    REM_U |a, b| a.checked_rem(b).unwrap_or(0);
}
each_opcode! { assemble! {} }

/// What the functions of function.s leave: infinities, NaNs, subnormals and the ends of the range.
mod slow {
    use crate::numeric::{canon32, canon64};

    macro_rules! slow {
        ($($name:ident |$a:ident, $b:ident| $value:expr;)*) => {
            $(pub(super) extern "C" fn $name($a: u64, $b: u64) -> u64 {
                let _ = $b;
                $value
            })*
        };
    }
    fn f64(a: u64) -> f64 {
        f64::from_bits(a)
    }

    slow! {
        eq |a, b| u64::from(f64(a) == f64(b));
        ne |a, b| u64::from(f64(a) != f64(b));
        lt |a, b| u64::from(f64(a) < f64(b));
        gt |a, b| u64::from(f64(a) > f64(b));
        le |a, b| u64::from(f64(a) <= f64(b));
        ge |a, b| u64::from(f64(a) >= f64(b));
        add |a, b| canon64(f64(a) + f64(b));
        mul |a, b| canon64(f64(a) * f64(b));
        div |a, b| canon64(f64(a) / f64(b));
        promote |a, b| canon64(f64::from(f32::from_bits(a as u32)));
        demote |a, b| canon32(f64(a) as f32).into();
    }
}

/// Doubles for compiled code, named after their opcodes and called as C has it: numbers of 64 bits as they are, those of 32 bits in
/// the lower half, beside an upper half that means nothing.
pub mod double {
    macro_rules! functions {
        ($($name:ident $function:ident;)*) => {
            unsafe extern "C" {
                $(safe fn $function(a: u64, b: u64) -> u64;)*
            }
            $(
                #[doc = concat!("What `", stringify!($name), "` does.")]
                pub const $name: extern "C" fn(u64, u64) -> u64 = $function;
            )*
        };
    }

    functions! {
        F64_EQ wasmote_engine_f64_eq;
        F64_NE wasmote_engine_f64_ne;
        F64_LT wasmote_engine_f64_lt;
        F64_GT wasmote_engine_f64_gt;
        F64_LE wasmote_engine_f64_le;
        F64_GE wasmote_engine_f64_ge;
        F64_ADD wasmote_engine_f64_add;
        F64_SUB wasmote_engine_f64_sub;
        F64_MUL wasmote_engine_f64_mul;
        F64_DIV wasmote_engine_f64_div;
        F32_DEMOTE_F64 wasmote_engine_f32_from_f64;
        F64_CONVERT_I32_S wasmote_engine_f64_from_i32;
        F64_CONVERT_I32_U wasmote_engine_f64_from_u32;
        F64_PROMOTE_F32 wasmote_engine_f64_from_f32;
    }
}

unsafe extern "C" {
    /// Executes until something is to be said: see exit.s.
    fn wasmote_engine_run(context: *mut Context, wide: bool) -> u32;
    /// The square root.
    safe fn wasmote_engine_sqrt(a: f32) -> f32;
}

/// The square root, by the instruction that Rust has no name for.
pub(crate) fn sqrt(a: f32) -> f32 {
    wasmote_engine_sqrt(a)
}

/// Whether the fast loop can go on here: one-byte immediates, a memory that is not tiny, code where addresses and the fuel
/// behind them are positive.
fn suits(m: &State, module: &Module<'_>) -> bool {
    m.function != NOBODY
        && !module.record(m.function).room.is_long()
        && (m.memory >= 512 || module.summary.memory.is_none())
        && (module.bytes.as_ptr() as u32) < 0x4000_0000
}

/// Executes what it can. When there is nothing to say the portable loop has the next instruction, or, as `m.once` then says
/// not, all that follow.
///
/// # Safety
/// As for [`crate::tier::Tier::run`].
pub(crate) unsafe fn run(m: &mut State, module: &Module<'_>) -> Option<Exit> {
    m.once = suits(m, module);
    if !m.once {
        return None;
    }
    let base = m.base as u32;
    let table = module.table.as_ptr() as u32;
    let code_origin = (module.bytes.as_ptr() as u32).wrapping_sub(1);
    let code = code_origin.wrapping_add(m.code);
    let imported = module.imported_functions();
    let mut context = Context {
        function: table.wrapping_add(m.function),
        end: code_origin.wrapping_add(module.record(m.function).end),
        frames: base.wrapping_add(m.frames),
        code_origin,
        table,
        records: table.wrapping_add(module.summary.records.at),
        imported,
        globals: base,
        kept: Registers {
            entry: table.wrapping_add(m.branch),
            code,
            stack: base.wrapping_add(m.top),
            frame: base.wrapping_add(m.fp),
            memory: base.wrapping_add(m.layout.memory as u32),
            limit: (m.memory as u32).saturating_sub(7 + 127),
            bound: code.wrapping_add(m.fuel as u32),
        },
        tables: base.wrapping_add(m.layout.tables),
        reference: m.reference(imported),
        own: module.functions() - imported,
        types: table.wrapping_add(module.summary.functions.at + imported * 4),
        helpers: HELPERS.as_ptr(),
        length: m.memory as u32,
    };
    // SAFETY: the context says what the caller promises; the loop keeps to the frame, table and memory of it.
    let why = unsafe { wasmote_engine_run(&raw mut context, m.wide) };
    m.function = context.function.wrapping_sub(table);
    m.wide = module.is_wide(m.function);
    m.frames = context.frames.wrapping_sub(base);
    m.branch = context.kept.entry.wrapping_sub(table);
    m.code = context.kept.code.wrapping_sub(code_origin);
    m.top = context.kept.stack.wrapping_sub(base);
    m.fp = context.kept.frame.wrapping_sub(base);
    m.fuel = context.kept.bound.wrapping_sub(context.kept.code) as i32 as isize;
    match why & 3 {
        0 => None,
        1 => Some(Exit::OutOfFuel),
        2 => {
            m.leave(module);
            Some(Exit::Done)
        }
        _ => Some(Exit::Import(why >> 2)),
    }
}
