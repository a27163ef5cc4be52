//! A cable with an interface at one end and a test at the other, which makes and reads frames by hand.
#![allow(dead_code, reason = "each file of tests uses its part")]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may fail by panicking"
)]
use std::collections::VecDeque;
use std::net::Ipv4Addr;
use wasmote_net::smoltcp::phy::{self, ChecksumCapabilities, DeviceCapabilities, Medium};
use wasmote_net::smoltcp::time::Instant;
use wasmote_net::smoltcp::wire::*;
use wasmote_net::{Config, Endpoint, Fixed, Interface, Storage};

pub const NODE: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);
pub const PEER: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 2]);
pub const FIXED: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 77);
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 5);
pub const PATIENCE: u64 = 10_000;

/// The node's device: frames on their way to it, and from it.
#[derive(Default)]
pub struct Wire {
    pub to_node: VecDeque<Vec<u8>>,
    pub from_node: VecDeque<Vec<u8>>,
    /// Frames the device still has room for.
    pub room: usize,
}

pub struct Rx(Vec<u8>);
pub struct Tx<'a>(&'a mut Wire);

impl phy::RxToken for Rx {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl phy::TxToken for Tx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        // Pre-filled with garbage, so that what is not written is seen.
        let mut frame = vec![0xa5; length];
        let result = f(&mut frame);
        self.0.from_node.push_back(frame);
        self.0.room -= 1;
        result
    }
}

impl phy::Device for Wire {
    type RxToken<'a> = Rx;
    type TxToken<'a> = Tx<'a>;

    fn receive(&mut self, _now: Instant) -> Option<(Rx, Tx<'_>)> {
        if self.room == 0 {
            return None;
        }
        let frame = self.to_node.pop_front()?;
        Some((Rx(frame), Tx(self)))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Tx<'_>> {
        (self.room > 0).then_some(Tx(self))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities
    }
}

/// A node that answers every datagram with the same bytes reversed.
pub struct Rig {
    pub interface: Interface,
    pub wire: Wire,
    pub now: u64,
    pub up: bool,
    /// What came: from whom, to many or not, bytes.
    pub received: Vec<(Endpoint, bool, Vec<u8>)>,
    pub due: Option<u64>,
    /// Frames that the node may still take in this call.
    pub share: usize,
}

impl Rig {
    pub fn new() -> Self {
        Self::with(NODE)
    }

    /// A node with this hardware address.
    pub fn with(hardware: EthernetAddress) -> Self {
        Self::seeded(hardware, 7)
    }

    /// The same, with a seed of its own.
    pub fn seeded(hardware: EthernetAddress, seed: u64) -> Self {
        let mut wire = Wire {
            room: usize::MAX,
            ..Wire::default()
        };
        let config = Config {
            hardware: hardware.0,
            seed,
            fixed: Fixed {
                address: FIXED,
                prefix: 24,
                gateway: None,
            },
            patience: PATIENCE,
        };
        let storage = Box::leak(Box::new(Storage::new()));
        Self {
            interface: Interface::new(config, &mut wire, storage, 0),
            wire,
            now: 0,
            up: true,
            received: Vec::new(),
            due: None,
            share: usize::MAX,
        }
    }

    /// With its fixed address, and nothing on the wire.
    pub fn settled() -> Self {
        let mut rig = Self::new();
        rig.poll();
        rig.now = PATIENCE;
        rig.poll();
        rig.wire.from_node.clear();
        rig
    }

    pub fn poll(&mut self) {
        let (received, share) = (&mut self.received, &mut self.share);
        let may_take = || {
            let may = *share > 0;
            *share = share.saturating_sub(1);
            may
        };
        self.due = self.interface.poll(
            self.now,
            self.up,
            &mut self.wire,
            may_take,
            |from, many, datagram, output| {
                received.push((from, many, datagram.to_vec()));
                let answer: Vec<u8> = datagram.iter().rev().copied().collect();
                output.send(from, &answer);
            },
        );
    }

    /// Gives the node a frame and returns what it sends.
    pub fn exchange(&mut self, frame: Vec<u8>) -> Vec<Vec<u8>> {
        self.wire.to_node.push_back(frame);
        self.poll();
        self.sent()
    }

    pub fn sent(&mut self) -> Vec<Vec<u8>> {
        self.wire.from_node.drain(..).collect()
    }

    /// From deadline to deadline for so many milliseconds, beside a DHCP server that answers everything with this lease. Gives
    /// the frames that the node sent.
    pub fn live(&mut self, milliseconds: u64, lease: &Lease) -> usize {
        let end = self.now + milliseconds;
        let mut frames = 0;
        while self.now < end {
            self.poll();
            let sent = self.sent();
            frames += sent.len();
            let answers: Vec<_> = sent.iter().filter_map(|f| lease.answer(f)).collect();
            let arp = sent.iter().filter_map(|f| arp_answer(f));
            self.wire.to_node.extend(arp);
            self.now = if answers.is_empty() {
                self.due.unwrap_or(end).max(self.now)
            } else {
                self.now + 1
            };
            self.wire.to_node.extend(answers);
        }
        frames
    }
}

fn ethernet(
    from: EthernetAddress,
    to: EthernetAddress,
    kind: EthernetProtocol,
    length: usize,
) -> Vec<u8> {
    let mut bytes = vec![0; 14 + length];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes);
    frame.set_src_addr(from);
    frame.set_dst_addr(to);
    frame.set_ethertype(kind);
    bytes
}

/// A datagram in its frame.
pub fn udp(
    (hardware, from): (EthernetAddress, Endpoint),
    (to_hardware, to): (EthernetAddress, Endpoint),
    payload: &[u8],
) -> Vec<u8> {
    let checksums = ChecksumCapabilities::default();
    let ip = Ipv4Repr {
        src_addr: from.address,
        dst_addr: to.address,
        next_header: IpProtocol::Udp,
        payload_len: 8 + payload.len(),
        hop_limit: 64,
    };
    let mut bytes = ethernet(
        hardware,
        to_hardware,
        EthernetProtocol::Ipv4,
        28 + payload.len(),
    );
    let mut packet = Ipv4Packet::new_unchecked(&mut bytes[14..]);
    ip.emit(&mut packet, &checksums);
    let repr = UdpRepr {
        src_port: from.port,
        dst_port: to.port,
    };
    repr.emit(
        &mut UdpPacket::new_unchecked(packet.payload_mut()),
        &from.address.into(),
        &to.address.into(),
        payload.len(),
        |place| place.copy_from_slice(payload),
        &checksums,
    );
    bytes
}

/// A request of the usual client.
pub fn request(payload: &[u8]) -> Vec<u8> {
    udp((PEER, client()), (NODE, node()), payload)
}

pub fn client() -> Endpoint {
    Endpoint {
        address: CLIENT,
        port: 40_000,
    }
}

pub fn node() -> Endpoint {
    Endpoint {
        address: FIXED,
        port: wasmote_net::PORT,
    }
}

/// Reads a datagram, its checksums checked: hardware address and endpoint it goes to, endpoint it comes from, bytes.
pub fn read_udp(bytes: &[u8]) -> Option<(EthernetAddress, Endpoint, Endpoint, Vec<u8>)> {
    let frame = EthernetFrame::new_checked(bytes).ok()?;
    if frame.ethertype() != EthernetProtocol::Ipv4 {
        return None;
    }
    let packet = Ipv4Packet::new_checked(frame.payload()).ok()?;
    let ip = Ipv4Repr::parse(&packet, &ChecksumCapabilities::default()).ok()?;
    if ip.next_header != IpProtocol::Udp {
        return None;
    }
    let datagram = UdpPacket::new_checked(packet.payload()).ok()?;
    assert!(datagram.verify_checksum(&ip.src_addr.into(), &ip.dst_addr.into()));
    let to = Endpoint {
        address: ip.dst_addr,
        port: datagram.dst_port(),
    };
    let from = Endpoint {
        address: ip.src_addr,
        port: datagram.src_port(),
    };
    Some((frame.dst_addr(), to, from, datagram.payload().to_vec()))
}

pub fn arp_request(for_whom: Ipv4Addr) -> Vec<u8> {
    let repr = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr: PEER,
        source_protocol_addr: CLIENT,
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: for_whom,
    };
    let mut bytes = ethernet(
        PEER,
        EthernetAddress::BROADCAST,
        EthernetProtocol::Arp,
        repr.buffer_len(),
    );
    repr.emit(&mut ArpPacket::new_unchecked(&mut bytes[14..]));
    bytes
}

pub fn read_arp(bytes: &[u8]) -> Option<ArpRepr> {
    let frame = EthernetFrame::new_checked(bytes).ok()?;
    if frame.ethertype() != EthernetProtocol::Arp {
        return None;
    }
    ArpRepr::parse(&ArpPacket::new_checked(frame.payload()).ok()?).ok()
}

/// What the peer answers to a request for any address but the node's own.
pub fn arp_answer(bytes: &[u8]) -> Option<Vec<u8>> {
    let Some(ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr,
        source_protocol_addr,
        target_protocol_addr,
        ..
    }) = read_arp(bytes)
    else {
        return None;
    };
    let repr = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Reply,
        source_hardware_addr: PEER,
        source_protocol_addr: target_protocol_addr,
        target_hardware_addr: source_hardware_addr,
        target_protocol_addr: source_protocol_addr,
    };
    let mut answer = ethernet(
        PEER,
        source_hardware_addr,
        EthernetProtocol::Arp,
        repr.buffer_len(),
    );
    repr.emit(&mut ArpPacket::new_unchecked(&mut answer[14..]));
    Some(answer)
}

/// What a small DHCP server gives.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    pub address: Ipv4Addr,
    pub mask: Option<Ipv4Addr>,
    pub router: Option<Ipv4Addr>,
    pub name_server: Ipv4Addr,
    /// Where its datagrams come from, and what it calls itself.
    pub source: Ipv4Addr,
    pub identifier: Ipv4Addr,
    pub seconds: Option<u32>,
    pub renew: Option<u32>,
    pub rebind: Option<u32>,
    /// Of its acknowledgements.
    pub acknowledgement: DhcpMessageType,
}

/// One that nothing is wrong with.
pub const LEASE: Lease = Lease {
    address: Ipv4Addr::new(10, 1, 0, 9),
    mask: Some(Ipv4Addr::new(255, 255, 255, 0)),
    router: Some(Ipv4Addr::new(10, 1, 0, 1)),
    name_server: Ipv4Addr::new(10, 1, 0, 1),
    source: Ipv4Addr::new(10, 1, 0, 1),
    identifier: Ipv4Addr::new(10, 1, 0, 1),
    seconds: Some(600),
    renew: None,
    rebind: None,
    acknowledgement: DhcpMessageType::Ack,
};

impl Lease {
    /// What the server answers to a frame, if that is for it.
    pub fn answer(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let (_, to, _, payload) = read_udp(bytes)?;
        if to.port != 67 {
            return None;
        }
        let packet = DhcpPacket::new_checked(&payload[..]).ok()?;
        let asked = DhcpRepr::parse(&packet).ok()?;
        let message_type = match asked.message_type {
            DhcpMessageType::Discover => DhcpMessageType::Offer,
            DhcpMessageType::Request => self.acknowledgement,
            _ => return None,
        };
        let mut name_servers = heapless::Vec::new();
        name_servers.push(self.name_server).unwrap();
        // smoltcp reads these two and does not write them.
        let times = [(58, self.renew), (59, self.rebind)]
            .map(|(kind, seconds)| (kind, seconds.map(u32::to_be_bytes)));
        let options: Vec<DhcpOption<'_>> = times
            .iter()
            .filter_map(|(kind, data)| {
                Some(DhcpOption {
                    kind: *kind,
                    data: data.as_ref()?,
                })
            })
            .collect();
        let answer = DhcpRepr {
            message_type,
            your_ip: self.address,
            server_identifier: Some(self.identifier),
            router: self.router,
            subnet_mask: self.mask,
            dns_servers: Some(name_servers),
            lease_duration: self.seconds,
            additional_options: &options,
            max_size: None,
            client_identifier: None,
            requested_ip: None,
            parameter_request_list: None,
            ..asked
        };
        let mut body = vec![0; answer.buffer_len()];
        answer
            .emit(&mut DhcpPacket::new_unchecked(&mut body[..]))
            .unwrap();
        let from = Endpoint {
            address: self.source,
            port: 67,
        };
        let to = Endpoint {
            address: Ipv4Addr::BROADCAST,
            port: 68,
        };
        Some(udp((PEER, from), (EthernetAddress::BROADCAST, to), &body))
    }
}

/// Any protocol's bytes in a frame to the node, its checksums right.
pub fn packet(protocol: u8, to: Ipv4Addr, body: &[u8]) -> Vec<u8> {
    let many = to.octets();
    let hardware = if to.is_multicast() {
        EthernetAddress([1, 0, 0x5e, many[1] & 0x7f, many[2], many[3]])
    } else {
        NODE
    };
    let mut bytes = ethernet(PEER, hardware, EthernetProtocol::Ipv4, 20 + body.len());
    let repr = Ipv4Repr {
        src_addr: CLIENT,
        dst_addr: to,
        next_header: protocol.into(),
        payload_len: body.len(),
        hop_limit: 1,
    };
    let mut packet = Ipv4Packet::new_unchecked(&mut bytes[14..]);
    repr.emit(&mut packet, &ChecksumCapabilities::default());
    packet.payload_mut().copy_from_slice(body);
    mend(&mut bytes);
    bytes
}

/// Makes the checksums of a frame right, as far as it can be read: IPv4, and what is in it.
pub fn mend(bytes: &mut [u8]) {
    if EthernetFrame::new_checked(&bytes[..]).map(|f| f.ethertype()) != Ok(EthernetProtocol::Ipv4) {
        return;
    }
    let bytes = &mut bytes[14..];
    if Ipv4Packet::new_checked(&bytes[..]).is_err() {
        return;
    }
    let mut packet = Ipv4Packet::new_unchecked(bytes);
    if packet.header_len() < 20 {
        return;
    }
    packet.fill_checksum();
    let (protocol, from, to) = (packet.next_header(), packet.src_addr(), packet.dst_addr());
    let body = packet.payload_mut();
    match protocol {
        IpProtocol::Udp if UdpPacket::new_checked(&body[..]).is_ok() => {
            UdpPacket::new_unchecked(body).fill_checksum(&from.into(), &to.into());
        }
        IpProtocol::Icmp if body.len() >= 8 => Icmpv4Packet::new_unchecked(body).fill_checksum(),
        IpProtocol::Igmp if body.len() >= 8 => IgmpPacket::new_unchecked(body).fill_checksum(),
        _ => {}
    }
}
