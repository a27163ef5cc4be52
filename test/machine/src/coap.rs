//! What requests cost: the node's Server on the emulated Cortex-M4F, fed with datagrams that are written here. Prints a line
//! of JSON for each kind: instructions from the datagram to the end of the answer, on average, with the bytes of both.
//! `test/bench/coap-cost.ts` runs it.
#![no_std]
#![no_main]

#[path = "flood.rs"]
mod flood;
#[path = "ram.rs"]
mod ram;
#[path = "secure.rs"]
mod secure;

use core::fmt::Write;
use cortex_m as _;
use cortex_m::peripheral::SYST;
use cortex_m_semihosting::{debug, hio};
use secure::{Asked, Client, Node, Sample};
use wasmote_coap::{Code, Kind, Writer, option};
use wasmote_node::{Board, Keyring, Memory, Provision, Sensor, Server};

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

/// Requests of each kind.
const REPEATS: u32 = 200;
/// SysTick counts 25 MHz, and with QEMU's `-icount shift=0` one instruction takes 1 ns.
const INSTRUCTIONS: u32 = 40;

const SENSORS: &[Sensor] = &[
    Sensor {
        name: "level",
        unit: "mm",
    },
    Sensor {
        name: "rain",
        unit: "mm",
    },
    Sensor {
        name: "temperature",
        unit: "Cel",
    },
    Sensor {
        name: "button",
        unit: "",
    },
];

/// An IPv4 address and a port.
type Peer = ([u8; 4], u16);
const PEER: Peer = ([192, 168, 1, 2], 40_000);

/// Sums up what passes between `begin` and `end`.
#[derive(Default)]
struct Meter {
    last: u32,
    ticks: u32,
    sent: usize,
}

impl Meter {
    fn begin(&mut self) {
        self.last = SYST::get_current();
    }

    fn end(&mut self) {
        self.ticks += self.last.wrapping_sub(SYST::get_current()) & 0x00ff_ffff;
    }
}

struct Datagram {
    bytes: [u8; 1200],
    length: usize,
}

impl Datagram {
    fn new(
        kind: Kind,
        code: Code,
        path: &[&str],
        options: &[(u16, &[u8])],
        payload: &[u8],
    ) -> Self {
        let mut bytes = [0; 1200];
        let mut w = Writer::new(&mut bytes, kind, code, 0, b"tk");
        let mut done = false;
        for (number, value) in options {
            if *number > option::URI_PATH && !done {
                done = true;
                path.iter()
                    .for_each(|s| w.option(option::URI_PATH, s.as_bytes()));
            }
            w.option(*number, value);
        }
        if !done {
            path.iter()
                .for_each(|s| w.option(option::URI_PATH, s.as_bytes()));
        }
        let length = w.finish(payload).map_or(0, <[u8]>::len);
        Self { bytes, length }
    }

    fn get(path: &[&str], options: &[(u16, &[u8])]) -> Self {
        Self::new(Kind::Con, Code::GET, path, options, &[])
    }

    fn numbered(&mut self, id: u16) -> &[u8] {
        if let Some(place) = self.bytes.get_mut(2..4) {
            place.copy_from_slice(&id.to_be_bytes());
        }
        self.bytes.get(..self.length).unwrap_or(&[])
    }
}

fn report(name: &str, request: usize, meter: &Meter, repeats: u32) {
    say_cost(&format_args!("{name}"), request, meter, repeats);
}

fn say_cost(name: &core::fmt::Arguments<'_>, request: usize, meter: &Meter, repeats: u32) {
    say(format_args!(
        "{{\"name\":\"{name}\",\"instructions\":{},\"request\":{request},\"answer\":{}}}",
        u64::from(meter.ticks) * u64::from(INSTRUCTIONS) / u64::from(repeats),
        meter.sent
    ));
}

#[cortex_m_rt::entry]
fn main() -> ! {
    // SAFETY: the only use of the core's peripherals.
    let mut timer = unsafe { cortex_m::Peripherals::steal() }.SYST;
    timer.set_clock_source(cortex_m::peripheral::syst::SystClkSource::Core);
    timer.set_reload(0x00ff_ffff);
    timer.clear_current();
    timer.enable_counter();

    let memory = cortex_m::singleton!(: Memory<Peer> = Memory::new());
    let Some(memory) = memory else { unreachable!() };
    let board = Board {
        name: "stm32f407",
        class: "stm32f407",
        version: env!("CARGO_PKG_VERSION"),
        clock: "HSE",
        hertz: 168_000_000,
        reset: "power on",
        missing: heapless::Vec::new(),
        readout: None,
        sensors: SENSORS,
        memory: 48 * 1024,
        package: 16 * 1024,
        fuel: 2_000_000,
    };
    let (memory, _runner) = memory.split();
    let mut server = Server::new(
        board,
        Provision::default(),
        &Keyring::empty(),
        memory,
        1,
        None,
    );
    server.trust(|_| true);
    say(format_args!(
        "{{\"name\":\"RAM\",\"bytes\":{}}}",
        size_of::<wasmote_coap::Server<Peer>>()
    ));
    // What eight contexts take: the stage with derived keys, windows and the room that a message is opened in; and the keys as the Server
    // lists them, which its guard has as the keyring does.
    say(format_args!(
        "{{\"name\":\"RAM\",\"stage\":{},\"keys\":{}}}",
        size_of::<wasmote_oscore::Stage>(),
        size_of::<Keyring>()
    ));

    let mut now = 1_000u64;
    let mut id = 0u16;
    let mut sent = 0;
    server.sample(now, 0, 1234.5, &mut |_: Peer, _: &[u8]| {});
    let core: &[&str] = &[".well-known", "core"];
    let level: &[&str] = &["sensors", "level"];
    let mut malformed = Datagram::get(level, &[]);
    malformed.length -= 1;
    let mut ping = Datagram::new(Kind::Con, Code::EMPTY, &[], &[], &[]);
    ping.bytes[0] &= 0xf0;
    ping.length = 4;
    let block = [7u8; 256];
    let mut cases = [
        ("GET of a sensor, text", Datagram::get(level, &[])),
        (
            "the same in SenML+CBOR",
            Datagram::get(level, &[(option::ACCEPT, &[112])]),
        ),
        ("GET of /node, CBOR", Datagram::get(&["node"], &[])),
        ("discovery, first block", Datagram::get(core, &[])),
        (
            "discovery, filtered by rt",
            Datagram::get(core, &[(option::URI_QUERY, b"rt=wasmote.node")]),
        ),
        (
            "PUT of the time",
            Datagram::new(Kind::Con, Code::PUT, &["time"], &[], b"1700000000"),
        ),
        ("what is not there", Datagram::get(&["nothing"], &[])),
        ("a ping", ping),
        ("a malformed datagram", malformed),
    ];
    for (name, datagram) in &mut cases {
        let mut meter = Meter {
            last: 0,
            ticks: 0,
            sent: 0,
        };
        // What is handed to the Runner waits in a queue here, which is short.
        let repeats = if *name == "PUT of the time" {
            4
        } else {
            REPEATS
        };
        for _ in 0..repeats {
            // A second apart, each a request of its own.
            now += 1_000;
            id = id.wrapping_add(1);
            let bytes = datagram.numbered(id);
            meter.begin();
            server.receive(now, PEER, false, bytes, &mut |_: Peer, d: &[u8]| {
                sent = d.len()
            });
            meter.end();
            meter.sent = sent;
        }
        report(name, datagram.length, &meter, repeats);
    }

    // The same change again: a duplicate.
    let mut put = Datagram::new(Kind::Con, Code::PUT, &["time"], &[], b"1700000000");
    let mut meter = Meter {
        last: 0,
        ticks: 0,
        sent: 0,
    };
    for _ in 0..REPEATS {
        let bytes = put.numbered(id);
        meter.begin();
        server.receive(now, PEER, false, bytes, &mut |_: Peer, d: &[u8]| {
            sent = d.len()
        });
        meter.end();
    }
    meter.sent = sent;
    report("a repeated PUT", put.length, &meter, REPEATS);

    // A part of an upload, up to where it is handed to the Runner.
    let mut part = Datagram::new(
        Kind::Con,
        Code::PUT,
        &["app"],
        &[(option::BLOCK1, &[0x0c])],
        &block,
    );
    let mut meter = Meter {
        last: 0,
        ticks: 0,
        sent: 0,
    };
    id = id.wrapping_add(1);
    let bytes = part.numbered(id);
    meter.begin();
    server.receive(now, PEER, false, bytes, &mut |_: Peer, _: &[u8]| {});
    meter.end();
    report(
        "a Block1 block of 256 bytes, handed over",
        part.length,
        &meter,
        1,
    );

    // Sixteen observers of one sensor.
    for observers in [1u32, 16] {
        for number in 0..observers as u16 {
            id = id.wrapping_add(1);
            let mut register = Datagram::get(level, &[(option::OBSERVE, &[])]);
            let peer = ([192, 168, 1, 3], number);
            server.receive(
                now,
                peer,
                false,
                register.numbered(id),
                &mut |_: Peer, _: &[u8]| {},
            );
        }
        let mut meter = Meter {
            last: 0,
            ticks: 0,
            sent: 0,
        };
        let mut told = 0;
        for round in 0..REPEATS {
            now += 5_000;
            let mut confirm = heapless::Vec::<(Peer, u16), 16>::new();
            meter.begin();
            server.sample(now, 0, round as f32, &mut |to: Peer, d: &[u8]| {
                told += 1;
                sent = d.len();
                if d.first().is_some_and(|b| b >> 4 & 3 == 0)
                    && let Some([high, low]) = d.get(2..4)
                {
                    let _ = confirm.push((to, u16::from_be_bytes([*high, *low])));
                }
            });
            meter.end();
            for (to, id) in &confirm {
                let ack = [0x60, 0, (id >> 8) as u8, *id as u8];
                server.receive(now + 1, *to, false, &ack, &mut |_: Peer, _: &[u8]| {});
            }
        }
        meter.sent = sent;
        let name = if observers == 1 {
            "a sample with 1 observer, a notification each"
        } else {
            "a sample with 16 observers, a notification each"
        };
        report(name, 0, &meter, told.max(1));
    }
    if protected().is_none() {
        say(format_args!("a secured node did not answer"));
        debug::exit(debug::EXIT_FAILURE);
    }
    tags();
    debug::exit(debug::EXIT_SUCCESS);
    loop {
        cortex_m::asm::wfi();
    }
}

/// The same requests under a security context; `None` when one is not answered as it should be.
fn protected() -> Option<()> {
    let mut node = Node::new(SENSORS, None)?;
    let mut client = Client::new(secure::ADMINISTRATOR)?;
    node.server
        .sample(node.now, 0, 1234.5, &mut |_: Peer, _: &[u8]| {});
    node.meet(&mut client, PEER)?;
    let block = [7u8; 256];
    let level: &[&str] = &["sensors", "level"];
    let (get, put) = ((Code::GET, Code::CONTENT), (Code::PUT, Code(0x5f)));
    let (one, many) = (&[(option::BLOCK1, &[0x0c][..])], &[]);
    let (name, part) = (
        "GET of a sensor, text",
        "a Block1 block of 256 bytes, handed over",
    );
    for (name, (code, expected), path, behind, payload, repeats) in [
        (name, get, level, &many[..], &[][..], REPEATS),
        (part, put, &["app"], one, &block, 1),
    ] {
        let mut answer = secure::Datagram::new();
        let mut meter = Meter::default();
        let mut length = 0;
        for _ in 0..repeats {
            node.now += 1;
            let datagram = client.protect(&Asked {
                code,
                path,
                before: &[],
                behind,
                payload,
            })?;
            length = datagram.length;
            meter.begin();
            node.ask(PEER, datagram.get(), &mut answer);
            meter.end();
            // What is handed over is answered later.
            if repeats > 1 && client.open(answer.get())? != expected {
                return None;
            }
        }
        meter.sent = answer.length;
        say_cost(&format_args!("{name}, protected"), length, &meter, repeats);
    }
    node.settle();
    notifications(&mut node, &mut client)?;
    flood::flood(&mut node, &mut client)
}

/// One observer who has a context.
fn notifications(node: &mut Node, client: &mut Client) -> Option<()> {
    let register = client.protect(&Asked {
        code: Code::GET,
        path: &["sensors", "level"],
        before: &[(option::OBSERVE, &[])],
        behind: &[],
        payload: &[],
    })?;
    let mut answer = secure::Datagram::new();
    node.ask(PEER, register.get(), &mut answer);
    let mut meter = Meter::default();
    let mut told = 0;
    // Numbers are reserved for so many.
    for round in 0..40u16 {
        node.now += 500;
        answer.length = 0;
        meter.begin();
        let now = node.now;
        node.server
            .sample(now, 0, f32::from(round), &mut |_: Peer, d: &[u8]| {
                answer.set(d)
            });
        meter.end();
        if answer.length > 0 {
            told += 1;
            meter.sent = answer.length;
            if client.open(answer.get())? != Code::CONTENT {
                return None;
            }
            if let [0x42, _, high, low, ..] = answer.get() {
                let ack = [0x60, 0, *high, *low];
                let mut none = secure::Datagram::new();
                node.ask(PEER, &ack, &mut none);
            }
        }
        node.settle();
    }
    let name = "a sample with 1 observer, a notification each, protected";
    say_cost(
        &format_args!("{name}"),
        0,
        &meter,
        u32::from(told == 40) * 40,
    );
    (told == 40).then_some(())
}

/// What it takes to open a message whose tag is right, and one whose tag is wrong in one place or in all.
fn tags() {
    let Some(sample) = Sample::new() else {
        return;
    };
    let wrong = |at: usize| {
        let mut bits = [0; wasmote_oscore::TAG];
        if let Some(byte) = bits.get_mut(at) {
            *byte = 0x40;
        }
        bits
    };
    for (name, bits) in [
        ("right", [0; wasmote_oscore::TAG]),
        ("wrong at the start", wrong(0)),
        ("wrong at the end", wrong(7)),
        ("wrong all over", [0xff; wasmote_oscore::TAG]),
    ] {
        let mut meter = Meter::default();
        let mut taken = 0;
        // As a whole: a tick is longer than the difference that is looked for.
        meter.begin();
        for _ in 0..REPEATS {
            taken += u32::from(core::hint::black_box(&sample).open(&bits));
        }
        meter.end();
        say(format_args!(
            "{{\"tag\":\"{name}\",\"instructions\":{},\"taken\":{taken}}}",
            u64::from(meter.ticks) * u64::from(INSTRUCTIONS) / u64::from(REPEATS)
        ));
    }
}
