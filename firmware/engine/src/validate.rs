//! Decoding and validation: one pass, in time linear in the module's size.
use crate::{Emit, LoadError};

/// Which page sizes a memory may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageSizes {
    /// Any power of two from 1 to 65,536.
    Any,
    /// 1 and 65,536, as the custom-page-sizes proposal allows today.
    Strict,
}

/// RAM for the time of validation: `STACK` operands (and locals) of a function, `BLOCKS` nested blocks, `FORWARD` pending forward branches.
#[derive(Debug)]
pub struct Scratch<const STACK: usize, const BLOCKS: usize, const FORWARD: usize> {
    pub(crate) stack: [u8; STACK],
}

impl<const STACK: usize, const BLOCKS: usize, const FORWARD: usize>
    Scratch<STACK, BLOCKS, FORWARD>
{
    /// Fresh scratch space.
    pub const fn new() -> Self {
        Self { stack: [0; STACK] }
    }
}

impl<const S: usize, const B: usize, const F: usize> Default for Scratch<S, B, F> {
    fn default() -> Self {
        Self::new()
    }
}

/// What validation found: the key to [`crate::Module::new`]. Only [`validate`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    pub(crate) table_bytes: u32,
}

impl Summary {
    /// The length of the table that was emitted.
    pub fn table_bytes(&self) -> u32 {
        self.table_bytes
    }
}

/// Validates a module whole and emits its table.
pub fn validate<E: Emit + ?Sized, const S: usize, const B: usize, const F: usize>(
    module: &[u8],
    table: &mut E,
    scratch: &mut Scratch<S, B, F>,
    pages: PageSizes,
) -> Result<Summary, LoadError> {
    let _ = (module, table.read(0), &scratch.stack, pages);
    todo!()
}
