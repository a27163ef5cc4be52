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
use rig::{Memory, Rig, running, vectors};
use serde_json::{Map, Value, json};
use wasmote_coap::{Code, Message, format, option};
use wasmote_node::Provision;
use wasmote_node::contract::{Kind, RESOURCES};

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
        if matches!(resource.kind, Kind::Request | Kind::State) {
            // The module of this package has no handler for requests, and keeps nothing: for that see states.rs.
            assert!(!core.contains(&link));
            continue;
        }
        if matches!(resource.kind, Kind::Key | Kind::Exchange) {
            // Each has a number, which the list tells; a place that is empty has nothing.
            assert!(!core.contains(&format!("\"{}\"", resource.rt)));
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

/// What the JSON of a document has under a name of SenML, and whether that goes on by itself.
fn find<'v>(document: &'v Value, name: &str) -> Option<(&'v Value, bool)> {
    let mut found = document.as_object().map(|_| document)?;
    let moving = ["uptime", "coap", "at", "age", "lines", "fuel_total"];
    for part in name.split('/') {
        found = match found {
            Value::Array(list) => list.get(part.parse::<usize>().ok()?)?,
            other => other.get(part)?,
        };
    }
    Some((found, name.split('/').any(|part| moving.contains(&part))))
}

/// The value of a record of SenML in JSON or CBOR (RFC 8428 §4.3, §6).
fn value(record: &Value) -> Value {
    let names = [("v", "2"), ("vs", "3"), ("vb", "4"), ("vd", "8")];
    let mut all = names
        .iter()
        .filter_map(|(name, label)| Some((*name, record.get(*name).or(record.get(*label))?)));
    let (name, value) = all.next_back().unwrap();
    if name != "vd" || record.get("8").is_some() {
        return value.clone();
    }
    // RFC 4648 §5, as the document shows bytes in JSON.
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bits = String::new();
    for letter in value.as_str().unwrap().bytes() {
        let at = digits.iter().position(|d| *d == letter).unwrap();
        bits += &format!("{at:06b}");
    }
    let bytes = bits.as_bytes().chunks_exact(8).map(|bits| {
        let bits = std::str::from_utf8(bits).unwrap();
        format!("{:02x}", u8::from_str_radix(bits, 2).unwrap())
    });
    json!(bytes.collect::<String>())
}

#[test]
fn a_package_says_what_it_reads_publishes_and_can_be_set() {
    let (_, mut node) = running();
    let app = node.json("app");
    assert_eq!(app["sensors"], json!(["level"]));
    assert_eq!(app["outputs"], json!(["flow"]));
    assert_eq!(app["params"], json!(["limit"]));
    // What is in the making shows itself to whoever debugs it.
    assert!(node.debug().contains("active"), "{}", node.debug());
}

#[test]
fn what_can_be_read_says_the_same_in_each_of_its_formats() {
    let (_, mut node) = running();
    node.request(Code::PUT, "time", &[], b"1700000000.5");
    let read =
        |r: &&wasmote_node::contract::Resource| !r.formats.is_empty() && r.kind != Kind::State;
    for resource in RESOURCES.iter().filter(read) {
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
                let moves =
                    ["uptime", "coap", "at", "age", "lines", "fuel_total"].contains(&key.as_str());
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
            // §4.2: exactly one value.
            let values = ["v", "vs", "vb", "vd"]
                .iter()
                .filter(|key| record.get(**key).is_some());
            assert_eq!(values.count(), 1, "{path}: {record}");
            if let Some((told, moves)) = find(&plain, name) {
                let (own, packed) = (value(record), value(binary));
                assert!(moves || same(&own, told), "{path}: {name}: {record} {told}");
                assert!(
                    moves || same(&packed, told),
                    "{path}: {name}: {binary} {told}"
                );
            }
        }
        // RFC 8428 §4.2: a pack has at least one record.
        assert!(!pack.is_empty(), "{path}");
        let empty = ["empty", "none"]
            .iter()
            .any(|e| pack[0]["n"] == **e || pack[0]["vs"] == **e);
        assert_eq!(text.is_empty(), empty, "{path}: {text}");
        assert_eq!(node.get(&path, format::OCTETS, "").0, Code::NOT_ACCEPTABLE);
    }
}

#[test]
fn documents_have_what_the_contract_says_and_nothing_else() {
    let (_, mut node) = running();
    node.feed(12);
    let trap = vectors();
    node.push(trap.named("good, and traps at its first sample"));
    node.feed(1);
    node.block(trap.named("signed later"), 0, 256);
    let kind = |value: &Value| match value {
        Value::String(_) => "text",
        Value::Number(_) => "uint",
        Value::Bool(_) => "bool",
        Value::Object(_) => "map",
        Value::Array(_) => "list",
        Value::Null => "null",
    };
    for (name, entries) in wasmote_node::contract::DOCUMENTS {
        let path = match *name {
            "staged" => "app/staged",
            "tier" => "app/tier",
            name => name,
        };
        let document = node.json(path);
        let mut seen = 0;
        let mut all: Vec<(String, Value)> = document
            .as_object()
            .unwrap()
            .iter()
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        while let Some((key, value)) = all.pop() {
            let found = entries.iter().find(|(k, _)| *k == key);
            let (_, said) = found.unwrap_or_else(|| panic!("{path}: {key} is not in the contract"));
            // JSON shows bytes as a text.
            let said = match said.split(' ').next().unwrap() {
                "uint32" | "uint64" => "uint",
                "bytes" | "one" => "text",
                "counters" => "map",
                other => other,
            };
            assert_eq!(said, kind(&value), "{path}: {key}");
            seen += 1;
            for (inner, value) in value.as_object().into_iter().flatten() {
                all.push((format!("{key}.{inner}"), value.clone()));
            }
        }
        // The rig has no network, no tasks, no ranger and no place of its trap after the return.
        assert!(
            seen + 6 >= entries.len(),
            "{path}: {seen} of {}",
            entries.len()
        );
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
    // What follows so soon is written a little later: see settings.rs.
    node.wait(10_000);
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

fn to_cbor<T: minicbor::Encode<()>>(value: T) -> Vec<u8> {
    let mut bytes = [0; 16];
    let mut to = minicbor::encode::write::Cursor::new(&mut bytes[..]);
    minicbor::encode(value, &mut to).unwrap();
    let length = to.position();
    bytes[..length].to_vec()
}

#[test]
fn the_clock_and_parameters_take_whole_numbers_of_64_bits_in_every_format() {
    let (_, mut node) = running();
    let put = |node: &mut Rig, path: &str, format: u16, payload: &[u8]| {
        node.wait(2_000);
        let options = [(wasmote_coap::option::CONTENT_FORMAT, vec![format as u8])];
        node.request(Code::PUT, path, &options, payload).0
    };
    let cbor = |seconds: u64| to_cbor(seconds);
    for seconds in [
        0x7fff_ffffu64,
        0x8000_0000,
        0xffff_ffff,
        0x1_0000_0000,
        253_402_300_000,
    ] {
        let text = seconds.to_string().into_bytes();
        for (format, body) in [
            (format::TEXT, text.clone()),
            (format::JSON, text),
            (format::CBOR, cbor(seconds)),
            (format::CBOR, to_cbor(seconds as f64)),
        ] {
            assert_eq!(
                put(&mut node, "time", format, &body),
                Code::CHANGED,
                "{seconds}"
            );
            let near = |v: f64| assert!((v - seconds as f64).abs() < 60.0, "{v} {seconds}");
            near(node.json("time").as_f64().unwrap());
            let (_, payload) = node.get("time", format::CBOR, "");
            near(minicbor::decode(&payload).unwrap());
            let (_, payload) = node.get("time", format::SENML_JSON, "");
            let pack: Value = serde_json::from_slice(&payload).unwrap();
            near(pack[0]["v"].as_f64().unwrap());
            node.feed(1);
            let (_, payload) = node.get("sensors/level", format::SENML_JSON, "");
            let pack: Value = serde_json::from_slice(&payload).unwrap();
            near(pack[0]["t"].as_f64().unwrap());
        }
    }
    for wrong in [
        cbor(u64::MAX),
        to_cbor(-1i64),
        to_cbor(i64::MIN),
        to_cbor(f64::INFINITY),
    ] {
        assert_eq!(
            put(&mut node, "time", format::CBOR, &wrong),
            Code::BAD_REQUEST
        );
        assert_eq!(
            put(&mut node, "app/params/limit", format::CBOR, &wrong),
            Code::BAD_REQUEST
        );
    }
    assert_eq!(
        put(
            &mut node,
            "app/params/limit",
            format::CBOR,
            &[0x1b, 0, 0, 0, 0, 0, 0, 0, 7]
        ),
        Code::CHANGED
    );
    assert_eq!(node.get("app/params/limit", format::TEXT, "").1, b"7");
}

#[test]
fn a_parameter_that_has_its_value_already_is_not_written_again() {
    let (memory, mut node) = running();
    let put = |node: &mut Rig, value: &str| {
        node.wait(2_000);
        node.request(Code::PUT, "app/params/limit", &[], value.as_bytes())
            .0
    };
    // 1 is what it begins with.
    for value in ["1", "2", "2", "2.0", "1"] {
        assert_eq!(put(&mut node, value), Code::CHANGED);
        let asked = memory.asked.get();
        for _ in 0..5 {
            assert_eq!(put(&mut node, value), Code::CHANGED);
        }
        assert_eq!(memory.asked.get(), asked, "{value}");
    }
}

#[test]
fn no_value_and_no_number_look_in_each_format_as_its_standard_has_it() {
    let v = vectors();
    let memory = Memory::new();
    let mut node = Rig::boot(&memory, &v.keys[..1]);
    assert_eq!(node.push(v.named("first")).0, Code::CHANGED);
    let read = |node: &mut Rig, path: &str| {
        let json: Value = node.json(path)["value"].clone();
        let (_, packed) = node.get(path, format::SENML_CBOR, "");
        let (_, pack) = node.get(path, format::SENML_JSON, "");
        let pack: Value = serde_json::from_slice(&pack).unwrap();
        let (_, text) = node.get(path, format::TEXT, "");
        let record = pack[0].as_object().unwrap().clone();
        let packed = whole(&packed);
        // Both have one record with a base name, a name, and one value of the same kind.
        assert_eq!(
            packed.as_array().unwrap().len(),
            pack.as_array().unwrap().len()
        );
        assert_eq!(packed[0]["-2"], record["bn"]);
        assert_eq!(packed[0]["0"], record["n"]);
        assert_eq!(packed[0].get("2").is_some(), record.contains_key("v"));
        assert_eq!(packed[0].get("3"), record.get("vs"));
        let shown = record.get("v").or(record.get("vs")).unwrap().clone();
        (json, shown, String::from_utf8(text).unwrap())
    };
    for path in ["sensors/level", "outputs/flow"] {
        assert_eq!(
            read(&mut node, path),
            (Value::Null, "none".into(), String::new())
        );
    }
    for (value, text) in [
        (f32::NAN, "NaN"),
        (f32::INFINITY, "inf"),
        (f32::NEG_INFINITY, "-inf"),
    ] {
        node.sample(value);
        for path in ["sensors/level", "outputs/flow"] {
            let expected = (text.into(), text.into(), text.to_owned());
            assert_eq!(read(&mut node, path), expected, "{path}");
        }
    }
    node.sample(1.5);
    for path in ["sensors/level", "outputs/flow"] {
        assert_eq!(
            read(&mut node, path),
            (1.5.into(), 1.5.into(), "1.5".to_owned())
        );
    }
}

#[test]
fn a_sensor_that_is_not_well_says_so_instead_of_an_old_value() {
    use wasmote_node::Fault;
    let (_, mut node) = running();
    for _ in 0..3 {
        node.sample(1234.0);
        node.wait(150);
    }
    let get = |node: &mut Rig, query: &str| {
        let (code, payload) = node.get("sensors/level", format::TEXT, query);
        (code, String::from_utf8(payload).unwrap())
    };
    // One echo that is missing among others is counted, and hides no value.
    node.fault(Fault::NoEcho);
    assert_eq!(get(&mut node, ""), (Code::CONTENT, "1234".into()));
    node.observe("sensors/level");
    let mut observers = 1;
    for (fault, name) in [
        (Fault::NoEcho, "no echo"),
        (Fault::Damaged, "damaged"),
        (Fault::Model, "wrong model"),
        (Fault::Silent, "silent"),
    ] {
        node.sample(1234.0);
        node.wait(5_000);
        assert_eq!(
            get(&mut node, "").0,
            Code::CONTENT,
            "a value that is old says so by its time"
        );
        node.notified();
        for _ in 0..3 {
            node.fault(fault);
        }
        assert_eq!(node.notified(), observers, "{name}: told once");
        let (code, text) = get(&mut node, "");
        assert_eq!(code, Code::SERVICE_UNAVAILABLE, "{name}");
        assert!(
            text.contains(name) && text.contains("1234 was 5 s ago"),
            "{text}"
        );
        for form in [
            format::JSON,
            format::CBOR,
            format::SENML_JSON,
            format::SENML_CBOR,
        ] {
            assert_eq!(
                node.get("sensors/level", form, "").0,
                Code::SERVICE_UNAVAILABLE
            );
        }
        // What it said while it was well is still there, with its time.
        let (code, pack) = node.get("sensors/level", format::SENML_JSON, "n=2");
        let pack: Value = serde_json::from_slice(&pack).unwrap();
        assert_eq!((code, pack[1]["v"].as_f64()), (Code::CONTENT, Some(1234.0)));
        assert!(pack[1]["t"].as_f64().unwrap() < 0.0);
        // Who begins to observe now goes on when it is well again.
        node.observe("sensors/level");
        observers += 1;
        node.sample(9.0);
        assert_eq!(node.notified(), observers, "{name}");
        assert_eq!(get(&mut node, ""), (Code::CONTENT, "9".into()));
    }
    let faults = node.json("stats")["faults"].clone();
    assert_eq!(
        faults,
        serde_json::json!({"no_echo": 4, "damaged": 3, "wrong_model": 3, "silent": 3})
    );
}

#[test]
fn a_text_is_escaped_no_further_than_json_asks_for() {
    let (_, mut node) = running();
    let (_, json) = node.get("node", format::JSON, "");
    let json = String::from_utf8(json).unwrap();
    assert!(json.contains(r#""power on""#), "{json}");
}

#[test]
fn a_value_is_good_until_the_next_but_one_is_due_and_then_no_longer() {
    let (_, mut node) = running();
    let max_age = |node: &mut Rig| {
        let answer = node
            .exchange(Code::GET, "sensors/level", &[], b"")
            .remove(0);
        let message = Message::parse(&answer).unwrap();
        // RFC 7252 §5.10.5: 60 where nothing is said.
        let value = message.options.get(option::MAX_AGE);
        value.map_or(60, |v| v.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)))
    };
    node.sample(1.0);
    assert_eq!(max_age(&mut node), 60, "how often it comes is not known");
    node.wait(4_000);
    node.sample(2.0);
    assert!((8..=9).contains(&max_age(&mut node)));
    node.wait(5_000);
    assert!((3..=4).contains(&max_age(&mut node)));
    for later in [5_000, 1_000, 86_400_000, 50 * 86_400_000] {
        node.wait(later);
        assert_eq!(max_age(&mut node), 0, "nothing came for long");
    }
    node.sample(3.0);
    assert_eq!(max_age(&mut node), 60);
}

#[test]
fn a_level_rises_with_the_water_and_its_distance_can_be_read() {
    let provision = Provision {
        height: Some(5_000),
        ..Provision::default()
    };
    let mut node = Rig::provisioned(&Memory::new(), provision);
    let read = |node: &mut Rig, query: &str| {
        String::from_utf8(node.get("sensors/level", format::TEXT, query).1).unwrap()
    };
    assert_eq!(read(&mut node, "raw"), "");
    for (distance, level) in [(4_000.0, "1000"), (1_500.0, "3500"), (5_200.0, "-200")] {
        node.distance(distance);
        assert_eq!(read(&mut node, ""), level);
        assert_eq!(read(&mut node, "raw"), distance.to_string());
        // Nor is an old distance given for the present one.
        node.fault(wasmote_node::Fault::Silent);
        let (code, text) = node.get("sensors/level", format::TEXT, "raw");
        let text = String::from_utf8(text).unwrap();
        assert_eq!(code, Code::SERVICE_UNAVAILABLE);
        assert!(text.contains(&format!("silent; {distance} was")), "{text}");
        node.distance(distance);
    }
    assert_eq!(node.json("node")["height"], 5_000);
    let (_, pack) = node.get("sensors/level", format::SENML_JSON, "raw");
    let pack: Value = serde_json::from_slice(&pack).unwrap();
    assert_eq!(
        (&pack[0]["n"], &pack[0]["u"]),
        (&"distance".into(), &"mm".into())
    );
    // Nobody said how high it hangs: the distance is what there is.
    let links = |node: &mut Rig| {
        let (_, links) = node.get(".well-known/core", format::LINK, "");
        String::from_utf8(links).unwrap()
    };
    assert!(!links(&mut node).contains("no height"));
    assert_eq!(node.json("node")["missing"], serde_json::json!([]));
    let mut node = Rig::provisioned(&Memory::new(), Provision::default());
    node.distance(4_000.0);
    assert_eq!(read(&mut node, ""), "4000");
    // It is said wherever somebody looks.
    let said = "height (level is the distance)";
    assert_eq!(node.json("node")["missing"], serde_json::json!([said]));
    assert!(node.log().contains(said));
    assert!(links(&mut node).contains("title=\"the distance, as no height is provisioned\""));
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

#[test]
fn readers_in_blocks_get_one_moment_each_while_others_read_observe_and_change_things() {
    // RFC 7959 §2.4: the parts of a body are of one state of it.
    let (_memory, mut node) = running();
    node.observe("sensors/level");
    let formats = [
        format::TEXT,
        format::SENML_JSON,
        format::SENML_CBOR,
        format::CBOR,
        format::JSON,
    ];
    let block = |number: u16| {
        let value = (number << 4 | 2).to_be_bytes();
        value
            .into_iter()
            .skip_while(|b| *b == 0)
            .collect::<Vec<_>>()
    };
    for path in ["node", "stats"] {
        let mut bodies: [Vec<u8>; 5] = Default::default();
        let mut done = [false; 5];
        for number in 0..100 {
            for (index, form) in formats.iter().enumerate() {
                if done[index] {
                    continue;
                }
                node.wait(7);
                node.burst(1);
                let accept: Vec<u8> = [*form as u8].into_iter().filter(|b| *b > 0).collect();
                let options = [
                    (wasmote_coap::option::ACCEPT, accept),
                    (wasmote_coap::option::BLOCK2, block(number)),
                ];
                let (code, part) = node.request(Code::GET, path, &options, &[]);
                assert_eq!(code, Code::CONTENT, "block {number} of /{path} as {form}");
                bodies[index].extend_from_slice(&part);
                done[index] = part.len() < 64;
            }
        }
        assert_eq!(done, [true; 5]);
        // A body of two moments is none: lengths of numbers differ, and the totals disagree.
        let json: Value = serde_json::from_slice(&bodies[4]).unwrap();
        assert_eq!(
            cbor(&mut Decoder::new(&bodies[3]))
                .as_object()
                .unwrap()
                .len(),
            json.as_object().unwrap().len()
        );
        if path == "node" {
            let c = &json["coap"];
            let sum: u64 = [
                "malformed",
                "pings",
                "settled",
                "stray",
                "duplicates",
                "answered",
                "separate",
                "full",
                "suppressed",
            ]
            .iter()
            .map(|name| c[name].as_u64().unwrap())
            .sum();
            // The request that is being answered is not counted yet.
            assert_eq!(c["received"].as_u64().unwrap(), sum);
        }
        // Who reads it anew sees a newer one.
        let (_, fresh) = node.get(path, format::JSON, "");
        assert_ne!(fresh, bodies[4]);
    }
}
