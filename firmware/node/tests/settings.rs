//! Parameters that are changed faster than flash may be written: the module has the newest at once, flash soon, and what a power cut
//! leaves is what the answers said.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod rig;

use rig::{Memory, Rig, running, tell, vectors};
use wasmote_coap::Code;

const PATH: &str = "app/params/limit";

fn boot(memory: &Memory) -> Rig {
    Rig::boot(memory, &vectors().keys[..1])
}

/// Sets it; the seconds after which the node said that flash has it.
fn set(node: &mut Rig, value: u32) -> u64 {
    let text = format!("{}.{:02}", value / 100, value % 100);
    let (code, text) = node.request(Code::PUT, PATH, &[], text.as_bytes());
    let text = String::from_utf8(text).unwrap();
    assert_eq!(code, Code::CHANGED, "{value}: {text}");
    if text.is_empty() {
        return 0;
    }
    let rest = text.strip_prefix("kept over a reset in ").unwrap();
    rest.strip_suffix(" s").unwrap().parse().unwrap()
}

fn value(node: &mut Rig) -> u32 {
    let (code, text) = node.get(PATH, 0, "");
    assert_eq!(code, Code::CONTENT);
    let value: f64 = String::from_utf8(text).unwrap().parse().unwrap();
    (value * 100.0).round() as u32
}

/// What a reset now would leave.
fn after_a_cut(memory: &Memory) -> u32 {
    value(&mut boot(&memory.copy()))
}

#[test]
fn a_slider_may_be_dragged_and_every_value_counts_at_once() {
    let (memory, mut node) = running();
    let before = memory.asked.get();
    assert_eq!(set(&mut node, 1), 0);
    // Twenty values a second, for a minute.
    for step in 0..1_200 {
        let next = 2 + step % 90;
        let seconds = set(&mut node, next);
        assert!(seconds <= 10, "{step}: {seconds}");
        assert_eq!(value(&mut node), next, "{step}");
        node.wait(48);
    }
    // Each write is of three cells.
    let writes = memory.asked.get() - before;
    assert!((12..=3 * 8).contains(&writes), "{writes}");
    let last = value(&mut node);
    node.wait(10_000);
    assert_eq!(after_a_cut(&memory), last);
    tell(format_args!("{writes} writes for a minute of a slider"));
}

#[test]
fn what_a_power_cut_leaves_is_what_the_answers_said() {
    let (memory, mut node) = running();
    // xorshift32
    let mut state = 0x9e37_79b9_u32;
    let mut random = move |limit: u32| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state % limit
    };
    // Values that are set, with the time by which flash has each or a later one.
    let (mut now, mut all) = (0, vec![]);
    for round in 0..400 {
        let next = random(100);
        let seconds = set(&mut node, next);
        all.push((now + seconds * 1000, next));
        let pause = u64::from(match random(4) {
            0 => random(30_000),
            _ => random(500),
        });
        node.wait(pause);
        now += pause;
        let kept = after_a_cut(&memory);
        let due = all.iter().rposition(|(due, _)| *due <= now);
        // It may have been written sooner, never later.
        let newer = &all[due.unwrap_or(0)..];
        assert!(
            due.is_none() || newer.iter().any(|(_, value)| *value == kept),
            "{round}: {kept} is not of {newer:?}"
        );
    }
    node.wait(601_000);
    assert_eq!(after_a_cut(&memory), all.last().unwrap().1);
}

#[test]
fn a_value_that_flash_has_not_is_kept_over_an_update_a_return_and_an_orderly_restart() {
    let v = vectors();
    let (memory, mut node) = running();
    set(&mut node, 1);
    assert!(set(&mut node, 2) > 0);
    assert_eq!(after_a_cut(&memory), 1);
    // The next package, which has a parameter of this name, and traps on its trial.
    let traps = v.named("good, and traps at its eleventh sample");
    assert_eq!(node.push(traps).0, Code::CHANGED);
    assert_eq!(value(&mut node), 2);
    assert_eq!(after_a_cut(&memory), 2);
    assert!(set(&mut node, 3) > 0);
    node.request(Code::POST, "app/rollback", &[], &[]);
    assert_eq!((node.sequence(), value(&mut node)), (5, 2));
    // What was written a moment ago is written once more at once where the node restarts in good order.
    node.wait(10_000);
    set(&mut node, 4);
    assert!(set(&mut node, 5) > 0);
    assert_eq!(after_a_cut(&memory), 4);
    node.rest();
    assert_eq!((node.sequence(), after_a_cut(&memory)), (5, 5));
}

#[test]
fn a_module_that_begins_anew_has_the_newest_value() {
    let v = vectors();
    let (memory, mut node) = running();
    let traps = v.named("good, and traps at its eleventh sample");
    assert_eq!(node.push(traps).0, Code::CHANGED);
    node.feed(9);
    assert_eq!(node.app("state"), "confirmed");
    set(&mut node, 6);
    assert!(set(&mut node, 7) > 0);
    // It traps, and is started again after a second.
    node.feed(3);
    node.wait(2_000);
    assert_eq!((value(&mut node), after_a_cut(&memory)), (7, 6));
    node.wait(10_000);
    assert_eq!(after_a_cut(&memory), 7);
}

#[test]
fn hours_of_changes_by_anybody_write_as_often_as_flash_stands_and_end_in_the_newest() {
    let (memory, mut node) = running();
    let first: u64 = node.erased().iter().sum();
    let mut last = 0;
    // A day, with a rule somewhere that changes it every ten seconds.
    for step in 0..24 * 360 {
        last = step % 97;
        set(&mut node, last);
        assert_eq!(value(&mut node), last);
        node.wait(10_000);
    }
    let erased = node.erased().iter().sum::<u64>() - first;
    assert!((4..=12).contains(&erased), "{erased}");
    node.wait(601_000);
    assert_eq!(after_a_cut(&memory), last);
    tell(format_args!("{erased} erasures in a day of changes"));
}

#[test]
fn a_bad_day_for_flash_loses_no_value_while_the_node_is_up() {
    let (memory, mut node) = running();
    set(&mut node, 1);
    // While a package is on trial its journal cannot be moved: changes count all the same.
    assert_eq!(
        node.push(vectors().named("good, and the next")).0,
        Code::CHANGED
    );
    for step in 0..200 {
        set(&mut node, step % 100);
        assert_eq!(value(&mut node), step % 100);
        node.wait(600_000);
    }
    node.feed(12);
    node.wait(601_000);
    assert_eq!((node.sequence(), after_a_cut(&memory)), (7, 99));
}
