//! What strangers and hostile hosts may use up of a node: its queue, the one place for what is long, time for signatures, the
//! flash's days. Whatever they send, others have their share.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod rig;

use rig::{Host, Memory, Rig, STRANGERS, vectors};
use wasmote_coap::{Code, option};
use wasmote_node::slot::ERASES;

const HOSTILE: u8 = 10;
const OWNER: u8 = 1;

/// A node that runs the package `first`, confirmed, whose parameter is `limit`.
fn node() -> Rig {
    node_at(None)
}

/// The same, with clients at hosts.
fn node_at(host: Option<Host>) -> Rig {
    let v = vectors();
    let mut node = Rig::boot_at(&Memory::new(), &v.keys[..1], host);
    node.peer = OWNER;
    assert_eq!(node.push(v.named("first")).0, Code::CHANGED);
    node.feed(12);
    // Turns are all there again.
    node.wait(40_000);
    node
}

/// Block1 of one block or of a first one, in blocks of 64.
fn block1(more: bool) -> (u16, Vec<u8>) {
    (option::BLOCK1, if more { vec![0x0a] } else { vec![0x02] })
}

#[test]
fn changes_that_wait_leave_samples_their_room() {
    let mut node = node();
    // The Runner has no time, as while it erases flash: whoever may change anything does what he can.
    let mut taken = 0;
    for peer in 0..=u8::MAX {
        node.peer = peer;
        for _ in 0..3 {
            taken +=
                u32::from(node.ask(Code::PUT, "time", &[], b"1700000000") == Some(Code::CHANGED));
        }
    }
    assert!((10..32).contains(&taken), "{taken}");
    node.burst(12);
    assert_eq!(node.json("stats")["samples_dropped"], 0);
    // There is room again, when the requests of two hundred hosts need not be remembered any more.
    node.wait(45_000);
    node.peer = OWNER;
    let answer = node.request(Code::PUT, "time", &[], b"1700000000");
    assert_eq!(answer.0, Code::CHANGED);
}

#[test]
fn one_host_does_not_set_the_time_in_the_place_of_others() {
    let mut node = node();
    node.peer = HOSTILE;
    let mut codes = vec![];
    for _ in 0..100 {
        codes.push(node.request(Code::PUT, "time", &[], b"1").0);
    }
    let good = codes.iter().filter(|code| **code == Code::CHANGED).count();
    assert!((10..20).contains(&good), "{good}");
    assert!(codes[good..].contains(&Code::SERVICE_UNAVAILABLE));
    // All strangers together likewise, who are told to show themselves.
    let mut codes = vec![];
    for stranger in STRANGERS..=u8::MAX {
        node.peer = stranger;
        codes.push(node.request(Code::PUT, "time", &[], b"2").0);
    }
    let good = codes.iter().filter(|code| **code == Code::CHANGED).count();
    assert!((10..20).contains(&good), "{good}");
    assert_eq!(codes.last(), Some(&Code::UNAUTHORIZED));
    node.peer = OWNER;
    for _ in 0..5 {
        assert_eq!(node.request(Code::PUT, "time", &[], b"3").0, Code::CHANGED);
    }
}

#[test]
fn the_ports_of_one_host_have_its_turns_together() {
    let mut node = node_at(Some(|peer| u64::from(peer / 50)));
    let mut good = 0;
    for port in 50..100 {
        node.peer = port;
        good += u32::from(node.request(Code::PUT, "time", &[], b"1").0 == Code::CHANGED);
    }
    assert!((10..20).contains(&good), "{good}");
    node.peer = OWNER;
    assert_eq!(node.request(Code::PUT, "time", &[], b"3").0, Code::CHANGED);
    // What was refused is counted.
    let refused = node.json("node")["queues"]["requests_refused"].as_u64();
    assert!(refused >= Some(u64::from(50 - good)), "{refused:?}");
}

#[test]
fn no_option_opens_the_limit_of_parameters() {
    let tricks: [Vec<(u16, Vec<u8>)>; 10] = [
        vec![],
        vec![block1(false)],
        vec![block1(true)],
        vec![block1(false), (option::SIZE1, vec![4])],
        vec![block1(false), (option::REQUEST_TAG, vec![7])],
        vec![(option::BLOCK2, vec![0x02])],
        vec![(option::BLOCK2, vec![0x12])],
        vec![(option::NO_RESPONSE, vec![26])],
        vec![(option::IF_MATCH, vec![])],
        vec![(option::URI_QUERY, b"a".to_vec())],
    ];
    let mut node = node();
    let began = node.json("node")["erasures_left"].as_u64().unwrap();
    let asked = node.memory.asked.get();
    node.peer = HOSTILE;
    let (mut value, mut changes, mut last) = (0, 0, node.get("app/params/limit", 0, "").1);
    for _ in 0..30 {
        for options in &tricks {
            value = 1 - value;
            let payload = format!("{}", 4 + value);
            node.ask(Code::PUT, "app/params/limit", options, payload.as_bytes());
            node.settle();
            let now = node.get("app/params/limit", 0, "").1;
            changes += u32::from(now != last);
            last = now;
        }
    }
    // All of it in a few milliseconds: as many values as a slider tells, and one that is written.
    assert!((40..70).contains(&changes), "{changes}");
    let left = node.json("node")["erasures_left"].as_u64().unwrap();
    let writes = node.memory.asked.get() - asked;
    assert!(began == left && writes <= 3, "{left} {writes}");
    node.peer = OWNER;
    let answer = node.request(Code::PUT, "app/params/limit", &[], b"7");
    assert_eq!(answer.0, Code::CHANGED);
}

#[test]
fn a_day_of_hostile_writes_leaves_others_theirs() {
    let mut node = node();
    let mut value = 0;
    let mut write = |node: &mut Rig, peer, path, values: [&str; 2]| {
        value = 1 - value;
        node.peer = peer;
        node.request(Code::PUT, path, &[], values[value].as_bytes())
            .0
    };
    let (mut good, mut tiers) = (0, 0);
    // A day in steps of two minutes: one host and a crowd of strangers change whatever is kept whenever they may.
    for minute in (0..24 * 60).step_by(2) {
        for _ in 0..if minute == 0 { 40 } else { 1 } {
            let stranger = STRANGERS + (minute % 50) as u8;
            for peer in [HOSTILE, stranger] {
                let limit = write(&mut node, peer, "app/params/limit", ["4", "5"]);
                good += u32::from(limit == Code::CHANGED);
                let tier = write(&mut node, peer, "app/tier", ["compiled", "interpreted"]);
                tiers += u32::from(tier == Code::CHANGED);
            }
        }
        node.wait(120_000);
        node.sample(1.0);
    }
    assert!(good > 1_000 && tiers > 30, "{good} {tiers}");
    let left = node.json("node")["erasures_left"].as_u64().unwrap();
    assert!(left >= u64::from(ERASES) / 4, "{left}");
    for _ in 0..8 {
        let answer = write(&mut node, OWNER, "app/params/limit", ["6", "7"]);
        assert_eq!(answer, Code::CHANGED);
    }
}

#[test]
fn a_flood_of_blocks_does_not_keep_the_owner_from_the_one_place() {
    let v = vectors();
    let (package, mut node) = (v.named("good"), node());
    let junk = [0xd2, 0x84, 0x58, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let flood = |node: &mut Rig| {
        // Faster than the Runner takes anything.
        for peer in [HOSTILE, HOSTILE, STRANGERS, STRANGERS + 1] {
            node.peer = peer;
            let first = [block1(true), (option::CONTENT_FORMAT, vec![42])];
            let bytes = [&junk[..], &junk, &junk, &junk].concat();
            node.ask(Code::PUT, "app", &first, &bytes);
            node.ask(Code::PUT, "app", &first, &package[..64]);
            node.ask(Code::GET, "app/x/y", &[], &[]);
        }
    };
    for _ in 0..100 {
        flood(&mut node);
        node.settle();
    }
    // In the middle of it, before each of its blocks.
    for offset in (0..package.len()).step_by(256) {
        flood(&mut node);
        node.peer = OWNER;
        let last = offset + 256 >= package.len();
        let expected = if last { Code::CHANGED } else { Code::CONTINUE };
        let (code, text) = node.block(package, offset, 256);
        assert_eq!(code, expected, "{}", String::from_utf8_lossy(&text));
    }
    assert_eq!(node.sequence(), 6);
}

#[test]
fn forged_signatures_take_a_bounded_share_of_the_time() {
    let v = vectors();
    let forged = v.named("its signature was altered");
    let mut node = node();
    let began = node.verified();
    let beat = |node: &mut Rig, millis: u64| {
        let end = node.now() + millis;
        let mut step = 0_u64;
        while node.now() < end {
            step += 1;
            node.peer = if step.is_multiple_of(2) {
                HOSTILE
            } else {
                STRANGERS + (step % 50) as u8
            };
            node.block(forged, 0, 256);
            node.wait(10);
        }
        node.verified()
    };
    // What is there at once, and one a second after that: of the host, and of all strangers together.
    let first = beat(&mut node, 1_000) - began;
    assert!((20..=66).contains(&first), "{first}");
    let began = beat(&mut node, 60_000);
    let minute = beat(&mut node, 60_000) - began;
    assert!((30..=122).contains(&minute), "{minute}");
    // The owner's is looked at, and installed.
    node.peer = OWNER;
    assert_eq!(node.push(v.named("good")).0, Code::CHANGED);
    assert_eq!(node.sequence(), 6);
}

#[test]
fn blocks_of_a_signed_package_are_no_turns() {
    let v = vectors();
    let (package, mut node) = (v.named("good"), node());
    node.peer = OWNER;
    // Far more blocks than a host has turns, in no time.
    for round in 0..12 {
        assert_eq!(node.block(package, 0, 256).0, Code::CONTINUE);
        for offset in (256..package.len() - 16).step_by(16) {
            let (code, text) = node.block(package, offset, 16);
            let text = String::from_utf8_lossy(&text).into_owned();
            assert_eq!(code, Code::CONTINUE, "{round} {offset}: {text}");
        }
    }
    assert_eq!(node.push(package).0, Code::CHANGED);
}
