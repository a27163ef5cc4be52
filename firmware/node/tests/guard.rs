//! Who may do what: every resource and method by every role, and contexts that come, go and follow each other.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod rig;

use rig::holder::Holder;
use rig::{Memory, Rig, TEARS};
use wasmote_coap::{Code, Kind, Writer, format, option};
use wasmote_node::Provision;
use wasmote_node::contract::{RESOURCES, Right};
use wasmote_node::keyring::Key;

const READ: u8 = Right::Read as u8;
const OPERATE: u8 = Right::Operate as u8;
const INSTALL: u8 = Right::Install as u8;
const ADMIN: u8 = Right::Admin as u8;
const ALL: u8 = READ | OPERATE | INSTALL | ADMIN;

/// The 19 bytes of a context.
fn key(secret: u8, peer: u8, flags: u8) -> [u8; 19] {
    let mut bytes = [secret; 19];
    bytes[16..].copy_from_slice(&[peer, 0x80 | peer, flags]);
    bytes
}

fn provision(keys: &[[u8; 19]]) -> Provision {
    let mut provision = Provision {
        contexts: keys.concat().leak(),
        generation: 7,
        identity: Some(rig::initiator::own()),
        ..Provision::default()
    };
    provision.keys.push(rig::vectors().keys[0]).unwrap();
    provision
}

/// What a resource is called, what its methods need, and a path to it.
type Row = (&'static str, Vec<(Code, Right)>, String);

/// A path for each row of the contract, where a module runs that has a sensor, an output, a parameter and a handler.
fn paths() -> Vec<Row> {
    let named = |path: &[&str]| match path {
        ["sensors"] => "/level",
        ["outputs"] => "/mean",
        ["app", "params"] => "/limit",
        ["app", "state"] => "/total",
        ["app", "x"] => "/ask",
        ["keys"] => "/5",
        _ => "",
    };
    RESOURCES
        .iter()
        .map(|r| {
            let path = r.path.join("/");
            let last = if r.named || path == "app/x" {
                named(r.path)
            } else {
                ""
            };
            (r.rt, r.rights.to_vec(), format!("{path}{last}"))
        })
        .collect()
}

const METHODS: [Code; 7] = [
    Code::GET,
    Code::POST,
    Code::PUT,
    Code::DELETE,
    Code::FETCH,
    Code::PATCH,
    Code::IPATCH,
];

#[test]
fn every_method_of_every_resource_needs_its_right() {
    let mut cells = 0;
    for rights in 0..=ALL {
        let holder = key(9, 9, if rights == 0 { READ } else { rights });
        let keys = [key(1, 1, ALL), holder];
        let memory = Memory::new();
        let mut node = Rig::provisioned(&memory, provision(&keys));
        let mut peer = Holder::of(&holder);
        // Two runs beside each other: with a context, and, as role 0, without any.
        for (rt, row, path) in paths() {
            // A node remembers so many requests of the last three quarters of a minute.
            node.wait(50_000);
            for method in METHODS {
                let right = row
                    .iter()
                    .find(|(m, _)| *m == method)
                    .map(|(_, r)| *r as u8);
                cells += 1;
                let (protected, code) = if rights == 0 {
                    let (code, _) = node.request(method, &path, &[], b"");
                    (false, code)
                } else {
                    let got = peer.asks(&mut node, method, &path, b"");
                    (got.0, got.1)
                };
                let what = format!("{method:?} /{path} ({rt}) with {rights:04b}: {code}");
                assert_eq!(protected, rights != 0, "{what}");
                let refused = matches!(code, Code::UNAUTHORIZED | Code::FORBIDDEN);
                let held = match right {
                    Some(0) => true,
                    Some(right) => rights & right != 0,
                    // No row: refused, whoever asks; that there is no such method is told to those who may read.
                    None if RESOURCES
                        .iter()
                        .any(|r| r.rt == rt && r.methods.contains(&method)) =>
                    {
                        false
                    }
                    None => rights & READ != 0,
                };
                assert_eq!(refused, !held, "{what}");
                if refused {
                    let wanted = if rights == 0 {
                        Code::UNAUTHORIZED
                    } else {
                        Code::FORBIDDEN
                    };
                    assert_eq!(code, wanted, "{what}");
                }
            }
        }
    }
    assert_eq!(cells, 16 * 7 * RESOURCES.len());
}

#[test]
fn without_a_context_a_node_tells_which_it_is_and_no_more() {
    let mut node = Rig::provisioned(&Memory::new(), provision(&[key(1, 1, ALL)]));
    let document = node.json("node");
    let names: Vec<&String> = document.as_object().unwrap().keys().collect();
    assert_eq!(names, ["class", "contract", "name", "security"]);
    assert_eq!(document["security"], "secured");
    let (code, links) = node.get(".well-known/core", format::LINK, "");
    assert_eq!(code, Code::CONTENT);
    assert!(!links.is_empty());
    // Neither does it tell what there is.
    for path in ["nothing", "sensors/none", "keys/9", "app/x/none"] {
        assert_eq!(
            node.request(Code::GET, path, &[], b"").0,
            Code::UNAUTHORIZED,
            "{path}"
        );
    }
}

#[test]
fn a_hidden_node_is_silent_to_whoever_has_no_context() {
    let given = [key(1, 1, ALL)];
    let mut hidden = provision(&given);
    hidden.hidden = true;
    let mut node = Rig::provisioned(&Memory::new(), hidden);
    let get = |path: &str, kind: Kind, code: Code| {
        let mut buffer = [0; 100];
        let mut w = Writer::new(&mut buffer, kind, code, 5, b"");
        for segment in path.split('/').filter(|s| !s.is_empty()) {
            w.option(option::URI_PATH, segment.as_bytes());
        }
        w.finish(&[]).unwrap().to_vec()
    };
    for (datagram, what) in [
        (get("node", Kind::Con, Code::GET), "a request"),
        (get(".well-known/core", Kind::Non, Code::GET), "discovery"),
        (get("", Kind::Con, Code::EMPTY), "a ping"),
        (get("", Kind::Con, Code::CONTENT), "a response to nothing"),
        (vec![0x40, 0x01, 0, 5, 0xff], "a malformed message"),
    ] {
        assert!(node.datagram(&datagram).is_empty(), "{what}");
    }
    let mut holder = Holder::of(&given[0]);
    assert_eq!(
        holder.asks(&mut node, Code::GET, "node", b"").1,
        Code::CONTENT
    );
}

#[test]
fn an_open_node_says_so_and_gives_no_context_away() {
    let mut open = provision(&[key(1, 1, ALL)]);
    open.open = true;
    let mut node = Rig::provisioned(&Memory::new(), open);
    assert_eq!(node.json("node")["security"], "open");
    assert_eq!(
        node.request(Code::GET, "sensors/level", &[], b"").0,
        Code::CONTENT
    );
    let new = key(2, 2, ALL);
    assert_eq!(
        node.request(Code::PUT, "keys/1", &[], &new).0,
        Code::UNAUTHORIZED
    );
    assert_eq!(
        node.request(Code::GET, "keys", &[], b"").0,
        Code::UNAUTHORIZED
    );
}

#[test]
fn a_node_whose_record_was_damaged_answers_nobody_until_it_is_claimed_over_the_cable() {
    let memory = Memory::new();
    let lost = Provision {
        damaged: true,
        ..Provision::default()
    };
    let mut node = Rig::provisioned(&memory, lost.clone());
    assert_eq!(node.json("node")["security"], "secured");
    for (code, path) in [
        (Code::GET, "stats"),
        (Code::PUT, "time"),
        (Code::PUT, "app"),
        (Code::DELETE, "app"),
    ] {
        let refused = node.request(code, path, &[], b"1").0;
        assert_eq!(refused, Code::UNAUTHORIZED, "{path}");
    }
    let admin = key(1, 1, ALL);
    let claimed = node.request(Code::PUT, "keys/0", &[], &admin);
    assert_eq!(claimed.0, Code::CHANGED);
    let mut holder = Holder::of(&admin);
    for _ in 0..2 {
        let log = holder.asks(&mut node, Code::GET, "log", b"");
        assert_eq!(log.1, Code::CONTENT);
        let log = String::from_utf8_lossy(&log.2).into_owned();
        assert!(log.contains("record is damaged"), "{log}");
        node = Rig::provisioned(&memory, lost.clone());
    }
}

#[test]
fn the_first_context_comes_over_the_cable_and_is_an_administrators() {
    let memory = Memory::new();
    let mut node = Rig::provisioned(&memory, provision(&[]));
    assert_eq!(node.json("node")["security"], "unclaimed");
    let reader = key(2, 2, READ);
    assert_eq!(
        node.request(Code::PUT, "keys/0", &[], &reader).0,
        Code::CONFLICT
    );
    for wrong in [&[][..], &[1; 18], &[0; 19], &[1; 20]] {
        assert_eq!(
            node.request(Code::PUT, "keys/0", &[], wrong).0,
            Code::BAD_REQUEST
        );
    }
    let admin = key(1, 1, ALL);
    assert_eq!(
        node.request(Code::PUT, "keys/0", &[], &admin).0,
        Code::CHANGED
    );
    assert_eq!(
        node.request(Code::PUT, "keys/1", &[], &reader).0,
        Code::UNAUTHORIZED
    );
    let mut holder = Holder::of(&admin);
    assert_eq!(
        holder.asks(&mut node, Code::PUT, "keys/1", &reader).1,
        Code::CHANGED
    );
    // Both are there after a reset.
    let mut node = Rig::provisioned(&memory, provision(&[]));
    let mut other = Holder::of(&reader);
    assert_eq!(
        other.asks(&mut node, Code::GET, "stats", b"").1,
        Code::CONTENT
    );
    assert_eq!(
        other.asks(&mut node, Code::GET, "keys", b"").1,
        Code::FORBIDDEN
    );
    assert_eq!(
        holder.asks(&mut node, Code::GET, "keys", b"").1,
        Code::CONTENT
    );
}

#[test]
fn the_last_administrator_cannot_be_removed() {
    let admin = key(1, 1, ALL);
    let mut node = Rig::provisioned(&Memory::new(), provision(&[admin]));
    let mut first = Holder::of(&admin);
    assert_eq!(
        first.asks(&mut node, Code::DELETE, "keys/0", b"").1,
        Code::CONFLICT
    );
    let second = key(2, 2, ADMIN);
    assert_eq!(
        first.asks(&mut node, Code::PUT, "keys/3", &second).1,
        Code::CHANGED
    );
    let mut other = Holder::of(&second);
    assert_eq!(
        other.asks(&mut node, Code::DELETE, "keys/0", b"").1,
        Code::DELETED
    );
    // The one that was revoked is not known any more.
    let got = first.asks(&mut node, Code::GET, "node", b"");
    assert_eq!((got.0, got.1), (false, Code::UNAUTHORIZED));
    assert_eq!(
        other.asks(&mut node, Code::DELETE, "keys/3", b"").1,
        Code::CONFLICT
    );
}

#[test]
fn a_rotation_ends_with_the_first_use_of_the_new_secret() {
    let old = key(1, 1, ALL);
    let memory = Memory::new();
    let mut node = Rig::provisioned(&memory, provision(&[old]));
    let mut before = Holder::of(&old);
    // It replaces the one in place 0, and waits for its first use.
    let new = key(2, 2, ALL | 0x80);
    assert_eq!(
        before.asks(&mut node, Code::PUT, "keys/1", &new).1,
        Code::CHANGED
    );
    assert_eq!(
        before.asks(&mut node, Code::PUT, "keys/1", &new).1,
        Code::CHANGED,
        "again: the answer was lost"
    );
    assert_eq!(
        before.asks(&mut node, Code::DELETE, "keys/0", b"").1,
        Code::CONFLICT
    );
    assert_eq!(
        before.asks(&mut node, Code::GET, "stats", b"").1,
        Code::CONTENT
    );
    let mut after = Holder::of(&new);
    assert_eq!(
        after.asks(&mut node, Code::GET, "stats", b"").1,
        Code::CONTENT
    );
    node.settle();
    assert!(
        !before.asks(&mut node, Code::GET, "stats", b"").0,
        "the old one is gone"
    );
    // And stays so, as the new one stays, after a reset.
    let mut node = Rig::provisioned(&memory, provision(&[old]));
    assert!(!before.asks(&mut node, Code::GET, "stats", b"").0);
    assert_eq!(
        after.asks(&mut node, Code::GET, "stats", b"").1,
        Code::CONTENT
    );
    assert_eq!(
        after.asks(&mut node, Code::DELETE, "keys/1", b"").1,
        Code::CONFLICT
    );
}

#[test]
fn a_node_that_is_ready_has_the_numbers_it_needs_to_answer() {
    let memory = Memory::new();
    for start in 0..3 {
        let given = key(1, 1, ALL);
        let mut node = Rig::ready(&memory, provision(&[given]));
        let mut peer = Holder::of(&given);
        peer.next = start * 10;
        // Whoever comes then need not send it twice, as Californium under OSCORE does not: the value to be echoed takes a number.
        let (got, echo) = peer.once(&mut node, Code::GET, "stats", &[], b"");
        assert_eq!((got.1, echo.len()), (Code::UNAUTHORIZED, 8));
        let (got, _) = peer.once(&mut node, Code::GET, "stats", &echo, b"");
        assert_eq!(got.1, Code::CONTENT);
    }
}

/// A number of `/keys`, or its list of them.
fn listed(document: &[u8], wanted: &str) -> Vec<u64> {
    let mut d = minicbor::Decoder::new(document);
    d.map().unwrap();
    loop {
        if d.str().unwrap() != wanted {
            d.skip().unwrap();
        } else if d.datatype().unwrap() == minicbor::data::Type::ArrayIndef {
            let all = d.array_iter::<u64>().unwrap();
            return all.map(Result::unwrap).collect();
        } else {
            return vec![d.u64().unwrap()];
        }
    }
}

#[test]
fn an_administrator_sees_which_contexts_there_are_and_how_often_each_was_used() {
    let given = [key(1, 1, ALL), key(2, 2, READ)];
    let mut node = Rig::provisioned(&Memory::new(), provision(&given));
    let (mut admin, mut reader) = (Holder::of(&given[0]), Holder::of(&given[1]));
    let next = key(3, 3, READ | OPERATE | 0x90);
    let put = admin.asks(&mut node, Code::PUT, "keys/5", &next);
    assert_eq!(put.1, Code::CHANGED);
    for _ in 0..4 {
        let got = reader.asks(&mut node, Code::GET, "stats", b"");
        assert_eq!(got.1, Code::CONTENT);
    }
    let (_, code, document) = admin.asks(&mut node, Code::GET, "keys", b"");
    assert_eq!(code, Code::CONTENT);
    for (name, expected) in [
        ("free", &[5][..]),
        ("place", &[0, 1, 5]),
        ("peer", &[1, 2, 3]),
        ("node", &[0x81, 0x82, 0x83]),
        (
            "rights",
            &[ALL.into(), READ.into(), (READ | OPERATE).into()],
        ),
        // Those in places 0 and 1 stand by themselves.
        ("replaces", &[8, 8, 1]),
        ("worn", &[0, 0, 0]),
    ] {
        assert_eq!(listed(&document, name), expected, "{name}");
    }
    let used = listed(&document, "used");
    assert!(used[0] >= 1 && used[1] >= 4 && used[2] == 0, "{used:?}");
    // What was refused and what was opened is counted, each by itself.
    assert_eq!(
        node.request(Code::GET, "stats", &[], b"").0,
        Code::UNAUTHORIZED
    );
    let opened = |node: &mut Rig, holder: &mut Holder| {
        let (_, _, document) = holder.asks(node, Code::GET, "node", b"");
        let mut d = minicbor::Decoder::new(&document);
        let at = document.windows(7).position(|w| w == b"\x66opened");
        d.set_position(at.unwrap() + 7);
        d.u64().unwrap()
    };
    let first = opened(&mut node, &mut reader);
    assert!(first >= 5, "{first}");
    assert_eq!(opened(&mut node, &mut reader), first + 1);
}

#[test]
fn a_successor_follows_one_that_stands_and_is_the_only_one() {
    let admin = key(1, 1, ALL);
    let mut node = Rig::provisioned(&Memory::new(), provision(&[admin]));
    let mut holder = Holder::of(&admin);
    let mut asks = |code, place: u8, payload: &[u8]| {
        node.wait(2_000);
        let got = holder.asks(&mut node, code, &format!("keys/{place}"), payload);
        (got.1, String::from_utf8(got.2).unwrap())
    };
    let refused = |why: &str| (Code::CONFLICT, why.to_owned());
    let done = |code| (code, String::new());
    let nobody = refused("there is no context to replace");
    // Of itself, of an empty place.
    assert_eq!(asks(Code::PUT, 1, &key(2, 2, ALL | 0x90)), nobody);
    assert_eq!(asks(Code::PUT, 1, &key(2, 2, ALL | 0xc0)), nobody);
    assert_eq!(
        asks(Code::PUT, 1, &key(2, 2, ALL | 0x80)),
        done(Code::CHANGED)
    );
    // Of one that waits itself; a second one; and one with the same ID.
    assert_eq!(asks(Code::PUT, 2, &key(3, 3, ALL | 0x90)), nobody);
    let second = refused("another context is about to replace this one");
    assert_eq!(asks(Code::PUT, 2, &key(3, 3, ALL | 0x80)), second);
    let same = refused("another context has this peer ID");
    assert_eq!(asks(Code::PUT, 2, &key(3, 2, READ)), same);
    // What waits may be written over, and removed: then the first is the last administrator as before.
    assert_eq!(
        asks(Code::PUT, 1, &key(4, 2, ALL | 0x80)),
        done(Code::CHANGED)
    );
    let waits = refused("its successor was not used yet: remove that first");
    assert_eq!(asks(Code::DELETE, 0, b""), waits);
    assert_eq!(asks(Code::DELETE, 1, b""), done(Code::DELETED));
    let last = refused("the last administrator cannot be removed");
    assert_eq!(asks(Code::DELETE, 0, b""), last.clone());
    // Who has no right to govern may follow another of his kind, and not the only administrator.
    let stays = refused("the last administrator stays one");
    assert_eq!(asks(Code::PUT, 1, &key(2, 2, READ | 0x80)), stays);
    assert_eq!(asks(Code::PUT, 1, &key(2, 2, READ)), done(Code::CHANGED));
    assert_eq!(asks(Code::DELETE, 0, b""), last);
    let taken = refused("this place is taken: remove its context first");
    assert_eq!(asks(Code::PUT, 1, &key(5, 5, READ)), taken);
    assert_eq!(
        asks(Code::PUT, 2, &key(3, 3, READ | 0x90)),
        done(Code::CHANGED)
    );
    assert_eq!(asks(Code::DELETE, 2, b""), done(Code::DELETED));
    assert_eq!(asks(Code::DELETE, 1, b""), done(Code::DELETED));
}

#[test]
fn the_last_place_is_for_a_successor() {
    let admin = key(1, 1, ALL);
    let mut node = Rig::provisioned(&Memory::new(), provision(&[admin]));
    let mut holder = Holder::of(&admin);
    for place in 1..8 {
        node.wait(2_000);
        let path = format!("keys/{place}");
        let got = holder.asks(&mut node, Code::PUT, &path, &key(9, 10 + place, READ));
        if place < 7 {
            assert_eq!(got.1, Code::CHANGED, "{place}");
            continue;
        }
        let why = b"the last place is for a successor: remove a context first";
        assert_eq!((got.1, &got.2[..]), (Code::CONFLICT, &why[..]));
    }
    let next = key(2, 2, ALL | 0x80);
    let got = holder.asks(&mut node, Code::PUT, "keys/7", &next);
    assert_eq!(got.1, Code::CHANGED);
}

#[test]
fn a_new_provisioning_counts_for_more_than_what_was_changed_before_it() {
    let memory = Memory::new();
    let first = key(1, 1, ALL);
    let mut node = Rig::provisioned(&memory, provision(&[first]));
    let other = key(2, 2, READ);
    let mut holder = Holder::of(&first);
    assert_eq!(
        holder.asks(&mut node, Code::PUT, "keys/1", &other).1,
        Code::CHANGED
    );
    let again = key(3, 3, ALL);
    let mut anew = provision(&[again]);
    anew.generation = 8;
    for _ in 0..2 {
        let mut node = Rig::provisioned(&memory, anew.clone());
        for gone in [&first, &other] {
            assert!(!Holder::of(gone).asks(&mut node, Code::GET, "node", b"").0);
        }
        let mut holder = Holder::of(&again);
        holder.next = 1 << 20;
        assert_eq!(
            holder.asks(&mut node, Code::GET, "keys", b"").1,
            Code::CONTENT
        );
    }
}

#[test]
fn a_flag_and_a_place_that_do_not_exist_are_refused() {
    for bytes in [key(1, 1, 0), key(1, 1, 0x80)] {
        assert!(Key::read(&bytes).is_none(), "a context without rights");
    }
    let mut same = key(1, 1, ALL);
    same[17] = 1;
    assert!(Key::read(&same).is_none(), "one ID for both ends");
    let admin = key(1, 1, ALL);
    let mut node = Rig::provisioned(&Memory::new(), provision(&[admin]));
    let mut holder = Holder::of(&admin);
    for place in ["8", "x", "-1", "256"] {
        let got = holder.asks(
            &mut node,
            Code::PUT,
            &format!("keys/{place}"),
            &key(2, 2, READ),
        );
        assert_eq!(got.1, Code::NOT_FOUND, "{place}");
    }
    // The ID of somebody else, and a place that is taken.
    assert_eq!(
        holder
            .asks(&mut node, Code::PUT, "keys/1", &key(2, 1, READ))
            .1,
        Code::CONFLICT
    );
    assert_eq!(
        holder
            .asks(&mut node, Code::PUT, "keys/0", &key(2, 2, READ))
            .1,
        Code::CONFLICT
    );
    // A successor of nobody, and one that would leave nobody in charge.
    assert_eq!(
        holder
            .asks(&mut node, Code::PUT, "keys/1", &key(2, 2, ALL | 0x90))
            .1,
        Code::CONFLICT
    );
    assert_eq!(
        holder
            .asks(&mut node, Code::PUT, "keys/1", &key(2, 2, READ | 0x80))
            .1,
        Code::CONFLICT
    );
}

#[test]
fn a_context_reads_as_often_as_it_likes_and_leaves_room_for_changes() {
    let given = [key(1, 1, ALL), key(2, 2, READ)];
    let mut node = Rig::provisioned(&Memory::new(), provision(&given));
    let mut reader = Holder::of(&given[1]);
    for _ in 0..500 {
        let got = reader.asks(&mut node, Code::GET, "sensors/level", b"");
        assert_eq!(got.1, Code::CONTENT);
    }
    let mut admin = Holder::of(&given[0]);
    let got = admin.asks(&mut node, Code::PUT, "time", b"1700000000");
    assert_eq!(got.1, Code::CHANGED);
    // Whoever repeats a read that was answered gets the same bytes.
    let (datagram, _) = reader.request(Code::GET, "stats", &[], b"");
    let first = node.datagram(&datagram);
    assert_eq!((first.len(), node.datagram(&datagram)), (1, first));
}

/// What is tried while power is cut: how far it came is seen by what was answered.
type Act = fn(&mut Rig, &mut Holder, &mut Holder) -> Vec<Option<Code>>;

/// The old administrator, and the one that is to follow or to be added.
const OLD: u8 = 1;
const NEW: u8 = 2;

const ACTS: &[(&str, Act)] = &[
    ("reading", |node, old, _| {
        let ask = |_| old.tries(node, Code::GET, "stats", b"").map(|got| got.1);
        (0..3).map(ask).collect()
    }),
    ("adding", |node, old, _| {
        let new = key(NEW, NEW, ALL);
        vec![old.tries(node, Code::PUT, "keys/4", &new).map(|got| got.1)]
    }),
    ("a rotation", |node, old, new| {
        let next = key(NEW, NEW, ALL | 0x80);
        let put = old.tries(node, Code::PUT, "keys/4", &next);
        let used = put
            .as_ref()
            .and_then(|_| new.tries(node, Code::GET, "keys", b""));
        node.settle();
        vec![put.map(|got| got.1), used.map(|got| got.1)]
    }),
    ("a revocation", |node, old, new| {
        let next = key(NEW, NEW, ALL);
        let put = old.tries(node, Code::PUT, "keys/4", &next);
        let gone = new.tries(node, Code::DELETE, "keys/0", b"");
        vec![put.map(|got| got.1), gone.map(|got| got.1)]
    }),
];

#[test]
fn wherever_power_is_cut_no_number_comes_twice_and_nobody_is_locked_out() {
    let given = key(OLD, OLD, ALL);
    let boot = |memory: &Memory| Rig::provisioned(memory, provision(&[given]));
    let mut cuts = 0;
    for (name, act) in ACTS {
        let whole = Memory::new();
        let mut node = boot(&whole);
        whole.asked.set(0);
        act(
            &mut node,
            &mut Holder::of(&given),
            &mut Holder::of(&key(NEW, NEW, ALL)),
        );
        // Also those of the start, which reserves numbers.
        let operations = whole.asked.get() + 16;
        for tear in TEARS {
            for cut in 0..operations {
                let what = format!("{name}, cut at {cut} of {operations}: {tear:?}");
                let memory = Memory::new();
                memory.tear.set(tear);
                memory.left.set(cut + 1);
                let (mut old, mut new) = (Holder::of(&given), Holder::of(&key(NEW, NEW, ALL)));
                let mut node = boot(&memory);
                let answers = act(&mut node, &mut old, &mut new);
                drop(node);
                memory.left.set(u64::MAX);
                // Twice: what was left undone the first time is done by then.
                for _ in 0..2 {
                    let mut node = boot(&memory);
                    node.settle();
                    let mut governs = |holder: &mut Holder| {
                        let got = holder.tries(&mut node, Code::GET, "keys", b"");
                        got.is_some_and(|got| (got.0, got.1) == (true, Code::CONTENT))
                    };
                    let first = governs(&mut new);
                    let second = governs(&mut old);
                    assert!(first || second, "{what}: locked out");
                    // What was answered stays.
                    if *name == "a revocation" && answers[1] == Some(Code::DELETED) {
                        assert!(!second && first, "{what}: it is back");
                    }
                    if *name == "adding" && answers[0] == Some(Code::CHANGED) {
                        assert!(first && second, "{what}: it is gone");
                    }
                }
                cuts += 1;
            }
        }
    }
    rig::tell(format_args!("power was cut at {cuts} places of contexts"));
    assert!(cuts > 400, "only {cuts} places");
}
