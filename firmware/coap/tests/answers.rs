//! What an answer is made of: which options it has, how long it may be, and what of it is known when its request is repeated.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod rig;

use rig::{Msg, Rig, VALUE, block, large, uint};
use wasmote_coap::{
    Answer, Application, Code, Kind, Message, READS, Request, Response, Server, TRANSFERS, WebLink,
    Writer, option,
};

const GET: Code = Code::GET;
const PUT: Code = Code::PUT;
const POST: Code = Code::POST;

/// Bytes of a datagram with the IP and UDP headers before it.
fn on_the_wire(message: &Msg) -> usize {
    message.bytes().len() + 28
}

/// The numbers of its options.
fn numbers(answer: &Msg) -> Vec<u16> {
    answer.options.iter().map(|(number, _)| *number).collect()
}

#[test]
fn an_answer_has_the_options_that_its_request_and_its_code_call_for_and_no_others() {
    use option::{BLOCK1, BLOCK2, CONTENT_FORMAT, ETAG, MAX_AGE, OBSERVE, SIZE1, SIZE2};
    let mut rig = Rig::new();
    rig.app.format = 50;
    let body = |code, path: &str, length: usize| Msg::new(code, 1, path).body(vec![b'1'; length]);
    let tag = rig
        .ask(1, &Msg::new(GET, 0, "large"))
        .option(ETAG)
        .unwrap()
        .to_vec();
    let get = |path| Msg::new(GET, 1, path);
    let first = block(0, false, 64);
    // What is asked, the code of the answer, and its options.
    let cases: [(Msg, Code, &[u16]); 21] = [
        (get("value"), Code::CONTENT, &[ETAG, CONTENT_FORMAT]),
        (get("large"), Code::CONTENT, &[ETAG, BLOCK2]),
        (
            get("large").with(SIZE2, []),
            Code::CONTENT,
            &[ETAG, BLOCK2, SIZE2],
        ),
        // A block that is asked for is one, also of a body that fits it ...
        (
            get("value").with(BLOCK2, &first),
            Code::CONTENT,
            &[ETAG, CONTENT_FORMAT, BLOCK2],
        ),
        // ... but there are none of what is empty, wrong, or had already.
        (get("create").with(BLOCK2, &first), Code::CONTENT, &[]),
        (get("create"), Code::CONTENT, &[]),
        (get("nothing").with(BLOCK2, &first), Code::NOT_FOUND, &[]),
        (get("nothing").with(SIZE2, []), Code::NOT_FOUND, &[]),
        (
            get("large").with(ETAG, &tag).with(BLOCK2, &first),
            Code::VALID,
            &[ETAG],
        ),
        (
            get("large").with(ETAG, &tag).with(SIZE2, []),
            Code::VALID,
            &[ETAG],
        ),
        (
            get("value").with(OBSERVE, []),
            Code::CONTENT,
            &[ETAG, OBSERVE, CONTENT_FORMAT],
        ),
        // RFC 7252 §5.4.5: the first of several; §5.4.3: one that is too long counts as not there.
        (
            get("value").with(OBSERVE, []).with(OBSERVE, [1]),
            Code::CONTENT,
            &[ETAG, OBSERVE, CONTENT_FORMAT],
        ),
        (
            get("value").with(OBSERVE, [0; 4]),
            Code::CONTENT,
            &[ETAG, CONTENT_FORMAT],
        ),
        // RFC 7252 §5.10.6.1: an entity tag is for what can be had again.
        (body(POST, "echo", 9), Code::CHANGED, &[]),
        (body(PUT, "value", 0), Code::BAD_REQUEST, &[]),
        (body(Code::DELETE, "count", 0), Code::DELETED, &[]),
        // RFC 7959 §2.9.3: whoever sent too much in one block is told of blocks.
        (
            body(PUT, "upload", 1_025).with(SIZE1, uint(5_000)),
            Code::REQUEST_ENTITY_TOO_LARGE,
            &[BLOCK1, SIZE1],
        ),
        (
            body(PUT, "upload", 1_024).with(SIZE1, uint(5_000)),
            Code::REQUEST_ENTITY_TOO_LARGE,
            &[SIZE1],
        ),
        (body(POST, "upload", 1_025), Code::METHOD_NOT_ALLOWED, &[]),
        (
            body(PUT, "upload", 64)
                .with(BLOCK1, block(0, true, 64))
                .with(SIZE1, uint(5_000)),
            Code::REQUEST_ENTITY_TOO_LARGE,
            &[BLOCK1, SIZE1],
        ),
        (
            Msg::new(POST, 1, "slow").with(option::IF_NONE_MATCH, [1]),
            Code::BAD_OPTION,
            &[],
        ),
    ];
    for (message, code, options) in cases {
        let mut rig = Rig::new();
        rig.app.format = 50;
        rig.app.created = Some(vec![]);
        let answer = rig.ask(1, &message);
        assert_eq!(
            (answer.code, numbers(&answer)),
            (code, options.to_vec()),
            "{message:?}"
        );
        let valid_or_empty = code == Code::VALID || answer.option(BLOCK2).is_some();
        assert!(valid_or_empty || answer.option(MAX_AGE).is_none());
        // RFC 7959 §2.3: nothing more is expected of a body that was refused.
        if let Some((number, more, _)) = answer.block(BLOCK1) {
            assert_eq!((number, more), (0, false), "{message:?}");
        }
        assert_eq!(
            rig.server.observers(),
            usize::from(options.contains(&OBSERVE))
        );
        assert_eq!(rig.server.observed(VALUE), options.contains(&OBSERVE));
    }
}

#[test]
fn who_observes_what_is_not_there_is_no_observer() {
    // RFC 7641 §4.1.
    let mut rig = Rig::new();
    rig.app.gone = true;
    let answer = rig.ask(1, &Msg::new(GET, 1, "value").with(option::OBSERVE, []));
    assert_eq!((answer.code, answer.options.len()), (Code::NOT_FOUND, 0));
    assert_eq!(rig.server.observers(), 0);
}

#[test]
fn conditions_have_values_of_their_length_and_one_of_them_is_none_to_repeat() {
    // RFC 7252 §5.10.8, §5.4.3, §5.4.5.
    let put = |id| Msg::new(PUT, id, "value").body("5");
    let none = option::IF_NONE_MATCH;
    for (message, code) in [
        (put(1).with(option::IF_MATCH, [0; 9]), Code::BAD_OPTION),
        (
            put(2).with(option::IF_MATCH, [0; 8]),
            Code::PRECONDITION_FAILED,
        ),
        (
            put(3)
                .with(option::IF_MATCH, [])
                .with(option::IF_MATCH, [1]),
            Code::CHANGED,
        ),
        (put(4).with(none, []).with(none, []), Code::BAD_OPTION),
        (put(5).with(none, []), Code::PRECONDITION_FAILED),
        (put(6).with(none, [0]), Code::BAD_OPTION),
        // RFC 3629: text that is no ASCII is text.
        (Msg::new(GET, 7, "größe"), Code::NOT_FOUND),
        (
            Msg::new(GET, 8, "x").with(option::URI_QUERY, "ß".repeat(127)),
            Code::NOT_FOUND,
        ),
        (
            Msg::new(GET, 9, "x").with(option::URI_QUERY, "ß".repeat(128)),
            Code::BAD_OPTION,
        ),
        (
            Msg::new(GET, 10, "x").with(option::URI_QUERY, [0xc3]),
            Code::BAD_OPTION,
        ),
    ] {
        assert_eq!(Rig::new().ask(1, &message).code, code, "{message:?}");
    }
}

#[test]
fn a_body_in_one_block_needs_no_place_among_the_uploads() {
    // RFC 7959 §2.3: Block1 of 0, and no more.
    let mut rig = Rig::new();
    let put = |id, more| {
        let block1 = block(0, more, 64);
        let size = if more { 64 } else { 10 };
        Msg::new(PUT, id, "upload")
            .with(option::BLOCK1, block1)
            .body(vec![1; size])
    };
    for peer in 0..TRANSFERS as u8 {
        let begins = put(1, true).with(option::URI_QUERY, format!("n={peer}"));
        assert_eq!(rig.ask(peer, &begins).code, Code::CONTINUE);
    }
    let other = put(2, true).with(option::URI_QUERY, "n=x");
    assert_eq!(rig.ask(50, &other).code, Code::SERVICE_UNAVAILABLE);
    let whole = rig.ask(50, &put(3, false).with(option::URI_QUERY, "n=y"));
    assert_eq!(
        (whole.code, whole.block(option::BLOCK1)),
        (Code::CHANGED, Some((0, false, 64)))
    );
}

#[test]
fn the_answers_to_repeated_requests_are_whole_as_far_back_as_two_kilobytes_reach() {
    // Bytes of the answers one after the other, and how many of the newest are repeated whole; the others by their code.
    let cases: [(&[usize], usize); 8] = [
        (&[1_024, 1_024], 2),
        (&[1_024, 1_024, 8], 2),
        (&[1_024, 1_016, 8], 3),
        (&[700, 700, 700], 2),
        (&[700, 648, 700], 3),
        (&[700, 649, 700], 2),
        (&[1_000, 1_000, 1_000, 1_000], 2),
        (&[100; 30], 20),
    ];
    // What stands before the payload: header, token, marker.
    const BEFORE: usize = 4 + 2 + 1;
    for (lengths, whole) in cases {
        // The same, wherever the last answer ended.
        for before in [0, 1, 5] {
            let mut rig = Rig::new();
            // Fills the rest of a round, so that each case begins with one.
            for id in 0..before * 2 {
                rig.ask(
                    9,
                    &Msg::new(POST, id, "echo").body(vec![b'0'; 1_024 - BEFORE]),
                );
            }
            let mut asked = vec![];
            for (id, length) in (1u16..).zip(lengths) {
                let text = vec![id as u8; length - BEFORE];
                let message = Msg::new(POST, id, "echo").body(text);
                let answer = rig.ask(1, &message);
                assert_eq!(answer.bytes().len(), *length);
                asked.push((message, answer));
            }
            for (age, (message, answer)) in asked.iter().rev().enumerate() {
                let again = rig.ask(1, message);
                let short = Msg {
                    payload: vec![],
                    ..answer.clone()
                };
                let expected = if age < whole { answer } else { &short };
                assert_eq!(&again, expected, "{lengths:?}, {age} from the end");
            }
            assert_eq!(rig.app.most(), 1.max(u32::from(before) * 2));
        }
    }
}

/// What an answer may have besides its token and its payload: header, ETag, Content-Format, Block2, Echo and the marker.
const BEFORE: usize = 4 + 5 + 3 + 3 + 11 + 1;

/// Bytes of payload that the answer to a stranger's request may have in any case.
fn room(get: &Msg) -> usize {
    3 * on_the_wire(get) - 28 - BEFORE - get.token.len()
}

/// A server whose allowance for peers that have not shown themselves is used up, to the last byte.
fn exhausted() -> Rig {
    let mut rig = Rig::new();
    let get = Msg::new(GET, 1, "create");
    for beyond in (0..10).rev().map(|bits| 1 << bits) {
        rig.app.created = Some(vec![b'x'; room(&get) + beyond]);
        for peer in 220..=255 {
            while rig.ask(peer, &get).option(option::BLOCK2).is_none() {}
        }
    }
    rig
}

#[test]
fn a_stranger_gets_the_largest_block_that_three_times_its_request_allow() {
    let mut rig = exhausted();
    for token in 0..=8 {
        for query in 0..100 {
            let get = Msg::new(GET, 1, "large")
                .token(&vec![7; token])
                .with(option::URI_QUERY, "q".repeat(query));
            for observes in [false, true] {
                let get = if observes {
                    get.clone().with(option::OBSERVE, [])
                } else {
                    get.clone()
                };
                let answer = rig.ask(200, &get);
                let (_, more, size) = answer.block(option::BLOCK2).unwrap();
                assert!(more && answer.option(option::ECHO).is_some());
                assert_eq!(answer.payload.len(), size as usize);
                assert!(on_the_wire(&answer) <= 3 * on_the_wire(&get));
                // Twice as much would be too much.
                let observe = if answer.option(option::OBSERVE).is_some() {
                    4
                } else {
                    0
                };
                let room = room(&get) - observe;
                assert!((16..=room).contains(&(size as usize)), "{size} of {room}");
                assert!(2 * size as usize > room, "{size} of {room}");
                rig.ask(
                    200,
                    &Msg::new(GET, 2, "large")
                        .token(&vec![7; token])
                        .with(option::OBSERVE, [1]),
                );
            }
        }
    }
}

#[test]
fn what_fits_three_times_the_request_is_sent_whole_and_asks_for_nothing() {
    let mut rig = exhausted();
    let get = Msg::new(GET, 1, "create");
    let room = room(&get);
    for (length, fits) in [(room, true), (room + 1, false)] {
        rig.app.created = Some(vec![b'x'; length]);
        let answer = rig.ask(200, &get);
        assert_eq!(answer.payload.len() == length, fits, "{length}");
        assert_eq!(answer.option(option::ECHO).is_none(), fits, "{length}");
    }
    // An error is cut where the room ends, and is no block.
    let put = Msg::new(GET, 3, "query");
    let refused = rig.ask(200, &put);
    assert_eq!(
        (refused.code, refused.option(option::BLOCK2)),
        (Code::METHOD_NOT_ALLOWED, None)
    );
}

#[test]
fn the_allowance_pays_for_what_goes_beyond_three_times_the_request() {
    // 2,048 bytes for one stranger: two answers of a kilobyte, less what each may have in any case.
    let mut rig = Rig::new();
    let sizes = [1, 2, 3].map(|id| rig.ask(200, &Msg::new(GET, id, "large")).payload.len());
    assert_eq!((sizes[0], sizes[1]), (1_024, 1_024));
    assert!(sizes[2] < 100, "{sizes:?}");
    assert_eq!(large(0).len(), 1_280);
}

/// Resources that say nothing of themselves but how they are read.
struct Plain;

impl Application for Plain {
    fn handle(&mut self, _: &Request<'_>, response: &mut Response<'_>) -> Answer {
        response.write(&large(0));
        Answer::Now
    }

    fn web_link(&self, _: usize, _: &mut dyn FnMut(&WebLink<'_>)) -> bool {
        false
    }
}

#[test]
fn an_application_that_says_no_more_has_nothing_to_observe_to_resume_or_to_say_again() {
    let mut server: Server<u8> = Server::new(1);
    server.trust(|_| true);
    assert!(!wasmote_coap::Application::reliable(&Plain, 1));
    let mut ask = |message: Msg| {
        let mut sent = vec![];
        let mut out = |_: u8, d: &[u8]| sent.push(d.to_vec());
        server.receive(1_000, 1, false, &message.bytes(), &mut Plain, &mut out);
        assert_eq!(
            (server.poll(1_000, &mut Plain, &mut out), server.observers()),
            (None, 0)
        );
        let message = Message::parse(&sent[0]).unwrap();
        assert_eq!((sent.len(), message.kind), (1, Kind::Ack));
        Msg::read(&sent[0])
    };
    let observed = ask(Msg::new(GET, 1, "x").with(option::OBSERVE, []));
    assert_eq!(
        (observed.code, observed.option(option::OBSERVE)),
        (Code::CONTENT, None)
    );
    let rest = ask(Msg::new(POST, 2, "x").with(option::BLOCK2, block(1, false, 1024)));
    assert_eq!(rest.code, Code::REQUEST_ENTITY_INCOMPLETE);
    let middle = Msg::new(PUT, 3, "x")
        .with(option::BLOCK1, block(1, true, 16))
        .body([0; 16]);
    assert_eq!(ask(middle).code, Code::REQUEST_ENTITY_INCOMPLETE);
    let links = ask(Msg::new(GET, 4, ".well-known/core"));
    assert_eq!((links.code, links.payload.len()), (Code::CONTENT, 0));
}

#[test]
fn a_condition_is_held_against_what_a_get_without_a_payload_would_say() {
    let mut rig = Rig::new();
    let said = rig.ask(1, &Msg::new(GET, 1, "echo"));
    let tag = said.option(option::ETAG).unwrap();
    let post = Msg::new(POST, 2, "echo")
        .with(option::IF_MATCH, tag)
        .body("x");
    assert_eq!(rig.ask(1, &post).code, Code::CHANGED);
}

#[test]
fn a_read_that_is_answered_late_is_acknowledged_when_it_is_repeated_if_it_is_confirmable() {
    // RFC 7252 §4.2, §4.5.
    let mut rig = Rig::new();
    let get = Msg::new(GET, 1, "slow");
    assert!(rig.send(1, &get).is_empty() && rig.send(1, &get).is_empty());
    assert_eq!(rig.wait(1, 1_000).len(), 1);
    assert_eq!(rig.ask(1, &get), Msg::empty(Kind::Ack, 1));
    let get = Msg::new(GET, 2, "slow").non();
    assert!(rig.send(2, &get).is_empty() && rig.send(2, &get).is_empty());
    assert!(rig.wait(2, 1_000).is_empty() && rig.send(2, &get).is_empty());
    assert_eq!(rig.app.tickets.len(), 2);
}

#[test]
fn what_is_empty_is_an_answer_to_a_group_unless_it_was_searched_for() {
    // RFC 7252 §8.2: no answer where there is nothing useful to say, such as no match.
    let ask = |message: &Msg| {
        let mut rig = Rig::new();
        rig.app.created = Some(vec![]);
        rig.datagram(1, true, &message.bytes());
        rig.wait(1, 6_000).len()
    };
    let get = |path| Msg::new(GET, 1, path).non();
    assert_eq!(ask(&get("create")), 1);
    assert_eq!(ask(&get("create").with(option::URI_QUERY, "rt=x")), 1);
    assert_eq!(
        ask(&get(".well-known/core").with(option::URI_QUERY, "rt=x")),
        0
    );
    // All links there are: none.
    let mut server: Server<u8> = Server::new(1);
    let mut sent = 0;
    let mut out = |_: u8, _: &[u8]| sent += 1;
    let core = get(".well-known/core").bytes();
    server.receive(1_000, 1, true, &core, &mut Plain, &mut out);
    server.poll(7_000, &mut Plain, &mut out);
    assert_eq!(sent, 1);
}

/// Options as they lie in a message (RFC 7252 §3.1): what stands before the value, by delta and length.
const WRITTEN: [(u16, usize, &[u8]); 12] = [
    (0, 0, &[0x00]),
    (12, 12, &[0xcc]),
    (13, 0, &[0xd0, 0]),
    (0, 13, &[0x0d, 0]),
    (13, 13, &[0xdd, 0, 0]),
    (268, 268, &[0xdd, 255, 255]),
    (269, 12, &[0xec, 0, 0]),
    (12, 269, &[0xce, 0, 0]),
    (270, 271, &[0xee, 0, 1, 0, 2]),
    (525, 524, &[0xee, 1, 0, 0, 255]),
    (u16::MAX, 0, &[0xe0, 0xfe, 0xf2]),
    (1, 1_034, &[0x1e, 2, 253]),
];

#[test]
fn options_are_written_and_read_at_every_edge_of_their_lengths() {
    for (number, length, head) in WRITTEN {
        let value = vec![0xab; length];
        let expected = [&[0x51, 1, 0, 9, b't'][..], head, &value].concat();
        let mut buffer = [0; 1_200];
        let mut w = Writer::new(&mut buffer, Kind::Non, GET, 9, b"t");
        w.option(number, &value);
        assert_eq!(w.finish(&[]), Some(&expected[..]), "{number} {length}");
        let message = Message::parse(&expected).unwrap();
        assert_eq!(message.options.get(number), Some(&value[..]));
        // With a byte less to write into there is no message, and with a byte less to read it is none.
        let mut w = Writer::new(&mut buffer[..expected.len() - 1], Kind::Non, GET, 9, b"t");
        w.option(number, &value);
        w.option(number, &[]);
        assert_eq!(w.finish(&[]), None);
        let cut = &expected[..expected.len() - 1];
        assert_eq!(Message::parse(cut).is_err(), length > 0 || head.len() > 1);
    }
    // Numbers in their shortest form, and read from any.
    for (number, bytes) in [
        (0, &[][..]),
        (255, &[255]),
        (256, &[1, 0]),
        (0x12_3456, &[0x12, 0x34, 0x56]),
    ] {
        let mut buffer = [0; 16];
        let mut w = Writer::new(&mut buffer, Kind::Con, GET, 1, &[]);
        w.uint(option::MAX_AGE, number);
        let message = Message::parse(w.finish(&[]).unwrap()).unwrap();
        assert_eq!(message.options.get(option::MAX_AGE), Some(bytes));
        assert_eq!(message.options.uint(option::MAX_AGE, 4), Some(number));
        assert_eq!(
            message.options.uint(option::MAX_AGE, 2),
            Some(number).filter(|n| *n < 0x1_0000)
        );
    }
}

#[test]
fn codes_are_shown_as_the_standard_writes_them() {
    for (code, text) in [
        (Code::CONTENT, "2.05"),
        (Code::EMPTY, "0.00"),
        (Code(0xff), "7.31"),
    ] {
        assert_eq!(
            (format!("{code}"), format!("{code:?}")),
            (text.into(), text.into())
        );
    }
}

/// What goes out when a request that is answered late is answered so.
fn late(rig: &mut Rig, write: impl FnOnce(&mut Response<'_>)) -> Vec<Msg> {
    let (_, ticket) = rig.app.tickets.remove(0);
    let mut sent = vec![];
    let mut out = |_: u8, d: &[u8]| sent.push(Msg::read(d));
    assert!(rig.server.complete(rig.now, ticket, write, &mut out));
    assert!(
        !rig.server.complete(rig.now, ticket, |_| (), &mut out),
        "once"
    );
    sent
}

#[test]
fn a_late_answer_comes_in_blocks_that_can_be_sent_again() {
    // RFC 7252 §5.2.2, §4.2; RFC 7959 §2.4.
    let mut rig = Rig::new();
    rig.send(1, &Msg::new(GET, 1, "slow"));
    rig.now += 1_000;
    rig.poll();
    let answer = late(&mut rig, |r| r.write(&large(0))).remove(0);
    assert_eq!(
        (answer.kind, answer.block(option::BLOCK2)),
        (Kind::Con, Some((0, true, 256)))
    );
    assert_eq!(answer.payload, large(0)[..256]);
    assert_eq!(rig.wait(1, 3_100).remove(0).1, answer);
    // Or smaller ones, when they are asked for.
    let asked = block(2, false, 64);
    rig.send(2, &Msg::new(GET, 1, "slow").with(option::BLOCK2, asked));
    let answer = late(&mut rig, |r| r.write(&large(0))).remove(0);
    assert_eq!(
        (answer.kind, answer.block(option::BLOCK2)),
        (Kind::Ack, Some((2, true, 64)))
    );
    assert_eq!(answer.payload, large(0)[128..192]);
}

#[test]
fn a_late_answer_is_acknowledged_by_the_one_it_went_to() {
    let mut rig = Rig::new();
    rig.send(1, &Msg::new(GET, 1, "slow"));
    rig.now += 1_000;
    rig.poll();
    let answer = late(&mut rig, |r| r.write(b"late")).remove(0);
    rig.send(2, &Msg::empty(Kind::Ack, answer.id));
    rig.send(1, &Msg::empty(Kind::Ack, answer.id.wrapping_add(1)));
    assert_eq!(rig.wait(1, 3_100).remove(0).1, answer);
    rig.send(1, &Msg::empty(Kind::Ack, answer.id));
    assert!(rig.wait(1, 100_000).is_empty());
}

#[test]
fn a_handler_that_never_answers_is_forgotten_when_its_client_has_forgotten_it() {
    let mut rig = Rig::new();
    rig.send(1, &Msg::new(GET, 1, "slow"));
    let (_, ticket) = rig.app.tickets.remove(0);
    // EXCHANGE_LIFETIME (RFC 7252 §4.8.2).
    assert_eq!(rig.wait(1, 246_999).len(), 1, "the acknowledgement");
    assert_eq!(
        (rig.server.counters().given_up, rig.deadline),
        (0, Some(rig.now + 1))
    );
    rig.now += 1;
    assert!(rig.poll().is_empty());
    assert_eq!((rig.server.counters().given_up, rig.deadline), (1, None));
    let mut out = |_: u8, _: &[u8]| unreachable!("nobody is owed anything");
    assert!(!rig.server.complete(rig.now, ticket, |_| (), &mut out));
}

#[test]
fn a_late_answer_to_a_stranger_is_as_small_as_one_that_comes_at_once() {
    let mut rig = exhausted();
    let get = Msg::new(GET, 1, "slow");
    rig.send(200, &get);
    let answer = late(&mut rig, |r| r.write(&large(0))).remove(0);
    assert!(answer.option(option::ECHO).is_some());
    assert!(on_the_wire(&answer) <= 3 * on_the_wire(&get));
}

#[test]
fn a_late_answer_to_a_group_is_a_good_one_and_draws_on_no_allowance() {
    // RFC 7252 §8.2.
    for (peer, fails, size) in [
        (1, false, Some(256)),
        (1, true, None),
        (200, false, Some(32)),
    ] {
        let mut rig = Rig::new();
        rig.datagram(peer, true, &Msg::new(GET, 1, "slow").non().bytes());
        rig.now += 5_000;
        rig.poll();
        let sent = late(&mut rig, |r| {
            if fails {
                r.code(Code::NOT_FOUND);
            } else {
                r.write(&large(0));
            }
        });
        assert_eq!(
            sent.first().map(|m| m.payload.len()),
            size,
            "{peer} {fails}"
        );
    }
}

#[test]
fn an_upload_goes_on_when_a_part_was_taken_late_and_is_over_when_it_was_refused() {
    // RFC 7959 §2.9.2.
    for (code, next) in [
        (Code::CHANGED, None),
        (Code::CONFLICT, Some(Code::REQUEST_ENTITY_INCOMPLETE)),
    ] {
        let mut rig = Rig::new();
        let part = |number: u32| {
            let block1 = block(number, true, 64);
            Msg::new(PUT, number as u16, "slow")
                .with(option::BLOCK1, block1)
                .body([0; 64])
        };
        assert!(rig.send(1, &part(0)).is_empty());
        let taken = late(&mut rig, |r| r.code(code)).remove(0);
        let answer = if next.is_none() { Code::CONTINUE } else { code };
        assert_eq!((taken.kind, taken.code), (Kind::Ack, answer));
        assert_eq!(taken.block(option::BLOCK1), Some((0, next.is_none(), 64)));
        assert_eq!(rig.server.transfers(), usize::from(next.is_none()));
        assert_eq!(rig.send(1, &part(1)).first().map(|m| m.code), next);
    }
}

#[test]
fn what_is_no_request_is_reset_or_passed_over_and_counted() {
    // RFC 7252 §4.2, §4.3, §8.1.
    let own = |kind, code| {
        Msg {
            kind,
            code,
            ..Msg::empty(kind, 7)
        }
        .bytes()
    };
    // An option of 15, which is none.
    let broken = |kind: u8| vec![0x40 | kind << 4, 1, 0, 7, 0xf0];
    let reset = Some(Msg::empty(Kind::Rst, 7));
    let count = |rig: &Rig| {
        let c = rig.server.counters();
        [c.malformed, c.pings, c.stray, c.suppressed]
    };
    for (bytes, group, answer, counted) in [
        (own(Kind::Con, Code::EMPTY), false, &reset, [0, 1, 0, 0]),
        (own(Kind::Con, Code::EMPTY), true, &None, [0, 0, 1, 0]),
        (own(Kind::Non, Code::EMPTY), false, &None, [0, 0, 1, 0]),
        (own(Kind::Ack, Code::EMPTY), false, &None, [0, 0, 1, 0]),
        (own(Kind::Rst, Code::EMPTY), false, &None, [0, 0, 1, 0]),
        (own(Kind::Con, Code::CONTENT), false, &reset, [0, 0, 1, 0]),
        (own(Kind::Con, Code::CONTENT), true, &None, [0, 0, 1, 0]),
        (own(Kind::Non, Code::CONTENT), false, &None, [0, 0, 1, 0]),
        (own(Kind::Con, Code(0x21)), false, &reset, [0, 0, 1, 0]),
        (own(Kind::Con, GET), true, &None, [0, 0, 0, 1]),
        (broken(0), false, &reset, [1, 0, 0, 0]),
        (broken(0), true, &None, [1, 0, 0, 0]),
        (broken(1), false, &None, [1, 0, 0, 0]),
        (broken(2), false, &None, [1, 0, 0, 0]),
        // Another version, and too short for a header.
        (vec![0x80, 1, 0, 7], false, &None, [1, 0, 0, 0]),
        (vec![0x40, 1, 0], false, &None, [1, 0, 0, 0]),
    ] {
        let mut rig = Rig::new();
        let sent = rig.datagram(1, group, &bytes);
        let sent = sent.first().map(|(_, bytes)| Msg::read(bytes));
        assert_eq!((&sent, count(&rig)), (answer, counted), "{bytes:?} {group}");
        rig.check_counters();
    }
}

#[test]
fn sixteen_reads_in_blocks_are_told_apart_and_one_gives_way_when_it_was_not_continued_for_20_s() {
    // RFC 7959 §2.4: all blocks are of one state.
    for now in [1_000, 100_000, 1_099_511_000_000] {
        let mut rig = Rig::new();
        rig.now = now;
        let get =
            |id, number| Msg::new(GET, id, "large").with(option::BLOCK2, block(number, false, 256));
        for peer in 0..READS as u8 {
            rig.ask(peer, &get(1, 0));
            let read = rig.app.reads.pop().unwrap().unwrap();
            assert_eq!((read.number, read.begins), (peer, true));
            assert_eq!(read.open, (1 << peer) - 1);
        }
        let places = |rig: &mut Rig, peer| {
            rig.ask(peer, &get(2, 0));
            rig.app.reads.pop().unwrap().map(|read| read.number)
        };
        // One goes on, and is heard of later than the others.
        rig.now = now + 10_000;
        rig.ask(3, &get(3, 1));
        rig.now = now + 19_999;
        assert_eq!(places(&mut rig, 50), None);
        rig.now = now + 20_000;
        let gone: Vec<_> = (50..66)
            .map(|peer| places(&mut rig, peer).unwrap_or(99))
            .collect();
        assert_eq!(
            gone,
            [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 99]
        );
        rig.now = now + 30_000;
        assert_eq!(places(&mut rig, 66), Some(3));
        // One that has had its last block gives way at once.
        rig.ask(66, &get(4, 4));
        rig.app.reads.clear();
        assert_eq!(places(&mut rig, 67), Some(3));
    }
}

#[test]
fn hosts_have_their_shares_however_many_ports_they_use() {
    let observers = |hosts: Option<fn(&u8) -> u64>| {
        let mut rig = Rig::new();
        let mut server = Server::new(3);
        server.trust(|_| true);
        if let Some(hosts) = hosts {
            server.hosts(hosts);
        }
        rig.server = server;
        (0..17)
            .filter(|n| {
                let from = if *n == 16 { 200 } else { *n };
                let get = Msg::new(GET, 1, "value").with(option::OBSERVE, []);
                rig.ask(from, &get).option(option::OBSERVE).is_some()
            })
            .count()
    };
    assert_eq!(observers(Some(|from| u64::from(*from / 100))), 17);
    assert_eq!(observers(None), 16);
}

#[test]
fn what_a_stranger_must_not_guess_comes_from_the_seed() {
    let echo = |seed| {
        let mut rig = Rig::new();
        rig.server.seed(seed);
        rig.ask(200, &Msg::new(GET, 1, "large"))
            .option(option::ECHO)
            .unwrap()
            .to_vec()
    };
    assert_eq!(echo(1), echo(1));
    assert_ne!(echo(1), echo(2));
}

/// Says what a request has, and where what it made lies.
struct Told;

impl Application for Told {
    fn handle(&mut self, request: &Request<'_>, response: &mut Response<'_>) -> Answer {
        let said = format!(
            "{:?} {:?} {:?} {:?} {:?}",
            request.path().collect::<Vec<_>>(),
            request.query("q"),
            request.accept(),
            request.content_format(),
            request.size1(),
        );
        response.code(Code::CREATED);
        response.location(&["made", "7"], &["by=told"]);
        response.write(said.as_bytes());
        Answer::Now
    }

    fn web_link(&self, _: usize, _: &mut dyn FnMut(&WebLink<'_>)) -> bool {
        false
    }
}

#[test]
fn a_handler_is_told_what_the_options_say_and_says_where_it_made_something() {
    let post = Msg::new(POST, 1, "a/b");
    for (message, said) in [
        (post.clone(), r#"["a", "b"] None None None None"#),
        (
            post.with(option::URI_QUERY, "p=1")
                .with(option::URI_QUERY, "q=two")
                .with(option::ACCEPT, [60])
                .with(option::CONTENT_FORMAT, [1, 4])
                .with(option::SIZE1, [1, 0, 0, 0]),
            r#"["a", "b"] Some("two") Some(60) Some(260) Some(16777216)"#,
        ),
    ] {
        let mut server: Server<u8> = Server::new(1);
        server.trust(|_| true);
        let mut sent = vec![];
        let mut out = |_: u8, d: &[u8]| sent.push(Msg::read(d));
        server.receive(1_000, 1, false, &message.bytes(), &mut Told, &mut out);
        assert_eq!((sent[0].code, sent[0].text()), (Code::CREATED, said));
        // RFC 7252 §5.10.7.
        let location = [
            (8, b"made".to_vec()),
            (8, b"7".to_vec()),
            (20, b"by=told".to_vec()),
        ];
        assert_eq!(sent[0].options, location);
    }
}

#[test]
fn an_upload_that_nobody_goes_on_with_gives_way_in_its_time() {
    // MAX_TRANSMIT_WAIT (RFC 7252 §4.8.2) for those that have shown themselves; the others wait for nobody.
    let put = |peer: u8| {
        let begins = Msg::new(PUT, 1, "upload").with(option::BLOCK1, block(0, true, 64));
        begins
            .with(option::URI_QUERY, format!("n={peer}"))
            .body([0; 64])
    };
    for (first, idle) in [(0, 93_000), (110, 10_000)] {
        let mut rig = Rig::new();
        for n in 0..TRANSFERS as u8 {
            let peer = if first == 0 { n } else { first + n * 10 };
            assert_eq!(rig.ask(peer, &put(peer)).code, Code::CONTINUE);
        }
        // The newcomer is one of them in rank, and at a host of its own.
        let newcomer = if first == 0 { 50 } else { 250 };
        rig.now += idle - 1;
        assert_ne!(rig.ask(newcomer, &put(1)).code, Code::CONTINUE, "{first}");
        rig.now += 1;
        let mut later = put(2);
        later.id = 2;
        assert_eq!(rig.ask(newcomer, &later).code, Code::CONTINUE, "{first}");
        assert_eq!(rig.server.transfers(), TRANSFERS);
        // It goes on in its own place.
        let next = Msg::new(PUT, 3, "upload").with(option::BLOCK1, block(1, true, 64));
        let next = next.with(option::URI_QUERY, "n=2").body([0; 64]);
        assert_eq!(rig.ask(newcomer, &next).code, Code::CONTINUE, "{first}");
        assert_eq!(rig.server.counters().displaced, 1);
    }
}

#[test]
fn a_refusal_that_comes_late_ends_no_upload_of_another() {
    let mut rig = Rig::new();
    let part = |path: &str| {
        Msg::new(PUT, 1, path)
            .with(option::BLOCK1, block(0, true, 64))
            .body([0; 64])
    };
    assert!(rig.send(1, &part("slow")).is_empty());
    let (_, ticket) = rig.app.tickets.remove(0);
    rig.now += 93_000;
    for peer in 2..2 + TRANSFERS as u8 {
        let begins = part("upload").with(option::URI_QUERY, format!("n={peer}"));
        assert_eq!(rig.ask(peer, &begins).code, Code::CONTINUE);
    }
    let mut out = |_: u8, _: &[u8]| ();
    rig.server
        .complete(rig.now, ticket, |r| r.code(Code::CONFLICT), &mut out);
    assert_eq!(rig.server.transfers(), TRANSFERS);
}
