//! A cable with an interface at one end and a test at the other, which makes and reads frames by hand.
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
}

impl Rig {
    pub fn new() -> Self {
        let mut wire = Wire {
            room: usize::MAX,
            ..Wire::default()
        };
        let config = Config {
            hardware: NODE.0,
            seed: 7,
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
        let received = &mut self.received;
        self.due = self.interface.poll(
            self.now,
            self.up,
            &mut self.wire,
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

/// A small DHCP server: what it answers to a frame, if that is for it.
pub fn dhcp_answer(bytes: &[u8], lease: Ipv4Addr, seconds: u32) -> Option<Vec<u8>> {
    let (_, to, _, payload) = read_udp(bytes)?;
    if to.port != 67 {
        return None;
    }
    let packet = DhcpPacket::new_checked(&payload[..]).ok()?;
    let asked = DhcpRepr::parse(&packet).ok()?;
    let message_type = match asked.message_type {
        DhcpMessageType::Discover => DhcpMessageType::Offer,
        DhcpMessageType::Request => DhcpMessageType::Ack,
        _ => return None,
    };
    let server = Ipv4Addr::new(10, 1, 0, 1);
    let answer = DhcpRepr {
        message_type,
        your_ip: lease,
        server_identifier: Some(server),
        router: Some(server),
        subnet_mask: Some(Ipv4Addr::new(255, 255, 255, 0)),
        lease_duration: Some(seconds),
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
        address: server,
        port: 67,
    };
    let to = Endpoint {
        address: Ipv4Addr::BROADCAST,
        port: 68,
    };
    Some(udp((PEER, from), (EthernetAddress::BROADCAST, to), &body))
}
