//! Wasmote on the STM32F407: the Discovery board, alone or on a base board with Ethernet.
//!
//! | task    | trigger                                       | priority | longest time                                    |
//! | ------- | --------------------------------------------- | -------- | ----------------------------------------------- |
//! | `line`  | USART2: a byte can be sent, or came damaged   | 5        | 0.5 µs: a byte, some 50 instructions            |
//! | `half`  | DMA1 stream 5: half of the circle was filled  | 5        | 0.5 µs: a few register accesses                 |
//! | `sonar` | USART3: a byte of the level sensor            | 4        | 10 µs: a byte, with what `line` interrupts      |
//! | `frames`| Ethernet: a frame came, or was sent           | 4        | 10 µs: one register access, and as above        |
//! | `tick`  | SysTick, every millisecond                    | 3        | 10 µs: two pins, and as above                   |
//! | `serve` | pended by the tasks above and by the Runner   | 2        | 3 ms: what came in and its answers              |
//! | `idle`  | always                                        | 0        | a slice of fuel; 0.5 s: a sector that is erased |
//!
//! Each task measures itself; the figures of a node are in its /stats, those of a busy one in QEMU in docs/benchmarks/tasks.md.
//!
//! The server is an interrupt of its own (one the board has no other use for), so that waking it while it runs makes it run
//! again. Nothing is locked: what two tasks share goes through queues with one end each, or is one word. The
//! watchdog is fed by the Runner alone, which runs only when nothing above it keeps the CPU; its 30 s are longer than
//! three erasures.
//!
//! | pins                                             | what                                                              |
//! | ------------------------------------------------ | ----------------------------------------------------------------- |
//! | PD5 (TX), PD6 (RX)                               | USART2: the serial link                                           |
//! | PD9 (RX)                                         | USART3: the level sensor                                          |
//! | PD10                                             | the rain gauge's contact, to ground                               |
//! | PA0                                              | the button                                                        |
//! | PD12 to PD15                                     | lamps: GPIO 0 to 3 of a module                                    |
//! | PA1, PA2, PA7, PB11 to PB13, PC1, PC4, PC5, PE2  | Ethernet: RMII of the transceiver, and its reset                  |
//! | PA5 to PA7, PE3                                  | SPI1: the accelerometer                                           |
//!
//! PA7 is both the transceiver's and the accelerometer's: a board with a transceiver is without an accelerometer, and says so.
#![no_std]
#![no_main]

mod chip;
mod converter;
mod ethernet;
#[cfg(not(feature = "qemu"))]
mod flash;
#[cfg(feature = "qemu")]
mod qemu;
mod stack;

pub use discovery::sectors::{PROVISION, SLOT, SLOTS};

/// Where the emulated flash is mirrored: in the memory that is the module's otherwise.
#[cfg(feature = "qemu")]
pub fn mirror() -> *mut u8 {
    use core::sync::atomic::{AtomicPtr, Ordering};
    static AT: AtomicPtr<u8> = AtomicPtr::new(core::ptr::null_mut());
    if AT.load(Ordering::Relaxed).is_null() {
        let memory = chip::further_memory();
        assert!(memory.len() >= (SLOTS + 3 * SLOT - PROVISION) as usize);
        AT.store(memory.as_mut_ptr(), Ordering::Relaxed);
    }
    AT.load(Ordering::Relaxed)
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    #[cfg(feature = "qemu")]
    cortex_m_semihosting::hprintln!("panic: {}", _info);
    chip::panicked()
}

#[rtic::app(device = stm32f4xx_hal::pac, peripherals = true)]
mod app {
    use crate::converter::{self, Converter};
    use crate::ethernet::{self, Ethernet, Frames};
    use crate::{PROVISION, SLOT, SLOTS, chip};
    use core::mem::MaybeUninit;
    use core::net::Ipv4Addr;
    use core::sync::atomic::Ordering::Relaxed;
    use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32};
    use discovery::circle::Circle;
    use embedded_hal_bus::spi::{ExclusiveDevice, NoDelay};
    use heapless::spsc::{Consumer, Producer, Queue};
    use stm32f4xx_hal::gpio::{Input, Output as PushPull, Pin, Speed};
    use stm32f4xx_hal::pac::{self, Interrupt};
    use stm32f4xx_hal::prelude::*;
    use stm32f4xx_hal::serial::{self, Serial};
    use stm32f4xx_hal::spi::{Mode, Phase, Polarity, Spi};
    use stm32f4xx_hal::watchdog::IndependentWatchdog;
    use wasmote_net::{Config, Endpoint, Fixed, Interface, Storage};
    use wasmote_node::slot::{Flash as _, Slots};
    use wasmote_node::{Board, Io, Limits, Memory, Provision, Runner, Sensor, Server, Step, link};
    use wasmote_sensors::temperature::Calibration;
    use wasmote_sensors::{Accelerometer, Debounce, Level, Rain};

    #[cfg(not(feature = "qemu"))]
    use crate::flash::Flash;
    #[cfg(feature = "qemu")]
    use crate::qemu::Flash;

    /// Fuel for a run.
    const FUEL: u32 = 2_000_000;
    /// The class of boards that packages name.
    const CLASS: &str = "stm32f407";
    const SENSORS: &[Sensor] = &[
        sensor("level", "mm"),
        sensor("rain", "mm"),
        sensor("temperature", "Cel"),
        sensor("button", ""),
        sensor("ax", "m/s2"),
        sensor("ay", "m/s2"),
        sensor("az", "m/s2"),
    ];
    const LEVEL: u8 = 0;
    const RAIN: u8 = 1;
    const TEMPERATURE: u8 = 2;
    const BUTTON: u8 = 3;
    const ACCELERATION: u8 = 4;
    /// Milliseconds between two samples.
    const TEMPERATURE_EVERY: u64 = 5_000;
    const ACCELERATION_EVERY: u64 = 100;
    /// Milliseconds for which a button must stay as it is.
    const BUTTON_STABLE: u64 = 20;
    /// Of the serial link.
    const BAUD: u32 = 115_200;
    /// Without a DHCP server.
    const FIXED: Fixed = Fixed {
        address: Ipv4Addr::new(192, 168, 1, 44),
        prefix: 24,
        gateway: Some(Ipv4Addr::new(192, 168, 1, 1)),
    };
    /// Milliseconds that a DHCP server has.
    const PATIENCE: u64 = 8_000;
    /// The interrupt that is the server's: of a peripheral that this board does not use.
    const SERVE: Interrupt = Interrupt::SPI3;
    /// Beside a byte of the level sensor: the line lost or damaged one.
    const DAMAGED: u16 = 0x100;

    /// The most cycles that each task has taken, as SysTick counts them, with what interrupted it; in /stats. The numbers are places.
    static LONGEST: [(&str, AtomicU32); 6] = [
        ("line", AtomicU32::new(0)),
        ("half", AtomicU32::new(0)),
        ("sonar", AtomicU32::new(0)),
        ("frames", AtomicU32::new(0)),
        ("tick", AtomicU32::new(0)),
        ("serve", AtomicU32::new(0)),
    ];
    const LINE_TASK: usize = 0;
    const HALF_TASK: usize = 1;
    const SONAR_TASK: usize = 2;
    const FRAMES_TASK: usize = 3;
    const TICK_TASK: usize = 4;
    const SERVE_TASK: usize = 5;

    /// Measures a task from here to the end of its block.
    struct Watch {
        task: usize,
        start: u32,
    }

    /// Cycles since the start, as far as 32 bits go.
    fn cycles() -> u32 {
        let whole = cortex_m::peripheral::SYST::get_reload() + 1;
        let counted = whole - 1 - cortex_m::peripheral::SYST::get_current();
        MILLIS
            .load(Relaxed)
            .wrapping_mul(whole)
            .wrapping_add(counted)
    }

    impl Watch {
        fn start(task: usize) -> Self {
            let start = cycles();
            Self { task, start }
        }
    }

    impl Drop for Watch {
        fn drop(&mut self) {
            let mut taken = cycles().wrapping_sub(self.start);
            if taken > u32::MAX / 2 {
                // The counter has begun anew, and `tick` has not run since: this task goes before it.
                taken = taken.wrapping_add(cortex_m::peripheral::SYST::get_reload() + 1);
            }
            if let Some((_, longest)) = LONGEST.get(self.task) {
                // Each task writes its own alone.
                longest.store(longest.load(Relaxed).max(taken), Relaxed);
            }
        }
    }

    const fn sensor(name: &'static str, unit: &'static str) -> Sensor {
        Sensor { name, unit }
    }

    /// Milliseconds since the start, as far as 32 bits go; the Runner and the server make 64 of them.
    static MILLIS: AtomicU32 = AtomicU32::new(0);
    /// When the server wants to be woken, in the same.
    static DEADLINE: AtomicU32 = AtomicU32::new(u32::MAX);
    /// Cycles that the CPU slept in this second, and thousandths of the last second in which it did.
    static SLEPT: AtomicU32 = AtomicU32::new(0);
    static IDLE: AtomicU32 = AtomicU32::new(0);
    /// The server has run since the Runner last looked, and may have left it something.
    static SERVED: AtomicBool = AtomicBool::new(false);
    /// Bytes of the stack that were never used.
    static STACK_FREE: AtomicU32 = AtomicU32::new(u32::MAX);

    /// What the serial link brings, in a circle: filled by DMA, or by its interrupt where DMA does not work (QEMU has none).
    const CIRCLE: usize = 2048;
    static RECEIVED: [AtomicU8; CIRCLE] = [const { AtomicU8::new(0) }; CIRCLE];
    /// Whether DMA does it; bytes that the interrupt has put there otherwise; halves of the circle that were filled.
    static DMA: AtomicBool = AtomicBool::new(false);
    static WRITTEN: AtomicU32 = AtomicU32::new(0);
    static HALVES: AtomicU32 = AtomicU32::new(0);
    /// Bytes that the USART lost.
    static LOST: AtomicU32 = AtomicU32::new(0);

    /// Where a client is. Not an enum: a table of clients that is all zeros when empty needs no place in flash.
    type Peer = Endpoint;
    /// At the other end of the serial line: what no UDP client has.
    const SERIAL: Peer = Endpoint {
        address: Ipv4Addr::UNSPECIFIED,
        port: 0,
    };

    /// The MAC, and the stack on it.
    pub type Network = (Ethernet, Interface);
    /// The accelerometer, on a bus of its own.
    pub type Gravity =
        Accelerometer<ExclusiveDevice<Spi<pac::SPI1>, Pin<'E', 3, PushPull>, NoDelay>>;

    #[shared]
    struct Shared {}

    #[local]
    struct Local {
        server: &'static mut Server<Peer>,
        runner: &'static mut Runner<Flash>,
        network: Option<&'static mut Network>,
        pins: Pins,
        dog: IndependentWatchdog,
        line: Line,
        to_send: Consumer<'static, u8>,
        heard: Producer<'static, u16>,
        to_parse: Consumer<'static, u16>,
        sensed: Producer<'static, (u8, f32)>,
        to_sample: Consumer<'static, (u8, f32)>,
        senses: Senses,
        rain: Rain<Pin<'D', 10, Input>>,
        button: Pin<'A', 0, Input>,
        /// Of SysTick in a second.
        ticks: u32,
    }

    /// What modules may set: the four lamps of the Discovery board, as pins 0 to 3.
    pub struct Pins {
        green: Pin<'D', 12, PushPull>,
        orange: Pin<'D', 13, PushPull>,
        red: Pin<'D', 14, PushPull>,
        blue: Pin<'D', 15, PushPull>,
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

    /// The serial link's way out, and what came in by it.
    pub struct Line {
        to_frame: Producer<'static, u8>,
        circle: Circle<CIRCLE>,
        decoder: link::Decoder,
        unsent: u32,
        overrun: u32,
    }

    impl Line {
        /// All of it or nothing: a datagram that does not fit is lost, as any may be, and counted.
        fn send(&mut self, datagram: &[u8]) {
            if self.to_frame.capacity() - self.to_frame.len() < datagram.len() * 2 + 8 {
                self.unsent += 1;
                return;
            }
            link::encode(datagram, |byte| {
                let _ = self.to_frame.enqueue(byte);
            });
            rtic::pend(Interrupt::USART2);
        }

        /// A line of text beside the datagrams, while these leave the line alone.
        fn show(&mut self, text: impl core::fmt::Display) {
            let mut line = heapless::String::<128>::new();
            let _ = core::fmt::Write::write_fmt(&mut line, format_args!("{text}"));
            link::diagnostic(&line, |byte| {
                let _ = self.to_frame.enqueue(byte);
            });
            rtic::pend(Interrupt::USART2);
        }
    }

    /// The sensors that are asked, and not heard.
    pub struct Senses {
        level: Level,
        gravity: Option<Gravity>,
        gravity_due: u64,
        converter: Converter,
        calibration: Option<Calibration>,
        /// The sensor's reading, while the reference is read.
        first: Option<u16>,
        converting: bool,
        temperature_due: u64,
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

    fn usart2() -> &'static pac::usart1::RegisterBlock {
        // SAFETY: set up in `init`; from then on `line` alone reads and writes its data register, beside DMA.
        unsafe { &*pac::USART2::ptr() }
    }

    fn stream() -> &'static pac::dma2::ST {
        // SAFETY: set up in `init`; from then on `tick` alone writes it.
        unsafe { (*pac::DMA1::ptr()).st(5) }
    }

    /// Lets DMA fill the circle (RM0090 §10.3.17: stream 5, channel 4), if there is a DMA controller.
    fn start_dma() -> bool {
        let stream = stream();
        let from = usart2().dr().as_ptr() as u32;
        // SAFETY: the addresses and the length of the circle, which is nobody else's.
        unsafe {
            stream.par().write(|w| w.bits(from));
            stream.m0ar().write(|w| w.bits(RECEIVED.as_ptr() as u32));
            stream.ndtr().write(|w| w.bits(CIRCLE as u32));
        }
        // SAFETY: a channel that there is.
        stream.cr().write(|w| unsafe {
            w.chsel().bits(4);
            w.pl().very_high();
            w.minc().set_bit();
            w.circ().set_bit();
            w.htie().set_bit();
            w.tcie().set_bit()
        });
        stream.cr().modify(|_, w| w.en().set_bit());
        stream.cr().read().en().bit_is_set()
    }

    /// A number that differs from reset to reset, of the chip's generator (RM0090 §24.3.1) if it gives one.
    #[cfg(not(feature = "qemu"))]
    fn seed(rcc: &pac::RCC, generator: &pac::RNG) -> Option<u64> {
        rcc.ahb2enr().modify(|_, w| w.rngen().set_bit());
        generator.cr().modify(|_, w| w.rngen().set_bit());
        let word = || {
            let ready = (0..10_000).any(|_| generator.sr().read().drdy().bit_is_set());
            ready.then(|| u64::from(generator.dr().read().bits()))
        };
        Some(word()? << 32 | word()?)
    }

    #[inline(never)]
    fn make_network(
        place: &'static mut MaybeUninit<Network>,
        mut ethernet: Ethernet,
        storage: &'static mut MaybeUninit<Storage>,
        config: Config,
    ) -> &'static mut Network {
        let storage = storage.write(Storage::new());
        let interface = Interface::new(config, &mut ethernet.device, storage, 0);
        place.write((ethernet, interface))
    }

    #[init(local = [
        tx: Queue<u8, 4096> = Queue::new(),
        echoes: Queue<u16, 64> = Queue::new(),
        samples: Queue<(u8, f32), 16> = Queue::new(),
        memory: Memory<Peer> = Memory::new(),
        frames: Frames = Frames::new(),
        storage_place: MaybeUninit<Storage> = MaybeUninit::uninit(),
        network_place: MaybeUninit<Network> = MaybeUninit::uninit(),
        server_place: MaybeUninit<Server<Peer>> = MaybeUninit::uninit(),
        runner_place: MaybeUninit<Runner<Flash>> = MaybeUninit::uninit(),
    ])]
    fn init(cx: init::Context) -> (Shared, Local) {
        // Arithmetic gives the default NaN, in this context and in every new one (ARMv7-M ARM, FPSCR.DN and FPDSCR).
        let fpu = cx.core.FPU;
        // SAFETY: changes nothing but how floats behave from here on.
        unsafe {
            core::arch::asm!("vmrs {0}, fpscr", "orr {0}, {0}, #0x2000000", "vmsr fpscr, {0}", out(reg) _);
            fpu.fpdscr.modify(|v| v | 1 << 25);
        }
        let dp = cx.device;
        let reset = chip::reset_cause(&dp.RCC);
        let mut missing = heapless::Vec::new();
        let (clock, mut rcc) = chip::clock(dp.RCC, &mut |what| {
            let _ = missing.push(what);
        });
        let hertz = rcc.clocks.sysclk().raw();
        let factory = chip::Factory::read();

        let (a, b, c) = (
            dp.GPIOA.split(&mut rcc),
            dp.GPIOB.split(&mut rcc),
            dp.GPIOC.split(&mut rcc),
        );
        let (d, e) = (dp.GPIOD.split(&mut rcc), dp.GPIOE.split(&mut rcc));
        let config = serial::config::Config::default();
        let line: Result<Serial<pac::USART2>, _> = Serial::new(
            dp.USART2,
            (d.pd5, d.pd6),
            config.baudrate(BAUD.bps()),
            &mut rcc,
        );
        let sonar: Result<Serial<pac::USART3>, _> = Serial::new(
            dp.USART3,
            (d.pd8, d.pd9),
            config.baudrate(9600.bps()),
            &mut rcc,
        );
        if line.is_err() || sonar.is_err() {
            // Only a clock too slow for the baud rate, which neither of the two is.
            unreachable!()
        }
        // What a byte of the line needs from here on is done with registers: a few instructions.
        rcc.ahb1enr().modify(|_, w| w.dma1en().set_bit());
        let dma = start_dma();
        DMA.store(dma, Relaxed);
        usart2().cr3().modify(|_, w| {
            w.dmar().bit(dma);
            w.eie().bit(dma)
        });
        usart2().cr1().modify(|_, w| w.rxneie().bit(!dma));
        // SAFETY: nobody else has it; `sonar` reads it from here on.
        let usart3 = unsafe { &*pac::USART3::ptr() };
        usart3.cr1().modify(|_, w| w.rxneie().set_bit());

        // Ethernet is looked for before the accelerometer, which shares a pin with it.
        let (_mdio, _mdc) = (
            a.pa2.into_alternate::<11>().speed(Speed::VeryHigh),
            c.pc1.into_alternate::<11>().speed(Speed::VeryHigh),
        );
        // Its reset is this pin's on ST's base board, and has nobody else to let it go. It answers a millisecond later.
        e.pe2.into_push_pull_output().set_high();
        cortex_m::asm::delay(hertz / 500);
        let parts = (dp.ETHERNET_MAC, dp.ETHERNET_DMA);
        let mut registers = ethernet::power(&rcc, &dp.SYSCFG, parts, rcc.clocks.hclk().raw());
        let transceiver = ethernet::transceiver(&mut registers);
        let hardware = factory.map_or([2, 0, 0, 0, 0, 1], |f| f.hardware());
        let mut gravity = None;
        let ethernet = if let Some(phy) = transceiver {
            let fast = Speed::VeryHigh;
            let _rmii = (
                a.pa1.into_alternate::<11>().speed(fast),
                a.pa7.into_alternate::<11>().speed(fast),
                c.pc4.into_alternate::<11>().speed(fast),
                c.pc5.into_alternate::<11>().speed(fast),
                b.pb11.into_alternate::<11>().speed(fast),
                b.pb12.into_alternate::<11>().speed(fast),
                b.pb13.into_alternate::<11>().speed(fast),
            );
            Ethernet::new(registers, phy, hardware, cx.local.frames, 0)
        } else {
            let mode = Mode {
                polarity: Polarity::IdleHigh,
                phase: Phase::CaptureOnSecondTransition,
            };
            let pins = (Some(a.pa5), Some(a.pa6), Some(a.pa7));
            let bus = Spi::new(dp.SPI1, pins, mode, 2.MHz(), &mut rcc);
            let mut select = e.pe3.into_push_pull_output();
            select.set_high();
            gravity = ExclusiveDevice::new_no_delay(bus, select)
                .ok()
                .and_then(|device| Accelerometer::new(device).ok());
            None
        };
        for (there, what) in [
            (ethernet.is_some(), "ethernet"),
            (gravity.is_some(), "accelerometer"),
        ] {
            if !there {
                let _ = missing.push(what);
            }
        }
        let calibration = factory.and_then(|f| {
            let (cold, hot, reference) = f.temperature;
            Calibration::new(cold, hot, reference)
        });
        let converter = Converter::new(&rcc, &dp.ADC_COMMON, dp.ADC1);

        let ticks = chip::systick(hertz);
        let mut timer = cx.core.SYST;
        timer.set_clock_source(cortex_m::peripheral::syst::SystClkSource::Core);
        timer.set_reload(ticks / 1000 - 1);
        timer.clear_current();
        timer.enable_counter();
        timer.enable_interrupt();
        let mut dog = IndependentWatchdog::new(dp.IWDG);
        dog.start(30_000.millis());

        #[cfg(not(feature = "qemu"))]
        let flash = {
            let (flash, there) = Flash::new(dp.FLASH);
            if !there {
                let _ = missing.push("flash");
            }
            flash
        };
        #[cfg(feature = "qemu")]
        let flash = Flash::new();
        #[cfg(not(feature = "qemu"))]
        let seed = seed(&rcc, &dp.RNG).unwrap_or_else(|| {
            // It differs from board to board, and the timer a little from reset to reset.
            let [x, y, z] = factory.map_or([0; 3], |f| f.number);
            let number = u64::from(x) << 32 ^ u64::from(y) << 16 ^ u64::from(z);
            number ^ u64::from(cortex_m::peripheral::SYST::get_current())
        });
        #[cfg(feature = "qemu")]
        let seed = crate::qemu::seed();

        let provision =
            Provision::read(flash.mapped(PROVISION, SLOTS - PROVISION)).unwrap_or_default();
        let slots = Slots::open(flash, SLOTS, SLOT);
        #[cfg(not(feature = "qemu"))]
        let region = chip::further_memory();
        #[cfg(feature = "qemu")]
        let region = {
            /// What is left of the other RAM.
            const SIZE: usize = 32 * 1024;
            static mut REGION: [u64; SIZE / 8] = [0; SIZE / 8];
            // SAFETY: `init` has the only reference and gives it away here.
            unsafe { core::slice::from_raw_parts_mut((&raw mut REGION).cast::<u8>(), SIZE) }
        };
        let board = Board {
            name: "stm32f407-discovery",
            class: CLASS,
            version: env!("CARGO_PKG_VERSION"),
            clock,
            hertz,
            reset,
            missing,
            sensors: SENSORS,
            memory: region.len() as u32,
            package: slots.capacity(),
            fuel: FUEL,
        };
        let limits = Limits {
            class: CLASS,
            fuel: FUEL,
            sensors: SENSORS,
        };
        let (server_memory, runner_memory) = cx.local.memory.split();
        let server =
            cx.local
                .server_place
                .write(Server::new(board, provision.clone(), server_memory, seed));
        server.trust(|peer| *peer == SERIAL);
        let runner = cx.local.runner_place.write(Runner::new(
            slots,
            region,
            provision,
            limits,
            runner_memory,
        ));
        let config = Config {
            hardware,
            seed,
            fixed: FIXED,
            patience: PATIENCE,
        };
        let (place, storage) = (cx.local.network_place, cx.local.storage_place);
        let network = ethernet.map(|ethernet| make_network(place, ethernet, storage, config));
        let (to_frame, to_send) = cx.local.tx.split();
        let (heard, to_parse) = cx.local.echoes.split();
        let (mut sensed, to_sample) = cx.local.samples.split();
        // No rain so far.
        let _ = sensed.enqueue((RAIN, 0.0));
        let pins = Pins {
            green: d.pd12.into_push_pull_output(),
            orange: d.pd13.into_push_pull_output(),
            red: d.pd14.into_push_pull_output(),
            blue: d.pd15.into_push_pull_output(),
        };
        let senses = Senses {
            level: Level::new(),
            gravity,
            gravity_due: 0,
            converter,
            calibration,
            first: None,
            converting: false,
            temperature_due: 0,
        };
        let line = Line {
            to_frame,
            circle: Circle::new(),
            decoder: link::Decoder::new(),
            unsent: 0,
            overrun: 0,
        };
        (
            Shared {},
            Local {
                server,
                runner,
                network,
                pins,
                dog,
                line,
                to_send,
                heard,
                to_parse,
                sensed,
                to_sample,
                senses,
                rain: Rain::new(d.pd10.into_pull_up_input()),
                button: a.pa0.into_pull_down_input(),
                ticks,
            },
        )
    }

    /// Sleeps until an interrupt is due, and counts the cycles. Interrupts wait meanwhile, so that none comes between the look
    /// whether there is anything to do and the sleep, and the counter can be read before they run.
    fn sleep() {
        cortex_m::interrupt::disable();
        if !SERVED.load(Relaxed) {
            let before = cortex_m::peripheral::SYST::get_current();
            cortex_m::asm::wfi();
            let after = cortex_m::peripheral::SYST::get_current();
            // It counts down, and wakes the CPU when it begins anew.
            let wrapped = cortex_m::peripheral::SCB::is_pendst_pending();
            let again = if wrapped {
                cortex_m::peripheral::SYST::get_reload() + 1
            } else {
                0
            };
            let slept = (before + again).saturating_sub(after);
            SLEPT.store(SLEPT.load(Relaxed).wrapping_add(slept), Relaxed);
        }
        // SAFETY: they were enabled before: `idle` runs with them.
        unsafe { cortex_m::interrupt::enable() };
    }

    #[idle(local = [runner, pins, dog, looked: u64 = 0])]
    fn idle(cx: idle::Context) -> ! {
        let idle::LocalResources {
            runner,
            pins,
            dog,
            looked,
            ..
        } = cx.local;
        // What was installed runs before the node says that it is ready.
        runner.step(pins);
        rtic::pend(SERVE);
        #[cfg(feature = "qemu")]
        cortex_m_semihosting::hprintln!("wasmote: ready");
        loop {
            dog.feed();
            SERVED.store(false, Relaxed);
            let step = runner.step(pins);
            if runner.has_mail() {
                rtic::pend(SERVE);
            }
            let now = millis();
            if now >= *looked {
                *looked = now + 500;
                STACK_FREE.store(crate::stack::free(), Relaxed);
            }
            if let Step::Idle(until) = step
                && until.is_none_or(|until| until > now)
            {
                sleep();
            }
        }
    }

    #[task(binds = SysTick, priority = 3, local = [
        sensed, rain, button, ticks, ms: u32 = 0, left: u32 = 0, waited: u8 = 0,
        pressed: Debounce = Debounce::new(false, BUTTON_STABLE),
    ])]
    fn tick(cx: tick::Context) {
        let now = MILLIS.load(Relaxed).wrapping_add(1);
        MILLIS.store(now, Relaxed);
        let _watch = Watch::start(TICK_TASK);
        *cx.local.ms += 1;
        if *cx.local.ms == 1000 {
            // `sleep` adds to it at a lower priority, and never while this runs.
            let slept = u64::from(SLEPT.swap(0, Relaxed));
            let share = slept * 1000 / u64::from(*cx.local.ticks);
            IDLE.store(share.min(1000) as u32, Relaxed);
            *cx.local.ms = 0;
        }
        // A sample that finds the queue full is followed by another: rain is a sum, a button is let go.
        if cx.local.rain.poll(u64::from(now)) {
            let _ = cx.local.sensed.enqueue((RAIN, cx.local.rain.millimetres()));
            rtic::pend(SERVE);
        }
        let down = cx.local.button.is_high();
        if let Some(down) = cx.local.pressed.push(u64::from(now), down) {
            let _ = cx.local.sensed.enqueue((BUTTON, f32::from(u8::from(down))));
            rtic::pend(SERVE);
        }
        // Looked at here, and not told by the USART when the line falls idle: clearing that takes a read of the data register,
        // which would now and then take a byte away from DMA.
        let left = stream().ndtr().read().bits();
        let came = DMA.load(Relaxed) && left != *cx.local.left;
        *cx.local.left = left;
        // A byte that DMA has not fetched for two milliseconds never will be: its controller is there, and does not work with
        // the USART (some emulators). The interrupt takes over where it stands.
        let waits = DMA.load(Relaxed) && !came && usart2().sr().read().rxne().bit_is_set();
        *cx.local.waited = if waits { *cx.local.waited + 1 } else { 0 };
        if *cx.local.waited > 2 {
            stream().cr().modify(|_, w| w.en().clear_bit());
            usart2().cr3().modify(|_, w| w.dmar().clear_bit());
            WRITTEN.store(CIRCLE as u32 - left.min(CIRCLE as u32), Relaxed);
            DMA.store(false, Relaxed);
            usart2().cr1().modify(|_, w| w.rxneie().set_bit());
        }
        // Every 20 ms also for what the server asks of sensors and the cable.
        if came || now >= DEADLINE.load(Relaxed) || now.is_multiple_of(20) {
            rtic::pend(SERVE);
        }
    }

    #[task(binds = USART2, priority = 5, local = [to_send])]
    fn line(cx: line::Context) {
        let usart = usart2();
        loop {
            // For each byte: on hardware there is one at a time.
            let _watch = Watch::start(LINE_TASK);
            let status = usart.sr().read();
            let lost = status.ore().bit_is_set();
            LOST.store(LOST.load(Relaxed).wrapping_add(lost.into()), Relaxed);
            if DMA.load(Relaxed) {
                // Errors alone come here, and reading the data register clears them. The checksum of the frame finds the byte.
                if lost || status.fe().bit_is_set() || status.nf().bit_is_set() {
                    let _ = usart.dr().read().bits();
                }
            } else if status.rxne().bit_is_set() || lost {
                take(usart.dr().read().bits() as u8);
                continue;
            }
            // One byte on hardware, and as many as there are where a byte takes no time.
            if status.txe().bit_is_clear() {
                return;
            }
            let byte = cx.local.to_send.dequeue();
            usart.cr1().modify(|_, w| w.txeie().bit(byte.is_some()));
            let Some(byte) = byte else {
                return;
            };
            // SAFETY: eight bits.
            usart.dr().write(|w| unsafe { w.bits(byte.into()) });
        }
    }

    /// Puts a byte into the circle, as DMA would.
    fn take(byte: u8) {
        let written = WRITTEN.load(Relaxed);
        if let Some(place) = RECEIVED.get(written as usize % CIRCLE) {
            place.store(byte, Relaxed);
        }
        let written = written.wrapping_add(1);
        WRITTEN.store(written, Relaxed);
        if written.is_multiple_of(CIRCLE as u32 / 2) {
            HALVES.fetch_add(1, Relaxed);
        }
        rtic::pend(SERVE);
    }

    #[task(binds = DMA1_STREAM5, priority = 5)]
    fn half(_: half::Context) {
        let _watch = Watch::start(HALF_TASK);
        // SAFETY: flags of this stream alone, of which this task is the only reader.
        let dma = unsafe { &*pac::DMA1::ptr() };
        let flags = dma.hisr().read();
        let filled = u32::from(flags.htif5().bit_is_set()) + u32::from(flags.tcif5().bit_is_set());
        dma.hifcr().write(|w| {
            w.chtif5().set_bit();
            w.ctcif5().set_bit();
            w.cteif5().set_bit()
        });
        HALVES.fetch_add(filled, Relaxed);
        rtic::pend(SERVE);
    }

    #[task(binds = USART3, priority = 4, local = [heard])]
    fn sonar(cx: sonar::Context) {
        // SAFETY: set up in `init`, used here alone.
        let usart = unsafe { &*pac::USART3::ptr() };
        loop {
            // As for `line`.
            let _watch = Watch::start(SONAR_TASK);
            let status = usart.sr().read();
            let noisy = status.fe().bit_is_set() || status.nf().bit_is_set();
            let damaged = noisy || status.ore().bit_is_set();
            if status.rxne().bit_is_clear() && !damaged {
                return;
            }
            let byte = usart.dr().read().bits() & 0xff;
            // When the server is that far behind, a newer reading will follow.
            let heard = byte | if damaged { DAMAGED } else { 0 };
            let _ = cx.local.heard.enqueue(heard);
            rtic::pend(SERVE);
        }
    }

    #[task(binds = ETH, priority = 4)]
    fn frames(_: frames::Context) {
        let _watch = Watch::start(FRAMES_TASK);
        ethernet::quiet();
        rtic::pend(SERVE);
    }

    /// Asks the sensors that have to be asked, and tells what they say.
    fn sense(
        senses: &mut Senses,
        now: u64,
        server: &mut Server<Peer>,
        out: &mut impl FnMut(Peer, &[u8]),
    ) {
        if now >= senses.gravity_due {
            senses.gravity_due = now + ACCELERATION_EVERY;
            if let Some(gravity) = &mut senses.gravity {
                let read = gravity.read();
                server.missing(now, "accelerometer", read.is_err());
                for (axis, value) in read.into_iter().flatten().enumerate() {
                    server.sample(now, ACCELERATION + axis as u8, value, out);
                }
            }
            server.missing(now, "level", !senses.level.answers(now));
        }
        if !senses.converting {
            if now < senses.temperature_due {
                return;
            }
            senses.temperature_due = now + TEMPERATURE_EVERY;
            senses.converter.start(converter::TEMPERATURE);
            (senses.first, senses.converting) = (None, true);
            return;
        }
        let value = senses.converter.done();
        if let Some(value) = value
            && senses.first.is_none()
        {
            senses.first = Some(value);
            senses.converter.start(converter::REFERENCE);
            return;
        }
        if value.is_none() && now < senses.temperature_due {
            return;
        }
        senses.converting = false;
        let readings = senses.first.zip(value).zip(senses.calibration);
        let celsius = readings.and_then(|((sensor, reference), c)| c.celsius(sensor, reference));
        server.missing(now, "temperature", celsius.is_none());
        if let Some(celsius) = celsius {
            server.sample(now, TEMPERATURE, celsius, out);
        }
    }

    #[task(binds = SPI3, priority = 2, local = [server, network, line, senses, to_parse, to_sample])]
    fn serve(cx: serve::Context) {
        let _watch = Watch::start(SERVE_TASK);
        let serve::LocalResources {
            server,
            network,
            line,
            senses,
            to_parse,
            to_sample,
            ..
        } = cx.local;
        let now = millis();
        let mut again = None;
        if let Some((ethernet, interface)) = network {
            ethernet.poll(now);
            let up = ethernet.up;
            again = interface.poll(
                now,
                up,
                &mut ethernet.device,
                || true,
                |from, many, datagram, output| {
                    let mut out = |to, datagram: &[u8]| match to {
                        SERIAL => line.send(datagram),
                        to => output.send(to, datagram),
                    };
                    server.receive(now, from, many, datagram, &mut out);
                },
            );
        }

        // What came by the serial line. Its decoder is put aside while answers leave by the same line.
        let halves = HALVES.swap(0, Relaxed);
        let left = if DMA.load(Relaxed) {
            stream().ndtr().read().bits() as usize
        } else {
            CIRCLE - WRITTEN.load(Relaxed) as usize % CIRCLE
        };
        let (places, lost) = line.circle.advance(left, halves);
        line.overrun = line.overrun.wrapping_add(lost as u32);
        let mut decoder = core::mem::take(&mut line.decoder);
        let mut output = network
            .as_mut()
            .map(|(ethernet, interface)| interface.output(now, &mut ethernet.device));
        let mut out = |to, datagram: &[u8]| match (to, &mut output) {
            (SERIAL, _) => line.send(datagram),
            (to, Some(output)) => output.send(to, datagram),
            (_, None) => {}
        };
        for byte in places.filter_map(|at| RECEIVED.get(at)) {
            if let Some(datagram) = decoder.push(byte.load(Relaxed)) {
                server.receive(now, SERIAL, false, datagram, &mut out);
            }
        }

        while let Some(heard) = to_parse.dequeue() {
            if heard & DAMAGED != 0 {
                senses.level.lost();
            } else if let Some(level) = senses.level.push(now, heard as u8) {
                server.sample(now, LEVEL, f32::from(level), &mut out);
            }
        }
        while let Some((sensor, value)) = to_sample.dequeue() {
            server.sample(now, sensor, value, &mut out);
        }
        sense(senses, now, server, &mut out);
        let deadline = server.poll(now, &mut out);
        line.decoder = decoder;
        if line.to_frame.is_empty()
            && let Some(text) = server.take_line()
        {
            line.show(text);
        }

        let gauges = server.gauges();
        gauges.idle = IDLE.load(Relaxed) as u16;
        gauges.link_lost = LOST.load(Relaxed).wrapping_add(line.overrun);
        gauges.link_damaged = line.decoder.damaged;
        gauges.link_unsent = line.unsent;
        gauges.tasks = &LONGEST;
        gauges.stack_size = crate::stack::size();
        gauges.stack_free = STACK_FREE.load(Relaxed);
        if let Some((ethernet, interface)) = network {
            let (counters, frames) = (interface.counters(), ethernet.device.counters);
            gauges.link_lost = gauges.link_lost.wrapping_add(ethernet.missed);
            gauges.link_damaged += frames.damaged + frames.unfit;
            gauges.link_unsent += counters.unsent + counters.unroutable;
            let (address, origin) = interface.address();
            (gauges.address, gauges.origin) = (address, origin.name());
        }
        let next = deadline.into_iter().chain(again).min();
        DEADLINE.store(next.map_or(u32::MAX, |d| d as u32), Relaxed);
        if again.is_some_and(|at| at <= now) {
            rtic::pend(SERVE);
        }
        SERVED.store(true, Relaxed);
    }
}
