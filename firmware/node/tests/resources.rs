//! The resources of a node: the contract's table, five formats that say the same, history, queues that are full.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod rig;

use minicbor::Decoder;
use minicbor::data::Type;
use rig::{Memory, Rig, vectors};
use serde_json::{Map, Value, json};
use wasmote_coap::{Code, format};
use wasmote_node::contract::{Kind, RESOURCES};

/// A node that runs the package `first`, whose parameter is `limit` and whose output `flow`.
fn running() -> (Memory, Rig) {
    let v = vectors();
    let memory = Memory::new();
    let mut node = Rig::boot(&memory, &v.keys[..1]);
    assert_eq!(node.push(v.named("first")).0, Code::CHANGED);
    node.feed(12);
    (memory, node)
}

/// CBOR as JSON has it, so that the two can be compared; byte strings as hexadecimal text.
fn cbor(d: &mut Decoder<'_>) -> Value {
    match d.datatype().unwrap() {
        Type::Map | Type::MapIndef => {
            let length = d.map().unwrap();
            let mut map = Map::new();
            while length.map_or(!at_break(d), |n| (map.len() as u64) < n) {
                let key = match cbor(d) {
                    Value::String(key) => key,
                    other => other.to_string(),
                };
                map.insert(key, cbor(d));
            }
            if length.is_none() {
                d.skip().unwrap();
            }
            Value::Object(map)
        }
        Type::Array | Type::ArrayIndef => {
            let length = d.array().unwrap();
            let mut list = vec![];
            while length.map_or(!at_break(d), |n| (list.len() as u64) < n) {
                list.push(cbor(d));
            }
            if length.is_none() {
                d.skip().unwrap();
            }
            Value::Array(list)
        }
        Type::Bool => json!(d.bool().unwrap()),
        Type::String => json!(d.str().unwrap()),
        Type::Bytes => {
            let hex = d.bytes().unwrap().iter().map(|b| format!("{b:02x}"));
            json!(hex.collect::<String>())
        }
        Type::F32 => json!(d.f32().unwrap()),
        Type::F64 => json!(d.f64().unwrap()),
        _ => json!(d.i64().unwrap()),
    }
}

fn at_break(d: &Decoder<'_>) -> bool {
    matches!(d.datatype(), Ok(Type::Break))
}

fn whole(bytes: &[u8]) -> Value {
    let mut d = Decoder::new(bytes);
    let value = cbor(&mut d);
    assert_eq!(d.position(), bytes.len(), "bytes behind the end");
    value
}

fn same(a: &Value, b: &Value) -> bool {
    a == b || a.is_number() && a.as_f64() == b.as_f64()
}

/// The path of a resource of the running node.
fn path(resource: &wasmote_node::contract::Resource) -> String {
    let name = match resource.kind {
        Kind::Sensors => "/level",
        Kind::Outputs => "/flow",
        Kind::Params => "/limit",
        _ => "",
    };
    resource.path.join("/") + name
}

#[test]
fn every_resource_of_the_contract_is_listed_and_answers_its_methods_alone() {
    let (_, mut node) = running();
    let (code, core) = node.blocks(".well-known/core", &[]);
    assert_eq!(code, Code::CONTENT);
    let core = String::from_utf8(core).unwrap();
    for resource in &RESOURCES {
        let path = path(resource);
        let link = format!(
            "</{path}>;rt=\"{}\";if=\"{}\"",
            resource.rt, resource.interface
        );
        if resource.kind == Kind::Request {
            // The module of this package has no handler for requests.
            assert!(!core.contains(&link));
            continue;
        }
        let entry = core.split(",<").find(|e| {
            let e = e.trim_start_matches('<');
            e.starts_with(&link[1..])
        });
        let entry = entry.unwrap_or_else(|| panic!("{link} is not in {core}"));
        assert_eq!(entry.contains(";obs"), resource.observe, "{entry}");
        for format in resource.formats {
            assert!(entry.contains(&format.to_string()), "{entry}");
        }
        for method in [Code::GET, Code::POST, Code::PUT, Code::DELETE] {
            if resource.methods.contains(&method) && method != Code::GET {
                continue;
            }
            let (code, _) = node.request(method, &path, &[], &[]);
            let expected = if resource.methods.contains(&method) {
                Code::CONTENT
            } else {
                Code::METHOD_NOT_ALLOWED
            };
            assert_eq!(code, expected, "{path}");
        }
    }
    for absent in [
        "nothing",
        "sensors/rain",
        "sensors",
        "app/params/x",
        "app/x/y",
    ] {
        assert_eq!(node.request(Code::GET, absent, &[], &[]).0, Code::NOT_FOUND);
    }
}

#[test]
fn what_can_be_read_says_the_same_in_each_of_its_formats() {
    let (_, mut node) = running();
    node.request(Code::PUT, "time", &[], b"1700000000.5");
    for resource in RESOURCES.iter().filter(|r| !r.formats.is_empty()) {
        let path = path(resource);
        let get = |node: &mut Rig, format| {
            let (code, payload) = node.get(&path, format, "");
            assert_eq!(code, Code::CONTENT, "{path} as {format}");
            payload
        };
        let json = |bytes: &[u8]| -> Value {
            serde_json::from_slice(bytes)
                .unwrap_or_else(|e| panic!("{path}: {e}: {}", String::from_utf8_lossy(bytes)))
        };
        let plain = json(&get(&mut node, format::JSON));
        let binary = whole(&get(&mut node, format::CBOR));
        let pack = json(&get(&mut node, format::SENML_JSON));
        let packed = whole(&get(&mut node, format::SENML_CBOR));
        let text = String::from_utf8(get(&mut node, format::TEXT)).unwrap();
        // Time goes on between two requests; everything else stays as it is.
        let keys = |v: &Value| match v {
            Value::Object(map) => map.keys().cloned().collect::<Vec<_>>(),
            other => vec![other.is_number().to_string()],
        };
        assert_eq!(keys(&plain), keys(&binary), "{path}");
        if let Value::Object(map) = &plain {
            for (key, value) in map {
                let moves = ["uptime", "coap", "at", "lines", "fuel_total"].contains(&key.as_str());
                assert!(moves || same(&binary[key], value), "{path}: {key}: {value}");
            }
        }
        let (pack, packed) = (pack.as_array().unwrap(), packed.as_array().unwrap());
        assert_eq!(pack.len(), packed.len(), "{path}");
        for (index, (record, binary)) in pack.iter().zip(packed).enumerate() {
            let name = record["n"].as_str().unwrap();
            // RFC 8428 §4.5.1: what a name may hold. §4.2: the base name stands in the first record.
            assert!(
                name.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-:./_".contains(&b))
            );
            assert_eq!(record.get("bn").is_some(), index == 0, "{path}");
            assert_eq!(binary["0"], record["n"], "{path}");
            let values = ["v", "vs", "vb", "vd"]
                .iter()
                .filter(|key| record.get(**key).is_some());
            assert_eq!(values.count(), 1, "{path}: {record}");
        }
        assert_eq!(text.is_empty(), pack.is_empty(), "{path}: {text}");
        assert_eq!(node.get(&path, format::OCTETS, "").0, Code::NOT_ACCEPTABLE);
    }
}

#[test]
fn a_sensor_gives_its_last_samples_as_one_pack() {
    let (_, mut node) = running();
    node.feed(20);
    let (_, payload) = node.get("sensors/level", format::SENML_JSON, "n=5");
    let pack: Value = serde_json::from_slice(&payload).unwrap();
    let values: Vec<f64> = pack
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["v"].as_f64().unwrap())
        .collect();
    assert_eq!(values, [15.0, 16.0, 17.0, 18.0, 19.0]);
    let times: Vec<f64> = pack
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["t"].as_f64().unwrap())
        .collect();
    assert!(
        times.is_sorted() && times.iter().all(|t| *t <= 0.0),
        "{times:?}"
    );
    // It keeps sixteen.
    let (_, payload) = node.get("sensors/level", format::SENML_CBOR, "n=1000");
    assert_eq!(whole(&payload).as_array().unwrap().len(), 16);
    assert_eq!(
        node.get("sensors/level", format::TEXT, "n=x").0,
        Code::BAD_REQUEST
    );
}

#[test]
fn a_parameter_is_changed_and_read_in_every_format_and_kept_over_a_reset() {
    let v = vectors();
    let (memory, mut node) = running();
    let put = |node: &mut Rig, format: u16, payload: &[u8]| {
        let options = [(wasmote_coap::option::CONTENT_FORMAT, vec![format as u8])];
        node.request(Code::PUT, "app/params/limit", &options, payload)
            .0
    };
    assert_eq!(put(&mut node, format::TEXT, b"2.5"), Code::CHANGED);
    assert_eq!(node.get("app/params/limit", format::TEXT, "").1, b"2.5");
    assert_eq!(put(&mut node, format::JSON, b"3"), Code::CHANGED);
    // CBOR: the half-precision float 4.5, and the whole number 5.
    assert_eq!(
        put(&mut node, format::CBOR, &[0xf9, 0x44, 0x80]),
        Code::CHANGED
    );
    assert_eq!(node.get("app/params/limit", format::TEXT, "").1, b"4.5");
    assert_eq!(put(&mut node, format::CBOR, &[0x05]), Code::CHANGED);
    for (format, wrong) in [
        (format::TEXT, &b"11"[..]),
        (format::TEXT, b"NaN"),
        (format::TEXT, b"much"),
        (format::CBOR, &[0x0b]),
        (format::CBOR, &[0xf9, 0x7e, 0x00]),
        (format::CBOR, &[0xf9, 0xc4, 0x80]),
        (format::CBOR, &[0x05, 0x05]),
        (format::CBOR, &[0x61, 0x35]),
    ] {
        assert_eq!(
            put(&mut node, format, wrong),
            Code::BAD_REQUEST,
            "{wrong:?}"
        );
    }
    assert_eq!(
        put(&mut node, format::OCTETS, b"1"),
        Code::UNSUPPORTED_CONTENT_FORMAT
    );
    let mut node = Rig::boot(&memory, &v.keys[..1]);
    assert_eq!(
        node.get("app/params/limit", format::JSON, "").0,
        Code::CONTENT
    );
    assert_eq!(node.get("app/params/limit", format::TEXT, "").1, b"5");
}

#[test]
fn the_clock_is_set_to_the_millisecond_and_goes_on() {
    let mut node = Rig::boot(&Memory::new(), &[]);
    assert_eq!(node.get("time", format::TEXT, "").1, b"0.000");
    assert_eq!(
        node.request(Code::PUT, "time", &[], b"1700000000.25").0,
        Code::CHANGED
    );
    let read = |node: &mut Rig| -> f64 {
        let (_, text) = node.get("time", format::TEXT, "");
        String::from_utf8(text).unwrap().parse().unwrap()
    };
    let first = read(&mut node);
    assert!(
        (1_700_000_000.25..1_700_000_000.3).contains(&first),
        "{first}"
    );
    assert!(read(&mut node) >= first);
    assert_eq!(
        node.request(Code::PUT, "time", &[], b"soon").0,
        Code::BAD_REQUEST
    );
}

#[test]
fn samples_that_find_the_queue_full_are_counted() {
    let (_, mut node) = running();
    node.burst(40);
    let dropped = node.json("node")["queues"]["samples_dropped"]
        .as_u64()
        .unwrap();
    assert_eq!(dropped, 40 - 32);
    // The sensor itself has missed none, and the module goes on with the next.
    assert_eq!(node.get("sensors/level", format::TEXT, "").1, b"39");
    let before = node.json("stats")["runs"].as_u64().unwrap();
    node.feed(3);
    assert_eq!(node.json("stats")["runs"].as_u64().unwrap(), before + 3);
}

#[test]
fn a_flood_of_samples_keeps_no_tick_waiting() {
    let v = vectors();
    let mut node = Rig::boot(&Memory::new(), &v.keys[..1]);
    let ticks = v.named("good, and ticks every 10 ms");
    assert_eq!(node.push(ticks).0, Code::CHANGED);
    node.flood(2000);
    // 20 ticks came due in 200 ms, and more samples than it could take.
    node.wait(1);
    let stats = node.json("stats");
    assert!(stats["samples_dropped"].as_u64().unwrap() > 500, "{stats}");
    assert!(stats["runs"].as_u64().unwrap() > 500, "{stats}");
    assert_eq!(stats["ticks_missed"], 0, "{stats}");
    // What waits for it still comes at its time when nothing else does.
    node.wait(35);
    assert_eq!(node.get("outputs/flow", format::TEXT, "").1, b"-1");
}
