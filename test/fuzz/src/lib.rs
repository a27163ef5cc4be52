//! What any bytes given as a module have to come to, as libFuzzer's targets (targets/), the tests over the kept corpus and those
//! with random modules ask it: a wrong answer is a panic.
mod exercise;
mod random;
mod secure;

pub use exercise::{GIVEN_UP, Plan, Verdict, exercise, load, value};
use exercise::{load_in, room};
pub use random::{config, imports, random, random_module, setting, with_stack};
pub use secure::secure;
use wasmote_engine::{Fault, LoadError, Module, PageSizes, instruction};
use wasmparser::{BinaryReader, FunctionBody, Parser, Payload, Validator, WasmFeatures};

/// The target `validate`: the bytes are accepted or refused, in agreement with another validator, and never with a panic. A
/// refusal has its place within them. Of what is accepted all can be read, instruction by instruction.
pub fn judge(bytes: &[u8]) -> Verdict {
    let verdict = load(bytes);
    let strict = load_in(bytes, room(bytes), PageSizes::Strict);
    let theirs = |bytes: &[u8]| {
        let features = WasmFeatures::WASM2
            .difference(WasmFeatures::SIMD)
            .union(WasmFeatures::CUSTOM_PAGE_SIZES);
        Validator::new_with_features(features)
            .validate_all(bytes)
            .map(|_| ())
    };
    match (&strict, theirs(bytes)) {
        (Ok(_), Err(error)) => panic!("only this engine accepts: {error}"),
        (Err(error), Ok(_)) => {
            assert!(explained(bytes, error), "only this engine refuses: {error}");
        }
        _ => {}
    }
    match &verdict {
        Ok((table, summary)) => {
            let module = Module::new(bytes, table, summary).expect("what was validated");
            let page = module.memory_type().map(|memory| memory.page_log2);
            match &strict {
                Ok(same) => assert_eq!(same, &(table.clone(), *summary)),
                // The proposal has pages of 1 and of 65,536 bytes alone: with the former they have to agree.
                Err(error) => {
                    assert!(matches!(page, Some(1..=15)), "strictly refused: {error}");
                    let pages = byte_pages(bytes, error.offset as usize).map(|it| theirs(&it));
                    assert!(matches!(pages, None | Some(Ok(()))), "{pages:?}");
                }
            }
            read(&module);
            // A table that is a word too short is not written beyond.
            if let Some(words) = table.len().checked_sub(1) {
                let short = load_in(bytes, words, PageSizes::Any).map(|_| ());
                let full = Fault::Unsupported("the branch table is full");
                assert_eq!(short.map_err(|error| error.fault), Err(full));
            }
        }
        Err(error) => {
            assert!(error.offset as usize <= bytes.len(), "{error}");
            assert!(strict.is_err(), "strictly accepted: {error}");
        }
    }
    verdict
}

/// The module with pages of one byte instead of those of the memory type at this place; none where it is written in other
/// bytes than usual.
fn byte_pages(bytes: &[u8], at: usize) -> Option<Vec<u8>> {
    let mut r = BinaryReader::new(bytes.get(at..)?, 0);
    let flags = r.read_var_u32().ok()?;
    for _ in 0..=flags & 1 {
        r.read_var_u32().ok()?;
    }
    let mut changed = bytes.to_vec();
    let log2 = changed.get_mut(at + r.current_position())?;
    if !(1..=15).contains(log2) {
        return None;
    }
    *log2 = 0;
    Some(changed)
}

/// Whether what only this engine refuses is beyond its limits, or of a later version: the other validator reads (ref null func),
/// 0x63 0x70, as funcref.
fn explained(bytes: &[u8], error: &LoadError) -> bool {
    /// What modules of some thousand bytes can get to.
    const LIMITS: [&str; 4] = [
        "too many types carried for its size",
        "too many operands",
        "blocks nested too deeply",
        "frame too large",
    ];
    match error.fault {
        Fault::Unsupported(what) => LIMITS.contains(&what),
        _ => {
            let at = bytes.get(error.offset as usize..).unwrap_or_default();
            matches!(at, [0x63, 0x6f | 0x70, ..])
        }
    }
}

/// Reads all there is to read of a module, and compares its instructions with what another decoder makes of them.
fn read(module: &Module<'_>) {
    for import in module.imports() {
        std::hint::black_box(import);
    }
    for export in module.exports() {
        let found = module.export(export.name).expect("an export by its name");
        assert_eq!(found, export);
    }
    for section in module.custom_sections() {
        std::hint::black_box(section);
    }
    for function in 0..module.functions() {
        assert!(module.func_type(function).is_some());
    }
    let bytes = module.bytes();
    for payload in Parser::new(0).parse_all(bytes) {
        if let Payload::CodeSectionEntry(body) = payload.expect("what was validated") {
            disassemble(bytes, &body);
        }
    }
}

fn disassemble(bytes: &[u8], body: &FunctionBody<'_>) {
    let mut operators = body.get_operators_reader().expect("what was validated");
    while !operators.eof() {
        let at = operators.original_position();
        operators.read().expect("what was validated");
        let found = instruction(bytes, at as u32).expect("an instruction");
        let end = operators.original_position();
        assert_eq!(u64::from(found.length), end - at, "{found} at {at}");
        assert!(found.to_string().starts_with(found.opcode.name));
    }
}

/// The target `run`: an accepted module is run twice, as a whole and in slices of fuel that the bytes themselves give, and both
/// come to the same. Whether there was something to run.
pub fn execute(bytes: &[u8]) -> bool {
    const MOST: u64 = 2_000;
    const PATTERN: u64 = 0xa5a5_5a5a_c3c3_3c3c;
    let Ok((table, summary)) = load(bytes) else {
        return false;
    };
    // What comes last in a module, such as data and custom sections, can be anything.
    let values: Vec<u8> = bytes.iter().rev().copied().collect();
    let mut sizes = values.iter().cycle();
    let whole = &mut || MOST * 2;
    let uneven = &mut || 1 + u64::from(*sizes.next().unwrap_or(&0)) / 3;
    let told = |slice, patience, pattern| {
        let mut plan = Plan {
            slice,
            most: MOST,
            patience,
            values: &values,
            pages: 2,
            pattern,
            region: 1 << 18,
            taken: 0,
        };
        exercise(bytes, &table, &summary, &mut plan)
    };
    let Some(once) = told(whole, MOST * 2, PATTERN) else {
        return false;
    };
    // Where a run is given up depends on the slices: here later than there.
    let again = told(uneven, MOST * 8, !PATTERN);
    let again = again.expect("its region is as large");
    let same = once.bytes().zip(again.bytes()).take_while(|(a, b)| a == b);
    let from = same.count().saturating_sub(80);
    let part = |told: &str| told.chars().skip(from).take(400).collect::<String>();
    assert!(
        once == again || once.contains(GIVEN_UP),
        "in slices:\n{}\nas a whole:\n{}",
        part(&again),
        part(&once)
    );
    true
}
