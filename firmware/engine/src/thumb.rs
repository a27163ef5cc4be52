//! The fast execution loop: entry to thumb.s, which is written for the registers of Armv7E-M.
use crate::module::Module;
use crate::numeric::{self, DOUBLE, Rounding, canon64};
use crate::opcode::each_opcode;
use crate::state::{Exit, NOBODY, State};

macro_rules! assemble {
    ($($byte:literal $name:ident $text:literal $immediates:expr, $effect:literal $(, $fuel:ident)?;)*) => {
        core::arch::global_asm!(
            ".cpu cortex-m4",
            ".fpu fpv4-sp-d16",
            // Calls a macro of the assembler's with what is given, a byte and a name, for every opcode.
            ".macro each_opcode do:vararg",
            $(concat!("\\do, ", stringify!($byte), ", ", stringify!($name)),)*
            ".endm",
            include_str!("thumb.s"),
            options(raw)
        );
    };
}
each_opcode! { assemble! {} }

core::arch::global_asm!(include_str!("memory.s"), options(raw));

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
    entry: u32,
    code: u32,
    stack: u32,
    frame: u32,
    memory: u32,
    limit: u32,
    bound: u32,
    /// Headers of the tables; the reference to the first of the module's own functions, how many they are and their types.
    tables: u32,
    reference: u32,
    own: u32,
    types: u32,
    helpers: *const Helper,
    /// Bytes of the linear memory.
    length: u32,
}

/// What the fast loop has computed for it: numbers of 64 bits as they are, the f32 of a conversion in the lower half.
type Helper = extern "C" fn(u64, u64) -> u64;

/// By their numbers in thumb.s. No divisor is 0 or, with signs, -1.
static HELPERS: [Helper; 13] = {
    extern "C" fn sqrt(a: u64, _: u64) -> u64 {
        canon64(libm::sqrt(f64::from_bits(a)))
    }
    extern "C" fn nearest(a: u64, _: u64) -> u64 {
        DOUBLE.integral(a, Rounding::Nearest)
    }
    extern "C" fn popcnt(a: u64, _: u64) -> u64 {
        u64::from(a.count_ones())
    }
    extern "C" fn f32_s(a: u64, _: u64) -> u64 {
        u64::from((a.cast_signed() as f32).to_bits())
    }
    extern "C" fn f32_u(a: u64, _: u64) -> u64 {
        u64::from((a as f32).to_bits())
    }
    extern "C" fn f64_s(a: u64, _: u64) -> u64 {
        (a.cast_signed() as f64).to_bits()
    }
    extern "C" fn f64_u(a: u64, _: u64) -> u64 {
        (a as f64).to_bits()
    }
    extern "C" fn saturate_s(a: u64, _: u64) -> u64 {
        DOUBLE.truncate(a, numeric::I64).0
    }
    extern "C" fn saturate_u(a: u64, _: u64) -> u64 {
        DOUBLE.truncate(a, numeric::U64).0
    }
    extern "C" fn div_s(a: u64, b: u64) -> u64 {
        let quotient = a.cast_signed().checked_div(b.cast_signed());
        quotient.unwrap_or(0).cast_unsigned()
    }
    extern "C" fn div_u(a: u64, b: u64) -> u64 {
        a.checked_div(b).unwrap_or(0)
    }
    extern "C" fn rem_s(a: u64, b: u64) -> u64 {
        let remainder = a.cast_signed().checked_rem(b.cast_signed());
        remainder.unwrap_or(0).cast_unsigned()
    }
    extern "C" fn rem_u(a: u64, b: u64) -> u64 {
        a.checked_rem(b).unwrap_or(0)
    }
    [
        sqrt, nearest, popcnt, f32_s, f32_u, f64_s, f64_u, saturate_s, saturate_u, div_s, div_u,
        rem_s, rem_u,
    ]
};

unsafe extern "C" {
    /// Executes until something is to be said: see thumb.s.
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
        entry: table.wrapping_add(m.branch),
        code,
        stack: base.wrapping_add(m.top),
        frame: base.wrapping_add(m.fp),
        memory: base.wrapping_add(m.layout.memory as u32),
        limit: (m.memory as u32).saturating_sub(7 + 127),
        bound: code.wrapping_add(m.fuel as u32),
        tables: base.wrapping_add(m.layout.tables),
        reference: m.reference(imported),
        own: module.functions() - imported,
        types: table.wrapping_add(module.summary.functions.at + imported * 4),
        helpers: HELPERS.as_ptr(),
        length: m.memory as u32,
    };
    // SAFETY: the context says what the caller promises; thumb.s keeps to the frame, table and memory of it.
    let why = unsafe { wasmote_engine_run(&raw mut context, m.wide) };
    m.function = context.function.wrapping_sub(table);
    m.wide = module.is_wide(m.function);
    m.frames = context.frames.wrapping_sub(base);
    m.branch = context.entry.wrapping_sub(table);
    m.code = context.code.wrapping_sub(code_origin);
    m.top = context.stack.wrapping_sub(base);
    m.fp = context.frame.wrapping_sub(base);
    m.fuel = context.bound.wrapping_sub(context.code) as i32 as isize;
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
