//! Writes the modules of the official suite into a folder, as what fuzzing may begin with.
//!
//! `cargo run --example suite -- FOLDER`
#[path = "../tests/random/suite.rs"]
mod suite;

fn main() {
    let folder = std::env::args().nth(1).expect("a folder");
    for (number, bytes) in suite::suite().iter().enumerate() {
        let path = std::path::Path::new(&folder).join(format!("{number}.wasm"));
        std::fs::write(path, bytes).expect("it is written");
    }
}
