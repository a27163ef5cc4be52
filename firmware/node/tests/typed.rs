//! Outputs that are no plain singles, in every format a node answers in: texts, numbers of all types, records, and numbers that are none.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod rig;

use minicbor::data::Type;
use minicbor::{Decoder, Encoder};
use rig::{Memory, Rig, package, vectors};
use serde_json::{Value, json};
use wasmote_coap::{Code, format};
use wasmote_node::contract::{limits, section, ty};

/// A module that tells of each sample a double, a record of all types, and a text: bytes that are no UTF-8 where it is negative.
const MODULE: &str = r#"(module
  (import "wasmote" "o" (func $tell (param i32 i32 i32)))
  (memory 128 (pagesize 1))
  (data (i32.const 80) "high \"water\"")
  (data (i32.const 96) "a\ff\0ab")
  (func (export "sample") (param i32 f32)
    (f64.store (i32.const 0) (f64.promote_f32 (local.get 1)))
    (call $tell (i32.const 0) (i32.const 0) (i32.const 8))
    (f32.store (i32.const 16) (local.get 1))
    (i32.store8 (i32.const 20) (f32.gt (local.get 1) (f32.const 0)))
    (i32.store (i32.const 24) (i32.const -7))
    (i32.store (i32.const 28) (i32.const -1))
    (i64.store (i32.const 32) (i64.const -9007199254740993))
    (f64.store (i32.const 40) (f64.promote_f32 (local.get 1)))
    (call $tell (i32.const 1) (i32.const 16) (i32.const 32))
    (if (f32.lt (local.get 1) (f32.const 0))
      (then (call $tell (i32.const 2) (i32.const 96) (i32.const 4)))
      (else (call $tell (i32.const 2) (i32.const 80) (i32.const 12))))))"#;

/// Letters and names of the record.
const FIELDS: [(&str, &str); 6] = [
    (ty::F32, "single"),
    (ty::BOOL, "wet"),
    (ty::I32, "less"),
    (ty::U32, "most"),
    (ty::I64, "long"),
    (ty::F64, "double"),
];

fn about(outputs: impl Fn(&mut Encoder<&mut Vec<u8>>)) -> Vec<u8> {
    let mut bytes = vec![];
    let mut e = Encoder::new(&mut bytes);
    e.map(3).unwrap();
    e.u8(section::CONTRACT).unwrap().u8(1).unwrap();
    e.u8(section::SENSORS).unwrap().array(1).unwrap();
    e.str("level").unwrap();
    e.u8(section::OUTPUTS).unwrap();
    outputs(&mut e);
    bytes
}

fn push(text: &str, about: &[u8]) -> (Rig, Code) {
    let mut node = Rig::boot(&Memory::new(), &vectors().keys[..1]);
    let module = package::with_section(package::wasm(text), about);
    let (code, _) = node.push(&package::package(5, &module));
    (node, code)
}

fn running() -> Rig {
    let about = about(|e| {
        e.array(3).unwrap();
        e.array(3).unwrap().str("flow").unwrap();
        e.str("m3/s").unwrap().str(ty::F64).unwrap();
        e.array(2 + 2 * FIELDS.len() as u64).unwrap();
        e.str("all").unwrap().str("").unwrap();
        for (letter, name) in FIELDS {
            e.str(letter).unwrap().str(name).unwrap();
        }
        e.array(3).unwrap().str("word").unwrap();
        e.str("").unwrap().str(ty::TEXT).unwrap();
    });
    let (node, code) = push(MODULE, &about);
    assert_eq!(code, Code::CHANGED);
    node
}

/// Any CBOR as JSON: a number that is none as its name, and keys of SenML as numbers.
fn plain(d: &mut Decoder<'_>) -> Value {
    let odd = |v: f64| match v {
        v if v.is_finite() => json!(v),
        v if v.is_nan() => json!("NaN"),
        v => json!(if v > 0.0 { "inf" } else { "-inf" }),
    };
    match d.datatype().unwrap() {
        Type::Map | Type::MapIndef => {
            let mut map = serde_json::Map::new();
            let count = d.map().unwrap();
            while count != Some(map.len() as u64) && d.datatype().unwrap() != Type::Break {
                let key = match plain(d) {
                    Value::String(key) => key,
                    key => key.to_string(),
                };
                map.insert(key, plain(d));
            }
            if count.is_none() {
                d.skip().unwrap();
            }
            map.into()
        }
        Type::Array | Type::ArrayIndef => {
            let mut all = vec![];
            let count = d.array().unwrap();
            while count != Some(all.len() as u64) && d.datatype().unwrap() != Type::Break {
                all.push(plain(d));
            }
            if count.is_none() {
                d.skip().unwrap();
            }
            all.into()
        }
        Type::String => d.str().unwrap().into(),
        Type::Bool => d.bool().unwrap().into(),
        Type::Null => {
            d.null().unwrap();
            Value::Null
        }
        Type::F32 => odd(d.f32().unwrap().into()),
        Type::F64 => odd(d.f64().unwrap()),
        _ => {
            let int = d.int().unwrap();
            i64::try_from(int).unwrap().into()
        }
    }
}

/// An output in all formats: value in JSON and in CBOR, packs of SenML with the names of RFC 8428, and the text.
fn read(node: &mut Rig, name: &str) -> (Value, Value, Value, Value, String) {
    let path = format!("outputs/{name}");
    let json = node.json(&path);
    let (_, bytes) = node.get(&path, format::CBOR, "");
    let mut cbor = plain(&mut Decoder::new(&bytes));
    // What else they say is the same in both.
    for key in ["unit", "at"] {
        assert_eq!(json[key], cbor[key], "{key}");
    }
    let (_, bytes) = node.get(&path, format::SENML_JSON, "");
    let pack: Value = serde_json::from_slice(&bytes).unwrap();
    let (_, bytes) = node.get(&path, format::SENML_CBOR, "");
    let mut packed = plain(&mut Decoder::new(&bytes)).to_string();
    // RFC 8428 §6.
    for (label, name) in [
        ("-2", "bn"),
        ("0", "n"),
        ("1", "u"),
        ("2", "v"),
        ("3", "vs"),
        ("4", "vb"),
        ("6", "t"),
    ] {
        packed = packed.replace(&format!("\"{label}\":"), &format!("\"{name}\":"));
    }
    let text = String::from_utf8(node.get(&path, format::TEXT, "").1).unwrap();
    let value = |v: &mut Value| v["value"].take();
    let packed = serde_json::from_str(&packed).unwrap();
    (
        value(&mut json.clone()),
        value(&mut cbor),
        pack,
        packed,
        text,
    )
}

/// The records of a pack without their times, which are all the same; and that time.
fn timed(pack: &Value) -> (Value, Option<f64>) {
    let mut pack = pack.clone();
    let records = pack.as_array_mut().unwrap();
    let times: Vec<Option<f64>> = records
        .iter_mut()
        .map(|r| r.as_object_mut().unwrap().remove("t"))
        .map(|t| t.and_then(|t| t.as_f64()))
        .collect();
    assert!(times.iter().all(|t| *t == times[0]), "{times:?}");
    (pack, times[0])
}

#[test]
fn a_value_of_any_type_is_the_same_in_every_format_and_what_is_no_number_has_its_name() {
    let mut node = running();
    for name in ["flow", "word", "all"] {
        let (json, cbor, pack, _, text) = read(&mut node, name);
        assert_eq!((json, cbor), (Value::Null, Value::Null), "{name}");
        assert_eq!(pack[0]["vs"], "none", "{name}");
        assert_eq!(text, "", "{name}");
    }
    for (sample, shown) in [
        (1.5f32, None),
        (-0.25, None),
        (f32::NAN, Some("NaN")),
        (f32::INFINITY, Some("inf")),
        (f32::NEG_INFINITY, Some("-inf")),
    ] {
        node.wait(1_000);
        node.sample(sample);
        node.wait(2_000);
        let number = shown.map_or_else(|| json!(sample), |name| json!(name));
        let field = if shown.is_some() { "vs" } else { "v" };

        let (json, cbor, pack, packed, text) = read(&mut node, "flow");
        assert_eq!((&json, &cbor), (&number, &number));
        assert_eq!(text, number.to_string().trim_matches('"'));
        let expected = json!([{"bn": "rig/", "n": "flow", field: number, "u": "m3/s"}]);
        let (records, time) = timed(&pack);
        assert_eq!(records, expected);
        assert_eq!(timed(&packed).0, expected);
        assert!((timed(&packed).1.unwrap() - time.unwrap()).abs() < 0.1);
        // Without a clock it is said how long ago that was (RFC 8428 §4.5.3).
        assert!((-3.0..-1.9).contains(&time.unwrap()), "{time:?}");

        let all = json!({"single": number, "wet": sample > 0.0, "less": -7, "most": u32::MAX,
            "long": -9_007_199_254_740_993i64, "double": number});
        let (json, cbor, pack, packed, text) = read(&mut node, "all");
        assert_eq!((&json, &cbor), (&all, &all));
        let shown = number.to_string();
        let shown = shown.trim_matches('"');
        let wet = sample > 0.0;
        assert_eq!(
            text,
            format!(
                "single: {shown}\nwet: {wet}\nless: -7\nmost: 4294967295\nlong: -9007199254740993\ndouble: {shown}\n"
            )
        );
        let mut expected = json!([
            {"n": "all/single", field: number}, {"n": "all/wet", "vb": wet},
            {"n": "all/less", "v": -7}, {"n": "all/most", "v": u32::MAX},
            {"n": "all/long", "v": -9_007_199_254_740_993i64}, {"n": "all/double", field: number}]);
        expected[0]["bn"] = "rig/".into();
        let (records, time) = timed(&pack);
        assert_eq!(records, expected);
        assert_eq!(timed(&packed).0, expected);
        assert!((timed(&packed).1.unwrap() - time.unwrap()).abs() < 0.1);

        let word = if sample < 0.0 {
            "a\u{fffd}\nb"
        } else {
            "high \"water\""
        };
        let (json, cbor, pack, packed, text) = read(&mut node, "word");
        assert_eq!((&json, &cbor), (&json!(word), &json!(word)));
        assert_eq!(text, word);
        let expected = json!([{"bn": "rig/", "n": "word", "vs": word}]);
        assert_eq!(timed(&pack).0, expected);
        assert_eq!(timed(&packed).0, expected);
    }
    // With a clock it is the time itself.
    assert_eq!(
        node.request(Code::PUT, "time", &[], b"1700000000").0,
        Code::CHANGED
    );
    node.sample(3.0);
    for name in ["flow", "all", "word"] {
        let (_, _, pack, packed, _) = read(&mut node, name);
        let time = timed(&pack).1.unwrap();
        assert!((1_699_999_999.0..1_700_000_010.0).contains(&time), "{time}");
        assert!((timed(&packed).1.unwrap() - time).abs() < 0.1);
    }
}

#[test]
fn as_many_outputs_have_types_as_there_are_places_and_no_more() {
    let most = limits::TYPED_OUTPUTS as u64;
    for (count, taken) in [(most, true), (most + 1, false)] {
        let about = about(|e| {
            e.array(count).unwrap();
            for number in 0..count {
                e.array(3).unwrap().str(&format!("o{number}")).unwrap();
                e.str("").unwrap().str(ty::I32).unwrap();
            }
        });
        let calls: String = (0..count)
            .map(|n| {
                let value = n * 11 + 1;
                format!("(i32.store (i32.const 0) (i32.const {value})) (call $tell (i32.const {n}) (i32.const 0) (i32.const 4))")
            })
            .collect();
        let text = format!(
            r#"(module (import "wasmote" "o" (func $tell (param i32 i32 i32))) (memory 16 (pagesize 1))
            (func (export "sample") (param i32 f32) {calls}))"#
        );
        let (mut node, code) = push(&text, &about);
        assert_eq!(code == Code::CHANGED, taken, "{count} typed outputs");
        if !taken {
            continue;
        }
        node.sample(1.0);
        for number in 0..count {
            let path = format!("outputs/o{number}");
            assert_eq!(node.json(&path)["value"], number * 11 + 1);
        }
    }
}
