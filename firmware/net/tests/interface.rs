//! The interface on a cable: addresses, datagrams both ways, groups, the link's ups and downs, and whatever else may arrive.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may fail by panicking"
)]
mod rig;

use rig::*;
use std::net::Ipv4Addr;
use wasmote_net::smoltcp::wire::{
    ArpOperation, ArpRepr, EthernetAddress, EthernetFrame, Ipv4Packet,
};
use wasmote_net::{Endpoint, GROUP, Origin, PORT};

/// Where frames to the group go on Ethernet (RFC 1112 §6.4).
const GROUP_HARDWARE: EthernetAddress = EthernetAddress([0x01, 0, 0x5e, 0, 1, 187]);

#[test]
fn an_answer_goes_back_to_where_the_request_came_from() {
    let mut rig = Rig::settled();
    let sent = rig.exchange(request(b"abc"));
    assert_eq!(rig.received, [(client(), false, b"abc".to_vec())]);
    // Without a word of ARP.
    assert_eq!(sent.len(), 1);
    assert_eq!(
        read_udp(&sent[0]),
        Some((PEER, client(), node(), b"cba".to_vec()))
    );
}

#[test]
fn arp_is_answered_for_the_own_address_alone() {
    let mut rig = Rig::settled();
    let sent = rig.exchange(arp_request(FIXED));
    let Some(ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr,
        target_protocol_addr,
        ..
    }) = read_arp(&sent[0])
    else {
        unreachable!("no ARP answer")
    };
    assert_eq!(
        (operation, source_hardware_addr, target_protocol_addr),
        (ArpOperation::Reply, NODE, CLIENT)
    );
    assert!(
        rig.exchange(arp_request(Ipv4Addr::new(192, 168, 0, 78)))
            .is_empty()
    );
}

#[test]
fn a_lease_is_asked_for_taken_renewed_and_lost() {
    let lease = Ipv4Addr::new(10, 1, 0, 9);
    let mut rig = Rig::new();
    rig.poll();
    // Discover and offer, request and acknowledgement.
    for _ in 0..2 {
        let asked = rig.sent();
        let answers = asked.iter().filter_map(|f| dhcp_answer(f, lease, 600));
        rig.wire.to_node.extend(answers);
        rig.poll();
    }
    assert_eq!(rig.interface.address(), (Some(lease), Origin::Dhcp));
    let own = Endpoint {
        address: lease,
        port: PORT,
    };
    let from = Endpoint {
        address: Ipv4Addr::new(10, 1, 0, 5),
        port: 9,
    };
    rig.sent();
    let sent = rig.exchange(udp((PEER, from), (NODE, own), b"ab"));
    assert_eq!(read_udp(&sent[0]), Some((PEER, from, own, b"ba".to_vec())));
    // Nobody renews it: it is given up, and after a while the fixed address is taken.
    for step in 0..700 {
        rig.now = 1_000 * step;
        rig.poll();
    }
    assert_eq!(rig.interface.address(), (Some(FIXED), Origin::Fixed));
}

#[test]
fn without_a_server_the_fixed_address_is_taken_in_time_and_a_later_lease_replaces_it() {
    let mut rig = Rig::new();
    rig.poll();
    let mut frames = 0;
    while rig.interface.address().1 == Origin::None {
        // The clock goes from deadline to deadline: each is later than now, none later than the patience.
        let due = rig.due.unwrap();
        assert!(due > rig.now && due <= PATIENCE, "{due} after {}", rig.now);
        rig.now = due;
        rig.poll();
        frames += rig.sent().len();
    }
    assert_eq!(
        (rig.now, rig.interface.address().0),
        (PATIENCE, Some(FIXED))
    );
    assert!(
        (3..=8).contains(&frames),
        "{frames} frames in {PATIENCE} ms"
    );
    let lease = Ipv4Addr::new(10, 1, 0, 9);
    for _ in 0..8 {
        rig.now = rig.due.unwrap();
        rig.poll();
        let asked = rig.sent();
        let answers = asked.iter().filter_map(|f| dhcp_answer(f, lease, 600));
        rig.wire.to_node.extend(answers);
        rig.poll();
    }
    assert_eq!(rig.interface.address(), (Some(lease), Origin::Dhcp));
}

#[test]
fn a_lease_of_no_address_is_not_taken() {
    for lease in [Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, GROUP] {
        let mut rig = Rig::new();
        rig.poll();
        for _ in 0..2 {
            let asked = rig.sent();
            let answers = asked.iter().filter_map(|f| dhcp_answer(f, lease, 600));
            rig.wire.to_node.extend(answers);
            rig.poll();
        }
        assert_eq!(rig.interface.address(), (None, Origin::None));
    }
}

#[test]
fn the_group_is_joined_and_its_datagrams_are_marked() {
    let mut rig = Rig::new();
    rig.poll();
    rig.sent();
    rig.now = PATIENCE;
    rig.poll();
    rig.poll();
    let reports = rig.sent();
    assert!(rig.interface.has_group());
    // A membership report, version 2, to the group itself (RFC 2236 §3).
    assert!(reports.iter().any(|bytes| {
        let frame = EthernetFrame::new_checked(&bytes[..]).unwrap();
        let packet = Ipv4Packet::new_checked(frame.payload());
        frame.dst_addr() == GROUP_HARDWARE
            && packet.is_ok_and(|p| p.payload()[0] == 0x16 && p.dst_addr() == GROUP)
    }));
    let group = Endpoint {
        address: GROUP,
        port: PORT,
    };
    let sent = rig.exchange(udp((PEER, client()), (GROUP_HARDWARE, group), b"all"));
    assert_eq!(rig.received, [(client(), true, b"all".to_vec())]);
    assert_eq!(
        read_udp(&sent[0]),
        Some((PEER, client(), node(), b"lla".to_vec()))
    );
    // Another group is none of ours.
    let other = Endpoint {
        address: Ipv4Addr::new(224, 0, 1, 188),
        port: PORT,
    };
    let hardware = EthernetAddress([0x01, 0, 0x5e, 0, 1, 188]);
    assert!(
        rig.exchange(udp((PEER, client()), (hardware, other), b"x"))
            .is_empty()
    );
    // A broadcast is to many as well.
    let all = Endpoint {
        address: Ipv4Addr::BROADCAST,
        port: PORT,
    };
    rig.exchange(udp(
        (PEER, client()),
        (EthernetAddress::BROADCAST, all),
        b"y",
    ));
    assert_eq!(rig.received.last(), Some(&(client(), true, b"y".to_vec())));
}

#[test]
fn a_pulled_cable_ends_everything_and_a_plugged_one_starts_it_again() {
    let mut rig = Rig::settled();
    rig.exchange(request(b"before"));
    rig.up = false;
    assert!(rig.exchange(request(b"while")).is_empty());
    assert_eq!(rig.interface.address(), (None, Origin::None));
    assert_eq!(rig.due, None);
    assert_eq!(rig.received.len(), 1);
    // A notification finds nobody, and says so.
    rig.interface
        .output(rig.now, &mut rig.wire)
        .send(client(), b"x");
    assert_eq!(rig.interface.counters().unroutable, 1);
    rig.up = true;
    rig.poll();
    rig.now += PATIENCE;
    rig.poll();
    rig.poll();
    assert!(
        rig.sent()
            .iter()
            .any(|f| EthernetFrame::new_unchecked(f).dst_addr() == GROUP_HARDWARE)
    );
    assert_eq!(rig.exchange(request(b"after")).len(), 1);
}

#[test]
fn a_forged_source_holds_nobody_up() {
    let mut rig = Rig::settled();
    // Nobody has this address; the answer goes to whoever sent the frame.
    let forged = Endpoint {
        address: Ipv4Addr::new(192, 168, 0, 200),
        port: 1,
    };
    rig.exchange(udp((PEER, forged), (NODE, node()), b"1"));
    assert_eq!(rig.exchange(request(b"12")).len(), 1);
    // Sources that are no source are passed over.
    for (hardware, address, port) in [
        (PEER, FIXED, 1),
        (PEER, Ipv4Addr::UNSPECIFIED, 1),
        (PEER, Ipv4Addr::BROADCAST, 1),
        (PEER, GROUP, 1),
        (PEER, CLIENT, 0),
        (EthernetAddress::BROADCAST, CLIENT, 1),
    ] {
        let from = Endpoint { address, port };
        assert!(
            rig.exchange(udp((hardware, from), (NODE, node()), b"no"))
                .is_empty()
        );
    }
    assert_eq!(rig.received.len(), 2);
}

#[test]
fn two_hundred_clients_are_answered_and_the_forgotten_are_counted() {
    let mut rig = Rig::settled();
    let from = |n: u8| Endpoint {
        address: Ipv4Addr::new(192, 168, 0, n),
        port: 5000,
    };
    let hardware = |n: u8| EthernetAddress([2, 0, 0, 0, 1, n]);
    for n in (1..=200).filter(|n| *n != 77) {
        let sent = rig.exchange(udp((hardware(n), from(n)), (NODE, node()), &[n]));
        assert_eq!(read_udp(&sent[0]).unwrap().0, hardware(n));
    }
    // The last 64 can be notified, the first are unknown.
    let mut output = rig.interface.output(rig.now, &mut rig.wire);
    for n in [137, 200, 1, 136] {
        output.send(from(n), b"note");
    }
    let reached: Vec<_> = rig.sent().iter().map(|f| read_udp(f).unwrap().1).collect();
    assert_eq!(reached, [from(137), from(200)]);
    assert_eq!(rig.interface.counters().unroutable, 2);
}

#[test]
fn what_the_device_has_no_room_for_waits_in_order_and_what_is_too_much_is_counted() {
    let mut rig = Rig::settled();
    rig.exchange(request(b"hello"));
    rig.wire.room = 1;
    let mut output = rig.interface.output(rig.now, &mut rig.wire);
    for n in 0..40u8 {
        output.send(client(), &[n]);
    }
    assert_eq!(rig.interface.counters().unsent, 40 - 1 - 32);
    rig.wire.room = usize::MAX;
    rig.poll();
    let sent: Vec<u8> = rig
        .sent()
        .iter()
        .map(|f| read_udp(f).unwrap().3[0])
        .collect();
    assert_eq!(sent, (0..33).collect::<Vec<u8>>());
}

#[test]
fn fragments_and_oversize_do_no_harm_and_are_counted() {
    let mut rig = Rig::settled();
    let mut fragment = request(&[7; 64]);
    {
        let mut packet = Ipv4Packet::new_unchecked(&mut fragment[14..]);
        packet.set_more_frags(true);
        packet.fill_checksum();
    }
    assert!(rig.exchange(fragment).is_empty());
    assert_eq!(rig.interface.counters().fragments, 1);
    // The largest that fits a frame comes through; the CoAP server says what it thinks of it.
    assert_eq!(rig.exchange(request(&[7; 1472])).len(), 1);
    assert!(rig.exchange(request(&[7; 1473])).is_empty());
    let mut damaged = request(b"damaged");
    *damaged.last_mut().unwrap() ^= 1;
    assert!(rig.exchange(damaged).is_empty());
    assert_eq!(rig.exchange(request(b"still there")).len(), 1);
}

#[test]
fn a_flood_is_taken_in_portions() {
    let mut rig = Rig::settled();
    rig.wire.to_node.extend((0..40).map(|_| request(b"x")));
    rig.poll();
    assert_eq!(rig.received.len(), 16);
    // There is more: call again at once.
    assert_eq!(rig.due, Some(rig.now));
    rig.poll();
    rig.poll();
    assert_eq!(rig.received.len(), 40);
}

/// Random bytes that are the same in every run (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }
}

#[test]
fn garbage_and_mutated_frames_do_no_harm() {
    let mut random = Random(0x5eed);
    let mut rig = Rig::settled();
    let mut discover = Rig::new();
    discover.poll();
    let offer = dhcp_answer(&discover.sent()[0], Ipv4Addr::new(10, 1, 0, 9), 60).unwrap();
    let group = Endpoint {
        address: GROUP,
        port: PORT,
    };
    // An IGMP query (RFC 2236 §2), and an ICMP echo request.
    let other = |protocol: u8, body: &[u8]| {
        let mut bytes = request(body);
        bytes[14 + 9] = protocol;
        let mut packet = Ipv4Packet::new_unchecked(&mut bytes[14..]);
        packet.fill_checksum();
        bytes
    };
    let samples = [
        request(b"GET"),
        arp_request(FIXED),
        offer,
        udp((PEER, client()), (GROUP_HARDWARE, group), b"all"),
        other(2, &[0x11, 100, 0xee, 0x9b, 0, 0, 0, 0]),
        other(1, &[8, 0, 0xf7, 0xff, 0, 0, 0, 0]),
    ];
    for round in 0..200_000 {
        let mut frame = if round % 8 == 0 {
            let length = random.below(1600);
            (0..length).map(|_| random.below(256) as u8).collect()
        } else {
            samples[random.below(samples.len())].clone()
        };
        for _ in 0..random.below(6) {
            if frame.is_empty() {
                break;
            }
            let at = random.below(frame.len());
            match random.below(4) {
                0 => frame[at] = random.below(256) as u8,
                1 => frame[at] ^= 1 << random.below(8),
                2 => frame.truncate(at),
                _ => frame.extend_from_slice(&[0xff; 4]),
            }
        }
        // Half of them with a header that adds up, so that they get further.
        if round % 2 == 0 && frame.len() > 34 && frame[14] == 0x45 {
            Ipv4Packet::new_unchecked(&mut frame[14..]).fill_checksum();
        }
        rig.now += random.below(50) as u64;
        rig.exchange(frame);
    }
    // Whatever address it has by now (a forged lease may have been believed), it answers there.
    let (address, _) = rig.interface.address();
    let own = Endpoint {
        address: address.unwrap(),
        port: PORT,
    };
    let sent = rig.exchange(udp((PEER, client()), (NODE, own), b"alive"));
    assert!(
        sent.iter()
            .any(|f| read_udp(f).is_some_and(|(.., bytes)| bytes == b"evila"))
    );
}
