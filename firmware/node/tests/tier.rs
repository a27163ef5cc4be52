//! What the operator chose to execute packages: kept over a reset, and never at the price of the flash.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod rig;

use rig::{Memory, Rig, vectors};
use wasmote_coap::Code;
use wasmote_node::slot::ERASES;

fn choose(node: &mut Rig, tier: &str) -> Code {
    node.request(Code::PUT, "app/tier", &[], tier.as_bytes()).0
}

fn chosen(node: &mut Rig) -> String {
    node.json("app/tier")["chosen"].as_str().unwrap().to_owned()
}

#[test]
fn what_was_chosen_is_kept_over_a_reset_with_and_without_a_package() {
    let vectors = vectors();
    let memory = Memory::new();
    let keys = [vectors.keys[0]];
    let mut node = Rig::boot(&memory, &keys);
    assert_eq!(chosen(&mut node), "compiled");
    assert_eq!(choose(&mut node, "interpreted"), Code::CHANGED);
    assert_eq!(chosen(&mut node), "interpreted");
    let mut node = Rig::boot(&memory, &keys);
    assert_eq!(chosen(&mut node), "interpreted");
    assert_eq!(node.push(vectors.named("first")).0, Code::CHANGED);
    node.feed(20);
    let mut node = Rig::boot(&memory, &keys);
    assert_eq!(chosen(&mut node), "interpreted");
    assert_eq!(choose(&mut node, "compiled"), Code::CHANGED);
    let mut node = Rig::boot(&memory, &keys);
    assert_eq!(chosen(&mut node), "compiled");
    for wrong in ["", "fast", "Compiled", "1"] {
        assert_eq!(choose(&mut node, wrong), Code::BAD_REQUEST, "{wrong}");
    }
    assert_eq!(chosen(&mut node), "compiled");
}

#[test]
fn choosing_again_and_again_erases_no_more_than_the_day_allows() {
    let vectors = vectors();
    let memory = Memory::new();
    let mut node = Rig::boot(&memory, &vectors.keys[..1]);
    assert_eq!(node.push(vectors.named("first")).0, Code::CHANGED);
    node.feed(20);
    let before: u64 = node.erased().iter().sum();
    let mut refused = 0;
    for turn in 0..1600 {
        let tier = if turn % 2 == 0 {
            "interpreted"
        } else {
            "compiled"
        };
        // The endpoint's own limit of changes a second is not what is tried here.
        node.wait(500);
        match choose(&mut node, tier) {
            Code::CHANGED => {}
            Code::SERVICE_UNAVAILABLE => refused += 1,
            code => panic!("{code:?}"),
        }
    }
    let after: u64 = node.erased().iter().sum();
    assert!(
        after - before <= u64::from(ERASES) * 5 / 4 + 3,
        "{before} {after}"
    );
    assert!(refused > 0, "the budget was never used up");
    assert_eq!(node.app("state"), "confirmed");
}
