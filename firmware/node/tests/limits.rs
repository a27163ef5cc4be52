//! Every limit that a node has for a package and for what a module says of itself: at the limit it is taken, one beyond it is refused, and
//! for that reason.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod rig;

use minicbor::Encoder;
use rig::package::{Wanted, key, wanted, wasm, with_section};
use rig::{Memory, Rig, vectors};
use wasmote_coap::Code;
use wasmote_node::contract::{limits, section, ty};

/// A node that has installed number 100 of era 3.
fn node() -> (Memory, Rig) {
    let memory = Memory::new();
    let mut node = Rig::boot(&memory, &[*key().verifying_key().as_bytes()]);
    for era in 1..=3 {
        let all = Wanted {
            era,
            sequence: 100,
            ..Wanted::default()
        };
        let (code, text) = node.push(&wanted(&all, &wasm("(module)")));
        assert_eq!(code, Code::CHANGED, "{}", String::from_utf8_lossy(&text));
        node.wait(1_000);
    }
    (memory, node)
}

/// What a node says of a package; it has taken it where that is nothing.
fn said(all: &Wanted, module: &[u8]) -> String {
    let (_, mut node) = node();
    let (code, text) = node.push(&wanted(all, module));
    let text = String::from_utf8(text).unwrap();
    assert_eq!(code == Code::CHANGED, text.is_empty(), "{code} {text}");
    text
}

fn next() -> Wanted {
    Wanted {
        era: 3,
        sequence: 101,
        ..Wanted::default()
    }
}

#[test]
fn a_number_follows_on_what_was_installed_and_none_is_skipped_by_too_much() {
    let jump = limits::SEQUENCE_JUMP;
    let of = |era, sequence| Wanted {
        era,
        sequence,
        ..Wanted::default()
    };
    let module = wasm("(module)");
    let cases = [
        (3, 101, ""),
        (3, 100 + jump, ""),
        (4, 1, ""),
        (4, jump, ""),
        (3, 100, "sequence: not newer"),
        (3, 99, "sequence: not newer"),
        (3, 1, "sequence: not newer"),
        (3, 101 + jump, "sequence: too far"),
        (3, u32::MAX, "sequence: too far"),
        (4, jump + 1, "sequence: too far"),
        (4, u32::MAX, "sequence: too far"),
        (2, 101, "sequence: of an era that is over"),
        (0, u32::MAX, "sequence: of an era that is over"),
        (5, 1, "sequence: of an era that is not the next"),
        (u32::MAX, 1, "sequence: of an era that is not the next"),
    ];
    for (era, sequence, expected) in cases {
        let text = said(&of(era, sequence), &module);
        let good = text.starts_with(expected) && text.is_empty() == expected.is_empty();
        assert!(good, "{era} {sequence}: {text}");
    }
}

#[test]
fn a_package_needs_no_more_than_the_node_has() {
    // The rig's: see `Rig::provisioned`.
    let (ram, fuel, sensors, outputs) = (16 * 1024, 100_000, 1, limits::NAMES);
    let module = wasm("(module)");
    let cases = [
        ([ram, 0, fuel, sensors, outputs], ""),
        ([ram + 1, 0, 0, 0, 0], "needs: needs more RAM"),
        ([0, 0, fuel + 1, 0, 0], "needs: needs more fuel"),
        ([0, 0, 0, sensors + 1, 0], "needs: needs more sensors"),
        ([0, 0, 0, 0, outputs + 1], "needs: needs more outputs"),
    ];
    for (needs, expected) in cases {
        let text = said(&Wanted { needs, ..next() }, &module);
        let good = text.starts_with(expected) && text.is_empty() == expected.is_empty();
        assert!(good, "{needs:?}: {text}");
    }
}

#[test]
fn a_module_takes_the_ram_of_a_node_to_the_last_byte_whatever_it_says_that_it_needs() {
    const RAM: u32 = 16 * 1024;
    let ram = |bytes: u32| {
        let text = format!("(module (memory {bytes} (pagesize 1)))");
        let (_, mut node) = node();
        let (code, payload) = node.push(&wanted(&next(), &wasm(&text)));
        let taken = code == Code::CHANGED;
        let refused = String::from_utf8_lossy(&payload).starts_with("needs: needs more RAM");
        assert_eq!(taken, !refused, "{code} {payload:?}");
        taken.then(|| node.json("app")["ram"].as_u64().unwrap() as u32)
    };
    // What it takes beside its memory is a little, and the same whatever the memory: the last that fits fills all.
    let most = (0..RAM)
        .rev()
        .step_by(4)
        .take(512)
        .find_map(|bytes| Some((bytes, ram(bytes)?)));
    let (bytes, all) = most.expect("a module with nothing but memory");
    assert!(all > RAM - 8 && all <= RAM, "{bytes}: {all}");
    // To the byte: what is no more than RAM is taken.
    assert!(
        (1..=8)
            .filter_map(|more| ram(bytes + more))
            .all(|all| all <= RAM)
    );
}

#[test]
fn a_package_and_its_table_fill_a_slot_to_the_last_word() {
    let (_, mut rig) = node();
    let capacity = rig.json("node")["limits"]["package"].as_u64().unwrap() as u32;
    let module = wasm("(module)");
    let table = |table| Wanted {
        needs: [0, table, 0, 0, 0],
        ..next()
    };
    // Beside it a word, to which the table begins.
    let small = wanted(&table(1_000), &module).len() as u32;
    let most = capacity - small - 4;
    let size = |table_bytes| wanted(&table(table_bytes), &module).len() as u32;
    assert_eq!(size(most), small, "its length does not change the size");
    assert_eq!(said(&table(most), &module), "");
    assert_eq!(said(&table(most + 1), &module), "needs: larger than a slot");
    // A module of which the same is so.
    for more in [0, 1] {
        let all = next();
        let envelope = wanted(&all, &[0; 3_000]).len() - 3_000;
        let length = capacity as usize - 4 - envelope + more;
        let filler = length - module.len() - 3;
        let mut long = module.clone();
        // A custom section (WebAssembly core §5.5.3), whose length takes two bytes.
        long.extend([0, (filler & 0x7f) as u8 | 0x80, (filler >> 7) as u8, 0]);
        long.resize(length, 0);
        let text = said(&all, &long);
        assert_eq!(text.is_empty(), more == 0, "{more}: {text}");
    }
}

// ---- what a module says of itself ---------------------------------------------------------------------------------------

/// Whether a module with so many entries of a list is taken; each is written by `entry`.
fn takes(list: u8, count: u32, entry: impl Fn(&mut Encoder<&mut Vec<u8>>, u32)) -> bool {
    let mut bytes = vec![];
    let mut e = Encoder::new(&mut bytes);
    e.map(2).unwrap();
    e.u8(section::CONTRACT).unwrap().u8(1).unwrap();
    e.u8(list).unwrap().array(count.into()).unwrap();
    for number in 0..count {
        entry(&mut e, number);
    }
    let module = with_section(wasm("(module (memory 512 (pagesize 1)))"), &bytes);
    let mut node = Rig::boot(&Memory::new(), &vectors().keys[..1]);
    let (code, text) = node.push(&wanted(&Wanted::default(), &module));
    let text = String::from_utf8(text).unwrap();
    let refused = text.starts_with("module: malformed custom section");
    assert!(refused || code == Code::CHANGED, "{code} {text}");
    !refused
}

/// A state of so many doubles.
fn state(e: &mut Encoder<&mut Vec<u8>>, number: u32, doubles: u32) {
    e.array((2 + 2 * doubles).into()).unwrap();
    e.str(&format!("s{number}")).unwrap().u32(0).unwrap();
    for field in 0..doubles {
        e.str(ty::F64).unwrap().str(&format!("f{field}")).unwrap();
    }
}

#[test]
fn all_that_a_module_keeps_is_bounded_in_bytes_fields_and_names() {
    let most = limits::STATE_BYTES / 8;
    let eight = most / 8;
    // To the byte: eight doubles at a time, and then a bool more.
    assert!(takes(section::STATES, eight, |e, n| state(e, n, 8)));
    assert!(!takes(section::STATES, eight + 1, |e, n| state(e, n, 8)));
    assert!(!takes(section::STATES, eight + 1, |e, n| {
        if n < eight {
            return state(e, n, 8);
        }
        e.array(3).unwrap().str("last").unwrap();
        e.u32(0).unwrap().str(ty::BOOL).unwrap();
    }));
    let fields = limits::STATE_FIELDS;
    assert!(takes(section::STATES, 1, |e, n| state(e, n, fields)));
    assert!(!takes(section::STATES, 1, |e, n| state(e, n, fields + 1)));
    assert!(!takes(section::STATES, 1, |e, n| state(e, n, 0)));
    let small = |e: &mut Encoder<&mut Vec<u8>>, number: u32| {
        e.array(3).unwrap().str(&format!("s{number}")).unwrap();
        e.u32(0).unwrap().str(ty::U32).unwrap();
    };
    assert!(takes(section::STATES, limits::NAMES, small));
    assert!(!takes(section::STATES, limits::NAMES + 1, small));
}

#[test]
fn outputs_with_a_type_are_bounded_in_number_and_in_bytes() {
    let typed = |doubles: u32| {
        move |e: &mut Encoder<&mut Vec<u8>>, number: u32| {
            e.array((2 + 2 * doubles).into()).unwrap();
            e.str(&format!("o{number}")).unwrap().str("mm").unwrap();
            for field in 0..doubles {
                e.str(ty::F64).unwrap().str(&format!("f{field}")).unwrap();
            }
        }
    };
    let bytes = limits::OUTPUT_BYTES / 8;
    assert!(takes(section::OUTPUTS, 1, typed(bytes)));
    assert!(!takes(section::OUTPUTS, 1, typed(bytes + 1)));
    assert!(takes(section::OUTPUTS, limits::TYPED_OUTPUTS, typed(2)));
    assert!(!takes(
        section::OUTPUTS,
        limits::TYPED_OUTPUTS + 1,
        typed(2)
    ));
    // Of which singles are none.
    assert!(takes(section::OUTPUTS, limits::NAMES, typed(0)));
    assert!(!takes(section::OUTPUTS, limits::NAMES + 1, typed(0)));
}

#[test]
fn a_type_is_one_letter_or_letters_and_names_in_turn() {
    let of = |parts: &'static [&'static str]| {
        takes(section::STATES, 1, |e, _| {
            e.array(2 + parts.len() as u64).unwrap();
            e.str("s").unwrap().u32(0).unwrap();
            for part in parts {
                e.str(part).unwrap();
            }
        })
    };
    let letters: [&'static [&'static str]; 6] = [&["b"], &["i"], &["u"], &["l"], &["f"], &["d"]];
    for letter in letters {
        assert!(of(letter), "{letter:?}");
    }
    assert!(of(&["b", "one"]) && of(&["b", "one", "d", "two"]));
    let wrong: [&'static [&'static str]; 7] = [
        &[],
        &["t"],
        &["x"],
        &["b", "one", "d"],
        &["b", "one", "x", "two"],
        &["b", "no name"],
        &["b", ""],
    ];
    for parts in wrong {
        assert!(!of(parts), "{parts:?}");
    }
}
