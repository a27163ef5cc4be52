//! Flash that fails: the power is cut at every operation in turn, in four ways; bits flip; sectors wear out evenly.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod rig;

use rig::{EVEN, Layout, Memory, Rig, TEARS, Tear, UNEVEN, Vectors, tell, vectors};
use wasmote_coap::{Code, format};
use wasmote_node::slot::{PACKAGE, SLOTS, WEAR};

/// A node with package 5 confirmed, and 6 on top of it where that is wanted.
fn confirmed(layout: &'static Layout, both: bool) -> Memory {
    let v = vectors();
    let memory = Memory::with(layout);
    let mut node = Rig::boot(&memory, &v.keys[..1]);
    for name in &["first", "good"][..1 + usize::from(both)] {
        assert_eq!(node.push(v.named(name)).0, Code::CHANGED);
        node.feed(12);
        assert_eq!(node.app("state"), "confirmed");
    }
    memory
}

/// What is done while the power is cut: its name, whether 6 lies above 5 before it, what is done, and the sequence numbers that may run
/// afterwards; 0 is none.
type Scenario = (&'static str, bool, fn(&mut Rig, &Vectors), &'static [u32]);

fn parameter(node: &mut Rig, value: u32) -> Code {
    let text = value.to_string();
    // The server remembers so many requests that change something for as long (RFC 7252 §4.5); and flash has its budget.
    node.wait(60_000);
    node.request(Code::PUT, "app/params/limit", &[], text.as_bytes())
        .0
}

const SCENARIOS: &[Scenario] = &[
    (
        "install",
        false,
        |node, v| drop(node.push(v.named("good"))),
        &[5, 6],
    ),
    (
        "install and confirm",
        false,
        |node, v| {
            node.push(v.named("good"));
            node.feed(12);
        },
        &[5, 6],
    ),
    (
        "install over two",
        true,
        |node, v| {
            node.push(v.named("good, and the next"));
            node.feed(12);
        },
        &[6, 7],
    ),
    (
        "roll back by hand",
        true,
        |node, _| drop(node.request(Code::POST, "app/rollback", &[], &[])),
        &[5, 6],
    ),
    (
        "install after a rollback",
        true,
        |node, v| {
            node.request(Code::POST, "app/rollback", &[], &[]);
            node.push(v.named("good, and the next"));
        },
        &[5, 6, 7],
    ),
    (
        "return from a trap",
        false,
        |node, v| {
            node.push(v.named("good, and traps at its first sample"));
            node.feed(3);
        },
        &[5, 8],
    ),
    (
        "remove",
        true,
        |node, _| drop(node.request(Code::DELETE, "app", &[], &[])),
        &[6, 0],
    ),
    (
        "install after a removal",
        true,
        |node, v| {
            node.request(Code::DELETE, "app", &[], &[]);
            node.push(v.named("good, and the next"));
        },
        &[6, 0, 7],
    ),
    (
        "change a parameter",
        false,
        |node, _| {
            for value in 2..5 {
                parameter(node, value);
            }
        },
        &[5],
    ),
    (
        "change a parameter until the journal is full",
        true,
        |node, _| {
            for value in 0..110 {
                parameter(node, value % 10);
            }
        },
        &[6],
    ),
    (
        "bring a second key",
        false,
        |node, v| {
            node.push(v.named("good, and brings a second key for its own"));
            node.feed(12);
        },
        &[5, 9],
    ),
    (
        "discard an upload",
        false,
        |node, v| {
            node.block(v.named("good"), 0, 256);
            node.request(Code::DELETE, "app/staged", &[], &[]);
        },
        &[5],
    ),
];

/// What a node that was cut off must still be.
fn check(memory: &Memory, v: &Vectors, allowed: &[u32], floor: u32, what: &str) {
    let mut node = Rig::boot(memory, &v.keys[..1]);
    let app = node.json("app");
    let sequence = app["sequence"].as_u64().unwrap_or(0) as u32;
    let state = app["state"].as_str().unwrap();
    let good = if sequence == 0 {
        state == "empty"
    } else {
        ["confirmed", "trial"].contains(&state)
    };
    assert!(allowed.contains(&sequence) && good, "{what}: {app}");
    let highest = app["highest"].as_u64().unwrap() as u32;
    assert!(highest >= floor.max(sequence), "{what}: {app}");
    assert_ne!(app["event"]["what"], "damaged", "{what}: {app}");
    // It does what it did, and nothing that was ever installed can be again.
    if sequence == 8 {
        // Staged when the power was cut: it is tried, and fails.
        node.feed(1);
        assert_eq!(node.sequence(), 5, "{what}");
    } else if sequence > 0 {
        node.feed(1);
        assert_eq!(node.get("outputs/flow", format::TEXT, "").1, b"0", "{what}");
    }
    assert_ne!(node.push(v.named("first")).0, Code::CHANGED, "{what}");
    // It works on: what is newer, with a key that it trusts, can be installed and runs.
    let (mut code, mut payload) = node.push(v.named("signed later"));
    if payload.starts_with(b"unknown-key") {
        (code, payload) = node.push(v.named("signed with the second key"));
    }
    let text = String::from_utf8_lossy(&payload);
    assert!(code == Code::CHANGED, "{what}: {code:?} {text}");
    node.feed(12);
    assert_eq!(
        (node.sequence(), node.app("state").as_str()),
        (10, "confirmed"),
        "{what}"
    );
    assert_eq!(memory.violations.get(), 0, "{what}: bits were to be set");
}

#[test]
fn power_may_be_cut_at_any_flash_operation_and_tear_it() {
    let v = vectors();
    let mut cuts = 0;
    // The uneven ones differ in what an erasure is.
    for (layout, kind) in [(&EVEN, "even"), (&UNEVEN, "uneven")] {
        let bases = [confirmed(layout, false), confirmed(layout, true)];
        for (name, both, act, allowed) in SCENARIOS {
            let before = &bases[usize::from(*both)];
            let floor = 5 + u32::from(*both);
            let memory = before.copy();
            let mut node = Rig::boot(&memory, &v.keys[..1]);
            memory.asked.set(0);
            act(&mut node, &v);
            let operations = memory.asked.get();
            assert!(operations > 0, "{name} touches no flash");
            for tear in TEARS {
                for cut in 0..operations {
                    let memory = before.copy();
                    let mut node = Rig::boot(&memory, &v.keys[..1]);
                    memory.tear.set(tear);
                    memory.left.set(cut + 1);
                    act(&mut node, &v);
                    drop(node);
                    memory.left.set(u64::MAX);
                    let what =
                        format!("{name}, {kind} sectors, cut at {cut} of {operations}: {tear:?}");
                    check(&memory, &v, allowed, floor, &what);
                    cuts += 1;
                }
            }
        }
    }
    tell(format_args!("power was cut at {cuts} places"));
    assert!(cuts > 2_500, "only {cuts} places");
}

#[test]
fn a_second_cut_while_the_first_is_mended_does_no_harm() {
    let v = vectors();
    let before = confirmed(&EVEN, true);
    let install = |node: &mut Rig| {
        node.push(v.named("good, and the next"));
        node.feed(12);
    };
    let mut cuts = 0;
    for first in 0..24 {
        for second in 0..8 {
            let memory = before.copy();
            let mut node = Rig::boot(&memory, &v.keys[..1]);
            memory.tear.set(Tear::Bits);
            memory.left.set(first + 1);
            install(&mut node);
            drop(node);
            // The next start, and what it does, is cut as well.
            memory.left.set(second + 1);
            let mut node = Rig::boot(&memory, &v.keys[..1]);
            install(&mut node);
            drop(node);
            memory.left.set(u64::MAX);
            check(
                &memory,
                &v,
                &[6, 7],
                6,
                &format!("cut at {first} and {second}"),
            );
            cuts += 1;
        }
    }
    tell(format_args!("power was cut twice, {cuts} times"));
}

#[test]
fn a_bit_that_flips_anywhere_is_found_and_the_good_package_runs() {
    let v = vectors();
    let before = confirmed(&EVEN, true);
    let (mut flips, mut left) = (0, 0);
    for index in 0..SLOTS {
        let (base, length) = before.place(index);
        // Header, journal, package and branch table; what lies behind is not used.
        for at in base..base + length.min(2048 + 512) {
            // Every bit of what is written, one of each byte of what is erased.
            let erased = before_byte(&before, at) == 0xff;
            for bit in (0..8).step_by(if erased { 8 } else { 1 }) {
                let memory = before.copy();
                memory.flip(at, bit);
                let mut node = Rig::boot(&memory, &v.keys[..1]);
                let app = node.json("app");
                let sequence = app["sequence"].as_u64().unwrap_or(0);
                let what = format!("bit {bit} at {at} of slot {index}: {app}");
                assert!([5, 6].contains(&sequence), "{what}");
                left += u32::from(sequence == 5);
                // No damage makes it forget what ran once.
                assert_eq!(app["highest"], 6, "{what}");
                assert_eq!(node.json("node")["keys"], 1, "{what}");
                node.feed(1);
                assert_eq!(node.get("outputs/flow", format::TEXT, "").1, b"0", "{what}");
                flips += 1;
            }
        }
    }
    tell(format_args!(
        "{flips} bits flipped, {left} times the package before was good"
    ));
    assert!(
        left > 1000,
        "the newer package lies in one slot and is larger than {left} bits"
    );
}

fn before_byte(memory: &Memory, at: u32) -> u8 {
    use wasmote_node::slot::Flash;
    memory.mapped(at, 1)[0]
}

#[test]
fn a_damaged_journal_does_not_bring_a_dropped_key_back() {
    let v = vectors();
    let memory = confirmed(&EVEN, false);
    let mut node = Rig::boot(&memory, &v.keys[..1]);
    assert_eq!(
        node.push(v.named("good, and brings a second key for its own"))
            .0,
        Code::CHANGED
    );
    node.feed(12);
    assert_eq!(node.app("state"), "confirmed");
    let before = memory.copy();
    let second = node.json("node")["trusted"].clone();
    for index in 0..SLOTS {
        let (base, _) = before.place(index);
        for at in base..base + 512 {
            let memory = before.copy();
            memory.flip(at, 3);
            let mut node = Rig::boot(&memory, &v.keys[..1]);
            assert_eq!(node.json("node")["trusted"], second, "byte {at}");
        }
    }
}

#[test]
fn slots_wear_evenly_whatever_goes_on() {
    let v = vectors();
    let mut worst = 0;
    for layout in [&EVEN, &UNEVEN] {
        let memory = confirmed(layout, true);
        let mut node = Rig::boot(&memory, &v.keys[..1]);
        let even = |node: &mut Rig, what: &str| {
            let erased = node.erased();
            let (least, most) = (erased.iter().min().unwrap(), erased.iter().max().unwrap());
            assert!(most - least <= u64::from(WEAR) + 2, "{what}: {erased:?}");
            erased.iter().sum::<u64>()
        };
        let began = even(&mut node, "before");
        // Uploads that fail at their end, of which each erases a slot; in between the node is reset.
        let mut damaged = v.named("signed later").to_vec();
        *damaged.last_mut().unwrap() ^= 1;
        for round in 0..150 {
            // As often as the budget has it for those who repeat what they heard.
            node.wait(5_400_000);
            let (_, payload) = node.push(&damaged);
            assert!(
                payload.starts_with(b"digest"),
                "{}",
                String::from_utf8_lossy(&payload)
            );
            even(&mut node, &format!("failed upload {round}"));
            if round % 10 == 0 {
                node = Rig::boot(&memory, &v.keys[..1]);
            }
            assert_eq!((node.sequence(), node.app("previous").as_str()), (6, "5"));
        }
        let uploads = even(&mut node, "uploads") - began;
        // Parameters, which fill a journal every twenty or thirty changes.
        for round in 0..2000u32 {
            // A little more often than they are written.
            node.wait(500_000);
            let code = parameter(&mut node, round % 11);
            assert_eq!(code, Code::CHANGED, "parameter {round}");
        }
        node.wait(600_000);
        let total = even(&mut node, "parameters") - began;
        let node = &mut Rig::boot(&memory, &v.keys[..1]);
        assert_eq!((node.sequence(), node.app("previous").as_str()), (6, "5"));
        let last = (1999 % 11).to_string();
        assert_eq!(
            node.get("app/params/limit", format::TEXT, "").1,
            last.as_bytes()
        );
        tell(format_args!(
            "150 failed uploads: {uploads} erasures; 2,000 parameters: {}",
            total - uploads
        ));
        assert!(uploads < 150 * 3 / 2 + 10 && total - uploads < 120);
        assert_eq!(memory.violations.get(), 0);
        worst = worst.max(total);
    }
    assert!(worst > 150);
}

/// A node with one package of which the branch table is not empty, and where that table lies.
fn with_table(confirm: bool) -> (Memory, u32, u32) {
    let v = vectors();
    let memory = Memory::with(&EVEN);
    let mut node = Rig::boot(&memory, &v.keys[..1]);
    let package = v.named("good, and traps at its eleventh sample");
    assert_eq!(node.push(package).0, Code::CHANGED);
    node.feed(if confirm { 9 } else { 0 });
    let app = node.json("app");
    let slot = app["slot"].as_u64().unwrap() as usize;
    let at = memory.place(slot).0 + PACKAGE + (package.len() as u32).next_multiple_of(4);
    (memory, at, app["table"].as_u64().unwrap() as u32)
}

#[test]
fn a_damaged_branch_table_is_made_again_and_the_package_runs() {
    let v = vectors();
    let (base, at, length) = with_table(true);
    assert!(length > 0);
    let (mut mended, mut moved) = (0, 0);
    for bit in 0..length * 8 {
        let memory = base.copy();
        memory.flip(at + bit / 8, (bit % 8) as u8);
        let mut node = Rig::boot(&memory, &v.keys[..1]);
        assert_eq!(
            (node.sequence(), node.app("state").as_str()),
            (8, "confirmed"),
            "{bit}"
        );
        assert!(node.log().contains("made again"), "{bit}");
        node.feed(1);
        assert_eq!(node.get("outputs/flow", format::TEXT, "").1, b"0", "{bit}");
        let erased: u64 = node.erased().iter().sum();
        mended += u32::from(erased == 1);
        moved += u32::from(erased > 1);
        // From then on it is whole.
        let mut node = Rig::boot(&memory, &v.keys[..1]);
        assert_eq!(node.sequence(), 8, "{bit}");
        assert!(!node.log().contains("made again"), "{bit}");
        assert_eq!(memory.violations.get(), 0, "{bit}");
    }
    assert!(mended > 0 && moved > 0, "{mended} in place, {moved} moved");
}

#[test]
fn power_may_be_cut_while_a_branch_table_is_made_again() {
    let v = vectors();
    let (base, at, length) = with_table(true);
    for bit in [0, length * 4, length * 8 - 1] {
        for tear in TEARS {
            for left in 1.. {
                let memory = base.copy();
                memory.flip(at + bit / 8, (bit % 8) as u8);
                let before = memory.asked.get();
                memory.tear.set(tear);
                memory.left.set(left);
                drop(Rig::boot(&memory, &v.keys[..1]));
                let done = memory.asked.get() - before < left;
                memory.left.set(u64::MAX);
                let mut node = Rig::boot(&memory, &v.keys[..1]);
                assert_eq!(
                    (node.sequence(), node.app("state").as_str()),
                    (8, "confirmed"),
                    "{bit} {tear:?} {left}"
                );
                if done {
                    break;
                }
            }
        }
    }
}

#[test]
fn what_flash_damaged_may_be_installed_again_and_nothing_else_of_its_number() {
    let v = vectors();
    let memory = confirmed(&EVEN, true);
    let slot = Rig::boot(&memory, &v.keys[..1]).json("app")["slot"]
        .as_u64()
        .unwrap() as usize;
    let package = v.named("good");
    let (base, _) = memory.place(slot);
    // In the envelope, and in the module.
    for at in [20, package.len() as u32 - 5] {
        let memory = memory.copy();
        memory.flip(base + PACKAGE + at, 2);
        let mut node = Rig::boot(&memory, &v.keys[..1]);
        assert_eq!(
            (node.sequence(), node.app("event.what").as_str()),
            (5, "damaged")
        );
        // After a reset the journal says it still.
        let mut node = Rig::boot(&memory, &v.keys[..1]);
        let event = node.app("event.what");
        assert_eq!((node.sequence(), event.as_str()), (5, "damaged"));
        assert_eq!(node.app("returned"), "true");
        let (_, payload) = node.push(v.named("of a sequence number that was used"));
        assert!(payload.starts_with(b"sequence"));
        assert_eq!(node.push(package).0, Code::CHANGED, "{at}");
        node.feed(12);
        assert_eq!((node.sequence(), node.app("previous").as_str()), (6, "5"));
        // Once it is back, it cannot come once more: that would begin it anew as often as somebody likes.
        let (_, payload) = node.push(package);
        assert!(payload.starts_with(b"sequence"));
        // Neither can it after it was withdrawn.
        node.request(Code::POST, "app/rollback", &[], &[]);
        let (_, payload) = node.push(package);
        assert!(payload.starts_with(b"sequence"));
        assert_eq!(node.sequence(), 5);
    }
}
