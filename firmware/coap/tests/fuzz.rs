//! Sequences of datagrams and clock steps, good and bad, from many peers: nothing panics, no table overruns, every datagram
//! is accounted for, all that goes out is a message, and a peer that has not shown itself gets little.
//!
//! WASMOTE_FUZZ is the number of sequences: 300 by default, which takes seconds; more by hand.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod rig;

use rig::{Msg, Random, Rig, block, uint};
use wasmote_coap::{Code, Kind, MTU, OBSERVERS, TRANSFERS, option};

const PATHS: [&str; 12] = [
    "value",
    "state",
    "large",
    "count",
    "both",
    "slow",
    "upload",
    "create",
    "query",
    "nothing",
    ".well-known/core",
    "a/b/c/d/e/f/g",
];
const NUMBERS: [u16; 24] = [
    0, 1, 3, 4, 5, 6, 7, 8, 11, 12, 14, 15, 17, 20, 23, 27, 28, 35, 39, 60, 252, 258, 292, 65_000,
];

/// A message that may well be good.
fn message(random: &mut Random) -> Msg {
    let code = match random.below(12) {
        0..5 => Code::GET,
        code => Code(code as u8 - 4),
    };
    let path = PATHS[random.below(PATHS.len() as u64) as usize];
    let mut m = Msg::new(code, random.below(24) as u16, path);
    m.token.truncate(random.below(3) as usize);
    m.kind = if random.percent(60) {
        Kind::Con
    } else {
        Kind::Non
    };
    if random.percent(10) {
        let kind = if random.percent(50) {
            Kind::Ack
        } else {
            Kind::Rst
        };
        return Msg::empty(kind, random.below(80) as u16);
    }
    if path == "upload" && random.percent(80) || random.percent(5) {
        let size = 16 << random.below(7);
        let more = random.percent(70);
        m = m.with(option::BLOCK1, block(random.below(4) as u32, more, size));
        let length = if more {
            size as usize
        } else {
            random.below(u64::from(size) + 1) as usize
        };
        m.payload = vec![b'x'; length];
    } else if random.percent(40) {
        m.payload = vec![b'7'; random.below(40) as usize];
    }
    if random.percent(25) {
        m = m.with(option::OBSERVE, uint(random.below(3) as u32));
    }
    if random.percent(20) {
        m = m.with(
            option::BLOCK2,
            block(
                random.below(90) as u32,
                random.percent(10),
                16 << random.below(7),
            ),
        );
    }
    while random.percent(20) {
        let value: Vec<u8> = (0..random.below(9))
            .map(|_| random.below(256) as u8)
            .collect();
        m = m.with(NUMBERS[random.below(NUMBERS.len() as u64) as usize], value);
    }
    m
}

/// Bytes changed, cut, added, moved.
fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len() as u64 + 1) as usize;
        match random.below(5) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, random.below(256) as u8),
            2 => bytes.extend_from_within(at..),
            _ if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            _ => bytes.push(0xff),
        }
    }
    bytes.truncate(1_500);
}

#[test]
fn no_sequence_of_datagrams_does_harm() {
    let sequences = std::env::var("WASMOTE_FUZZ").map_or(300, |n| n.parse().unwrap());
    let (mut received, mut answered, mut full) = (0u64, 0u64, 0u64);
    for seed in 1..=sequences {
        let mut random = Random(seed);
        let mut rig = Rig::new();
        // Bytes that peers which have not shown themselves got beyond three times what they sent.
        let (begun, mut beyond) = (rig.now, 0);
        for step in 0..500 {
            let what = random.below(100);
            let sent = if what < 85 {
                // Few peers at times, so that tables meet the same one again; many at others, so that they fill.
                let peers = if step % 100 < 50 { 4 } else { 60 };
                let from = random.below(peers) as u8 + if random.percent(50) { 100 } else { 0 };
                let multicast = random.percent(5);
                let mut bytes = message(&mut random).bytes();
                if random.percent(25) {
                    mutate(&mut random, &mut bytes);
                }
                let duplicates = rig.server.counters().duplicates;
                let mut direct = vec![];
                let mut out = |to: u8, d: &[u8]| direct.push((to, d.to_vec()));
                rig.app.now = rig.now;
                rig.server
                    .receive(rig.now, from, multicast, &bytes, &mut rig.app, &mut out);
                assert!(direct.len() <= 1, "one datagram is answered by one at most");
                for (to, answer) in &direct {
                    assert_eq!(*to, from, "the answer goes to who asked");
                    // A duplicate of a request that was longer may be answered at its length.
                    let known = from < 100 || rig.server.counters().duplicates > duplicates;
                    let changes = bytes.get(1).is_some_and(|code| ![1, 5].contains(code));
                    let most = (3 * (bytes.len() + 28)).max(if changes { 400 } else { 0 });
                    if !known {
                        beyond += (answer.len() + 28).saturating_sub(most) as u64;
                    }
                    let allowed = 10_000 + (rig.now - begun) * 1_024 / 1_000;
                    assert!(beyond <= allowed, "seed {seed}: {beyond} bytes beyond");
                }
                direct.extend(rig.poll());
                direct
            } else if what < 95 {
                let limit = [10, 1_000, 50_000, 4_000_000][random.below(4) as usize];
                rig.now += random.below(limit);
                rig.poll()
            } else {
                rig.app.value += 1;
                for resource in 0..4 {
                    rig.server.notify(resource);
                }
                rig.poll()
            };
            for (_, datagram) in sent {
                assert!(datagram.len() <= MTU);
                Msg::read(&datagram);
            }
            rig.check_counters();
            assert!(rig.server.observers() <= OBSERVERS && rig.server.transfers() <= TRANSFERS);
            assert!(
                rig.deadline.is_none_or(|at| at > rig.now),
                "what is due is done"
            );
        }
        let c = rig.server.counters();
        received += u64::from(c.received);
        answered += u64::from(c.answered + c.separate);
        full += u64::from(c.full);
    }
    println!("{received} datagrams, {answered} requests taken, {full} refused for want of room");
    // The fuzzer reaches the handlers, and the ends of the tables.
    assert!(answered * 4 > received && full > sequences);
}
