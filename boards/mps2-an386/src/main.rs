//! Wasmote on an emulated Cortex-M4F with Ethernet: the same node as on the STM32F407, on a real IP stack, for the tests.
//!
//! | task     | trigger                                        | priority | longest time                                 |
//! | -------- | ---------------------------------------------- | -------- | -------------------------------------------- |
//! | `frames` | Ethernet: a frame came, or the link changed    | 4        | two register accesses                        |
//! | `lines`  | UART 0: a byte of `sample NAME VALUE`          | 4        | a line of 48 bytes                           |
//! | `level`  | UART 1: a byte of the level sensor             | 4        | a few register accesses                      |
//! | `tick`   | SysTick, every millisecond                     | 3        | a few loads; wakes the server at its deadline|
//! | `serve`  | pended by the tasks above and by the Runner    | 2        | its share of 5 ms, and one answer more       |
//! | `idle`   | always                                         | 0        | the Runner, a slice of fuel at a time        |
//!
//! The server is an interrupt of its own (one the board has no other use for), so that waking it while it runs makes it run
//! again. Nothing is locked: what two tasks share goes through queues with one end each, or is one word.
#![no_std]
#![no_main]

mod chip;
mod lan9118;
mod samples;
mod uart;

/// The PSRAM (AN386 §3.1), which memory.x gives to nobody: the slots' flash, behind it a word that outlives resets, and the
/// modules' memory.
const PSRAM: usize = 0x2100_0000;
/// Where flash is mirrored.
pub const MIRROR: *mut u8 = PSRAM as *mut u8;
const KEPT: usize = PSRAM + 0x1_0000;
/// Where modules run: beside the RAM of DMA and stack, as the STM32F407 has its CCM.
pub const MODULES: *mut u8 = (PSRAM + 0x2_0000) as *mut u8;

/// What the word that outlives resets says: the node ran, or it panicked.
const RAN: u32 = 0x5741_534d;
const PANICKED: u32 = 0x5041_4e49;

/// Why there was a reset. QEMU has no register for that.
fn reset_cause() -> &'static str {
    let kept = KEPT as *mut u32;
    // SAFETY: RAM that nothing else uses.
    match unsafe { kept.replace(RAN) } {
        RAN => "pin",
        PANICKED => "software",
        _ => "power on",
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    cortex_m_semihosting::hprintln!("panic: {}", info);
    // SAFETY: RAM that nothing else uses.
    unsafe { (KEPT as *mut u32).write(PANICKED) };
    cortex_m::peripheral::SCB::sys_reset()
}

#[rtic::app(device = crate::chip, peripherals = false)]
mod app {
    use crate::chip::{Interrupt, Registers};
    use crate::lan9118::Lan9118;
    use crate::samples::Samples;
    use crate::uart::Uart;
    use core::mem::MaybeUninit;
    use core::net::Ipv4Addr;
    use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
    use heapless::spsc::{Consumer, Producer, Queue};
    use wasmote_cortex_m::clock::Alarm;
    use wasmote_cortex_m::layout::{PROVISION, SLOT, SLOTS};
    use wasmote_cortex_m::ranger::Ranger;
    use wasmote_cortex_m::semihosting::{self, Flash};
    use wasmote_cortex_m::sensors::SHARED;
    use wasmote_cortex_m::share::Share;
    use wasmote_cortex_m::time::{self, CLOCK, micros, millis};
    use wasmote_cortex_m::{floats, stack};
    use wasmote_net::{Config, Endpoint, Fixed, Interface, Storage};
    use wasmote_node::contract::limits::FUEL;
    use wasmote_node::slot::{Flash as _, Slots};
    use wasmote_node::{
        Arena, Board, Io, Keyring, Limits, Memory, Provision, Runner, Sensor, Server, Step,
    };

    /// Bytes for modules, and fuel for a run: as on the STM32F407.
    const MEMORY: usize = 64 * 1024;
    /// The class of boards that packages name.
    const CLASS: &str = "mps2-an386";
    const SENSORS: &[Sensor] = &SHARED;
    /// QEMU's user network, where nobody else can be.
    const FIXED: Fixed = Fixed {
        address: Ipv4Addr::new(10, 0, 2, 15),
        prefix: 24,
        gateway: Some(Ipv4Addr::new(10, 0, 2, 2)),
    };
    const PATIENCE: u64 = 5_000;
    /// The processor's clock (AN386 §3.8).
    const HERTZ: u32 = 25_000_000;
    /// The interrupt that is the server's.
    const SERVE: Interrupt = Interrupt::DUALTIMER;
    // SAFETY: the addresses of AN386 §3.2 and §3.4.
    const UART0: Registers = unsafe { Registers::new(0x4000_4000) };
    // SAFETY: as above.
    const UART1: Registers = unsafe { Registers::new(0x4000_5000) };
    // SAFETY: as above.
    const CONTROLLER: Registers = unsafe { Registers::new(0x4020_0000) };

    /// When the server wants to be woken.
    static DEADLINE: Alarm = Alarm::new();
    /// Whether the CPU sleeps, and in how many of the last thousand milliseconds it did.
    static ASLEEP: AtomicBool = AtomicBool::new(false);
    static IDLE: AtomicU32 = AtomicU32::new(0);
    /// Whether the node can be reached: it has an address, or there is no network to have one in.
    static REACHABLE: AtomicBool = AtomicBool::new(false);

    /// The controller, and the stack on it.
    type Network = (Lan9118, Interface);

    /// How long answers took, for the benchmarks: from the interrupt of the request's frame until the answer's was handed over,
    /// in ticks of the Ethernet controller's 25 MHz. The newest that many; the line `times` prints them.
    static TIMES: [AtomicU32; 256] = [const { AtomicU32::new(0) }; 256];
    static TIMED: AtomicU32 = AtomicU32::new(0);
    static ARRIVED: AtomicU32 = AtomicU32::new(0);

    #[shared]
    struct Shared {}

    #[local]
    struct Local {
        server: &'static mut Server<Endpoint>,
        runner: &'static mut Runner<Flash>,
        /// Nothing when the controller does not start.
        network: Option<&'static mut Network>,
        lines_in: Uart,
        level_in: Uart,
        named: Producer<'static, (u8, f32)>,
        to_name: Consumer<'static, (u8, f32)>,
        heard: Producer<'static, u8>,
        to_parse: Consumer<'static, u8>,
    }

    struct Pins;

    impl Io for Pins {
        fn micros(&mut self) -> u64 {
            micros()
        }

        fn gpio(&mut self, pin: u8, high: bool) {
            semihosting::gpio(pin, high);
        }

        fn random(&mut self) -> Option<[u8; 32]> {
            semihosting::random()
        }
    }

    /// Bytes of the place for compiled code, as on the STM32F407.
    const CODE: usize = 20 * 1024;

    /// The place for compiled code.
    fn code_memory() -> Arena {
        static mut CODE_MEMORY: MaybeUninit<[u32; CODE / 4]> = MaybeUninit::uninit();
        // SAFETY: RAM that may be executed, and `init`, which runs once, has the only reference.
        unsafe { Arena::new((&raw mut CODE_MEMORY).cast(), CODE as u32) }
    }

    /// In a function of its own, so that the stack need not hold what moves to its place and all of `init` at once.
    #[inline(never)]
    fn network(
        place: &'static mut MaybeUninit<Network>,
        storage: &'static mut Storage,
        seed: u64,
    ) -> Option<&'static mut Network> {
        let mut chip = Lan9118::new(CONTROLLER).ok()?;
        let config = Config {
            hardware: chip.hardware().ok()?,
            seed,
            fixed: FIXED,
            patience: PATIENCE,
        };
        let interface = Interface::new(config, &mut chip, storage, 0);
        Some(place.write((chip, interface)))
    }

    #[init(local = [
        names: Queue<(u8, f32), 64> = Queue::new(),
        echoes: Queue<u8, 64> = Queue::new(),
        memory: Memory<Endpoint> = Memory::new(),
        storage: Storage = Storage::new(),
        network_place: MaybeUninit<Network> = MaybeUninit::uninit(),
        arena_place: MaybeUninit<Arena> = MaybeUninit::uninit(),
        server_place: MaybeUninit<Server<Endpoint>> = MaybeUninit::uninit(),
        runner_place: MaybeUninit<Runner<Flash>> = MaybeUninit::uninit(),
    ])]
    fn init(cx: init::Context) -> (Shared, Local) {
        floats::give_default_nan(&cx.core.FPU);
        let reset = crate::reset_cause();
        let mut timer = cx.core.SYST;
        time::start(&mut timer, HERTZ);

        // SAFETY: RAM that memory.x gives to nobody.
        let flash = unsafe { Flash::new(crate::MIRROR) };
        let seed = semihosting::seed();
        let provision = Provision::find(flash.mapped(PROVISION, SLOTS - PROVISION));
        let slots = Slots::open(flash, SLOTS, SLOT);
        let keyring = Keyring::load(&slots, &provision);
        let mut missing = heapless::Vec::new();
        let mut network = network(cx.local.network_place, cx.local.storage, seed);
        if network.is_none() {
            let _ = missing.push("ethernet");
        }
        let board = Board {
            name: "mps2-an386",
            class: CLASS,
            version: env!("CARGO_PKG_VERSION"),
            clock: "crystal",
            hertz: HERTZ,
            reset,
            missing,
            readout: None,
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
        // SAFETY: RAM that nothing else uses, zeroed as static memory is; `init` runs once.
        let region = unsafe {
            core::ptr::write_bytes(crate::MODULES, 0, MEMORY);
            core::slice::from_raw_parts_mut(crate::MODULES, MEMORY)
        };
        let directory = provision.directory;
        let server = cx.local.server_place.write(Server::new(
            board,
            provision.clone(),
            &keyring,
            server_memory,
            seed.into(),
            Some(Endpoint::host),
        ));
        if let (Some(directory), Some((_, interface))) = (directory, network.as_deref_mut()) {
            let to = Endpoint {
                address: directory.address.into(),
                port: directory.port,
            };
            interface.seek(to);
            server.register(0, to, directory.lifetime, seed.rotate_left(29));
        }
        let runner = cx.local.runner_place.write(Runner::new(
            slots,
            region,
            provision,
            limits,
            runner_memory,
        ));
        runner.compile_into(cx.local.arena_place.write(code_memory()));
        let (named, to_name) = cx.local.names.split();
        let (heard, to_parse) = cx.local.echoes.split();
        (
            Shared {},
            Local {
                server,
                runner,
                network,
                // As fast as it goes: what sends to an emulated port waits until the byte was read.
                lines_in: Uart::new(UART0, 16),
                level_in: Uart::new(UART1, HERTZ / 9600),
                named,
                to_name,
                heard,
                to_parse,
            },
        )
    }

    #[idle(local = [runner])]
    fn idle(cx: idle::Context) -> ! {
        let runner = cx.local.runner;
        // What was installed runs before the node says that it is ready.
        runner.step(&mut Pins);
        rtic::pend(SERVE);
        let mut announced = false;
        loop {
            if !announced && REACHABLE.load(Relaxed) {
                announced = true;
                cortex_m_semihosting::hprintln!("wasmote: ready");
            }
            let step = runner.step(&mut Pins);
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
        let now = CLOCK.tick();
        *cx.local.slept += u32::from(ASLEEP.load(Relaxed));
        *cx.local.ms += 1;
        if *cx.local.ms == 1000 {
            IDLE.store(*cx.local.slept, Relaxed);
            (*cx.local.ms, *cx.local.slept) = (0, 0);
        }
        if DEADLINE.is_due(now) {
            rtic::pend(SERVE);
        }
    }

    #[task(binds = ETHERNET, priority = 4)]
    fn frames(_: frames::Context) {
        Lan9118::quiet(CONTROLLER);
        ARRIVED.store(Lan9118::ticks(CONTROLLER), Relaxed);
        rtic::pend(SERVE);
    }

    #[task(binds = UART0_RX, priority = 4, local = [lines_in, named, parser: Samples = Samples::new()])]
    fn lines(cx: lines::Context) {
        let named = cx.local.named;
        cx.local.lines_in.quiet();
        // Without room the byte stays where it is, and what sends waits; the server pends this again.
        if !named.ready() {
            return;
        }
        let Some(byte) = cx.local.lines_in.read() else {
            return;
        };
        let print = || {
            let count = (TIMED.swap(0, Relaxed) as usize).min(TIMES.len());
            for time in TIMES.iter().take(count) {
                cortex_m_semihosting::hprintln!("answered after {}", time.load(Relaxed));
            }
            cortex_m_semihosting::hprintln!("answered: {}", count);
        };
        cx.local.parser.push(byte, print, |name, value| {
            if let Some(sensor) = SENSORS.iter().position(|s| s.name == name) {
                let _ = named.enqueue((sensor as u8, value));
                rtic::pend(SERVE);
            }
        });
    }

    #[task(binds = UART1_RX, priority = 4, local = [level_in, heard])]
    fn level(cx: level::Context) {
        cx.local.level_in.quiet();
        // As above.
        if !cx.local.heard.ready() {
            return;
        }
        if let Some(byte) = cx.local.level_in.read() {
            let _ = cx.local.heard.enqueue(byte);
            rtic::pend(SERVE);
        }
    }

    #[task(binds = DUALTIMER, priority = 2, local = [
        server, network, to_name, to_parse, answered: u32 = 0, share: Share = Share::new(),
        ranger: Ranger = Ranger::new(),
    ])]
    fn serve(cx: serve::Context) {
        let serve::LocalResources {
            server,
            network,
            to_name,
            to_parse,
            answered,
            share,
            ranger,
            ..
        } = cx.local;
        let now = millis();
        let Some((chip, interface)) = network.as_deref_mut() else {
            // Without a network there is nobody to answer; the module runs all the same.
            while let Some((sensor, value)) = to_name.dequeue() {
                server.sample(now, sensor, value, &mut |_: Endpoint, _: &[u8]| {});
            }
            server.poll(now, &mut |_: Endpoint, _: &[u8]| {});
            REACHABLE.store(true, Relaxed);
            return;
        };
        let up = chip.link();
        share.rested(micros());
        let again = interface.poll(
            now,
            up,
            chip,
            || share.worked(micros()),
            |from, many, datagram, output| {
                let mut out = |to, datagram: &[u8]| output.send(to, datagram);
                server.receive(now, from, many, datagram, &mut out);
            },
        );
        // A share that is spent is not filled by calling again at once.
        let spent = !share.worked(micros());
        let again = if spent {
            Some(now + share.again())
        } else {
            again
        };
        // Of several at once it cannot be said how long each took.
        let datagrams = interface.counters().datagrams;
        if datagrams == core::mem::replace(answered, datagrams).wrapping_add(1) {
            let arrived = ARRIVED.load(Relaxed);
            let taken = Lan9118::ticks(CONTROLLER).wrapping_sub(arrived);
            let number = TIMED.load(Relaxed);
            if let Some(place) = TIMES.get(number as usize % TIMES.len()) {
                place.store(taken, Relaxed);
            }
            TIMED.store(number.wrapping_add(1), Relaxed);
        }
        let gauges = server.gauges();
        gauges.idle = IDLE.load(Relaxed) as u16;
        gauges.link_lost = chip.dropped();
        gauges.link_damaged = chip.damaged;
        gauges.link_unsent = interface.counters().unsent + interface.counters().unroutable;
        let (address, origin) = interface.address();
        let moved = address.is_some() && address != gauges.address;
        (gauges.address, gauges.origin) = (address, origin.name());
        REACHABLE.store(address.is_some(), Relaxed);
        gauges.stack_size = stack::size();
        gauges.stack_free = stack::free();
        if moved {
            server.moved(now);
        }
        let mut output = interface.output(now, chip);
        let mut out = |to, datagram: &[u8]| output.send(to, datagram);
        while let Some(byte) = to_parse.dequeue() {
            ranger.listen(now, byte.into(), server, &mut out);
            rtic::pend(Interrupt::UART1_RX);
        }
        ranger.watch(now, server, &mut out);
        while let Some((sensor, value)) = to_name.dequeue() {
            server.sample(now, sensor, value, &mut out);
            rtic::pend(Interrupt::UART0_RX);
        }
        let deadline = server.poll(now, &mut out);
        let next = deadline.into_iter().chain(again).min();
        DEADLINE.set(now, next);
        // While the share is spent frames stay in the controller, or are lost there and counted, and make no interrupts.
        if !spent && (chip.listen() || again.is_some_and(|at| at <= now)) {
            rtic::pend(SERVE);
        }
    }
}
