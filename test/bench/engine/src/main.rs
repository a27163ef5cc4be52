//! The image for an emulated Cortex-M4F: takes the kernels in the file `script` from the emulator's folder, runs each one,
//! and writes what it measured to `answer`.
//!
//! The script, in little-endian words: for each kernel the length of its name, the name, padding to a word, whether it is
//! f64 and whether fuel is counted (a length and two bytes), the length of the module, the module, padding. The answer is a
//! [`Measured`] for each, and a line on the console for each failure.
#![no_std]
#![no_main]

extern crate alloc;

use core::alloc::{GlobalAlloc, Layout};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use cortex_m as _;
use cortex_m_semihosting::{debug, hio, syscall};
use embedded_alloc::LlffHeap;
use wasmote_bench_engine::engines::{Job, load};

/// The board's PSRAM.
const HEAP_START: usize = 0x2100_0000;
const HEAP_BYTES: usize = 16 << 20;

/// Knows how much was allocated at once.
struct Counting {
    heap: LlffHeap,
    now: AtomicU32,
    peak: AtomicU32,
}

#[global_allocator]
static HEAP: Counting = Counting {
    heap: LlffHeap::empty(),
    now: AtomicU32::new(0),
    peak: AtomicU32::new(0),
};

// SAFETY: hands on to an allocator; counting changes nothing about it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = self.now.fetch_add(layout.size() as u32, Relaxed) + layout.size() as u32;
        self.peak.fetch_max(now, Relaxed);
        // SAFETY: as the caller promises.
        unsafe { self.heap.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        self.now.fetch_sub(layout.size() as u32, Relaxed);
        // SAFETY: as the caller promises.
        unsafe { self.heap.dealloc(block, layout) }
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    if let Ok(mut console) = hio::hstdout() {
        use core::fmt::Write;
        let _ = writeln!(console, "{info}");
    }
    debug::exit(debug::EXIT_FAILURE);
    loop {
        cortex_m::asm::nop();
    }
}

/// Opens a file of the host's: mode 1 reads, 5 writes (ISO C "rb", "wb").
fn open(name: &core::ffi::CStr, mode: usize) -> usize {
    // SAFETY: the parameters of SYS_OPEN: a string with its end, the mode, the length.
    unsafe { syscall!(OPEN, name.as_ptr(), mode, name.to_bytes().len()) }
}

/// The board's first timer (CMSDK APB timer: control at 0, value at 4, reload at 8) counts down at 25 MHz; with QEMU's
/// `-icount shift=0` one instruction takes 1 ns.
const TIMER: *mut u32 = 0x4000_0000 as *mut u32;

fn time() -> u32 {
    // SAFETY: a register of the timer.
    unsafe { !TIMER.add(1).read_volatile() }
}

/// What the stack is filled with below what is in use.
const PAINT: u32 = 0x5aa5_c33c;
const PAINTED: usize = 1 << 20;

/// Runs `work` and says how deep the stack got below this.
#[inline(never)]
fn on_painted_stack<T>(work: impl FnOnce() -> T) -> (T, u32) {
    let mark = 0_u32;
    // A little below, so that what this function itself has on the stack stays.
    let top = (&raw const mark as usize - 256) & !3;
    let bottom = top - PAINTED;
    for at in (bottom..top).step_by(4) {
        // SAFETY: the board's RAM between static data and the stack in use, of which there are 4 MiB.
        unsafe { (at as *mut u32).write_volatile(PAINT) };
    }
    let result = work();
    // SAFETY: as above.
    let deepest = (bottom..top)
        .step_by(4)
        .find(|at| unsafe { (*at as *const u32).read_volatile() } != PAINT);
    (result, deepest.map_or(256, |at| (top - at) as u32 + 256))
}

/// What is said of a kernel, in words.
#[repr(C)]
#[derive(Clone, Copy)]
struct Measured {
    /// 0 when all went well.
    failed: u32,
    checksum: i32,
    /// In ticks of the timer, of 40 instructions each.
    load: u32,
    setup: u32,
    run: u32,
    /// The most bytes on the heap at once, beyond what was there before: when loading, and in all.
    heap_load: u32,
    heap: u32,
    /// The most bytes on the stack: when loading, and when running.
    stack_load: u32,
    stack: u32,
    predicted: u32,
    peak: u32,
    flash: u32,
    scratch: u32,
    /// Fuel of `run`.
    fuel: u32,
}

fn measure(job: Job) -> Result<Measured, &'static str> {
    let before = HEAP.now.load(Relaxed);
    HEAP.peak.store(before, Relaxed);
    let peak = || HEAP.peak.load(Relaxed) - before;
    let ((engine, loading), stack_load) = on_painted_stack(|| {
        let began = time();
        let engine = load(job);
        (engine, time().wrapping_sub(began))
    });
    let mut engine = engine?;
    let heap_load = peak();
    let mut timed = |export| {
        let fuel = engine.facts().fuel;
        let began = time();
        let result = engine.call(export);
        let ticks = time().wrapping_sub(began);
        result.map(|result| (result, ticks, engine.facts().fuel - fuel))
    };
    let (results, stack) = on_painted_stack(|| {
        Ok::<_, &'static str>((timed("setup")?, timed("run")?, timed("checksum")?))
    });
    let ((_, setup, _), (_, run, fuel), (checksum, ..)) = results?;
    let facts = engine.facts();
    Ok(Measured {
        failed: 0,
        checksum: checksum.ok_or("no checksum")?,
        load: loading,
        setup,
        run,
        heap_load,
        heap: peak(),
        stack_load,
        stack,
        predicted: facts.predicted,
        peak: facts.peak,
        flash: facts.flash,
        scratch: facts.scratch,
        fuel: fuel as u32,
    })
}

/// Takes a length, that many bytes, and what fills up the last word.
fn take(script: &mut &'static [u8]) -> Option<&'static [u8]> {
    let (length, rest) = script.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    let (bytes, rest) = (rest.get(..length)?, rest.get(length.next_multiple_of(4)..)?);
    *script = rest;
    Some(bytes)
}

fn job(script: &mut &'static [u8]) -> Option<Job> {
    let name = core::str::from_utf8(take(script)?).ok()?;
    let [double, fuel] = take(script)? else {
        return None;
    };
    let (double, fuel) = (*double != 0, *fuel != 0);
    Some(Job {
        name,
        double,
        fuel,
        module: take(script)?,
    })
}

#[cortex_m_rt::entry]
fn main() -> ! {
    // SAFETY: once, before any allocation; the PSRAM is used by nothing else.
    unsafe { HEAP.heap.init(HEAP_START, HEAP_BYTES) };
    // Arithmetic gives the default NaN, as Wasmote's engine relies on (ARM DDI 0403, FPSCR.DN).
    // SAFETY: changes nothing but how floats behave from here on.
    unsafe {
        core::arch::asm!("vmrs {0}, fpscr", "orr {0}, {0}, #0x2000000", "vmsr fpscr, {0}", out(reg) _);
    }
    let file = open(c"script", 1);
    // SAFETY: SYS_FLEN of an open file.
    let length = unsafe { syscall!(FLEN, file) };
    let bytes = alloc::vec![0_u64; length.div_ceil(8)]
        .leak()
        .as_mut_ptr()
        .cast::<u8>();
    // SAFETY: SYS_READ into a buffer of at least that many bytes, which are then read as bytes.
    let mut script: &'static [u8] = unsafe {
        syscall!(READ, file, bytes, length);
        core::slice::from_raw_parts(bytes, length)
    };
    let answer = open(c"answer", 5);
    // SAFETY: the timer is used by nothing else.
    unsafe {
        TIMER.add(2).write_volatile(u32::MAX);
        TIMER.add(1).write_volatile(u32::MAX);
        TIMER.write_volatile(1);
    }
    while let Some(job) = job(&mut script) {
        let measured = measure(job).unwrap_or_else(|why| {
            if let Ok(mut console) = hio::hstdout() {
                for part in [job.name, ": ", why, "\n"] {
                    let _ = console.write_all(part.as_bytes());
                }
            }
            // SAFETY: all of its fields are numbers, for which all bits zero are zeros.
            Measured {
                failed: 1,
                ..unsafe { core::mem::zeroed() }
            }
        });
        // SAFETY: SYS_WRITE of the words it is made of.
        unsafe { syscall!(WRITE, answer, &raw const measured, size_of::<Measured>()) };
    }
    // SAFETY: SYS_CLOSE of an open file.
    unsafe { syscall!(CLOSE, answer) };
    debug::exit(debug::EXIT_SUCCESS);
    loop {
        cortex_m::asm::nop();
    }
}
