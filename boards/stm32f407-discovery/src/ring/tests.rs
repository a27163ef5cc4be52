//! The rings beside a MAC made of the manual's sentences: it follows the chain, stops at a descriptor that is not its own, and
//! goes on when it is told to.
extern crate std;
use super::*;
use smoltcp::phy::{RxToken, TxToken};
use std::boxed::Box;
use std::cell::RefCell;
use std::rc::Rc;
use std::vec;
use std::vec::Vec;

const R: usize = 4;
const T: usize = 2;

#[derive(Default)]
struct Wire {
    /// Addresses of the descriptors where the MAC is.
    receive: u32,
    transmit: u32,
    /// Whether it has stopped there, and how often it was told to go on.
    waits: bool,
    resumed: (u32, u32),
    /// Frames it found no buffer for.
    missed: u32,
}

type Shared = Rc<RefCell<Wire>>;

impl Mac for Shared {
    fn resume_receive(&self) {
        let mut wire = self.borrow_mut();
        wire.waits = false;
        wire.resumed.0 += 1;
    }
    fn resume_transmit(&self) {
        self.borrow_mut().resumed.1 += 1;
    }
}

struct Rig {
    rings: Rings<Shared, R, T>,
    wire: Shared,
}

const NOW: Instant = Instant::ZERO;

impl Rig {
    fn new() -> Self {
        let wire = Shared::default();
        let memory = Box::leak(Box::new(Memory::<R, T>::new()));
        let rings = Rings::new(memory, wire.clone());
        let mut rig = Self { rings, wire };
        rig.start();
        rig
    }

    fn start(&mut self) {
        let (receive, transmit) = self.rings.addresses();
        let mut wire = self.wire.borrow_mut();
        (wire.receive, wire.transmit, wire.waits) = (receive, transmit, false);
    }

    /// What lies at an address of the MAC's.
    fn descriptor(&self, at: u32) -> &'static Descriptor {
        let m = self.rings.memory;
        let found = m
            .receive
            .iter()
            .chain(&m.transmit)
            .find(|d| address(*d) == at);
        found.unwrap_or_else(|| unreachable!("{at:#x} is not a descriptor"))
    }
    fn buffer(&self, at: u32) -> *mut [u8; BUFFER] {
        let m = self.rings.memory;
        let found = m.received.iter().chain(&m.sent).find(|b| address(*b) == at);
        found
            .unwrap_or_else(|| unreachable!("{at:#x} is not a buffer"))
            .0
            .get()
    }

    /// A frame comes in; `flags` are what the MAC says of it beside its length.
    fn arrive(&mut self, bytes: &[u8], flags: u32) {
        let d = self.descriptor(self.wire.borrow().receive);
        let mut wire = self.wire.borrow_mut();
        if wire.waits || d.status.load(Ordering::Acquire) & OWN == 0 {
            wire.waits = true;
            wire.missed += 1;
            return;
        }
        let control = d.control.load(Ordering::Relaxed);
        assert_eq!(control & (1 << 15), 0, "no end of ring");
        assert_ne!(control & RECEIVE_CHAINED, 0);
        assert!(bytes.len() + CHECKSUM <= (control & 0x1fff) as usize);
        let to = self.buffer(d.buffer.load(Ordering::Relaxed));
        // SAFETY: the MAC owns the descriptor, and the tests have one thread.
        for (to, from) in unsafe { &mut *to }.iter_mut().zip(bytes) {
            *to = *from;
        }
        let length = ((bytes.len() + CHECKSUM) as u32) << 16;
        d.status.store(length | flags, Ordering::Release);
        wire.receive = d.next.load(Ordering::Relaxed);
    }

    fn good(&mut self, first: u8, length: usize) {
        self.arrive(&vec![first; length], RECEIVED_FIRST | RECEIVED_LAST);
    }

    /// Everything that waits goes out.
    fn depart(&mut self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        loop {
            let d = self.descriptor(self.wire.borrow().transmit);
            let status = d.status.load(Ordering::Acquire);
            if status & OWN == 0 {
                return frames;
            }
            assert_eq!(status & (1 << 21), 0, "no end of ring");
            assert_eq!(status & !OWN, SEND | SEND_CHAINED);
            let from = self.buffer(d.buffer.load(Ordering::Relaxed));
            let length = d.control.load(Ordering::Relaxed) as usize;
            // SAFETY: as above.
            let bytes = unsafe { &*from };
            frames.push(bytes.get(..length).unwrap_or(&[]).to_vec());
            d.status.store(status & !OWN, Ordering::Release);
            self.wire.borrow_mut().transmit = d.next.load(Ordering::Relaxed);
        }
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        let (received, _) = self.rings.receive(NOW)?;
        Some(received.consume(<[u8]>::to_vec))
    }

    fn send(&mut self, first: u8, length: usize) -> bool {
        let Some(token) = self.rings.transmit(NOW) else {
            return false;
        };
        token.consume(length, |bytes| bytes.fill(first));
        true
    }
}

#[test]
fn the_chains_are_circles() {
    let rig = Rig::new();
    let (receive, transmit) = rig.rings.addresses();
    for (first, length) in [(receive, R), (transmit, T)] {
        let mut seen = Vec::new();
        let mut at = first;
        while !seen.contains(&at) {
            seen.push(at);
            at = rig.descriptor(at).next.load(Ordering::Relaxed);
        }
        assert_eq!((at, seen.len()), (first, length));
    }
}

#[test]
fn frames_come_in_order_lap_after_lap() {
    let mut rig = Rig::new();
    let mut next = 0_u8;
    for round in 0..100 {
        let count = round % (R + 1);
        for i in 0..count {
            rig.good(next.wrapping_add(i as u8), 60 + round);
        }
        for _ in 0..count {
            assert_eq!(rig.take(), Some(vec![next; 60 + round]));
            next = next.wrapping_add(1);
        }
        assert_eq!(rig.take(), None);
    }
    assert_eq!(rig.wire.borrow().missed, 0);
    assert_eq!(rig.rings.counters, Counters::default());
}

#[test]
fn frames_go_in_order_lap_after_lap() {
    let mut rig = Rig::new();
    for round in 0..50_u8 {
        assert!(rig.send(round, 60));
        assert!(rig.send(round, 1514));
        assert!(!rig.send(round, 60));
        assert_eq!(rig.depart(), [vec![round; 60], vec![round; 1514]]);
    }
    assert_eq!(rig.wire.borrow().resumed.1, 100);
}

#[test]
fn a_full_ring_loses_what_comes_and_goes_on_when_there_is_room() {
    let mut rig = Rig::new();
    for i in 0..R as u8 + 3 {
        rig.good(i, 64);
    }
    assert_eq!(rig.wire.borrow().missed, 3);
    for i in 0..R as u8 {
        assert_eq!(rig.take(), Some(vec![i; 64]));
    }
    assert_eq!(rig.take(), None);
    // Told once for each buffer that is free again.
    assert_eq!(rig.wire.borrow().resumed.0, R as u32);
    rig.good(99, 64);
    assert_eq!(rig.take(), Some(vec![99; 64]));
}

#[test]
fn damaged_frames_are_counted_and_their_buffers_used_again() {
    let mut rig = Rig::new();
    let whole = RECEIVED_FIRST | RECEIVED_LAST;
    for _ in 0..20 {
        // CRC, watchdog, overflow, length, dribble: each sets the sum.
        for error in [1 << 1, 1 << 4, 1 << 11, 1 << 12, 1 << 2] {
            rig.arrive(&[1; 64], whole | ERROR | error);
            assert_eq!(rig.take(), None);
        }
    }
    rig.good(2, 64);
    assert_eq!(rig.take(), Some(vec![2; 64]));
    assert_eq!(rig.rings.counters.damaged, 100);
    assert_eq!(rig.wire.borrow().missed, 0);
}

#[test]
fn a_ring_full_of_damaged_frames_is_emptied_at_once() {
    let mut rig = Rig::new();
    for _ in 0..R {
        rig.arrive(&[1; 64], ERROR);
    }
    assert_eq!(rig.take(), None);
    assert_eq!(rig.rings.counters.damaged, R as u32);
    rig.good(3, 64);
    assert_eq!(rig.take(), Some(vec![3; 64]));
}

#[test]
fn what_is_no_whole_frame_is_unfit() {
    let mut rig = Rig::new();
    let whole = RECEIVED_FIRST | RECEIVED_LAST;
    // In pieces: a frame longer than a buffer begins in one and ends in another.
    rig.arrive(&[1; 1520], RECEIVED_FIRST);
    rig.arrive(&[1; 200], RECEIVED_LAST);
    rig.arrive(&[1; 64], 0);
    rig.arrive(&[1; HEADER - 1], whole);
    assert_eq!(rig.take(), None);
    // Longer than a frame may be, although it fits.
    rig.arrive(&[1; FRAME + 1], whole);
    // A length that no buffer has, and none at all.
    for status in [0x3fff << 16 | whole, whole] {
        assert_eq!(rig.take(), None);
        let at = rig.wire.borrow().receive;
        let d = rig.descriptor(at);
        d.status.store(status, Ordering::Release);
        rig.wire.borrow_mut().receive = d.next.load(Ordering::Relaxed);
    }
    assert_eq!(rig.take(), None);
    assert_eq!(
        rig.rings.counters,
        Counters {
            damaged: 0,
            unfit: 7
        }
    );
    rig.good(5, FRAME);
    assert_eq!(rig.take(), Some(vec![5; FRAME]));
}

#[test]
fn a_frame_stays_until_there_is_room_for_its_answer() {
    let mut rig = Rig::new();
    assert!(rig.send(1, 60) && rig.send(2, 60));
    rig.good(7, 64);
    assert_eq!(rig.take(), None);
    assert_eq!(rig.depart().len(), 2);
    assert_eq!(rig.take(), Some(vec![7; 64]));
}

#[test]
fn an_answer_goes_while_its_request_is_read() {
    let mut rig = Rig::new();
    rig.good(8, 64);
    let answered = rig.rings.receive(NOW).map(|(request, answer)| {
        let length = request.consume(<[u8]>::len);
        answer.consume(length, |bytes| bytes.fill(9));
    });
    assert_eq!(answered, Some(()));
    assert_eq!(rig.depart(), [vec![9; 64]]);
}

#[test]
fn after_the_cable_was_pulled_both_rings_begin_anew() {
    let mut rig = Rig::new();
    rig.good(1, 64);
    rig.send(1, 60);
    rig.rings.clear();
    rig.start();
    assert_eq!(rig.take(), None);
    assert!(rig.depart().is_empty());
    for i in 0..3 * R as u8 {
        rig.good(i, 64);
        assert_eq!(rig.take(), Some(vec![i; 64]));
        assert!(rig.send(i, 60));
        assert_eq!(rig.depart().len(), 1);
    }
}

#[test]
fn the_network_stack_answers_over_the_rings() {
    use smoltcp::iface::{Config, Interface, SocketSet};
    use smoltcp::wire::{
        EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, IpCidr, Ipv4Address,
    };
    let mut rig = Rig::new();
    let (node, client) = (
        EthernetAddress([2, 0, 0, 0, 0, 1]),
        EthernetAddress([2, 0, 0, 0, 0, 2]),
    );
    let mut stack = Interface::new(Config::new(node.into()), &mut rig.rings, NOW);
    stack.update_ip_addrs(|all| {
        let _ = all.push(IpCidr::new(Ipv4Address::new(10, 0, 0, 1).into(), 24));
    });
    // Who has 10.0.0.1? Tell 10.0.0.2 (RFC 826).
    let mut frame = vec![0; 60];
    let header = EthernetRepr {
        src_addr: client,
        dst_addr: EthernetAddress::BROADCAST,
        ethertype: EthernetProtocol::Arp,
    };
    header.emit(&mut EthernetFrame::new_unchecked(&mut frame));
    let arp = smoltcp::wire::ArpRepr::EthernetIpv4 {
        operation: smoltcp::wire::ArpOperation::Request,
        source_hardware_addr: client,
        source_protocol_addr: Ipv4Address::new(10, 0, 0, 2),
        target_hardware_addr: EthernetAddress::default(),
        target_protocol_addr: Ipv4Address::new(10, 0, 0, 1),
    };
    arp.emit(&mut smoltcp::wire::ArpPacket::new_unchecked(
        frame.get_mut(14..).unwrap_or(&mut []),
    ));
    for lap in 0..3 * R {
        rig.arrive(&frame, RECEIVED_FIRST | RECEIVED_LAST);
        stack.poll(
            Instant::from_millis(lap as i64),
            &mut rig.rings,
            &mut SocketSet::new(&mut [][..]),
        );
        let answers = rig.depart();
        let [answer] = answers.as_slice() else {
            unreachable!("one answer, not {}", answers.len())
        };
        let answer = EthernetFrame::new_unchecked(answer);
        assert_eq!(answer.dst_addr(), client);
        assert_eq!(answer.ethertype(), EthernetProtocol::Arp);
    }
}

#[test]
fn what_the_mac_missed_is_counted_also_when_its_counters_ran_over() {
    assert_eq!(missed(0), 0);
    assert_eq!(missed(3), 3);
    assert_eq!(missed(5 << 17), 5);
    assert_eq!(missed(5 << 17 | 0xffff), 0x1_0004);
    assert_eq!(missed(1 << 16 | 7), 0x1_0007);
    assert_eq!(missed(1 << 28 | 9 << 17), 0x809);
    // Other bits mean nothing.
    assert_eq!(missed(0xe000_0000), 0);
}
