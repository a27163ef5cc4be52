//! The link of a node that is a process: a UDP socket, or a serial line that may be a pseudo-terminal.
use crate::intake::{Event, Intake, Peer};
use rustix::pty::OpenptFlags;
use std::collections::hash_map::RandomState;
use std::error::Error;
use std::fs::File;
use std::hash::BuildHasher;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::thread;
use wasmote_node::link;

/// CoAP's port (RFC 7252 §6.1) and group (§12.8).
pub const PORT: u16 = 5683;
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 1, 187);

/// The node's side of its link.
#[derive(Debug)]
pub enum Line {
    /// A UDP socket.
    Udp(UdpSocket),
    /// A serial device or a pseudo-terminal.
    Serial(File),
}

impl Line {
    /// Sends a datagram to a client.
    pub fn send(&mut self, to: Peer, datagram: &[u8]) {
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
    pub fn show(&mut self, text: &str) {
        if let Self::Serial(file) = self {
            let mut frame = Vec::with_capacity(text.len() + 8);
            link::diagnostic(text, |b| frame.push(b));
            let _ = file.write_all(&frame);
        }
    }
}

/// What a node is reached by.
#[derive(Debug)]
pub enum Link<'p> {
    /// A UDP socket, and CoAP's multicast group where it can be joined.
    Udp(UdpSocket),
    /// A pseudo-terminal that is made for it.
    Pty,
    /// A serial device.
    Serial(&'p Path),
}

impl Link<'_> {
    /// Opens the link and begins to read from it; also what `ready` says of it, as JSON fields.
    pub fn open(self, events: &Intake) -> Result<(Line, String), Box<dyn Error>> {
        match self {
            Self::Udp(socket) => {
                let (line, name) = open_udp(socket, events)?;
                let group = open_group(events).is_ok();
                Ok((line, format!("{name},\"group\":{group}")))
            }
            Self::Pty => open_serial(None, events),
            Self::Serial(path) => open_serial(Some(path), events),
        }
    }
}

/// A socket, and a thread that reads it.
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

/// A serial device, or a pseudo-terminal that is made here.
fn open_serial(device: Option<&Path>, events: &Intake) -> Result<(Line, String), Box<dyn Error>> {
    let (file, name) = match device {
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
            events.damaged(decoder.damaged);
        }
        events.send(Event::Closed);
    });
    Ok((Line::Serial(file), format!("\"serial\":\"{name}\"")))
}

/// What nobody can guess: the standard library has its keys from the system.
pub fn seed() -> u128 {
    let half = || u128::from(RandomState::new().hash_one(0));
    half() << 64 | half()
}

/// A client's host: its address, of IPv6 the network that it can choose addresses in.
pub fn host(peer: &Peer) -> u64 {
    match peer {
        Peer::Serial => 0,
        Peer::Udp(SocketAddr::V4(address)) => u64::from(address.ip().to_bits()),
        Peer::Udp(SocketAddr::V6(address)) => (address.ip().to_bits() >> 64) as u64,
    }
}

/// Writes a JSON object with these fields to standard output, in a fleet with the number of the node.
pub fn say(number: u16, fields: &str) {
    let node = if number > 0 {
        format!("\"node\":{number},")
    } else {
        String::new()
    };
    let mut out = io::stdout().lock();
    // Whoever reads has gone: so does the node, when its input ends.
    let _ = writeln!(out, "{{{node}{fields}}}").and_then(|()| out.flush());
}
