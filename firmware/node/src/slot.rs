//! Slots: where packages live in flash, and the journal that says which of them runs.
//!
//! Every slot is a range of whole sectors with a journal of its own at its head, so that nothing is ever erased that is still
//! needed: there are three slots, of which one holds the package that runs, one may hold the package before it, and
//! the third is free for what comes next. (Two slots and a journal sector would need a fourth sector to clear the journal
//! without a moment in which it is gone.)
//!
//! ```text
//! slot   │ header │ journal: cells of 16 bytes     │ package: envelope, module │ branch table │ erased │
//! bytes    16       JOURNAL                          size                        as validated
//! ```
//!
//! Which package runs follows from the journals alone: see [`Slots::current`]. Each change is one cell with a checksum, so a
//! power cut leaves the state before or the state after it. Flash is written in words of four bytes, each once between
//! erasures, with two exceptions that only clear bits and so need [`MultiwriteNorFlash`]: what a power cut tore is written
//! again with the same bytes, and a slot is retired by clearing its header. The latter comes before every erasure, since
//! an erasure that is cut off may give any part of a journal back but never a header's checksum.
//!
//! Wear: the roles go round with each package that is confirmed. Where they stand still (uploads that fail, a parameter
//! that changes for ever) [`Slots::level`] moves a package out of the least worn slot, so that erase counts
//! never differ by more than [`WEAR`] and two.
use crate::package::key_id;
use embedded_storage::nor_flash::MultiwriteNorFlash;

/// Flash whose content can be read where it lies.
pub trait Flash: MultiwriteNorFlash {
    /// These bytes as they lie in the address space. The range is inside the capacity and stays unchanged for as long as
    /// the caller keeps it: it is only erased once nothing runs from it any more.
    fn mapped(&self, offset: u32, length: u32) -> &'static [u8];
    /// The same as words; `offset` is a multiple of four.
    fn words(&self, offset: u32, words: u32) -> &'static [u32];
}

/// The slots, which is how many packages are kept at once.
pub const SLOTS: usize = 3;
/// Bytes of a slot that are its header.
const HEADER: u32 = 16;
/// Bytes of a slot that are its journal: 128 cells less the header's.
pub const JOURNAL: u32 = 2048 - HEADER;
/// Where the package begins in a slot.
pub const PACKAGE: u32 = HEADER + JOURNAL;
const CELL: u32 = 16;
/// The most that the least worn slot may lag behind a free one before its package is moved there.
pub const WEAR: u32 = 4;
/// Cells that only what decides about packages may use; parameters leave them free.
const RESERVE: u32 = 24;
const MAGIC: u32 = u32::from_le_bytes(*b"WMS1");
/// The most keys and dropped keys that rotation may add to those from the provisioning record.
pub const KEYS: usize = 4;

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
}

/// How far a package has come.
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
            Self::Empty => "empty",
            Self::Receiving => "receiving",
            Self::Staged => "staged",
            Self::Trial => "trial",
            Self::Confirmed => "confirmed",
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
    fn of(code: u32) -> Self {
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

/// What the journal of a slot says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// How far its package has come.
    pub state: State,
    /// Rises with every slot that is prepared: the newest has the highest. 0: none.
    pub epoch: u32,
    /// How often the slot was erased.
    pub erased: u32,
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
    /// Why it was left; see [`Slots::reject`].
    pub reason: Reason,
    /// Version of the newest memory in its journal.
    memory: u32,
    /// Whether it ever ran, which uses up its sequence number.
    tried: bool,
    /// First free byte of the journal.
    end: u32,
}

/// The keys that a package changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// Trusted from its confirmation on.
    pub add: Option<[u8; 32]>,
    /// Trusted no longer.
    pub drop: Option<[u8; 8]>,
}

/// What is carried from slot to slot: what no erasure may forget.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Rises with each change; 0 while there is nothing to remember.
    version: u32,
    /// The highest sequence number that was ever activated.
    pub highest: u32,
    /// Keys that packages added.
    pub added: heapless::Vec<[u8; 32], KEYS>,
    /// Identifiers of keys that packages dropped.
    pub dropped: heapless::Vec<[u8; 8], KEYS>,
}

mod kind {
    pub const RECEIVING: u8 = 1;
    pub const STAGED: u8 = 2;
    pub const TRIAL: u8 = 3;
    pub const CONFIRMED: u8 = 4;
    pub const BAD: u8 = 5;
    pub const REMOVED: u8 = 6;
    pub const PARAMETER: u8 = 7;
    pub const MEMORY: u8 = 8;
    pub const COPYING: u8 = 9;
    pub const MOVED: u8 = 10;
}

/// The slots of a node.
#[derive(Debug)]
pub struct Slots<F> {
    flash: F,
    /// Where each begins, and its bytes.
    places: [(u32, u32); SLOTS],
    slots: [Slot; SLOTS],
    memory: Memory,
}

struct Cell {
    kind: u8,
    /// Cells of content behind this one.
    more: u8,
    small: u16,
    x: u32,
    y: u32,
}

impl Cell {
    fn new(kind: u8, small: u16, x: u32, y: u32) -> Self {
        let more = 0;
        Self {
            kind,
            more,
            small,
            x,
            y,
        }
    }
}

impl Memory {
    /// Adds and drops keys; `None` where there is no room. A dropped key that was added is forgotten, and only one that came
    /// with the provisioning record is remembered as dropped, so that keys may follow each other without end.
    fn rotate(&mut self, rotation: Rotation, provisioned: &[[u8; 32]]) -> Option<()> {
        if let Some(id) = rotation.drop {
            self.added.retain(|key| key_id(key) != id);
            let known = provisioned.iter().any(|key| key_id(key) == id);
            if known && !self.dropped.contains(&id) {
                self.dropped.push(id).ok()?;
            }
        }
        if let Some(key) = rotation.add {
            let id = key_id(&key);
            self.dropped.retain(|dropped| *dropped != id);
            if !provisioned.contains(&key) && !self.added.contains(&key) {
                self.added.push(key).ok()?;
            }
        }
        Some(())
    }

    /// The keys that are trusted, with their identifiers.
    pub fn trusted<'k>(
        &'k self,
        provisioned: &'k [[u8; 32]],
    ) -> impl Iterator<Item = (&'k [u8; 32], [u8; 8])> {
        let all = provisioned.iter().chain(&self.added);
        all.map(|key| (key, key_id(key)))
            .filter(|(_, id)| !self.dropped.contains(id))
    }

    /// What a node will remember once a package that changes keys is confirmed; `None` where there is no room.
    pub fn rotated(&self, rotation: Rotation, provisioned: &[[u8; 32]]) -> Option<Self> {
        let mut memory = self.clone();
        memory.rotate(rotation, provisioned)?;
        Some(memory)
    }
}

impl<F: Flash> Slots<F> {
    /// Reads what is there: three slots of `length` bytes (a multiple of the erase size) from `start` on.
    pub fn open(flash: F, start: u32, length: u32) -> Self {
        let place = |index: u32| (start + index * length, length);
        Self::at(flash, [place(0), place(1), place(2)])
    }

    /// Reads what is there: slots that begin and end with sectors, which may be of any sizes.
    pub fn at(flash: F, places: [(u32, u32); SLOTS]) -> Self {
        let mut slots = Self {
            flash,
            places,
            slots: [Slot::default(); SLOTS],
            memory: Memory::default(),
        };
        for index in 0..SLOTS {
            slots.read(index);
        }
        let tried = slots.slots.iter().filter(|s| s.tried);
        let highest = tried.map(|s| s.sequence).max().unwrap_or(0);
        if highest > slots.memory.highest {
            slots.memory.highest = highest;
            slots.memory.version += 1;
        }
        slots
    }

    /// What a slot's journal says.
    pub fn slot(&self, index: usize) -> Slot {
        self.slots.get(index).copied().unwrap_or_default()
    }

    /// What is remembered across slots.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The largest package with its table that fits.
    pub fn capacity(&self) -> u32 {
        // Every package may come to lie in every slot.
        let least = self.places.iter().map(|(_, length)| *length).min();
        least.unwrap_or(0).saturating_sub(PACKAGE)
    }

    /// The flash itself.
    pub fn flash(&self) -> &F {
        &self.flash
    }

    /// The newest slot in one of these states; a removed one ends the search, as everything older went with it.
    fn newest(&self, below: u32, wanted: impl Fn(&Slot) -> bool) -> Option<usize> {
        let mut best: Option<(u32, usize)> = None;
        let removed = self.slots.iter().filter(|s| s.state == State::Removed);
        let floor = removed.map(|s| s.epoch).max().unwrap_or(0);
        for (index, slot) in self.slots.iter().enumerate() {
            let better = best.is_none_or(|(epoch, _)| slot.epoch > epoch);
            if slot.epoch < below && slot.epoch > floor && better && wanted(slot) {
                best = Some((slot.epoch, index));
            }
        }
        best.map(|(_, index)| index)
    }

    /// The slot whose package runs, or would: the newest that is on trial or confirmed.
    pub fn current(&self) -> Option<usize> {
        self.newest(u32::MAX, |s| {
            matches!(s.state, State::Trial | State::Confirmed)
        })
    }

    /// The slot to go back to from the current one.
    pub fn previous(&self) -> Option<usize> {
        let now = self.slot(self.current()?);
        self.newest(now.epoch, |s| {
            s.state == State::Confirmed && s.sequence != now.sequence
        })
    }

    /// The slot that is complete but was never activated.
    pub fn staged(&self) -> Option<usize> {
        self.newest(u32::MAX, |s| s.state == State::Staged)
    }

    /// The slot that is being received: one that nothing newer has been prepared after.
    pub fn receiving(&self) -> Option<usize> {
        let newest = self.slots.iter().map(|s| s.epoch).max();
        self.newest(u32::MAX, |s| {
            s.state == State::Receiving && Some(s.epoch) == newest
        })
    }

    /// The slot from which a package was left after the current one was confirmed: the last thing that happened.
    pub fn left(&self) -> Option<Slot> {
        let now = self.current().map_or(0, |index| self.slot(index).epoch);
        let newest = self.newest(u32::MAX, |s| {
            s.state == State::Bad && s.reason != Reason::Refused && s.epoch > now
        });
        newest.map(|index| self.slot(index))
    }

    /// Prepares the free slot for a package: what only it knows is copied to a slot that stays, then it is erased.
    pub fn prepare(&mut self, sequence: u32, envelope: u16, size: u32) -> Result<usize, SlotError> {
        if size > self.capacity() {
            return Err(SlotError::TooLarge);
        }
        let index = self.free().ok_or(SlotError::Nothing)?;
        let epoch = self.slots.iter().map(|s| s.epoch).max().unwrap_or(0) + 1;
        self.clear(index, epoch)?;
        self.append(index, &Cell::new(kind::RECEIVING, envelope, size, sequence))?;
        self.read(index);
        Ok(index)
    }

    /// The least worn slot that holds neither the current nor the previous package.
    fn free(&self) -> Option<usize> {
        let (current, previous) = (self.current(), self.previous());
        let removed = self.slots.iter().filter(|s| s.state == State::Removed);
        let floor = removed.map(|s| s.epoch).max().unwrap_or(0);
        // What was removed with a package would be back without the slot that says so: that goes last.
        let gone = |slot: Slot| slot.epoch > 0 && slot.epoch < floor;
        (0..SLOTS)
            .filter(|i| Some(*i) != current && Some(*i) != previous)
            .min_by_key(|i| (!gone(self.slot(*i)), self.slot(*i).erased))
    }

    /// The newest other slot that has a journal.
    fn other(&self, index: usize) -> Option<usize> {
        (0..SLOTS)
            .filter(|i| *i != index && self.slot(*i).epoch > 0)
            .max_by_key(|i| self.slot(*i).epoch)
    }

    /// Whether another slot knows all that is remembered.
    fn elsewhere(&self, index: usize) -> bool {
        let known = |i: usize| i != index && self.slot(i).memory == self.memory.version;
        (0..SLOTS).any(known)
    }

    /// Takes the header from a slot, and with it all that the slot says.
    fn retire(&mut self, index: usize) -> Result<(), SlotError> {
        let (base, _) = self.place(index);
        self.put(index, Slot::default());
        self.flash
            .write(base, &[0; HEADER as usize])
            .map_err(|_| SlotError::Flash)
    }

    /// Makes a slot empty, and of this age. What it alone knows is written to one that stays.
    fn clear(&mut self, index: usize, epoch: u32) -> Result<(), SlotError> {
        let mine = self.slot(index);
        if !self.elsewhere(index)
            && let Some(other) = self.other(index)
        {
            self.remember(other, kind::MEMORY)?;
        }
        let wear = self.slots.iter().map(|s| s.erased).max().unwrap_or(0);
        // A slot whose header was lost to a power cut counts as worn as the most worn one.
        let erased = if mine.epoch == 0 { wear } else { mine.erased } + 1;
        let (base, length) = self.place(index);
        if mine.epoch > 0 {
            self.retire(index)?;
        }
        self.flash
            .erase(base, base + length)
            .map_err(|_| SlotError::Flash)?;
        let mut header = [0u8; HEADER as usize];
        header[..4].copy_from_slice(&MAGIC.to_le_bytes());
        header[4..8].copy_from_slice(&epoch.to_le_bytes());
        header[8..12].copy_from_slice(&erased.to_le_bytes());
        let crc = checksum(&[&header[..12]]);
        header[12..].copy_from_slice(&crc.to_le_bytes());
        self.store(base, &header)?;
        let fresh = Slot {
            epoch,
            erased,
            end: HEADER,
            ..Slot::default()
        };
        self.put(index, fresh);
        if self.memory != Memory::default() {
            self.remember(index, kind::MEMORY)?;
        }
        Ok(())
    }

    /// Evens out the wear: where the slot that would be erased next is far more worn than one that holds a package, that package
    /// is moved. Whether the current one was, which whoever runs it has to start anew from where it is now.
    pub fn level(&mut self) -> Result<bool, SlotError> {
        let free = self.free().ok_or(SlotError::Nothing)?;
        let (current, previous) = (self.current(), self.previous());
        let cold = (0..SLOTS)
            .filter(|i| Some(*i) == current || Some(*i) == previous)
            .filter(|i| self.slot(*i).state == State::Confirmed)
            .min_by_key(|i| self.slot(*i).erased);
        match cold {
            Some(cold) if self.slot(cold).erased + WEAR <= self.slot(free).erased => {
                self.relocate(cold, free)?;
                Ok(Some(cold) == current)
            }
            _ => Ok(false),
        }
    }

    /// Writes bytes, and looks whether they are there.
    fn store(&mut self, at: u32, bytes: &[u8]) -> Result<(), SlotError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let written = self.flash.write(at, bytes).is_ok();
        if written && self.flash.mapped(at, bytes.len() as u32) == bytes {
            Ok(())
        } else {
            Err(SlotError::Flash)
        }
    }

    /// Writes a part of the package: `offset` counts from its first byte and is a multiple of four, as is the length but for
    /// the last part.
    pub fn write(&mut self, index: usize, offset: u32, bytes: &[u8]) -> Result<(), SlotError> {
        let room = u64::from(offset) + bytes.len() as u64 <= u64::from(self.capacity());
        if !room || !offset.is_multiple_of(4) {
            return Err(SlotError::TooLarge);
        }
        let at = self.place(index).0 + PACKAGE + offset;
        let (head, tail) = bytes.split_at(bytes.len() & !3);
        self.store(at, head)?;
        if !tail.is_empty() {
            let mut word = [0xff; 4];
            for (to, from) in word.iter_mut().zip(tail) {
                *to = *from;
            }
            self.store(at + head.len() as u32, &word)?;
        }
        Ok(())
    }

    /// How many bytes of the package being received are there, in whole pieces of `piece` bytes. The last piece that
    /// was begun does not count, as a power cut may have torn it.
    pub fn received(&self, index: usize, piece: u32) -> u32 {
        let last = self.package(index).iter().rposition(|b| *b != 0xff);
        last.map_or(0, |last| last as u32 / piece * piece)
    }

    /// Marks the package as complete and good, with the length of the table behind it.
    pub fn stage(&mut self, index: usize, table: u32) -> Result<(), SlotError> {
        let seal = checksum(&[self.envelope(index)]);
        self.change(index, &Cell::new(kind::STAGED, 0, table, seal))
    }

    /// Whether the envelope is still what it was when the package was found good.
    pub fn sealed(&self, index: usize) -> bool {
        checksum(&[self.envelope(index)]) == self.slot(index).seal
    }

    fn envelope(&self, index: usize) -> &'static [u8] {
        let length = usize::from(self.slot(index).envelope);
        self.package(index).get(..length).unwrap_or(&[])
    }

    /// Starts the trial of a staged package. Its sequence number is noted in a second slot first, so that no damage to
    /// one of them makes the node forget it.
    pub fn activate(&mut self, index: usize) -> Result<(), SlotError> {
        let sequence = self.slot(index).sequence;
        if sequence > self.memory.highest {
            self.memory.highest = sequence;
            self.memory.version += 1;
        }
        if !self.elsewhere(index)
            && let Some(other) = self.other(index)
        {
            // A full journal there is no reason against the trial.
            let _ = self.remember(other, kind::MEMORY);
        }
        self.change(index, &Cell::new(kind::TRIAL, 0, 0, sequence))
    }

    /// Ends the trial; the keys change with the same cell.
    pub fn confirm(
        &mut self,
        index: usize,
        rotation: Rotation,
        provisioned: &[[u8; 32]],
    ) -> Result<(), SlotError> {
        let memory = self.memory.rotated(rotation, provisioned);
        let memory = memory.ok_or(SlotError::Full)?;
        if memory != self.memory {
            self.memory = memory;
            self.memory.version += 1;
        }
        self.remember(index, kind::CONFIRMED)?;
        self.read(index);
        // Keys are kept twice, as the sequence number is. It is no failure when there is nowhere to.
        if !self.elsewhere(index)
            && let Some(other) = self.other(index)
        {
            let _ = self.remember(other, kind::MEMORY);
        }
        Ok(())
    }

    /// Returns from a package for good. Where flash cannot be written any more, it is left until the next reset.
    pub fn reject(&mut self, index: usize, reason: Reason) -> Result<(), SlotError> {
        let done = self.change(index, &Cell::new(kind::BAD, 0, reason as u32, 0));
        if done.is_err()
            && let Some(slot) = self.slots.get_mut(index)
        {
            slot.state = State::Bad;
            slot.reason = reason;
        }
        done
    }

    /// Removes the package in this slot and everything older.
    pub fn remove(&mut self, index: usize) -> Result<(), SlotError> {
        self.change(index, &Cell::new(kind::REMOVED, 0, 0, 0))
    }

    /// Keeps a parameter of the current package over resets. A full journal is moved to a fresh slot with the package.
    pub fn set_parameter(&mut self, number: u16, value: f32) -> Result<(), SlotError> {
        let index = self.current().ok_or(SlotError::Nothing)?;
        let cell = Cell::new(kind::PARAMETER, number, value.to_bits(), 0);
        if self.slot(index).end + CELL * RESERVE <= PACKAGE {
            return self.append(index, &cell);
        }
        if self.receiving().is_some() || self.slot(index).state != State::Confirmed {
            return Err(SlotError::Full);
        }
        // Where the free slot is far more worn than that of the previous package, the two change places first.
        if !self.level()? {
            let free = self.free().ok_or(SlotError::Nothing)?;
            self.relocate(index, free)?;
        }
        let index = self.current().ok_or(SlotError::Nothing)?;
        self.append(index, &cell)
    }

    /// Copies a confirmed package to a free slot with the newest value of each parameter. It keeps its age; the last cell
    /// makes it count, and then the old one stops to. Between the two they are the same.
    fn relocate(&mut self, from: usize, to: usize) -> Result<(), SlotError> {
        let old = self.slot(from);
        self.clear(to, old.epoch)?;
        self.append(
            to,
            &Cell::new(kind::COPYING, old.envelope, old.size, old.sequence),
        )?;
        let bytes = self.flash.mapped(
            self.place(from).0 + PACKAGE,
            old.size.next_multiple_of(4) + old.table,
        );
        self.store(self.place(to).0 + PACKAGE, bytes)?;
        self.append(to, &Cell::new(kind::STAGED, 0, old.table, old.seal))?;
        for number in 0..crate::module::PARAMETERS as u16 {
            if let Some(value) = self.parameter_in(from, number) {
                self.append(to, &Cell::new(kind::PARAMETER, number, value.to_bits(), 0))?;
            }
        }
        self.remember(to, kind::CONFIRMED)?;
        self.read(to);
        self.change(from, &Cell::new(kind::MOVED, 0, 0, 0))
    }

    /// The kept value of a parameter of the current package.
    pub fn parameter(&self, number: u16) -> Option<f32> {
        self.parameter_in(self.current()?, number)
    }

    fn parameter_in(&self, index: usize, number: u16) -> Option<f32> {
        let mut value = None;
        self.cells(index, |cell, _| {
            if cell.kind == kind::PARAMETER && cell.small == number {
                value = Some(f32::from_bits(cell.x));
            }
        });
        value
    }

    /// The package in a slot: envelope and module.
    pub fn package(&self, index: usize) -> &'static [u8] {
        self.flash.mapped(
            self.place(index).0 + PACKAGE,
            self.slot(index).size.min(self.capacity()),
        )
    }

    /// The module of the package in a slot.
    pub fn module(&self, index: usize) -> &'static [u8] {
        self.package(index)
            .get(usize::from(self.slot(index).envelope)..)
            .unwrap_or(&[])
    }

    /// Where the branch table of a slot lies in flash, and how many bytes it may take.
    pub fn table_space(&self, index: usize) -> (u32, u32) {
        let at = self.slot(index).size.next_multiple_of(4);
        (
            self.place(index).0 + PACKAGE + at,
            self.capacity().saturating_sub(at),
        )
    }

    /// The flash, for the branch table.
    pub fn flash_mut(&mut self) -> &mut F {
        &mut self.flash
    }

    // ---- the journal --------------------------------------------------------------------------------------------------

    fn place(&self, index: usize) -> (u32, u32) {
        self.places.get(index).copied().unwrap_or_default()
    }

    fn put(&mut self, index: usize, slot: Slot) {
        if let Some(place) = self.slots.get_mut(index) {
            *place = slot;
        }
    }

    fn change(&mut self, index: usize, cell: &Cell) -> Result<(), SlotError> {
        self.append(index, cell)?;
        self.read(index);
        Ok(())
    }

    /// Writes the carried memory into a journal, as a cell of this kind.
    fn remember(&mut self, index: usize, kind: u8) -> Result<(), SlotError> {
        let mut content = [0xffu8; KEYS * 40];
        let mut at = 0;
        let m = &self.memory;
        for bytes in m
            .added
            .iter()
            .map(|k| &k[..])
            .chain(m.dropped.iter().map(|k| &k[..]))
        {
            if let Some(to) = content.get_mut(at..at + bytes.len()) {
                to.copy_from_slice(bytes);
            }
            at += bytes.len();
        }
        let cells = at.div_ceil(CELL as usize);
        let cell = Cell {
            more: cells as u8,
            ..Cell::new(
                kind,
                (m.added.len() | m.dropped.len() << 8) as u16,
                m.version,
                m.highest,
            )
        };
        let content = content.get(..cells * CELL as usize).unwrap_or(&[]);
        let version = m.version;
        self.extend(index, &cell, content)?;
        if let Some(slot) = self.slots.get_mut(index) {
            slot.memory = version;
        }
        Ok(())
    }

    fn append(&mut self, index: usize, cell: &Cell) -> Result<(), SlotError> {
        self.extend(index, cell, &[])
    }

    /// Writes a cell, and the content that its checksum covers too.
    fn extend(&mut self, index: usize, cell: &Cell, content: &[u8]) -> Result<(), SlotError> {
        let end = self.slot(index).end;
        let length = CELL + content.len() as u32;
        if end < HEADER || end + length > PACKAGE {
            return Err(SlotError::Full);
        }
        let mut bytes = [0u8; CELL as usize];
        bytes[0] = cell.kind;
        bytes[1] = cell.more;
        bytes[2..4].copy_from_slice(&cell.small.to_le_bytes());
        bytes[4..8].copy_from_slice(&cell.x.to_le_bytes());
        bytes[8..12].copy_from_slice(&cell.y.to_le_bytes());
        let crc = checksum(&[&bytes[..12], content]);
        bytes[12..].copy_from_slice(&crc.to_le_bytes());
        // Whatever comes of it, these cells are used.
        if let Some(slot) = self.slots.get_mut(index) {
            slot.end = end + length;
        }
        let at = self.place(index).0 + end;
        self.store(at, &bytes)?;
        self.store(at + CELL, content)
    }

    /// Goes through the good cells of a journal and returns where the next one may be written.
    fn cells(&self, index: usize, mut use_: impl FnMut(&Cell, &[u8])) -> u32 {
        let journal = self.flash.mapped(self.place(index).0, PACKAGE);
        let word = |at: usize| -> u32 {
            let bytes = journal.get(at..at + 4).and_then(|b| b.try_into().ok());
            u32::from_le_bytes(bytes.unwrap_or([0xff; 4]))
        };
        let mut at = HEADER as usize;
        while let Some(bytes) = journal.get(at..at + CELL as usize) {
            if bytes.iter().all(|b| *b == 0xff) {
                break;
            }
            let head = word(at);
            let cell = Cell {
                kind: head as u8,
                more: (head >> 8) as u8,
                small: (head >> 16) as u16,
                x: word(at + 4),
                y: word(at + 8),
            };
            at += CELL as usize;
            let content = journal.get(at..at + usize::from(cell.more) * CELL as usize);
            let content = content.unwrap_or(&[]);
            // A torn cell is passed over; what was to follow it was never written.
            if checksum(&[bytes.get(..12).unwrap_or(&[]), content]) == word(at - 4) {
                use_(&cell, content);
                at += content.len();
            }
        }
        at as u32
    }

    /// Reads a slot's header and journal.
    fn read(&mut self, index: usize) {
        let mut header = [0u8; HEADER as usize];
        let (base, _) = self.place(index);
        let read = self.flash.read(base, &mut header).is_ok();
        let word = |at: usize| {
            u32::from_le_bytes(
                header
                    .get(at..at + 4)
                    .and_then(|b| b.try_into().ok())
                    .unwrap_or([0; 4]),
            )
        };
        let mut slot = Slot::default();
        if read && word(0) == MAGIC && checksum(&[&header[..12]]) == word(12) {
            slot.epoch = word(4);
            slot.erased = word(8);
            let mut memory = None;
            slot.end = self.cells(index, |cell, content| {
                match cell.kind {
                    kind::RECEIVING | kind::COPYING => {
                        // A copy counts once it is confirmed.
                        if cell.kind == kind::RECEIVING {
                            slot.state = State::Receiving;
                        }
                        slot.envelope = cell.small;
                        slot.size = cell.x;
                        slot.sequence = cell.y;
                    }
                    kind::STAGED => {
                        if slot.state == State::Receiving {
                            slot.state = State::Staged;
                        }
                        slot.table = cell.x;
                        slot.seal = cell.y;
                    }
                    kind::TRIAL => {
                        slot.state = State::Trial;
                        slot.sequence = cell.y;
                    }
                    kind::CONFIRMED => slot.state = State::Confirmed,
                    kind::BAD => {
                        slot.state = State::Bad;
                        slot.reason = Reason::of(cell.x);
                    }
                    kind::REMOVED => slot.state = State::Removed,
                    kind::MOVED => slot.state = State::Empty,
                    _ => {}
                }
                slot.tried |= matches!(cell.kind, kind::TRIAL | kind::CONFIRMED);
                if matches!(cell.kind, kind::CONFIRMED | kind::MEMORY) {
                    memory = Some(recall(cell, content));
                }
            });
            if let Some(memory) = memory {
                slot.memory = memory.version;
                if memory.version > self.memory.version {
                    let highest = self.memory.highest.max(memory.highest);
                    self.memory = Memory { highest, ..memory };
                }
            }
        }
        self.put(index, slot);
    }
}

fn recall(cell: &Cell, content: &[u8]) -> Memory {
    let mut memory = Memory {
        version: cell.x,
        highest: cell.y,
        ..Memory::default()
    };
    let (added, dropped) = (usize::from(cell.small & 0xff), usize::from(cell.small >> 8));
    let (keys, ids) = content
        .split_at_checked(added * 32)
        .unwrap_or((content, &[]));
    for key in keys.as_chunks::<32>().0 {
        let _ = memory.added.push(*key);
    }
    for id in ids.as_chunks::<8>().0.iter().take(dropped) {
        let _ = memory.dropped.push(*id);
    }
    memory
}

/// CRC-32/ISO-HDLC of these bytes one after the other.
pub fn checksum(parts: &[&[u8]]) -> u32 {
    const CRC: crc::Crc<u32, crc::NoTable> =
        crc::Crc::<u32, crc::NoTable>::new(&crc::CRC_32_ISO_HDLC);
    let mut digest = CRC.digest();
    for part in parts {
        digest.update(part);
    }
    digest.finalize()
}
