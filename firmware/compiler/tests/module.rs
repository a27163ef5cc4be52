//! Whole modules: what is measured is what is written, what is beyond a limit is refused, and nothing outside is touched.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]
use wasmote_compiler::{Options, Refusal, Work, compile, marks, measure, verify};
use wasmote_engine::{Module, PageSizes, Scratch, Summary, validate};
use wast::Wat;
use wast::parser::{self, ParseBuffer};

fn wasm(text: &str) -> Vec<u8> {
    let buffer = ParseBuffer::new(text).unwrap();
    parser::parse::<Wat>(&buffer).unwrap().encode().unwrap()
}

fn validated(bytes: &[u8]) -> (Vec<u32>, Summary) {
    let mut table = vec![0; 64 + bytes.len() * 4];
    let mut scratch = Box::new(Scratch::<8192, 256, 2048>::new());
    let summary = validate(bytes, &mut table[..], &mut scratch, PageSizes::Any).unwrap();
    table.truncate(summary.table_bytes() as usize / 4);
    (table, summary)
}

/// Bytes of code for a module, or why there is none.
fn code(text: &str, grows: bool) -> Result<Vec<u8>, Refusal> {
    let bytes = wasm(text);
    let (table, summary) = validated(&bytes);
    let module = Module::new(&bytes, &table, &summary).unwrap();
    let mut work = Box::new(Work::new());
    let options = Options { grows };
    let length = measure(&module, options, &mut work)? as usize;
    let mut arena = vec![0xa5; length + 64];
    let written = compile(&module, options, &mut work, &mut arena)?
        .bytes()
        .to_vec();
    assert_eq!(written.len(), length, "measured and written");
    let mut room = vec![0; marks(length as u32)];
    assert_eq!(verify(&written, &module, &mut room), Ok(()));
    assert!(arena[length..].iter().all(|b| *b == 0xa5), "beyond the end");
    let mut again = vec![0x5a; length];
    let second = compile(&module, options, &mut work, &mut again)?.bytes();
    assert_eq!(second, written, "a pure function of the module");
    for short in [0, 3, length / 2, length - 1] {
        let refused = compile(&module, options, &mut work, &mut arena[..short]);
        assert_eq!(refused.err(), Some(Refusal::Arena), "{short} of {length}");
    }
    Ok(written)
}

#[test]
fn what_is_measured_is_written_and_nothing_else() {
    let kernels = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../test/kernels");
    let mut seen = 0;
    for file in std::fs::read_dir(kernels).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|e| e == "wat") {
            let text = std::fs::read_to_string(&path).unwrap();
            for grows in [false, true] {
                assert!(code(&text, grows).unwrap().len() > 100);
            }
            seen += 1;
        }
    }
    assert!(seen >= 6, "{seen} kernels");
}

#[test]
fn what_is_beyond_a_limit_is_refused_with_its_reason() {
    let locals = format!("(module (func (local{})))", " i32".repeat(300));
    assert_eq!(code(&locals, false), Err(Refusal::Locals));
    let deep = format!(
        "(module (func {} {}))",
        "block ".repeat(80),
        "end ".repeat(80)
    );
    assert_eq!(code(&deep, false), Err(Refusal::Blocks));
    let high = format!(
        "(module (func {} {}))",
        "i32.const 1 ".repeat(250),
        "drop ".repeat(250)
    );
    assert_eq!(code(&high, false), Err(Refusal::Operands));
    let many = format!(
        "(module (func (param i32) {}))",
        "block local.get 0 br_if 0 end ".repeat(2000)
    );
    assert_eq!(code(&many, false), Err(Refusal::Branches));
    let long = format!("(module (func {}))", "nop ".repeat(70_000));
    assert_eq!(code(&long, false), Err(Refusal::Length));
}

/// The bytes of painted memory that compiling changes, wherever it begins: the first one, and behind the last.
fn painted(module: &Module<'_>, skew: usize, paint: u8) -> (usize, usize) {
    let mut lent = vec![u64::from_ne_bytes([paint; 8]); 1100];
    // SAFETY: any bytes of the words may be seen as bytes.
    let (_, bytes, _) = unsafe { lent.align_to_mut::<u8>() };
    let work = Work::within(&mut bytes[skew..]).unwrap();
    let options = Options { grows: false };
    let length = measure(module, options, work).unwrap();
    let mut arena = vec![0; length as usize];
    compile(module, options, work, &mut arena).unwrap();
    let changed = |byte: &u8| *byte != paint;
    let first = bytes.iter().position(changed).unwrap();
    (first, bytes.iter().rposition(changed).unwrap() + 1)
}

#[test]
fn working_memory_is_at_most_8_kib_and_what_is_said() {
    assert!(size_of::<Work>() <= 8192);
    let kernels = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../test/kernels");
    for file in std::fs::read_dir(kernels).unwrap() {
        let bytes = wasm(&std::fs::read_to_string(file.unwrap().path()).unwrap());
        let (table, summary) = validated(&bytes);
        let module = Module::new(&bytes, &table, &summary).unwrap();
        for skew in 0..8_usize {
            let aligned = skew.next_multiple_of(align_of::<Work>());
            // What has by chance the colour it was painted with has another one with the other.
            let (a, b) = (painted(&module, skew, 0xa5), painted(&module, skew, 0x5a));
            assert_eq!(a.0.min(b.0), aligned, "first");
            let end = aligned + size_of::<Work>();
            assert!(
                (end - align_of::<Work>() + 1..=end).contains(&a.1.max(b.1)),
                "{a:?} {b:?}"
            );
        }
    }
    let mut short = vec![0; size_of::<Work>() - 1];
    assert!(Work::within(&mut short).is_none());
}
