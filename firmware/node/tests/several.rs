//! A node with several sensors, as many as it can have: what each says is its own, whatever its number is at the node and in the module.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod rig;

use minicbor::Encoder;
use rig::sensors::Told;
use rig::{Memory, Rig, package, vectors};
use std::collections::BTreeMap;
use wasmote_coap::{Code, format};
use wasmote_node::contract::{limits, section};
use wasmote_node::{Fault, Provision, Sensor};

const fn sensor(name: &'static str, unit: &'static str) -> Sensor {
    Sensor { name, unit }
}

/// As many as a node can have.
const ALL: [Sensor; limits::NAMES as usize] = [
    sensor("level", "mm"),
    sensor("rain", "mm"),
    sensor("air", "Cel"),
    sensor("humidity", "%RH"),
    sensor("wind", "m/s"),
    sensor("gust", "m/s"),
    sensor("from", "deg"),
    sensor("pressure", "Pa"),
    sensor("battery", "V"),
    sensor("panel", "V"),
    sensor("soil", ""),
    sensor("snow", "m"),
    sensor("water", "Cel"),
    sensor("turbidity", "NTU"),
    sensor("ph", "pH"),
    sensor("flow", "m3/s"),
];
/// What the module names, in an order of its own: the last and the first of the node are among them.
const NAMED: [&str; 6] = ["flow", "battery", "level", "water", "rain", "from"];

/// It publishes each sample at the output with its number, and answers a request with what it reads of the sensor that the path names.
const MODULE: &str = r#"(module
  (import "wasmote" "r" (func $read (param i32) (result f32)))
  (import "wasmote" "p" (func $publish (param i32 f32)))
  (import "wasmote" "z" (func $answer (param i32 i32 i32 i32)))
  (memory 64 (pagesize 1))
  (global (export "buffer") i32 (i32.const 16))
  (func (export "sample") (param i32 f32)
    (call $publish (local.get 0) (local.get 1)))
  (func (export "request") (param i32 i32 i32)
    (f32.store (i32.const 0)
      (call $read (i32.sub (i32.load8_u (i32.const 16)) (i32.const 97))))
    (call $answer (i32.const 69) (i32.const 42) (i32.const 0) (i32.const 4))))"#;

/// A module that names these sensors, and has an output for each.
fn module(named: &[&str]) -> Vec<u8> {
    let mut bytes = vec![];
    let mut e = Encoder::new(&mut bytes);
    e.map(4).unwrap();
    e.u8(section::CONTRACT).unwrap().u8(1).unwrap();
    e.u8(section::SENSORS).unwrap();
    e.array(named.len() as u64).unwrap();
    for name in named {
        e.str(name).unwrap();
    }
    e.u8(section::OUTPUTS).unwrap();
    e.array(named.len() as u64).unwrap();
    for name in named {
        e.array(2).unwrap().str(&format!("of-{name}")).unwrap();
        e.str("").unwrap();
    }
    e.u8(section::BUFFER).unwrap().u32(16).unwrap();
    package::with_section(package::wasm(MODULE), &bytes)
}

fn boot(memory: &Memory, sensors: &'static [Sensor], height: Option<u32>) -> Rig {
    let mut provision = Provision {
        height,
        ..Provision::default()
    };
    provision.keys.push(vectors().keys[0]).unwrap();
    Rig::fitted(memory, provision, sensors)
}

fn push(node: &mut Rig, sequence: u32, named: &[&str]) -> String {
    let (code, text) = node.push(&package::package(sequence, &module(named)));
    let text = String::from_utf8(text).unwrap();
    assert_eq!(code == Code::CHANGED, text.is_empty(), "{code} {text}");
    text
}

fn node(sensors: &'static [Sensor], height: Option<u32>) -> (Memory, Rig) {
    let memory = Memory::new();
    let mut node = boot(&memory, sensors, height);
    assert_eq!(push(&mut node, 1, &NAMED), "");
    (memory, node)
}

fn text(node: &mut Rig, path: &str) -> (Code, String) {
    let (code, payload) = node.get(path, format::TEXT, "");
    (code, String::from_utf8(payload).unwrap())
}

/// What the module reads of its sensor with this number; nothing where that ended the run.
fn read(node: &mut Rig, number: usize) -> Option<f32> {
    let path = format!("app/x/{}", char::from(b'a' + number as u8));
    let (code, payload) = node.request(Code::GET, &path, &[], b"");
    if code != Code::CONTENT {
        // It stopped, or was taken back.
        assert!(matches!(
            code,
            Code::INTERNAL_SERVER_ERROR | Code::SERVICE_UNAVAILABLE
        ));
        return None;
    }
    Some(f32::from_le_bytes(payload.try_into().unwrap()))
}

/// Notifications in any order: what is observed, and its value or what there is instead of one.
fn sorted(told: &[Told], tokens: &BTreeMap<Vec<u8>, String>) -> Vec<(String, String)> {
    let mut all: Vec<_> = told
        .iter()
        .map(|(token, code, payload)| {
            assert_eq!(*code, Code::CONTENT);
            let said = match serde_json::from_slice::<serde_json::Value>(payload) {
                Ok(serde_json::Value::Array(pack)) => {
                    assert_eq!(pack[0]["n"], tokens[token]);
                    let said = pack[0]["vs"].as_str().map(str::to_owned);
                    said.unwrap_or_else(|| pack[0]["v"].to_string())
                }
                _ => String::from_utf8_lossy(payload).into_owned(),
            };
            (tokens[token].clone(), said)
        })
        .collect();
    all.sort();
    all
}

/// What should be so of one sensor.
#[derive(Clone, Copy, Default)]
struct Should {
    newest: Option<f32>,
    fault: Option<Fault>,
    /// What the module reads.
    reads: Option<f32>,
}

struct Random(u32);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        // xorshift32
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        (self.0 >> 3) as usize % end
    }
}

#[test]
fn each_sensor_is_kept_told_and_mailed_by_its_own_number() {
    let (_, mut node) = node(&ALL, None);
    // What is observed: some that the module names, and some that it does not.
    let mut tokens = BTreeMap::new();
    for name in ["level", "rain", "air", "battery", "ph", "flow"] {
        let path = format!("sensors/{name}");
        tokens.insert(node.watch(&path, format::SENML_JSON as u8), name.to_owned());
    }
    for name in ["flow", "level", "rain"] {
        let path = format!("outputs/of-{name}");
        tokens.insert(node.watch(&path, 0), format!("of-{name}"));
    }
    let mut should = [Should::default(); ALL.len()];
    let (mut counts, mut last) = (BTreeMap::new(), BTreeMap::new());
    let mut random = Random(0x2545_f491);
    let faults = [Fault::NoEcho, Fault::Damaged, Fault::Model, Fault::Silent];
    for event in 0..600u16 {
        // What is said again, to hear that it arrived, is what was said last.
        let again = node.pass_with_clients(1_200);
        for (name, said) in sorted(&again, &tokens) {
            let before = last.get(&name).map_or("none", String::as_str);
            assert_eq!(said, before, "{event} {name}");
        }
        // Some that there are not.
        let index = random.below(ALL.len() + 2);
        let name = ALL.get(index).map_or("none", |s| s.name);
        let number = NAMED.iter().position(|n| *n == name);
        let mut expected = vec![];
        let observed = |name: &String| tokens.values().any(|n| n == name);
        let told = if random.below(4) == 0 {
            let fault = faults[random.below(4)];
            let told = node.fault_of(index as u8, fault);
            if let Some(should) = should.get_mut(index) {
                *counts.entry(fault.name()).or_insert(0u64) += 1;
                if should.fault != Some(fault) && observed(&name.to_owned()) {
                    expected.push((name.to_owned(), fault.name().to_owned()));
                }
                should.fault = Some(fault);
                should.reads = None;
            }
            told
        } else {
            let value = f32::from(event) + 0.5;
            let told = node.sample_of(index as u8, value);
            if let Some(should) = should.get_mut(index) {
                *should = Should {
                    newest: Some(value),
                    fault: None,
                    reads: Some(value),
                };
                let all = [name.to_owned(), format!("of-{name}")];
                let all = all.into_iter().filter(observed);
                expected.extend(all.map(|name| (name, value.to_string())));
            }
            told
        };
        // Whoever observes it or what the module makes of it, and nobody else.
        let told = sorted(&told, &tokens);
        expected.sort();
        assert_eq!(told, expected, "{event} {name}");
        last.extend(told);
        let Some(now) = should.get(index) else {
            continue;
        };
        let (code, said) = text(&mut node, &format!("sensors/{name}"));
        if let Some(fault) = now.fault {
            assert_eq!(code, Code::SERVICE_UNAVAILABLE);
            let start = format!("{name}: {}; ", fault.name());
            assert!(said.starts_with(&start), "{said}");
            let last = now.newest.map_or("it never".into(), |v| format!("{v} was"));
            assert!(said.contains(&last), "{event}: {said}");
        } else {
            assert_eq!(
                (code, said),
                (Code::CONTENT, now.newest.unwrap().to_string())
            );
        }
        if let Some(number) = number {
            let value = read(&mut node, number).expect("declared");
            let expected = now.reads.unwrap_or(f32::NAN);
            assert!(
                value == expected || value.is_nan() && expected.is_nan(),
                "{event} {name}: {value}"
            );
        }
        // Of the others nothing has changed.
        let other = random.below(NAMED.len());
        let place = ALL.iter().position(|s| s.name == NAMED[other]).unwrap();
        let value = read(&mut node, other).expect("declared");
        let expected = should[place].reads.unwrap_or(f32::NAN);
        assert!(
            value == expected || value.is_nan() && expected.is_nan(),
            "{event}: {}",
            NAMED[other]
        );
    }
    let stats = node.json("stats");
    for fault in faults {
        let key = fault.name().replace(' ', "_");
        assert_eq!(stats["faults"][&key], counts[fault.name()], "{stats}");
    }
    assert_eq!(stats["traps"], 0);
    // A number that the module did not declare ends the run.
    assert_eq!(read(&mut node, NAMED.len()), None);
}

#[test]
fn each_sensor_is_listed_with_its_name_unit_and_samples_in_every_format() {
    let (_, mut node) = node(&ALL, None);
    let (_, core) = node.blocks(".well-known/core", &[]);
    let core = String::from_utf8(core).unwrap();
    for (number, sensor) in (0u8..).zip(&ALL) {
        assert_eq!(
            core.matches(&format!("</sensors/{}>", sensor.name)).count(),
            1
        );
        for value in 0..=number {
            node.sample_of(number, f32::from(number) * 100.0 + f32::from(value));
            node.wait(10);
        }
    }
    for (number, sensor) in (0u16..).zip(&ALL) {
        let path = format!("sensors/{}", sensor.name);
        for wanted in [1, 2, 16, 200] {
            let (_, payload) = node.get(&path, format::SENML_JSON, &format!("n={wanted}"));
            let pack: serde_json::Value = serde_json::from_slice(&payload).unwrap();
            let records = pack.as_array().unwrap();
            assert_eq!(records.len(), wanted.min(usize::from(number) + 1));
            for (back, record) in records.iter().rev().enumerate() {
                let value = f64::from(number) * 100.0 + f64::from(number) - back as f64;
                assert_eq!(record["v"].as_f64(), Some(value), "{pack}");
                assert_eq!(record["n"], sensor.name);
                assert_eq!(record["u"].as_str().unwrap_or(""), sensor.unit);
            }
        }
    }
    // What is not a ranger has no distance, and none is listed as one.
    assert!(!core.contains("title"), "{core}");
    let (code, said) = node.get("sensors/air", format::TEXT, "raw");
    assert_eq!((code, said.len()), (Code::CONTENT, 0));
}

#[test]
fn only_the_ranger_has_a_distance() {
    for height in [None, Some(3_000)] {
        let (_, mut node) = node(&ALL, height);
        for number in 0..ALL.len() as u8 {
            if number == 12 {
                node.distance_of(number, 2_990.0);
            } else {
                node.sample_of(number, f32::from(number));
            }
        }
        let (_, core) = node.blocks(".well-known/core", &[]);
        let core = String::from_utf8(core).unwrap();
        for (number, sensor) in (0u8..).zip(&ALL) {
            let level = height.map_or("2990".to_owned(), |_| "10".to_owned());
            let expected = if number == 12 {
                level
            } else {
                number.to_string()
            };
            let path = format!("sensors/{}", sensor.name);
            assert_eq!(text(&mut node, &path).1, expected);
            let (_, raw) = node.get(&path, format::TEXT, "raw");
            let expected = if number == 12 { "2990" } else { "" };
            assert_eq!(String::from_utf8(raw).unwrap(), expected, "{path}");
            let link = core
                .split(",<")
                .find(|l| l.contains(&format!("/{}>", sensor.name)));
            let titled = link.unwrap().contains("title");
            assert_eq!(titled, number == 12 && height.is_none(), "{link:?}");
        }
        assert_eq!(
            read(&mut node, 3),
            Some(if height.is_some() { 10.0 } else { 2_990.0 })
        );
    }
}

#[test]
fn a_module_is_joined_to_the_sensors_that_there_are_by_name() {
    const REVERSED: [Sensor; 4] = [ALL[15], ALL[12], ALL[8], ALL[0]];
    const FEW: [Sensor; 2] = [ALL[8], ALL[6]];
    let (memory, mut before) = node(&ALL, None);
    // It was confirmed with all of them.
    for number in 0..12u8 {
        before.sample_of(8, f32::from(number));
    }
    assert_eq!(before.app("state"), "confirmed");
    for sensors in [&REVERSED[..], &FEW, &ALL, &[]] {
        let mut node = boot(&memory, sensors, None);
        assert_eq!(
            node.app("state"),
            "confirmed",
            "a node that lost a sensor keeps its filter"
        );
        for (number, name) in NAMED.iter().enumerate() {
            assert!(read(&mut node, number).unwrap().is_nan(), "{name}");
        }
        for (place, sensor) in (0u8..).zip(sensors) {
            node.sample_of(place, f32::from(place) + 0.25);
            let output = text(&mut node, &format!("outputs/of-{}", sensor.name));
            let named = NAMED.contains(&sensor.name);
            assert_eq!(output.0 == Code::CONTENT, named, "{}", sensor.name);
            if named {
                assert_eq!(output.1, (f32::from(place) + 0.25).to_string());
            }
        }
        for (number, name) in NAMED.iter().enumerate() {
            let place = sensors.iter().position(|s| s.name == *name);
            let expected = place.map(|place| place as f32 + 0.25);
            let value = read(&mut node, number).unwrap();
            assert_eq!(Some(value).filter(|v| !v.is_nan()), expected, "{name}");
        }
        // A new one must find all that it names.
        let missing = NAMED.iter().any(|n| sensors.iter().all(|s| s.name != *n));
        let highest = node.json("app")["highest"].as_u64().unwrap() as u32;
        let said = push(&mut node, highest + 1, &NAMED);
        let refused = said.contains("needs: names a sensor that the node does not have");
        assert_eq!(refused, missing, "{said}");
    }
}

#[test]
fn a_name_that_a_module_gives_twice_or_for_all_there_are() {
    let memory = Memory::new();
    let mut node = boot(&memory, &ALL, None);
    let names = ALL.map(|s| s.name);
    assert_eq!(push(&mut node, 1, &names), "");
    for place in 0..ALL.len() as u8 {
        node.sample_of(place, f32::from(place) - 3.0);
    }
    for (place, sensor) in ALL.iter().enumerate() {
        assert_eq!(read(&mut node, place), Some(place as f32 - 3.0));
        let path = format!("outputs/of-{}", sensor.name);
        assert_eq!(text(&mut node, &path).1, (place as f32 - 3.0).to_string());
    }
    // Beyond all of them: no number, whatever its bits.
    for beyond in [ALL.len(), 32, 158] {
        let mut node = boot(&Memory::new(), &ALL, None);
        assert_eq!(push(&mut node, 1, &names), "");
        assert_eq!(read(&mut node, beyond), None);
    }
}

#[test]
fn which_sensors_have_no_value_is_told_of_each_when_there_is_room() {
    let (_, mut node) = node(&ALL, None);
    let all: Vec<_> = (0u8..ALL.len() as u8).collect();
    for round in 0..4 {
        for place in &all {
            node.sample_of(*place, 7.0 + f32::from(*place));
        }
        node.wait(2_000);
        // Some fall silent behind more samples than the Runner has room for, all of one moment.
        let lost: Vec<_> = all.iter().filter(|p| **p % 4 != round).collect();
        let samples: Vec<_> = (0..100).map(|_| (round, 7.0 + f32::from(round))).collect();
        let faults: Vec<_> = lost.iter().map(|p| (**p, Fault::Silent)).collect();
        node.at_once(&samples, &faults);
        node.settle();
        for (number, name) in NAMED.iter().enumerate() {
            let place = ALL.iter().position(|s| s.name == *name).unwrap() as u8;
            let value = read(&mut node, number).unwrap();
            assert_eq!(
                value.is_nan(),
                lost.contains(&&place),
                "{round} {name}: {value}"
            );
            assert!(value.is_nan() || value == 7.0 + f32::from(place));
        }
    }
}

/// What begins something, and its name.
type Case<'a> = (&'static str, &'a dyn Fn(&mut Rig));

#[test]
fn whatever_the_runner_says_waits_as_mail_until_it_is_fetched() {
    let (_, mut node) = node(&ALL, None);
    assert!(!node.has_mail());
    // Values, an answer with the new state of the package, and both.
    let cases: [Case<'_>; 4] = [
        ("a value", &|node| node.at_once(&[(0, 1.0)], &[])),
        ("many values", &|node| {
            node.at_once(&[(0, 1.0), (8, 2.0), (15, 3.0)], &[])
        }),
        ("an answer", &|node| {
            assert_eq!(node.ask(Code::GET, "app/x/a", &[], b""), None);
        }),
        ("a value, an answer and the state", &|node| {
            node.at_once(&[(0, 1.0)], &[]);
            assert_eq!(node.ask(Code::POST, "app/rollback", &[], b""), None);
        }),
    ];
    for (what, begin) in cases {
        begin(&mut node);
        assert!(!node.has_mail(), "{what}: nothing was done yet");
        let mut said = false;
        for _ in 0..200 {
            node.hold(1);
            said |= node.has_mail();
            assert_eq!(
                said,
                node.has_mail(),
                "{what}: what was said is still there"
            );
        }
        assert!(said, "{what}");
        node.settle();
        assert!(!node.has_mail(), "{what}: all was fetched");
    }
}

#[test]
fn the_runner_does_not_sleep_while_something_it_has_to_say_finds_no_room() {
    let (_, mut node) = node(&ALL, None);
    assert!(node.sleeps());
    let seen = |node: &mut Rig| {
        let stats = node.json("stats");
        let count = |key: &str| stats[key].as_u64().unwrap();
        count("runs") + count("samples_dropped")
    };
    let before = seen(&mut node);
    // More values than its queue has places, and nobody who fetches them.
    for round in 0..8u8 {
        let samples: Vec<_> = (0..8).map(|n| (0, f32::from(round * 8 + n))).collect();
        node.at_once(&samples, &[]);
        node.hold(400);
    }
    assert!(node.has_mail() && !node.sleeps(), "it would be told late");
    node.settle();
    assert!(!node.has_mail() && node.sleeps());
    let after = seen(&mut node);
    assert_eq!(after - before, 64, "each was run or is counted as dropped");
}
