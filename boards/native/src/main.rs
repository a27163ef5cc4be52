//! A node as a Linux process: over UDP or a pseudo-terminal, with a file as flash. One node, or a fleet of them.
//!
//! Standard output is one JSON object a line: `ready` with the addresses, `gpio` when a module sets a pin. Standard input
//! takes `sample NAME VALUE`, `reset` and `quit`; in a fleet, `3 sample level 12` or `node-3 sample level 12` is for the third node
//! alone.
mod flash;
mod intake;
mod plugtest;

use flash::FileFlash;
use intake::{Event, Intake};
use plugtest::Plugtest;
use rustix::pty::OpenptFlags;
use std::collections::hash_map::RandomState;
use std::error::Error;
use std::fs::File;
use std::hash::BuildHasher;
use std::io::{self, BufRead, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};
use wasmote_node::slot::{SLOTS, Slots};
use wasmote_node::{Board, Io, Limits, Memory, Provision, Runner, Sensor, Server, Step, link};

const HELP: &str = "wasmote-native: a Wasmote node as a process

  --udp ADDRESS:PORT  where it listens (127.0.0.1:0: a free port)
  --pty               a pseudo-terminal instead of UDP
  --serial PATH       a serial device instead of UDP
  --flash FILE        its flash, made when it does not exist
  --name NAME         its name
  --class CLASS       the class of boards it says it is (native)
  --dev               takes packages without a known key
  --fleet N           N nodes called NAME-1, NAME-2, ..., each on port 5683 of a loopback address of its own
  --plugtest          no node, but the resources of the ETSI CoAP plugtests
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
/// As on the STM32F407: bytes for modules, and fuel for a run.
const MEMORY: usize = 64 * 1024;
const FUEL: u32 = 2_000_000;
/// CoAP's port (RFC 7252 §6.1) and group (§12.8).
const PORT: u16 = 5683;
/// Nodes of a fleet: three threads each.
const FLEET: u16 = 4000;
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 1, 187);

#[derive(Clone, Debug)]
struct Options {
    udp: SocketAddr,
    pty: bool,
    serial: Option<PathBuf>,
    flash: Option<PathBuf>,
    name: Option<&'static str>,
    class: &'static str,
    development: bool,
    fleet: u16,
    plugtest: bool,
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
        development: false,
        fleet: 0,
        plugtest: false,
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
            Long("dev") => o.development = true,
            Long("plugtest") => o.plugtest = true,
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

/// Where a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Peer {
    Udp(SocketAddr),
    Serial,
}

/// The node's side of its link.
#[derive(Debug)]
enum Line {
    Udp(UdpSocket),
    Serial(File),
}

impl Line {
    fn send(&mut self, to: Peer, datagram: &[u8]) {
        // A datagram that cannot be sent is lost, as any may be.
        let _ = match (self, to) {
            (Self::Udp(socket), Peer::Udp(address)) => socket.send_to(datagram, address).map(drop),
            (Self::Serial(file), _) => {
                let mut frame = Vec::with_capacity(datagram.len() + 16);
                link::encode(datagram, |b| frame.push(b));
                file.write_all(&frame)
            }
            _ => Ok(()),
        };
    }

    /// A line of text beside the datagrams, where they share a serial line.
    fn show(&mut self, text: &str) {
        if let Self::Serial(file) = self {
            let mut frame = Vec::with_capacity(text.len() + 8);
            link::diagnostic(text, |b| frame.push(b));
            let _ = file.write_all(&frame);
        }
    }
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
}

fn say(number: u16, fields: &str) {
    let node = if number > 0 {
        format!("\"node\":{number},")
    } else {
        String::new()
    };
    let mut out = io::stdout().lock();
    // Whoever reads has gone: so does the node, when its input ends.
    let _ = writeln!(out, "{{{node}{fields}}}").and_then(|()| out.flush());
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

fn open_udp(socket: UdpSocket, events: &Intake) -> io::Result<(Line, String)> {
    let name = socket.local_addr()?.to_string();
    let (reader, events) = (socket.try_clone()?, events.clone());
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        loop {
            match reader.recv_from(&mut buffer) {
                Ok((length, from)) => {
                    let datagram = buffer.get(..length).unwrap_or(&[]);
                    if !events.datagram(Peer::Udp(from), false, datagram) {
                        return;
                    }
                }
                // ICMP errors of earlier answers come back here.
                Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(_) => return,
            }
        }
    });
    Ok((Line::Udp(socket), format!("\"udp\":\"{name}\"")))
}

/// The group's port, which all nodes on this computer share.
fn group_socket() -> io::Result<UdpSocket> {
    use rustix::net::{AddressFamily, SocketType, bind, socket, sockopt::set_socket_reuseaddr};
    let fd = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    set_socket_reuseaddr(&fd, true)?;
    bind(&fd, &SocketAddr::from((GROUP, PORT)))?;
    Ok(fd.into())
}

/// Requests to the group come in by a socket of their own, which says that they were.
fn open_group(events: &Intake) -> io::Result<()> {
    let socket = group_socket()?;
    // From other computers by the way the system chooses, and from this one by its own loop.
    let ways = [Ipv4Addr::UNSPECIFIED, Ipv4Addr::LOCALHOST];
    let joined = ways.map(|way| socket.join_multicast_v4(&GROUP, &way).is_ok());
    if !joined.contains(&true) {
        return Err(io::ErrorKind::AddrNotAvailable.into());
    }
    let events = events.clone();
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let datagram = buffer.get(..length).unwrap_or(&[]);
            if !events.datagram(Peer::Udp(from), true, datagram) {
                return;
            }
        }
    });
    Ok(())
}

fn open_serial(o: &Options, events: &Intake) -> Result<(Line, String), Box<dyn Error>> {
    let (file, name) = match &o.serial {
        Some(path) => {
            let file = File::options().read(true).write(true).open(path)?;
            (file, path.display().to_string())
        }
        None => {
            let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
            rustix::pty::grantpt(&master)?;
            rustix::pty::unlockpt(&master)?;
            let name = rustix::pty::ptsname(&master, Vec::new())?.into_string()?;
            // Held open, so that the line does not hang up when a client closes it.
            let slave = File::options().read(true).write(true).open(&name)?;
            Box::leak(Box::new(slave));
            (File::from(master), name)
        }
    };
    if let Ok(mut modes) = rustix::termios::tcgetattr(&file) {
        modes.make_raw();
        rustix::termios::tcsetattr(&file, rustix::termios::OptionalActions::Now, &modes)?;
    }
    let (mut reader, events) = (file.try_clone()?, events.clone());
    thread::spawn(move || {
        let mut decoder = link::Decoder::new();
        let mut buffer = [0; 1024];
        while let Ok(length @ 1..) = reader.read(&mut buffer) {
            for byte in buffer.get(..length).unwrap_or(&[]) {
                if let Some(datagram) = decoder.push(*byte) {
                    events.datagram(Peer::Serial, false, datagram);
                }
            }
            let damaged = &events.state.damaged;
            damaged.store(decoder.damaged, Ordering::Relaxed);
        }
        events.send(Event::Closed);
    });
    Ok((Line::Serial(file), format!("\"serial\":\"{name}\"")))
}

/// Runs a node until it is told to stop.
fn node(
    o: &Options,
    number: u16,
    socket: Option<UdpSocket>,
    input: &(Intake, Receiver<Event>),
) -> Result<(), Box<dyn Error>> {
    let (events, inbox) = input;
    let flash = FileFlash::open(o.flash.as_deref())?;
    let (mut line, name) = if o.pty || o.serial.is_some() {
        open_serial(o, events)?
    } else {
        let socket = socket.map_or_else(|| UdpSocket::bind(o.udp), Ok)?;
        let (line, name) = open_udp(socket, events)?;
        let group = open_group(events).is_ok();
        (line, format!("{name},\"group\":{group}"))
    };
    if o.plugtest {
        while serve_plugtest(&mut line, &name, events, inbox) {}
        return Ok(());
    }
    let mut reset = "power on";
    loop {
        let again = boot(o, number, flash, reset, &mut line, &name, events, inbox);
        if !again {
            return Ok(());
        }
        reset = "pin";
    }
}

/// What nobody can guess: the standard library has its keys from the system.
fn seed() -> u128 {
    let half = || u128::from(RandomState::new().hash_one(0));
    half() << 64 | half()
}

/// A client's host: its address, of IPv6 the network that it can choose addresses in.
fn host(peer: &Peer) -> u64 {
    match peer {
        Peer::Serial => 0,
        Peer::Udp(SocketAddr::V4(address)) => u64::from(address.ip().to_bits()),
        Peer::Udp(SocketAddr::V6(address)) => (address.ip().to_bits() >> 64) as u64,
    }
}

/// Serves the resources of the plugtests until it is told to stop or to begin anew, which it says.
fn serve_plugtest(line: &mut Line, name: &str, events: &Intake, inbox: &Receiver<Event>) -> bool {
    let mut server = Plugtest::new(seed(), |peer| matches!(peer, Peer::Serial));
    say(0, &format!("\"event\":\"ready\",{name}"));
    loop {
        let mut out = |to: Peer, datagram: &[u8]| line.send(to, datagram);
        let wait = server.poll(&mut out);
        match inbox
            .recv_timeout(Duration::from_millis(wait))
            .inspect(|event| events.taken(event))
        {
            Ok(Event::Datagram(from, multicast, datagram)) => {
                server.receive(from, multicast, &datagram, &mut out);
            }
            Ok(Event::Command(command)) => {
                match command.split_whitespace().collect::<Vec<_>>().as_slice() {
                    ["advance", milliseconds] => {
                        server.advance(milliseconds.parse().unwrap_or(0), &mut out);
                        say(0, "\"event\":\"advanced\"");
                    }
                    ["reset"] => return true,
                    ["quit"] => return false,
                    _ => eprintln!("wasmote-native: unknown command: {command}"),
                }
            }
            Ok(Event::Closed) | Err(RecvTimeoutError::Disconnected) => return false,
            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
        }
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
    inbox: &Receiver<Event>,
) -> bool {
    use wasmote_node::slot::Flash;
    let record = flash.mapped(flash::PROVISION, flash::SLOTS - flash::PROVISION);
    let mut provision = Provision::read(record).unwrap_or_default();
    provision.development |= o.development;
    provision.name = o.name.unwrap_or(provision.name);
    let slots = Slots::open(flash, flash::SLOTS, flash::SECTOR);
    let board = Board {
        name: "native",
        class: o.class,
        version: env!("CARGO_PKG_VERSION"),
        clock: "system",
        hertz: 0,
        reset,
        missing: heapless::Vec::new(),
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
    let mut runner = Runner::new(slots, region, provision.clone(), limits, runner_memory);
    let start = Instant::now();
    let mut server = Server::new(board, provision, server_memory, seed());
    server.trust(|peer| matches!(peer, Peer::Serial));
    server.hosts(host);
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
        let event = match inbox.recv_timeout(Duration::from_millis(wait)) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => break false,
        };
        events.taken(&event);
        let gauges = server.gauges();
        gauges.link_lost = events.state.lost.load(Ordering::Relaxed);
        gauges.link_damaged = events.state.damaged.load(Ordering::Relaxed);
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
                    ["reset"] => break true,
                    ["quit"] => break false,
                    [] => {}
                    _ => eprintln!("wasmote-native: unknown command: {command}"),
                }
            }
        }
    };
    let _ = stop.set(());
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
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            let (first, rest) = line.split_once(' ').unwrap_or((&line, ""));
            let named = |(number, name, _): &&(u16, Option<&str>, Intake)| {
                *number > 0 && (*name == Some(first) || first.parse() == Ok(*number))
            };
            if let Some((.., events)) = inputs.iter().find(named) {
                events.send(Event::Command(rest.to_owned()));
                continue;
            }
            for (.., events) in &inputs {
                events.send(Event::Command(line.clone()));
            }
        }
        // Whoever started this has gone.
        for (.., events) in &inputs {
            events.send(Event::Closed);
        }
    });
    for node in nodes {
        node.join().map_err(|_| "a node panicked")??;
    }
    Ok(())
}

fn main() {
    // Three slots are what the flash image has room for.
    const { assert!(SLOTS == 3) };
    if let Err(error) = run() {
        eprintln!("wasmote-native: {error}");
        std::process::exit(1);
    }
}
