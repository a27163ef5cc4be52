//! One rule of the RFCs a test, against a server in memory.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod rig;

use rig::{Msg, Rig, block, large, uint};
use wasmote_coap::{Code, EXCHANGES, Kind, option};

const GET: Code = Code::GET;
const PUT: Code = Code::PUT;
const POST: Code = Code::POST;

fn observe(id: u16, path: &str) -> Msg {
    Msg::new(GET, id, path).with(option::OBSERVE, [])
}

// ---- RFC 7252 ---------------------------------------------------------------------------------------------------------

#[test]
fn a_repeated_request_gets_the_first_answer_and_is_not_carried_out_again() {
    // RFC 7252 §4.5, confirmable and not.
    for message in [Msg::new(POST, 1, "count"), Msg::new(POST, 2, "count").non()] {
        let mut rig = Rig::new();
        let first = rig.ask(1, &message);
        assert_eq!(first.code, Code::CHANGED);
        for seconds in [1, 10, 100] {
            rig.now = 1_000 + seconds * 1_000;
            assert_eq!(rig.ask(1, &message), first);
        }
        // From another endpoint it is another request, and so it is when the ID may be used again.
        rig.ask(2, &message);
        rig.now += 247_000;
        rig.ask(1, &message);
        assert_eq!(rig.app.most(), 3);
        rig.check_counters();
    }
}

#[test]
fn an_answer_that_others_pushed_out_is_repeated_by_its_code() {
    let mut rig = Rig::new();
    for kind in [Kind::Con, Kind::Non] {
        let mut message = Msg::new(POST, 1, "both");
        message.kind = kind;
        let first = rig.ask(1, &message);
        assert_eq!(rig.ask(1, &message), first);
        rig.ask(1, &Msg::new(POST, 2, "both"));
        let again = rig.ask(1, &message);
        assert_eq!((again.kind, again.code), (first.kind, Code::CHANGED));
        assert_eq!(
            (again.id, again.token, again.payload.len()),
            (first.id, first.token, 0)
        );
        rig.now += 300_000;
    }
    assert_eq!(rig.app.most(), 4);
}

#[test]
fn a_full_table_is_answered_5_03_with_max_age_and_the_handler_does_not_run() {
    // RFC 7252 §5.9.3.4. Each has its share: one alone two thirds.
    let mut rig = Rig::new();
    let mut made = 0;
    for (peer, share) in [
        (1, EXCHANGES * 2 / 3),
        (2, 22),
        (3, 7),
        (4, 2),
        (5, 1),
        (6, 0),
    ] {
        for id in 0..120u16 {
            let body = [peer, id as u8];
            let answer = rig.ask(peer, &Msg::new(POST, id, "count").body(body));
            let room = usize::from(id) < share;
            let code = if room {
                Code::CHANGED
            } else {
                Code::SERVICE_UNAVAILABLE
            };
            assert_eq!(answer.code, code, "{peer} {id}");
            assert_eq!(answer.uint(option::MAX_AGE), (!room).then_some(2));
        }
        made += share;
    }
    assert_eq!((rig.app.handled.len(), made), (EXCHANGES, EXCHANGES));
    // Reads need no place.
    assert_eq!(rig.ask(2, &Msg::new(GET, 200, "value")).code, Code::CONTENT);
    // Nobody repeats a request after MAX_TRANSMIT_SPAN.
    rig.now += 45_000;
    assert_eq!(
        rig.ask(1, &Msg::new(POST, 201, "count")).code,
        Code::CHANGED
    );
    rig.check_counters();
}

#[test]
fn whoever_sets_a_value_again_and_again_gives_up_its_own_requests_and_nobody_elses() {
    // RFC 7252 §4.5: a PUT may be carried out twice, so that a client which sets a value many times a minute is not kept from it.
    let mut rig = Rig::new();
    rig.server.trust(|peer| *peer < 100);
    assert_eq!(
        rig.ask(2, &Msg::new(POST, 1, "count").body([2])).code,
        Code::CHANGED
    );
    // One of its own that cannot be done twice is not given up either.
    rig.ask(1, &Msg::new(POST, 5_000, "count").body([1]));
    for id in 0..1_000u16 {
        rig.now += 50;
        let body = id.to_string();
        let put = Msg::new(PUT, id, "value").body(body.as_bytes());
        assert_eq!(rig.ask(1, &put).code, Code::CHANGED, "{id}");
        // The newest are known: what repeats one gets its answer, and changes nothing.
        for before in [0, 1, 30, 60] {
            if let Some(old) = id.checked_sub(before) {
                let body = old.to_string();
                rig.ask(1, &Msg::new(PUT, old, "value").body(body.as_bytes()));
            }
        }
        assert_eq!(rig.app.value, u32::from(id));
    }
    assert_eq!(rig.app.most(), 1);
    // Another's request is known still, a minute old as it is.
    assert_eq!(
        rig.ask(2, &Msg::new(POST, 1, "count").body([2])).code,
        Code::CHANGED
    );
    rig.ask(1, &Msg::new(POST, 5_000, "count").body([1]));
    assert_eq!(rig.app.most(), 1);
    // What cannot be done twice has to wait, and so does whoever has not shown itself.
    for (peer, code) in [(3, POST), (150, PUT)] {
        let mut refused = 0;
        for id in 0..200u16 {
            let path = if code == PUT { "value" } else { "count" };
            let body = id.to_string();
            let answer = rig.ask(peer, &Msg::new(code, id, path).body(body.as_bytes()));
            refused += u32::from(answer.code != Code::CHANGED);
        }
        assert!(refused > 150, "{peer}: {refused}");
    }
    rig.check_counters();
}

#[test]
fn requests_that_failed_make_way_first() {
    let mut rig = Rig::new();
    for id in 0..200 {
        rig.ask(1, &Msg::new(PUT, id, "nothing"));
    }
    assert_eq!(rig.ask(2, &Msg::new(POST, 1, "count")).code, Code::CHANGED);
    rig.check_counters();
}

#[test]
fn a_late_answer_is_acknowledged_first_and_then_comes_by_itself() {
    // RFC 7252 §5.2.2.
    let mut rig = Rig::new();
    let message = Msg::new(POST, 1, "slow");
    assert!(rig.send(1, &message).is_empty());
    // Repeated before the acknowledgement it gets none, after it another.
    assert!(rig.send(1, &message).is_empty());
    let sent = rig.wait(1, 2_900);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].1, Msg::empty(Kind::Ack, 1));
    assert_eq!(rig.ask(1, &message), Msg::empty(Kind::Ack, 1));
    let sent = rig.wait(1, 200);
    let response = &sent[0].1;
    assert_eq!((response.kind, response.code), (Kind::Con, Code::CHANGED));
    assert_eq!(
        (response.token.as_slice(), response.text()),
        (&[0, 1][..], "slow 1")
    );
    // A repeated request is acknowledged still, and the response sent until it is acknowledged.
    assert_eq!(rig.ask(1, &message), Msg::empty(Kind::Ack, 1));
    let again = rig.wait(1, 3_100);
    assert_eq!(again.len(), 1);
    assert_eq!(&again[0].1, response);
    rig.send(1, &Msg::empty(Kind::Ack, response.id));
    assert!(rig.wait(1, 100_000).is_empty());
    assert_eq!(rig.app.most(), 1);
    rig.check_counters();
}

#[test]
fn a_response_that_nobody_acknowledges_is_sent_five_times_with_doubling_pauses() {
    // RFC 7252 §4.2.
    let mut rig = Rig::new();
    rig.send(1, &Msg::new(GET, 1, "slow"));
    let sent: Vec<_> = rig.wait(1, 200_000);
    let times: Vec<u64> = sent.iter().skip(1).map(|(at, _)| *at).collect();
    assert_eq!(times.len(), 5);
    assert!((2_000..=3_000).contains(&(times[1] - times[0])));
    for pair in [1, 2, 3] {
        let pause = times[pair + 1] - times[pair];
        assert!(pause >= 2_000 << pair && pause <= 3_000 << pair, "{pause}");
    }
    assert_eq!(rig.server.counters().given_up, 1);
    // A reset ends it at once.
    rig.send(1, &Msg::new(GET, 2, "slow"));
    let sent = rig.wait(1, 3_100);
    rig.send(1, &Msg::empty(Kind::Rst, sent[1].1.id));
    assert!(rig.wait(1, 100_000).is_empty());
}

#[test]
fn a_late_answer_to_a_non_confirmable_request_is_not_confirmable() {
    // RFC 7252 §5.2.3.
    let mut rig = Rig::new();
    assert!(rig.send(1, &Msg::new(POST, 1, "slow").non()).is_empty());
    let sent = rig.wait(1, 100_000);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].1.kind, Kind::Non);
}

#[test]
fn reads_that_are_answered_late_keep_nobody_from_changing_something() {
    // A gateway that asks a module three times a second had the whole table, so that it could not upload to that node any more.
    let mut rig = Rig::new();
    for id in 0..3 * EXCHANGES as u16 {
        let peer = 1 + (id % 2) as u8;
        assert!(rig.send(peer, &Msg::new(GET, id, "slow")).is_empty());
        for ticket in &mut rig.app.tickets {
            ticket.0 = rig.now;
        }
        let sent = rig.wait(peer, 100);
        let (_, response) = sent.last().unwrap();
        assert_eq!(response.code, Code::CONTENT, "{id}");
        rig.send(peer, &Msg::empty(Kind::Ack, response.id));
        // A repetition that comes late is of a read, which may be answered anew, and is no reason to forget a change.
    }
    for id in 0..EXCHANGES as u16 / 3 {
        let change = Msg::new(POST, 1_000 + id, "count").body([id as u8]);
        assert_eq!(rig.ask(1, &change).code, Code::CHANGED, "{id}");
        assert_eq!(rig.ask(1, &change).code, Code::CHANGED, "{id}");
    }
    assert_eq!(rig.app.most(), 1);
    rig.check_counters();
}

#[test]
fn without_room_for_a_late_answer_nothing_is_carried_out() {
    let mut rig = Rig::new();
    let slow = |id: u16| Msg::new(POST, id, "slow").body([id as u8]);
    // One has four of the six places, and another finds two.
    for (peer, share) in [(1, 4), (2, 2), (3, 0)] {
        for id in 0..share {
            assert!(rig.send(peer, &slow(u16::from(peer) * 8 + id)).is_empty());
        }
        let refused = rig.ask(peer, &slow(u16::from(peer) * 8 + 7));
        assert_eq!(refused.code, Code::SERVICE_UNAVAILABLE);
    }
    assert_eq!(rig.app.handled.len(), 6);
    // Those whose peer does not acknowledge make way.
    rig.wait(1, 7_000);
    assert!(rig.send(1, &slow(100)).is_empty());
    assert_eq!(rig.app.handled.len(), 7);
    rig.check_counters();
}

#[test]
fn conditions_are_held_against_the_present_state() {
    // RFC 7252 §5.10.8.
    let mut rig = Rig::new();
    let tag = rig
        .ask(1, &Msg::new(GET, 1, "value"))
        .option(option::ETAG)
        .unwrap()
        .to_vec();
    let put = |id, value: &str| Msg::new(PUT, id, "value").body(value);
    let stale = put(2, "5").with(option::IF_MATCH, [1, 2]);
    assert_eq!(rig.ask(1, &stale).code, Code::PRECONDITION_FAILED);
    // One of several is enough.
    let either = put(3, "6")
        .with(option::IF_MATCH, [9])
        .with(option::IF_MATCH, &tag);
    assert_eq!(rig.ask(1, &either).code, Code::CHANGED);
    assert_eq!(rig.app.value, 6);
    // The empty tag stands for any that there is.
    assert_eq!(
        rig.ask(1, &put(4, "7").with(option::IF_MATCH, [])).code,
        Code::CHANGED
    );
    let none = Msg::new(PUT, 5, "create").with(option::IF_MATCH, []);
    assert_eq!(rig.ask(1, &none).code, Code::PRECONDITION_FAILED);
    let create = |id| {
        Msg::new(PUT, id, "create")
            .with(option::IF_NONE_MATCH, [])
            .body("x")
    };
    assert_eq!(rig.ask(1, &create(6)).code, Code::CREATED);
    assert_eq!(rig.ask(1, &create(7)).code, Code::PRECONDITION_FAILED);
    // A failed condition is remembered too: the same message cannot succeed later.
    rig.app.created = None;
    assert_eq!(rig.ask(1, &create(7)).code, Code::PRECONDITION_FAILED);
    // RFC 7252 §5.10.6.2: what the client has is not sent again.
    let get = |tag: &[u8]| {
        Msg::new(GET, 8, "value")
            .with(option::ETAG, [1])
            .with(option::ETAG, tag)
    };
    let newer = rig.ask(1, &get(&tag));
    assert_eq!(newer.code, Code::CONTENT);
    let valid = rig.ask(1, &get(newer.option(option::ETAG).unwrap()));
    assert_eq!((valid.code, valid.payload.len()), (Code::VALID, 0));
}

#[test]
fn options_are_refused_or_passed_over_as_their_class_says() {
    // RFC 7252 §5.4.1, §5.4.3, §5.4.5, §5.7.2; RFC 7959 §2.2.
    let get = |kind: Kind| {
        let mut message = Msg::new(GET, 1, "value");
        message.kind = kind;
        message
    };
    let accept = uint(0);
    // What, its number and values, and the answer to a confirmable request and to another.
    type Case = (&'static str, u16, Vec<Vec<u8>>, Option<Code>, Option<Code>);
    let cases: [Case; 11] = [
        (
            "unknown and critical",
            9,
            vec![vec![]],
            Some(Code::BAD_OPTION),
            None,
        ),
        (
            "unknown and elective",
            10,
            vec![vec![]],
            Some(Code::CONTENT),
            Some(Code::CONTENT),
        ),
        (
            "repeated and critical",
            option::ACCEPT,
            vec![accept.clone(), accept],
            Some(Code::BAD_OPTION),
            None,
        ),
        (
            "too long and critical",
            option::ACCEPT,
            vec![vec![0; 3]],
            Some(Code::BAD_OPTION),
            None,
        ),
        (
            "too long and elective",
            option::OBSERVE,
            vec![vec![0; 4]],
            Some(Code::CONTENT),
            Some(Code::CONTENT),
        ),
        (
            "an empty host",
            option::URI_HOST,
            vec![vec![]],
            Some(Code::BAD_OPTION),
            None,
        ),
        (
            "a host",
            option::URI_HOST,
            vec![b"x".to_vec()],
            Some(Code::CONTENT),
            Some(Code::CONTENT),
        ),
        (
            "no text",
            option::URI_QUERY,
            vec![vec![0xff]],
            Some(Code::BAD_OPTION),
            None,
        ),
        (
            "a proxy",
            option::PROXY_URI,
            vec![b"x".to_vec()],
            Some(Code::PROXYING_NOT_SUPPORTED),
            Some(Code::PROXYING_NOT_SUPPORTED),
        ),
        (
            "a reserved block size",
            option::BLOCK2,
            vec![vec![7]],
            Some(Code::BAD_REQUEST),
            Some(Code::BAD_REQUEST),
        ),
        (
            "a block option too long",
            option::BLOCK2,
            vec![vec![0; 4]],
            Some(Code::BAD_OPTION),
            None,
        ),
    ];
    for (what, number, values, con, non) in cases {
        for (kind, expected) in [(Kind::Con, con), (Kind::Non, non)] {
            let mut rig = Rig::new();
            let message = values.iter().fold(get(kind), |m, v| m.with(number, v));
            let answer = rig.send(1, &message).first().map(|m| m.code);
            assert_eq!(answer, expected, "{what}, {kind:?}");
            rig.check_counters();
        }
    }
}

#[test]
fn a_group_gets_answers_after_a_leisure_and_no_errors() {
    // RFC 7252 §8.
    let mut rig = Rig::new();
    let mut times = vec![];
    for id in 0..20 {
        let core = Msg::new(GET, id, ".well-known/core")
            .non()
            .with(option::URI_QUERY, "rt=text");
        assert!(rig.datagram(1, true, &core.bytes()).is_empty());
        assert!(rig.datagram(1, true, &core.bytes()).is_empty());
        let sent = rig.wait(1, 6_000);
        assert_eq!(sent.len(), 1, "a duplicate in the leisure is dropped");
        assert_eq!((sent[0].1.kind, sent[0].1.code), (Kind::Non, Code::CONTENT));
        times.push(sent[0].0 - (rig.now - 6_000));
    }
    times.sort_unstable();
    assert!(
        times[0] < 1_500 && times[19] > 3_500 && times[19] <= 5_000,
        "{times:?}"
    );
    for message in [
        Msg::new(GET, 100, "nothing").non(),
        Msg::new(GET, 101, ".well-known/core")
            .non()
            .with(option::URI_QUERY, "rt=none"),
        Msg::new(GET, 102, "value"),
        Msg::empty(Kind::Con, 103),
        Msg::new(Code(0x1f), 104, "value").non(),
    ] {
        rig.datagram(1, true, &message.bytes());
        assert!(rig.wait(1, 10_000).is_empty(), "{message:?}");
    }
    // Nobody observes through a group.
    rig.datagram(1, true, &observe(105, "value").non().bytes());
    assert_eq!(rig.wait(1, 10_000)[0].1.option(option::OBSERVE), None);
    rig.check_counters();
}

// ---- RFC 7967 ---------------------------------------------------------------------------------------------------------

#[test]
fn unwanted_classes_of_responses_are_left_out() {
    let mut rig = Rig::new();
    let post = |id, silent: u8| Msg::new(POST, id, "count").with(option::NO_RESPONSE, [silent]);
    assert_eq!(rig.ask(1, &post(1, 2)), Msg::empty(Kind::Ack, 1));
    assert_eq!(
        rig.ask(1, &post(1, 2)),
        Msg::empty(Kind::Ack, 1),
        "repeated"
    );
    assert!(rig.send(1, &post(2, 26).non()).is_empty());
    assert_eq!(rig.ask(1, &post(3, 24)).code, Code::CHANGED);
    let missing = Msg::new(POST, 4, "nothing").with(option::NO_RESPONSE, [2]);
    assert_eq!(rig.ask(1, &missing).code, Code::NOT_FOUND);
    // Of a late answer too.
    assert!(
        rig.send(1, &Msg::new(POST, 5, "slow").with(option::NO_RESPONSE, [2]))
            .is_empty()
    );
    let sent = rig.wait(1, 100_000);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].1, Msg::empty(Kind::Ack, 5));
    rig.check_counters();
}

// ---- RFC 9175 ---------------------------------------------------------------------------------------------------------
/// A server whose allowance for peers that have not shown themselves is used up.
fn exhausted() -> Rig {
    let mut rig = Rig::new();
    for peer in 240..=255 {
        rig.ask(peer, &Msg::new(GET, 1, "large"));
    }
    rig
}

#[test]
fn a_peer_that_has_not_shown_itself_gets_three_times_what_it_sent_once_the_allowance_is_used_up() {
    let mut rig = exhausted();
    let get = Msg::new(GET, 1, "large");
    let first = rig.ask(200, &get);
    let on_the_wire = |m: &Msg| m.bytes().len() + 28;
    assert!(on_the_wire(&first) <= 3 * on_the_wire(&get));
    let (number, more, size) = first.block(option::BLOCK2).unwrap();
    assert_eq!((number, more), (0, true));
    let echo = first.option(option::ECHO).unwrap().to_vec();
    // Without Echo all of it can be had, block by block.
    let mut body = vec![];
    for number in 0.. {
        let get =
            Msg::new(GET, number as u16, "large").with(option::BLOCK2, block(number, false, size));
        let answer = rig.ask(200, &get);
        assert!(on_the_wire(&answer) <= 3 * on_the_wire(&get));
        body.extend_from_slice(&answer.payload);
        if !answer.block(option::BLOCK2).unwrap().1 {
            break;
        }
    }
    assert_eq!(body, large(0));
    // What another was given proves nothing.
    let forged = rig.ask(201, &Msg::new(GET, 1, "large").with(option::ECHO, &echo));
    assert!(forged.payload.len() < 200);
    let whole = rig.ask(200, &Msg::new(GET, 1, "large").with(option::ECHO, &echo));
    assert_eq!(
        (whole.payload.len(), whole.option(option::ECHO)),
        (1024, None)
    );
    // Once is enough, whoever else is asked meanwhile.
    for peer in 202..=255 {
        rig.ask(peer, &Msg::new(GET, 1, "large"));
    }
    assert_eq!(rig.ask(200, &Msg::new(GET, 2, "large")).payload.len(), 1024);
    // Small answers are as they are, and a link on which nobody can lie needs no proof.
    let small = rig.ask(202, &Msg::new(GET, 3, "value"));
    assert_eq!(small.option(option::ECHO), None);
    assert_eq!(rig.ask(1, &Msg::new(GET, 1, "large")).payload.len(), 1024);
}

#[test]
fn a_few_large_answers_go_to_whoever_asks_and_an_attacker_gets_a_kilobyte_a_second() {
    let mut rig = Rig::new();
    let first = rig.ask(200, &Msg::new(GET, 1, "large"));
    assert_eq!(first.payload.len(), 1024);
    assert!(first.option(option::ECHO).is_some());
    let mut bytes = 0;
    let mut asked = 0;
    for second in 0..60 {
        for peer in 100..=250 {
            let get = Msg::new(GET, second, "large");
            asked += get.bytes().len() + 28;
            bytes += rig.ask(peer, &get).bytes().len() + 28;
        }
        rig.now += 1_000;
    }
    assert!(
        bytes <= 3 * asked + 8_192 + 60 * 1_024,
        "{bytes} for {asked}"
    );
}

#[test]
fn the_answer_to_a_change_comes_in_blocks_whose_rest_can_be_asked_for_without_echo() {
    let mut rig = exhausted();
    let first = rig.ask(200, &Msg::new(POST, 1, "both").body("abc"));
    let (_, _, size) = first.block(option::BLOCK2).unwrap();
    assert_eq!(size, 256);
    let rest = rig.ask(
        200,
        &Msg::new(POST, 2, "both").with(option::BLOCK2, block(1, false, size)),
    );
    assert_eq!(rest.block(option::BLOCK2), Some((1, true, 256)));
}

// ---- RFC 6690 ---------------------------------------------------------------------------------------------------------

#[test]
fn discovery_is_filtered() {
    let (value, big, more) = (
        "</value>;rt=\"number gauge\";if=\"sensor\";ct=0;obs",
        "</large>;rt=\"text\";ct=\"0 42\";sz=1280",
        "</large/more>;title=\"more\"",
    );
    let mut rig = Rig::new();
    for (filter, expected) in [
        ("", vec![value, big, more]),
        ("rt=gauge", vec![value]),
        ("rt=number gauge", vec![value]),
        ("rt=*", vec![value, big]),
        ("rt=g*", vec![value]),
        ("rt=x*", vec![]),
        ("if=sens*", vec![value]),
        ("if=sens", vec![]),
        ("ct=42", vec![big]),
        ("ct=4", vec![]),
        ("ct=*", vec![value, big]),
        ("sz=*", vec![big]),
        ("sz=1280", vec![big]),
        ("obs", vec![value]),
        ("title=m*", vec![more]),
        ("href=/large", vec![big]),
        ("href=/large*", vec![big, more]),
        ("href=/large/*", vec![more]),
        ("href=*", vec![value, big, more]),
        ("foo=bar", vec![]),
    ] {
        let mut get = Msg::new(GET, 1, ".well-known/core");
        if !filter.is_empty() {
            get = get.with(option::URI_QUERY, filter);
        }
        let answer = rig.ask(1, &get);
        assert_eq!(
            (answer.code, answer.text()),
            (Code::CONTENT, expected.join(",").as_str()),
            "{filter}"
        );
        assert_eq!(answer.uint(option::CONTENT_FORMAT), Some(40));
    }
    let post = rig.ask(1, &Msg::new(POST, 2, ".well-known/core"));
    assert_eq!(post.code, Code::METHOD_NOT_ALLOWED);
    let json = rig.ask(
        1,
        &Msg::new(GET, 3, ".well-known/core").with(option::ACCEPT, [50]),
    );
    assert_eq!(json.code, Code::NOT_ACCEPTABLE);
}
