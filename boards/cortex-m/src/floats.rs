//! How floats behave: an invalid operation gives the default NaN, as WebAssembly's engine expects it.
use cortex_m::peripheral::FPU;

/// Sets it up, in this context and for every new one (ARMv7-M ARM, FPSCR.DN and FPDSCR.DN).
pub fn give_default_nan(fpu: &FPU) {
    // SAFETY: changes nothing but how floats behave from here on.
    unsafe {
        core::arch::asm!("vmrs {0}, fpscr", "orr {0}, {0}, #0x2000000", "vmsr fpscr, {0}", out(reg) _);
        fpu.fpdscr.modify(|v| v | 1 << 25);
    }
}
