//! Decoding and validation: one pass over the bytes (WebAssembly 2.0 §3 and the appendix on its algorithm), and one walk over
//! the calls for the depth of the stack.
mod body;
mod control;
mod depth;
mod exports;
mod instruction;
mod scratch;
mod sections;
mod segments;
mod validator;

use crate::emit::{Emit, TableFull};
use crate::load::{Fault, LoadError};
use crate::reader::{Load, Refusal};
use crate::sidetable::{Digest, Summary, Types};
use scratch::{Block, Forward, NONE};
use validator::Validator;

pub use scratch::Scratch;

/// Which page sizes a memory may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageSizes {
    /// Any power of two from 1 to 65,536.
    Any,
    /// 1 and 65,536, as the custom-page-sizes proposal allows today.
    Strict,
}

/// Types that blocks, branches, calls and functions carry are looked at one by one, and two bytes of code may carry a
/// thousand. So that validation takes time linear in the module's size, whatever the module: so many of them in all for
/// each byte, and so many for nothing. Eight parameters and eight results, call after call, are within that.
const CARRIED_PER_BYTE: u64 = 16;
const CARRIED_FREE: u64 = 65_536;

/// Validates a module whole and emits its table.
pub fn validate<E: Emit + ?Sized, const S: usize, const B: usize, const F: usize>(
    module: &[u8],
    table: &mut E,
    scratch: &mut Scratch<S, B, F>,
    pages: PageSizes,
) -> Result<Summary, LoadError> {
    let (stack, blocks, forward) = (
        &mut scratch.stack,
        &mut scratch.blocks,
        &mut scratch.forward,
    );
    run(module, &mut Through(table), (stack, blocks, forward), pages).map_err(LoadError::from)
}

/// Any table as one that has a size, so that there is one validator for all of them: it takes 12 KiB of flash.
struct Through<'a, E: ?Sized>(&'a mut E);

impl<E: Emit + ?Sized> Emit for Through<'_, E> {
    fn write(&mut self, offset: u32, word: u32) -> Result<(), TableFull> {
        self.0.write(offset, word)
    }

    fn read(&mut self, offset: u32) -> u32 {
        self.0.read(offset)
    }
}

fn run<'a>(
    bytes: &'a [u8],
    table: &'a mut dyn Emit,
    (stack, blocks, forward): (&'a mut [u8], &'a mut [Block], &'a mut [Forward]),
    pages: PageSizes,
) -> Load<Summary> {
    // A byte may be a label of `br_table`, with twelve bytes in the table: offsets there stay within 32 bits.
    if bytes.len() > 1 << 28 {
        return Err(Refusal::new(&Fault::Unsupported("module too large"), 0));
    }
    let mut v = Validator {
        bytes,
        table,
        strict: pages == PageSizes::Strict,
        stack,
        blocks,
        forward,
        out: Summary {
            bytes_digest: Digest::of_bytes(bytes),
            ..Summary::default()
        },
        imported: [0; 4],
        declared: 0,
        locals: 0,
        operands: 0,
        depth: 0,
        free: NONE,
        fresh: 0,
        deepest: 0,
        wide: false,
        long: false,
        indirect: false,
        data_count: None,
        bodies: 0,
        here: 0,
        results: Types::default(),
        carried: CARRIED_FREE + bytes.len() as u64 * CARRIED_PER_BYTE,
    };
    v.module()?;
    Ok(v.out)
}
