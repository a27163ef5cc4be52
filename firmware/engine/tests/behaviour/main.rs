//! What the engine promises, promise by promise, from outside.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]
mod footprint;
mod fuel;
mod order;
mod refusal;
mod trap;

use wasmote_engine::{
    Instance, LoadError, Module, Options, PageSizes, Run, Scratch, Summary, Value, validate,
};
use wast::Wat;
use wast::parser::{self, ParseBuffer};

/// A module from the text format.
fn assemble(text: &str) -> Vec<u8> {
    let buffer = ParseBuffer::new(text).unwrap();
    parser::parse::<Wat>(&buffer)
        .and_then(|mut wat| wat.encode())
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn load(bytes: &[u8], pages: PageSizes) -> Result<(Vec<u32>, Summary), LoadError> {
    let mut scratch: Box<Scratch<4096, 64, 256>> = Box::default();
    let mut table = vec![0u32; 4096];
    let summary = validate(bytes, table.as_mut_slice(), &mut scratch, pages)?;
    Ok((table, summary))
}

/// What lies around every region.
const PATTERN: u64 = 0x5a5a_a5a5_3c3c_c3c3;
const GUARD: usize = 16;

/// Sets a module up in a region of exactly its footprint, lets `work` have the instance, and looks whether anything around
/// the region changed. Returns the region as it was left.
fn with(text: &str, options: &Options, work: impl FnOnce(&mut Instance<'_, '_>)) -> Vec<u64> {
    with_bytes(&assemble(text), options, work)
}

fn with_bytes(
    bytes: &[u8],
    options: &Options,
    work: impl FnOnce(&mut Instance<'_, '_>),
) -> Vec<u64> {
    let (table, summary) = load(bytes, PageSizes::Any).unwrap();
    let module = Module::new(bytes, &table, &summary).unwrap();
    let words = (module.footprint(options).total / 8) as usize;
    let mut all = vec![PATTERN; words + 2 * GUARD];
    // SAFETY: any bytes of the words may be seen as bytes.
    let (_, view, _) = unsafe { all[GUARD..GUARD + words].align_to_mut::<u8>() };
    let mut instance = Instance::new(module, view, options).unwrap();
    work(&mut instance);
    instance.into_region();
    let (front, back) = (&all[..GUARD], &all[GUARD + words..]);
    assert!(front.iter().chain(back).all(|word| *word == PATTERN));
    all[GUARD..GUARD + words].to_vec()
}

/// Runs what is under way to its end, with all the fuel there is.
fn finish(instance: &mut Instance<'_, '_>) -> Result<Vec<Value>, wasmote_engine::Trap> {
    let mut fuel = u64::MAX;
    match instance.run(&mut fuel) {
        Run::Done => Ok(instance.results().collect()),
        Run::Trap(trap) => Err(trap),
        other => panic!("{other:?}"),
    }
}

/// Calls an exported function.
fn call(
    instance: &mut Instance<'_, '_>,
    name: &str,
    arguments: &[Value],
) -> Result<Vec<Value>, wasmote_engine::Trap> {
    let function = instance.module().export_function(name).unwrap();
    instance.call(function, arguments).unwrap();
    finish(instance)
}
