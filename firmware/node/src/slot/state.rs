//! What a slot is: how far its package has come, and why it was left.
use super::journal::Layout;
use crate::contract::word;

/// Why a slot could not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotError {
    /// The flash driver failed.
    Flash,
    /// The journal has no room left.
    Full,
    /// The package does not fit a slot.
    TooLarge,
    /// Nothing there to do this with.
    Nothing,
    /// Erased often enough for today: see `ERASES`.
    Worn,
    /// A later firmware wrote here, in a layout that is not known.
    Layout,
}

/// How far a package has come. The later of two wins, so that nothing brings back what was withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum State {
    /// Nothing, or nothing that can be used.
    #[default]
    Empty,
    /// Being received.
    Receiving,
    /// Received and found good.
    Staged,
    /// Running on trial.
    Trial,
    /// Has proved itself.
    Confirmed,
    /// Tried and returned from, or withdrawn by hand.
    Bad,
    /// Removed, with everything older.
    Removed,
}

impl State {
    /// The name over the wire and in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => word::EMPTY,
            Self::Receiving => "receiving",
            Self::Staged => "staged",
            Self::Trial => word::TRIAL,
            Self::Confirmed => word::CONFIRMED,
            Self::Bad => "bad",
            Self::Removed => "removed",
        }
    }
}

/// Why a package was left for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// Nobody left it.
    #[default]
    None,
    /// The node was reset during its trial.
    Reset,
    /// It trapped during its trial.
    Trap,
    /// It used up the fuel of a run during its trial.
    Fuel,
    /// It was withdrawn by hand.
    Hand,
    /// What flash holds is not what was written.
    Damaged,
    /// It never ran: refused, or discarded while it was received.
    Refused,
}

impl Reason {
    pub(super) fn of(code: u32) -> Self {
        let all = [
            Self::Reset,
            Self::Trap,
            Self::Fuel,
            Self::Hand,
            Self::Damaged,
        ];
        all.into_iter()
            .find(|r| *r as u32 == code)
            .unwrap_or(Self::Refused)
    }
}

/// A package that a slot is prepared for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coming {
    /// Era and number of its sequence.
    pub era: u32,
    /// See `era`.
    pub sequence: u32,
    /// Bytes of the envelope and of the whole package.
    pub envelope: u16,
    /// See `envelope`.
    pub size: u32,
    /// SHA-256 of its module, of which the first bytes are kept.
    pub digest: [u8; 32],
}

/// What the journal of a slot says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// How far its package has come.
    pub state: State,
    /// Rises with every slot that is prepared: the newest has the highest. 0: none.
    pub epoch: u32,
    /// How often the slot was erased.
    pub erased: u32,
    /// Era of the package's sequence number.
    pub era: u32,
    /// Sequence number of the package.
    pub sequence: u32,
    /// Bytes of the envelope and of the whole package.
    pub envelope: u16,
    /// See `envelope`.
    pub size: u32,
    /// Bytes of the branch table behind it.
    pub table: u32,
    /// Checksum of the envelope, once the package was found good.
    pub seal: u32,
    /// Why it was left; see [`super::Slots::reject`].
    pub reason: Reason,
    /// The first bytes of its module's digest; all zero where an older firmware received it.
    pub(super) digest: [u8; 8],
    /// Version of the newest memory in its journal.
    pub(super) memory: u32,
    /// Whether it ever ran, which uses up its sequence number.
    pub(super) tried: bool,
    /// Its package lies elsewhere now.
    pub(super) moved: bool,
    pub(super) layout: Layout,
    /// First free byte of the journal, from the start of the slot.
    pub(super) end: u32,
}

impl Slot {
    /// Whether both hold the same module; what an older firmware received is known by its number.
    pub(super) fn same_module(&self, other: &Self) -> bool {
        if self.digest == [0; 8] || other.digest == [0; 8] {
            (self.era, self.sequence) == (other.era, other.sequence)
        } else {
            self.digest == other.digest
        }
    }
}
