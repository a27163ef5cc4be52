//! Key exchanges with a node (RFC 9528): who comes to which context, what a power cut leaves, and what strangers can do to it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod rig;

use minicbor::data::Type;
use rig::holder::Holder;
use rig::initiator::{Handshake, Person, own};
use rig::{Memory, Rig, STRANGERS, TEARS};
use wasmote_coap::{Code, option};
use wasmote_node::Provision;
use wasmote_node::contract::Right;
use wasmote_node::package::Initiator;

const READ: u8 = Right::Read as u8;
const ALL: u8 = READ | Right::Operate as u8 | Right::Install as u8 | Right::Admin as u8;

/// An administrator who has the context at place 0, and somebody who may read.
const ADMIN: Person = Person(0x11);
const READER: Person = Person(0x12);
/// Error messages (RFC 9528 §6).
const UNKNOWN: &[u8] = b"\x03\xf5";
const FORGED: &[u8] = b"\x01\x73verification failed";
const MALFORMED: &[u8] = b"\x01\x69malformed";

/// The 19 bytes of a context.
fn key(secret: u8, peer: u8, flags: u8) -> [u8; 19] {
    let mut bytes = [secret; 19];
    bytes[16..].copy_from_slice(&[peer, 0x80 | peer, flags]);
    bytes
}

fn provision(keys: &[[u8; 19]], known: &[Initiator]) -> Provision {
    let mut provision = Provision {
        contexts: keys.concat().leak(),
        generation: 7,
        identity: Some(own()),
        ..Provision::default()
    };
    provision.initiators.extend_from_slice(known).unwrap();
    provision.keys.push(rig::vectors().keys[0]).unwrap();
    provision
}

/// As `wasmote provision` makes it, with somebody else who is known.
fn usual() -> Provision {
    provision(
        &[key(1, 0x51, ALL)],
        &[ADMIN.known(ALL, Some(0)), READER.known(READ, None)],
    )
}

fn node(memory: &Memory) -> Rig {
    Rig::provisioned(memory, usual())
}

/// The places of contexts, as the node lists them.
fn places(holder: &mut Holder, node: &mut Rig) -> Vec<u64> {
    let (_, code, payload) = holder.asks(node, Code::GET, "keys", b"");
    assert_eq!(code, Code::CONTENT);
    let mut decoder = minicbor::Decoder::new(&payload);
    let mut places = vec![];
    // Its lists have no lengths in front.
    assert_eq!(decoder.map().unwrap(), None);
    while decoder.datatype().unwrap() != Type::Break {
        if decoder.str().unwrap() == "place" {
            places.extend(decoder.array_iter::<u64>().unwrap().map(Result::unwrap));
        } else {
            decoder.skip().unwrap();
        }
    }
    places
}

/// A node, and somebody who has had a context with it before.
fn met() -> (Memory, Rig, Holder) {
    let memory = Memory::new();
    let mut node = node(&memory);
    let mut old = Holder::of(&key(1, 0x51, ALL));
    let got = old.asks(&mut node, Code::GET, "stats", b"");
    assert_eq!(got.1, Code::CONTENT);
    (memory, node, old)
}

#[test]
fn an_exchange_takes_the_place_of_what_its_initiator_had_once_it_was_used() {
    let (memory, mut node, mut old) = met();
    // IDs of the initiator's choice: an integer, another byte, none, and the longest.
    for (number, c_i) in [&[0x0e][..], &[0x99], &[], &[9; 7]].into_iter().enumerate() {
        let mut new = node.agree(ADMIN, 3 + 2 * number as u8, c_i).unwrap();
        assert_eq!(
            places(&mut old, &mut node).len(),
            2,
            "{number}: both are there"
        );
        assert_eq!(
            new.asks(&mut node, Code::GET, "stats", b"").1,
            Code::CONTENT
        );
        node.wait(3_000);
        assert!(
            !old.asks(&mut node, Code::GET, "stats", b"").0,
            "the old one is gone"
        );
        // It is there after a reset, with the rights of the record.
        let mut again = self::node(&memory);
        assert_eq!(places(&mut new, &mut again).len(), 1);
        (node, old) = (again, new);
    }
    // What follows by hand is his, too: with it his key is withdrawn, but not of the last who may give contexts away.
    let refused = old.asks(&mut node, Code::DELETE, "keys/0", b"").1;
    assert_eq!(refused, Code::CONFLICT);
}

#[test]
fn whoever_is_known_comes_to_the_rights_of_the_record_and_nobody_else_to_any() {
    let memory = Memory::new();
    let mut node = node(&memory);
    let mut reader = node.agree(READER, 3, &[1]).unwrap();
    assert_eq!(
        reader.asks(&mut node, Code::GET, "stats", b"").1,
        Code::CONTENT
    );
    assert_eq!(
        reader.asks(&mut node, Code::PUT, "time", b"5").1,
        Code::FORBIDDEN
    );
    assert_eq!(
        reader.asks(&mut node, Code::GET, "keys", b"").1,
        Code::FORBIDDEN
    );
    let refused = node.agree(Person(0x33), 5, &[1]).err().unwrap();
    assert_eq!((refused.0, &refused.1[..]), (Code::BAD_REQUEST, UNKNOWN));
    // Both are there after a reset.
    let mut node = self::node(&memory);
    assert_eq!(
        reader.asks(&mut node, Code::GET, "stats", b"").1,
        Code::CONTENT
    );
    let mut admin = Holder::of(&key(1, 0x51, ALL));
    assert_eq!(places(&mut admin, &mut node), [0, 1]);
    // With his context the administrator withdraws his key, for good.
    assert_eq!(
        admin.asks(&mut node, Code::DELETE, "keys/1", b"").1,
        Code::DELETED
    );
    for _ in 0..2 {
        let refused = node.agree(READER, 7, &[1]).err().unwrap();
        assert_eq!((refused.0, &refused.1[..]), (Code::BAD_REQUEST, UNKNOWN));
        assert!(!reader.asks(&mut node, Code::GET, "stats", b"").0);
        node = self::node(&memory);
    }
    // Until the node is provisioned anew.
    let mut anew = usual();
    anew.generation = 8;
    let mut node = Rig::provisioned(&memory, anew);
    assert!(node.agree(READER, 9, &[1]).is_ok());
}

#[test]
fn a_node_that_nobody_has_a_context_with_is_its_administrators_who_exchanges_keys() {
    let memory = Memory::new();
    let given = || provision(&[], &[ADMIN.known(ALL, None), READER.known(READ, None)]);
    let mut node = Rig::provisioned(&memory, given());
    assert_eq!(node.json("node")["security"], "secured");
    // Nobody takes it over the cable.
    let claimed = node.request(Code::PUT, "keys/0", &[], &key(9, 9, ALL)).0;
    assert_eq!(claimed, Code::UNAUTHORIZED);
    let mut reader = node.agree(READER, 3, &[1]).unwrap();
    let mut admin = node.agree(ADMIN, 5, &[2]).unwrap();
    assert_eq!(places(&mut admin, &mut node), [0, 1]);
    assert_eq!(
        reader.asks(&mut node, Code::GET, "stats", b"").1,
        Code::CONTENT
    );
}

#[test]
fn without_a_key_of_its_own_or_without_random_numbers_a_node_exchanges_none() {
    let mut plain = usual();
    plain.identity = None;
    let mut node = Rig::provisioned(&Memory::new(), plain);
    let refused = node.agree(ADMIN, 3, &[1]).err().unwrap();
    assert_eq!(refused.0, Code::NOT_FOUND);
    let mut node = self::node(&Memory::new());
    node.random(false);
    let refused = node.agree(ADMIN, 3, &[1]).err().unwrap();
    assert_eq!(refused.0, Code::INTERNAL_SERVER_ERROR);
    // That kept nobody's place.
    node.random(true);
    assert!(node.agree(ADMIN, 5, &[1]).is_ok());
}

#[test]
fn wherever_power_is_cut_somebody_gets_in_and_no_number_comes_twice() {
    // How many changes of flash there are from message_3 to the end of the old context.
    let work = |node: &mut Rig, old: &mut Holder| -> Option<Holder> {
        let mut handshake = Handshake::begin(ADMIN, 3, &[0x0e]);
        let said = node.hand(&handshake.first())?;
        handshake.take(&said.1);
        let said = node.hand(&handshake.third());
        let mut new = handshake.holder(None);
        if said.is_some() {
            let _ = new.tries(node, Code::GET, "stats", b"");
            node.wait(3_000);
        }
        let _ = old.tries(node, Code::GET, "stats", b"");
        Some(new)
    };
    let (memory, mut whole, mut old) = met();
    let before = memory.asked.get();
    work(&mut whole, &mut old);
    let changes = memory.asked.get() - before;
    assert!(changes > 10, "{changes}");
    let mut cuts = 0;
    for left in 1..=changes {
        for tear in TEARS {
            let (memory, mut cut, mut old) = met();
            memory.tear.set(tear);
            memory.left.set(left);
            let new = work(&mut cut, &mut old);
            memory.left.set(u64::MAX);
            let mut node = self::node(&memory);
            let mut inside = 0;
            // The holders remember each number of the node's that they have seen.
            for holder in new
                .iter()
                .cloned()
                .chain([old])
                .collect::<Vec<_>>()
                .iter_mut()
            {
                holder.next += 5;
                inside += usize::from(holder.asks(&mut node, Code::GET, "stats", b"").0);
                node.wait(3_000);
            }
            assert!(inside > 0, "cut at {left} ({tear:?}): nobody gets in");
            // And he exchanges keys again.
            let mut again = node.agree(ADMIN, 0x55, &[0x0f]).unwrap();
            assert_eq!(
                again.asks(&mut node, Code::GET, "keys", b"").1,
                Code::CONTENT
            );
            cuts += 1;
        }
    }
    rig::tell(format_args!("power was cut {cuts} times in a key exchange"));
    assert_eq!(memory.violations.get(), 0);
}

#[test]
fn a_place_whose_context_went_for_its_successor_is_given_to_nobody_before_that_one_stands() {
    // Between the two changes of flash, the removal and the settling, there is a moment that somebody else could take, and a cut too.
    for cut in [false, true] {
        for left in 0..40 {
            let (memory, mut node, _) = met();
            let mut new = node.agree(ADMIN, 3, &[0x0e]).unwrap();
            memory.left.set(if cut { left } else { u64::MAX });
            let used = new.asks(&mut node, Code::GET, "stats", b"");
            node.wait(left);
            memory.left.set(u64::MAX);
            if cut {
                node = self::node(&memory);
                new.next += 5;
            }
            // Who reads is given a place, which stays his whatever becomes of the others.
            let came = node.agree(READER, 5, &[0x0f]);
            let mut reader = came.unwrap_or_else(|said| panic!("cut {cut}, {left}: {said:?}"));
            let tried = format!("cut {cut}, {left} operations, used {}", used.0);
            for _ in 0..3 {
                new.asks(&mut node, Code::GET, "stats", b"");
                node.wait(3_000);
            }
            assert!(reader.asks(&mut node, Code::GET, "stats", b"").0, "{tried}");
            let mut node = self::node(&memory);
            reader.next += 5;
            assert!(
                reader.asks(&mut node, Code::GET, "stats", b"").0,
                "{tried}, reset"
            );
        }
    }
}

#[test]
fn a_module_waits_for_one_step_of_an_exchange_at_most_and_loses_no_sample() {
    let running = || {
        let memory = Memory::new();
        let mut provision = usual();
        provision.open = true;
        let mut node = Rig::provisioned(&memory, provision);
        let pushed = node.push(rig::vectors().named("first")).0;
        assert_eq!(pushed, Code::CHANGED);
        // Beyond its trial nothing is written to flash.
        node.feed(20);
        (memory, node)
    };
    let idle = running().1.steps_until(7.0, "7");
    let (mut most, mut tried) = (0, 0);
    for third in [false, true] {
        // A sample before each step that there is, and behind the last.
        for before in 0..10 {
            let (_memory, mut node) = running();
            let mut handshake = Handshake::begin(ADMIN, 3, &[1]);
            if third {
                let said = node.hand(&handshake.first()).unwrap();
                handshake.take(&said.1);
                node.put_message(&handshake.third());
            } else {
                node.put_message(&handshake.first());
            }
            node.hold(before);
            let steps = node.steps_until(9.0, "9");
            // Behind message_3 a context and its numbers go to flash, a step each, as with every change of a context.
            let writes = if third { 2 } else { 0 };
            assert!(
                steps <= idle + 1 + writes,
                "{steps} steps and not {idle}, {before} steps into an exchange ({third})"
            );
            if !third {
                most = most.max(steps);
            }
            tried += 1;
        }
    }
    // With each step another sample: each has its turn, and the exchange goes on between them.
    let (_memory, mut node) = running();
    let handshake = Handshake::begin(ADMIN, 3, &[1]);
    node.put_message(&handshake.first());
    for value in 30..60_u8 {
        let steps = node.steps_until(value.into(), &value.to_string());
        assert!(steps <= idle + 1, "{steps} steps for {value}");
    }
    assert_eq!(node.json("stats")["samples_dropped"], 0);
    rig::tell(format_args!(
        "a module waits {idle} steps for a sample's turn, {most} in {tried} places of a key exchange"
    ));
    assert_eq!(most, idle + 1, "an exchange was under way");
}

#[test]
fn strangers_show_where_they_are_before_anything_is_computed() {
    let mut node = node(&Memory::new());
    node.peer = STRANGERS;
    let handshake = Handshake::begin(ADMIN, 3, &[1]);
    for message in [&handshake.first()[..], b"\xf5", b"", b"\x00\x40"] {
        let (code, payload, _) = node.hand(message).unwrap();
        assert_eq!(
            (code, payload.len()),
            (Code::UNAUTHORIZED, 0),
            "{message:?}"
        );
    }
    // The place is free.
    node.peer = 1;
    assert!(node.agree(ADMIN, 5, &[1]).is_ok());
}

#[test]
fn what_is_no_message_is_refused_and_takes_nobodys_place() {
    let mut node = node(&Memory::new());
    let mut handshake = Handshake::begin(ADMIN, 3, &[1]);
    let first = handshake.first();
    let said = node.hand(&first).unwrap();
    handshake.take(&said.1);
    let third = handshake.third();
    node.peer = 2;
    let mut tried = 0;
    let mut refused = |message: &[u8]| {
        let (code, _, _) = node.hand(message).unwrap();
        assert!(
            code.class() == 4 || code == Code::SERVICE_UNAVAILABLE,
            "{message:x?}: {code}"
        );
        tried += 1;
        node.wait(60);
        assert_eq!(node.peer, 2);
    };
    for length in 0..first.len() {
        refused(&first[..length]);
    }
    for message in [
        &b"\xf5\x03\x02"[..],
        b"\xf4",
        b"\xa0",
        &[0xff; 300],
        &[&third[..], &[0]].concat(),
        // Another's message_3, from another place: as if there were none.
        &third,
    ] {
        refused(message);
    }
    assert!(tried > 40);
    // His goes on meanwhile.
    node.peer = 1;
    let (code, message_4, _) = node.hand(&third).unwrap();
    assert_eq!(code, Code::CHANGED);
    let mut holder = handshake.holder(Some(&message_4));
    assert_eq!(
        holder.asks(&mut node, Code::GET, "stats", b"").1,
        Code::CONTENT
    );
    // Once: the same again belongs to nothing.
    let (code, payload, _) = node.hand(&third).unwrap();
    assert_eq!((code, &payload[..]), (Code::BAD_REQUEST, MALFORMED));
}

#[test]
fn a_forged_message_ends_its_own_exchange_only() {
    let memory = Memory::new();
    let mut node = node(&memory);
    let asked = memory.asked.get();
    for at in 1..4 {
        let mut handshake = Handshake::begin(ADMIN, 3, &[1]);
        let said = node.hand(&handshake.first()).unwrap();
        handshake.take(&said.1);
        let mut third = handshake.third();
        let last = third.len() - at;
        third[last] ^= 0x40;
        let (code, payload, _) = node.hand(&third).unwrap();
        assert_eq!((code, &payload[..]), (Code::BAD_REQUEST, FORGED));
        // The true one comes too late.
        let (code, ..) = node.hand(&handshake.third()).unwrap();
        assert_eq!(code, Code::BAD_REQUEST);
        node.wait(60_000);
    }
    assert_eq!(
        memory.asked.get(),
        asked,
        "flash is written for nobody of them"
    );
    assert!(node.agree(ADMIN, 5, &[1]).is_ok());
}

#[test]
fn a_stranger_who_begins_and_never_goes_on_keeps_nobody_out() {
    let mut node = node(&Memory::new());
    let hostile = Handshake::begin(Person(0x66), 9, &[1]).first();
    let (mut held, mut came, mut longest) = (0, 0, 0);
    let (mut again, mut waited) = (0, 0);
    // For twenty minutes he begins as often as he can, each second before the other, who comes when he is told to.
    for second in 0..1_200 {
        node.peer = 7;
        for _ in 0..5 {
            let (code, _, age) = node.hand(&hostile).unwrap();
            held += usize::from(code == Code::CHANGED);
            assert!(code == Code::CHANGED || code == Code::SERVICE_UNAVAILABLE && age > 0);
        }
        node.peer = 1;
        if second >= again {
            match node.agree(ADMIN, 3, &[2]) {
                Ok(_) => {
                    came += 1;
                    longest = longest.max(waited);
                    (again, waited) = (second + 10, 0);
                }
                Err((code, _, age)) => {
                    assert_eq!(code, Code::SERVICE_UNAVAILABLE);
                    assert!((1..=20).contains(&age), "{age}");
                    again = second + age;
                    waited += age;
                }
            }
        }
        node.wait(1_000);
    }
    rig::tell(format_args!(
        "a stranger began {held} key exchanges in twenty minutes; another came to {came} contexts meanwhile, and waited {longest} s at most"
    ));
    // Three at once in the beginning, then one in two minutes.
    assert!(held <= 13, "{held}");
    assert!(came >= 80 && longest <= 65, "{came}, {longest} s");
}

#[test]
fn whoever_may_not_give_contexts_away_wears_no_flash() {
    let memory = Memory::new();
    let mut node = node(&memory);
    let mut came = 0;
    // Six hours of it.
    for minute in 0..360 {
        match node.agree(READER, 1 | (minute as u8) << 1, &[1]) {
            Ok(mut holder) => {
                came += 1;
                assert_eq!(
                    holder.asks(&mut node, Code::GET, "stats", b"").1,
                    Code::CONTENT
                );
            }
            Err((code, _, age)) => {
                assert_eq!(code, Code::SERVICE_UNAVAILABLE);
                assert!(age > 0);
            }
        }
        node.wait(60_000);
    }
    assert!((9..=11).contains(&came), "{came}");
    // How long it takes until there is another is said, to a minute of it: turns for beginning one have come back meanwhile.
    node.wait(480_000);
    let refused = |node: &mut Rig, number| node.agree(READER, number, &[1]).err();
    while node.agree(READER, 0x61, &[1]).is_ok() {}
    let (code, why, age) = refused(&mut node, 0x63).unwrap();
    assert_eq!(code, Code::SERVICE_UNAVAILABLE);
    let expected = format!("too many key exchanges: try again in {age} s");
    assert_eq!(String::from_utf8(why).unwrap(), expected);
    assert!(age > 600, "{age}");
    node.wait((u64::from(age) - 60) * 1_000);
    let (_, why, left) = refused(&mut node, 0x65).unwrap();
    assert!(why.starts_with(b"too many key exchanges"));
    assert!((50..=60).contains(&left), "{left}");
    node.wait(u64::from(left) * 1_000);
    assert!(refused(&mut node, 0x67).is_none());
    // Who may, does.
    for number in 0..8 {
        let mut holder = node.agree(ADMIN, 3 + 2 * number, &[2]).unwrap();
        assert_eq!(
            holder.asks(&mut node, Code::GET, "keys", b"").1,
            Code::CONTENT
        );
        node.wait(3_000);
    }
}

#[test]
fn the_last_place_is_for_a_successor_and_an_administrators_always_has_room() {
    // Six others beside the administrator.
    let mut keys = vec![key(1, 0x51, ALL)];
    keys.extend((2..8).map(|n| key(n, 0x50 + n, READ)));
    let known = [ADMIN.known(ALL, Some(0)), READER.known(READ, None)];
    let mut node = Rig::provisioned(&Memory::new(), provision(&keys, &known));
    let refused = node.agree(READER, 3, &[1]).err().unwrap();
    assert_eq!(refused.0, Code::CONFLICT);
    for number in 0..3 {
        let mut admin = node.agree(ADMIN, 5 + 2 * number, &[1]).unwrap();
        assert_eq!(places(&mut admin, &mut node).len(), 8);
        node.wait(3_000);
        assert_eq!(places(&mut admin, &mut node).len(), 7);
    }
    // Everybody who can comes by a key exchange: each has his, and the administrator refreshes his.
    let all = [
        ADMIN.known(ALL, Some(0)),
        READER.known(READ, None),
        Person(0x13).known(READ, None),
        Person(0x14).known(READ, None),
    ];
    let memory = Memory::new();
    let mut node = Rig::provisioned(&memory, provision(&keys[..1], &all));
    let mut admin = node.agree(ADMIN, 3, &[1]).unwrap();
    assert_eq!(
        admin.asks(&mut node, Code::GET, "keys", b"").1,
        Code::CONTENT
    );
    node.wait(3_000);
    for round in 0..2 {
        for who in [READER, Person(0x13), Person(0x14)] {
            // The second time nobody uses what he came to.
            let came = node.agree(who, 5 + 2 * who.0, &[1]);
            assert!(came.is_ok() || round == 1);
        }
    }
    for number in 0..3 {
        admin = node.agree(ADMIN, 0x81 + 2 * number, &[1]).unwrap();
        assert_eq!(
            admin.asks(&mut node, Code::GET, "keys", b"").1,
            Code::CONTENT
        );
        node.wait(3_000);
    }
    let mut node = Rig::provisioned(&memory, provision(&keys[..1], &all));
    assert_eq!(
        admin.asks(&mut node, Code::GET, "keys", b"").1,
        Code::CONTENT
    );
}

#[test]
fn an_initiator_comes_to_four_contexts_at_once_and_then_to_one_an_hour() {
    let mut node = node(&Memory::new());
    for number in 0..4 {
        let mut holder = node.agree(READER, 1 + 2 * number, &[1]).expect("a context");
        let (_, code, _) = holder.asks(&mut node, Code::GET, "stats", b"");
        assert_eq!(code, Code::CONTENT);
    }
    let (code, why, age) = node.agree(READER, 0x21, &[1]).err().unwrap();
    assert_eq!(code, Code::SERVICE_UNAVAILABLE);
    assert!(why.starts_with(b"too many key exchanges"));
    assert!((3_500..=3_600).contains(&age), "{age}");
}

#[test]
fn whoever_began_may_begin_anew_and_others_wait_for_him() {
    let mut node = node(&Memory::new());
    let mut hands = |peer, handshake: &Handshake| {
        node.peer = peer;
        node.hand(&handshake.first()).expect("an answer")
    };
    let [first, mut second, other] = [1, 3, 5].map(|n| Handshake::begin(READER, n, &[n]));
    assert_eq!(hands(1, &first).0, Code::CHANGED);
    let (code, _, age) = hands(2, &other);
    assert_eq!(code, Code::SERVICE_UNAVAILABLE);
    assert!((15..=20).contains(&age), "{age}");
    // His first one is over with that, and the second goes on.
    let (code, message_2, _) = hands(1, &second);
    assert_eq!(code, Code::CHANGED);
    assert_eq!(hands(2, &other).0, Code::SERVICE_UNAVAILABLE);
    second.take(&message_2);
    node.peer = 1;
    let (code, message_4, _) = node.hand(&second.third()).expect("an answer");
    assert_eq!(code, Code::CHANGED);
    let mut holder = second.holder(Some(&message_4));
    let (_, code, _) = holder.asks(&mut node, Code::GET, "stats", b"");
    assert_eq!(code, Code::CONTENT);
}

#[test]
fn a_message_is_one_block() {
    let mut node = node(&Memory::new());
    let message = Handshake::begin(READER, 1, &[1]).first();
    // Number, whether more follow, size (RFC 7959 §2.2): in one block, and parts of sixteen bytes.
    for (block, part) in [
        (0x06, &message[..]),
        (0x08, &message[..16]),
        (0x18, &message[16..32]),
        (0x20, &message[32..]),
    ] {
        let whole = part.len() == message.len();
        let options = [
            (option::CONTENT_FORMAT, vec![65]),
            (option::BLOCK1, vec![block]),
        ];
        let (code, _) = node.request(Code::POST, ".well-known/edhoc", &options, part);
        let expected = [Code::CHANGED, Code::SERVICE_UNAVAILABLE];
        assert_eq!(expected.contains(&code), whole, "{block:#x}: {code}");
        if !whole {
            let refused = [
                Code::REQUEST_ENTITY_TOO_LARGE,
                Code::REQUEST_ENTITY_INCOMPLETE,
            ];
            assert!(refused.contains(&code), "{block:#x}: {code}");
        }
    }
}

/// Somebody's exchange and an administrator's change of the contexts at once.
struct Both {
    memory: Memory,
    node: Rig,
    /// What the change was answered with, and the exchange; and the context of that one.
    change: Code,
    exchange: (Code, Vec<u8>),
    came: Holder,
}

impl Both {
    /// The change comes to the Server when it has seen so many steps of the Runner after message_3, and the Runner has done so many
    /// others; and so many more are done before the Server looks again.
    fn at(
        (memory, mut node): (Memory, Rig),
        (admin, code, path, payload): (&mut Holder, Code, &str, &[u8]),
        who: Person,
        (seen, unseen, behind): (u32, u32, u32),
    ) -> Self {
        let (_, echo) = admin.once(&mut node, code, path, &[], payload);
        assert!(!echo.is_empty());
        let mut handshake = Handshake::begin(who, 0x21, &[0x77]);
        let said = node.hand(&handshake.first()).unwrap();
        handshake.take(&said.1);
        let token = node.put_message(&handshake.third());
        let mut answers = vec![];
        for _ in 0..seen {
            node.hold(1);
            answers.extend(node.turn());
        }
        node.hold(unseen);
        let (datagram, mut number) = admin.request(code, path, &echo, payload);
        answers.extend(node.hears(&datagram));
        node.hold(behind);
        answers.extend(node.settle());
        let (code_3, message_4, _) = node.said(&answers, &token).unwrap();
        let mut answer = node.answer(&answers, b"t").unwrap();
        let mut got = admin.opens(&answer, number).0;
        // The node was busy with the other.
        if got.1 == Code::SERVICE_UNAVAILABLE {
            let again;
            (again, number) = admin.request(code, path, &echo, payload);
            let answers = node.datagram(&again);
            answer = node.answer(&answers, b"t").unwrap();
            got = admin.opens(&answer, number).0;
        }
        assert!(got.0, "the change is answered");
        let message_4_is = (code_3 == Code::CHANGED).then_some(&message_4[..]);
        let came = handshake.holder(message_4_is);
        Self {
            memory,
            node,
            change: got.1,
            exchange: (code_3, message_4),
            came,
        }
    }

    /// The places that are taken now, which are the same after a reset.
    fn places(&mut self, admin: &mut Holder) -> Vec<u64> {
        let now = places(admin, &mut self.node);
        self.node = node(&self.memory);
        assert_eq!(places(admin, &mut self.node), now, "after a reset");
        now
    }

    fn lets_in(&mut self, holder: &mut Holder) -> bool {
        let (protected, code, _) = holder.asks(&mut self.node, Code::GET, "stats", b"");
        protected && code == Code::CONTENT
    }
}

/// Every moment that the two can meet at.
fn moments() -> impl Iterator<Item = (u32, u32, u32)> {
    (0..10).flat_map(|seen| {
        (0..6).flat_map(move |unseen| (0..3).map(move |behind| (seen, unseen, behind)))
    })
}

#[test]
fn a_change_of_contexts_and_an_exchange_at_once_wait_for_each_other() {
    // How often which of them was first.
    let (mut change_first, mut exchange_first) = ([0; 3], [0; 3]);
    for moment in moments() {
        // One comes: the next place is that of whoever was first.
        let (memory, node, mut admin) = met();
        let given = key(2, 0x52, READ);
        let put = (&mut admin, Code::PUT, "keys/1", &given[..]);
        let mut both = Both::at((memory, node), put, READER, moment);
        assert_eq!(both.exchange.0, Code::CHANGED, "{moment:?}");
        let first = both.change == Code::CHANGED;
        let expected: &[u64] = if first {
            change_first[0] += 1;
            &[0, 1, 2]
        } else {
            exchange_first[0] += 1;
            assert_eq!(both.change, Code::CONFLICT, "{moment:?}");
            &[0, 1]
        };
        let (mut came, mut other) = (both.came.clone(), Holder::of(&given));
        assert!(both.lets_in(&mut came), "{moment:?}");
        assert_eq!(both.lets_in(&mut other), first, "{moment:?}");
        assert_eq!(both.places(&mut admin), expected, "{moment:?}");
        assert!(both.lets_in(&mut came), "{moment:?}");
        assert_eq!(both.lets_in(&mut other), first, "{moment:?}");

        // One goes: its place is free for the exchange as soon as it has gone, and not before.
        let (memory, mut node, mut admin) = met();
        let code = admin.asks(&mut node, Code::PUT, "keys/1", &given).1;
        assert_eq!(code, Code::CHANGED);
        let delete = (&mut admin, Code::DELETE, "keys/1", &[][..]);
        let mut both = Both::at((memory, node), delete, READER, moment);
        let codes = (both.change, both.exchange.0);
        assert_eq!(codes, (Code::DELETED, Code::CHANGED), "{moment:?}");
        let (mut came, mut other) = (both.came.clone(), Holder::of(&given));
        assert!(both.lets_in(&mut came), "{moment:?}");
        assert!(!both.lets_in(&mut other), "{moment:?}");
        let places = both.places(&mut admin);
        match places[..] {
            [0, 1] => change_first[1] += 1,
            [0, 2] => exchange_first[1] += 1,
            _ => panic!("{moment:?}: {places:?}"),
        }
        assert!(both.lets_in(&mut came), "{moment:?}");

        // A key is withdrawn while its owner exchanges keys: he comes to nothing, or the new one has to be removed first.
        let (memory, mut node, mut admin) = met();
        let mut reader = node.agree(READER, 3, &[0x0e]).unwrap();
        assert!(reader.asks(&mut node, Code::GET, "stats", b"").0);
        let revoke = (&mut admin, Code::DELETE, "keys/1", &[][..]);
        let mut both = Both::at((memory, node), revoke, READER, moment);
        let mut came = both.came.clone();
        if both.change == Code::DELETED {
            change_first[2] += 1;
            let refused = (Code::BAD_REQUEST, UNKNOWN.to_vec());
            assert_eq!(both.exchange, refused, "{moment:?}");
            assert!(!both.lets_in(&mut reader), "{moment:?}");
            assert_eq!(both.places(&mut admin), [0], "{moment:?}");
            assert!(!both.lets_in(&mut came), "{moment:?}");
        } else {
            exchange_first[2] += 1;
            let codes = (both.change, both.exchange.0);
            assert_eq!(codes, (Code::CONFLICT, Code::CHANGED), "{moment:?}");
            assert_eq!(both.places(&mut admin), [0, 1, 2], "{moment:?}");
            assert!(both.lets_in(&mut came), "{moment:?}");
            both.node.wait(3_000);
            assert_eq!(both.places(&mut admin), [0, 2], "{moment:?}");
        }
    }
    rig::tell(format_args!(
        "a change of contexts met a key exchange: {change_first:?} times it was first, {exchange_first:?} times second"
    ));
    let both = change_first.iter().zip(&exchange_first);
    assert!(both.into_iter().all(|(a, b)| *a > 5 && *b > 5));
}

#[test]
fn of_a_rotation_and_an_exchange_at_once_one_succeeds_its_administrator_and_the_other_is_gone() {
    let mut first = [0; 2];
    for moment in moments() {
        let (memory, node, mut admin) = met();
        let given = key(2, 0x52, 0x80 | ALL);
        let rotate = (&mut admin, Code::PUT, "keys/1", &given[..]);
        let mut both = Both::at((memory, node), rotate, ADMIN, moment);
        let codes = (both.change, both.exchange.0);
        assert_eq!(codes, (Code::CHANGED, Code::CHANGED), "{moment:?}");
        // Nobody has used either: the old one is there, and the later one waits to succeed it.
        assert_eq!(both.places(&mut admin), [0, 1], "{moment:?}");
        let (mut came, mut other) = (both.came.clone(), Holder::of(&given));
        let [in_exchange, in_rotation] = [&mut came, &mut other].map(|holder| both.lets_in(holder));
        assert_ne!(in_exchange, in_rotation, "{moment:?}");
        first[usize::from(in_rotation)] += 1;
        both.node.wait(3_000);
        assert!(!both.lets_in(&mut admin), "{moment:?}");
        let mut new = if in_rotation { other } else { came };
        assert_eq!(both.places(&mut new), [1], "{moment:?}");
    }
    rig::tell(format_args!(
        "a rotation met a key exchange: {first:?} times the exchange or the rotation was what stayed"
    ));
    assert!(first.iter().all(|count| *count > 5), "{first:?}");
}
