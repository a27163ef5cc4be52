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
    ArpOperation, ArpRepr, DhcpMessageType, DhcpPacket, EthernetAddress, EthernetFrame, Ipv4Packet,
};
use wasmote_net::{Endpoint, GROUP, Origin, PORT};

/// Where frames to the group go on Ethernet (RFC 1112 §6.4).
const GROUP_HARDWARE: EthernetAddress = EthernetAddress([0x01, 0, 0x5e, 0, 1, 187]);

#[test]
fn an_answer_goes_back_to_where_the_request_came_from() {
    let mut rig = Rig::settled();
    let sent = rig.exchange(request(b"abc"));
    assert_eq!(rig.received, [(client(), false, b"abc".to_vec())]);
    // Without a word of ARP, in a frame that ends with it.
    assert_eq!((sent.len(), sent[0].len()), (1, 14 + 20 + 8 + 3));
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
    let lease = LEASE.address;
    let mut rig = Rig::new();
    rig.poll();
    // Discover and offer, request and acknowledgement.
    for _ in 0..2 {
        let asked = rig.sent();
        let answers = asked.iter().filter_map(|f| LEASE.answer(f));
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
    let lease = LEASE.address;
    for _ in 0..20 {
        rig.now = rig.due.unwrap();
        rig.poll();
        let asked = rig.sent();
        let answers = asked.iter().filter_map(|f| LEASE.answer(f));
        rig.wire.to_node.extend(answers);
        rig.poll();
    }
    assert_eq!(rig.interface.address(), (Some(lease), Origin::Dhcp));
}

#[test]
fn the_group_is_joined_and_its_datagrams_are_marked() {
    let mut rig = Rig::new();
    rig.poll();
    rig.sent();
    assert!(!rig.interface.has_group());
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
    // Another group is not ours.
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
    assert_eq!(rig.exchange(request(b"whole")).len(), 1);
    rig.exchange(arp_request(FIXED));
    assert_eq!(rig.interface.counters().fragments, 0);
    // The first one, one in the middle, and the last.
    for (count, (more, offset)) in (1..).zip([(true, 0), (true, 64), (false, 128)]) {
        let mut fragment = request(&[7; 64]);
        let mut packet = Ipv4Packet::new_unchecked(&mut fragment[14..]);
        packet.set_more_frags(more);
        packet.set_frag_offset(offset);
        packet.fill_checksum();
        assert!(rig.exchange(fragment).is_empty());
        assert_eq!(rig.interface.counters().fragments, count);
    }
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
    // And nothing more than that: not at once.
    assert!(rig.due.unwrap() > rig.now);
}

#[test]
fn a_board_says_how_many_frames_may_be_taken_and_the_rest_waits_in_the_device() {
    let mut rig = Rig::settled();
    rig.wire.to_node.extend((0..10).map(|_| request(b"x")));
    for (share, taken) in [(3, 3), (0, 3), (1, 4), (16, 10)] {
        rig.share = share;
        rig.poll();
        assert_eq!(rig.received.len(), taken);
        // What is left is asked for in the next millisecond, and not before.
        if taken < 10 {
            assert_eq!(rig.due, Some(rig.now + 1));
        }
    }
    // The stack goes on meanwhile: what it sends by itself waits for nobody's share.
    let mut rig = Rig::new();
    rig.share = 0;
    rig.poll();
    assert_eq!(rig.sent().len(), 1);
}

#[test]
fn a_question_for_groups_is_answered_in_its_time_with_nothing_else_going_on() {
    let mut rig = Rig::settled();
    rig.live(1_000, &LEASE);
    // A general query that wants its answer within a second (RFC 2236 §2.2).
    let query = [0x11, 10, 0, 0, 0, 0, 0, 0];
    let all_systems = Ipv4Addr::new(224, 0, 0, 1);
    rig.exchange(packet(2, all_systems, &query));
    let asked = rig.now;
    let reports = loop {
        let due = rig.due.unwrap();
        assert!(due <= rig.now + 250, "{due} after {}", rig.now);
        rig.now = due;
        rig.poll();
        let sent = rig.sent();
        let report = |f: &&Vec<u8>| EthernetFrame::new_unchecked(f).dst_addr() == GROUP_HARDWARE;
        let reports = sent.iter().filter(report).count();
        if reports > 0 {
            break reports;
        }
    };
    assert_eq!(reports, 1);
    assert!(rig.now - asked <= 1_000, "{} ms", rig.now - asked);
}

#[test]
fn a_device_that_stays_full_is_asked_again_in_a_millisecond() {
    let mut rig = Rig::settled();
    rig.exchange(request(b"hello"));
    rig.wire.room = 0;
    rig.interface
        .output(rig.now, &mut rig.wire)
        .send(client(), b"x");
    rig.poll();
    assert_eq!(rig.due, Some(rig.now + 1));
    assert_eq!(rig.interface.counters().unsent, 0);
}

#[test]
fn an_answer_longer_than_a_frame_is_lost_and_counted() {
    let mut rig = Rig::settled();
    rig.exchange(request(b"hello"));
    for (length, unsent) in [(1472, 0), (1473, 1)] {
        let mut output = rig.interface.output(rig.now, &mut rig.wire);
        output.send(client(), &vec![7; length]);
        assert_eq!(rig.sent().len(), 1 - unsent);
        assert_eq!(rig.interface.counters().unsent as usize, unsent);
    }
    // An empty one is one.
    rig.interface
        .output(rig.now, &mut rig.wire)
        .send(client(), b"");
    assert_eq!(read_udp(&rig.sent()[0]).unwrap().3, b"");
}

#[test]
fn a_hardware_address_of_many_becomes_one_of_one() {
    let mut rig = Rig::with(EthernetAddress([0xff; 6]));
    rig.poll();
    let sent = rig.sent();
    let source = EthernetFrame::new_checked(&sent[0][..]).unwrap().src_addr();
    assert_eq!(source.0, [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff]);
}

#[test]
fn a_refused_renewal_is_heeded_each_time_and_the_fixed_address_waits_for_its_turn() {
    // RFC 2131 §4.4.5.
    let mut rig = Rig::new();
    let refusal = Lease {
        acknowledgement: DhcpMessageType::Nak,
        ..LEASE
    };
    for _ in 0..3 {
        rig.live(60_000, &LEASE);
        assert_eq!(rig.interface.address().1, Origin::Dhcp);
        let refused = loop {
            rig.now = rig.due.unwrap().max(rig.now);
            rig.poll();
            if let Some(no) = rig.sent().iter().find_map(|f| refusal.answer(f)) {
                break no;
            }
        };
        rig.exchange(refused);
        assert_eq!(rig.interface.address(), (None, Origin::None));
        assert_eq!(rig.interface.counters().refused, 0);
    }
    // Nobody answers any more.
    let lost = rig.now;
    while rig.interface.address().1 == Origin::None {
        rig.now = rig.due.unwrap().max(rig.now);
        rig.poll();
    }
    assert_eq!(
        (rig.now, rig.interface.address().0),
        (lost + PATIENCE, Some(FIXED))
    );
}

#[test]
fn a_server_beyond_the_router_is_asked_through_it() {
    let far = Ipv4Addr::new(172, 16, 0, 1);
    let lease = Lease {
        source: far,
        identifier: far,
        ..LEASE
    };
    let mut rig = Rig::new();
    rig.live(60_000, &lease);
    let asked = loop {
        rig.now = rig.due.unwrap().max(rig.now);
        rig.poll();
        let sent = rig.sent();
        rig.wire
            .to_node
            .extend(sent.iter().filter_map(|f| arp_answer(f)));
        let request = sent.iter().find_map(|f| read_udp(f));
        if let Some((hardware, to, ..)) = request {
            break (hardware, to.address);
        }
    };
    // Half of the lease has gone by: to the server, and not yet to everybody.
    assert_eq!(asked, (PEER, far));
    assert!((300_000..310_000).contains(&rig.now), "{}", rig.now);
}

#[test]
fn two_nodes_that_start_at_the_same_time_ask_under_numbers_of_their_own() {
    // RFC 2131 §4.1: transaction IDs that others hardly use.
    for now in [1, 2, 3] {
        let numbers = [0, 1].map(|seed| {
            let mut rig = Rig::seeded(NODE, seed);
            rig.now = now;
            rig.poll();
            let (.., payload) = read_udp(&rig.sent()[0]).unwrap();
            DhcpPacket::new_checked(&payload[..])
                .unwrap()
                .transaction_id()
        });
        assert_ne!(numbers[0], numbers[1], "{now}");
    }
}

#[test]
fn what_the_stack_cannot_send_is_tried_again_in_a_millisecond() {
    let mut rig = Rig::new();
    (rig.now, rig.wire.room) = (5, 0);
    rig.poll();
    assert_eq!((rig.due, rig.sent().len()), (Some(6), 0));
}
