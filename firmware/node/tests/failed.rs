//! How a run ends badly, and what follows: memory that is used up, host calls that make no sense, how long a module that fails waits.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod rig;

use minicbor::Encoder;
use rig::{Memory, Rig, package, vectors};
use wasmote_coap::{Code, format};
use wasmote_node::contract::{Import, section};

/// What a module says of itself: a sensor, an output, and at which bytes it stops for want of memory.
fn about(exhausts: &[u32]) -> Vec<u8> {
    let mut bytes = vec![];
    let mut e = Encoder::new(&mut bytes);
    e.map(4).unwrap();
    e.u8(section::CONTRACT).unwrap().u8(1).unwrap();
    e.u8(section::SENSORS).unwrap().array(1).unwrap();
    e.str("level").unwrap();
    e.u8(section::OUTPUTS).unwrap().array(1).unwrap();
    e.array(2).unwrap().str("out").unwrap().str("").unwrap();
    e.u8(section::EXHAUSTED).unwrap();
    e.array(exhausts.len() as u64).unwrap();
    for at in exhausts {
        e.u32(*at).unwrap();
    }
    bytes
}

/// A node that runs a module.
fn node(text: &str, exhausts: &[u32]) -> Rig {
    let mut node = Rig::boot(&Memory::new(), &vectors().keys[..1]);
    let module = package::with_section(package::wasm(text), &about(exhausts));
    let (code, why) = node.push(&package::package(5, &module));
    assert_eq!(code, Code::CHANGED, "{}", String::from_utf8_lossy(&why));
    node
}

/// A module that stops at a negative sample, and publishes any other.
const STOPS: &str = r#"(module
  (import "wasmote" "p" (func $publish (param i32 f32)))
  (func (export "sample") (param i32 f32)
    (if (f32.lt (local.get 1) (f32.const 0)) (then unreachable))
    (call $publish (i32.const 0) (local.get 1))))"#;

/// Where its `unreachable` is.
fn stop() -> u32 {
    let bytes = package::wasm(STOPS);
    // Behind `if` without a result.
    let at = bytes.windows(3).position(|w| w == [0x04, 0x40, 0x00]);
    at.unwrap() as u32 + 2
}

#[test]
fn memory_that_is_used_up_is_told_by_its_name_and_is_a_trap() {
    let at = stop();
    for (places, told) in [
        (&[at][..], "trap: out of memory in function 1 at byte"),
        (&[at + 1], "trap: unreachable"),
        (&[], "trap: unreachable"),
    ] {
        let mut node = node(STOPS, places);
        for _ in 0..9 {
            node.sample(1.0);
        }
        assert_eq!(node.app("state"), "confirmed");
        node.sample(-1.0);
        let log = node.log();
        assert!(log.contains(&format!("package 5: {told}")), "{log}");
        assert!(!log.contains("all its fuel"), "{log}");
        assert_eq!(node.json("stats")["traps"], 1);
        assert_eq!(node.app("event.what"), "trap");
        let trap = if places == [at] {
            "out of memory"
        } else {
            "unreachable"
        };
        assert_eq!(node.app("event.trap"), trap);
        assert_eq!(node.app("event.offset"), at.to_string());
    }
}

#[test]
fn a_module_that_fails_waits_twice_as_long_each_time_until_it_has_run_well_for_a_while() {
    let mut node = node(STOPS, &[]);
    for _ in 0..9 {
        node.sample(1.0);
    }
    assert_eq!(node.app("state"), "confirmed");
    // How long it is away, in milliseconds, after so many good runs (its start is one of them).
    let mut away = |good: u32| {
        for _ in 1..good {
            node.sample(1.0);
        }
        node.sample(-1.0);
        assert_eq!(node.sequence(), 0);
        let begun = node.now();
        for _ in 0..100_000 {
            node.wait(50);
            if node.sequence() != 0 {
                return node.now() - begun;
            }
        }
        panic!("it is not started again");
    };
    for (good, least) in [(9, 1_000), (1, 2_000), (8, 4_000), (3, 8_000), (9, 1_000)] {
        let waited = away(good);
        assert!(
            (least..least + 300).contains(&waited),
            "{good}: {waited} for {least}"
        );
    }
    for least in [2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] {
        let waited = away(1);
        assert!(
            (least..least + 300).contains(&waited),
            "{waited} for {least}"
        );
    }
}

#[test]
fn a_host_call_that_makes_sense_goes_on_and_any_other_is_a_trap() {
    // What each does with a sample of 7 in a memory of 64 bytes, of which the last eight are a text.
    let text = |call: &str| {
        format!(
            r#"(module
  (import "wasmote" "p" (func $publish (param i32 f32)))
  (import "wasmote" "m" (func $parameter (param i32) (result f32)))
  (import "wasmote" "r" (func $read (param i32) (result f32)))
  (import "wasmote" "o" (func $tell (param i32 i32 i32)))
  (import "wasmote" "l" (func $log (param i32 i32)))
  (import "wasmote" "v" (func $note (param i32 i32 i32)))
  (import "wasmote" "g" (func $gpio (param i32 i32)))
  (memory 64 (pagesize 1))
  (data (i32.const 56) "all well")
  (func (export "sample") (param i32 f32) {call} (call $publish (i32.const 0) (local.get 1))))"#
        )
    };
    let n = |value: u32| format!("(i32.const {value})");
    let cases = [
        (format!("(call $log {} {})", n(56), n(8)), Some("all well")),
        (format!("(call $log {} {})", n(64), n(0)), Some("")),
        (format!("(call $log {} {})", n(57), n(8)), None),
        (format!("(call $log {} {})", n(u32::MAX), n(8)), None),
        (
            format!("(call $note {} {} {})", n(4), n(56), n(8)),
            Some("all well"),
        ),
        (format!("(call $note {} {} {})", n(5), n(56), n(8)), None),
        (format!("(call $note {} {} {})", n(4), n(60), n(8)), None),
        (format!("(call $gpio {} {})", n(255), n(1)), Some("")),
        (format!("(call $gpio {} {})", n(256), n(1)), None),
        (format!("(drop (call $read {}))", n(0)), Some("")),
        (format!("(drop (call $read {}))", n(1)), None),
        (format!("(drop (call $parameter {}))", n(0)), None),
        (format!("(call $publish {} (f32.const 1))", n(1)), None),
        // The output is a single, and no text.
        (format!("(call $tell {} {} {})", n(0), n(56), n(8)), None),
    ];
    for (call, good) in cases {
        let mut node = node(&text(&call), &[]);
        node.sample(7.0);
        let (traps, log) = (node.json("stats")["traps"].as_u64(), node.log());
        let out = String::from_utf8(node.get("outputs/out", format::TEXT, "").1).unwrap();
        match good {
            Some(said) => {
                assert_eq!((traps, out.as_str()), (Some(0), "7"), "{call}: {log}");
                assert!(log.contains(said), "{call}: {log}");
            }
            None => {
                assert_eq!(traps, Some(1), "{call}: {log}");
                assert!(log.contains("host function failed"), "{call}: {log}");
            }
        }
    }
}

#[test]
fn a_host_call_costs_what_the_contract_says_and_more_for_more_bytes() {
    // Logs as many bytes as the sample says.
    let text = r#"(module
  (import "wasmote" "l" (func $log (param i32 i32)))
  (memory 1024 (pagesize 1))
  (func (export "sample") (param i32 f32)
    (call $log (i32.const 0) (i32.trunc_f32_s (local.get 1)))))"#;
    let (fixed, bytes) = Import::Log.fuel();
    assert!(fixed > 0 && bytes > 0);
    let mut node = node(text, &[]);
    let mut fuel = |length: u32| {
        node.sample(length as f32);
        node.json("stats")["fuel"].as_u64().unwrap()
    };
    let none = fuel(0);
    assert!(
        (u64::from(fixed)..u64::from(fixed) + 20).contains(&none),
        "{none}"
    );
    for length in [1, bytes, bytes + 1, 100, 1_000] {
        let more = u64::from(length.div_ceil(bytes));
        assert_eq!(fuel(length), none + more, "{length} bytes");
    }
}

#[test]
fn a_module_has_the_nodes_time_and_the_clock_that_was_set() {
    // Publishes milliseconds since the start where the sample is 0, and else milliseconds since 1970.
    let text = r#"(module
  (import "wasmote" "p" (func $publish (param i32 f32)))
  (import "wasmote" "n" (func $now (result i32)))
  (import "wasmote" "u" (func $unix (result i64)))
  (func (export "sample") (param i32 f32)
    (call $publish (i32.const 0)
      (if (result f32) (f32.eq (local.get 1) (f32.const 0))
        (then (f32.convert_i32_u (call $now)))
        (else (f32.convert_i64_s (call $unix)))))))"#;
    let mut node = node(text, &[]);
    let told = |node: &mut Rig, sample: f32| {
        node.sample(sample);
        node.json("outputs/out")["value"].as_f64().unwrap()
    };
    for pause in [0, 700, 5_000] {
        node.wait(pause);
        let now = node.now() as f64;
        let shown = told(&mut node, 0.0);
        assert!((now..now + 50.0).contains(&shown), "{shown} at {now}");
        assert_eq!(told(&mut node, 1.0), 0.0, "nobody has set the clock");
    }
    let (code, _) = node.request(Code::PUT, "time", &[], b"2000");
    assert_eq!(code, Code::CHANGED);
    let set = node.now() as f64;
    node.wait(9_000);
    let passed = node.now() as f64 - set;
    let shown = told(&mut node, 1.0);
    let expected = 2_000_000.0 + passed;
    assert!((shown - expected).abs() < 1_000.0, "{shown} for {expected}");
}
