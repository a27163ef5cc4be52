//! What a handshake costs: the responder of EDHOC on the emulated Cortex-M4F, with the messages of RFC 9529, section 3. Prints a line of JSON
//! for each step: its instructions, and whether what it said is what it says there. `test/bench/edhoc-cost.ts` runs it.
#![no_std]
#![no_main]

#[path = "trace.rs"]
mod trace;

use core::fmt::Write;
use cortex_m as _;
use cortex_m::peripheral::SYST;
use cortex_m_semihosting::{debug, hio};
use trace::value;
use wasmote_edhoc::{Credential, Curve, First, Identity, MESSAGE_2, P256};
use wasmote_oscore::Id;

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    say(format_args!("{info}"));
    debug::exit(debug::EXIT_FAILURE);
    loop {
        cortex_m::asm::wfi();
    }
}

fn say(line: core::fmt::Arguments<'_>) {
    if let Ok(mut console) = hio::hstdout() {
        let _ = writeln!(console, "{line}");
    }
}

/// SysTick counts 25 MHz, and with QEMU's `-icount shift=0` one instruction takes 1 ns.
const INSTRUCTIONS: u64 = 40;

/// Bytes of stack that are looked at, and those next to the present top that are not.
const DEEP: usize = 32 * 1024;
const NEAR: usize = 512;
const PAINT: u32 = 0x5a5a_a5a5;

/// Words of the stack below this address, which nobody uses at present.
fn free(top: usize) -> impl Iterator<Item = *mut u32> {
    let words = (top - DEEP..top - NEAR).step_by(4);
    words.map(core::ptr::with_exposed_provenance_mut)
}

#[inline(never)]
fn paint(top: usize) {
    // SAFETY: below the frames of this function and of its caller, and within the RAM, of which the stack has all that is left.
    free(top).for_each(|word| unsafe { word.write_volatile(PAINT) });
}

/// Bytes of stack that were used since it was painted.
#[inline(never)]
fn used(top: usize) -> usize {
    let mut words = free(top);
    let lowest = words.find(|word| {
        // SAFETY: as above.
        unsafe { word.read_volatile() != PAINT }
    });
    lowest.map_or(NEAR, |word| top - word.addr())
}

/// Does something, and tells what it took.
fn measured<T>(
    name: &str,
    act: impl FnOnce() -> Option<T>,
    good: impl Fn(&T) -> bool,
) -> Option<T> {
    let top = cortex_m::register::msp::read() as usize & !3;
    paint(top);
    let before = SYST::get_current();
    let made = core::hint::black_box(act());
    let ticks = before.wrapping_sub(SYST::get_current()) & 0x00ff_ffff;
    let stack = used(top);
    let good = made.as_ref().is_some_and(good);
    say(format_args!(
        "{{\"step\":\"{name}\",\"instructions\":{},\"stack\":{stack},\"good\":{good}}}",
        u64::from(ticks) * INSTRUCTIONS
    ));
    made
}

/// The handshake of the trace; `None` where it does not come to its end.
fn handshake<C: Curve>() -> Option<()> {
    let (r, i, said, values) = ("responder", "initiator", "messages", "values");
    let (ccs_r, ccs_i) = (
        value::<95>(r, "credential")?,
        value::<107>(i, "credential")?,
    );
    let own = Identity::new(Credential::parse(&ccs_r)?, &value(r, "secret")?);
    let known = [Credential::parse(&ccs_i)?];
    let c_r = Id::new(&value::<1>(r, "c_r")?)?;
    let (message_1, message_2) = (
        value::<39>(said, "message_1")?,
        value::<45>(said, "message_2")?,
    );
    let (message_3, message_4) = (
        value::<19>(said, "message_3")?,
        value::<9>(said, "message_4")?,
    );
    let (random, salt) = (value(r, "ephemeral")?, value::<8>(values, "oscore_salt")?);
    let mut out = [0; MESSAGE_2];

    let first = || First::parse(&message_1).ok();
    let first = measured("message_1 is read", first, |_| true)?;
    let answer = || first.answer::<C>(&own, c_r, &random, &mut out).ok();
    let (waiting, length) = measured("message_2 is composed", answer, |_| true)?;
    let same = out.get(..length) == Some(&message_2);
    let open = || waiting.open(&message_3).ok();
    let opened = measured("message_3 is opened", open, |_| same)?;
    let verify = || opened.verify::<C>(&known).ok();
    let session = measured("message_3 is verified", verify, |_| true)?;
    let end = || Some((session.message_4()?, session.oscore()?.salt));
    measured("message_4 and the OSCORE context", end, |said| {
        *said == (message_4, salt)
    })?;
    Some(())
}

/// What whoever knows nothing can have a node do: the point of a coordinate, on the curve or not; and whether secrets differ in what
/// they cost.
fn points<C: Curve>() -> Option<()> {
    let g_x = value("initiator", "g_x")?;
    let mut off: [u8; 32] = g_x;
    while C::point(&off).is_some() {
        let last = off.last_mut()?;
        *last = last.wrapping_add(1);
    }
    let point = measured("a point that is on the curve", || C::point(&g_x), |_| true)?;
    let none = || C::point(&off).is_none().then_some(());
    measured("a point that is not", none, |()| true)?;
    let mut small = [0; 32];
    *small.last_mut()? = 3;
    // Below the order of the curve, and most bits set.
    let mut large = [0xff; 32];
    large.get_mut(4..8)?.fill(0);
    large.get_mut(16..20)?.fill(0xbb);
    for (name, secret) in [
        ("an agreement with a small secret", small),
        ("an agreement with a large secret", large),
        (
            "an agreement with a random secret",
            value("responder", "secret")?,
        ),
    ] {
        measured(name, || C::agree(&secret, &point), |_| true)?;
    }
    Some(())
}

#[cortex_m_rt::entry]
fn main() -> ! {
    // SAFETY: the only use of the core's peripherals.
    let mut timer = unsafe { cortex_m::Peripherals::steal() }.SYST;
    timer.set_clock_source(cortex_m::peripheral::syst::SystClkSource::Core);
    timer.set_reload(0x00ff_ffff);
    timer.clear_current();
    timer.enable_counter();
    let done = handshake::<P256>().and_then(|()| points::<P256>());
    debug::exit(if done.is_some() {
        debug::EXIT_SUCCESS
    } else {
        debug::EXIT_FAILURE
    });
    loop {
        cortex_m::asm::wfi();
    }
}
