//! RAM for the time of validation, lent by the caller, and what lies in it.
/// RAM for the time of validation: `STACK` bytes for locals and operands of a function (and a bit for each function),
/// `BLOCKS` nested blocks, `FORWARD` pending forward branches (also the functions whose depth is computed).
#[derive(Debug)]
pub struct Scratch<const STACK: usize, const BLOCKS: usize, const FORWARD: usize> {
    pub(super) stack: [u8; STACK],
    pub(super) blocks: [Block; BLOCKS],
    pub(super) forward: [Forward; FORWARD],
}

impl<const STACK: usize, const BLOCKS: usize, const FORWARD: usize>
    Scratch<STACK, BLOCKS, FORWARD>
{
    /// Fresh scratch space.
    pub const fn new() -> Self {
        Self {
            stack: [0; STACK],
            blocks: [Block::NONE; BLOCKS],
            forward: [Forward::NONE; FORWARD],
        }
    }
}

impl<const S: usize, const B: usize, const F: usize> Default for Scratch<S, B, F> {
    fn default() -> Self {
        Self::new()
    }
}

/// No branch, or no function.
pub(super) const NONE: u32 = u32::MAX;

/// A block that is open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    pub(super) opcode: u8,
    pub(super) unreachable: bool,
    /// Operands below the block.
    pub(super) height: u32,
    /// Type: negative as in the format, or the index of a function type.
    pub(super) ty: i32,
    /// A loop's head: offset of the code and of the table.
    pub(super) head: (u32, u32),
    /// First of the pending branches to the end, and the pending branch of an `if` to its `else`.
    pub(super) pending: u32,
    pub(super) otherwise: u32,
}

impl Block {
    pub(super) const NONE: Self = Self {
        opcode: 0,
        unreachable: false,
        height: 0,
        ty: 0,
        head: (0, 0),
        pending: NONE,
        otherwise: NONE,
    };
}

/// A branch whose target is not known yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forward {
    pub(super) entry: u32,
    pub(super) code: u32,
    /// Operands it keeps and drops.
    pub(super) moves: u32,
    pub(super) next: u32,
}

impl Forward {
    pub(super) const NONE: Self = Self {
        entry: 0,
        code: 0,
        moves: 0,
        next: NONE,
    };
}
