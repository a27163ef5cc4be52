//! CoAP: the node's server on a UDP socket.
use crate::meter::Meter;
use crate::{Exchange, PERIOD, value};
use core::mem::MaybeUninit;
use smoltcp::iface::{self, SocketHandle, SocketSet};
use smoltcp::socket::udp;
use smoltcp::wire::IpAddress;
use wasmote_net::{Endpoint, PORT};
use wasmote_node::{Board, Keyring, Memory, Provision, Sensor, Server};

const SENSORS: &[Sensor] = &[Sensor {
    name: "level",
    unit: "mm",
}];
/// Datagrams that wait, and their bytes.
const PACKETS: usize = 4;
const PAYLOAD: usize = 1472;

pub struct Coap {
    server: &'static mut Server<Endpoint>,
    socket: SocketHandle,
    /// Whether values come by themselves, how many came, and when the next does.
    tells: bool,
    number: u32,
    next: Option<u64>,
    /// Whether the last value was not told yet, or not acknowledged where that is asked for: the next one waits for it, however slow
    /// the observer is.
    open: bool,
    /// The type of the last message that was sent (RFC 7252 §3: 0 is confirmable, 1 is not).
    kind: usize,
    deadline: Option<u64>,
}

impl Coap {
    pub fn new(sockets: &mut SocketSet<'_>, tells: bool) -> Self {
        type Packets = [udp::PacketMetadata; PACKETS];
        let buffer = |packets: Option<&'static mut Packets>,
                      bytes: Option<&'static mut [u8; PAYLOAD]>| {
            let (Some(packets), Some(bytes)) = (packets, bytes) else {
                unreachable!()
            };
            udp::PacketBuffer::new(&mut packets[..], &mut bytes[..])
        };
        let received = buffer(
            cortex_m::singleton!(: Packets = [udp::PacketMetadata::EMPTY; PACKETS]),
            cortex_m::singleton!(: [u8; PAYLOAD] = [0; PAYLOAD]),
        );
        let sending = buffer(
            cortex_m::singleton!(: Packets = [udp::PacketMetadata::EMPTY; PACKETS]),
            cortex_m::singleton!(: [u8; PAYLOAD] = [0; PAYLOAD]),
        );
        let mut socket = udp::Socket::new(received, sending);
        // Fails only for port 0.
        let _ = socket.bind(PORT);
        let (Some(memory), Some(place)) = (
            cortex_m::singleton!(: Memory<Endpoint> = Memory::new()),
            cortex_m::singleton!(: MaybeUninit<Server<Endpoint>> = MaybeUninit::uninit()),
        ) else {
            unreachable!()
        };
        let board = Board {
            name: "mps2-an386",
            class: "mps2-an386",
            version: env!("CARGO_PKG_VERSION"),
            clock: "crystal",
            hertz: 25_000_000,
            reset: "power on",
            missing: heapless::Vec::new(),
            readout: None,
            sensors: SENSORS,
            memory: 0,
            package: 0,
            fuel: 0,
        };
        let (memory, _) = memory.split();
        let keyring = Keyring::empty();
        let server = Server::new(board, Provision::default(), &keyring, memory, 1, Some(host));
        let server = place.write(server);
        server.trust(|_| true);
        server.sample(0, 0, value(0), &mut |_: Endpoint, _: &[u8]| {});
        Self {
            server,
            socket: sockets.add(socket),
            tells,
            number: 0,
            next: None,
            open: false,
            kind: 0,
            deadline: None,
        }
    }
}

/// A host is its address, as on the boards.
fn host(client: &Endpoint) -> u64 {
    u32::from(client.address).into()
}

impl Exchange for Coap {
    fn turn(
        &mut self,
        now: u64,
        sockets: &mut SocketSet<'_>,
        _: &mut iface::Interface,
        meter: &mut Meter,
    ) -> bool {
        let socket = sockets.get_mut::<udp::Socket<'_>>(self.socket);
        let mut datagram = [0; PAYLOAD];
        let mut asked = false;
        while let Ok((length, about)) = socket.recv_slice(&mut datagram) {
            let IpAddress::Ipv4(address) = about.endpoint.addr;
            let from = Endpoint {
                address,
                port: about.endpoint.port,
            };
            let bytes = datagram.get(..length).unwrap_or_default();
            self.server.receive(
                now,
                from,
                false,
                bytes,
                &mut |to: Endpoint, bytes: &[u8]| {
                    let _ = socket.send_slice(bytes, (to.address, to.port));
                },
            );
            asked = true;
            self.open = false;
            // The first one is the observer's request.
            if self.tells && self.next.is_none() {
                self.next = Some(now + PERIOD);
            }
        }
        let next = self.next.filter(|next| *next <= now && !self.open);
        if next.is_some() {
            meter.cut(self.kind);
            self.open = true;
        }
        let (kind, open) = (&mut self.kind, &mut self.open);
        let mut out = |to: Endpoint, bytes: &[u8]| {
            *kind = bytes.first().map_or(0, |first| usize::from(first >> 4 & 3));
            *open &= *kind == 0;
            let _ = socket.send_slice(bytes, (to.address, to.port));
        };
        if next.is_some() {
            self.number += 1;
            self.server.sample(now, 0, value(self.number), &mut out);
            self.next = Some(now + PERIOD);
        }
        self.deadline = self.server.poll(now, &mut out);
        asked && !self.tells
    }

    fn due(&self) -> Option<u64> {
        let next = self.next.filter(|_| !self.open);
        self.deadline.into_iter().chain(next).min()
    }
}
