//! Wasmote on the STM32F407: the Discovery board, alone or on a base board with Ethernet.
//!
//! | task    | trigger                                       | priority | longest time                                    |
//! | ------- | --------------------------------------------- | -------- | ----------------------------------------------- |
//! | `line`  | USART2: a byte can be sent, or came damaged   | 5        | 0.5 µs: a byte, some 50 instructions            |
//! | `half`  | DMA1 stream 5: half of the circle was filled  | 5        | 0.5 µs: a few register accesses                 |
//! | `sonar` | USART3: a byte of the level sensor            | 4        | 10 µs: a byte, with what `line` interrupts      |
//! | `frames`| Ethernet: a frame came, or was sent           | 4        | 10 µs: one register access, and as above        |
//! | `tick`  | SysTick, every millisecond                    | 3        | 10 µs: two pins, and as above                   |
//! | `serve` | pended by the tasks above and by the Runner   | 2        | 3 ms; in a flood its share, 5 ms, and an answer |
//! | `idle`  | always                                        | 0        | a slice of fuel; 0.5 s: a sector that is erased |
//!
//! Each task measures itself; the figures of a node are in its /stats, those of a busy one in QEMU in docs/benchmarks/tasks.md.
//!
//! The server is an interrupt of its own (one the board has no other use for), so that waking it while it runs makes it run
//! again. Nothing is locked: what two tasks share goes through queues with one end each, or is one word. The
//! watchdog is fed only by the Runner, which runs only when nothing above it keeps the CPU; its 30 s are longer than
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
mod dog;
mod ethernet;
#[cfg(not(feature = "qemu"))]
mod flash;
mod line;
mod senses;
mod watch;

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    #[cfg(feature = "qemu")]
    cortex_m_semihosting::hprintln!("panic: {}", _info);
    chip::panicked()
}

#[rtic::app(device = stm32f4xx_hal::pac, peripherals = true)]
mod app {
    use crate::chip;
    use crate::converter::Converter;
    use crate::dog::Dog;
    use crate::ethernet::{self, Ethernet, Frames};
    use crate::line::{In, Look, Out};
    use crate::senses::{self, Senses};
    use crate::watch::{FRAMES_TASK, LONGEST, SERVE_TASK, SONAR_TASK, TICK_TASK, Watch};
    use core::mem::MaybeUninit;
    use core::net::Ipv4Addr;
    use core::sync::atomic::Ordering::Relaxed;
    use core::sync::atomic::{AtomicBool, AtomicU32};
    use heapless::spsc::{Consumer, Producer, Queue};
    use stm32f4xx_hal::gpio::{Input, Output as PushPull, Pin};
    use stm32f4xx_hal::pac::{self, Interrupt};
    use stm32f4xx_hal::prelude::*;
    use stm32f4xx_hal::rcc::Rcc;
    use stm32f4xx_hal::serial::{self, Serial};
    use wasmote_cortex_m::clock::Alarm;
    use wasmote_cortex_m::layout::{PROVISION, SLOT, SLOTS};
    use wasmote_cortex_m::ranger::DAMAGED;
    use wasmote_cortex_m::sensors::{BUTTON, RAIN, SHARED, sensor};
    use wasmote_cortex_m::share::Share;
    use wasmote_cortex_m::time::{self, CLOCK, micros, millis};
    use wasmote_cortex_m::{floats, stack};
    use wasmote_net::{Config, Endpoint, Fixed, Interface, Storage};
    use wasmote_node::contract::limits::FUEL;
    use wasmote_node::slot::{Flash as _, Slots};
    use wasmote_node::{
        Arena, Board, Directory, Io, Keyring, Limits, Memory, Provision, Runner, Sensor, Server,
        Step,
    };
    use wasmote_sensors::temperature::Calibration;
    use wasmote_sensors::{Debounce, Rain};

    #[cfg(not(feature = "qemu"))]
    use crate::flash::Flash;
    #[cfg(feature = "qemu")]
    use wasmote_cortex_m::semihosting::{self, Flash};

    /// Fuel for a run.
    /// The class of boards that packages name.
    const CLASS: &str = "stm32f407";
    const SENSORS: &[Sensor] = {
        let [level, rain, temperature, button] = SHARED;
        const AXES: [Sensor; 3] = [
            sensor("ax", "m/s2"),
            sensor("ay", "m/s2"),
            sensor("az", "m/s2"),
        ];
        let [x, y, z] = AXES;
        &[level, rain, temperature, button, x, y, z]
    };
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
    /// When the server wants to be woken.
    static DEADLINE: Alarm = Alarm::new();
    /// Cycles that the CPU slept in this second, and thousandths of the last second in which it did.
    static SLEPT: AtomicU32 = AtomicU32::new(0);
    static IDLE: AtomicU32 = AtomicU32::new(0);
    /// The server has run since the Runner last looked, and may have left it something.
    static SERVED: AtomicBool = AtomicBool::new(false);
    /// Bytes of the stack that were never used.
    static STACK_FREE: AtomicU32 = AtomicU32::new(u32::MAX);

    /// Where a client is. Not an enum: a table of clients that is all zeros when empty needs no place in flash.
    type Peer = Endpoint;
    /// At the other end of the serial line: what no UDP client has.
    const SERIAL: Peer = Endpoint {
        address: Ipv4Addr::UNSPECIFIED,
        port: 0,
    };

    /// The MAC, and the stack on it.
    pub type Network = (Ethernet, Interface);
    #[shared]
    struct Shared {}

    #[local]
    struct Local {
        server: &'static mut Server<Peer>,
        runner: &'static mut Runner<Flash>,
        network: Option<&'static mut Network>,
        pins: Pins,
        dog: Dog,
        line_in: In,
        line_out: Out,
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
            semihosting::gpio(pin, high);
        }

        #[cfg(not(feature = "qemu"))]
        fn random(&mut self) -> Option<[u8; 32]> {
            chip::random()
        }

        #[cfg(feature = "qemu")]
        fn random(&mut self) -> Option<[u8; 32]> {
            semihosting::random()
        }
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

    /// Sets both serial lines up: the link's, and the level sensor's with its interrupt.
    fn serial_lines(
        link: (pac::USART2, Pin<'D', 5>, Pin<'D', 6>),
        ranger: (pac::USART3, Pin<'D', 8>, Pin<'D', 9>),
        rcc: &mut Rcc,
    ) {
        let rate = |baud: u32| serial::config::Config::default().baudrate(baud.bps());
        let line: Result<Serial<pac::USART2>, _> =
            Serial::new(link.0, (link.1, link.2), rate(BAUD), rcc);
        let sonar: Result<Serial<pac::USART3>, _> =
            Serial::new(ranger.0, (ranger.1, ranger.2), rate(9600), rcc);
        if line.is_err() || sonar.is_err() {
            // Only a clock too slow for the baud rate, which neither of the two is.
            unreachable!()
        }
        // SAFETY: nobody else has it; the task `sonar` reads it from here on.
        let usart3 = unsafe { &*pac::USART3::ptr() };
        usart3.cr1().modify(|_, w| w.rxneie().set_bit());
    }

    /// The chip's flash, and whether it can be read out.
    #[cfg(not(feature = "qemu"))]
    fn open_flash(
        parts: pac::FLASH,
        missing: &mut impl FnMut(&'static str),
    ) -> (Flash, Option<bool>) {
        let (flash, there) = Flash::new(parts);
        if !there {
            missing("flash");
        }
        let readout = there.then(|| flash.readout());
        (flash, readout)
    }

    /// A file's, mirrored in the memory that is the module's otherwise.
    #[cfg(feature = "qemu")]
    fn open_flash(_: pac::FLASH, _: &mut impl FnMut(&'static str)) -> (Flash, Option<bool>) {
        let memory = chip::further_memory();
        assert!(memory.len() >= semihosting::SIZE as usize);
        // SAFETY: as many bytes as it wants, of memory that is given away here.
        (unsafe { Flash::new(memory.as_mut_ptr()) }, None)
    }

    /// Where modules run.
    #[cfg(not(feature = "qemu"))]
    fn module_memory() -> &'static mut [u8] {
        chip::further_memory()
    }

    /// The other RAM, of which QEMU's image leaves less: its flash is where modules run on a chip.
    #[cfg(feature = "qemu")]
    fn module_memory() -> &'static mut [u8] {
        const SIZE: usize = 20 * 1024 + 104;
        static mut REGION: [u64; SIZE / 8] = [0; SIZE / 8];
        // SAFETY: `init` has the only reference, and calls this once.
        unsafe { core::slice::from_raw_parts_mut((&raw mut REGION).cast::<u8>(), SIZE) }
    }

    /// Bytes of the place for compiled code: RAM that instructions are fetched from, which the CCM is not (RM0090 §2.3.1).
    /// QEMU's image has what is left.
    const CODE: usize = if cfg!(feature = "qemu") {
        6_272
    } else {
        20 * 1024
    };

    /// The place for compiled code.
    fn code_memory() -> Arena {
        static mut CODE_MEMORY: MaybeUninit<[u32; CODE / 4]> = MaybeUninit::uninit();
        // SAFETY: RAM that may be executed, and `init`, which runs once, has the only reference.
        unsafe { Arena::new((&raw mut CODE_MEMORY).cast(), CODE as u32) }
    }

    /// Looks for the resource directory that was provisioned, and registers there (RFC 9176 §5).
    fn register_at(
        directory: Directory,
        interface: &mut Interface,
        server: &mut Server<Peer>,
        seed: u64,
    ) {
        let to = Endpoint {
            address: directory.address.into(),
            port: directory.port,
        };
        interface.seek(to);
        server.register(0, to, directory.lifetime, seed);
    }

    /// The thermometer's calibration, which the factory measured.
    fn calibrated(factory: chip::Factory) -> Option<Calibration> {
        let (cold, hot, reference) = factory.temperature;
        Calibration::new(cold, hot, reference)
    }

    /// What this board is, but for what only its start can tell.
    const fn describe() -> Board {
        Board {
            name: "stm32f407-discovery",
            class: CLASS,
            version: env!("CARGO_PKG_VERSION"),
            clock: "",
            hertz: 0,
            reset: "",
            missing: heapless::Vec::new(),
            readout: None,
            sensors: SENSORS,
            memory: 0,
            package: 0,
            fuel: FUEL,
        }
    }

    #[init(local = [
        tx: Queue<u8, 4096> = Queue::new(),
        echoes: Queue<u16, 64> = Queue::new(),
        samples: Queue<(u8, f32), 16> = Queue::new(),
        memory: Memory<Peer> = Memory::new(),
        frames: Frames = Frames::new(),
        storage_place: MaybeUninit<Storage> = MaybeUninit::uninit(),
        network_place: MaybeUninit<Network> = MaybeUninit::uninit(),
        arena_place: MaybeUninit<Arena> = MaybeUninit::uninit(),
        server_place: MaybeUninit<Server<Peer>> = MaybeUninit::uninit(),
        runner_place: MaybeUninit<Runner<Flash>> = MaybeUninit::uninit(),
    ])]
    fn init(cx: init::Context) -> (Shared, Local) {
        floats::give_default_nan(&cx.core.FPU);
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
        serial_lines(
            (dp.USART2, d.pd5, d.pd6),
            (dp.USART3, d.pd8, d.pd9),
            &mut rcc,
        );
        crate::line::start(&rcc);

        // Ethernet is looked for before the accelerometer, which shares a pin with it. The transceiver's reset is this pin's on
        // ST's base board, and has nobody else to let it go. It answers a millisecond later.
        ethernet::management_pins(a.pa2, c.pc1);
        e.pe2.into_push_pull_output().set_high();
        cortex_m::asm::delay(hertz / 500);
        let parts = (dp.ETHERNET_MAC, dp.ETHERNET_DMA);
        let mut registers = ethernet::power(&rcc, &dp.SYSCFG, parts, rcc.clocks.hclk().raw());
        let transceiver = ethernet::transceiver(&mut registers);
        let hardware = factory.map_or([2, 0, 0, 0, 0, 1], |f| f.hardware());
        let (ethernet, gravity) = if let Some(phy) = transceiver {
            ethernet::data_pins((a.pa1, a.pa7), (b.pb11, b.pb12, b.pb13), (c.pc4, c.pc5));
            let ethernet = Ethernet::new(registers, phy, hardware, cx.local.frames, 0);
            (ethernet, None)
        } else {
            let pins = (a.pa5, a.pa6, a.pa7);
            let gravity = senses::accelerometer(dp.SPI1, pins, e.pe3, &mut rcc);
            (None, gravity)
        };
        for (there, what) in [
            (ethernet.is_some(), "ethernet"),
            (gravity.is_some(), "accelerometer"),
        ] {
            if !there {
                let _ = missing.push(what);
            }
        }
        let calibration = factory.and_then(calibrated);
        let converter = Converter::new(&rcc, &dp.ADC_COMMON, dp.ADC1);

        let ticks = chip::systick(hertz);
        let mut timer = cx.core.SYST;
        time::start(&mut timer, ticks);
        let dog = Dog::start(dp.IWDG);

        let (flash, readout) = open_flash(dp.FLASH, &mut |what| {
            let _ = missing.push(what);
        });
        #[cfg(not(feature = "qemu"))]
        let seed = chip::seed(&rcc, &dp.RNG, factory);
        #[cfg(feature = "qemu")]
        let seed = u128::from(semihosting::seed());

        let provision = Provision::find(flash.mapped(PROVISION, SLOTS - PROVISION));
        let slots = Slots::open(flash, SLOTS, SLOT);
        let keyring = Keyring::load(&slots, &provision);
        let region = module_memory();
        let board = Board {
            clock,
            hertz,
            reset,
            missing,
            readout,
            memory: region.len() as u32,
            package: slots.capacity(),
            ..describe()
        };
        let limits = Limits {
            class: CLASS,
            fuel: FUEL,
            sensors: SENSORS,
        };
        let (server_memory, runner_memory) = cx.local.memory.split();
        let server = cx.local.server_place.write(Server::new(
            board,
            provision.clone(),
            &keyring,
            server_memory,
            seed,
            Some(Endpoint::host),
        ));
        let arena = cx.local.arena_place.write(code_memory());
        server.trust(|peer| *peer == SERIAL);
        let directory = provision.directory;
        let runner = cx.local.runner_place.write(Runner::new(
            slots,
            region,
            provision,
            limits,
            runner_memory,
        ));
        runner.compile_into(arena);
        let config = Config {
            hardware,
            seed: seed as u64,
            fixed: FIXED,
            patience: PATIENCE,
        };
        let (place, storage) = (cx.local.network_place, cx.local.storage_place);
        let mut network = ethernet.map(|ethernet| make_network(place, ethernet, storage, config));
        if let (Some(directory), Some((_, interface))) = (directory, network.as_deref_mut()) {
            register_at(directory, interface, server, (seed >> 64) as u64);
        }
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
        let senses = Senses::new(gravity, converter, calibration);
        (
            Shared {},
            Local {
                server,
                runner,
                network,
                pins,
                dog,
                line_in: In::new(),
                line_out: Out::new(to_frame),
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
                STACK_FREE.store(stack::free(), Relaxed);
            }
            if let Step::Idle(until) = step
                && until.is_none_or(|until| until > now)
            {
                sleep();
            }
        }
    }

    #[task(binds = SysTick, priority = 3, local = [
        sensed, rain, button, ticks, ms: u32 = 0, look: Look = Look::new(),
        pressed: Debounce = Debounce::new(false, BUTTON_STABLE),
    ])]
    fn tick(cx: tick::Context) {
        let now = CLOCK.tick();
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
        if cx.local.rain.poll(now) {
            let _ = cx.local.sensed.enqueue((RAIN, cx.local.rain.millimetres()));
            rtic::pend(SERVE);
        }
        let down = cx.local.button.is_high();
        if let Some(down) = cx.local.pressed.push(now, down) {
            let _ = cx.local.sensed.enqueue((BUTTON, f32::from(u8::from(down))));
            rtic::pend(SERVE);
        }
        let came = cx.local.look.look();
        // Every 20 ms also for what the server asks of sensors and the cable.
        if came || DEADLINE.is_due(now) || now.is_multiple_of(20) {
            rtic::pend(SERVE);
        }
    }

    #[task(binds = USART2, priority = 5, local = [to_send])]
    fn line(cx: line::Context) {
        crate::line::interrupt(cx.local.to_send, || rtic::pend(SERVE));
    }

    #[task(binds = DMA1_STREAM5, priority = 5)]
    fn half(_: half::Context) {
        crate::line::half();
        rtic::pend(SERVE);
    }

    #[task(binds = USART3, priority = 4, local = [heard])]
    fn sonar(cx: sonar::Context) {
        // SAFETY: set up in `init`, used only here.
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

    #[task(binds = SPI3, priority = 2, local = [
        server, network, line_in, line_out, senses, to_parse, to_sample, share: Share = Share::new(),
    ])]
    fn serve(cx: serve::Context) {
        let _watch = Watch::start(SERVE_TASK);
        let serve::LocalResources {
            server,
            network,
            line_in,
            line_out,
            senses,
            to_parse,
            to_sample,
            share,
            ..
        } = cx.local;
        let now = millis();
        let mut again = None;
        share.rested(micros());
        if let Some((ethernet, interface)) = network {
            ethernet.poll(now);
            let up = ethernet.up;
            again = interface.poll(
                now,
                up,
                &mut ethernet.device,
                || share.worked(micros()),
                |from, many, datagram, output| {
                    let mut out = |to, datagram: &[u8]| match to {
                        SERIAL => line_out.send(datagram),
                        to => output.send(to, datagram),
                    };
                    server.receive(now, from, many, datagram, &mut out);
                },
            );
        }
        let mut output = network
            .as_mut()
            .map(|(ethernet, interface)| interface.output(now, &mut ethernet.device));
        let mut out = |to, datagram: &[u8]| match (to, &mut output) {
            (SERIAL, _) => line_out.send(datagram),
            (to, Some(output)) => output.send(to, datagram),
            (_, None) => {}
        };
        let done = line_in.receive(
            || share.worked(micros()),
            |datagram| server.receive(now, SERIAL, false, datagram, &mut out),
        );
        // Once the share is spent, what comes stays in the MAC's ring and in the circle; neither makes interrupts when it is full.
        if !share.worked(micros()) || !done {
            again = Some(now + share.again());
        }

        senses.listen(now, to_parse, server, &mut out);
        while let Some((sensor, value)) = to_sample.dequeue() {
            server.sample(now, sensor, value, &mut out);
        }
        senses.ask(now, server, &mut out);
        let deadline = server.poll(now, &mut out);
        if line_out.is_idle()
            && let Some(text) = server.take_line()
        {
            line_out.show(text);
        }

        let gauges = server.gauges();
        gauges.idle = IDLE.load(Relaxed) as u16;
        gauges.link_lost = line_in.lost();
        gauges.link_damaged = line_in.damaged();
        gauges.link_unsent = line_out.unsent;
        gauges.tasks = &LONGEST;
        gauges.stack_size = stack::size();
        gauges.stack_free = STACK_FREE.load(Relaxed);
        if let Some((ethernet, interface)) = network {
            let (counters, frames) = (interface.counters(), ethernet.device.counters);
            gauges.link_lost = gauges.link_lost.wrapping_add(ethernet.missed);
            gauges.link_damaged += frames.damaged + frames.unfit;
            gauges.link_unsent += counters.unsent + counters.unroutable;
            let (address, origin) = interface.address();
            let moved = address.is_some() && address != gauges.address;
            (gauges.address, gauges.origin) = (address, origin.name());
            if moved {
                server.moved(now);
            }
        }
        DEADLINE.set(now, deadline.into_iter().chain(again).min());
        if again.is_some_and(|at| at <= now) {
            rtic::pend(SERVE);
        }
        SERVED.store(true, Relaxed);
    }
}
