//! The modules that fuzzing keeps (test/fuzz/corpus), and every module of the official suite, good and bad: judged and run by
//! the engine as it is built here, where libFuzzer's targets have every trust of its loop checked.
use crate::suite::suite;
use std::path::Path;
use wasmote_fuzz::{execute, judge, with_stack};

/// The kept inputs.
pub fn kept() -> Vec<Vec<u8>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let entries = std::fs::read_dir(corpus).expect("the corpus");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.retain(|path| path.extension().is_none_or(|extension| extension != "md"));
    paths.sort();
    let read = |path| std::fs::read(path).expect("an input");
    paths.iter().map(read).collect()
}

#[test]
fn what_fuzzing_keeps_is_refused_or_runs_within_its_region() {
    with_stack(|| {
        let kept = kept();
        let (all, suite) = (kept.len(), suite());
        let (mut good, mut ran) = (0, 0);
        for bytes in kept.iter().chain(&suite) {
            good += usize::from(judge(bytes).is_ok());
            ran += usize::from(execute(bytes));
        }
        println!(
            "{all} kept, {} of the suite: {good} accepted, {ran} run",
            suite.len()
        );
        assert!(all > 100 && good > 1000 && ran > 1000);
    });
}
