//! Frames that nobody means well with: leases no client could live by, and real frames changed at random with their checksums
//! made right again, so that they get past the first look. smoltcp asserts some of what it is given; none of it may get there.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may fail by panicking"
)]
mod rig;

use rig::*;
use std::net::Ipv4Addr;
use wasmote_net::smoltcp::wire::{DhcpMessageType, EthernetAddress, Ipv4Packet};
use wasmote_net::{Endpoint, GROUP, Origin, PORT, SHORTEST_LEASE};

const HOUR: u64 = 3_600_000;

const fn ip(a: u8, b: u8, c: u8, d: u8) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, d)
}

/// A node that lived beside such a server for an hour of its own time, renewals and all: what it made of it.
fn lived(lease: &Lease) -> (Rig, usize) {
    let mut rig = Rig::new();
    let frames = rig.live(HOUR, lease);
    (rig, frames)
}

/// And it takes what a good server gives, afterwards.
fn recovers(mut rig: Rig) {
    let (address, _) = rig.interface.address();
    rig.up = false;
    rig.poll();
    rig.up = true;
    rig.live(60_000, &LEASE);
    let now = rig.interface.address();
    assert_eq!(now, (Some(LEASE.address), Origin::Dhcp), "was {address:?}");
}

#[test]
fn a_lease_that_no_client_could_live_by_is_not_taken() {
    let mask = |a, b, c, d| Some(ip(a, b, c, d));
    let good = LEASE;
    let bad = [
        // Addresses that are none, or nobody's alone.
        Lease {
            address: Ipv4Addr::UNSPECIFIED,
            ..good
        },
        Lease {
            address: ip(0, 0, 0, 9),
            ..good
        },
        Lease {
            address: Ipv4Addr::BROADCAST,
            ..good
        },
        Lease {
            address: ip(127, 0, 0, 1),
            ..good
        },
        Lease {
            address: GROUP,
            ..good
        },
        Lease {
            address: ip(239, 255, 255, 255),
            ..good
        },
        Lease {
            address: ip(240, 0, 0, 1),
            ..good
        },
        // The number and the broadcast of the network itself.
        Lease {
            address: ip(10, 1, 0, 0),
            ..good
        },
        Lease {
            address: ip(10, 1, 0, 255),
            ..good
        },
        // Masks that are none, and the one that has everybody as a neighbour.
        Lease {
            mask: mask(0, 0, 0, 0),
            ..good
        },
        Lease {
            mask: mask(255, 0, 255, 0),
            ..good
        },
        Lease {
            mask: mask(0, 0, 0, 255),
            ..good
        },
        // Servers that cannot be asked again.
        Lease {
            source: Ipv4Addr::UNSPECIFIED,
            ..good
        },
        Lease {
            source: GROUP,
            ..good
        },
        Lease {
            source: Ipv4Addr::BROADCAST,
            ..good
        },
        Lease {
            source: ip(127, 0, 0, 1),
            ..good
        },
        // Times that would have the node do nothing but ask.
        Lease {
            seconds: Some(0),
            ..good
        },
        Lease {
            seconds: Some(1),
            ..good
        },
        Lease {
            seconds: Some(SHORTEST_LEASE - 1),
            ..good
        },
        Lease {
            renew: Some(0),
            rebind: Some(1),
            seconds: Some(2),
            ..good
        },
        Lease {
            renew: Some(0),
            ..good
        },
        Lease {
            renew: Some(4),
            rebind: Some(400),
            ..good
        },
        Lease {
            renew: Some(0),
            rebind: Some(400),
            ..good
        },
        Lease {
            rebind: Some(0),
            ..good
        },
        Lease {
            acknowledgement: DhcpMessageType::Nak,
            ..good
        },
    ];
    for lease in bad {
        let (rig, frames) = lived(&lease);
        assert_eq!(
            rig.interface.address(),
            (Some(FIXED), Origin::Fixed),
            "{lease:?}"
        );
        // It asks every two seconds, and once more for each answer that it may ask for.
        assert!(frames < 3600 * 2, "{frames} frames, {lease:?}");
        recovers(rig);
    }
}

#[test]
fn a_lease_with_one_thing_amiss_that_a_node_does_not_need_is_taken() {
    let good = LEASE;
    let own = good.address;
    let odd = [
        good,
        Lease {
            router: None,
            ..good
        },
        Lease {
            router: Some(Ipv4Addr::UNSPECIFIED),
            ..good
        },
        Lease {
            router: Some(ip(0, 1, 2, 3)),
            ..good
        },
        Lease {
            router: Some(ip(224, 0, 0, 9)),
            ..good
        },
        Lease {
            router: Some(Ipv4Addr::BROADCAST),
            ..good
        },
        Lease {
            router: Some(ip(127, 0, 0, 1)),
            ..good
        },
        Lease {
            router: Some(ip(250, 0, 0, 1)),
            ..good
        },
        Lease {
            router: Some(ip(10, 1, 0, 255)),
            ..good
        },
        Lease {
            router: Some(ip(10, 1, 0, 0)),
            ..good
        },
        Lease {
            router: Some(own),
            ..good
        },
        Lease {
            router: Some(ip(10, 9, 0, 1)),
            ..good
        },
        Lease {
            name_server: Ipv4Addr::UNSPECIFIED,
            ..good
        },
        Lease {
            name_server: GROUP,
            ..good
        },
        Lease {
            identifier: Ipv4Addr::UNSPECIFIED,
            ..good
        },
        Lease {
            identifier: GROUP,
            ..good
        },
        Lease {
            mask: Some(Ipv4Addr::BROADCAST),
            router: None,
            ..good
        },
        Lease {
            mask: Some(ip(255, 255, 255, 254)),
            ..good
        },
        // RFC 3021: both addresses of 31 bits are hosts'.
        Lease {
            address: ip(10, 1, 0, 8),
            mask: Some(ip(255, 255, 255, 254)),
            ..good
        },
        Lease {
            mask: Some(ip(128, 0, 0, 0)),
            ..good
        },
        Lease {
            seconds: None,
            ..good
        },
        Lease {
            seconds: Some(SHORTEST_LEASE),
            ..good
        },
        Lease {
            seconds: Some(u32::MAX),
            ..good
        },
        Lease {
            renew: Some(u32::MAX),
            rebind: Some(u32::MAX),
            seconds: Some(u32::MAX),
            ..good
        },
        Lease {
            renew: Some(5),
            ..good
        },
        Lease {
            renew: Some(700),
            rebind: Some(650),
            ..good
        },
        Lease {
            rebind: Some(SHORTEST_LEASE / 2),
            ..good
        },
    ];
    // Each server in reach by a router, too, which is where smoltcp looks for a neighbour that is none.
    for lease in odd.into_iter().flat_map(|lease| {
        let far = Lease {
            source: ip(172, 16, 0, 1),
            ..lease
        };
        [lease, far]
    }) {
        let mut rig = Rig::new();
        rig.live(60_000, &lease);
        assert_eq!(
            rig.interface.address(),
            (Some(lease.address), Origin::Dhcp),
            "{lease:?}"
        );
        let frames = rig.live(HOUR, &lease);
        assert!(frames < 3600 * 2, "{frames} frames, {lease:?}");
        recovers(rig);
    }
}

/// Random numbers that are the same in every run (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }

    /// A byte as faults have them: any, or one at an edge.
    fn byte(&mut self) -> u8 {
        match self.below(3) {
            0 => [0, 1, 0x7f, 0x80, 0xe0, 0xff][self.below(6)],
            _ => self.below(256) as u8,
        }
    }

    /// Changes a frame in a few places.
    fn change(&mut self, frame: &mut Vec<u8>) {
        for _ in 0..self.below(6) {
            if frame.is_empty() {
                return;
            }
            let at = self.below(frame.len());
            match self.below(6) {
                0 | 1 => frame[at] = self.byte(),
                2 => frame[at] ^= 1 << self.below(8),
                3 => {
                    // A whole address or number.
                    let value = self.byte();
                    for byte in frame.iter_mut().skip(at & !1).take(4) {
                        *byte = value;
                    }
                }
                4 => frame.truncate(at),
                _ => frame.extend_from_slice(&[0xff; 4]),
            }
        }
    }
}

/// Real frames of every kind that the stack takes, fragments among them.
fn real() -> Vec<Vec<u8>> {
    let group = Endpoint {
        address: GROUP,
        port: PORT,
    };
    let all = ip(224, 0, 0, 1);
    let mut fragment = request(&[7; 64]);
    let mut last = request(&[9; 64]);
    for (bytes, more, offset) in [(&mut fragment, true, 0), (&mut last, false, 64)] {
        let mut packet = Ipv4Packet::new_unchecked(&mut bytes[14..]);
        packet.set_more_frags(more);
        packet.set_frag_offset(offset);
        mend(bytes);
    }
    // Echo request, unreachable, time exceeded (RFC 792); queries of both versions, to all and to one, and a report (RFC 2236 §2).
    let mut quoted = vec![3, 3, 0, 0, 0, 0, 0, 0];
    quoted.extend_from_slice(&request(b"quoted")[14..]);
    let group_of = [0x11, 1, 0, 0, 224, 0, 1, 187];
    vec![
        request(b"GET"),
        request(b""),
        udp(
            (PEER, client()),
            (EthernetAddress([1, 0, 0x5e, 0, 1, 187]), group),
            b"all",
        ),
        udp(
            (PEER, client()),
            (NODE, Endpoint { port: 9, ..node() }),
            b"nobody",
        ),
        arp_request(FIXED),
        arp_answer(&arp_request(FIXED)).unwrap(),
        packet(1, FIXED, &[8, 0, 0, 0, 0, 1, 0, 2, 3, 4]),
        packet(1, FIXED, &quoted),
        packet(1, Ipv4Addr::BROADCAST, &[8, 0, 0, 0, 0, 1, 0, 2]),
        packet(2, all, &[0x11, 100, 0, 0, 0, 0, 0, 0]),
        packet(2, all, &[0x11, 0, 0, 0, 0, 0, 0, 0]),
        packet(2, GROUP, &group_of),
        packet(2, GROUP, &[0x16, 0, 0, 0, 224, 0, 1, 187]),
        packet(2, all, &[0x17, 0, 0, 0, 224, 0, 0, 2]),
        packet(6, FIXED, &[0; 20]),
        packet(200, FIXED, &[0; 20]),
        fragment,
        last,
    ]
}

#[test]
fn real_frames_changed_at_random_do_no_harm() {
    let mut random = Random(0x5eed);
    let samples = real();
    for _ in 0..20 {
        let mut rig = Rig::new();
        rig.poll();
        for round in 0..5_000 {
            // What the node just sent is what its servers answer, or it is given back itself.
            let sent = rig.sent();
            let answer = sent.iter().find_map(|f| LEASE.answer(f).or(arp_answer(f)));
            let mut frame = match (answer, round % 8) {
                (Some(answer), _) => answer,
                (None, 0) => {
                    let length = random.below(1600);
                    (0..length).map(|_| random.byte()).collect()
                }
                (None, 1) if !sent.is_empty() => sent[random.below(sent.len())].clone(),
                _ => samples[random.below(samples.len())].clone(),
            };
            random.change(&mut frame);
            // Most with checksums that are right, so that they get further.
            if random.below(8) > 0 {
                mend(&mut frame);
            }
            rig.wire.to_node.push_back(frame);
            rig.wire.room = [0, 1, 2, usize::MAX, usize::MAX][random.below(5)];
            rig.poll();
            rig.wire.room = usize::MAX;
            // Mostly a little later; now and then when the stack has something to do, which may be a renewal.
            rig.now = match random.below(8) {
                0 => rig.due.unwrap_or(rig.now).max(rig.now),
                1 => rig.now + 60_000,
                _ => rig.now + random.below(50) as u64,
            };
        }
        // With the cable out and in again it takes a lease, and answers.
        rig.sent();
        rig.up = false;
        rig.poll();
        rig.wire.to_node.clear();
        rig.up = true;
        rig.live(60_000, &LEASE);
        let own = Endpoint {
            address: LEASE.address,
            port: PORT,
        };
        let sent = rig.exchange(udp((PEER, client()), (NODE, own), b"alive"));
        let answered = |f: &Vec<u8>| read_udp(f).is_some_and(|(.., bytes)| bytes == b"evila");
        assert!(sent.iter().any(answered));
    }
}

#[test]
fn leases_changed_at_random_do_no_harm_at_any_renewal() {
    let mut random = Random(0xfeed);
    let odd = [
        [0, 0, 0, 0],
        [224, 0, 0, 9],
        [255, 255, 255, 255],
        [10, 1, 0, 9],
        [10, 1, 0, 255],
        [127, 0, 0, 1],
        [172, 16, 0, 1],
        [0, 0, 0, 9],
    ];
    let masks = [0, 1, 8, 24, 30, 31, 32].map(|bits| u32::MAX.checked_shl(32 - bits).unwrap_or(0));
    let times = [0, 1, 9, 10, 60, 600, 0x7fff_ffff, 0x8000_0000, u32::MAX];
    for _ in 0..1_000 {
        let mut pick = |usual: Ipv4Addr| match random.below(3) {
            0 => odd[random.below(odd.len())].into(),
            _ => usual,
        };
        let (address, router) = (pick(LEASE.address), pick(LEASE.source));
        let (source, name_server) = (pick(LEASE.source), pick(LEASE.source));
        let identifier = pick(LEASE.source);
        let mut time = || (random.below(3) > 0).then(|| times[random.below(times.len())]);
        let (seconds, renew, rebind) = (time(), time(), time());
        let mask = Some(masks[random.below(masks.len())].into());
        let lease = Lease {
            address,
            mask,
            router: Some(router),
            name_server,
            source,
            identifier,
            seconds,
            renew,
            rebind,
            acknowledgement: DhcpMessageType::Ack,
        };
        let mut rig = Rig::new();
        rig.live(400_000, &lease);
        let (own, origin) = rig.interface.address();
        let octets = own.map_or([0; 4], |a| a.octets());
        assert!(!matches!(octets[0], 0 | 127 | 224..), "{own:?} {lease:?}");
        assert_eq!(origin == Origin::Fixed, own == Some(FIXED));
    }
}
