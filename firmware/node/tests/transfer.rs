//! Uploads that do not come as they were cut: resumed, out of order, twice, in blocks of changing size, one over the other; and keys that
//! follow each other.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod rig;

use rig::{Memory, Rig, tell, vectors};
use wasmote_coap::Code;
use wasmote_node::slot::ERASES;

/// A node with package 5 confirmed.
fn confirmed() -> Memory {
    let v = vectors();
    let memory = Memory::new();
    let mut node = Rig::boot(&memory, &v.keys[..1]);
    assert_eq!(node.push(v.named("first")).0, Code::CHANGED);
    node.feed(12);
    memory
}

fn received(node: &mut Rig) -> Option<u64> {
    node.json("app/staged")["received"].as_u64()
}

#[test]
fn an_upload_goes_on_after_a_reset_with_what_is_missing_alone() {
    let v = vectors();
    let good = v.named("good");
    for size in [16, 32, 64] {
        // The envelope has to be there, of which the slot is made.
        for blocks in (good.len() - 113).div_ceil(size)..good.len().div_ceil(size) {
            let memory = confirmed();
            let mut node = Rig::boot(&memory, &v.keys[..1]);
            for number in 0..blocks {
                assert_eq!(node.block(good, number * size, size).0, Code::CONTINUE);
            }
            assert_eq!(received(&mut node), Some((blocks * size) as u64));
            drop(node);
            let mut node = Rig::boot(&memory, &v.keys[..1]);
            let staged = node.json("app/staged");
            assert_eq!(staged["size"], good.len());
            // Of what was written last, it cannot know whether it was written whole.
            let kept = staged["received"].as_u64().unwrap() as usize;
            assert!(
                kept.is_multiple_of(64) && blocks * size - kept <= 64,
                "{kept} of {}",
                blocks * size
            );
            let from = kept / size * size;
            let (answer, sent) = node.upload(good, from, size);
            assert_eq!(answer.0, Code::CHANGED, "{blocks} blocks of {size}");
            assert_eq!(sent, (good.len() - from).div_ceil(size));
            assert_eq!(node.sequence(), 6);
            assert_eq!(memory.violations.get(), 0);
        }
    }
}

#[test]
fn after_a_reset_other_bytes_than_those_in_flash_are_never_written_over_them() {
    let v = vectors();
    let good = v.named("good");
    for size in [16, 32, 64] {
        for number in 1..good.len() / size {
            let memory = confirmed();
            let mut node = Rig::boot(&memory, &v.keys[..1]);
            for number in 0..good.len() / size {
                assert_eq!(node.block(good, number * size, size).0, Code::CONTINUE);
            }
            let mut node = Rig::boot(&memory, &v.keys[..1]);
            // All bits of one byte of what is there already: some would have to be set.
            let mut other = good.to_vec();
            other[number * size + size / 2] ^= 0xff;
            let (code, _) = node.block(&other, number * size, size);
            assert_ne!(code.class(), 2, "{number} of {size}");
            assert_eq!(memory.violations.get(), 0, "{number} of {size}");
            // Whoever has the right one brings it.
            assert_eq!(node.push(good).0, Code::CHANGED);
            assert_eq!(node.sequence(), 6);
        }
    }
}

#[test]
fn a_client_that_lost_its_link_goes_on_from_where_the_node_is() {
    let v = vectors();
    let good = v.named("good");
    let mut node = Rig::boot(&confirmed(), &v.keys[..1]);
    for number in 0..11 {
        node.block(good, number * 16, 16);
    }
    assert_eq!(received(&mut node), Some(176));
    // Larger blocks, of which the first overlaps what is there.
    node.wait(11_000);
    let (answer, sent) = node.upload(good, 128, 64);
    assert_eq!((answer.0, sent), (Code::CHANGED, 3));
    assert_eq!(node.sequence(), 6);
}

#[test]
fn an_upload_that_rests_is_finished_by_another_from_where_it_is() {
    let v = vectors();
    let good = v.named("good");
    // How long it rested, in milliseconds: it is its first client's for ten seconds.
    for (rested, taken) in [(0, false), (8_000, false), (10_500, true), (60_000, true)] {
        let mut node = Rig::boot(&confirmed(), &v.keys[..1]);
        for number in 0..11 {
            node.block(good, number * 16, 16);
        }
        node.wait(rested);
        node.peer = 2;
        let (answer, _) = node.upload(good, 176, 16);
        assert_eq!(answer.0 == Code::CHANGED, taken, "{rested}: {answer:?}");
        if !taken {
            assert_eq!(answer.0, Code::SERVICE_UNAVAILABLE, "{rested}");
            // Whoever began goes on as if nothing had been.
            node.peer = 1;
            assert_eq!(node.upload(good, 176, 16).0.0, Code::CHANGED);
        }
        assert_eq!(node.sequence(), 6);
    }
}

#[test]
fn an_upload_is_forgotten_when_it_is_discarded_or_another_is_begun() {
    let v = vectors();
    let good = v.named("good");
    let memory = confirmed();
    let mut node = Rig::boot(&memory, &v.keys[..1]);
    node.block(good, 0, 256);
    assert_eq!(received(&mut node), Some(256));
    assert_eq!(
        node.request(Code::DELETE, "app/staged", &[], &[]).0,
        Code::DELETED
    );
    assert_eq!(received(&mut node), None);
    let incomplete = Code::REQUEST_ENTITY_INCOMPLETE;
    assert_eq!(node.upload(good, 256, 256).0.0, incomplete);
    // One that was cut off, then another that was installed: the first cannot come back, older as it is.
    node.block(good, 0, 256);
    let mut node = Rig::boot(&memory, &v.keys[..1]);
    assert_eq!(node.push(v.named("good, and the next")).0, Code::CHANGED);
    node.feed(12);
    let mut node = Rig::boot(&memory, &v.keys[..1]);
    assert_eq!(received(&mut node), None);
    assert_eq!(node.upload(good, 256, 256).0.0, incomplete);
    assert_eq!((node.sequence(), node.app("highest").as_str()), (7, "7"));
}

#[test]
fn what_would_not_be_taken_any_more_does_not_go_on_after_a_reset() {
    let v = vectors();
    let good = v.named("good");
    let memory = confirmed();
    let mut node = Rig::boot(&memory, &v.keys[..1]);
    node.block(good, 0, 256);
    // The same flash, on a node that trusts another key.
    let mut node = Rig::boot(&memory, &v.keys[1..]);
    assert_eq!(
        node.upload(good, 192, 64).0.0,
        Code::REQUEST_ENTITY_INCOMPLETE
    );
    assert_eq!(node.sequence(), 5);
    // A bit of the manifest flips between two sessions: the signature does not fit any more.
    let mut node = Rig::boot(&memory, &v.keys[..1]);
    assert_eq!(received(&mut node), Some(192));
    drop(node);
    let name = good.windows(6).position(|w| w == b"vector").unwrap() as u32;
    let slot = (0..3).map(|i| memory.place(i).0 + 2048).find(|at| {
        use wasmote_node::slot::Flash;
        memory.mapped(at + name, 6) == b"vector" && memory.mapped(*at, 192) == &good[..192]
    });
    memory.flip(slot.unwrap() + name, 0);
    let mut node = Rig::boot(&memory, &v.keys[..1]);
    assert_eq!(
        node.upload(good, 192, 64).0.0,
        Code::REQUEST_ENTITY_INCOMPLETE
    );
    assert_eq!(node.sequence(), 5);
}

#[test]
fn blocks_out_of_order_twice_and_of_changing_size_install_the_package_or_nothing() {
    let v = vectors();
    let good = v.named("good");
    let before = confirmed();
    // xorshift32, so that every run tries the same.
    let mut state = 0x9e37_79b9_u32;
    let mut random = move |limit: usize| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as usize % limit
    };
    let mut node = Rig::boot(&before.copy(), &v.keys[..1]);
    let (mut installed, mut blocks, mut incomplete) = (0, 0, 0);
    for round in 0..400 {
        if node.sequence() != 5 {
            node = Rig::boot(&before.copy(), &v.keys[..1]);
        }
        // A peer that goes back, ahead, repeats, and changes its mind about sizes; mostly it goes on.
        let mut at = 0;
        for _ in 0..60 {
            let size = 16 << random(5);
            let offset = match random(8) {
                0 => random(good.len()) / size * size,
                1 => at / size * size,
                _ => at,
            };
            if !offset.is_multiple_of(size) {
                continue;
            }
            let (code, payload) = node.block(good, offset, size);
            blocks += 1;
            match code {
                Code::CONTINUE => at = at.max(offset + size),
                Code::CHANGED => {
                    assert_eq!(node.sequence(), 6, "round {round}");
                    installed += 1;
                    break;
                }
                Code::REQUEST_ENTITY_INCOMPLETE => {
                    incomplete += 1;
                    at = 0;
                }
                _ => {
                    // A last block, before the others: the node says so, or that it is short of something.
                    let text = String::from_utf8_lossy(&payload);
                    assert!(code.class() == 4, "round {round}: {code:?} {text}");
                    at = 0;
                }
            }
            assert_eq!(node.sequence(), 5, "round {round}");
            // The server remembers so many requests that change something for as long (RFC 7252 §4.5).
            node.wait(1_500);
        }
        node.wait(11_000);
    }
    tell(format_args!(
        "{blocks} blocks, {incomplete} refused as out of order, {installed} times installed"
    ));
    assert!(installed > 100 && incomplete > 100);
    let ((code, _), _) = Rig::boot(&before.copy(), &v.keys[..1]).upload(good, 0, 16);
    assert_eq!(code, Code::CHANGED);
}

#[test]
fn keys_follow_each_other_and_a_dropped_one_is_refused() {
    let v = vectors();
    let memory = confirmed();
    let mut node = Rig::boot(&memory, &v.keys[..1]);
    let second = v.named("signed with the second key");
    assert!(node.push(second).1.starts_with(b"unknown-key: "));
    assert_eq!(
        node.push(v.named("good, and brings a second key for its own"))
            .0,
        Code::CHANGED
    );
    // Not before the package has proved itself.
    assert!(node.push(second).1.starts_with(b"unknown-key: "));
    let before = node.json("node")["trusted"].clone();
    node.feed(12);
    let after = node.json("node")["trusted"].clone();
    assert!(before != after && after.as_array().unwrap().len() == 1);
    assert!(
        node.push(v.named("signed later"))
            .1
            .starts_with(b"unknown-key: ")
    );
    assert_eq!(node.push(second).0, Code::CHANGED);
    node.feed(12);
    let mut node = Rig::boot(&memory, &v.keys[..1]);
    assert_eq!(
        (node.sequence(), node.json("node")["trusted"].clone()),
        (10, after)
    );
    // A package that is left during its trial changes no keys.
    let memory = confirmed();
    let mut node = Rig::boot(&memory, &v.keys[..1]);
    assert_eq!(
        node.push(v.named("good, and brings a second key")).0,
        Code::CHANGED
    );
    let mut node = Rig::boot(&memory, &v.keys[..1]);
    assert_eq!(
        (node.sequence(), node.json("node")["keys"].clone()),
        (5, 1.into())
    );
}

#[test]
fn whoever_has_the_newest_signed_package_goes_first_and_strangers_hold_up_nobody() {
    let v = vectors();
    let mut node = Rig::boot(&confirmed(), &v.keys[..1]);
    let (older, newer) = (v.named("good"), v.named("good, and the next"));
    // Strangers begin uploads that are not packages, a block each, and go on at it.
    for stranger in 10..14 {
        node.peer = stranger;
        assert_eq!(node.block(&[0xd2, 0x84, 0x58, 0xff], 0, 16).0.class(), 4);
        assert_eq!(node.block(&older[..64], 0, 16).0, Code::CONTINUE);
    }
    node.peer = 1;
    assert_eq!(node.block(older, 0, 64).0, Code::CONTINUE);
    for stranger in 10..12 {
        node.peer = stranger;
        assert_eq!(node.block(&older[..64], 0, 16).0, Code::CONTINUE);
    }
    node.peer = 1;
    for offset in (64..256).step_by(64) {
        assert_eq!(node.block(older, offset, 64).0, Code::CONTINUE);
    }
    // The same package from another waits while this one goes on, and its blocks do not come in between.
    node.peer = 2;
    assert_eq!(node.block(older, 0, 256).0, Code::SERVICE_UNAVAILABLE);
    assert_eq!(node.block(older, 256, 16).0, Code::SERVICE_UNAVAILABLE);
    // A newer one was signed since: its maker goes first.
    let began = node.erased().iter().sum::<u64>();
    assert_eq!(node.block(newer, 0, 256).0, Code::CONTINUE);
    node.peer = 1;
    assert_eq!(node.block(older, 256, 64).0, Code::SERVICE_UNAVAILABLE);
    assert!(node.erased().iter().sum::<u64>() > began);
    // Who comes no further gives way.
    node.wait(11_000);
    assert_eq!(node.upload(newer, 0, 64).0.0, Code::CHANGED);
    assert_eq!(node.sequence(), 7);
}

#[test]
fn one_envelope_is_one_erasure_however_often_it_comes() {
    let v = vectors();
    let memory = confirmed();
    let mut node = Rig::boot(&memory, &v.keys[..1]);
    let package = v.named("good");
    assert_eq!(node.block(package, 0, 256).0, Code::CONTINUE);
    let erased = node.erased();
    for round in 0..90 {
        assert_eq!(node.block(package, 0, 256).0, Code::CONTINUE, "{round}");
        if round % 30 == 29 {
            node = Rig::boot(&memory, &v.keys[..1]);
        }
    }
    assert_eq!(node.erased(), erased);
    // Nor does what is refused erase anything.
    for (name, expected, other) in &v.packages {
        if !["ok", "digest", "module"].contains(&expected.as_str()) {
            assert!(node.push(other).0.class() >= 4, "{name}");
        }
    }
    assert_eq!(node.erased(), erased);
    assert_eq!(node.push(package).0, Code::CHANGED);
    assert_eq!(node.erased(), erased);
    assert_eq!(node.sequence(), 6);
}

#[test]
fn who_repeats_an_envelope_with_another_module_behind_it_wears_nothing_out() {
    let v = vectors();
    let memory = confirmed();
    let mut node = Rig::boot(&memory, &v.keys[..1]);
    let package = v.named("good, and the next");
    let mut other = package.to_vec();
    *other.last_mut().unwrap() ^= 1;
    let sum = |node: &mut Rig| node.erased().iter().sum::<u64>();
    let began = sum(&mut node);
    for _ in 0..100 {
        assert!(node.push(&other).0.class() >= 4);
    }
    // One in four evens the wear out.
    assert!(sum(&mut node) - began <= u64::from(ERASES) * 5 / 4 + 3);
    let document = node.json("node");
    assert_eq!(document["erasures_left"], 0);
    assert!(document["erasures_refused"].as_u64().unwrap() > 50);
    // Whoever has the key signs a newer one, and goes first.
    assert_eq!(
        node.push(v.named("good, and ticks every 10 ms")).0,
        Code::CHANGED
    );
    assert_eq!(node.sequence(), 8);
}

#[test]
fn the_last_sequence_number_locks_nobody_out_and_nothing_comes_twice() {
    let v = vectors();
    let memory = confirmed();
    let mut node = Rig::boot(&memory, &v.keys[..1]);
    let refused = |node: &mut Rig, name: &str| {
        let (code, payload) = node.push(v.named(name));
        let text = String::from_utf8(payload).unwrap();
        assert!(text.starts_with("sequence: "), "{name}: {text}");
        assert_eq!(code.class(), 4, "{name}");
    };
    refused(&mut node, "the last sequence number there is");
    refused(&mut node, "too far above what was installed");
    refused(&mut node, "of the era after the next");
    assert_eq!(
        node.push(v.named("good, and as far above as is taken")).0,
        Code::CHANGED
    );
    node.feed(12);
    assert_eq!(node.app("highest"), (5 + 65_536).to_string());
    refused(&mut node, "good");
    refused(&mut node, "signed later");
    // The way out is the next era, which needs the key.
    refused(&mut node, "of the next era, and too far above");
    assert_eq!(
        node.push(v.named("good, and of the next era")).0,
        Code::CHANGED
    );
    node.feed(12);
    for _ in 0..2 {
        assert_eq!(
            (node.app("era"), node.app("highest"), node.app("state")),
            ("1".into(), "1".into(), "confirmed".into())
        );
        // Nothing of the era before comes again, whatever its number.
        for name in [
            "first",
            "good",
            "signed later",
            "good, and as far above as is taken",
        ] {
            refused(&mut node, name);
        }
        refused(&mut node, "good, and of the next era");
        refused(&mut node, "the last sequence number there is");
        // Neither after a reset.
        node = Rig::boot(&memory, &v.keys[..1]);
    }
    // The era after it is the next one now.
    assert_eq!(
        node.push(v.named("of the era after the next")).0,
        Code::CHANGED
    );
}

#[test]
fn who_observes_the_package_is_told_when_it_changes_and_not_of_every_block() {
    let v = vectors();
    let good = v.named("good");
    let mut node = Rig::boot(&confirmed(), &v.keys[..1]);
    node.observe("app");
    let mut told = vec![];
    for number in 0..good.len().div_ceil(16) {
        let (code, _) = node.block(good, number * 16, 16);
        assert!([Code::CONTINUE, Code::CHANGED].contains(&code));
        told.push(node.notified());
    }
    // When there is a slot for it, and when it runs.
    assert_eq!(told.iter().sum::<usize>(), 2, "{told:?}");
    assert_eq!(told.last(), Some(&1));
}
