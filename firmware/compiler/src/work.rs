//! The memory that compiling takes, all of it.
use crate::entry::Entry;
use crate::limits::{BRANCHES, CONTROLS, KEPT, LABELS, LOCALS, OPERANDS, ROUNDS, STUBS, USES};

/// Working memory: what one function needs while it is compiled.
#[derive(Debug)]
pub struct Work {
    /// Where labels are, in halfwords from the function's start.
    pub(crate) labels: [u16; LABELS],
    /// A bit for each forward branch: short.
    pub(crate) short: [u8; BRANCHES / 8],
    pub(crate) entries: [Entry; OPERANDS],
    pub(crate) controls: [Control; CONTROLS],
    pub(crate) locals: [Local; LOCALS],
    pub(crate) stubs: [Stub; STUBS],
    /// What is computed in front of loops (hoist.rs), where it is used, in order, and the loops.
    pub(crate) kept: [Kept; KEPT],
    pub(crate) uses: [Use; USES],
    pub(crate) rounds: [Round; ROUNDS],
    pub(crate) kept_count: u8,
    pub(crate) use_count: u8,
    pub(crate) round_count: u8,
}

const _: () = assert!(
    size_of::<Work>() <= 8192,
    "the working memory is at most 8 KiB"
);

impl Work {
    /// Fresh working memory.
    pub const fn new() -> Self {
        Self {
            labels: [0; LABELS],
            short: [0; BRANCHES / 8],
            entries: [Entry::SLOT; OPERANDS],
            controls: [Control::NONE; CONTROLS],
            locals: [Local::NONE; LOCALS],
            stubs: [Stub::NONE; STUBS],
            kept: [Kept::NONE; KEPT],
            uses: [Use::NONE; USES],
            rounds: [Round::NONE; ROUNDS],
            kept_count: 0,
            use_count: 0,
            round_count: 0,
        }
    }
}

impl Work {
    /// Working memory within memory of any content, if there is enough of it.
    pub fn within(memory: &mut [u8]) -> Option<&mut Self> {
        let skip = memory.as_ptr().align_offset(align_of::<Self>());
        let place = memory.get_mut(skip..)?.get_mut(..size_of::<Self>())?;
        let work = place.as_mut_ptr().cast::<Self>();
        // Part by part, so that nothing of its size passes over the stack or lies in flash.
        // SAFETY: the place is aligned and large enough, and every part is made before it is a `Work`.
        unsafe {
            (&raw mut (*work).labels).write([0; LABELS]);
            (&raw mut (*work).short).write([0; BRANCHES / 8]);
            for at in 0..OPERANDS {
                (&raw mut (*work).entries)
                    .cast::<Entry>()
                    .add(at)
                    .write(Entry::SLOT);
            }
            for at in 0..CONTROLS {
                (&raw mut (*work).controls)
                    .cast::<Control>()
                    .add(at)
                    .write(Control::NONE);
            }
            for at in 0..LOCALS {
                (&raw mut (*work).locals)
                    .cast::<Local>()
                    .add(at)
                    .write(Local::NONE);
            }
            for at in 0..STUBS {
                (&raw mut (*work).stubs)
                    .cast::<Stub>()
                    .add(at)
                    .write(Stub::NONE);
            }
            (&raw mut (*work).kept).write([Kept::NONE; KEPT]);
            (&raw mut (*work).uses).write([Use::NONE; USES]);
            (&raw mut (*work).rounds).write([Round::NONE; ROUNDS]);
            (&raw mut (*work).kept_count).write(0);
            (&raw mut (*work).use_count).write(0);
            (&raw mut (*work).round_count).write(0);
            Some(&mut *work)
        }
    }
}

impl Work {
    /// What is kept in a loop in which this is, a bit each.
    pub(crate) fn together(&self, kept: usize) -> u16 {
        let rounds = self.rounds.iter().take(self.round_count.into());
        let rounds = rounds.filter(|round| round.kept >> kept & 1 == 1);
        rounds.fold(0, |all, round| all | round.kept)
    }
}

impl Default for Work {
    fn default() -> Self {
        Self::new()
    }
}

/// No fuel is known at a label: nothing branches there yet.
pub(crate) const UNKNOWN: u16 = u16::MAX;

/// In place of where a second look goes back to: the next one follows.
pub(crate) const MORE: u16 = u16::MAX - 1;

/// A block that is open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Control {
    /// Its opcode; `end` for the function itself, `else` once that was met.
    pub(crate) opcode: u8,
    /// Operands below it.
    pub(crate) height: u16,
    /// Its end, or a loop's head.
    pub(crate) label: u16,
    /// What is owed there.
    pub(crate) owed: u16,
    /// Where an `if` goes when it is not taken, and what is owed there. Of a loop: its place behind its type, and the label in front of
    /// what is computed before it.
    pub(crate) otherwise: u16,
    pub(crate) otherwise_owed: u16,
    /// Its type: negative as in the format, or the index of a function type.
    pub(crate) ty: i32,
}

impl Control {
    pub(crate) const NONE: Self = Self {
        opcode: 0,
        height: 0,
        label: 0,
        owed: UNKNOWN,
        otherwise: 0,
        otherwise_owed: 0,
        ty: 0,
    };
}

/// An expression that is computed in front of a loop: its place in the function and its bytes. Its home and its type are those of
/// a local behind the function's own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    pub(crate) start: u16,
    pub(crate) length: u8,
    /// Its hole: bytes in front of it, and in it; none where it has no hole. By how much what stands there is shifted.
    pub(crate) hole: u8,
    pub(crate) filled: u8,
    pub(crate) shift: u8,
}

impl Kept {
    pub(crate) const NONE: Self = Self {
        start: 0,
        length: 0,
        hole: 0,
        filled: 0,
        shift: 0,
    };
}

/// Where one is used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Use {
    pub(crate) start: u16,
    pub(crate) kept: u8,
}

impl Use {
    pub(crate) const NONE: Self = Self { start: 0, kept: 0 };
}

/// A loop, by its place behind its type, and what is computed in front of it, a bit each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    pub(crate) at: u16,
    pub(crate) kept: u16,
}

impl Round {
    pub(crate) const NONE: Self = Self { at: 0, kept: 0 };
}

/// A local.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Local {
    /// Its type, as in the format.
    pub(crate) ty: u8,
    /// The register it lives in: see [`Home`].
    pub(crate) home: Home,
    /// How often it is used, loops counted more.
    pub(crate) score: u16,
    /// Whether it is ever set.
    pub(crate) set: bool,
}

impl Local {
    pub(crate) const NONE: Self = Self {
        ty: 0,
        home: Home::Frame,
        score: 0,
        set: false,
    };
}

/// Where a local lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// In its slot of the frame.
    Frame,
    /// In a general register.
    Reg(u8),
    /// In a register for floats.
    Float(u8),
}

/// What is placed behind the straight line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stub {
    pub(crate) label: u16,
    /// Position of the instruction, from the function's start.
    pub(crate) at: u16,
    /// Fuel owed at the trap.
    pub(crate) owed: u16,
    pub(crate) kind: u8,
    /// A second look at the bounds, of a memory that has perhaps grown: where the code goes on, the register with the address.
    pub(crate) back: u16,
    pub(crate) reg: u8,
    /// By how much the register is shifted for the address, and what is added.
    pub(crate) shift: u8,
    pub(crate) more: u16,
    /// Bytes behind the address.
    pub(crate) reach: u32,
}

impl Stub {
    pub(crate) const NONE: Self = Self {
        label: 0,
        at: 0,
        owed: 0,
        kind: 0,
        back: UNKNOWN,
        reg: 0,
        shift: 0,
        more: 0,
        reach: 0,
    };
}
