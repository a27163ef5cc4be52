//! Writes random modules into a folder, one for each seed from 1 on, for tests in other languages: the same as those that the
//! differential tests here run.
//!
//! `cargo run --example modules -- FOLDER COUNT`
use wasm_smith::Config;
use wasmote_fuzz::{config, random_module, with_stack};
use wast::Wat;
use wast::parser::{self, ParseBuffer};

/// What some of the modules import, of every type of value; the tests' host answers. wasm3 finds exports by name alone, and
/// so must not meet these names among them.
const IMPORTS: &str = r#"(module
  (import "host" "asks_i" (func (param i32 i64) (result i32)))
  (import "host" "asks_j" (func (param i64) (result i64)))
  (import "host" "asks_f" (func (param f32 i32) (result f32)))
  (import "host" "asks_d" (func (param f64 f32) (result f64)))
  (import "host" "asks_n" (func)))"#;

fn main() {
    let mut words = std::env::args().skip(1);
    let folder = words.next().expect("a folder");
    let count: u64 = words.next().and_then(|n| n.parse().ok()).expect("a count");
    let text = ParseBuffer::new(IMPORTS).expect("the text above can be read");
    let imports = parser::parse::<Wat>(&text)
        .and_then(|mut wat| wat.encode())
        .expect("the text above is a module");
    with_stack(move || {
        for seed in 1..=count {
            // Two of three as engines without references and several results take them.
            let whole = seed % 3 == 0;
            let asking = seed % 4 == 1;
            let config = Config {
                available_imports: asking.then(|| imports.clone()),
                min_imports: if asking { 2 } else { 0 },
                max_imports: if asking { 5 } else { 0 },
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
