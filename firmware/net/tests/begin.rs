//! What the node begins by itself, as a client: the one endpoint it looks for, and nobody else.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may fail by panicking"
)]
mod rig;

use rig::*;
use std::net::Ipv4Addr;
use wasmote_net::smoltcp::wire::{ArpRepr, EthernetFrame};
use wasmote_net::{Endpoint, Origin, PORT};

const DIRECTORY: Endpoint = Endpoint {
    address: Ipv4Addr::new(192, 168, 0, 9),
    port: 5_684,
};
/// The longest datagram that may begin a conversation: what a registration takes.
const LONGEST: usize = 192;

fn send(rig: &mut Rig, to: Endpoint, datagram: &[u8]) {
    rig.interface
        .output(rig.now, &mut rig.wire)
        .send(to, datagram);
}

/// Whose hardware address is asked for.
fn asked(frames: &[Vec<u8>]) -> Vec<Ipv4Addr> {
    let all = frames.iter().filter_map(|f| read_arp(f));
    all.map(|arp| match arp {
        ArpRepr::EthernetIpv4 {
            target_protocol_addr,
            ..
        } => target_protocol_addr,
        _ => unreachable!("another kind of ARP"),
    })
    .collect()
}

/// Lets an hour pass in which every question is answered: whose hardware addresses were asked for, and what was sent to CoAP's
/// clients and servers.
fn hour(rig: &mut Rig, lease: Option<&Lease>) -> (Vec<Ipv4Addr>, Vec<Vec<u8>>) {
    let (mut questions, mut told) = (vec![], vec![]);
    let end = rig.now + 3_600_000;
    while rig.now < end {
        rig.poll();
        let sent = rig.sent();
        questions.extend(asked(&sent));
        for frame in sent {
            rig.wire.to_node.extend(arp_answer(&frame));
            let lease = lease.and_then(|lease| lease.answer(&frame));
            rig.wire.to_node.extend(lease);
            let from = read_udp(&frame).map(|(_, _, from, _)| from.port);
            if from == Some(PORT) {
                told.push(frame);
            }
        }
        rig.now = if rig.wire.to_node.is_empty() {
            rig.due.unwrap_or(end)
        } else {
            rig.now + 1
        };
    }
    (questions, told)
}

#[test]
fn what_the_node_begins_waits_for_the_hardware_address_and_goes_once() {
    for length in [1, 50, LONGEST] {
        let mut rig = Rig::settled();
        rig.interface.seek(DIRECTORY);
        let datagram = vec![0x5a; length];
        send(&mut rig, DIRECTORY, &datagram);
        // Nothing is sent in the middle of something else.
        assert!(rig.sent().is_empty());
        rig.poll();
        let question = rig.sent();
        assert_eq!(asked(&question), [DIRECTORY.address]);
        assert_eq!(question.len(), 1);
        rig.now += 1;
        let sent = rig.exchange(arp_answer(&question[0]).unwrap());
        let expected = Some((PEER, DIRECTORY, node(), datagram));
        assert_eq!(
            sent.iter().map(|f| read_udp(f)).collect::<Vec<_>>(),
            [expected]
        );
        let (_, more) = hour(&mut rig, None);
        assert!(more.is_empty(), "{length}: sent again");
        assert_eq!(rig.interface.counters().unroutable, 0);
    }
}

#[test]
fn an_answer_of_the_endpoint_is_received_and_answered_without_asking_again() {
    let mut rig = Rig::settled();
    rig.interface.seek(DIRECTORY);
    send(&mut rig, DIRECTORY, b"first");
    hour(&mut rig, None);
    let answer = udp((PEER, DIRECTORY), (NODE, node()), b"answer");
    rig.wire.to_node.push_back(answer);
    rig.poll();
    assert_eq!(
        rig.received,
        [(DIRECTORY, false, b"answer".to_vec())],
        "port and address of the endpoint"
    );
    rig.sent();
    send(&mut rig, DIRECTORY, b"second");
    let at_once = rig.sent();
    assert_eq!(
        read_udp(&at_once[0]),
        Some((PEER, DIRECTORY, node(), b"second".to_vec()))
    );
}

#[test]
fn nobody_else_is_talked_to_first() {
    let other = |address: [u8; 4], port| Endpoint {
        address: address.into(),
        port,
    };
    let near = DIRECTORY.address.octets();
    // What is sought, what is sent to, how long it is: none of these asks for anybody, and each is counted.
    let cases = [
        (None, DIRECTORY, 10),
        (Some(DIRECTORY), other(near, DIRECTORY.port + 1), 10),
        (
            Some(DIRECTORY),
            other([192, 168, 0, 10], DIRECTORY.port),
            10,
        ),
        (Some(DIRECTORY), DIRECTORY, LONGEST + 1),
        (Some(DIRECTORY), DIRECTORY, 1_400),
    ];
    for (sought, to, length) in cases {
        let mut rig = Rig::settled();
        if let Some(sought) = sought {
            rig.interface.seek(sought);
        }
        send(&mut rig, to, &vec![1; length]);
        assert_eq!(rig.interface.counters().unroutable, 1, "{to:?} {length}");
        let (questions, told) = hour(&mut rig, None);
        assert_eq!((questions, told.len()), (vec![], 0), "{to:?} {length}");
    }
}

#[test]
fn an_endpoint_of_no_host_s_address_is_never_asked_for() {
    // smoltcp panics at some of these, and would ask the whole network for others.
    for address in [
        [0, 0, 0, 0],
        [255, 255, 255, 255],
        [224, 0, 1, 187],
        [239, 1, 2, 3],
        [127, 0, 0, 1],
        [0, 1, 2, 3],
    ] {
        let mut rig = Rig::settled();
        let to = Endpoint {
            address: address.into(),
            port: PORT,
        };
        rig.interface.seek(to);
        send(&mut rig, to, b"hello");
        let (questions, told) = hour(&mut rig, None);
        assert_eq!((questions, told.len()), (vec![], 0), "{address:?}");
    }
}

#[test]
fn without_an_address_nothing_is_begun_and_a_pulled_cable_forgets_it() {
    let mut rig = Rig::new();
    rig.interface.seek(DIRECTORY);
    rig.poll();
    assert_eq!(rig.interface.address().1, Origin::None);
    send(&mut rig, DIRECTORY, b"too early");
    assert_eq!(rig.interface.counters().unroutable, 1);
    let (questions, told) = hour(&mut rig, None);
    assert_eq!((questions, told.len()), (vec![], 0));
    // It waits for the next poll when the cable is pulled.
    send(&mut rig, DIRECTORY, b"before");
    rig.up = false;
    rig.poll();
    rig.up = true;
    let (_, told) = hour(&mut rig, None);
    assert!(told.is_empty(), "of the network that was there before");
    // The endpoint is sought on.
    send(&mut rig, DIRECTORY, b"after");
    let (questions, told) = hour(&mut rig, None);
    assert_eq!((questions, told.len()), (vec![DIRECTORY.address], 1));
}

#[test]
fn of_two_that_wait_the_later_one_goes() {
    let mut rig = Rig::settled();
    rig.interface.seek(DIRECTORY);
    send(&mut rig, DIRECTORY, b"the first, longer one");
    send(&mut rig, DIRECTORY, b"second");
    let (questions, told) = hour(&mut rig, None);
    assert_eq!((questions.len(), told.len()), (1, 1));
    assert_eq!(read_udp(&told[0]).unwrap().3, b"second");
}

#[test]
fn a_silent_endpoint_holds_nobody_up() {
    let mut rig = Rig::settled();
    rig.interface.seek(DIRECTORY);
    for round in 0..100 {
        send(&mut rig, DIRECTORY, b"is there anybody?");
        rig.poll();
        let sent = rig.exchange(request(b"abc"));
        let answers = sent.iter().filter_map(|f| read_udp(f));
        let mut answers = answers.filter(|(_, to, ..)| *to == client());
        assert_eq!(answers.next().unwrap().3, b"cba", "{round}");
        rig.now += 250;
    }
}

#[test]
fn an_endpoint_of_another_network_is_reached_by_the_router() {
    let far = Endpoint {
        address: Ipv4Addr::new(172, 16, 9, 9),
        port: PORT,
    };
    let mut rig = Rig::new();
    hour(&mut rig, Some(&LEASE));
    assert_eq!(rig.interface.address().1, Origin::Dhcp);
    rig.interface.seek(far);
    send(&mut rig, far, b"hello");
    let (questions, told) = hour(&mut rig, Some(&LEASE));
    assert!(questions.contains(&LEASE.router.unwrap()), "{questions:?}");
    assert!(!questions.contains(&far.address), "{questions:?}");
    let (hardware, to, from, bytes) = read_udp(&told[0]).unwrap();
    assert_eq!(
        (told.len(), hardware, to, bytes),
        (1, PEER, far, b"hello".to_vec())
    );
    assert_eq!((from.address, from.port), (LEASE.address, PORT));
    assert_eq!(EthernetFrame::new_unchecked(&told[0]).src_addr(), NODE);
    // Where there is no router there is no way, and nothing happens.
    let lone = Lease {
        router: None,
        ..LEASE
    };
    let mut rig = Rig::new();
    hour(&mut rig, Some(&lone));
    rig.interface.seek(far);
    send(&mut rig, far, b"hello");
    assert!(hour(&mut rig, Some(&lone)).1.is_empty());
}
