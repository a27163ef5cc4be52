//! Wasmote's engine behind the interface of harness.h, to be linked with the C harness as the other engines are.
#![no_std]

use core::ffi::c_void;
use wasmote_engine::{Instance, Module, Options, PageSizes, Run, Scratch, Value, validate};

unsafe extern "C" {
    fn counted_realloc(block: *mut c_void, size: usize) -> *mut c_void;
    fn abort() -> !;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: ends the program.
    unsafe { abort() }
}

/// As much as a node has.
type Room = Scratch<2048, 64, 256>;

static mut INSTANCE: Option<(Instance<'static, 'static>, u32)> = None;
static mut COMPILED: usize = 0;

/// Zeroed memory from the harness, for good.
unsafe fn take(bytes: usize) -> *mut u8 {
    // SAFETY: `counted_realloc` gives that many bytes, aligned to 8, or null.
    unsafe {
        let block = counted_realloc(core::ptr::null_mut(), bytes).cast::<u8>();
        if block.is_null() {
            abort();
        }
        block.write_bytes(0, bytes);
        block
    }
}

/// # Safety
/// `program` has `length` bytes, which stay.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn engine_load(program: *const u8, length: usize) -> i32 {
    // SAFETY: by the caller's promise; everything taken is as long as it is said to be, and there is one thread.
    unsafe {
        let bytes = core::slice::from_raw_parts(program, length);
        let scratch = take(size_of::<Room>()).cast::<Room>();
        scratch.write(Room::new());
        // On a node the table is written to flash, beside the module: it takes no RAM, nor is it counted here.
        static mut TABLE: [u32; 4096] = [0; 4096];
        let place = &raw mut TABLE;
        let table = &mut *place;
        let Ok(summary) = validate(bytes, &mut table[..], &mut *scratch, PageSizes::Any) else {
            return 1;
        };
        counted_realloc(scratch.cast(), 0);
        COMPILED = length + summary.table_bytes() as usize;
        let Some(module) = Module::new(bytes, table, &summary) else {
            return 2;
        };
        let options = Options {
            stack: 512,
            ..Options::default()
        };
        let total = module.footprint(&options).total as usize;
        let region = core::slice::from_raw_parts_mut(take(total), total);
        let Ok(mut instance) = Instance::new(module, region, &options) else {
            return 3;
        };
        #[cfg(feature = "compiled")]
        if compile(&module, &options, &mut instance).is_none() {
            return 6;
        }
        let mut fuel = u64::MAX;
        if instance.run(&mut fuel) != Run::Done {
            return 4;
        }
        let Some(run) = module.export_function("run") else {
            return 5;
        };
        INSTANCE = Some((instance, run));
    }
    0
}

/// Has the instance run compiled code, looked at by the verifier, in as much memory as it takes.
///
/// # Safety
/// There is one thread.
#[cfg(feature = "compiled")]
unsafe fn compile(
    module: &Module<'static>,
    options: &Options,
    instance: &mut Instance<'static, 'static>,
) -> Option<()> {
    use wasmote_compiler::{Arena, Options as Choice, Work, marks, measure};
    static mut ARENA: Option<Arena> = None;
    let choice = Choice::of(module, options);
    // SAFETY: taken memory is as long as is said; by the caller's promise nobody else has the arena.
    unsafe {
        let room = size_of::<Work>() + 8;
        let memory = take(room);
        let work = core::slice::from_raw_parts_mut(memory, room);
        let length = measure(module, choice, Work::within(work)?).ok()?;
        counted_realloc(memory.cast(), 0);
        let place = &raw mut ARENA;
        let arena: &'static Arena = (&mut *place).insert(Arena::new(take(length as usize), length));
        let room = room + marks(length);
        let memory = take(room);
        let work = core::slice::from_raw_parts_mut(memory, room);
        COMPILED = arena.install(module, choice, work).ok()? as usize;
        counted_realloc(memory.cast(), 0);
        instance.set_tier(Some(arena.tier()?)).then_some(())
    }
}

/// Bytes of the module and its table, or of its code.
#[unsafe(no_mangle)]
pub extern "C" fn engine_compiled() -> usize {
    // SAFETY: there is one thread.
    unsafe { COMPILED }
}

/// Calls `run`; -1 when that goes wrong.
#[unsafe(no_mangle)]
pub extern "C" fn engine_run(which: i32, n: i32) -> i32 {
    let place = &raw mut INSTANCE;
    // SAFETY: there is one thread.
    let Some((instance, run)) = (unsafe { &mut *place }) else {
        return -1;
    };
    let mut fuel = u64::MAX;
    if instance
        .call(*run, &[Value::I32(which), Value::I32(n)])
        .is_err()
    {
        return -1;
    }
    match (instance.run(&mut fuel), instance.results().next()) {
        (Run::Done, Some(Value::I32(result))) => result,
        _ => -1,
    }
}
