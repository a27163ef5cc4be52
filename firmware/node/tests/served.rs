//! What the Server does by itself, whatever the module does: small bodies, what the board measures, uploads that are refused at
//! their first block, the registration at a resource directory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod rig;

use rig::{Memory, Rig, vectors};
use std::sync::atomic::AtomicU32;
use wasmote_coap::{Code, Kind, Message, Writer, option};
use wasmote_node::Provision;

const DIRECTORY: u8 = 77;

fn node() -> Rig {
    Rig::boot(&Memory::new(), &vectors().keys[..1])
}

/// The one answer to a request: its code, an option of it, and its payload.
fn answer(
    node: &mut Rig,
    path: &str,
    options: &[(u16, Vec<u8>)],
    body: &[u8],
) -> (Code, Option<u32>) {
    // Whoever changes something too often has to wait.
    node.wait(2_000);
    let sent = node.exchange(Code::PUT, path, options, body);
    let mut all = sent.iter().map(|d| Message::parse(d).unwrap());
    let message = all.rfind(|m| m.code != Code::EMPTY).unwrap();
    (message.code, message.options.uint(option::SIZE1, 4))
}

#[test]
fn a_small_body_is_one_block_of_64_bytes_at_most() {
    let mut node = node();
    let padded = |length: usize| format!("{:<length$}", "1700000000").into_bytes();
    let too_large = (Code::REQUEST_ENTITY_TOO_LARGE, Some(64));
    let good = (Code::CHANGED, None);
    assert_eq!(answer(&mut node, "time", &[], &padded(64)), good);
    assert_eq!(answer(&mut node, "time", &[], &padded(65)), too_large);
    let block = |value: u8| [(option::BLOCK1, vec![value])];
    assert_eq!(answer(&mut node, "time", &block(2), &padded(64)), good);
    assert_eq!(
        answer(&mut node, "time", &block(0x0a), &padded(64)),
        too_large
    );
    let second = answer(&mut node, "time", &block(0x12), &padded(10));
    assert_eq!(second.0.class(), 4);
    for (format, body, code) in [
        (42, &b"1"[..], Code::UNSUPPORTED_CONTENT_FORMAT),
        (0, b"\xff", Code::BAD_REQUEST),
        (60, b"\x61\x31", Code::BAD_REQUEST),
        (50, b"1", Code::CHANGED),
        (60, b"\x01", Code::CHANGED),
    ] {
        let format = [(option::CONTENT_FORMAT, vec![format])];
        assert_eq!(answer(&mut node, "time", &format, body).0, code, "{body:?}");
    }
}

#[test]
fn an_upload_is_octets_that_fit_a_slot() {
    let mut node = node();
    let capacity = node.json("node")["limits"]["package"].as_u64().unwrap() as u32;
    let v = vectors();
    let first = &v.named("first")[..64];
    let mut ask = |format: Option<u8>, size: Option<u32>| {
        let mut options = vec![(option::BLOCK1, vec![0x0a])];
        options.extend(format.map(|format| (option::CONTENT_FORMAT, vec![format])));
        options.extend(size.map(|size| (option::SIZE1, size.to_be_bytes()[2..].to_vec())));
        answer(&mut node, "app", &options, first)
    };
    assert!(capacity < 0xffff);
    for format in [None, Some(42)] {
        for size in [None, Some(capacity)] {
            assert_eq!(ask(format, size).0, Code::CONTINUE, "{format:?} {size:?}");
        }
        let (code, size) = ask(format, Some(capacity + 1));
        assert_eq!(code, Code::REQUEST_ENTITY_TOO_LARGE);
        assert_eq!(size, Some(capacity), "how much it takes");
    }
    assert_eq!(ask(Some(60), None).0, Code::UNSUPPORTED_CONTENT_FORMAT);
}

#[test]
fn each_package_that_is_kept_takes_one_of_the_slots() {
    let v = vectors();
    let mut node = node();
    let free = |node: &mut Rig| node.json("node")["free_slots"].as_u64().unwrap();
    assert_eq!(free(&mut node), 3);
    for (name, left) in [("first", 2), ("good", 1), ("good, and the next", 1)] {
        assert_eq!(node.push(v.named(name)).0, Code::CHANGED);
        node.feed(12);
        assert_eq!(free(&mut node), left, "{name}");
    }
}

#[test]
fn what_the_board_measures_is_told_as_it_is_now() {
    static TASKS: [(&str, AtomicU32); 2] =
        [("link", AtomicU32::new(11)), ("ranger", AtomicU32::new(22))];
    let mut node = node();
    assert_eq!(node.json("stats")["longest"], serde_json::Value::Null);
    let gauges = node.gauges();
    (gauges.stack_size, gauges.stack_free, gauges.idle) = (1, 2, 3);
    (gauges.link_lost, gauges.link_damaged, gauges.link_unsent) = (4, 5, 6);
    (gauges.address, gauges.origin) = (Some([192, 0, 2, 7].into()), "dhcp");
    gauges.tasks = &TASKS;
    let document = node.json("node");
    assert_eq!(
        (&document["stack_size"], &document["stack_free"]),
        (&1.into(), &2.into())
    );
    let uptime = document["uptime"].as_u64().unwrap();
    assert!((1_000..=node.now()).contains(&uptime), "{uptime}");
    let link = serde_json::json!({
        "lost": 4, "damaged": 5, "unsent": 6, "address": "192.0.2.7", "origin": "dhcp",
    });
    assert_eq!(document["link"], link);
    let stats = node.json("stats");
    assert_eq!(stats["idle"], 3);
    assert_eq!(
        stats["longest"],
        serde_json::json!({ "link": 11, "ranger": 22 })
    );
    let observers = node.json("node")["coap"]["observers"].as_u64().unwrap();
    node.observe("sensors/level");
    assert_eq!(node.json("node")["coap"]["observers"], observers + 1);
}

/// A node with a name that registers at a directory.
fn registering() -> Rig {
    let named = Provision {
        name: "wye",
        ..Provision::default()
    };
    let mut node = Rig::provisioned(&Memory::new(), named);
    node.register(DIRECTORY, 600);
    node
}

/// The next request to the directory, within so many milliseconds: its message ID and token.
fn registration(node: &mut Rig, most: u64) -> Option<(u16, Vec<u8>)> {
    let end = node.now() + most;
    while node.now() <= end {
        for datagram in node.pass()? {
            let message = Message::parse(&datagram).unwrap();
            let mut path = message.options.filter(|(n, _)| *n == option::URI_PATH);
            if message.code == Code::POST && path.any(|(_, segment)| segment == b"rd") {
                return Some((message.id, message.token.to_vec()));
            }
        }
    }
    None
}

/// The directory answers.
fn answers(node: &mut Rig, (id, token): &(u16, Vec<u8>), code: Code) {
    let mut buffer = [0; 32];
    let w = Writer::new(&mut buffer, Kind::Ack, code, *id, token);
    let datagram = w.finish(&[]).unwrap().to_vec();
    let peer = std::mem::replace(&mut node.peer, DIRECTORY);
    node.datagram(&datagram);
    node.peer = peer;
}

#[test]
fn a_node_registers_by_itself_and_says_in_its_log_what_came_of_it() {
    let mut node = registering();
    let ends = |node: &mut Rig, text: &str| {
        let log = node.log();
        assert!(log.trim_end().ends_with(text), "{text}: {log}");
    };
    let first = registration(&mut node, 1_000).expect("a request within a second");
    node.observe("log");
    // Whoever else answers is not the directory.
    node.peer = DIRECTORY + 1;
    answers(&mut node, &(first.0 ^ 1, first.1.clone()), Code::CHANGED);
    assert!(!node.log().contains("directory"));
    answers(&mut node, &first, Code::CHANGED);
    ends(&mut node, "node: the directory knows the node");
    // It comes again when its time is half over, and at once where its address is another.
    let again = registration(&mut node, 450_000).expect("it is called in time");
    answers(&mut node, &again, Code::CHANGED);
    node.moved();
    let moved = registration(&mut node, 1_000).expect("a request within a second");
    answers(&mut node, &moved, Code::FORBIDDEN);
    ends(&mut node, "node: the directory refuses: 4.03");
    assert_ne!((again, first), (moved.clone(), moved));
}

#[test]
fn a_directory_that_does_not_answer_is_told_of_once() {
    let mut node = registering();
    for _ in 0..6 {
        registration(&mut node, 300_000).expect("it tries again");
    }
    let log = node.log();
    assert_eq!(
        log.matches("the directory does not answer").count(),
        1,
        "{log}"
    );
}

#[test]
fn a_node_without_a_name_registers_nowhere() {
    let mut node = node();
    node.register(DIRECTORY, 600);
    assert_eq!(registration(&mut node, 10_000), None);
}
