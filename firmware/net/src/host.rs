//! Which addresses a host can have: what comes from strangers is held against it before smoltcp gets it, which asserts some of
//! this and believes the rest.
use core::net::Ipv4Addr;
use smoltcp::wire::{
    DhcpMessageType, DhcpPacket, DhcpRepr, EthernetFrame, EthernetProtocol, IpAddress, IpProtocol,
    Ipv4Cidr, Ipv4Packet, UdpPacket,
};

/// Seconds that a lease must last, so that a server cannot keep the node busy with losing and finding its address; a
/// renewal has half of it to wait for.
pub const SHORTEST_LEASE: u32 = 10;
/// Milliseconds between two refusals (DHCPNAK) that are heeded: each has the client begin anew at once, and a server that refuses
/// whatever it offered would keep both busy as fast as they can (RFC 2131 §3.1.5 names ten seconds for the like).
pub(crate) const REFUSALS: u64 = 10_000;
/// Ports of DHCP (RFC 2131 §4.1).
const SERVER: u16 = 67;
const CLIENT: u16 = 68;

/// Whether an address can be one host's: not "this network", loopback, a group, reserved or broadcast (RFC 1122 §3.2.1.3,
/// RFC 1112 §4).
pub(crate) fn is_host(address: Ipv4Addr) -> bool {
    !matches!(address.octets(), [0 | 127 | 224..=255, ..])
}

/// Whether an address can be a host's in this network: neither the network's number nor its broadcast, where there are such
/// (RFC 3021 §2.1: with 31 bits and more there are not).
pub(crate) fn is_host_in(network: &Ipv4Cidr, address: Ipv4Addr) -> bool {
    let special = network.prefix_len() < 31
        && (address == network.network().address() || Some(address) == network.broadcast());
    is_host(address) && !special
}

/// What a frame is to the DHCP client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// None, or one that smoltcp cannot read either.
    Other,
    /// An offer or an acknowledgement to live by.
    Sound,
    /// One that no client could live by. With a source of 0.0.0.0, for example, smoltcp would send the renewal there, and panic.
    Unsound,
    /// A refusal: begin anew.
    Refusal,
}

/// Reads what a DHCP server answers.
pub(crate) fn answer(frame: &EthernetFrame<&[u8]>) -> Answer {
    read(frame).unwrap_or(Answer::Other)
}

fn read(frame: &EthernetFrame<&[u8]>) -> Option<Answer> {
    if frame.ethertype() != EthernetProtocol::Ipv4 {
        return None;
    }
    let packet = Ipv4Packet::new_checked(frame.payload()).ok()?;
    if packet.next_header() != IpProtocol::Udp {
        return None;
    }
    let datagram = UdpPacket::new_checked(packet.payload()).ok()?;
    if (datagram.src_port(), datagram.dst_port()) != (SERVER, CLIENT) {
        return None;
    }
    let message = DhcpPacket::new_checked(datagram.payload()).ok()?;
    let answer = DhcpRepr::parse(&message).ok()?;
    Some(if !is_host(packet.src_addr()) {
        Answer::Unsound
    } else if answer.message_type == DhcpMessageType::Nak {
        Answer::Refusal
    } else if is_sound(&answer) {
        Answer::Sound
    } else {
        Answer::Unsound
    })
}

/// Whether an offer or an acknowledgement gives what a client can use (RFC 2131 §4.3.1, RFC 2132 §3.3 and §9). The router is not
/// asked for: without one a node still answers its neighbours.
fn is_sound(answer: &DhcpRepr<'_>) -> bool {
    let fits = answer.subnet_mask.is_none_or(|mask| {
        let bits = IpAddress::Ipv4(mask).prefix_len().unwrap_or(0);
        bits > 0 && is_host_in(&Ipv4Cidr::new(answer.your_ip, bits), answer.your_ip)
    });
    let lasts = answer.lease_duration.is_none_or(|s| s >= SHORTEST_LEASE);
    let waits = [answer.renew_duration, answer.rebind_duration]
        .into_iter()
        .flatten()
        .all(|s| s >= SHORTEST_LEASE / 2);
    is_host(answer.your_ip) && fits && lasts && waits
}
