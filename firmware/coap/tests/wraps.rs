//! Every number that begins anew after its end, run across it on the virtual clock. The numbers and the time until they end are
//! listed in docs/coap.md.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod rig;

use rig::{Msg, Rig, block};
use std::collections::HashMap;
use wasmote_coap::{Code, Kind, option};

const POST: Code = Code::POST;
/// Milliseconds in 32 bits: 49.7 days.
const WRAP: u64 = 1 << 32;
const EXCHANGE_LIFETIME: u64 = 247_000;

#[test]
fn an_old_answer_is_not_given_again_when_milliseconds_begin_anew() {
    // 49.7 days, twice that, and the moments around both.
    for days in [WRAP, 2 * WRAP, 3 * WRAP] {
        for off in [0, 1, 100_000, EXCHANGE_LIFETIME - 1, EXCHANGE_LIFETIME] {
            let mut rig = Rig::new();
            rig.ask(1, &Msg::new(POST, 1, "count").body("a"));
            rig.now += days + off;
            rig.ask(1, &Msg::new(POST, 1, "count").body("a"));
            assert_eq!(rig.app.most(), 2, "after {days} and {off}");
            // And that one is known for as long as it must be.
            rig.now += EXCHANGE_LIFETIME - 1;
            rig.ask(1, &Msg::new(POST, 1, "count").body("a"));
            assert_eq!(rig.app.most(), 2);
        }
    }
}

#[test]
fn requests_are_known_for_their_lifetime_across_the_end_of_32_bits() {
    for begins in [WRAP - 1, WRAP - 100_000, WRAP, u64::MAX / 2] {
        let mut rig = Rig::new();
        rig.now = begins;
        for id in 0..3 {
            rig.ask(1, &Msg::new(POST, id, "count").body([id as u8]));
            rig.now += 80_000;
        }
        for id in 0..3 {
            rig.ask(1, &Msg::new(POST, id, "count").body([id as u8]));
        }
        assert_eq!(rig.app.most(), 1);
        rig.now += 10_000;
        rig.ask(1, &Msg::new(POST, 0, "count").body([0]));
        assert_eq!(rig.app.most(), 2, "the first one is past its lifetime");
        rig.ask(1, &Msg::new(POST, 2, "count").body([2]));
        assert_eq!(rig.app.handled["count 02"], 1);
    }
}

#[test]
fn a_node_that_is_changed_now_and_then_for_a_year_repeats_nothing_and_forgets_nothing() {
    let mut rig = Rig::new();
    for change in 0..9_000u32 {
        rig.now += 3_600_000;
        let message = Msg::new(POST, (change % 7) as u16, "count").body(change.to_be_bytes());
        rig.ask(1, &message);
        rig.now += 1_000;
        rig.ask(1, &message);
    }
    assert_eq!((rig.app.handled.len(), rig.app.most()), (9_000, 1));
}

#[test]
fn no_message_id_comes_again_to_an_endpoint_within_its_lifetime_at_500_notifications_a_second() {
    let mut rig = Rig::new();
    rig.ask(
        1,
        &Msg::new(Code::GET, 1, "value").with(option::OBSERVE, []),
    );
    let mut used = HashMap::new();
    let (mut told, mut deferred) = (0u64, 0u64);
    let mut last = (0, String::new());
    let end = rig.now + 700_000;
    while rig.now < end {
        rig.now += 2;
        for message in rig.change(1) {
            told += 1;
            let before = used.insert(message.id, rig.now);
            assert!(before.is_none_or(|at| rig.now >= at + EXCHANGE_LIFETIME));
            if message.kind == Kind::Con {
                rig.send(1, &Msg::empty(Kind::Ack, message.id));
            }
            last = (rig.now, message.text().to_owned());
        }
        deferred = rig.server.counters().deferred.into();
    }
    // As many as IDs allow, each the newest state; the rest counted.
    assert!(told >= 700 * 170, "{told}");
    assert!(deferred > 0);
    assert!(rig.now - last.0 < 1_100);
    rig.wait(1, 1_100);
    assert_eq!(
        rig.change(1).last().unwrap().text(),
        rig.app.value.to_string()
    );
}

#[test]
fn answers_that_are_not_confirmable_have_ids_of_their_own_too() {
    // RFC 7252 §4.4, as fast as one asks; what gets no answer is counted, and not carried out.
    let mut rig = Rig::new();
    let mut used = HashMap::new();
    let mut answered = 0u32;
    for id in 0..200_000u32 {
        rig.now += 2;
        for message in rig.send(1, &Msg::new(Code::GET, id as u16, "value").non()) {
            answered += 1;
            let before = used.insert(message.id, rig.now);
            assert!(before.is_none_or(|at| rig.now >= at + EXCHANGE_LIFETIME));
        }
    }
    assert!(answered > 400 * 170, "{answered}");
    assert_eq!(rig.server.counters().full, 200_000 - answered);
    // Those who have not shown themselves use up neither those of others nor more than their part.
    let mut strangers = 0;
    for id in 0..5_000u16 {
        strangers += rig.send(200, &Msg::new(Code::GET, id, "value").non()).len();
    }
    assert!((1_984..=2_100).contains(&strangers), "{strangers}");
    assert_eq!(rig.send(200, &Msg::new(Code::GET, 6_000, "value")).len(), 1);
    rig.check_counters();
}

#[test]
fn a_separate_response_has_an_id_when_notifications_have_none() {
    let mut rig = Rig::new();
    for id in 0..20_000 {
        rig.send(1, &Msg::new(Code::GET, id, "value").non());
    }
    rig.send(1, &Msg::new(Code::GET, 30_000, "slow"));
    rig.now += 1;
    for id in 0..20_000 {
        rig.send(1, &Msg::new(Code::GET, 40_000 + id % 100, "value").non());
    }
    rig.now += 900;
    assert_eq!(rig.poll().len(), 1, "the acknowledgement");
    rig.app.tickets[0].0 = rig.now;
    let sent = rig.poll();
    assert_eq!(sent.len(), 1, "the response");
}

#[test]
fn parts_of_an_upload_are_known_after_more_of_them_than_16_bits_count() {
    let mut rig = Rig::new();
    let part = |number: u32| {
        Msg::new(Code::PUT, number as u16, "upload")
            .with(option::BLOCK1, block(number, true, 16))
            .body([0; 16])
    };
    for number in 0..66_000 {
        rig.now += 10;
        assert_eq!(rig.ask(1, &part(number)).code, Code::CONTINUE, "{number}");
        // Those a little late are duplicates, and are not handled again.
        if number % 1_000 == 999 {
            for late in 2..6 {
                assert!(rig.send(1, &part(number - late)).is_empty());
            }
        }
    }
}

#[test]
fn a_part_is_no_duplicate_of_one_that_came_18_hours_before() {
    // Seconds of 16 bits begin anew then.
    for seconds in [247, 65_535, 65_536, 65_537, 131_072] {
        let mut rig = Rig::new();
        let part = Msg::new(Code::PUT, 1, "upload")
            .with(option::BLOCK1, block(0, true, 16))
            .body([0; 16]);
        assert_eq!(rig.ask(1, &part).code, Code::CONTINUE);
        rig.now += seconds * 1_000;
        let again = rig.send(1, &part);
        assert_eq!(
            again.first().map(|m| m.code),
            Some(Code::CONTINUE),
            "{seconds}"
        );
    }
}
