//! What is asked of the chip before anything relies on it: whether its oscillators start, which memories there are, why it was
//! reset. Every wait has an end, and every question may be answered with no: in QEMU most are.
use core::arch::naked_asm;
use core::sync::atomic::{AtomicU32, Ordering};
use stm32f4xx_hal::pac;
use stm32f4xx_hal::prelude::*;
use stm32f4xx_hal::rcc::{Config, Rcc};

/// Looks at a flag of an oscillator: some 6 ms at 16 MHz. The crystal takes 2 ms, the PLL 0.3 (STM32F407 datasheet §5.3.8, 5.3.10).
const PATIENCE: u32 = 20_000;

/// A word that may not be there: what a load from `address` gives, and 1, or anything and 0. [`HardFault`] knows this load by
/// its place, and continues behind it.
#[unsafe(naked)]
unsafe extern "C" fn load(address: *const u32, value: *mut u32) -> u32 {
    naked_asm!(
        ".global wasmote_load",
        ".global wasmote_load_failed",
        "wasmote_load:",
        "ldr r2, [r0]",
        "str r2, [r1]",
        "movs r0, #1",
        "bx lr",
        "wasmote_load_failed:",
        "movs r0, #0",
        "bx lr",
    )
}

/// Reads a word, if there is memory at this address (a multiple of four). Not for registers, which reading may change.
pub fn peek(address: usize) -> Option<u32> {
    let mut value = 0;
    // SAFETY: a load and nothing else, which may fail.
    let there = unsafe { load(address as *const u32, &raw mut value) };
    (there == 1).then_some(value)
}

/// A fault at the load that may fail goes on behind it; any other resets the chip.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn HardFault() {
    naked_asm!(
        // There is one stack; the program counter lies at 24 of what the processor put there (ARMv7-M ARM §B1.5.6).
        "mrs r0, msp",
        // A stack that has left its RAM holds nothing: the rest of the way is made on a fresh one.
        "ldr r1, =_stack_end",
        "cmp r0, r1",
        "bhs 1f",
        "ldr r0, =_stack_start",
        "msr msp, r0",
        "b {fault}",
        "1:",
        "ldr r1, [r0, #24]",
        "ldr r2, =wasmote_load",
        "cmp r1, r2",
        "bne {fault}",
        "ldr r2, =wasmote_load_failed",
        "str r2, [r0, #24]",
        // The fault is dealt with: its bits are cleared by writing ones.
        "ldr r1, =0xe000ed28",
        "ldr r2, [r1]",
        "str r2, [r1]",
        "bx lr",
        fault = sym fault,
    )
}

/// Says after a reset why the firmware wanted it. Not touched by a reset that keeps the RAM.
#[unsafe(link_section = ".uninit.NOTE")]
static NOTE: AtomicU32 = AtomicU32::new(0);
const PANIC: u32 = 0x5041_4e49;
const FAULT: u32 = 0x4641_554c;

extern "C" fn fault() -> ! {
    NOTE.store(FAULT, Ordering::SeqCst);
    cortex_m::peripheral::SCB::sys_reset()
}

/// Starts anew after a panic.
pub fn panicked() -> ! {
    NOTE.store(PANIC, Ordering::SeqCst);
    cortex_m::peripheral::SCB::sys_reset()
}

/// Why the chip was reset (RM0090 §7.3.21).
pub fn reset_cause(rcc: &pac::RCC) -> &'static str {
    let note = NOTE.swap(0, Ordering::SeqCst);
    let csr = rcc.csr().read();
    // Without power the note is noise.
    let kept = csr.porrstf().bit_is_clear() && csr.borrstf().bit_is_clear();
    let cause = if kept && note == PANIC {
        "panic"
    } else if kept && note == FAULT {
        "fault"
    } else if csr.lpwrrstf().bit_is_set() {
        "low power"
    } else if csr.wdgrstf().bit_is_set() || csr.wwdgrstf().bit_is_set() {
        "watchdog"
    } else if csr.sftrstf().bit_is_set() {
        "software"
    } else if csr.porrstf().bit_is_set() {
        "power on"
    } else if csr.borrstf().bit_is_set() {
        "brown-out"
    } else if csr.padrstf().bit_is_set() {
        "pin"
    } else {
        "unknown"
    };
    rcc.csr().modify(|_, w| w.rmvf().set_bit());
    cause
}

/// Whether the PLL locks on this source. It is left off, as the HAL wants to find it.
fn locks(rcc: &pac::RCC, crystal: bool) -> bool {
    let flag = |set| (0..PATIENCE).any(|_| rcc.cr().read().pllrdy().bit() == set);
    rcc.pllcfgr().modify(|_, w| w.pllsrc().bit(crystal));
    rcc.cr().modify(|_, w| w.pllon().set_bit());
    let locked = flag(true);
    rcc.cr().modify(|_, w| w.pllon().clear_bit());
    locked & flag(false)
}

/// Starts the clock: 168 MHz from the board's 8 MHz crystal, or from the chip's own oscillator when that does not start, or
/// that oscillator's 16 MHz when the PLL does not. What is tried here first the HAL would wait for without end.
pub fn clock(rcc: pac::RCC, missing: &mut impl FnMut(&'static str)) -> (&'static str, Rcc) {
    rcc.cr().modify(|_, w| w.hseon().set_bit());
    let crystal = (0..PATIENCE).any(|_| rcc.cr().read().hserdy().bit_is_set());
    if !crystal {
        rcc.cr().modify(|_, w| w.hseon().clear_bit());
        missing("crystal");
    }
    if !locks(&rcc, crystal) {
        missing("pll");
        return ("internal", rcc.freeze(Config::hsi()));
    }
    let (name, source) = if crystal {
        ("crystal", Config::hse(8.MHz()))
    } else {
        ("internal", Config::hsi())
    };
    (name, rcc.freeze(source.sysclk(168.MHz())))
}

/// How fast SysTick counts: with the processor's clock, on the chip. In QEMU it is 168 MHz whatever the clock registers say,
/// and its calibration register (ARMv7-M ARM §B3.3.6) tells: 10 ms of an eighth of that, where the chip has 18,750.
pub fn systick(hertz: u32) -> u32 {
    const TEN_MILLISECONDS: u32 = 209_999;
    let emulated = cortex_m::peripheral::SYST::get_ticks_per_10ms() == TEN_MILLISECONDS;
    if emulated { 168_000_000 } else { hertz }
}

/// RAM that the linker gives to nobody, for the module: the 64 KiB that DMA does not reach (CCM, RM0090 §2.3.1). QEMU 7.2 has
/// none there, but as much more behind the 128 KiB of the other RAM. Nothing where there is neither.
pub fn further_memory() -> &'static mut [u8] {
    /// Bytes of the CCM.
    const SIZE: usize = 64 * 1024;
    let there = |start: &usize| peek(*start).is_some() && peek(start + SIZE - 4).is_some();
    match [0x1000_0000, 0x2002_0000].into_iter().find(there) {
        // SAFETY: RAM that memory.x gives to nobody; called once.
        Some(start) => unsafe {
            let start = start as *mut u8;
            start.write_bytes(0, SIZE);
            core::slice::from_raw_parts_mut(start, SIZE)
        },
        None => &mut [],
    }
}

/// What the factory wrote into the chip (RM0090 §39.1; STM32F407 datasheet §5.3.21).
#[derive(Clone, Copy)]
pub struct Factory {
    /// Three words that no other chip has.
    pub number: [u32; 3],
    /// Readings of the temperature sensor at 30 and 110 degrees and of the voltage reference, at 3.3 V.
    pub temperature: (u16, u16, u16),
}

impl Factory {
    /// `None` if there is no such memory.
    pub fn read() -> Option<Self> {
        let [a, b, c] = [0x1fff_7a10, 0x1fff_7a14, 0x1fff_7a18].map(peek);
        let (reference, points) = (peek(0x1fff_7a28)?, peek(0x1fff_7a2c)?);
        Some(Self {
            number: [a?, b?, c?],
            temperature: (
                points as u16,
                (points >> 16) as u16,
                (reference >> 16) as u16,
            ),
        })
    }

    /// A hardware address of the board's own: locally administered, unicast.
    pub fn hardware(&self) -> [u8; 6] {
        let [a, b, c] = self.number;
        let mixed =
            (u64::from(a) << 32 | u64::from(b)) ^ u64::from(c).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let [x0, x1, x2, x3, x4, ..] = mixed.to_be_bytes();
        [0x02, x0, x1, x2, x3, x4]
    }
}

/// A number that nobody can guess, of the chip's generator (RM0090 §24.3.1) if it gives one. Else it differs from
/// board to board, and by the timer a little from reset to reset.
#[cfg(not(feature = "qemu"))]
pub fn seed(rcc: &pac::RCC, generator: &pac::RNG, factory: Option<Factory>) -> u128 {
    rcc.ahb2enr().modify(|_, w| w.rngen().set_bit());
    generator.cr().modify(|_, w| w.rngen().set_bit());
    let word = || {
        let ready = (0..10_000).any(|_| generator.sr().read().drdy().bit_is_set());
        ready.then(|| u128::from(generator.dr().read().bits()))
    };
    if let (Some(a), Some(b), Some(c), Some(d)) = (word(), word(), word(), word()) {
        return a << 96 | b << 64 | c << 32 | d;
    }
    let [x, y, z] = factory.map_or([0; 3], |f| f.number);
    let number = u128::from(x) << 96 | u128::from(y) << 64 | u128::from(z) << 32;
    number | u128::from(cortex_m::peripheral::SYST::get_current())
}

/// 32 random bytes of the chip's generator (RM0090 §24.3); `None` where it says that its noise or its clock is wrong, or gives the same word
/// twice (§24.3.1, FIPS 140-2): it is started anew then.
#[cfg(not(feature = "qemu"))]
pub fn random() -> Option<[u8; 32]> {
    /// CECS, SECS, CEIS, SEIS (RM0090 §24.4.2).
    const ERRORS: u32 = 1 << 1 | 1 << 2 | 1 << 5 | 1 << 6;
    // SAFETY: registers, which nothing but the Runner touches once `seed` has started the generator.
    let generator = unsafe { &*pac::RNG::ptr() };
    let word = || {
        let ready = (0..10_000).any(|_| generator.sr().read().drdy().bit_is_set());
        let sound = generator.sr().read().bits() & ERRORS == 0;
        (ready && sound).then(|| generator.dr().read().bits())
    };
    let collect = || {
        let mut bytes = [0; 32];
        let mut before = word()?;
        for place in bytes.as_chunks_mut::<4>().0 {
            let next = word().filter(|next| *next != before)?;
            *place = next.to_le_bytes();
            before = next;
        }
        Some(bytes)
    };
    let found = collect();
    if found.is_none() {
        generator.cr().modify(|_, w| w.rngen().clear_bit());
        generator
            .sr()
            .modify(|_, w| w.seis().clear_bit().ceis().clear_bit());
        generator.cr().modify(|_, w| w.rngen().set_bit());
    }
    found
}
