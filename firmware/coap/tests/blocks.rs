//! Bodies in blocks, both ways (RFC 7959), on the virtual clock.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod rig;

use rig::{Msg, Rig, block, large, uint};
use wasmote_coap::{Code, TRANSFERS, option};

const GET: Code = Code::GET;
const PUT: Code = Code::PUT;
const POST: Code = Code::POST;

fn part(id: u16, name: &str, number: u32, more: bool) -> Msg {
    Msg::new(PUT, id, "upload")
        .with(option::URI_QUERY, format!("n={name}"))
        .with(option::BLOCK1, block(number, more, 64))
        .body(vec![number as u8; if more { 64 } else { 10 }])
}

#[test]
fn clients_upload_at_once_and_tokens_do_not_matter() {
    // RFC 7959 §2.5, RFC 9175 §3: endpoint, cache key and Request-Tag tell uploads apart.
    let mut rig = Rig::new();
    let uploads: [(u8, &str, &[u8]); 4] =
        [(1, "a", &[]), (2, "b", &[]), (1, "c", &[]), (1, "d", &[7])];
    for number in 0..5 {
        for (index, (from, name, tag)) in uploads.iter().enumerate() {
            let id = number as u16 * 4 + index as u16;
            let mut message = part(id, name, number, number < 4);
            if !tag.is_empty() {
                message = message.with(option::REQUEST_TAG, tag);
            }
            let answer = rig.ask(*from, &message.token(&id.to_le_bytes()));
            let code = if number < 4 {
                Code::CONTINUE
            } else {
                Code::CHANGED
            };
            assert_eq!(answer.code, code);
            assert_eq!(answer.block(option::BLOCK1), Some((number, number < 4, 64)));
        }
    }
    assert_eq!(rig.app.uploads.len(), 4);
    assert!(
        rig.app
            .uploads
            .values()
            .all(|body| body.len() == 4 * 64 + 10)
    );
    assert_eq!(rig.app.most(), 1);
    rig.check_counters();
}

#[test]
fn a_late_duplicate_of_a_part_neither_begins_nor_breaks_an_upload() {
    let mut rig = Rig::new();
    for number in 0..3 {
        rig.ask(1, &part(number as u16, "a", number, true));
    }
    for late in [0, 1] {
        assert!(rig.send(1, &part(late as u16, "a", late, true)).is_empty());
    }
    assert_eq!(rig.ask(1, &part(3, "a", 3, false)).code, Code::CHANGED);
    // The last one is answered again, the others are known even when all is over.
    assert_eq!(rig.ask(1, &part(3, "a", 3, false)).code, Code::CHANGED);
    assert!(rig.send(1, &part(0, "a", 0, true)).is_empty());
    assert_eq!(rig.app.most(), 1);
    assert_eq!(rig.server.transfers(), 0);
    rig.check_counters();
}

#[test]
fn a_gap_in_an_upload_is_answered_4_08_and_a_part_of_odd_length_4_00() {
    // RFC 7959 §2.9.2, §2.2.
    let mut rig = Rig::new();
    assert_eq!(
        rig.ask(1, &part(1, "a", 1, true)).code,
        Code::REQUEST_ENTITY_INCOMPLETE
    );
    rig.ask(1, &part(2, "a", 0, true));
    assert_eq!(
        rig.ask(1, &part(3, "a", 2, true)).code,
        Code::REQUEST_ENTITY_INCOMPLETE
    );
    // The upload itself goes on.
    assert_eq!(rig.ask(1, &part(4, "a", 1, true)).code, Code::CONTINUE);
    assert_eq!(
        rig.ask(1, &part(5, "a", 2, true).body("short")).code,
        Code::BAD_REQUEST
    );
    assert_eq!(rig.ask(1, &part(6, "a", 2, false)).code, Code::CHANGED);
    rig.check_counters();
}

#[test]
fn a_body_that_is_too_large_is_answered_4_13_with_what_is_taken() {
    // RFC 7959 §2.9.3.
    let mut rig = Rig::new();
    let answer = rig.ask(1, &part(1, "a", 0, true).with(option::SIZE1, uint(5_000)));
    assert_eq!(answer.code, Code::REQUEST_ENTITY_TOO_LARGE);
    assert_eq!(answer.uint(option::SIZE1), Some(4_096));
    assert_eq!(rig.server.transfers(), 0);
}

#[test]
fn one_upload_too_many_is_answered_5_03_until_another_was_given_up() {
    let mut rig = Rig::new();
    for client in 0..TRANSFERS as u8 {
        assert_eq!(rig.ask(client, &part(1, "a", 0, true)).code, Code::CONTINUE);
    }
    assert_eq!(
        rig.ask(50, &part(1, "a", 0, true)).code,
        Code::SERVICE_UNAVAILABLE
    );
    rig.now += 93_000;
    assert_eq!(rig.ask(50, &part(2, "a", 0, true)).code, Code::CONTINUE);
    assert_eq!(rig.server.transfers(), TRANSFERS);
    rig.check_counters();
}

#[test]
fn a_large_body_comes_in_blocks_of_the_size_that_is_asked_for() {
    // RFC 7959 §2.4: unasked, early and late negotiation; §4: Size2.
    let mut rig = Rig::new();
    let body = large(0);
    let first = rig.ask(1, &Msg::new(GET, 1, "large"));
    assert_eq!(first.block(option::BLOCK2), Some((0, true, 1024)));
    assert_eq!(first.option(option::SIZE2), None);
    for size in [16, 64, 512] {
        let mut got = vec![];
        for number in 0.. {
            let mut get = Msg::new(GET, number as u16, "large")
                .with(option::BLOCK2, block(number, false, size));
            if number == 0 {
                get = get.with(option::SIZE2, []);
            }
            let answer = rig.ask(1, &get);
            assert_eq!(answer.option(option::ETAG), first.option(option::ETAG));
            assert_eq!(answer.uint(option::SIZE2), (number == 0).then_some(1_280));
            let (n, more, s) = answer.block(option::BLOCK2).unwrap();
            assert_eq!((n, s), (number, size));
            got.extend_from_slice(&answer.payload);
            if !more {
                break;
            }
        }
        assert_eq!(got, body);
    }
    let late = Msg::new(GET, 1, "large").with(option::BLOCK2, block(64, false, 16));
    assert_eq!(rig.ask(1, &late).payload, body[1024..1040]);
    let beyond = Msg::new(GET, 1, "large").with(option::BLOCK2, block(80, false, 16));
    let answer = rig.ask(1, &beyond);
    assert_eq!(answer.code, Code::BAD_REQUEST);
    assert_eq!(answer.text(), "beyond the end of 1280 bytes");
}

#[test]
fn the_rest_of_an_answer_does_not_carry_the_request_out_again() {
    // RFC 7959 §2.7.
    let mut rig = Rig::new();
    let first = rig.ask(1, &Msg::new(POST, 1, "both").body("abc"));
    assert_eq!(
        (first.code, first.block(option::BLOCK2)),
        (Code::CHANGED, Some((0, true, 1024)))
    );
    let rest = Msg::new(POST, 2, "both").with(option::BLOCK2, block(1, false, 1024));
    let rest = rig.ask(1, &rest);
    assert_eq!(
        (rest.code, rest.block(option::BLOCK2)),
        (Code::CHANGED, Some((1, false, 1024)))
    );
    assert_eq!([first.payload, rest.payload].concat(), large(3));
    assert_eq!(rig.app.handled.len(), 1);
}
