//! Updates against the vectors of packages, a power cut at every flash operation, and mutations.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod rig;

use rig::{Memory, Rig, vectors};
use wasmote_coap::Code;

/// A node with package 5 confirmed.
fn confirmed() -> Memory {
    let v = vectors();
    let memory = Memory::new();
    let mut node = Rig::boot(&memory, &v.keys[..1]);
    assert_eq!(node.push(v.named("first")).0, Code::CHANGED);
    node.feed(12);
    assert_eq!(node.app("state"), "confirmed");
    memory
}

#[test]
fn every_vector_is_taken_or_refused_as_it_says() {
    let v = vectors();
    let before = confirmed();
    for (name, expected, package) in &v.packages {
        if name == "first" {
            continue;
        }
        let mut node = Rig::boot(&before.copy(), &v.keys[..1]);
        let (code, payload) = node.push(package);
        let text = String::from_utf8_lossy(&payload).into_owned();
        if expected == "ok" {
            assert_eq!(code, Code::CHANGED, "{name}: {text}");
            assert_ne!(node.sequence(), 5, "{name}");
        } else {
            assert!(
                text.starts_with(&format!("{expected}: ")),
                "{name}: {code:?} {text}"
            );
            assert_eq!(
                (node.sequence(), node.app("state").as_str()),
                (5, "confirmed"),
                "{name}"
            );
        }
    }
}

#[test]
fn a_package_cut_short_anywhere_is_not_installed() {
    let v = vectors();
    let before = confirmed();
    let good = v.named("good");
    for length in (1..good.len()).step_by(7) {
        let mut node = Rig::boot(&before.copy(), &v.keys[..1]);
        let (code, _) = node.push(&good[..length]);
        assert!(code.class() >= 4, "{length} bytes: {code:?}");
        assert_eq!(node.sequence(), 5);
    }
}

#[test]
fn a_node_without_keys_takes_nothing() {
    let v = vectors();
    let mut node = Rig::boot(&Memory::new(), &[]);
    let (_, payload) = node.push(v.named("good"));
    assert!(payload.starts_with(b"unknown-key: "));
    assert_eq!(node.app("state"), "empty");
}

#[test]
fn a_trap_during_the_trial_brings_the_package_before_back() {
    let v = vectors();
    let memory = confirmed();
    let mut node = Rig::boot(&memory, &v.keys[..1]);
    assert_eq!(
        node.push(v.named("good, and traps at its first sample")).0,
        Code::CHANGED
    );
    assert_eq!(node.sequence(), 8);
    node.feed(1);
    assert_eq!(
        (node.sequence(), node.app("state").as_str()),
        (5, "confirmed")
    );
    // And never again.
    let (_, payload) = node.push(v.named("good, and traps at its first sample"));
    assert!(payload.starts_with(b"sequence: "));
}

#[test]
fn a_reset_during_the_trial_brings_the_package_before_back() {
    let v = vectors();
    let memory = confirmed();
    let mut node = Rig::boot(&memory, &v.keys[..1]);
    assert_eq!(node.push(v.named("good")).0, Code::CHANGED);
    drop(node);
    let mut node = Rig::boot(&memory, &v.keys[..1]);
    assert_eq!(
        (node.sequence(), node.app("returned").as_str()),
        (5, "true")
    );
}

/// What is done while the power is cut.
type Scenario = (&'static str, fn(&mut Rig, &rig::Vectors), &'static [u32]);

const SCENARIOS: &[Scenario] = &[
    (
        "install",
        |node, v| drop(node.push(v.named("good"))),
        &[5, 6],
    ),
    (
        "install and confirm",
        |node, v| {
            node.push(v.named("good"));
            node.feed(12);
        },
        &[5, 6],
    ),
    (
        "install over two",
        |node, v| {
            node.push(v.named("good"));
            node.feed(12);
            node.push(v.named("good, and the next"));
            node.feed(12);
        },
        &[5, 6, 7],
    ),
    (
        "roll back by hand",
        |node, v| {
            node.push(v.named("good"));
            node.feed(12);
            node.request(Code::POST, "app/rollback", &[], &[]);
        },
        &[5, 6],
    ),
    (
        "return from a trap",
        |node, v| {
            node.push(v.named("good, and traps at its first sample"));
            node.feed(3);
        },
        &[5, 8],
    ),
    (
        "parameters",
        |node, _| {
            for value in ["2", "3", "4"] {
                node.request(Code::PUT, "app/params/limit", &[], value.as_bytes());
            }
        },
        &[5],
    ),
];

#[test]
fn power_may_be_cut_at_any_flash_operation() {
    let v = vectors();
    let before = confirmed();
    let mut cuts = 0;
    for (name, act, allowed) in SCENARIOS {
        let memory = before.copy();
        let mut node = Rig::boot(&memory, &v.keys[..1]);
        memory.asked.set(0);
        act(&mut node, &v);
        let operations = memory.asked.get();
        assert!(operations > 0, "{name} touches no flash");
        for cut in 0..operations {
            let memory = before.copy();
            let mut node = Rig::boot(&memory, &v.keys[..1]);
            // The operation with this number is done by half, and none after it.
            memory.left.set(cut + 1);
            act(&mut node, &v);
            drop(node);
            memory.left.set(u64::MAX);
            let mut node = Rig::boot(&memory, &v.keys[..1]);
            let (sequence, state) = (node.sequence(), node.app("state"));
            assert!(
                allowed.contains(&sequence) && ["confirmed", "trial"].contains(&state.as_str()),
                "{name}, cut at {cut} of {operations}: {sequence} {state}"
            );
            let highest: u32 = node.app("highest").parse().unwrap();
            assert!(
                highest >= 5,
                "{name}, cut at {cut}: the highest sequence number is {highest}"
            );
            // It works on: what was never installed can be, and runs.
            let (code, payload) = node.push(v.named("good, and the next"));
            let used = highest >= 7;
            assert!(
                used || code == Code::CHANGED,
                "{name}, cut at {cut}: {code:?} {}",
                String::from_utf8_lossy(&payload)
            );
            node.feed(12);
            assert_eq!(node.app("state"), "confirmed", "{name}, cut at {cut}");
            cuts += 1;
        }
    }
    println!("power cut at {cuts} places");
    assert!(cuts > 100, "only {cuts} places");
}

#[test]
fn ten_thousand_mutations_of_a_package_install_nothing() {
    let v = vectors();
    let good = v.named("good");
    let memory = confirmed();
    let mut node = Rig::boot(&memory, &v.keys[..1]);
    // xorshift64, so that every run tries the same.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % limit as u64) as usize
    };
    let mut kinds = std::collections::BTreeMap::new();
    for round in 0..10_000 {
        let mut package = good.to_vec();
        for _ in 0..=random(3) {
            let at = random(package.len());
            match random(4) {
                0 => package[at] ^= 1 << random(8),
                1 => package[at] = random(256) as u8,
                2 => drop(package.remove(at)),
                _ => package.insert(at, random(256) as u8),
            }
        }
        if package == good {
            continue;
        }
        let (code, payload) = node.push(&package);
        assert!(code.class() >= 4, "round {round} was installed");
        let text = String::from_utf8_lossy(&payload).into_owned();
        let kind = text.split(':').next().unwrap_or("").to_owned();
        *kinds.entry(kind).or_insert(0) += 1;
    }
    println!("{kinds:?}");
    assert_eq!(
        (node.sequence(), node.app("state").as_str()),
        (5, "confirmed")
    );
    // None of them used up a sequence number.
    assert_eq!(node.push(good).0, Code::CHANGED);
}
