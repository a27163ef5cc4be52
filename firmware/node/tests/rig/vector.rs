//! What a test traced, compared with a vector that was read by somebody.
use std::fmt::Write;
use wasmote_node::slot::checksum;

/// Compares what was traced with the vector of this name beside the tests. Where it differs, the new one is written to a file, with
/// which to compare and replace it if the change is meant.
pub fn golden(name: &str, told: &str) {
    let path = format!("{}/tests/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    if told == expected {
        return;
    }
    let to = format!("{}/{name}.txt", env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(&to, told).unwrap();
    let all = (told.lines().zip(expected.lines())).enumerate();
    let mut differ = all.filter(|(_, (now, before))| now != before);
    let first = differ.next();
    panic!(
        "not as firmware/node/tests/{name}.txt has it; if that is meant: cp {to} {path}\nfirst: {first:#?}"
    );
}

/// Adds a run to what was traced: the first few seeds' lines are readable, of the others there is only what they come to.
pub fn trace(told: &mut String, name: &str, seed: u32, lines: &[String]) {
    if seed > 3 {
        let all = checksum(&[lines.join("\n").as_bytes()]);
        let _ = writeln!(told, "# {name}{seed}: {all:08x}");
        return;
    }
    let _ = writeln!(told, "# {name}{seed}");
    for line in lines {
        let _ = writeln!(told, "{line}");
    }
}
