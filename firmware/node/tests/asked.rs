//! What a module has several of and is asked for: its outputs, parameters and states side by side, and the requests it answers, whole
//! and in blocks (RFC 7959 §2.4).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod rig;

use minicbor::Encoder;
use rig::{Memory, Rig, package, vectors};
use wasmote_coap::{Code, Message, format, option};
use wasmote_node::Provision;
use wasmote_node::contract::{section, ty};

/// Bytes of the module's buffer for requests, of a long answer and of one that would fit its message.
const BUFFER: usize = 64;
const LONG: usize = 300;
const SHORT: usize = 100;

/// A module that publishes a sample on one of three outputs, by how large it is, and counts what it is asked. A path with `l` or `s`
/// at its beginning is answered by so many digits, which say how often it was asked; any other by itself and the payload.
const MODULE: &str = r#"(module
  (import "wasmote" "z" (func $answer (param i32 i32 i32 i32)))
  (import "wasmote" "p" (func $publish (param i32 f32)))
  (import "wasmote" "o" (func $tell (param i32 i32 i32)))
  (memory 1024 (pagesize 1))
  (data (i32.const 8) "0")
  (data (i32.const 800) "dry")
  (data (i32.const 808) "\07\00\00\00\09\00\00\00")
  (global (export "buffer") i32 (i32.const 16))
  (func (export "sample") (param i32 f32)
    (if (f32.lt (local.get 1) (f32.const 100))
      (then (call $publish (i32.const 0) (local.get 1)))
      (else (if (f32.lt (local.get 1) (f32.const 200))
        (then (call $tell (i32.const 1) (i32.const 800) (i32.const 3)))
        (else (call $publish (i32.const 2) (local.get 1)))))))
  (func (export "request") (param $method i32) (param $path i32) (param $payload i32)
    (local $at i32) (local $first i32)
    (i32.store8 (i32.const 8) (i32.add (i32.load8_u (i32.const 8)) (i32.const 1)))
    (local.set $at (i32.const 300))
    (loop $fill
      (i32.store8 (i32.add (i32.const 100) (local.get $at)) (i32.load8_u (i32.const 8)))
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (br_if $fill (local.get $at)))
    (local.set $first (i32.load8_u (i32.const 16)))
    (if (i32.eq (local.get $first) (i32.const 108))
      (then (call $answer (i32.const 0x45) (i32.const 50) (i32.const 101) (i32.const 300)))
      (else (if (i32.eq (local.get $first) (i32.const 115))
        (then (call $answer (i32.const 0x45) (i32.const 0) (i32.const 101) (i32.const 100)))
        (else (call $answer (i32.const 0x45) (i32.const 42) (i32.const 16)
          (i32.add (local.get $path) (local.get $payload)))))))))"#;

const OUTPUTS: [&str; 3] = ["flow", "word", "slope"];
const PARAMETERS: [&str; 2] = ["limit", "gain"];
const STATES: [&str; 2] = ["first", "second"];

fn section() -> Vec<u8> {
    let mut bytes = vec![];
    let mut e = Encoder::new(&mut bytes);
    e.map(6).unwrap();
    e.u8(section::CONTRACT).unwrap().u8(1).unwrap();
    e.u8(section::SENSORS).unwrap().array(1).unwrap();
    e.str("level").unwrap();
    e.u8(section::OUTPUTS).unwrap().array(3).unwrap();
    for name in OUTPUTS {
        let text = name == "word";
        e.array(2 + u64::from(text)).unwrap().str(name).unwrap();
        e.str("").unwrap();
        if text {
            e.str(ty::TEXT).unwrap();
        }
    }
    e.u8(section::PARAMETERS).unwrap().array(2).unwrap();
    for name in PARAMETERS {
        e.array(4).unwrap().str(name).unwrap();
        e.f32(1.0).unwrap().f32(0.0).unwrap().f32(10.0).unwrap();
    }
    e.u8(section::BUFFER).unwrap().u32(BUFFER as u32).unwrap();
    e.u8(section::STATES).unwrap().array(2).unwrap();
    for (number, name) in STATES.iter().enumerate() {
        e.array(3).unwrap().str(name).unwrap();
        e.u32(808 + 4 * number as u32).unwrap();
        e.str(ty::I32).unwrap();
    }
    bytes
}

/// A node that runs it.
fn running() -> Rig {
    let mut provision = Provision {
        name: "gauge",
        ..Provision::default()
    };
    provision.keys.push(vectors().keys[0]).unwrap();
    let mut node = Rig::provisioned(&Memory::new(), provision);
    let module = package::with_section(package::wasm(MODULE), &section());
    let (code, text) = node.push(&package::package(5, &module));
    assert_eq!(code, Code::CHANGED, "{}", String::from_utf8_lossy(&text));
    node
}

/// A Block1 or Block2 option (RFC 7959 §2.2).
fn block(which: u16, number: u8, more: bool, size: usize) -> (u16, Vec<u8>) {
    let exponent = size.trailing_zeros() as u8 - 4;
    (which, vec![number << 4 | u8::from(more) << 3 | exponent])
}

/// The part of an answer with this number, in blocks of 64.
fn part(node: &mut Rig, code: Code, path: &str, number: u8) -> rig::Answer {
    let option = block(option::BLOCK2, number, false, 64);
    node.request(code, path, &[option], b"")
}

/// How often the module had been asked when it gave this answer.
fn asked(body: &[u8]) -> u8 {
    assert!(body.iter().all(|b| *b == body[0]), "of one answer");
    body[0] - b'0'
}

#[test]
fn each_output_parameter_and_state_has_its_own_name_value_and_observers() {
    let mut node = running();
    let text = |node: &mut Rig, path: String| {
        let (code, text) = node.get(&path, format::TEXT, "");
        assert_eq!(code, Code::CONTENT, "{path}");
        String::from_utf8(text).unwrap()
    };
    let samples = [7.0, 150.0, 250.0];
    for (index, name) in OUTPUTS.iter().enumerate() {
        let path = format!("outputs/{name}");
        node.observe(&path);
        for (other, value) in samples.iter().enumerate() {
            node.sample(*value);
            let told = usize::from(other == index);
            assert_eq!(node.notified(), told, "{name}: {value}");
        }
        let value = ["7", "dry", "250"][index];
        assert_eq!(text(&mut node, path), value);
        node.wait(300_000);
        node = running();
    }
    for (index, name) in PARAMETERS.iter().enumerate() {
        let mut node = running();
        node.observe(&format!("app/params/{name}"));
        for (other, to) in PARAMETERS.iter().enumerate() {
            let value = (3 + other).to_string();
            let path = format!("app/params/{to}");
            let code = node.request(Code::PUT, &path, &[], value.as_bytes()).0;
            assert_eq!(code, Code::CHANGED);
            assert_eq!(node.notified() > 0, other == index, "{name}: {to}");
            assert_eq!(text(&mut node, path), value);
        }
    }
    assert_eq!(text(&mut node, "app/state/first".into()), "7");
    assert_eq!(text(&mut node, "app/state/second".into()), "9");
    assert_eq!(node.get("app/state/third", 0, "").0, Code::NOT_FOUND);
}

#[test]
fn who_waits_beside_others_gets_his_own_answer() {
    let mut node = running();
    // What goes to the module's handler takes another way than what reads its memory, and they overtake each other.
    for path in ["app/state/first", "app/x/e", "app/state/second"] {
        node.ask(Code::GET, path, &[], b"");
    }
    let sent = node.settle();
    let answers = sent
        .iter()
        .map(|datagram| Message::parse(datagram).unwrap());
    let mut answers: Vec<_> = answers
        .filter(|message| message.code == Code::CONTENT)
        .map(|message| (message.token, message.payload))
        .collect();
    // Tokens rise from request to request.
    answers.sort_unstable();
    let texts: Vec<_> = answers.iter().map(|(_, text)| *text).collect();
    assert_eq!(texts, [b"7", b"e", b"9"]);
}

#[test]
fn discovery_lists_each_of_them_once_and_how_long_the_log_may_be() {
    let mut node = running();
    let (_, links) = node.blocks(".well-known/core", &[]);
    let links = String::from_utf8(links).unwrap();
    let mut paths: Vec<String> = vec!["sensors/level".into(), "app/x".into()];
    paths.extend(OUTPUTS.map(|name| format!("outputs/{name}")));
    paths.extend(PARAMETERS.map(|name| format!("app/params/{name}")));
    paths.extend(STATES.map(|name| format!("app/state/{name}")));
    for path in paths {
        assert_eq!(links.matches(&format!("</{path}>")).count(), 1, "{path}");
    }
    // RFC 6690 §3.3: a client that has room for so much has room for the texts of a full log.
    let log = links.split(",<").find(|link| link.starts_with("/log>"));
    let (_, size) = log.unwrap().split_once(";sz=").unwrap();
    let size = size.split(';').next().unwrap().trim_matches('"');
    for _ in 0..100 {
        node.say(&"x".repeat(40));
    }
    let texts = node.log().matches('x').count();
    let size: usize = size.parse().unwrap();
    assert!((texts..10_000).contains(&size), "{texts} {size}");
    // Nothing else is as long.
    assert_eq!(links.matches(";sz=").count(), 1);
    assert!(
        node.get("app/state/first", format::SENML_JSON, "")
            .1
            .starts_with(b"[{\"bn\":\"gauge/")
    );
}

#[test]
fn the_module_gets_the_path_behind_its_own_and_the_payload() {
    let mut node = running();
    let mut ask = |path: &str, payload: &[u8]| node.request(Code::PUT, path, &[], payload);
    for (path, payload) in [("e", ""), ("e/f", ""), ("e/f/gh", "body"), ("e", "body")] {
        let expected = (Code::CONTENT, format!("{path}{payload}").into_bytes());
        assert_eq!(ask(&format!("app/x/{path}"), payload.as_bytes()), expected);
    }
    // As much as its buffer holds, wherever the slashes are.
    for path in ["e", "e/f", "e/f/g"] {
        let full = vec![b'x'; BUFFER - path.len()];
        let path = format!("app/x/{path}");
        assert_eq!(ask(&path, &full).0, Code::CONTENT, "{path}");
        let (code, text) = ask(&path, &[&full[..], b"x"].concat());
        assert_eq!(code, Code::REQUEST_ENTITY_TOO_LARGE, "{path}");
        assert_eq!(text, b"path and payload: at most 64 bytes");
    }
}

#[test]
fn a_request_to_the_module_is_one_block() {
    let mut node = running();
    let ask = |node: &mut Rig, number, more| {
        node.wait(2_000);
        let option = block(option::BLOCK1, number, more, 16);
        node.request(Code::PUT, "app/x/e", &[option], &[b'x'; 16])
    };
    let whole = [&b"e"[..], &[b'x'; 16]].concat();
    assert_eq!(ask(&mut node, 0, false), (Code::CONTENT, whole));
    let (code, text) = ask(&mut node, 0, true);
    assert_eq!(code, Code::REQUEST_ENTITY_TOO_LARGE);
    assert_eq!(text, b"a request to a module is one block");
    assert_eq!(ask(&mut node, 1, false).0.class(), 4);
}

#[test]
fn the_parts_of_a_long_answer_are_of_one_run() {
    for code in [Code::GET, Code::FETCH, Code::PUT, Code::POST] {
        for (path, length) in [("app/x/long", LONG), ("app/x/short", SHORT)] {
            let mut node = running();
            let mut body = vec![];
            for number in 0..length.div_ceil(64) {
                let (answer, more) = part(&mut node, code, path, number as u8);
                assert_eq!(answer, Code::CONTENT, "{code:?} {path}");
                body.extend(more);
                // What others ask, and are answered in their message, changes nothing.
                assert_eq!(node.request(Code::PUT, "app/x/e", &[], b"").1, b"e");
            }
            assert_eq!((body.len(), asked(&body)), (length, 1), "{code:?} {path}");
            // Asked anew, it runs anew.
            let (_, first) = part(&mut node, code, path, 0);
            assert!(asked(&first) > 1, "{code:?} {path}");
        }
    }
}

#[test]
fn an_answer_is_kept_for_the_request_that_it_answers() {
    let json = (option::ACCEPT, vec![50]);
    let query = |text: &str| (option::URI_QUERY, text.as_bytes().to_vec());
    type Asks = (Code, &'static str, Vec<(u16, Vec<u8>)>, &'static [u8]);
    let get = |path, options| -> Asks { (Code::GET, path, options, b"") };
    let all: [Asks; 9] = [
        get("app/x/long", vec![]),
        get("app/x/long/a", vec![]),
        get("app/x/lon/ga", vec![]),
        get("app/x/long", vec![query("a")]),
        get("app/x/long", vec![query("a"), query("b")]),
        get("app/x/long", vec![query("ab")]),
        get("app/x/long", vec![json]),
        (Code::FETCH, "app/x/long", vec![], b"one"),
        (Code::FETCH, "app/x/long", vec![], b"two"),
    ];
    let ask = |node: &mut Rig, which: &Asks, number| {
        let (code, path, options, payload) = which;
        let mut options = options.clone();
        options.push(block(option::BLOCK2, number, false, 64));
        node.request(*code, path, &options, payload)
    };
    for (index, one) in all.iter().enumerate() {
        let mut node = running();
        assert_eq!(asked(&ask(&mut node, one, 0).1), 1);
        assert_eq!(asked(&ask(&mut node, one, 1).1), 1);
        // Somebody else asks the same: what he gets was made for him.
        node.peer = 2;
        assert_eq!(asked(&ask(&mut node, one, 2).1), 2, "{index}");
        node.peer = 1;
        for (other, two) in all.iter().enumerate().filter(|(other, _)| *other != index) {
            let mut node = running();
            assert_eq!(asked(&ask(&mut node, one, 0).1), 1);
            assert_eq!(asked(&ask(&mut node, two, 1).1), 2, "{index} {other}");
        }
    }
}

#[test]
fn requests_that_differ_in_one_letter_are_not_the_same() {
    let ask = |node: &mut Rig, letter: u8, number| {
        let query = (option::URI_QUERY, vec![letter]);
        let options = [query, block(option::BLOCK2, number, false, 64)];
        node.request(Code::GET, "app/x/long", &options, b"").1
    };
    let letters = (b'0'..=b'9').chain(b'A'..=b'Z').chain(b'a'..=b'z');
    for letter in letters.filter(|letter| *letter != b'm') {
        let mut node = running();
        assert_eq!(asked(&ask(&mut node, b'm', 0)), 1);
        let other = asked(&ask(&mut node, letter, 1));
        assert_eq!(other, 2, "{}", char::from(letter));
    }
}

#[test]
fn a_part_of_a_change_whose_answer_gave_way_is_refused_and_changes_nothing() {
    let mut node = running();
    assert_eq!(asked(&part(&mut node, Code::POST, "app/x/long", 0).1), 1);
    node.peer = 2;
    assert_eq!(asked(&part(&mut node, Code::GET, "app/x/long", 0).1), 2);
    node.peer = 1;
    let (code, text) = part(&mut node, Code::POST, "app/x/long", 1);
    assert_eq!(code, Code::REQUEST_ENTITY_INCOMPLETE);
    assert_eq!(text, b"the answer is no longer there: ask again");
    assert_eq!(asked(&part(&mut node, Code::POST, "app/x/long", 0).1), 3);
}

#[test]
fn every_part_of_a_long_answer_says_its_format() {
    let mut node = running();
    for number in 0..4 {
        let options = [block(option::BLOCK2, number, false, 64)];
        let sent = node.exchange(Code::GET, "app/x/long", &options, b"");
        let told = sent.iter().filter_map(|datagram| {
            let options = Message::parse(datagram).unwrap().options;
            assert_eq!(options.get(option::MAX_AGE), None);
            options.uint(option::CONTENT_FORMAT, 2)
        });
        assert_eq!(told.collect::<Vec<_>>(), [50], "{number}");
    }
}

/// A module with outputs that have types between others, each of which gets a number of its own with each sample.
const TYPED: &str = r#"(module
  (import "wasmote" "p" (func $publish (param i32 f32)))
  (import "wasmote" "o" (func $tell (param i32 i32 i32)))
  (memory 64 (pagesize 1))
  (func $number (param $output i32) (param $value i32)
    (i32.store (i32.const 8) (local.get $value))
    (call $tell (local.get $output) (i32.const 8) (i32.const 4)))
  (func (export "sample") (param i32 f32)
    (local $base i32)
    (local.set $base (i32.trunc_f32_s (local.get 1)))
    (call $publish (i32.const 0) (local.get 1))
    (call $number (i32.const 1) (i32.add (local.get $base) (i32.const 1)))
    (call $publish (i32.const 2) (f32.const 2))
    (call $number (i32.const 3) (i32.add (local.get $base) (i32.const 3)))
    (call $number (i32.const 4) (i32.add (local.get $base) (i32.const 4)))))"#;

#[test]
fn outputs_with_types_keep_each_its_own_value() {
    let mut bytes = vec![];
    let mut e = Encoder::new(&mut bytes);
    e.map(3).unwrap();
    e.u8(section::CONTRACT).unwrap().u8(1).unwrap();
    e.u8(section::SENSORS).unwrap().array(1).unwrap();
    e.str("level").unwrap();
    e.u8(section::OUTPUTS).unwrap().array(5).unwrap();
    for (number, name) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
        let typed = matches!(number, 1 | 3 | 4);
        e.array(2 + u64::from(typed)).unwrap().str(name).unwrap();
        e.str("").unwrap();
        if typed {
            e.str(ty::I32).unwrap();
        }
    }
    let mut node = Rig::boot(&Memory::new(), &vectors().keys[..1]);
    let module = package::with_section(package::wasm(TYPED), &bytes);
    let (code, text) = node.push(&package::package(5, &module));
    assert_eq!(code, Code::CHANGED, "{}", String::from_utf8_lossy(&text));
    for base in [100, 2_000] {
        node.sample(base as f32);
        let values = ["a", "b", "c", "d", "e"].map(|name| {
            node.json(&format!("outputs/{name}"))["value"]
                .as_i64()
                .unwrap()
        });
        assert_eq!(values, [base, base + 1, 2, base + 3, base + 4]);
    }
}

#[test]
fn a_request_to_a_module_is_one_block() {
    let mut node = running();
    let before = node.json("stats")["runs"].as_u64();
    for (number, more) in [(0, true), (1, true), (1, false), (3, false)] {
        let options = [block(option::BLOCK1, number, more, 16)];
        let (code, _) = node.request(Code::POST, "app/x/a", &options, &[b'1'; 16]);
        assert_eq!(code.class(), 4, "block {number}");
    }
    assert_eq!(node.json("stats")["runs"].as_u64(), before);
    let options = [block(option::BLOCK1, 0, false, 16)];
    let (code, text) = node.request(Code::POST, "app/x/a", &options, b"1");
    assert_eq!((code, text), (Code::CONTENT, b"a1".to_vec()));
}
