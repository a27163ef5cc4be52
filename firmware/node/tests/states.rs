//! What a module keeps: over resets, updates, returns and power cuts, and what flash pays for it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod rig;

use rig::{EVEN, Layout, Memory, Rig, TEARS, UNEVEN, Vectors, tell, vectors};
use serde_json::json;
use wasmote_coap::{Code, format};

/// Until a change is in flash, in milliseconds.
const PERIOD: u64 = wasmote_node::contract::limits::STATE_PERIOD as u64;

fn boot(memory: &Memory) -> Rig {
    Rig::boot(memory, &vectors().keys[..1])
}

/// A node on which a package counts, and has counted twelve samples; confirmed.
fn counting(layout: &'static Layout) -> (Memory, Rig) {
    let memory = Memory::with(layout);
    let mut node = boot(&memory);
    install(&mut node, "good, and counts");
    (memory, node)
}

fn install(node: &mut Rig, name: &str) {
    assert_eq!(node.push(vectors().named(name)).0, Code::CHANGED);
    node.feed(12);
    assert_eq!(node.app("state"), "confirmed");
}

/// What it has counted to. Both fields of the record are that, at any time.
fn total(node: &mut Rig) -> u64 {
    let (code, text) = node.get("app/state/total", format::TEXT, "");
    assert_eq!(code, Code::CONTENT);
    let total = String::from_utf8(text).unwrap().parse().unwrap();
    let pair = node.json("app/state/pair");
    assert_eq!(pair["value"], json!({ "a": total, "b": total }));
    total
}

#[test]
fn a_state_is_read_in_every_format() {
    let (_, mut node) = counting(&EVEN);
    assert_eq!(node.json("app")["states"], json!(["total", "pair"]));
    assert_eq!(node.get("app/state/total", format::TEXT, "").1, b"12");
    assert_eq!(
        node.get("app/state/pair", format::TEXT, "").1,
        b"a: 12\nb: 12\n"
    );
    assert_eq!(node.json("app/state/total"), json!({ "value": 12 }));
    let pack = |node: &mut Rig, path: &str| -> serde_json::Value {
        let (_, payload) = node.get(path, format::SENML_JSON, "");
        serde_json::from_slice(&payload).unwrap()
    };
    let total = pack(&mut node, "app/state/total");
    assert_eq!(
        total,
        json!([{ "bn": "rig/state/", "n": "total", "v": 12 }])
    );
    let pair = pack(&mut node, "app/state/pair");
    assert_eq!(
        pair,
        json!([{ "bn": "rig/state/", "n": "pair/a", "v": 12 }, { "n": "pair/b", "v": 12 }])
    );
    // CBOR: { "value": 12.0 as a double }.
    let (_, cbor) = node.get("app/state/total", format::CBOR, "");
    assert_eq!(cbor, b"\xbf\x65value\xfb\x40\x28\0\0\0\0\0\0\xff");
    assert_eq!(
        node.get("app/state/other", format::TEXT, "").0,
        Code::NOT_FOUND
    );
    let put = node.request(Code::PUT, "app/state/total", &[], b"1");
    assert_eq!(put.0, Code::METHOD_NOT_ALLOWED);
    let (_, links) = node.blocks(".well-known/core", &[]);
    let links = String::from_utf8(links).unwrap();
    assert!(
        links.contains("</app/state/pair>;rt=\"wasmote.state\""),
        "{links}"
    );
    // It says for how long it has been in flash.
    node.wait(PERIOD);
    node.wait(5000);
    let saved = node.json("app/state/total")["saved"].as_u64().unwrap();
    assert!((5000..10_000).contains(&saved), "{saved}");
}

#[test]
fn a_change_survives_a_power_cut_once_it_is_ten_minutes_old() {
    let (memory, mut node) = counting(&EVEN);
    drop(node);
    // Confirmed a moment ago, and never saved: it begins anew. (The first save is ten minutes after the start at the latest.)
    node = boot(&memory);
    node.feed(1);
    assert_eq!(total(&mut node), 1);
    node.feed(4);
    node.wait(PERIOD);
    node.feed(3);
    node.wait(PERIOD / 2);
    assert_eq!(total(&mut node), 8);
    drop(node);
    node = boot(&memory);
    assert_eq!(total(&mut node), 5);
    // A module that runs all the time is saved as well.
    for _ in 0..130 {
        node.feed(1);
        node.wait(5000);
    }
    drop(node);
    assert!(total(&mut boot(&memory)) > 120);
}

#[test]
fn an_update_takes_a_state_over_by_its_name_and_type() {
    let (memory, mut node) = counting(&EVEN);
    install(&mut node, "good, and counts on");
    assert_eq!(total(&mut node), 24);
    // And over a reset before anything of the new package was saved.
    drop(node);
    let mut node = boot(&memory);
    assert_eq!(total(&mut node), 12, "as the package before it was left");

    let (_, mut node) = counting(&EVEN);
    let other = "good, and counts in another type";
    assert_eq!(node.push(vectors().named(other)).0, Code::CHANGED);
    node.feed(12);
    // The number is of another type and begins anew; the record goes on.
    assert_eq!(node.get("app/state/total", format::TEXT, "").1, b"12");
    assert_eq!(
        node.get("app/state/pair", format::TEXT, "").1,
        b"a: 24\nb: 24\n"
    );
}

#[test]
fn a_return_by_hand_goes_on_with_the_newest_state() {
    let (memory, mut node) = counting(&EVEN);
    install(&mut node, "good, and counts on");
    let back = node.request(Code::POST, "app/rollback", &[], &[]);
    assert_eq!(back.0, Code::CHANGED);
    assert_eq!((node.sequence(), total(&mut node)), (6, 24));
    node.feed(1);
    node.wait(PERIOD);
    drop(node);
    assert_eq!(total(&mut boot(&memory)), 25);
}

#[test]
fn a_package_that_fails_its_trial_leaves_no_state() {
    let v = vectors();
    let (memory, mut node) = counting(&EVEN);
    node.push(v.named("good, counts and traps at its third sample"));
    node.feed(3);
    assert_eq!((node.sequence(), total(&mut node)), (6, 12));
    node.feed(1);
    assert_eq!(total(&mut node), 13);
    // It was saved before the other one began, so it is there after a power cut as well.
    drop(node);
    assert_eq!(total(&mut boot(&memory)), 12);
    let mut node = boot(&memory);
    // A reset in the middle of a trial.
    node.push(v.named("good, and counts on"));
    node.feed(2);
    assert_eq!(total(&mut node), 14);
    drop(node);
    let mut node = boot(&memory);
    assert_eq!((node.sequence(), total(&mut node)), (6, 12));
}

#[test]
fn what_was_removed_is_forgotten() {
    let (_, mut node) = counting(&EVEN);
    node.wait(PERIOD);
    assert_eq!(node.request(Code::DELETE, "app", &[], &[]).0, Code::DELETED);
    install(&mut node, "good, and counts on");
    assert_eq!(total(&mut node), 12);
}

#[test]
fn a_full_slot_is_left_without_a_break_and_flash_keeps_its_budget() {
    let (memory, mut node) = counting(&EVEN);
    let before = node.erased().iter().sum::<u64>();
    let (slot, mut slots) = (node.app("slot"), 0);
    // A day in which it changes all the time.
    for _ in 0..24 * 6 {
        node.feed(1);
        node.wait(PERIOD);
        slots += usize::from(node.app("slot") != slot);
    }
    let erased = node.erased().iter().sum::<u64>() - before;
    assert_eq!(total(&mut node), 12 + 24 * 6);
    assert!(slots > 0, "it was never moved: this tests nothing");
    assert!(erased <= 4, "{erased} erasures in a day");
    // The module was not begun anew for it.
    let runs = node.json("stats")["runs"].as_u64().unwrap();
    assert_eq!(runs, 12 + 1 + 24 * 6);
    assert!(!node.log().contains("begins anew"), "{}", node.log());
    drop(node);
    assert_eq!(total(&mut boot(&memory)), 12 + 24 * 6);
}

/// What is done while the power is cut; what may have been counted to afterwards.
type Scenario = (&'static str, fn(&mut Rig, &Vectors), &'static [u64]);

const SCENARIOS: &[Scenario] = &[
    (
        "save three times",
        |node, _| {
            for _ in 0..3 {
                node.feed(1);
                node.wait(PERIOD);
            }
        },
        &[12, 13, 14, 15],
    ),
    (
        "save until the slot is full",
        |node, _| {
            for _ in 0..70 {
                node.feed(1);
                node.wait(PERIOD);
            }
        },
        &[],
    ),
    (
        "update",
        |node, v| {
            node.feed(1);
            node.push(v.named("good, and counts on"));
            node.feed(2);
        },
        // As last saved before, or as it was when the update began; a trial that is cut is none.
        &[12, 13],
    ),
    (
        "update and confirm",
        |node, v| {
            node.push(v.named("good, and counts on"));
            node.feed(12);
            node.wait(PERIOD);
        },
        &[12, 24],
    ),
    (
        "return from a trap",
        |node, v| {
            node.feed(1);
            node.push(v.named("good, counts and traps at its third sample"));
            node.feed(3);
        },
        &[12, 13],
    ),
    (
        "return by hand",
        |node, v| {
            node.push(v.named("good, and counts on"));
            node.feed(12);
            node.request(Code::POST, "app/rollback", &[], &[]);
            node.feed(1);
            node.wait(PERIOD);
        },
        &[12, 24, 25],
    ),
];

#[test]
fn power_may_be_cut_at_any_operation_and_a_state_is_old_or_new_and_never_a_mixture() {
    let v = vectors();
    let mut cuts = 0;
    for layout in [&EVEN, &UNEVEN] {
        let (before, mut node) = counting(layout);
        node.wait(PERIOD);
        drop(node);
        for (name, act, allowed) in SCENARIOS {
            let memory = before.copy();
            let mut node = boot(&memory);
            memory.asked.set(0);
            act(&mut node, &v);
            let operations = memory.asked.get();
            let step = operations.div_ceil(40).max(1);
            for tear in TEARS {
                for cut in (0..operations).step_by(step as usize) {
                    let memory = before.copy();
                    let mut node = boot(&memory);
                    memory.tear.set(tear);
                    memory.left.set(cut + 1);
                    act(&mut node, &v);
                    drop(node);
                    memory.left.set(u64::MAX);
                    let mut node = boot(&memory);
                    let what = format!("{name}, cut at {cut} of {operations}: {tear:?}");
                    if node.sequence() == 8 {
                        // Staged when the power was cut: it is tried, and fails.
                        node.feed(3);
                    }
                    let now = total(&mut node);
                    let range = 12..=82;
                    let good = allowed.contains(&now) || allowed.is_empty() && range.contains(&now);
                    assert!(good, "{what}: {now}");
                    // It goes on from there, is confirmed where it was not, and is saved again.
                    node.feed(12);
                    node.wait(PERIOD);
                    drop(node);
                    assert_eq!(total(&mut boot(&memory)), now + 12, "{what}");
                    assert_eq!(memory.violations.get(), 0, "{what}: bits were to be set");
                    cuts += 1;
                }
            }
        }
    }
    tell(format_args!(
        "power was cut at {cuts} places while states were saved"
    ));
    assert!(cuts >= 1000, "only {cuts} places");
}
