//! What the stage does for a server, and for a client that protects with the same keys.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod rig;

use rig::{Rig, SLOW, VALUE, entry};
use std::collections::BTreeSet;
use wasmote_coap::{Code, Kind, Message, Server, Writer, option};
use wasmote_oscore::stage::{ECHO_PERIOD, ENCRYPTIONS};
use wasmote_oscore::{Compressed, Stage, Window};

/// The code and text of an unprotected answer.
fn plain(datagram: &[u8]) -> (Code, String) {
    let message = Message::parse(datagram).unwrap();
    assert!(message.options.get(option::OSCORE).is_none());
    (
        message.code,
        String::from_utf8(message.payload.to_vec()).unwrap(),
    )
}

#[test]
fn what_is_protected_is_carried_out_for_its_context_and_answered_protected() {
    let mut rig = Rig::new();
    let path = (option::URI_PATH, &b"value"[..]);
    assert_eq!(rig.asks(Code::PUT, &[path], b"41").code, Code::CHANGED);
    let got = rig.get("value");
    assert_eq!(
        (got.code, &got.payload[..], got.number),
        (Code::CONTENT, &b"41"[..], None)
    );
    // Errors of the resource are nobody else's business either.
    assert_eq!(rig.get("absent").code, Code::NOT_FOUND);
    assert_eq!(rig.app.contexts, [Some(3); 3]);
    assert_eq!(rig.server.security().rights(3), 5);
    assert_eq!(rig.server.security().rights(4), 0);
}

#[test]
fn a_body_of_many_blocks_comes_protected_block_by_block() {
    let mut rig = Rig::new();
    let (mut body, mut block): (Vec<u8>, Vec<u8>) = (vec![], vec![6]);
    loop {
        let path = (option::URI_PATH, &b"large"[..]);
        let got = rig.asks(Code::GET, &[path, (option::BLOCK2, &block)], &[]);
        assert_eq!(got.code, Code::CONTENT);
        body.extend(&got.payload);
        let value = got
            .block
            .expect("a block")
            .iter()
            .fold(0, |n, b| n << 8 | u32::from(*b));
        if value & 8 == 0 {
            break;
        }
        block = vec![((value >> 4) + 1) as u8 * 16 + (value & 7) as u8];
    }
    assert_eq!(
        body,
        (0..3_000u32).map(|at| (at / 7) as u8).collect::<Vec<_>>()
    );
}

#[test]
fn a_duplicate_gets_the_same_ciphertext_and_a_replay_gets_nothing() {
    let mut rig = Rig::new();
    let path = (option::URI_PATH, &b"value"[..]);
    let (datagram, number) = rig.request(Code::PUT, &[path], b"1", b"t");
    let first = rig.sends(&datagram);
    assert_eq!(rig.opens(&first[0], number).code, Code::CHANGED);
    assert_eq!(rig.sends(&datagram), first, "one nonce, one ciphertext");
    // Under another message ID it is another request, and a replay.
    let mut replay = datagram.clone();
    replay[2] ^= 1;
    assert_eq!(
        plain(&rig.sends(&replay)[0]),
        (Code::UNAUTHORIZED, "Replay detected".into())
    );
    // Late ones that were overtaken are carried out once; those before the window never.
    let (late, _) = rig.request(Code::PUT, &[path], b"2", b"t");
    let (old, _) = rig.request(Code::PUT, &[path], b"3", b"t");
    for _ in 0..31 {
        rig.get("value");
    }
    assert_eq!(plain(&rig.sends(&late)[0]).0, Code::UNAUTHORIZED);
    let answer = rig.sends(&old);
    assert_eq!(answer.len(), 1);
    assert!(
        Message::parse(&answer[0])
            .unwrap()
            .options
            .get(option::OSCORE)
            .is_some()
    );
    assert_eq!((rig.app.changes, rig.app.value), (2, 3));
}

#[test]
fn forgeries_change_nothing_and_are_answered_sparingly() {
    let mut rig = Rig::new();
    let path = (option::URI_PATH, &b"value"[..]);
    let (good, number) = rig.request(Code::PUT, &[path], b"7", b"t");
    let mut answered = 0;
    // Behind the header and the token, which belong to the way.
    for bit in 5 * 8..good.len() * 8 {
        let mut forged = good.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        forged[2..4].copy_from_slice(&(bit as u16 + 5_000).to_be_bytes());
        // So far apart that each is looked at.
        rig.now += 16;
        for answer in rig.sends(&forged) {
            answered += 1;
            assert!(answer.len() <= forged.len(), "{} bytes", answer.len());
        }
    }
    assert_eq!(rig.app.value, 0);
    assert!(answered < 80, "{answered} answers");
    rig.now += 16;
    let counters = rig.server.security().counters();
    assert_eq!(counters.held, 0);
    assert!(
        counters.forged > 50 && counters.unknown > 10 && counters.opened == 0,
        "{counters:?}"
    );
    let answer = rig.sends(&good);
    assert_eq!(rig.opens(&answer[0], number).code, Code::CHANGED);
    assert_eq!((rig.app.value, rig.app.changes), (7, 1));
}

#[test]
fn after_a_forgery_strangers_are_passed_over_for_a_while_and_who_was_heard_is_not() {
    for (bytes, pause) in [(10, 16), (900, 256)] {
        let mut rig = Rig::new();
        let path = (option::URI_PATH, &b"value"[..]);
        let payload = vec![b'0'; bytes];
        let forge = |rig: &mut Rig| {
            let (mut datagram, _) = rig.request(Code::PUT, &[path], &payload, b"t");
            *datagram.last_mut().unwrap() ^= 1;
            rig.sends(&datagram)
        };
        let (mut good, number) = rig.request(Code::PUT, &[path], &vec![b'0'; bytes], b"t");
        assert_eq!(plain(&forge(&mut rig)[0]).0, Code::BAD_REQUEST);
        // What nobody looks at costs no sequence number, and is neither answered nor counted as a forgery.
        for wait in [0, 1, pause - 2] {
            rig.now += wait;
            assert!(rig.sends(&good).is_empty());
            good[3] ^= 0x80;
        }
        let counters = rig.server.security().counters();
        assert_eq!((counters.forged, counters.held, counters.opened), (1, 3, 0));
        // Sent again, as CoAP does, it is heard; from then on forgeries of others hold it up no more.
        rig.now += 1;
        let answer = rig.sends(&good);
        assert_eq!(rig.opens(&answer[0], number).code, Code::CHANGED);
        rig.peer = 77;
        forge(&mut rig);
        assert!(forge(&mut rig).is_empty());
        rig.peer = 9;
        assert_eq!(rig.get("value").code, Code::CONTENT);
    }
}

#[test]
fn what_was_captured_before_a_reset_uses_up_no_numbers_after_it() {
    let mut before = Rig::new();
    let (captured, _) = before.request(Code::GET, &[(option::URI_PATH, b"value")], b"", b"t");
    // Ten minutes, a hundred times a second, from one host and from many.
    for (hosts, most) in [(1, 2_400), (200, 20_000)] {
        let mut rig = Rig::at(before.limit, None);
        rig.server.hosts(|peer| u64::from(*peer));
        rig.next = before.next;
        let mut challenged = 0;
        for round in 0..60_000_u32 {
            rig.now += 10;
            rig.peer = 10 + (round % hosts) as u8;
            let mut again = captured.clone();
            again[2..4].copy_from_slice(&(round as u16).to_be_bytes());
            challenged += rig.sends(&again).len();
            rig.reserve();
        }
        assert!(challenged <= most, "{challenged} of {most}");
        assert!(challenged > most / 2, "{challenged} of {most}");
        assert!(!rig.server.security().is_worn(3));
        // The owner, elsewhere, has one round trip more, and is not held up from then on.
        rig.now += 1_000;
        rig.peer = 9;
        let first = rig.get("value");
        assert_eq!(first.code, Code::UNAUTHORIZED);
        let echo = first.echo.unwrap();
        let path = (option::URI_PATH, &b"value"[..]);
        let (echoed, number) = rig.request(Code::GET, &[path, (option::ECHO, &echo)], b"", b"t");
        let answer = rig.sends(&echoed);
        assert_eq!(rig.opens(&answer[0], number).code, Code::CONTENT);
    }
}

#[test]
fn after_a_reset_a_request_counts_only_once_it_has_shown_that_it_is_new() {
    let mut before = Rig::new();
    let path = (option::URI_PATH, &b"value"[..]);
    let (captured, _) = before.request(Code::PUT, &[path], b"666", b"t");
    for _ in 0..5 {
        before.get("value");
    }
    let (limit, next) = (before.limit, before.next);
    let mut rig = Rig::at(limit, None);
    rig.next = next;
    // A capture that the node never saw: it may not be carried out now.
    let answer = rig.sends(&captured);
    let got = rig.opens(&answer[0], 0);
    assert_eq!(got.code, Code::UNAUTHORIZED);
    let echo = got.echo.expect("a value to echo");
    assert!(
        got.number.is_some_and(|number| number >= limit),
        "a nonce of its own: the request may be old"
    );
    assert_eq!(rig.app.changes, 0);
    // A wrong value is asked again; the right one opens the window at its own number.
    let wrong = [path, (option::ECHO, &b"12345678"[..])];
    assert_eq!(rig.asks(Code::PUT, &wrong, b"1").code, Code::UNAUTHORIZED);
    let right = [path, (option::ECHO, &echo[..])];
    assert_eq!(rig.asks(Code::PUT, &right, b"1").code, Code::CHANGED);
    assert_eq!(rig.asks(Code::PUT, &[path], b"2").code, Code::CHANGED);
    let mut again = captured.clone();
    again[2] ^= 1;
    assert_eq!(plain(&rig.sends(&again)[0]).0, Code::UNAUTHORIZED);
    assert_eq!((rig.app.changes, rig.app.value), (2, 2));
}

#[test]
fn no_nonce_is_used_for_two_ciphertexts_whatever_happens() {
    let mut seen = BTreeSet::new();
    let mut state = 11u64;
    let mut random = move |below: u64| {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 33) % below
    };
    let (mut limit, mut next) = (0, 0);
    for boot in 0..40 {
        let window = (boot == 0).then(Window::new);
        let mut rig = Rig::at(limit, window);
        rig.next = next;
        let path = (option::URI_PATH, &b"value"[..]);
        let (first, number) = rig.request(Code::GET, &[path], &[], b"f");
        let mut sent = vec![(rig.sends(&first), number)];
        let echo = rig.opens(&sent[0].0[0], number).echo.unwrap_or_default();
        let (registration, observed) = rig.request(
            Code::GET,
            &[
                (option::OBSERVE, &[]),
                (option::URI_PATH, b"value"),
                (option::ECHO, &echo),
            ],
            &[],
            b"o",
        );
        sent.push((rig.sends(&registration), observed));
        for _ in 0..random(60) {
            match random(4) {
                0 => {
                    rig.app.value += 1;
                    rig.server.notify(VALUE);
                    rig.now += 2_000;
                    let mut out = vec![];
                    let mut transmit = |_: u8, datagram: &[u8]| out.push(datagram.to_vec());
                    rig.server.poll(rig.now, &mut rig.app, &mut transmit);
                    sent.push((out, observed));
                }
                1 => rig.reserve(),
                _ => {
                    let (datagram, number) =
                        rig.request(Code::GET, &[(option::URI_PATH, b"value")], &[], b"t");
                    sent.push((rig.sends(&datagram), number));
                    // The same again, and under another message ID.
                    sent.push((rig.sends(&datagram), number));
                    let mut replay = datagram.clone();
                    replay[2] ^= 0x80;
                    sent.push((rig.sends(&replay), number));
                }
            }
        }
        for (datagrams, request) in sent {
            for datagram in datagrams {
                let message = Message::parse(&datagram).unwrap();
                let Some(value) = message.options.get(option::OSCORE) else {
                    continue;
                };
                let own = Compressed::parse(value).unwrap().number();
                // A ciphertext may come twice; two under one nonce may not.
                let nonce = own.map_or((0, request), |own| (1, own));
                seen.insert((nonce, message.payload.to_vec()));
            }
        }
        (limit, next) = (rig.limit, rig.next);
    }
    let nonces: BTreeSet<_> = seen.iter().map(|(nonce, _)| *nonce).collect();
    assert_eq!(nonces.len(), seen.len());
    assert!(seen.len() > 500, "{}", seen.len());
}

#[test]
fn notifications_count_up_and_go_on_after_forged_goodbyes() {
    let mut rig = Rig::new();
    let options = [
        (option::OBSERVE, &[][..]),
        (option::URI_PATH, &b"value"[..]),
    ];
    let (datagram, number) = rig.request(Code::GET, &options, &[], b"o");
    let out = rig.sends(&datagram);
    let first = rig.opens(&out[0], number);
    assert!(first.observe);
    let mut newest = first.number;
    for value in 1..20 {
        rig.app.value = value;
        rig.server.notify(VALUE);
        rig.now += 1_000;
        let mut out = vec![];
        let mut transmit = |_: u8, datagram: &[u8]| out.push(datagram.to_vec());
        rig.server.poll(rig.now, &mut rig.app, &mut transmit);
        rig.reserve();
        for datagram in &out {
            let got = rig.opens(datagram, number);
            assert_eq!(got.payload, value.to_string().as_bytes());
            assert!(got.number > newest, "{:?} after {newest:?}", got.number);
            newest = got.number;
            // RFC 7252 §4.2: it is acknowledged when it is confirmable.
            let message = Message::parse(datagram).unwrap();
            if message.kind == Kind::Con {
                let id = message.id.to_be_bytes();
                rig.sends(&[0x60, 0, id[0], id[1]]);
            }
        }
        // A cancellation that is not protected ends nothing.
        let mut buffer = [0; 64];
        let mut w = Writer::new(
            &mut buffer,
            Kind::Con,
            Code::GET,
            40_000 + value as u16,
            b"o",
        );
        w.option(option::OBSERVE, &[1]);
        w.option(option::URI_PATH, b"value");
        let cancel = w.finish(&[]).unwrap().to_vec();
        rig.sends(&cancel);
        assert_eq!(rig.server.observers(), 1, "after {value}");
    }
    let options = [
        (option::OBSERVE, &[1][..]),
        (option::URI_PATH, &b"value"[..]),
    ];
    let (cancel, _) = rig.request(Code::GET, &options, &[], b"o");
    rig.sends(&cancel);
    assert_eq!(rig.server.observers(), 0);
}

#[test]
fn without_a_reserve_requests_are_answered_and_notifications_wait() {
    let mut stage = Stage::new();
    assert!(stage.set(0, Some(&entry(512, Some(Window::new())))));
    let mut rig = Rig::new();
    rig.server = Server::with(7, stage);
    rig.server.trust(|_| true);
    assert_eq!(rig.get("value").code, Code::CONTENT);
    let options = [
        (option::OBSERVE, &[][..]),
        (option::URI_PATH, &b"value"[..]),
    ];
    // Whoever would be told of nothing is told that.
    assert_eq!(
        rig.asks(Code::GET, &options, &[]).code,
        Code::SERVICE_UNAVAILABLE
    );
    assert_eq!(rig.server.observers(), 0);
    // One number, which the response takes that begins an observation: what is to be told waits for more.
    rig.server.security().reserved(0, 513);
    assert_eq!(rig.asks(Code::GET, &options, &[]).code, Code::CONTENT);
    assert_eq!(rig.server.observers(), 1);
    rig.app.value = 7;
    rig.server.notify(VALUE);
    rig.now += 1_000;
    let mut out = vec![];
    let mut transmit = |_: u8, datagram: &[u8]| out.push(datagram.to_vec());
    rig.server.poll(rig.now, &mut rig.app, &mut transmit);
    assert!(out.is_empty());
    assert!(rig.server.security().counters().starved > 0);
}

#[test]
fn without_a_reserve_an_answer_that_comes_later_is_not_lost() {
    let mut stage = Stage::new();
    assert!(stage.set(0, Some(&entry(512, Some(Window::new())))));
    let mut rig = Rig::new();
    rig.server = Server::with(7, stage);
    rig.server.trust(|_| true);
    let (datagram, number) = rig.request(Code::GET, &[(option::URI_PATH, b"slow")], &[], b"t");
    assert!(rig.sends(&datagram).is_empty());
    rig.now += 1_000;
    let mut out = vec![];
    let mut transmit = |_: u8, datagram: &[u8]| out.push(datagram.to_vec());
    rig.server.poll(rig.now, &mut rig.app, &mut transmit);
    rig.server.complete(
        rig.now,
        SLOW,
        |response| response.write(b"late"),
        &mut transmit,
    );
    let kinds: Vec<_> = out
        .iter()
        .map(|d| Message::parse(d).unwrap().kind)
        .collect();
    assert_eq!(kinds, [Kind::Ack, Kind::Con]);
    let got = rig.opens(&out[1], number);
    assert_eq!((&got.payload[..], got.number), (&b"late"[..], None));
    // It goes out again as it was until it is acknowledged, and a replay of the request gets no other under its nonce.
    rig.now += 3_100;
    let mut again = vec![];
    let mut transmit = |_: u8, datagram: &[u8]| again.push(datagram.to_vec());
    rig.server.poll(rig.now, &mut rig.app, &mut transmit);
    assert_eq!(again, out[1..]);
    let mut replay = datagram;
    replay[2] ^= 0x80;
    assert_eq!(plain(&rig.sends(&replay)[0]).0, Code::UNAUTHORIZED);
}

#[test]
fn contexts_that_could_not_be_told_apart_are_refused() {
    let mut stage = Stage::new();
    let one = entry(0, None);
    assert!(stage.set(0, Some(&one)));
    assert!(!stage.set(1, Some(&one)), "the same recipient twice");
    assert!(stage.set(0, Some(&one)), "in its own place it is replaced");
    assert!(!stage.set(8, Some(&one)), "no such place");
    let mut same = one;
    same.material.sender = same.material.recipient;
    assert!(!stage.set(2, Some(&same)), "ends need different IDs");
    let mut other = one;
    other.material.id_context = Some(b"elsewhere");
    assert!(!stage.set(1, Some(&other)), "an ID Context of nine bytes");
    other.material.id_context = Some(b"else");
    assert!(
        stage.set(1, Some(&other)),
        "another ID Context tells them apart"
    );
    assert!(stage.set(0, None) && stage.set(1, None) && stage.is_empty());
}

/// A stage that demands freshness of whatever changes something.
fn demanding() -> Rig {
    let mut rig = Rig::new();
    rig.server.security().seed(5);
    rig.server.security().demand();
    rig
}

#[test]
fn what_changes_something_is_not_carried_out_late() {
    let mut rig = demanding();
    let path = (option::URI_PATH, &b"value"[..]);
    // Reading needs nothing.
    assert_eq!(rig.get("value").code, Code::CONTENT);
    let asked = rig.asks(Code::PUT, &[path], b"1");
    assert_eq!((asked.code, rig.app.changes), (Code::UNAUTHORIZED, 0));
    let echo = asked.echo.expect("a value to echo");
    let right = [path, (option::ECHO, &echo[..])];
    assert_eq!(rig.asks(Code::PUT, &right, b"2").code, Code::CHANGED);
    // Protected twice with the same value: held back by somebody on the way, one for a short time and one for long.
    let (soon, at) = rig.request(Code::PUT, &right, b"3", b"s");
    let (late, then) = rig.request(Code::PUT, &right, b"4", b"l");
    rig.now += ECHO_PERIOD;
    let answer = rig.sends(&soon);
    assert_eq!(rig.opens(&answer[0], at).code, Code::CHANGED);
    rig.now += ECHO_PERIOD;
    let answer = rig.sends(&late);
    assert_eq!(rig.opens(&answer[0], then).code, Code::UNAUTHORIZED);
    assert_eq!((rig.app.changes, rig.app.value), (2, 3));
}

#[test]
fn who_is_asked_to_echo_may_repeat_the_request_and_is_told_the_same() {
    let mut rig = demanding();
    let path = (option::URI_PATH, &b"value"[..]);
    let (request, _) = rig.request(Code::PUT, &[path], b"1", b"r");
    let first = rig.sends(&request);
    assert_eq!(first.len(), 1);
    assert_eq!(rig.sends(&request), first, "the ciphertext of before");
    assert_eq!(rig.app.changes, 0);
}

#[test]
fn a_key_that_has_encrypted_almost_as_much_as_it_may_is_worn() {
    let mut rig = Rig::new();
    assert_eq!(rig.get("value").code, Code::CONTENT);
    assert!(!rig.server.security().is_worn(3));
    rig.next = ENCRYPTIONS - 1;
    assert_eq!(rig.get("value").code, Code::CONTENT);
    assert!(rig.server.security().is_worn(3));
    // It goes on working: whoever forges must not be able to lock the owner out.
    assert_eq!(rig.get("value").code, Code::CONTENT);
}
