//! The image of the engine and next to nothing else, by which its flash is measured: no allocator, no formatting, no static
//! RAM. It uses all of the engine that a board may: only the disassembly is left out, which is for computers. It validates the
//! module that the emulator put at [`GIVEN`], makes an instance, calls every export that takes nothing, answers host calls with
//! zeros, and ends well when the i32 results come to the sum that was put before the module.
#![no_std]
#![no_main]

use cortex_m as _;
use cortex_m_semihosting::debug;
use wasmote_engine::{
    External, Host, Instance, Module, Options, PageSizes, Run, Scratch, TrapKind, ValType, Value,
    validate,
};

/// In the board's PSRAM: the sum that is expected, the module's length, the module; what the engine works in lies behind.
const GIVEN: usize = 0x2100_0000;
const TABLE: usize = 0x2110_0000;
const SCRATCH: usize = 0x2118_0000;
const REGION: usize = 0x2120_0000;
const REGION_BYTES: usize = 1 << 20;

/// Fuel of a slice: little, so that calls are suspended and go on.
const SLICE: u64 = 1000;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit(false)
}

fn exit(well: bool) -> ! {
    loop {
        debug::exit(if well {
            debug::EXIT_SUCCESS
        } else {
            debug::EXIT_FAILURE
        });
    }
}

#[cortex_m_rt::entry]
fn main() -> ! {
    // Arithmetic gives the default NaN, as the engine relies on (ARM DDI 0403, FPSCR.DN).
    // SAFETY: changes nothing but how floats behave from here on.
    unsafe {
        core::arch::asm!("vmrs {0}, fpscr", "orr {0}, {0}, #0x2000000", "vmsr fpscr, {0}", out(reg) _);
    }
    exit(work().is_some())
}

/// Sees to it that something is computed.
fn used<T>(value: T) {
    core::hint::black_box(value);
}

fn zero(ty: ValType) -> Value {
    match ty {
        ValType::I32 => Value::I32(0),
        ValType::I64 => Value::I64(0),
        ValType::F32 => Value::F32(0.0),
        ValType::F64 => Value::F64(0.0),
        ValType::FuncRef => Value::FuncRef(None),
        ValType::ExternRef => Value::ExternRef(None),
    }
}

fn work() -> Option<()> {
    // SAFETY: places in the board's PSRAM, apart from each other and used by nothing else; all of them are valid as zeros, which
    // is what the emulator fills memory with, and the scratch is written before it is read.
    let (expected, bytes, table, scratch, region) = unsafe {
        let given = GIVEN as *const u32;
        (
            given.read_volatile(),
            core::slice::from_raw_parts(
                given.add(2).cast::<u8>(),
                given.add(1).read_volatile() as usize,
            ),
            core::slice::from_raw_parts_mut(TABLE as *mut u32, 1 << 17),
            &mut *(SCRATCH as *mut Scratch<8192, 256, 256>),
            core::slice::from_raw_parts_mut(REGION as *mut u8, REGION_BYTES),
        )
    };
    *scratch = Scratch::new();
    let summary = validate(bytes, table, scratch, PageSizes::Any).ok()?;
    let table = table.get(..summary.table_bytes() as usize / 4)?;
    let module = Module::new(bytes, table, &summary)?;
    let options = Options::default();
    used(module.footprint(&options));
    module.imports().for_each(used);
    module.custom_sections().for_each(used);
    let mut instance = Instance::new(module, region, &options).ok()?;
    finish(&mut instance)?;
    let mut sum = 0_u32;
    for export in module.exports() {
        match export.item {
            External::Func(function, ty) if ty.params().len() == 0 => {
                instance.call(function, &[]).ok()?;
                finish(&mut instance)?;
                for value in instance.results() {
                    if let Value::I32(v) = value {
                        sum = sum.wrapping_add(v.cast_unsigned());
                    }
                }
            }
            External::Global(global, _) => {
                let value = instance.global(global)?;
                used(instance.set_global(global, value));
                used(instance.exported_global(export.name));
            }
            External::Table(table, _) => {
                used(instance.table_size(table));
                used(instance.table_grow(table, 0));
                if let Some(value) = instance.table_get(table, 0) {
                    used(instance.table_set(table, 0, value));
                }
            }
            External::Memory(..) => {
                used(instance.memory_grow(0));
                used(instance.memory_mut());
            }
            External::Func(..) => used(module.export_function(export.name)),
        }
    }
    (sum == expected).then_some(())
}

/// Runs to the end, which may be a trap.
fn finish(instance: &mut Instance<'_, '_>) -> Option<()> {
    loop {
        let mut fuel = SLICE;
        match instance.run(&mut fuel) {
            Run::Done => return Some(()),
            Run::OutOfFuel => used(instance.fuel_used()),
            Run::Host(Host::Import(_, ty) | Host::Foreign(_, ty)) => {
                instance.arguments().for_each(used);
                let aside = instance.set_aside()?;
                instance.cancel();
                instance.take_up(aside).then_some(())?;
                let mut results = [Value::I32(0); 8];
                let count = ty.results().len();
                for (to, ty) in results.iter_mut().zip(ty.results()) {
                    *to = zero(ty);
                }
                match results.get(..count) {
                    Some(results) => instance.resume(results).ok()?,
                    None => used(instance.abort(TrapKind::Unreachable).ok()?),
                }
            }
            Run::Trap(trap) => {
                used(trap);
                used(trap.kind.message());
                instance.backtrace().for_each(used);
                return Some(());
            }
        }
    }
}
