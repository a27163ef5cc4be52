//! A node as a Linux process: over UDP or a pseudo-terminal, with a file as flash. One node, or a fleet of them.
//!
//! Standard output is one JSON object a line: `ready` with the addresses, `gpio` when a module sets a pin. Standard input
//! takes `sample NAME VALUE`, `silent NAME`, `reset` and `quit`; in a fleet, `3 sample level 12` or `node-3 sample level 12` is for the third node
//! only.
mod flash;

use flash::FileFlash;
use std::error::Error;
use std::fs::File;
use std::io::{self, BufRead, Read};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};
use wasmote_native::intake::{Event, Inbox, Intake, Peer};
use wasmote_native::line::{Line, Link, PORT, host, say, seed};
use wasmote_node::contract::{flash as layout, limits::FUEL};
use wasmote_node::slot::{SLOTS, Slots};
use wasmote_node::{
    Board, Fault, Io, Keyring, LIFETIME, Limits, Memory, Provision, Runner, Sensor, Server, Step,
};

const HELP: &str = "wasmote-native: a Wasmote node as a process

  --udp ADDRESS:PORT  where it listens (127.0.0.1:0: a free port)
  --pty               a pseudo-terminal instead of UDP
  --serial PATH       a serial device instead of UDP
  --flash FILE        its flash, made when it does not exist
  --name NAME         its name
  --class CLASS       the class of boards it says it is (native)
  --directory ADDRESS:PORT  registers there by its name (RFC 9176); otherwise where its flash says
  --lifetime SECONDS  for so long at a time (600)
  --dev               takes packages without a known key
  --open              answers everybody, whatever contexts it has
  --fleet N           N nodes called NAME-1, NAME-2, ..., each on port 5683 of a loopback address of its own
";

/// The sensors every board has.
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
    Sensor {
        name: "ax",
        unit: "m/s2",
    },
    Sensor {
        name: "ay",
        unit: "m/s2",
    },
    Sensor {
        name: "az",
        unit: "m/s2",
    },
];
/// As on the STM32F407: bytes for modules.
const MEMORY: usize = 64 * 1024;
/// Nodes of a fleet: three threads each.
const FLEET: u16 = 4000;

#[derive(Clone, Debug)]
struct Options {
    udp: SocketAddr,
    pty: bool,
    serial: Option<PathBuf>,
    flash: Option<PathBuf>,
    name: Option<&'static str>,
    class: &'static str,
    directory: Option<SocketAddr>,
    lifetime: u32,
    development: bool,
    open: bool,
    fleet: u16,
}

fn options() -> Result<Options, Box<dyn Error>> {
    use lexopt::prelude::{Long, Short, ValueExt};
    let mut o = Options {
        udp: (Ipv4Addr::LOCALHOST, 0).into(),
        pty: false,
        serial: None,
        flash: None,
        name: None,
        class: "native",
        directory: None,
        lifetime: LIFETIME,
        development: false,
        open: false,
        fleet: 0,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(word) = parser.next()? {
        match word {
            Long("udp") => o.udp = parser.value()?.parse()?,
            Long("pty") => o.pty = true,
            Long("serial") => o.serial = Some(parser.value()?.into()),
            Long("flash") => o.flash = Some(parser.value()?.into()),
            Long("name") => o.name = Some(parser.value()?.string()?.leak()),
            Long("class") => o.class = parser.value()?.string()?.leak(),
            Long("directory") => o.directory = Some(parser.value()?.parse()?),
            Long("lifetime") => {
                o.lifetime = parser.value()?.parse()?;
                if o.lifetime == 0 {
                    return Err("--lifetime takes seconds, at least 1".into());
                }
            }
            Long("dev") => o.development = true,
            Long("open") => o.open = true,
            Long("fleet") => {
                o.fleet = parser.value()?.parse()?;
                if !(1..=FLEET).contains(&o.fleet) {
                    return Err(format!("--fleet takes 1 to {FLEET}").into());
                }
            }
            Short('h') | Long("help") => {
                print!("{HELP}");
                std::process::exit(0);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(o)
}

struct Native {
    start: Instant,
    /// In a fleet, which node this is.
    number: u16,
}

impl Io for Native {
    fn micros(&mut self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }

    fn gpio(&mut self, pin: u8, high: bool) {
        say(
            self.number,
            &format!(
                "\"event\":\"gpio\",\"pin\":{pin},\"level\":{}",
                u8::from(high)
            ),
        );
    }

    fn random(&mut self) -> Option<[u8; 32]> {
        let mut bytes = [0; 32];
        let mut system = File::open("/dev/urandom").ok()?;
        system.read_exact(&mut bytes).ok().map(|()| bytes)
    }
}

/// One socket for each node of a fleet, on loopback addresses of their own: in a part of 127.0.0.0/8 that nobody else has taken, so
/// that several fleets can run beside each other.
fn open_fleet(count: u16) -> Result<Vec<UdpSocket>, Box<dyn Error>> {
    let mut random = seed() as u64;
    for _ in 0..64 {
        // xorshift, for want of anything better in the standard library.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let [second, third, ..] = random.to_le_bytes();
        let (second, third) = (second.clamp(16, 250), u16::from(third % 224));
        let sockets = (0..count)
            .map(|n| {
                let third = (third + n / 254) as u8;
                let address = Ipv4Addr::new(127, second, third, (n % 254) as u8 + 1);
                UdpSocket::bind((address, PORT))
            })
            .collect::<io::Result<Vec<_>>>();
        match sockets {
            Ok(sockets) => return Ok(sockets),
            Err(e) if e.kind() == io::ErrorKind::AddrInUse => {}
            Err(e) => {
                return Err(format!(
                    "no loopback addresses for a fleet: {e}; Linux has all of 127.0.0.0/8, elsewhere each must be added to the \
                     loopback interface first. Single nodes: --udp 127.0.0.1:0"
                )
                .into());
            }
        }
    }
    Err(
        "no free loopback addresses for a fleet: 64 places were tried, port 5683 is taken in all"
            .into(),
    )
}

/// Runs a node until it is told to stop.
fn node(
    o: &Options,
    number: u16,
    socket: Option<UdpSocket>,
    input: &(Intake, Inbox),
) -> Result<(), Box<dyn Error>> {
    let (events, inbox) = input;
    let flash = FileFlash::open(o.flash.as_deref())?;
    let link = match &o.serial {
        Some(path) => Link::Serial(path),
        None if o.pty => Link::Pty,
        None => Link::Udp(socket.map_or_else(|| UdpSocket::bind(o.udp), Ok)?),
    };
    let (mut line, name) = link.open(events)?;
    let mut reset = "power on";
    loop {
        let again = boot(o, number, flash, reset, &mut line, &name, events, inbox);
        if !again {
            return Ok(());
        }
        reset = "pin";
    }
}

/// From a reset to the next; `false` when it was the last.
#[expect(
    clippy::too_many_arguments,
    reason = "what outlives a reset, all in one place"
)]
fn boot(
    o: &Options,
    number: u16,
    flash: FileFlash,
    reset: &'static str,
    line: &mut Line,
    name: &str,
    events: &Intake,
    inbox: &Inbox,
) -> bool {
    use wasmote_node::slot::Flash;
    let record = flash.mapped(layout::PROVISION, layout::SLOTS - layout::PROVISION);
    let mut provision = Provision::find(record);
    provision.development |= o.development;
    provision.open |= o.open;
    provision.name = o.name.unwrap_or(provision.name);
    let slots = Slots::open(flash, layout::SLOTS, layout::SLOT);
    let board = Board {
        name: "native",
        class: o.class,
        version: env!("CARGO_PKG_VERSION"),
        clock: "system",
        hertz: 0,
        reset,
        missing: heapless::Vec::new(),
        readout: None,
        sensors: SENSORS,
        memory: MEMORY as u32,
        package: slots.capacity(),
        fuel: FUEL,
    };
    // A reset leaves these behind; a process that is reset a thousand times has the memory for it.
    let (server_memory, runner_memory) = Box::leak(Box::new(Memory::new())).split();
    let region = vec![0u64; MEMORY / 8].leak();
    // SAFETY: the same memory as bytes, for as long, and nothing else refers to it.
    let region = unsafe { std::slice::from_raw_parts_mut(region.as_mut_ptr().cast(), MEMORY) };
    let limits = Limits {
        class: o.class,
        fuel: FUEL,
        sensors: SENSORS,
    };
    let keyring = Keyring::load(&slots, &provision);
    let mut runner = Runner::new(slots, region, provision.clone(), limits, runner_memory);
    let start = Instant::now();
    let given = provision
        .directory
        .map(|d| (SocketAddr::from((d.address, d.port)), d.lifetime));
    let directory = o.directory.map(|address| (address, o.lifetime)).or(given);
    let mut server = Server::new(
        board,
        provision,
        &keyring,
        server_memory,
        seed(),
        Some(host),
    );
    if let (Some((address, lifetime)), Line::Udp(_)) = (directory, &*line) {
        server.register(0, Peer::Udp(address), lifetime, seed() as u64);
    }
    server.trust(|peer| matches!(peer, Peer::Serial));
    // Whether it begins again, once that is decided.
    let stop = Arc::new(OnceLock::new());
    // What was installed runs before the node says that it is ready.
    runner.step(&mut Native { start, number });
    let lower = {
        let (stop, events) = (stop.clone(), events.clone());
        thread::spawn(move || {
            let mut io = Native { start, number };
            while stop.get().is_none() {
                let step = runner.step(&mut io);
                if runner.has_mail() {
                    events.tell();
                }
                if let Step::Idle(until) = step {
                    let now = start.elapsed().as_millis() as u64;
                    let wait = until
                        .map_or(60_000, |until| until.saturating_sub(now))
                        .min(60_000);
                    thread::park_timeout(Duration::from_millis(wait));
                }
            }
            // A reset is one of the kind that nobody announces.
            if stop.get() == Some(&false) {
                runner.rest(&mut io);
            }
        })
    };
    server.poll(0, &mut |to: Peer, datagram: &[u8]| line.send(to, datagram));
    say(number, &format!("\"event\":\"ready\",{name}"));
    let again = loop {
        let now = start.elapsed().as_millis() as u64;
        let deadline = server.poll(now, &mut |to: Peer, d: &[u8]| line.send(to, d));
        while matches!(line, Line::Serial(_))
            && let Some(text) = server.take_line()
        {
            line.show(&text.to_string());
        }
        let mut out = |to: Peer, datagram: &[u8]| line.send(to, datagram);
        lower.thread().unpark();
        let wait = deadline.map_or(3_600_000, |d| d.saturating_sub(now));
        let Some(event) = inbox.wait(Duration::from_millis(wait)) else {
            continue;
        };
        let gauges = server.gauges();
        (gauges.link_lost, gauges.link_damaged) = (inbox.lost(), inbox.damaged());
        let now = start.elapsed().as_millis() as u64;
        match event {
            Event::Datagram(from, multicast, datagram) => {
                server.receive(now, from, multicast, &datagram, &mut out);
            }
            Event::Memory => {}
            Event::Closed => break false,
            Event::Command(command) => {
                let words: Vec<&str> = command.split_whitespace().collect();
                match words.as_slice() {
                    ["sample", name, value] => {
                        let sensor = SENSORS.iter().position(|s| s.name == *name);
                        match (sensor, value.parse()) {
                            (Some(sensor), Ok(value)) => {
                                server.sample(now, sensor as u8, value, &mut out)
                            }
                            _ => {
                                eprintln!("wasmote-native: no sensor {name}, or no number {value}")
                            }
                        }
                    }
                    ["silent", name] => {
                        if let Some(sensor) = SENSORS.iter().position(|s| s.name == *name) {
                            server.fault(now, sensor as u8, Fault::Silent, &mut out);
                        }
                    }
                    ["reset"] => break true,
                    ["quit"] => break false,
                    [] => {}
                    _ => eprintln!("wasmote-native: unknown command: {command}"),
                }
            }
        }
    };
    let _ = stop.set(again);
    lower.thread().unpark();
    let _ = lower.join();
    again
}

fn run() -> Result<(), Box<dyn Error>> {
    let o = options()?;
    let mut sockets = if o.fleet == 0 {
        vec![None]
    } else {
        let sockets = open_fleet(o.fleet)?;
        sockets.into_iter().map(Some).collect()
    };
    let mut inputs = Vec::new();
    let mut nodes = Vec::new();
    for (index, socket) in sockets.drain(..).enumerate() {
        let mut o = o.clone();
        let number = if o.fleet == 0 { 0 } else { index as u16 + 1 };
        if number > 0 {
            let name = format!("{}-{number}", o.name.unwrap_or("node"));
            o.name = Some(name.leak());
            // Each has a flash of its own.
            o.flash = o.flash.map(|path| {
                let mut path = path.into_os_string();
                path.push(format!(".{number}"));
                path.into()
            });
        }
        let (events, inbox) = Intake::new();
        inputs.push((number, o.name, events.clone()));
        nodes.push(thread::spawn(move || {
            node(&o, number, socket, &(events, inbox)).map_err(|e| e.to_string())
        }));
    }
    thread::spawn(move || {
        let all = || inputs.iter().map(|(.., events)| events);
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            let (first, rest) = line.split_once(' ').unwrap_or((&line, ""));
            let named = |(number, name, _): &&(u16, Option<&str>, Intake)| {
                *number > 0 && (*name == Some(first) || first.parse() == Ok(*number))
            };
            match inputs.iter().find(named) {
                Some((.., events)) => events.send(Event::Command(rest.to_owned())),
                None => all().for_each(|events| events.send(Event::Command(line.clone()))),
            }
        }
        // Whoever started this has gone.
        all().for_each(|events| events.send(Event::Closed));
    });
    for node in nodes {
        node.join().map_err(|_| "a node panicked")??;
    }
    Ok(())
}

fn main() {
    // Three slots are what the flash image has room for.
    const { assert!(SLOTS == 3) };
    // Its keys get into no core file (core(5)); where the switch is not to be had, nothing else would do it either.
    let _ = std::fs::write("/proc/self/coredump_filter", "0");
    if let Err(error) = run() {
        eprintln!("wasmote-native: {error}");
        std::process::exit(1);
    }
}
