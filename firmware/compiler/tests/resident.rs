//! The place for the code of one module at a time: whose code it is, and that a copy of the module may take it over.
#![expect(clippy::unwrap_used, reason = "a test")]
use wasmote_compiler::{Arena, Options, Refusal};
use wasmote_engine::{Module, PageSizes, Scratch, Summary, validate};
use wast::Wat;
use wast::parser::{self, ParseBuffer};

const ADDS: &str = r#"(module (func (export "f") (param i32) (result i32)
    (i32.add (local.get 0) (i32.const 7))))"#;
const SUBTRACTS: &str = r#"(module (func (export "f") (param i32) (result i32)
    (i32.sub (local.get 0) (i32.const 7))))"#;

/// A module that lies where it does for the rest of the test, as one in flash.
fn module(text: &str) -> Module<'static> {
    let buffer = ParseBuffer::new(text).unwrap();
    let bytes = parser::parse::<Wat>(&buffer).unwrap().encode().unwrap();
    let mut table = vec![0; 64 + bytes.len() * 4];
    let mut scratch = Box::new(Scratch::<8192, 256, 2048>::new());
    let summary: Summary = validate(&bytes, &mut table[..], &mut scratch, PageSizes::Any).unwrap();
    table.truncate(summary.table_bytes() as usize / 4);
    Module::new(bytes.leak(), table.leak(), Box::leak(Box::new(summary))).unwrap()
}

fn arena(length: usize) -> Arena {
    let words: &'static mut [u32] = vec![0; length / 4].leak();
    // SAFETY: leaked: nothing else has it, and it stays. Nothing is executed here.
    unsafe { Arena::new(words.as_mut_ptr().cast(), length as u32) }
}

fn install(arena: &Arena, module: &Module<'static>) -> Result<u32, Refusal> {
    // As the node gives it: words of the module's memory, of any content.
    let mut words = vec![0xa5a5_a5a5_u32; 16 * 1024];
    // SAFETY: as many bytes as the words have.
    let memory = unsafe {
        core::slice::from_raw_parts_mut(words.as_mut_ptr().cast::<u8>(), words.len() * 4)
    };
    arena.install(module, Options { grows: false }, memory)
}

#[test]
fn the_code_goes_with_a_copy_of_its_module_and_with_no_other() {
    let [here, there, beyond] = [module(ADDS), module(ADDS), module(ADDS)];
    let other = module(SUBTRACTS);
    let arena = arena(4096);
    assert!(!arena.moved(&here, &there), "there is no code yet");
    let length = install(&arena, &here).unwrap();
    let code = arena.code(&here).unwrap().bytes().to_vec();
    assert_eq!(code.len(), length as usize);
    // A module of the same bytes is another one until it is said to have taken the place.
    assert!(arena.code(&there).is_none());
    assert!(!arena.moved(&there, &beyond), "it is not its code");
    assert!(!arena.moved(&here, &other), "its bytes are others");
    assert_eq!(arena.code(&here).unwrap().bytes(), code);
    assert!(arena.code(&other).is_none());
    assert!(arena.moved(&here, &there));
    assert!(arena.code(&here).is_none(), "what was erased is left alone");
    assert_eq!(arena.code(&there).unwrap().bytes(), code);
    // Again and again, and back to the first place.
    assert!(arena.moved(&there, &beyond));
    assert!(arena.moved(&beyond, &here));
    assert_eq!(arena.code(&here).unwrap().bytes(), code);
}

#[test]
fn what_is_not_taken_leaves_nothing_that_could_be_entered() {
    let [adds, subtracts] = [module(ADDS), module(SUBTRACTS)];
    let large = arena(4096);
    install(&large, &adds).unwrap();
    let first = large.code(&adds).unwrap().bytes().to_vec();
    install(&large, &subtracts).unwrap();
    assert!(large.code(&adds).is_none(), "the place is another's now");
    assert_ne!(large.code(&subtracts).unwrap().bytes(), first);
    // Without memory to work in.
    assert_eq!(
        large.install(&adds, Options { grows: false }, &mut []),
        Err(Refusal::Memory)
    );
    assert!(large.code(&adds).is_none() && large.code(&subtracts).is_none());
    assert!(!large.moved(&subtracts, &module(SUBTRACTS)));
    let small = arena(8);
    assert_eq!(install(&small, &adds), Err(Refusal::Arena));
    assert!(small.code(&adds).is_none());
}
