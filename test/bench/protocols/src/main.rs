//! A sensor's value by CoAP, HTTP/1.1 and MQTT 3.1.1, on the emulated board with Ethernet: one driver, one IP stack, one way of
//! counting. The emulator's command line says which: `protocols EXCHANGE COUNT [PORT]`. After COUNT exchanges, the first few left
//! out, a line of JSON for each kind of exchange says what they took, and the emulation ends. test/bench/protocols.ts runs it.
//!
//! | EXCHANGE      | what the board does                                                                  |
//! | ------------- | ------------------------------------------------------------------------------------ |
//! | `coap`        | answers GET /sensors/level: the node's own server, as on every board                  |
//! | `notify`      | the same server tells an observer of a new value, confirmable or not as it decides     |
//! | `http`        | answers GET /sensors/level; connections stay open unless the client wants otherwise    |
//! | `mqtt0`       | publishes a new value at QoS 0 through a broker at PORT, in one connection             |
//! | `mqtt1`       | at QoS 1                                                                             |
//! | `mqtt-each`   | at QoS 0, in a connection each                                                        |
//! | `mqtt-ping`   | asks the broker for a sign of life                                                    |
#![no_std]
#![no_main]

#[allow(
    dead_code,
    unused_imports,
    reason = "of the board's interrupts only Ethernet's wakes this image, and without RTIC"
)]
#[path = "../../../../boards/mps2-an386/src/chip.rs"]
mod chip;
mod coap;
mod http;
#[path = "../../../../boards/mps2-an386/src/lan9118.rs"]
mod lan9118;
mod meter;
mod mqtt;

use chip::{Interrupt, Registers};
use core::net::Ipv4Addr;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{NVIC, SCB};
use cortex_m_semihosting::{debug, hprintln};
use lan9118::Lan9118;
use meter::{Counted, Meter};
use smoltcp::iface::{self, PollIngressSingleResult, SocketSet};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr, Ipv4Cidr};

/// QEMU's user network: the board, and the way to the computer that QEMU runs on.
const BOARD: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
/// Ticks of the controller's clock in a millisecond.
const MILLISECOND: u64 = 25_000;
/// Milliseconds between two values that are published: longer than a peer may wait with its acknowledgement.
const PERIOD: u64 = 300;
/// The longest sleep in ticks: SysTick has 24 bits.
const SLEEP: u64 = 0x00ff_fff0;
/// Sockets at most.
const SOCKETS: usize = 4;

// SAFETY: the address of AN386 §3.4.
const CONTROLLER: Registers = unsafe { Registers::new(0x4020_0000) };

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    hprintln!("{}", info);
    debug::exit(debug::EXIT_FAILURE);
    loop {
        cortex_m::asm::wfi();
    }
}

/// What the sensor says: another value each time.
pub fn value(number: u32) -> f32 {
    1000.0 + (number % 1000) as f32
}

/// One of the protocols.
pub trait Exchange {
    /// Reads what came, and begins and answers what is due. Returns whether an exchange has come to its end with what is sent
    /// now; one that the board begins is cut off at the next one's start by itself.
    fn turn(
        &mut self,
        now: u64,
        sockets: &mut SocketSet<'_>,
        stack: &mut iface::Interface,
        meter: &mut Meter,
    ) -> bool;

    /// When there is something to do without a frame, in milliseconds.
    fn due(&self) -> Option<u64> {
        None
    }
}

/// The words of the emulator's command line, into a buffer.
fn words(buffer: &mut [u8]) -> impl Iterator<Item = &str> {
    let mut block = [buffer.as_mut_ptr() as usize, buffer.len()];
    // SAFETY: SYS_GET_CMDLINE (0x15) writes at most the given length into the buffer, and the length into the block.
    unsafe { cortex_m_semihosting::syscall1(0x15, block.as_mut_ptr() as usize) };
    let line = core::ffi::CStr::from_bytes_until_nul(buffer).unwrap_or_default();
    line.to_str().unwrap_or("").split(' ').skip(1)
}

#[cortex_m_rt::entry]
fn main() -> ! {
    // The name of the program, an exchange, a number and a port fit.
    let mut buffer = [0; 256];
    let mut words = words(&mut buffer);
    let kind = words.next().unwrap_or("");
    let mut number = || words.next().and_then(|word| word.parse().ok());
    let (count, port) = (number().unwrap_or(1), number().unwrap_or(0));
    let port = u16::try_from(port).unwrap_or(0);

    let Ok(mut chip) = Lan9118::new(CONTROLLER) else {
        panic!("no Ethernet controller")
    };
    let Ok(hardware) = chip.hardware() else {
        panic!("no hardware address")
    };
    let mut device = Counted::new(chip);
    let hardware = HardwareAddress::Ethernet(EthernetAddress(hardware));
    let mut settings = iface::Config::new(hardware);
    settings.random_seed = 1;
    let mut stack = iface::Interface::new(settings, &mut device, Instant::ZERO);
    stack.update_ip_addrs(|all| {
        let _ = all.push(IpCidr::Ipv4(Ipv4Cidr::new(BOARD, 24)));
    });
    let mut storage = [const { iface::SocketStorage::EMPTY }; SOCKETS];
    let mut sockets = SocketSet::new(&mut storage[..]);
    let meter = Meter::new(count);
    let (mut coap, mut http, mut mqtt);
    let exchange: &mut dyn Exchange = match kind {
        "coap" | "notify" => {
            coap = coap::Coap::new(&mut sockets, kind == "notify");
            &mut coap
        }
        "http" => {
            http = http::Http::new(&mut sockets);
            &mut http
        }
        _ => {
            let Some(mode) = mqtt::Mode::named(kind) else {
                panic!("no exchange is called `{kind}`")
            };
            mqtt = mqtt::Mqtt::new(&mut sockets, mode, port);
            &mut mqtt
        }
    };
    run(&mut device, &mut stack, &mut sockets, meter, exchange)
}

/// Works when a frame has come or something is due, and sleeps between. Interrupts are never taken: that one is pending ends the
/// sleep (ARMv7-M, B1.5.17), and is all that is wanted of it.
fn run(
    device: &mut Counted,
    stack: &mut iface::Interface,
    sockets: &mut SocketSet<'_>,
    mut meter: Meter,
    exchange: &mut dyn Exchange,
) -> ! {
    cortex_m::interrupt::disable();
    // SAFETY: interrupts are disabled for good; the only use of the core's peripherals.
    let mut core = unsafe {
        NVIC::unmask(Interrupt::ETHERNET);
        cortex_m::Peripherals::steal()
    };
    core.SYST.set_clock_source(SystClkSource::Core);
    core.SYST.enable_interrupt();
    hprintln!("ready");
    loop {
        let begin = meter.wake();
        let now = begin / MILLISECOND;
        let time = Instant::from_millis(now as i64);
        device.chip.link();
        while stack.poll_ingress_single(time, device, sockets) != PollIngressSingleResult::None {}
        let ended = exchange.turn(now, sockets, stack, &mut meter);
        stack.poll_egress(time, device, sockets);
        let stack_due = stack.poll_at(time, sockets);
        let stack_due = stack_due.map(|at| at.total_millis().max(0) as u64);
        let next = [stack_due, exchange.due()].into_iter().flatten().min();
        let due = next.map_or(u64::MAX, |at| at.saturating_mul(MILLISECOND));
        meter.sleep(device.tally());
        if ended {
            meter.cut(0);
        }
        if meter.is_done() {
            if device.chip.dropped() + device.chip.damaged > 0 {
                panic!("frames were lost at the controller");
            }
            meter.print();
            debug::exit(debug::EXIT_SUCCESS);
        }
        // What came meanwhile made no interrupt.
        while !device.chip.listen() {
            let left = due.saturating_sub(meter.now());
            if left == 0 {
                break;
            }
            // In this order: QEMU's does not begin to count when it is switched on with nothing to count.
            core.SYST.disable_counter();
            core.SYST.set_reload(left.clamp(1, SLEEP) as u32);
            core.SYST.clear_current();
            core.SYST.enable_counter();
            SCB::clear_pendst();
            cortex_m::asm::wfi();
            Lan9118::quiet(CONTROLLER);
            NVIC::unpend(Interrupt::ETHERNET);
        }
    }
}
