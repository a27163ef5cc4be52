//! The emulated board: files of the emulator's folder, and a clock that counts instructions.
use alloc::vec::Vec;
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
    loop {}
}

/// Opens a file of the host's: mode 1 reads, 5 writes (ISO C "rb", "wb").
fn open(name: &core::ffi::CStr, mode: usize) -> usize {
    // SAFETY: the parameters of SYS_OPEN: a string with its end, the mode, the length.
    unsafe { syscall!(OPEN, name.as_ptr(), mode, name.to_bytes().len()) }
}

/// Counts instructions: with QEMU's `-icount shift=0` one takes 1 ns, and SysTick counts every 40 ns.
pub struct Clock {
    last: u32,
    ticks: u64,
}

impl Clock {
    pub fn now(&mut self) -> u64 {
        let now = cortex_m::peripheral::SYST::get_current();
        self.ticks += u64::from(self.last.wrapping_sub(now) & 0x00ff_ffff);
        self.last = now;
        self.ticks * 40
    }
}

/// Sets the chip up; what the file `job` holds, and the clock.
pub fn begin() -> (Vec<u8>, Clock) {
    // SAFETY: once, before any allocation; the PSRAM is used by nothing else.
    unsafe { HEAP.init(HEAP_START, HEAP_BYTES) };
    // Arithmetic gives the default NaN, as the engine relies on (ARM DDI 0403, FPSCR.DN).
    // SAFETY: changes nothing but how floats behave from here on.
    unsafe {
        core::arch::asm!("vmrs {0}, fpscr", "orr {0}, {0}, #0x2000000", "vmsr fpscr, {0}", out(reg) _);
    }
    let job = open(c"job", 1);
    // SAFETY: SYS_FLEN of an open file.
    let length = unsafe { syscall!(FLEN, job) };
    let mut bytes: Vec<u8> = alloc::vec![0; length];
    // SAFETY: SYS_READ into a buffer of that many bytes.
    unsafe { syscall!(READ, job, bytes.as_mut_ptr(), length) };
    // SAFETY: the only use of the core's peripherals.
    let mut timer = unsafe { cortex_m::Peripherals::steal() }.SYST;
    timer.set_clock_source(cortex_m::peripheral::syst::SystClkSource::Core);
    timer.set_reload(0x00ff_ffff);
    timer.clear_current();
    timer.enable_counter();
    let (last, ticks) = (0x00ff_ffff, 0);
    (bytes, Clock { last, ticks })
}

/// Writes the file `answer`, 64-bit numbers one after the other, and ends the emulation.
pub fn end(numbers: &[u64]) -> ! {
    let answer = open(c"answer", 5);
    for number in numbers {
        let bytes = number.to_le_bytes();
        // SAFETY: SYS_WRITE of that many bytes.
        unsafe { syscall!(WRITE, answer, bytes.as_ptr(), bytes.len()) };
    }
    // SAFETY: SYS_CLOSE of an open file.
    unsafe { syscall!(CLOSE, answer) };
    debug::exit(debug::EXIT_SUCCESS);
    loop {
        core::hint::spin_loop();
    }
}
