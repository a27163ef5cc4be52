//! What validation writes and execution reads, beside the module: the [`Summary`], and the table of words whose entries are
//! the views in this file. Nobody else knows which bit of which word means what; thumb takes its offsets from here.
//!
//! ```text
//! table:  types │ functions │ records │ globals │ tables │ elements │ datas │ branches
//!         3 words  1: type     6         2         3         1: place   1: place  3
//! ```
//!
//! Positions are byte offsets, in the module or in the table. Words are little endian, so that on a little-endian machine (and
//! there are no others, see lib.rs) an entry may be read through a pointer to its view.
use crate::types::MemoryType;

/// What validation found: the key to [`crate::Module::new`]. Only [`crate::validate()`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Summary {
    pub(crate) table_bytes: u32,
    /// Of the module's bytes, and of the table.
    pub(crate) bytes_digest: Digest,
    pub(crate) table_digest: Digest,
    pub(crate) types: Space,
    pub(crate) functions: Space,
    /// Of the module's own functions.
    pub(crate) records: Space,
    pub(crate) globals: Space,
    pub(crate) tables: Space,
    pub(crate) elements: Space,
    pub(crate) datas: Space,
    pub(crate) memory: Option<MemoryType>,
    pub(crate) memory_imported: bool,
    pub(crate) start: Option<u32>,
    /// Where the sections' vectors start; 0 without such a section.
    pub(crate) imports_at: u32,
    pub(crate) exports_at: u32,
    pub(crate) code_at: u32,
    /// Worst stack in bytes and depth in frames; 0 and 0 where they are not known.
    pub(crate) stack: u32,
    pub(crate) depth: u32,
}

impl Summary {
    /// The length in bytes of the table that was emitted.
    pub fn table_bytes(&self) -> u32 {
        self.table_bytes
    }
}

/// An index space in the table: byte offset of its first entry, and number of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Space {
    pub(crate) at: u32,
    pub(crate) count: u32,
}

impl Space {
    /// Where the entry with this index lies, of `N` words.
    pub(crate) fn entry<const N: usize>(self, index: u32) -> u32 {
        self.at + index * (N as u32 * 4)
    }
}

/// A checksum, against accidents and not against malice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Digest(u32);

impl Digest {
    /// Of a module's bytes (FNV-1a).
    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(0x811c_9dc5, |h, b| {
            (h ^ u32::from(*b)).wrapping_mul(0x0100_0193)
        }))
    }

    /// Of a table as it lies in memory.
    pub(crate) fn of_table(table: &[u32]) -> Self {
        let mut sum = Self::default();
        for (i, word) in table.iter().enumerate() {
            sum.add(i as u32 * 4, *word);
        }
        sum
    }

    /// Adds a word of a table and its place. Words may come in any order.
    pub(crate) fn add(&mut self, offset: u32, word: u32) {
        let mut h = word ^ offset.wrapping_mul(0x9e37_79b1);
        h ^= h >> 15;
        h = h.wrapping_mul(0x85eb_ca6b);
        h ^= h >> 13;
        self.0 = self.0.wrapping_add(h.wrapping_mul(0xc2b2_ae35));
    }
}

/// An entry of the table, of `N` words.
pub(crate) trait Entry<const N: usize>: Copy {
    /// As it is written.
    fn words(self) -> [u32; N];
    /// As it is read.
    fn from_words(words: [u32; N]) -> Self;
}

/// Value types in a row: the offset of the first one's byte in the module, and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Types {
    pub(crate) at: u32,
    pub(crate) count: u32,
}

/// A function type.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TypeEntry {
    pub(crate) params: Types,
    pub(crate) results: Types,
}

impl Entry<3> for TypeEntry {
    fn words(self) -> [u32; 3] {
        [
            self.params.at,
            self.results.at,
            halves(self.params.count, self.results.count),
        ]
    }

    fn from_words([params, results, counts]: [u32; 3]) -> Self {
        Self {
            params: Types {
                at: params,
                count: low(counts),
            },
            results: Types {
                at: results,
                count: high(counts),
            },
        }
    }
}

/// A single word: the type of a function, or where a segment lies in the module.
impl Entry<1> for u32 {
    fn words(self) -> [u32; 1] {
        [self]
    }

    fn from_words([word]: [u32; 1]) -> Self {
        word
    }
}

/// A function of the module's own. The engine names such a function by the table offset of its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Record {
    /// Where its first instruction lies in the module.
    pub code: u32,
    /// Behind its last `end`.
    pub end: u32,
    /// Where its first [`Branch`] lies in the table.
    pub branch: u32,
    /// How many parameters it has.
    pub params: u16,
    /// How many locals it has, parameters included.
    pub locals: u16,
    /// Slots of its whole frame: locals, one that nothing reads, and the most operands.
    pub slots: u16,
    /// How many results it has.
    pub results: u16,
    /// What a call of it takes of the stack.
    pub room: Room,
}

impl Entry<6> for Record {
    fn words(self) -> [u32; 6] {
        [
            self.code,
            self.end,
            self.branch,
            halves(self.params.into(), self.locals.into()),
            halves(self.slots.into(), self.results.into()),
            self.room.0,
        ]
    }

    fn from_words([code, end, branch, locals, slots, room]: [u32; 6]) -> Self {
        Self {
            code,
            end,
            branch,
            params: low(locals) as u16,
            locals: high(locals) as u16,
            slots: low(slots) as u16,
            results: high(slots) as u16,
            room: Room(room),
        }
    }
}

/// Bytes of a function's frame with its [frame record](FRAME_RECORD), and two facts about the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(transparent)]
pub struct Room(u32);

impl Room {
    pub(crate) const WIDE: u32 = 1 << 31;
    pub(crate) const LONG: u32 = 1 << 30;

    pub(crate) fn new(bytes: u32, wide: bool, long: bool) -> Self {
        Self(bytes | if wide { Self::WIDE } else { 0 } | if long { Self::LONG } else { 0 })
    }

    /// The bytes.
    pub fn bytes(self) -> u32 {
        self.0 & !(Self::WIDE | Self::LONG)
    }

    /// The slots of the function are 64 bits wide: it has values of 64 bits.
    pub fn is_wide(self) -> bool {
        self.0 & Self::WIDE != 0
    }

    /// The function has immediates of several bytes where nearly all have one, and the fast loop relies on it: indices of
    /// locals, globals and labels, block types, alignments.
    pub fn is_long(self) -> bool {
        self.0 & Self::LONG != 0
    }
}

/// The bytes that a call's record takes of the stack beside its frame, on every target and in every tier: five words, see
/// call.rs.
pub const FRAME_RECORD: u32 = 20;

/// The most bytes that a frame is moved up by, so that it is aligned.
pub const ALIGNMENT: u32 = 4;

/// A branch, counted from its instruction and its own place in the table. Entries lie in the order of the instructions that
/// may branch (`if`, `else`, `br`, `br_if`, each label of `br_table`), and a loop over the code follows them in step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Branch {
    /// From the byte behind the opcode to the target, in the module. Negative to the head of a loop and only there.
    pub distance: i32,
    /// From this entry to the first one behind the target, in the table, and [`Branch::MOVES`].
    then: i32,
    /// How many operands it keeps: those it carries to its target.
    pub kept: u16,
    /// How many below those it drops.
    pub dropped: u16,
}

impl Branch {
    /// In `then`, whose lowest bits are free: it drops operands.
    pub(crate) const MOVES: i32 = 1;

    /// A branch so far, as it is written; `moves` comes from [`Branch::moved`].
    pub(crate) fn new(distance: u32, then: u32, moves: u32) -> Self {
        Self {
            distance: distance.cast_signed(),
            then: then.cast_signed() | if high(moves) != 0 { Self::MOVES } else { 0 },
            kept: low(moves) as u16,
            dropped: high(moves) as u16,
        }
    }

    /// How many operands a branch keeps and drops, in a word.
    pub(crate) fn moved(kept: u32, dropped: u32) -> u32 {
        halves(kept, dropped)
    }

    /// From this entry to the first one behind the target, in bytes.
    pub fn then(self) -> i32 {
        self.then & !Self::MOVES
    }

    /// Whether it drops operands.
    pub fn moves(self) -> bool {
        self.then & Self::MOVES != 0
    }

    /// Where `then` lies in it.
    #[cfg(fast_loop)]
    pub(crate) const THEN: usize = core::mem::offset_of!(Self, then);

    /// The bytes of an entry.
    pub(crate) const BYTES: u32 = size_of::<Self>() as u32;
}

impl Entry<3> for Branch {
    fn words(self) -> [u32; 3] {
        [
            self.distance.cast_unsigned(),
            self.then.cast_unsigned(),
            halves(self.kept.into(), self.dropped.into()),
        ]
    }

    fn from_words([distance, then, moves]: [u32; 3]) -> Self {
        Self {
            distance: distance.cast_signed(),
            then: then.cast_signed(),
            kept: low(moves) as u16,
            dropped: high(moves) as u16,
        }
    }
}

/// A global.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GlobalEntry {
    /// The byte of its type.
    pub(crate) value: u8,
    pub(crate) mutable: bool,
    pub(crate) imported: bool,
    /// Where its initialiser lies in the module (for one that is not imported).
    pub(crate) init: u32,
}

impl Entry<2> for GlobalEntry {
    fn words(self) -> [u32; 2] {
        [
            u32::from(self.value) | u32::from(self.mutable) << 8 | u32::from(self.imported) << 9,
            self.init,
        ]
    }

    fn from_words([ty, init]: [u32; 2]) -> Self {
        Self {
            value: ty as u8,
            mutable: ty & 1 << 8 != 0,
            imported: ty & 1 << 9 != 0,
            init,
        }
    }
}

/// A table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TableEntry {
    /// The byte of its entries' type.
    pub(crate) element: u8,
    pub(crate) imported: bool,
    pub(crate) min: u32,
    pub(crate) max: Option<u32>,
}

impl Entry<3> for TableEntry {
    fn words(self) -> [u32; 3] {
        let has_max = u32::from(self.max.is_some());
        [
            u32::from(self.element) | u32::from(self.imported) << 8 | has_max << 9,
            self.min,
            self.max.unwrap_or(u32::MAX),
        ]
    }

    fn from_words([ty, min, max]: [u32; 3]) -> Self {
        Self {
            element: ty as u8,
            imported: ty & 1 << 8 != 0,
            min,
            max: (ty & 1 << 9 != 0).then_some(max),
        }
    }
}

/// Two numbers of 16 bits in a word.
fn halves(low: u32, high: u32) -> u32 {
    low & 0xffff | high << 16
}

fn low(word: u32) -> u32 {
    word & 0xffff
}

fn high(word: u32) -> u32 {
    word >> 16
}

#[cfg(test)]
#[expect(unsafe_code, reason = "a test reads the views as the loops do")]
mod tests {
    use super::*;

    /// What is written is read, through the words and through a pointer to where they lie.
    fn same<const N: usize, E: Entry<N> + PartialEq + core::fmt::Debug>(entry: E) {
        let words = entry.words();
        assert_eq!(E::from_words(words), entry);
        assert_eq!(E::from_words(words).words(), words);
    }

    #[test]
    fn entries_are_read_as_they_were_written() {
        let record = Record {
            code: 1,
            end: 0xffff_ffff,
            branch: 3,
            params: 0xffff,
            locals: 4,
            slots: 5,
            results: 0x8000,
            room: Room::new(0x3fff_ffff, true, false),
        };
        same(record);
        let branch = Branch::new(0x8000_0000, 0xffff_fff4, Branch::moved(0xffff, 1));
        assert_eq!((branch.then(), branch.moves()), (-12, true));
        same(branch);
        assert!(!Branch::new(8, 12, Branch::moved(2, 0)).moves());
        for bits in 0..4u32 {
            let (one, other) = (bits & 1 != 0, bits & 2 != 0);
            same(GlobalEntry {
                value: 0x7c,
                mutable: one,
                imported: other,
                init: bits,
            });
            same(TableEntry {
                element: 0x70,
                imported: one,
                min: 7,
                max: other.then_some(9),
            });
        }
        let (words, more) = (record.words(), branch.words());
        // SAFETY: the views that are read through pointers have the layout of their words.
        let (seen, to) = unsafe {
            (
                words.as_ptr().cast::<Record>().read(),
                more.as_ptr().cast::<Branch>().read(),
            )
        };
        assert_eq!((seen, to), (record, branch));
    }

    #[test]
    fn a_digest_does_not_depend_on_the_order_but_on_the_place() {
        let mut sum = Digest::default();
        for (at, word) in [(8, 4), (0, 3), (4, 1)] {
            sum.add(at, word);
        }
        assert_eq!(sum, Digest::of_table(&[3, 1, 4]));
        assert_ne!(sum, Digest::of_table(&[1, 3, 4]));
    }
}
