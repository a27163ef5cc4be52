//! Writes random modules into a folder, one for each seed from 1 on, for tests in other languages: the same as those that the
//! differential tests here run.
//!
//! `cargo run --example modules -- FOLDER COUNT`
#![allow(dead_code, reason = "the tests' file has more than is used here")]
#[path = "../tests/random/common.rs"]
mod common;

use common::{config, random_module, with_stack};
use wasm_smith::Config;

fn main() {
    let mut words = std::env::args().skip(1);
    let folder = words.next().expect("a folder");
    let count: u64 = words.next().and_then(|n| n.parse().ok()).expect("a count");
    with_stack(move || {
        for seed in 1..=count {
            // Two of three as engines without references and several results take them.
            let whole = seed % 3 == 0;
            let config = Config {
                reference_types_enabled: whole,
                multi_value_enabled: whole,
                bulk_memory_enabled: seed % 2 == 0,
                max_tables: 1,
                ..config(seed % 2 == 0)
            };
            if let Some(bytes) = random_module(config, seed + 1_000_000) {
                let path = std::path::Path::new(&folder).join(format!("{seed}.wasm"));
                std::fs::write(&path, bytes).expect("it is written");
            }
        }
    });
}
