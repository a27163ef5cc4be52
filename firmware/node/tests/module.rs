//! What a module is to a node: every import of the contract is found, each handler and each fact is taken as it is declared and
//! else refused, and what may stand in its custom section is what is read of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod rig;

use minicbor::Encoder;
use rig::package::{wasm, with_section};
use wasmote_engine::{Module, PageSizes, ValType, validate};
use wasmote_node::Room;
use wasmote_node::contract::{Import, limits, section};
use wasmote_node::module::{Facts, Linked, Slot, link};

fn module(bytes: Vec<u8>) -> Module<'static> {
    let bytes: &'static [u8] = bytes.leak();
    let mut table = vec![0; 64 + bytes.len()];
    let mut scratch = Box::new(Room::new());
    let summary = validate(bytes, &mut table[..], &mut scratch, PageSizes::Any).unwrap();
    Module::new(bytes, table.leak(), &summary).unwrap()
}

fn linked(text: &str) -> Result<Linked, &'static str> {
    link(&module(wasm(text)))
}

/// A module with this custom section.
fn facts(section: &[u8]) -> Result<Facts, &'static str> {
    Facts::read(&module(with_section(wasm("(module)"), section)))
}

/// The link names of contract.toml with their types, as a module's text has them.
fn imports() -> Vec<(String, String)> {
    let toml = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/contract.toml"));
    let toml = toml.unwrap();
    let mut all = vec![];
    for block in toml.split("[[module.import]]\n").skip(1) {
        let entry = |key: &str| {
            let lines = block.lines().take_while(|line| !line.is_empty());
            let mut values = lines.filter_map(|line| line.strip_prefix(&format!("{key} = ")));
            values
                .next()
                .unwrap_or("")
                .replace(['"', '[', ']', ','], "")
        };
        let (parameters, result) = (entry("parameters"), entry("result"));
        let result = if result.is_empty() {
            result
        } else {
            format!("(result {result})")
        };
        all.push((entry("link"), format!("(param {parameters}) {result}")));
    }
    assert!(all.len() >= 8);
    all
}

#[test]
fn every_import_of_the_contract_is_joined_and_no_other() {
    let all = imports();
    let mut found = vec![];
    for (name, ty) in &all {
        let text = format!("(module (import \"wasmote\" \"{name}\" (func {ty})))");
        let linked = linked(&text).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(linked.imports.len(), 1);
        assert!(!found.contains(&linked.imports[0]), "{name}");
        found.push(linked.imports[0]);
        let (_, parameters, results) = Import::find(name).unwrap();
        assert!(parameters.len() <= 4 && results.len() <= 1);
        // With one parameter more, or another result, it is another function.
        let more = ty.replace("(param", "(param i32");
        let other = if ty.contains("result") {
            ty.replace("(result i32)", "(result f32)")
                .replace("(result i64)", "(result i32)")
        } else {
            format!("{ty} (result i32)")
        };
        let other = if other == *ty {
            ty.replace("(result f32)", "(result f64)")
        } else {
            other
        };
        for wrong in [more, other] {
            let text = format!("(module (import \"wasmote\" \"{name}\" (func {wrong})))");
            let why = link(&module(wasm(&text))).unwrap_err();
            assert!(why.contains("another type"), "{name} {wrong}: {why}");
        }
        // The name alone is not enough.
        let text = format!("(module (import \"env\" \"{name}\" (func {ty})))");
        let why = link(&module(wasm(&text))).unwrap_err();
        assert!(why.contains("does not have"), "{name}: {why}");
    }
    for other in ["", "x", "rr", "R"] {
        let text = format!("(module (import \"wasmote\" \"{other}\" (func)))");
        assert!(link(&module(wasm(&text))).is_err(), "{other}");
    }
    let memory = linked("(module (import \"wasmote\" \"r\" (memory 0)))");
    assert_eq!(memory.unwrap_err(), "imports more than functions");
    let many = |count| {
        let one = "(import \"wasmote\" \"n\" (func (result i32)))";
        linked(&format!("(module {})", one.repeat(count))).map(|linked| linked.imports.len())
    };
    assert_eq!((many(16), many(17).is_err()), (Ok(16), true));
}

#[test]
fn handlers_have_the_contracts_types_and_bodies_of_their_own() {
    let handlers = [
        ("start", ""),
        ("sample", "i32 f32"),
        ("tick", ""),
        ("request", "i32 i32 i32"),
    ];
    let all: String = handlers
        .iter()
        .map(|(name, parameters)| format!("(func (export \"{name}\") (param {parameters}))"))
        .collect();
    let one = linked(&format!("(module {all} (func (export \"other\")))")).unwrap();
    let found = [one.start, one.sample, one.tick, one.request];
    assert_eq!(found, [Some(0), Some(1), Some(2), Some(3)]);
    let none = linked("(module (memory 0) (export \"start\" (memory 0)))").unwrap();
    assert_eq!((none.start, none.tick), (None, None));
    for (name, parameters) in handlers {
        let text =
            |ty: &str, body: &str| format!("(module (func (export \"{name}\") {ty} {body}))");
        for (ty, body) in [
            // More than it gets, and as many of another type, and a result.
            (format!("(param {parameters} i32)"), ""),
            (
                format!("(param {})", parameters.replace("i32", "i64") + " i64"),
                "",
            ),
            (format!("(param {parameters}) (result i32)"), "i32.const 0"),
        ] {
            let why = linked(&text(&ty, body)).unwrap_err();
            assert!(why.contains("another type"), "{name} {ty}: {why}");
        }
    }
    // What the node gives is no handler of the module's.
    let why = linked(
        "(module (import \"wasmote\" \"g\" (func $g (param i32 i32))) (func $f (param i32 f32)) (export \"start\" (func $g)))",
    );
    assert!(why.is_err());
    let why = linked(
        "(module (type $t (func (param i32 f32))) (import \"wasmote\" \"p\" (func $p (type $t))) (export \"sample\" (func $p)))",
    );
    assert_eq!(why.unwrap_err(), "exports an import as a handler");
    assert_eq!(ValType::I32, ValType::I32);
}

/// A custom section with lists of so many entries.
fn lists(sensors: u64, outputs: u64, parameters: u64) -> Vec<u8> {
    let mut bytes = vec![];
    let mut e = Encoder::new(&mut bytes);
    e.map(3).unwrap();
    e.u8(section::SENSORS).unwrap().array(sensors).unwrap();
    for number in 0..sensors {
        e.str(&format!("s{number}")).unwrap();
    }
    e.u8(section::OUTPUTS).unwrap().array(outputs).unwrap();
    for number in 0..outputs {
        e.array(2).unwrap().str(&format!("o{number}")).unwrap();
        e.str("mm").unwrap();
    }
    e.u8(section::PARAMETERS)
        .unwrap()
        .array(parameters)
        .unwrap();
    for number in 0..parameters {
        e.array(4).unwrap().str(&format!("p{number}")).unwrap();
        for value in [1.5, 0.5, 2.5] {
            e.f32(value + number as f32).unwrap();
        }
    }
    bytes
}

#[test]
fn facts_are_read_as_they_are_declared_and_counted() {
    let most = u64::from(limits::NAMES);
    for (sensors, outputs, parameters) in [(0, 0, 0), (2, 1, 3), (1, 5, 0), (most, most, most)] {
        let facts = facts(&lists(sensors, outputs, parameters)).unwrap();
        let counts = (
            facts.sensor_count().into(),
            facts.output_count().into(),
            facts.parameter_count().into(),
        );
        assert_eq!(counts, (sensors, outputs, parameters));
        assert_eq!(facts.state_count(), 0);
        let names: Vec<_> = facts.sensors().collect();
        let wanted: Vec<_> = (0..sensors).map(|n| format!("s{n}")).collect();
        assert_eq!(names, wanted);
        for number in 0..=most {
            let index = number as usize;
            let there =
                |count: u64, letter: &str| (number < count).then(|| format!("{letter}{number}"));
            let output = facts.outputs().nth(index);
            let unit = (number < outputs).then_some("mm");
            assert_eq!(output.map(|output| output.unit), unit);
            assert_eq!(
                facts.output_name(index).map(String::from),
                there(outputs, "o")
            );
            let parameter = facts.parameters().nth(index);
            let name = facts.parameter_name(index).map(String::from);
            assert_eq!(name, there(parameters, "p"));
            let ranges =
                parameter.map(|p| [p.initial, p.minimum, p.maximum].map(|v| v - index as f32));
            assert_eq!(ranges, (number < parameters).then_some([1.5, 0.5, 2.5]));
            assert_eq!(facts.state_name(index), None);
        }
    }
    for (sensors, outputs, parameters) in [(most + 1, 0, 0), (0, most + 1, 0), (0, 0, most + 1)] {
        assert!(facts(&lists(sensors, outputs, parameters)).is_err());
    }
    // Without a section there is nothing, and that is no fault.
    let none = Facts::read(&module(wasm("(module)"))).unwrap();
    assert_eq!(
        (none.sensor_count(), none.tick, none.keeps()),
        (0, 0, false)
    );
}

#[test]
fn what_an_output_takes_is_known_by_its_bytes() {
    let mut bytes = vec![];
    let mut e = Encoder::new(&mut bytes);
    e.map(1)
        .unwrap()
        .u8(section::OUTPUTS)
        .unwrap()
        .array(5)
        .unwrap();
    let types: [&[&str]; 5] = [&[], &["t"], &["b"], &["l"], &["u", "count", "d", "mean"]];
    for (number, ty) in types.iter().enumerate() {
        e.array(2 + ty.len() as u64).unwrap();
        e.str(&format!("o{number}")).unwrap().str("mm").unwrap();
        for part in *ty {
            e.str(part).unwrap();
        }
    }
    let slots = facts(&bytes).unwrap().slots();
    assert_eq!((slots[0], slots[1]), (Slot::SINGLE, Slot::TEXT));
    // A record's fields lie where their size divides the place.
    assert_eq!([2, 3, 4].map(|n| slots[n].size()), [1, 8, 16]);
}

#[test]
fn memory_is_used_up_at_the_places_that_a_module_names_and_at_no_other() {
    let mut bytes = vec![];
    let mut e = Encoder::new(&mut bytes);
    e.map(1).unwrap().u8(section::EXHAUSTED).unwrap();
    e.array(2).unwrap().u32(17).unwrap().u32(u32::MAX).unwrap();
    let facts = facts(&bytes).unwrap();
    let places = [0, 16, 17, 18, u32::MAX - 1, u32::MAX];
    let told = places.map(|at| facts.exhausts(at));
    assert_eq!(told, [false, false, true, false, false, true]);
}

#[test]
fn a_section_that_is_cut_short_or_says_what_cannot_be_is_refused() {
    let whole = lists(2, 2, 2);
    assert!(facts(&whole).is_ok());
    for length in 0..whole.len() {
        assert!(facts(&whole[..length]).is_err(), "{length}");
    }
    let parameter = |initial: f32, minimum: f32, maximum: f32| {
        let mut bytes = vec![];
        let mut e = Encoder::new(&mut bytes);
        e.map(1).unwrap().u8(section::PARAMETERS).unwrap();
        e.array(1).unwrap().array(4).unwrap().str("p").unwrap();
        for value in [initial, minimum, maximum] {
            e.f32(value).unwrap();
        }
        facts(&bytes).is_ok()
    };
    assert!(parameter(1.0, 1.0, 1.0) && parameter(1.0, 0.0, 1.0) && parameter(0.0, 0.0, 1.0));
    for wrong in [
        (2.0, 0.0, 1.0),
        (-1.0, 0.0, 1.0),
        (0.5, 1.0, 0.0),
        (f32::NAN, 0.0, 1.0),
        (0.5, f32::NAN, 1.0),
        (0.5, 0.0, f32::NAN),
    ] {
        assert!(!parameter(wrong.0, wrong.1, wrong.2), "{wrong:?}");
    }
    for name in ["", "a b", "a\"b", "a/b", "\u{202e}x", &"n".repeat(33)] {
        let mut bytes = vec![];
        let mut e = Encoder::new(&mut bytes);
        e.map(1).unwrap().u8(section::SENSORS).unwrap();
        e.array(1).unwrap().str(name).unwrap();
        assert!(facts(&bytes).is_err(), "{name}");
    }
}
