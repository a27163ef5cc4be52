//! Time by SysTick, which begins anew every millisecond and ticks [`CLOCK`] then.
use crate::clock::Clock;
use cortex_m::peripheral::{SYST, syst::SystClkSource};

/// The board's clock. It has a name of its own in the image, so that a debugger can set it (the tests, to the days at which
/// words end).
#[unsafe(export_name = "wasmote_clock")]
pub static CLOCK: Clock = Clock::new();

/// Starts it, with a processor of so many hertz; the board's task `tick` has the interrupt.
pub fn start(timer: &mut SYST, hertz: u32) {
    timer.set_clock_source(SystClkSource::Core);
    timer.set_reload(hertz / 1000 - 1);
    timer.clear_current();
    timer.enable_counter();
    timer.enable_interrupt();
}

/// Milliseconds since the start.
pub fn millis() -> u64 {
    CLOCK.now()
}

/// Microseconds since the start: the milliseconds, and what SysTick has counted of the next. For tasks below `tick`.
pub fn micros() -> u64 {
    let whole = SYST::get_reload() + 1;
    loop {
        let before = CLOCK.now();
        let counted = (whole - 1).saturating_sub(SYST::get_current());
        if CLOCK.low() == before as u32 {
            // A thousand times a millisecond's cycles stay below 2^32 up to 4 GHz.
            return before * 1000 + u64::from(counted * 1000 / whole);
        }
    }
}

/// Cycles since the start, as far as 32 bits go (25.6 s at 168 MHz): only differences of shorter times mean anything.
pub fn cycles() -> u32 {
    let whole = SYST::get_reload() + 1;
    let counted = (whole - 1).saturating_sub(SYST::get_current());
    CLOCK.low().wrapping_mul(whole).wrapping_add(counted)
}
