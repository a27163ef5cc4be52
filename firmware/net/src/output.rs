//! The way back: datagrams leave to the hardware address that the client's last one came from.
//!
//! Why not smoltcp's UDP socket: it asks for the neighbour's address first and holds back all that is queued behind until there
//! is an answer, so one request with a forged source address would silence the node for everybody. Here a client is
//! remembered by what it sent; one that is forgotten (there are [`NEIGHBOURS`]) costs its own answer and nobody else's.
use crate::{Counters, Endpoint, PAYLOAD, PORT};
use core::cell::Cell;
use core::net::Ipv4Addr;
use smoltcp::phy::{ChecksumCapabilities, Device, TxToken};
use smoltcp::storage::{PacketBuffer, PacketMetadata};
use smoltcp::time::Instant;
use smoltcp::wire::{
    ETHERNET_HEADER_LEN, EthernetAddress, EthernetFrame, EthernetProtocol, IPV4_HEADER_LEN,
    IpProtocol, Ipv4Packet, Ipv4Repr, UDP_HEADER_LEN, UdpPacket, UdpRepr,
};

/// Clients by address that are remembered: the 64 of the stress test.
const NEIGHBOURS: usize = 64;
/// Datagrams, and their bytes, that wait for the device.
const BACKLOG: usize = 32;
const BACKLOG_BYTES: usize = 4096;
/// The longest datagram that can begin a conversation.
pub(crate) const FIRST: usize = 192;

/// Where datagrams wait for the device.
pub(crate) struct Storage {
    packets: [PacketMetadata<Endpoint>; BACKLOG],
    bytes: [u8; BACKLOG_BYTES],
}

impl Storage {
    pub(crate) const fn new() -> Self {
        Self {
            packets: [PacketMetadata::EMPTY; BACKLOG],
            bytes: [0; BACKLOG_BYTES],
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Neighbour {
    address: Ipv4Addr,
    hardware: EthernetAddress,
    /// Count of uses at the last one.
    used: u32,
}

/// What is needed to send, kept apart from smoltcp so that an answer can leave while the request is still being read.
pub(crate) struct Outbox {
    pub(crate) hardware: EthernetAddress,
    /// The node's own address; datagrams leave only while there is one.
    pub(crate) address: Option<Ipv4Addr>,
    neighbours: heapless::Vec<Neighbour, NEIGHBOURS>,
    uses: u32,
    /// Whom the node itself begins to talk to, and the datagram that waits until his hardware address is known.
    pub(crate) sought: Option<Endpoint>,
    pub(crate) first: heapless::Vec<u8, FIRST>,
    /// What the device leaves to us.
    checksum: ChecksumCapabilities,
    backlog: PacketBuffer<'static, Endpoint>,
}

impl Outbox {
    pub(crate) fn new(
        hardware: EthernetAddress,
        checksum: ChecksumCapabilities,
        storage: &'static mut Storage,
    ) -> Self {
        Self {
            hardware,
            checksum,
            address: None,
            neighbours: heapless::Vec::new(),
            uses: 0,
            sought: None,
            first: heapless::Vec::new(),
            backlog: PacketBuffer::new(&mut storage.packets[..], &mut storage.bytes[..]),
        }
    }

    /// Remembers where a client's frames come from; the one unused for longest makes room.
    pub(crate) fn learn(&mut self, address: Ipv4Addr, hardware: EthernetAddress) {
        self.uses = self.uses.wrapping_add(1);
        let now = self.uses;
        let new = Neighbour {
            address,
            hardware,
            used: now,
        };
        if let Some(known) = self.neighbours.iter_mut().find(|n| n.address == address) {
            *known = new;
        } else if self.neighbours.push(new).is_err() {
            let oldest = self
                .neighbours
                .iter_mut()
                .max_by_key(|n| now.wrapping_sub(n.used));
            if let Some(oldest) = oldest {
                *oldest = new;
            }
        }
    }

    fn find(&mut self, address: Ipv4Addr) -> Option<EthernetAddress> {
        self.uses = self.uses.wrapping_add(1);
        let uses = self.uses;
        let known = self.neighbours.iter_mut().find(|n| n.address == address)?;
        known.used = uses;
        Some(known.hardware)
    }

    /// Forgets everything: the cable was pulled, and may lead elsewhere when it is back.
    pub(crate) fn clear(&mut self, counters: &Cell<Counters>) {
        self.address = None;
        self.neighbours.clear();
        self.first.clear();
        while self.backlog.dequeue().is_ok() {
            count(counters, |c| &mut c.unsent);
        }
    }

    /// Sends what waits, as far as the device takes it; says whether all of it went.
    pub(crate) fn flush<D: Device>(
        &mut self,
        now: Instant,
        device: &mut D,
        counters: &Cell<Counters>,
    ) -> bool {
        while let Ok((&to, _)) = self.backlog.peek() {
            let Some(route) = self.route(to) else {
                let _ = self.backlog.dequeue();
                count(counters, |c| &mut c.unroutable);
                continue;
            };
            let Some(token) = device.transmit(now) else {
                return false;
            };
            if let Ok((_, datagram)) = self.backlog.dequeue() {
                emit(token, &self.checksum, &route, datagram);
            }
        }
        true
    }

    fn route(&mut self, to: Endpoint) -> Option<Route> {
        Some(Route {
            hardware: self.hardware,
            address: self.address?,
            to_hardware: self.find(to.address)?,
            to,
        })
    }
}

/// Sends datagrams from CoAP's port.
pub struct Output<'a, D> {
    pub(crate) outbox: &'a mut Outbox,
    pub(crate) device: &'a mut D,
    pub(crate) counters: &'a Cell<Counters>,
    pub(crate) now: Instant,
}

impl<D: Device> Output<'_, D> {
    /// Sends a datagram. When the device has no room it waits in the backlog; when that has none it is lost and counted.
    pub fn send(&mut self, to: Endpoint, datagram: &[u8]) {
        let Some(route) = self.outbox.route(to) else {
            // Asked for by smoltcp's socket, at `Interface::poll`: one datagram to one endpoint, which no stranger chooses.
            if self.outbox.sought == Some(to) && self.outbox.address.is_some() {
                self.outbox.first.clear();
                if self.outbox.first.extend_from_slice(datagram).is_ok() {
                    return;
                }
            }
            return count(self.counters, |c| &mut c.unroutable);
        };
        if datagram.len() > PAYLOAD {
            return count(self.counters, |c| &mut c.unsent);
        }
        // In order: what waits goes first.
        if self.outbox.flush(self.now, self.device, self.counters)
            && let Some(token) = self.device.transmit(self.now)
        {
            return emit(token, &self.outbox.checksum, &route, datagram);
        }
        match self.outbox.backlog.enqueue(datagram.len(), to) {
            Ok(place) => place.copy_from_slice(datagram),
            Err(_) => count(self.counters, |c| &mut c.unsent),
        }
    }
}

/// Both ends of a datagram.
struct Route {
    hardware: EthernetAddress,
    address: Ipv4Addr,
    to_hardware: EthernetAddress,
    to: Endpoint,
}

/// One frame: Ethernet, IPv4 (RFC 791), UDP (RFC 768), datagram.
fn emit(token: impl TxToken, checksum: &ChecksumCapabilities, route: &Route, datagram: &[u8]) {
    let ip = Ipv4Repr {
        src_addr: route.address,
        dst_addr: route.to.address,
        next_header: IpProtocol::Udp,
        payload_len: UDP_HEADER_LEN + datagram.len(),
        hop_limit: 64,
    };
    let udp = UdpRepr {
        src_port: PORT,
        dst_port: route.to.port,
    };
    let length = ETHERNET_HEADER_LEN + IPV4_HEADER_LEN + UDP_HEADER_LEN + datagram.len();
    token.consume(length, |bytes| {
        let mut frame = EthernetFrame::new_unchecked(bytes);
        frame.set_src_addr(route.hardware);
        frame.set_dst_addr(route.to_hardware);
        frame.set_ethertype(EthernetProtocol::Ipv4);
        let mut packet = Ipv4Packet::new_unchecked(frame.payload_mut());
        ip.emit(&mut packet, checksum);
        udp.emit(
            &mut UdpPacket::new_unchecked(packet.payload_mut()),
            &ip.src_addr.into(),
            &ip.dst_addr.into(),
            datagram.len(),
            |to| to.copy_from_slice(datagram),
            checksum,
        );
    });
}

/// Counts one more.
pub(crate) fn count(counters: &Cell<Counters>, pick: impl FnOnce(&mut Counters) -> &mut u32) {
    let mut c = counters.get();
    let place = pick(&mut c);
    *place = place.wrapping_add(1);
    counters.set(c);
}
