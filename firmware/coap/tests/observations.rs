//! Observations (RFC 7641): who is registered, when they are told, and when that ends, on the virtual clock.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod rig;

use rig::{Msg, Rig, block, large};
use wasmote_coap::{Code, Kind, OBSERVERS, option};

const GET: Code = Code::GET;

fn observe(id: u16, path: &str) -> Msg {
    Msg::new(GET, id, path).with(option::OBSERVE, [])
}

#[test]
fn the_sequence_rises_over_registrations_and_notifications_have_entity_tags() {
    // RFC 7641 §4.4.
    let mut rig = Rig::new();
    let mut last = 0;
    for id in 0..5 {
        let first = rig.ask(1, &observe(id, "value").token(b"t"));
        assert!(first.uint(option::OBSERVE).unwrap() > last);
        let told = rig.change(1).remove(0);
        assert_eq!((told.kind, told.token.as_slice()), (Kind::Non, &b"t"[..]));
        assert!(told.uint(option::OBSERVE).unwrap() > first.uint(option::OBSERVE).unwrap());
        last = told.uint(option::OBSERVE).unwrap();
        let now = rig.ask(1, &Msg::new(GET, 100 + id, "value"));
        assert_eq!(told.option(option::ETAG), now.option(option::ETAG));
        assert_eq!(
            rig.server.observers(),
            1,
            "the same token is the same observation"
        );
    }
}

#[test]
fn one_observer_too_many_is_answered_without_being_registered() {
    // RFC 7641 §4.1.
    let mut rig = Rig::new();
    for client in 0..OBSERVERS as u8 {
        assert!(
            rig.ask(client, &observe(1, "value"))
                .option(option::OBSERVE)
                .is_some()
        );
    }
    let answer = rig.ask(50, &observe(1, "value"));
    assert_eq!(
        (answer.code, answer.option(option::OBSERVE)),
        (Code::CONTENT, None)
    );
    assert_eq!(rig.server.counters().unobserved, 1);
    // So is a request too long to be kept, and one for what cannot be observed.
    rig.ask(
        0,
        &observe(2, "value")
            .token(&[0, 1])
            .with(option::OBSERVE, [1]),
    );
    let long = observe(3, "value").with(option::URI_QUERY, "x".repeat(100));
    assert_eq!(rig.ask(51, &long).option(option::OBSERVE), None);
    assert_eq!(
        rig.ask(52, &observe(4, "create")).option(option::OBSERVE),
        None
    );
}

#[test]
fn an_observation_ends_by_request_reset_or_silence() {
    // RFC 7641 §3.6, §4.5.
    let mut rig = Rig::new();
    rig.ask(1, &observe(1, "value").token(b"t"));
    let left = rig.ask(
        1,
        &Msg::new(GET, 2, "value")
            .token(b"t")
            .with(option::OBSERVE, [1]),
    );
    assert_eq!(
        (left.code, left.option(option::OBSERVE)),
        (Code::CONTENT, None)
    );
    assert_eq!(rig.server.observers(), 0);

    rig.ask(1, &observe(3, "value"));
    let first = rig.change(1).remove(0);
    rig.change(1);
    rig.send(1, &Msg::empty(Kind::Rst, first.id));
    assert_eq!(
        rig.server.observers(),
        0,
        "a reset of the one before counts too"
    );

    // The response to a non-confirmable registration can be reset as well.
    let response = rig.ask(1, &observe(4, "value").non());
    rig.send(1, &Msg::empty(Kind::Rst, response.id));
    assert_eq!(rig.server.observers(), 0);

    rig.ask(1, &observe(5, "state"));
    let told = rig.change(1).remove(0);
    assert_eq!(told.kind, Kind::Con);
    let again = rig.wait(1, 200_000);
    assert_eq!(again.len(), 4);
    // Nothing has changed since: the same message each time.
    assert!(again.iter().all(|(_, m)| *m == told));
    assert_eq!(rig.server.observers(), 0);
    assert_eq!(rig.server.counters().given_up, 1);
}

#[test]
fn one_confirmable_notification_is_on_its_way_at_a_time() {
    // RFC 7641 §4.5.1, §4.5.2.
    let mut rig = Rig::new();
    rig.ask(1, &observe(1, "state"));
    let first = rig.change(1).remove(0);
    rig.now += 100;
    assert!(rig.change(1).is_empty() && rig.change(1).is_empty());
    // The newest state takes the place of the one being sent again, and the attempts go on.
    let again = rig.wait(1, 3_100).remove(0).1;
    assert_ne!(again.id, first.id);
    assert_eq!((again.kind, again.text()), (Kind::Con, "3"));
    // A late acknowledgement of the first is none of the second.
    rig.send(1, &Msg::empty(Kind::Ack, first.id));
    assert!(!rig.wait(1, 20_000).is_empty());
    let last = rig.wait(1, 40_000).pop().map_or(again.id, |(_, m)| m.id);
    rig.send(1, &Msg::empty(Kind::Ack, last));
    assert!(rig.wait(1, 100_000).is_empty());
    assert_eq!(rig.server.observers(), 1);
    // Acknowledged, the next change goes out at once.
    assert_eq!(rig.change(1).len(), 1);
}

#[test]
fn notifications_keep_to_one_a_round_trip_and_end_in_the_newest_state() {
    // RFC 7641 §4.5.1: 500 changes in five seconds, over a link with round trips of 100 ms.
    let mut rig = Rig::new();
    rig.ask(1, &observe(1, "value"));
    let mut acknowledge: Option<(u64, u16)> = None;
    let mut told = vec![];
    for step in 0..700 {
        rig.now += 10;
        if let Some((at, id)) = acknowledge
            && rig.now >= at
        {
            acknowledge = None;
            rig.send(1, &Msg::empty(Kind::Ack, id));
        }
        let sent = if step < 500 {
            rig.change(1)
        } else {
            rig.wait(1, 0).into_iter().map(|(_, m)| m).collect()
        };
        for message in sent {
            if message.kind == Kind::Con {
                acknowledge = Some((rig.now + 100, message.id));
            }
            told.push(message);
        }
    }
    assert!((40..=80).contains(&told.len()), "{}", told.len());
    assert_eq!(told.last().unwrap().text(), "500");
    assert!(told.iter().any(|m| m.kind == Kind::Con));
}

#[test]
fn a_client_is_asked_once_an_hour_whether_it_is_there() {
    // RFC 7641 §4.5: at least every 24 hours.
    let mut rig = Rig::new();
    rig.ask(1, &observe(1, "value"));
    let sent = rig.wait(1, 3_600_500);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].1.kind, Kind::Con);
    rig.send(1, &Msg::empty(Kind::Ack, sent[0].1.id));
    assert_eq!(rig.wait(1, 3_600_500).len(), 1);
}

#[test]
fn the_last_of_a_row_of_notifications_is_confirmed() {
    // RFC 7641 §4.5: whatever is lost, the client comes to know the state.
    let mut rig = Rig::new();
    rig.ask(1, &observe(1, "value"));
    for _ in 0..3 {
        rig.now += 100;
        assert_eq!(rig.change(1).remove(0).kind, Kind::Non);
    }
    let last = rig.wait(1, 11_000);
    assert_eq!(last.len(), 1);
    assert_eq!((last[0].1.kind, last[0].1.text()), (Kind::Con, "3"));
    rig.send(1, &Msg::empty(Kind::Ack, last[0].1.id));
    assert!(rig.wait(1, 60_000).is_empty());
    // So is one that comes alone.
    assert_eq!(rig.change(1).remove(0).kind, Kind::Con);
}

#[test]
fn a_forged_registration_costs_its_victim_a_handful_of_datagrams() {
    // RFC 7641 §7.
    let mut rig = Rig::new();
    rig.ask(200, &observe(1, "value"));
    let mut sent = 0;
    for _ in 0..1_000 {
        rig.now += 1_000;
        sent += rig.change(200).len() + rig.wait(200, 0).len();
    }
    assert!(sent <= 9, "{sent}");
    assert_eq!(rig.server.observers(), 0);
}

#[test]
fn a_large_notification_brings_its_first_block_and_the_rest_is_fetched() {
    // RFC 7959 §2.6.
    let mut rig = Rig::new();
    rig.ask(
        1,
        &observe(1, "large").with(option::BLOCK2, block(0, false, 256)),
    );
    let told = rig.change(1).remove(0);
    assert_eq!(told.block(option::BLOCK2), Some((0, true, 256)));
    assert!(told.option(option::OBSERVE).is_some());
    let mut body = told.payload.clone();
    for number in 1..5 {
        let get = Msg::new(GET, number, "large")
            .with(option::BLOCK2, block(u32::from(number), false, 256));
        let answer = rig.ask(1, &get);
        assert_eq!(answer.option(option::OBSERVE), None);
        assert_eq!(answer.option(option::ETAG), told.option(option::ETAG));
        body.extend_from_slice(&answer.payload);
    }
    assert_eq!(body, large(1));
    assert_eq!(rig.server.observers(), 1);
}

#[test]
fn a_state_that_the_client_has_is_told_as_valid() {
    // RFC 7641 §3.3.
    let mut rig = Rig::new();
    rig.app.value = 1;
    let tag = rig
        .ask(1, &Msg::new(GET, 1, "value"))
        .option(option::ETAG)
        .unwrap()
        .to_vec();
    rig.app.value = 0;
    rig.ask(1, &observe(2, "value").with(option::ETAG, tag));
    let told = rig.change(1).remove(0);
    assert_eq!((told.code, told.payload.len()), (Code::VALID, 0));
    assert_eq!(rig.change(1).remove(0).code, Code::CONTENT);
}

#[test]
fn what_is_gone_or_has_another_format_is_told_until_it_is_heard() {
    // RFC 7641 §4.2.
    for gone in [true, false] {
        let mut rig = Rig::new();
        rig.ask(1, &observe(1, "value"));
        if gone {
            rig.app.gone = true;
        } else {
            rig.app.format = 50;
        }
        let told = rig.change(1).remove(0);
        let code = if gone {
            Code::NOT_FOUND
        } else {
            Code::NOT_ACCEPTABLE
        };
        assert_eq!((told.kind, told.code), (Kind::Con, code));
        assert_eq!(told.option(option::OBSERVE), None);
        assert_eq!(rig.server.observers(), 0);
        assert_eq!(rig.wait(1, 3_100).remove(0).1, told);
        rig.send(1, &Msg::empty(Kind::Ack, told.id));
        assert!(rig.wait(1, 100_000).is_empty() && rig.change(1).is_empty());
    }
}

#[test]
fn a_fetch_is_observed_with_its_payload() {
    // RFC 8132 §2.4.
    let mut rig = Rig::new();
    let fetch = Msg::new(Code::FETCH, 1, "query")
        .with(option::OBSERVE, [])
        .body("which");
    assert_eq!(rig.ask(1, &fetch).text(), "0 which");
    assert_eq!(rig.change(1).remove(0).text(), "1 which");
    // PATCH and iPATCH change something: once.
    for (id, code) in [(2, Code::PATCH), (3, Code::IPATCH)] {
        rig.ask(1, &Msg::new(code, id, "count"));
        rig.ask(1, &Msg::new(code, id, "count"));
    }
    assert_eq!(rig.app.most(), 2);
}
