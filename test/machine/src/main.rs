//! The image for an emulated Cortex-M4F: takes the file `script` from the emulator's folder, writes `answer` there.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use cortex_m as _;
use cortex_m_semihosting::{debug, hio, syscall};
use embedded_alloc::LlffHeap;

#[global_allocator]
static HEAP: LlffHeap = LlffHeap::empty();

/// The board's PSRAM.
const HEAP_START: usize = 0x2100_0000;
const HEAP_BYTES: usize = 16 << 20;

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    if let Ok(mut console) = hio::hstdout() {
        use core::fmt::Write;
        let _ = writeln!(console, "{info}");
    }
    debug::exit(debug::EXIT_FAILURE);
    loop {
        cortex_m::asm::wfi();
    }
}

/// Opens a file of the host's: mode 1 reads, 5 writes (ISO C "rb", "wb").
fn open(name: &core::ffi::CStr, mode: usize) -> usize {
    // SAFETY: the parameters of SYS_OPEN: a string with its end, the mode, the length.
    unsafe { syscall!(OPEN, name.as_ptr(), mode, name.to_bytes().len()) }
}

#[cortex_m_rt::entry]
fn main() -> ! {
    // SAFETY: once, before any allocation; the PSRAM is used by nothing else.
    unsafe { HEAP.init(HEAP_START, HEAP_BYTES) };
    // Arithmetic gives the default NaN, as the engine relies on (ARM DDI 0403, FPSCR.DN).
    // SAFETY: changes nothing but how floats behave from here on.
    unsafe {
        core::arch::asm!("vmrs {0}, fpscr", "orr {0}, {0}, #0x2000000", "vmsr fpscr, {0}", out(reg) _);
    }
    let script = open(c"script", 1);
    // SAFETY: SYS_FLEN of an open file.
    let length = unsafe { syscall!(FLEN, script) };
    let mut bytes: Vec<u8> = alloc::vec![0; length];
    // SAFETY: SYS_READ into a buffer of that many bytes.
    unsafe { syscall!(READ, script, bytes.as_mut_ptr(), length) };
    let answer = open(c"answer", 5);
    // SysTick counts the processor's clock, of 25 MHz; with QEMU's `-icount shift=0` one instruction takes 1 ns.
    // SAFETY: the only use of the core's peripherals.
    let mut timer = unsafe { cortex_m::Peripherals::steal() }.SYST;
    timer.set_clock_source(cortex_m::peripheral::syst::SystClkSource::Core);
    timer.set_reload(0x00ff_ffff);
    timer.clear_current();
    timer.enable_counter();
    let (mut last, mut time) = (0x00ff_ffff_u32, 0_u32);
    let mut clock = || {
        let now = cortex_m::peripheral::SYST::get_current();
        time = time.wrapping_add((last.wrapping_sub(now)) & 0x00ff_ffff);
        last = now;
        time
    };
    wasmote_machine::execute(&bytes, &mut clock, &mut |outcome| {
        // SAFETY: SYS_WRITE of that many bytes.
        unsafe { syscall!(WRITE, answer, outcome.as_ptr(), outcome.len()) };
    });
    // SAFETY: SYS_CLOSE of an open file.
    unsafe { syscall!(CLOSE, answer) };
    debug::exit(debug::EXIT_SUCCESS);
    loop {
        cortex_m::asm::wfi();
    }
}
