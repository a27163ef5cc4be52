//! Updates against the vectors of packages, a power cut at every flash operation, and mutations.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod rig;

use rig::{Memory, Rig, tell, vectors};
use wasmote_coap::Code;

/// Bytes of the module in the vectors' good packages.
const MODULE: usize = 113;

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
    let good = v.named("good");
    let memory = confirmed();
    let mut node = Rig::boot(&memory, &v.keys[..1]);
    for length in 1..good.len() {
        // At the pace that the budget of erasures has.
        node.wait(5_400_000);
        let ((code, payload), _) = node.upload(&good[..length], 0, 64);
        let text = String::from_utf8_lossy(&payload);
        let envelope = good.len() - MODULE;
        let expected = if length < envelope {
            "malformed: "
        } else {
            "digest: "
        };
        assert!(
            code.class() == 4 && text.starts_with(expected),
            "{length} bytes: {code:?} {text}"
        );
        assert_eq!(node.sequence(), 5);
    }
    assert_eq!(node.push(good).0, Code::CHANGED);
}

#[test]
fn what_the_manifest_forbids_is_refused_with_the_block_that_completes_it() {
    let v = vectors();
    let before = confirmed();
    let early = ["unknown-key", "contract", "class", "sequence", "needs"];
    let mut codes = std::collections::BTreeMap::new();
    for (name, expected, package) in &v.packages {
        if !early.contains(&expected.as_str()) && expected != "signature" {
            continue;
        }
        for size in [32, 64, 128] {
            let memory = before.copy();
            let mut node = Rig::boot(&memory, &v.keys[..1]);
            memory.asked.set(0);
            let ((code, payload), sent) = node.upload(package, 0, size);
            let envelope = package.len() - MODULE;
            assert_eq!(
                sent,
                envelope.div_ceil(size),
                "{name}: {size} bytes a block"
            );
            assert_eq!(memory.asked.get(), 0, "{name}: flash was touched");
            let text = String::from_utf8(payload).unwrap();
            let (kind, reason) = text.split_once(": ").unwrap();
            assert!(kind == expected && !reason.is_empty(), "{name}: {text}");
            assert!(node.log().contains(&format!("package refused: {text}")));
            codes.insert(expected.clone(), code);
        }
    }
    // Each has a code of its own but the two that are about keys.
    assert_eq!(codes.len(), 6);
    let distinct: std::collections::BTreeSet<u8> = codes.values().map(|c| c.0).collect();
    assert_eq!(distinct.len(), 5);
    assert_eq!(codes["unknown-key"], codes["signature"]);
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
    let line = "reset during the trial of package 6: returned";
    assert!(node.log().contains(line), "{}", node.log());
    // A second reset does not make it forget.
    let mut node = Rig::boot(&memory, &v.keys[..1]);
    let app = node.json("app");
    assert_eq!(app["event"]["what"], "reset");
    assert_eq!(
        (&app["event"]["sequence"], &app["returned"]),
        (&6.into(), &true.into())
    );
}

#[test]
fn a_trap_is_told_where_it_was_and_that_it_was_after_a_reset() {
    let v = vectors();
    let memory = confirmed();
    let mut node = Rig::boot(&memory, &v.keys[..1]);
    node.push(v.named("good, and traps at its first sample"));
    node.feed(1);
    let event = node.json("app")["event"].clone();
    assert_eq!(
        (&event["what"], &event["trap"]),
        (&"trap".into(), &"unreachable".into())
    );
    assert!(event["offset"].as_u64().unwrap() > 0 && event["backtrace"].is_array());
    assert!(node.log().contains("returned from package 8 to 5"));
    let mut node = Rig::boot(&memory, &v.keys[..1]);
    let event = node.json("app")["event"].clone();
    assert_eq!(
        (&event["what"], &event["sequence"]),
        (&"trap".into(), &8.into())
    );
    // The next package that is installed ends the matter.
    assert_eq!(node.push(v.named("signed later")).0, Code::CHANGED);
    assert_eq!(node.json("app")["event"], serde_json::Value::Null);
}

#[test]
fn a_module_that_spins_is_stopped_at_its_budget_and_left() {
    let v = vectors();
    let mut node = Rig::boot(&confirmed(), &v.keys[..1]);
    assert_eq!(
        node.push(v.named("good, and spins at its first sample")).0,
        Code::CHANGED
    );
    node.feed(1);
    let app = node.json("app");
    assert_eq!(
        (&app["sequence"], &app["event"]["what"]),
        (&5.into(), &"fuel".into())
    );
    node.feed(2);
    assert!(node.json("stats")["fuel_max"].as_u64().unwrap() < 100_000);
}

#[test]
fn a_confirmed_package_that_fails_begins_anew_after_a_while() {
    let v = vectors();
    let mut node = Rig::boot(&confirmed(), &v.keys[..1]);
    assert_eq!(
        node.push(v.named("good, and traps at its eleventh sample"))
            .0,
        Code::CHANGED
    );
    node.feed(10);
    assert_eq!(node.app("state"), "confirmed");
    node.feed(11);
    let sequence = node.sequence();
    assert_eq!((sequence, node.app("event.what")), (0, "trap".into()));
    node.wait(1_500);
    assert_eq!(
        (node.sequence(), node.app("state").as_str()),
        (8, "confirmed")
    );
    node.feed(3);
    assert_eq!(node.json("stats")["runs"], 4);
}

#[test]
fn requests_count_neither_for_nor_against_a_trial() {
    let v = vectors();
    let mut node = Rig::boot(&confirmed(), &v.keys[..1]);
    let package = v.named("good, and answers requests");
    assert_eq!(node.push(package).0, Code::CHANGED);
    let ask = |node: &mut Rig, method| node.request(method, "app/x/y", &[], &[]).0;
    // Twice as many good answers as a trial has runs.
    for _ in 0..16 {
        assert_eq!(ask(&mut node, Code::PUT), Code::CHANGED);
        assert_eq!(ask(&mut node, Code::DELETE), Code::INTERNAL_SERVER_ERROR);
    }
    assert_eq!(node.app("state"), "trial");
    // A request that traps, and one that takes all its fuel: each costs the module what it remembers, and no more.
    for method in [Code::GET, Code::POST] {
        assert_eq!(ask(&mut node, method), Code::SERVICE_UNAVAILABLE);
        let state = (node.sequence(), node.app("state"));
        assert_eq!(state, (8, "trial".into()), "{method:?}");
        // It is asked nothing for a while, and goes on with what it is for.
        assert_eq!(ask(&mut node, Code::PUT), Code::SERVICE_UNAVAILABLE);
        node.wait(2_000);
        assert_eq!(ask(&mut node, Code::PUT), Code::CHANGED, "{method:?}");
    }
    // Many of them neither confirm it by making it begin anew nor keep it from being confirmed.
    for _ in 0..20 {
        assert_eq!(ask(&mut node, Code::GET), Code::SERVICE_UNAVAILABLE);
        node.wait(60_000);
    }
    // `start` was the first of its runs.
    node.feed(u32::from(wasmote_node::TRIAL_RUNS) - 2);
    assert_eq!(node.app("state"), "trial");
    node.feed(1);
    assert_eq!(
        (node.sequence(), node.app("state")),
        (8, "confirmed".into())
    );
    // A confirmed package is not stopped by them either.
    assert_eq!(ask(&mut node, Code::GET), Code::SERVICE_UNAVAILABLE);
    assert_eq!(
        (node.sequence(), node.app("state")),
        (8, "confirmed".into())
    );
    node.feed(1);
    assert_eq!(node.json("stats")["runs"], 2);
}

#[test]
fn going_back_by_hand_and_removing_are_for_good() {
    let v = vectors();
    let memory = confirmed();
    let mut node = Rig::boot(&memory, &v.keys[..1]);
    node.push(v.named("good"));
    node.feed(12);
    assert_eq!(
        node.request(Code::POST, "app/rollback", &[], &[]).0,
        Code::CHANGED
    );
    assert_eq!(node.sequence(), 5);
    assert!(node.log().contains("package 6 withdrawn by hand"));
    assert_eq!(
        node.request(Code::POST, "app/rollback", &[], &[]).0,
        Code::CONFLICT
    );
    let mut node = Rig::boot(&memory, &v.keys[..1]);
    assert_eq!(
        (node.sequence(), node.app("event.what")),
        (5, "rollback".into())
    );
    assert!(node.push(v.named("good")).1.starts_with(b"sequence: "));
    assert_eq!(node.request(Code::DELETE, "app", &[], &[]).0, Code::DELETED);
    for _ in 0..2 {
        assert_eq!(node.app("state"), "empty");
        node.feed(3);
        assert!(node.push(v.named("first")).1.starts_with(b"sequence: "));
        node = Rig::boot(&memory, &v.keys[..1]);
    }
    assert_eq!(node.push(v.named("good, and the next")).0, Code::CHANGED);
    assert_eq!((node.sequence(), node.app("previous").as_str()), (7, "0"));
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
        // At the pace that the budget of erasures has.
        node.wait(5_400_000);
        let (code, payload) = node.push(&package);
        assert!(code.class() >= 4, "round {round} was installed");
        let text = String::from_utf8_lossy(&payload).into_owned();
        let kind = text.split(':').next().unwrap_or("").to_owned();
        *kinds.entry(kind).or_insert(0) += 1;
    }
    tell(format_args!("{kinds:?}"));
    assert_eq!(
        (node.sequence(), node.app("state").as_str()),
        (5, "confirmed")
    );
    // None of them used up a sequence number.
    node.wait(5_400_000);
    let (mut code, _) = node.push(good);
    if code == Code::REQUEST_ENTITY_INCOMPLETE {
        // Another module had come behind the same envelope: it begins anew.
        (code, _) = node.push(good);
    }
    assert_eq!(code, Code::CHANGED);
}
