//! Wasmote on the STM32F407, with its serial link.
//!
//! | task   | trigger                                    | priority | longest time                                    |
//! | ------ | ------------------------------------------ | -------- | ----------------------------------------------- |
//! | `line` | USART2: a byte came, or one can be sent    | 4        | a few register accesses                         |
//! | `sonar`| USART3: a byte of the level sensor         | 4        | a few register accesses                         |
//! | `tick` | SysTick, every millisecond                 | 3        | a few loads; wakes the server at its deadline   |
//! | `serve`| pended by the tasks above and by the Runner| 2        | one datagram and its answer                     |
//! | `idle` | always                                     | 0        | the Runner, a slice of fuel at a time; erasing  |
//!
//! The server is an interrupt of its own (one the board has no other use for), so that waking it while it runs makes it run
//! again. Nothing is locked: what two tasks share goes through queues with one end each, or is one word. The
//! watchdog is fed by the Runner alone, which runs only when nothing above it keeps the CPU; its 30 s are longer than
//! three erasures.
#![no_std]
#![no_main]

#[cfg(not(feature = "qemu"))]
mod flash;
#[cfg(feature = "qemu")]
mod qemu;
mod sonar;

/// Where in flash the provisioning record lies: at the end of sector 0, behind the vector table.
pub const PROVISION: u32 = 0x3c00;
/// Where the slots begin, and the bytes of each: a sector of the chip's.
pub const SLOTS: u32 = 0x4000;
/// See [`SLOTS`].
pub const SLOT: u32 = if cfg!(feature = "qemu") {
    0x2000
} else {
    0x4000
};

/// Where the emulated flash is mirrored: in static RAM, and of half the size for that, since QEMU's board (7.2) has no CCM.
#[cfg(feature = "qemu")]
pub fn mirror() -> *mut u8 {
    use core::cell::UnsafeCell;
    #[repr(align(8))]
    struct Memory(UnsafeCell<[u8; (SLOTS + 3 * SLOT - PROVISION) as usize]>);
    // SAFETY: written by `Flash` alone, of which there is one; those who read hold ranges that are not written meanwhile.
    unsafe impl Sync for Memory {}
    static MIRROR: Memory = Memory(UnsafeCell::new([0; _]));
    MIRROR.0.get().cast()
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    #[cfg(feature = "qemu")]
    cortex_m_semihosting::hprintln!("panic: {}", _info);
    // The reset cause says that it was software's doing.
    cortex_m::peripheral::SCB::sys_reset()
}

#[rtic::app(device = stm32f4xx_hal::pac, peripherals = true)]
mod app {
    use crate::sonar::Sonar;
    use crate::{PROVISION, SLOT, SLOTS};
    use core::mem::MaybeUninit;
    use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
    use heapless::spsc::{Consumer, Producer, Queue};
    use stm32f4xx_hal::gpio::{Output, Pin};
    use stm32f4xx_hal::pac::{self, Interrupt};
    use stm32f4xx_hal::prelude::*;
    use stm32f4xx_hal::rcc::Config as Clocks;
    use stm32f4xx_hal::serial::{self, Serial};
    use stm32f4xx_hal::watchdog::IndependentWatchdog;
    use wasmote_node::slot::{Flash as _, Slots};
    use wasmote_node::{Board, Io, Limits, Memory, Provision, Runner, Sensor, Server, Step, link};

    #[cfg(not(feature = "qemu"))]
    use crate::flash::Flash;
    #[cfg(feature = "qemu")]
    use crate::qemu::Flash;

    /// Bytes for modules, and fuel for a run.
    const MEMORY: usize = if cfg!(feature = "qemu") { 32 } else { 48 } * 1024;
    const FUEL: u32 = 2_000_000;
    /// The class of boards that packages name.
    const CLASS: &str = "stm32f407";
    const SENSORS: &[Sensor] = &[
        Sensor {
            name: "level",
            unit: "mm",
        },
        Sensor {
            name: "button",
            unit: "",
        },
    ];
    const LEVEL: u8 = 0;
    const BUTTON: u8 = 1;
    const BAUD: u32 = 115_200;
    /// The interrupt that is the server's: of a peripheral that this board does not use.
    const SERVE: Interrupt = Interrupt::SPI3;

    /// Milliseconds since the start, as far as 32 bits go; the Runner and the server make 64 of them.
    static MILLIS: AtomicU32 = AtomicU32::new(0);
    /// When the server wants to be woken, in the same.
    static DEADLINE: AtomicU32 = AtomicU32::new(u32::MAX);
    /// Whether the CPU sleeps, and in how many of the last thousand milliseconds it did.
    static ASLEEP: AtomicBool = AtomicBool::new(false);
    static IDLE: AtomicU32 = AtomicU32::new(0);
    /// Bytes that came faster than the server took them.
    static LOST: AtomicU32 = AtomicU32::new(0);

    /// The only client of a serial line is whoever is at its other end.
    type Peer = ();

    #[shared]
    struct Shared {}

    #[local]
    struct Local {
        server: &'static mut Server<Peer>,
        runner: &'static mut Runner<Flash>,
        pins: Pins,
        dog: IndependentWatchdog,
        line_rx: serial::Rx<pac::USART2>,
        line_tx: serial::Tx<pac::USART2>,
        sonar_rx: serial::Rx<pac::USART3>,
        received: Producer<'static, u8>,
        to_decode: Consumer<'static, u8>,
        to_frame: Producer<'static, u8>,
        to_send: Consumer<'static, u8>,
        measured: Producer<'static, u16>,
        to_sample: Consumer<'static, u16>,
        button: Pin<'A', 0>,
    }

    /// What modules may set: the four lamps of the Discovery board, as pins 0 to 3.
    pub struct Pins {
        green: Pin<'D', 12, Output>,
        orange: Pin<'D', 13, Output>,
        red: Pin<'D', 14, Output>,
        blue: Pin<'D', 15, Output>,
    }

    impl Io for Pins {
        fn micros(&mut self) -> u64 {
            micros()
        }

        fn gpio(&mut self, pin: u8, high: bool) {
            let level = high.into();
            match pin {
                0 => self.green.set_state(level),
                1 => self.orange.set_state(level),
                2 => self.red.set_state(level),
                3 => self.blue.set_state(level),
                // Other numbers are pins that this board does not lead out.
                _ => {}
            }
            #[cfg(feature = "qemu")]
            crate::qemu::gpio(pin, high);
        }
    }

    fn millis() -> u64 {
        u64::from(MILLIS.load(Relaxed))
    }

    /// Microseconds since the start: the milliseconds, and what SysTick has counted of the next.
    fn micros() -> u64 {
        loop {
            let before = MILLIS.load(Relaxed);
            let left = u64::from(cortex_m::peripheral::SYST::get_current());
            let whole = u64::from(cortex_m::peripheral::SYST::get_reload()) + 1;
            if MILLIS.load(Relaxed) == before {
                return u64::from(before) * 1000 + (whole - 1).saturating_sub(left) * 1000 / whole;
            }
        }
    }

    /// Why the chip was reset (RM0090 §7.3.21).
    fn reset_cause(rcc: &pac::RCC) -> &'static str {
        let csr = rcc.csr().read();
        let cause = if csr.lpwrrstf().bit_is_set() {
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

    /// Whether the board's 8 MHz crystal runs. Asked before the HAL, which would wait for it for ever.
    fn crystal(rcc: &pac::RCC) -> bool {
        rcc.cr().modify(|_, w| w.hseon().set_bit());
        for _ in 0..100_000 {
            if rcc.cr().read().hserdy().bit_is_set() {
                return true;
            }
        }
        rcc.cr().modify(|_, w| w.hseon().clear_bit());
        false
    }

    #[init(local = [
        rx: Queue<u8, 2048> = Queue::new(),
        tx: Queue<u8, 4096> = Queue::new(),
        levels: Queue<u16, 8> = Queue::new(),
        memory: Memory<Peer> = Memory::new(),
        server_place: MaybeUninit<Server<Peer>> = MaybeUninit::uninit(),
        runner_place: MaybeUninit<Runner<Flash>> = MaybeUninit::uninit(),
        region: [u64; MEMORY / 8] = [0; MEMORY / 8],
    ])]
    fn init(cx: init::Context) -> (Shared, Local) {
        // Arithmetic gives the default NaN, in this context and in every new one (ARMv7-M ARM, FPSCR.DN and FPDSCR).
        // SAFETY: changes nothing but how floats behave from here on.
        let fpu = cx.core.FPU;
        unsafe {
            core::arch::asm!("vmrs {0}, fpscr", "orr {0}, {0}, #0x2000000", "vmsr fpscr, {0}", out(reg) _);
            fpu.fpdscr.modify(|v| v | 1 << 25);
        }
        let dp = cx.device;
        let reset = reset_cause(&dp.RCC);
        let mut missing = heapless::Vec::new();
        let (clock, config) = if crystal(&dp.RCC) {
            ("crystal", Clocks::hse(8.MHz()).sysclk(168.MHz()))
        } else {
            let _ = missing.push("crystal");
            ("internal", Clocks::hsi())
        };
        let mut rcc = dp.RCC.freeze(config);
        let hertz = rcc.clocks.sysclk().raw();

        let (a, b, d) = (
            dp.GPIOA.split(&mut rcc),
            dp.GPIOB.split(&mut rcc),
            dp.GPIOD.split(&mut rcc),
        );
        let config = serial::config::Config::default();
        let line: Result<Serial<pac::USART2>, _> = Serial::new(
            dp.USART2,
            (a.pa2, a.pa3),
            config.baudrate(BAUD.bps()),
            &mut rcc,
        );
        let sonar: Result<Serial<pac::USART3>, _> = Serial::new(
            dp.USART3,
            (b.pb10, b.pb11),
            config.baudrate(9600.bps()),
            &mut rcc,
        );
        let (Ok(line), Ok(sonar)) = (line, sonar) else {
            // Only a clock too slow for the baud rate, which neither of the two is.
            unreachable!()
        };
        let (line_tx, mut line_rx) = line.split();
        let (_, mut sonar_rx) = sonar.split();
        line_rx.listen();
        sonar_rx.listen();

        let mut timer = cx.core.SYST;
        timer.set_clock_source(cortex_m::peripheral::syst::SystClkSource::Core);
        timer.set_reload(hertz / 1000 - 1);
        timer.clear_current();
        timer.enable_counter();
        timer.enable_interrupt();
        let mut dog = IndependentWatchdog::new(dp.IWDG);
        dog.start(30_000.millis());

        #[cfg(not(feature = "qemu"))]
        let flash = Flash::new(dp.FLASH);
        #[cfg(feature = "qemu")]
        let flash = Flash::new();
        #[cfg(not(feature = "qemu"))]
        let seed = {
            // The chip's number (RM0090 §39.1): it differs from board to board, and the timer a little from reset to reset.
            let id = stm32f4xx_hal::signature::Uid::get();
            u64::from(id.x()) << 48
                ^ u64::from(id.y()) << 32
                ^ u64::from(id.lot_num().as_bytes().first().copied().unwrap_or(0))
                ^ u64::from(cortex_m::peripheral::SYST::get_current())
        };
        #[cfg(feature = "qemu")]
        let seed = crate::qemu::seed();

        let provision =
            Provision::read(flash.mapped(PROVISION, SLOTS - PROVISION)).unwrap_or_default();
        let slots = Slots::open(flash, SLOTS, SLOT);
        let board = Board {
            name: "stm32f407-discovery",
            class: CLASS,
            version: env!("CARGO_PKG_VERSION"),
            clock,
            hertz,
            reset,
            missing,
            sensors: SENSORS,
            memory: MEMORY as u32,
            package: slots.capacity(),
            fuel: FUEL,
        };
        let limits = Limits {
            class: CLASS,
            fuel: FUEL,
            sensors: SENSORS,
        };
        let (server_memory, runner_memory) = cx.local.memory.split();
        let region = cx.local.region;
        // SAFETY: the same memory as bytes, for as long; `init` has the only reference and gives it away here.
        let region =
            unsafe { core::slice::from_raw_parts_mut(region.as_mut_ptr().cast::<u8>(), MEMORY) };
        // Made where they stay: the stack has no room for them.
        let server =
            cx.local
                .server_place
                .write(Server::new(board, provision.clone(), server_memory, seed));
        server.trust(|()| true);
        let runner = cx.local.runner_place.write(Runner::new(
            slots,
            region,
            provision,
            limits,
            runner_memory,
        ));
        let (received, to_decode) = cx.local.rx.split();
        let (to_frame, to_send) = cx.local.tx.split();
        let (measured, to_sample) = cx.local.levels.split();
        let pins = Pins {
            green: d.pd12.into_push_pull_output(),
            orange: d.pd13.into_push_pull_output(),
            red: d.pd14.into_push_pull_output(),
            blue: d.pd15.into_push_pull_output(),
        };
        let button = a.pa0.into_pull_down_input();
        (
            Shared {},
            Local {
                server,
                runner,
                pins,
                dog,
                line_rx,
                line_tx,
                sonar_rx,
                received,
                to_decode,
                to_frame,
                to_send,
                measured,
                to_sample,
                button,
            },
        )
    }

    #[idle(local = [runner, pins, dog])]
    fn idle(cx: idle::Context) -> ! {
        let idle::LocalResources {
            runner, pins, dog, ..
        } = cx.local;
        // What was installed runs before the node says that it is ready.
        runner.step(pins);
        rtic::pend(SERVE);
        #[cfg(feature = "qemu")]
        cortex_m_semihosting::hprintln!("wasmote: ready");
        loop {
            dog.feed();
            let step = runner.step(pins);
            if runner.has_mail() {
                rtic::pend(SERVE);
            }
            if let Step::Idle(until) = step
                && until.is_none_or(|until| until > millis())
            {
                ASLEEP.store(true, Relaxed);
                cortex_m::asm::wfi();
                ASLEEP.store(false, Relaxed);
            }
        }
    }

    #[task(binds = SysTick, priority = 3, local = [ms: u32 = 0, slept: u32 = 0])]
    fn tick(cx: tick::Context) {
        let now = MILLIS.load(Relaxed).wrapping_add(1);
        MILLIS.store(now, Relaxed);
        *cx.local.slept += u32::from(ASLEEP.load(Relaxed));
        *cx.local.ms += 1;
        if *cx.local.ms == 1000 {
            IDLE.store(*cx.local.slept, Relaxed);
            (*cx.local.ms, *cx.local.slept) = (0, 0);
        }
        // Every 20 ms also for the button, which is sampled here and not by an interrupt, so that it need not be debounced.
        if now >= DEADLINE.load(Relaxed) || now.is_multiple_of(20) {
            rtic::pend(SERVE);
        }
    }

    #[task(binds = USART2, priority = 4, local = [line_rx, line_tx, received, to_send])]
    fn line(cx: line::Context) {
        while cx.local.line_rx.is_rx_not_empty() {
            if let Ok(byte) = cx.local.line_rx.read()
                && cx.local.received.enqueue(byte).is_err()
            {
                LOST.store(LOST.load(Relaxed) + 1, Relaxed);
            }
            rtic::pend(SERVE);
        }
        while cx.local.line_tx.is_tx_empty() {
            match cx.local.to_send.dequeue() {
                Some(byte) => {
                    let _ = cx.local.line_tx.write(byte);
                }
                None => return cx.local.line_tx.unlisten(),
            }
        }
        cx.local.line_tx.listen();
    }

    #[task(binds = USART3, priority = 4, local = [sonar_rx, measured, parser: Sonar = Sonar::new()])]
    fn sonar(cx: sonar::Context) {
        while cx.local.sonar_rx.is_rx_not_empty() {
            if let Ok(byte) = cx.local.sonar_rx.read()
                && let Some(level) = cx.local.parser.push(byte)
            {
                // When the server is that far behind, a newer reading will follow.
                let _ = cx.local.measured.enqueue(level);
                rtic::pend(SERVE);
            }
        }
    }

    /// Bytes of stack that were never used: painted by the start-up code.
    fn stack_free() -> u32 {
        unsafe extern "C" {
            static mut _stack_end: u32;
        }
        let mut free = 0;
        let mut at = (&raw const _stack_end).cast::<u32>();
        // SAFETY: from the end of what is static up to the stack pointer everything is the stack's, which is in use above.
        while unsafe { at.read_volatile() } == 0xcccc_cccc && free < 128 * 1024 {
            at = at.wrapping_add(1);
            free += 4;
        }
        free
    }

    #[task(binds = SPI3, priority = 2, local = [
        server, to_decode, to_frame, to_sample, button,
        decoder: link::Decoder = link::Decoder::new(), pressed: bool = false,
    ])]
    fn serve(cx: serve::Context) {
        let serve::LocalResources {
            server,
            to_decode,
            to_frame,
            to_sample,
            button,
            decoder,
            pressed,
            ..
        } = cx.local;
        let now = millis();
        let mut out = |(): Peer, datagram: &[u8]| {
            // All of it or nothing: a datagram that does not fit is lost, as any may be.
            if to_frame.capacity() - to_frame.len() < datagram.len() * 2 + 8 {
                return;
            }
            link::encode(datagram, |byte| {
                let _ = to_frame.enqueue(byte);
            });
            rtic::pend(Interrupt::USART2);
        };
        while let Some(byte) = to_decode.dequeue() {
            if let Some(datagram) = decoder.push(byte) {
                server.receive(now, (), false, datagram, &mut out);
            }
        }
        while let Some(level) = to_sample.dequeue() {
            server.sample(now, LEVEL, f32::from(level), &mut out);
        }
        let down = button.is_high();
        if down != *pressed {
            *pressed = down;
            server.sample(now, BUTTON, f32::from(u8::from(down)), &mut out);
        }
        let gauges = server.gauges();
        gauges.idle = IDLE.load(Relaxed) as u16;
        gauges.link_lost = LOST.load(Relaxed);
        gauges.link_damaged = decoder.damaged;
        gauges.stack_free = stack_free();
        let deadline = server.poll(now, &mut out);
        DEADLINE.store(deadline.map_or(u32::MAX, |d| d as u32), Relaxed);
    }
}
