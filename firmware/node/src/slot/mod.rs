//! Slots: where packages live in flash, and the journal that says which of them runs.
//!
//! Every slot is a range of whole sectors with a journal of its own at its head, so that nothing is ever erased that is still
//! needed: there are three slots, of which one holds the package that runs, one may hold the package before it, and
//! the third is free for what comes next. (Two slots and a journal sector would need a fourth sector to clear the journal
//! without a moment in which it is gone.)
//!
//! ```text
//! slot   │ header × 3 │ journal: cells │ package: envelope, module │ branch table │ states of the module: cells │ erased │
//! bytes    16 each      to 2048           size                        as validated
//! header │ "WMS2" │ epoch │ erased │ CRC-32 of these │
//! bytes     4        4       4        4
//! ```
//!
//! Which package runs follows only from the journals: see [`Slots::current`]. Each change is one cell with a checksum, so a
//! power cut leaves the state before or the state after it, and each is written three times, so that no two bits that flip
//! change which package runs: see `journal.rs`. A package that was withdrawn stays so whatever is read behind it. Flash is
//! written in words of four bytes, each once between erasures, with two exceptions that only clear bits and so need
//! [`MultiwriteNorFlash`]: what a power cut tore is written again with the same bytes, and a slot is retired by clearing its
//! headers. The latter comes before every erasure, since an erasure that is cut off may give any part of a journal back but
//! never a header's checksum.
//!
//! The last digit of "WMS2" is the version of this layout. Slots of version 1 (one header, cells written once) are read and
//! written on, and become version 2 when they are next erased. Where one of a later version is found, nothing is written at
//! all ([`SlotError::Layout`]): the keys in it are not ours to lose.
//!
//! Wear: the roles go round with each package that is confirmed. Where they stand still (uploads that fail, a parameter
//! that changes for ever) a package is moved out of the least worn slot, so that erase counts never differ by more than
//! [`WEAR`] and two, and one for each package that moved because flash damaged its branch table. Erasures that nobody with a key asked for have a budget: see `budget.rs`.
//!
//! Other parts keep records here too: [`Slots::keep`] what is the node's and outlives every package, [`Slots::save`] what is the
//! running package's. See `records.rs` for what they cost.
mod budget;
mod journal;
mod keys;
mod parameters;
mod records;
mod state;

pub use budget::ERASES;
pub use journal::checksum;
pub use keys::{Memory, Rotation, key_id};
pub(crate) use records::{CONTEXT_CELLS, TIER};
pub use records::{RECORD, RECORDS, STATE};
pub use state::{Coming, Reason, Slot, SlotError, State};

pub(crate) use budget::Budget;
use embedded_storage::nor_flash::MultiwriteNorFlash;
use journal::{CELL, COPIES, Cell, Layout, Range, store};

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
/// Where the package begins in a slot: behind headers and journal.
pub const PACKAGE: u32 = 2048;
/// The most that the least worn slot may lag behind a free one before its package is moved there.
pub const WEAR: u32 = 4;
/// The first three bytes of a header; the fourth is the layout.
const MAGIC: &[u8; 3] = b"WMS";
/// The most keys and dropped keys that rotation may add to those from the provisioning record.
pub const KEYS: usize = 4;

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
    pub const RECORD: u8 = 11;
    pub const STATE: u8 = 12;
    pub const PARAMETERS: u8 = 13;
}

/// The slots of a node.
#[derive(Debug)]
pub struct Slots<F> {
    flash: F,
    /// Where each begins, and its bytes.
    places: [(u32, u32); SLOTS],
    slots: [Slot; SLOTS],
    memory: Memory,
    budget: Budget,
    /// Era and number of the newest package that a slot was prepared for.
    prepared: (u32, u32),
    /// The layout of a slot that a later firmware wrote.
    unknown: Option<u8>,
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
            budget: Budget::of_erasures(),
            prepared: (0, 0),
            unknown: None,
        };
        for index in 0..SLOTS {
            slots.read(index);
        }
        for slot in slots.slots {
            if slot.tried {
                slots.memory.reach(slot.era, slot.sequence);
            }
            slots.prepared = slots.prepared.max((slot.era, slot.sequence));
        }
        slots.prepared = slots.prepared.max(slots.memory.reached());
        slots
    }

    /// Tells the time, in milliseconds since the start: the budget of erasures fills with it.
    pub fn tick(&mut self, now: u64) {
        self.budget.at(now);
    }

    /// Erasures left for today that need nobody's trust, and how often one was refused.
    pub fn budget(&self) -> (u8, u32) {
        (self.budget.left(), self.budget.refused())
    }

    /// The layout of slots that a later firmware wrote, which this one must not touch.
    pub fn unknown(&self) -> Option<u8> {
        self.unknown
    }

    /// Completes what a power cut or a bit that flipped left incomplete: copies of what was decided, kept or set last, and the
    /// removal of what is older than a package that was removed.
    pub fn mend(&mut self) {
        let removed = self.slots.iter().filter(|s| s.state == State::Removed);
        let floor = removed.map(|s| s.epoch).max().unwrap_or(0);
        for index in 0..SLOTS {
            let slot = self.slot(index);
            let kind = match slot.state {
                _ if slot.moved => kind::MOVED,
                State::Confirmed => kind::CONFIRMED,
                State::Bad => kind::BAD,
                State::Removed => kind::REMOVED,
                _ => 0,
            };
            let copies = self.copies(index, |cell| cell.kind == kind);
            if kind != 0 && copies < COPIES {
                let missing = COPIES - copies;
                // If there is no room for them, the existing ones have to suffice.
                let _ = if kind == kind::CONFIRMED {
                    self.remember(index, kind, missing)
                } else {
                    self.repeat(index, &Cell::new(kind, 0, slot.reason as u32, 0), missing)
                };
            }
            if slot.epoch > 0 && slot.epoch < floor && slot.state < State::Bad {
                let _ = self.mark(index, &Cell::new(kind::REMOVED, 0, 0, 0));
            }
        }
        self.mend_records();
        self.mend_parameters();
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

    // ---- which package runs -------------------------------------------------------------------------------------------

    /// The newest slot in one of these states; a removed one ends the search, as everything older went with it.
    fn newest(&self, below: u32, wanted: impl Fn(&Slot) -> bool) -> Option<usize> {
        let mut best: Option<(u32, usize)> = None;
        let floor = self.floor();
        for (index, slot) in self.slots.iter().enumerate() {
            let better = best.is_none_or(|(epoch, _)| slot.epoch > epoch);
            if slot.epoch < below && slot.epoch > floor && better && wanted(slot) {
                best = Some((slot.epoch, index));
            }
        }
        best.map(|(_, index)| index)
    }

    /// The age of the newest package that was removed, with everything older.
    fn floor(&self) -> u32 {
        let removed = self.slots.iter().filter(|s| s.state == State::Removed);
        removed.map(|s| s.epoch).max().unwrap_or(0)
    }

    /// The slot whose package runs, or would: the newest that is on trial or confirmed.
    pub fn current(&self) -> Option<usize> {
        self.newest(u32::MAX, |s| {
            matches!(s.state, State::Trial | State::Confirmed)
        })
    }

    /// The slot to go back to from the current one: the newest that is confirmed and holds another module. The same module
    /// once more is no way back from it.
    pub fn previous(&self) -> Option<usize> {
        let now = self.slot(self.current()?);
        self.newest(now.epoch, |s| {
            s.state == State::Confirmed && !s.same_module(&now)
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

    /// Whether this package was given up because flash damaged it, and its number was not used since: only this package may use
    /// the number again. The seal is of the signed envelope, which only whoever holds the key can make.
    pub fn lost(&self, era: u32, sequence: u32, envelope: &[u8]) -> bool {
        let same = self
            .slots
            .iter()
            .filter(|s| s.state != State::Empty && (s.era, s.sequence) == (era, sequence));
        same.max_by_key(|s| s.epoch).is_some_and(|s| {
            (s.state, s.reason) == (State::Bad, Reason::Damaged) && s.seal == checksum(&[envelope])
        })
    }

    // ---- a package's way ----------------------------------------------------------------------------------------------

    /// Prepares the free slot for a package: what only it knows is copied to a slot that stays, then it is erased. Wear is evened
    /// out first, which may move the package that runs: compare [`Slots::current`] before and after. For a
    /// package newer than all that a slot was prepared for, whoever signed it is asking; for any other it may be
    /// somebody who repeats what he heard, and the budget decides.
    pub fn prepare(&mut self, coming: &Coming) -> Result<usize, SlotError> {
        if coming.size > self.capacity() {
            return Err(SlotError::TooLarge);
        }
        let number = (coming.era, coming.sequence);
        self.afford(number > self.prepared)?;
        self.level()?;
        let index = self.free().ok_or(SlotError::Nothing)?;
        let epoch = self.next_epoch();
        self.clear(index, epoch)?;
        self.prepared = self.prepared.max(number);
        self.head(index, kind::RECEIVING, coming)?;
        self.read(index);
        Ok(index)
    }

    /// The age of the next slot that is prepared. No flash stands so many erasures that it could come to its end.
    fn next_epoch(&self) -> u32 {
        let newest = self.slots.iter().map(|s| s.epoch).max();
        newest.unwrap_or(0).saturating_add(1)
    }

    /// Whether flash may be erased now: by whoever is trusted always, else as long as there is budget, which is used up by it.
    fn afford(&mut self, trusted: bool) -> Result<(), SlotError> {
        if trusted || self.budget.spend() {
            Ok(())
        } else {
            Err(SlotError::Worn)
        }
    }

    /// Writes what a slot is for.
    fn head(&mut self, index: usize, kind: u8, coming: &Coming) -> Result<(), SlotError> {
        let mut content = [0; 12];
        content[..4].copy_from_slice(&coming.era.to_le_bytes());
        content[4..].copy_from_slice(coming.digest.first_chunk::<8>().unwrap_or(&[0; 8]));
        let cell = Cell::new(kind, coming.envelope, coming.size, coming.sequence);
        self.copy_out(index, &cell, &content, COPIES)
    }

    /// The least worn slot that holds neither the current nor the previous package.
    fn free(&self) -> Option<usize> {
        let (current, previous) = (self.current(), self.previous());
        let floor = self.floor();
        // The slot that records a removal is erased last: without it, what was removed with the package would be back. So is
        // the only slot that has a journal.
        let gone = |slot: Slot| slot.epoch > 0 && slot.epoch < floor;
        let last = |i: usize| self.slot(i).epoch > 0 && self.other(i).is_none();
        (0..SLOTS)
            .filter(|i| Some(*i) != current && Some(*i) != previous)
            .min_by_key(|i| {
                (
                    last(*i),
                    floor > 0 && !gone(self.slot(*i)),
                    self.slot(*i).erased,
                )
            })
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

    /// Takes the headers from a slot, and with them all that the slot says.
    fn retire(&mut self, index: usize) -> Result<(), SlotError> {
        let (base, _) = self.place(index);
        let zeros = [0; (CELL as usize) * COPIES];
        let length = self.slot(index).layout.header() as usize;
        self.put(index, Slot::default());
        self.flash
            .write(base, zeros.get(..length).unwrap_or(&zeros))
            .map_err(|_| SlotError::Flash)
    }

    /// Makes a slot empty, and of this age. What only it stores is first copied to a slot that stays.
    fn clear(&mut self, index: usize, epoch: u32) -> Result<(), SlotError> {
        if self.unknown.is_some() {
            return Err(SlotError::Layout);
        }
        let mine = self.slot(index);
        if !self.elsewhere(index)
            && let Some(other) = self.other(index)
        {
            self.remember(other, kind::MEMORY, 1)?;
        }
        self.rescue(index)?;
        let wear = self.slots.iter().map(|s| s.erased).max().unwrap_or(0);
        // A slot whose header was lost to a power cut counts as worn as the most worn one.
        let erased = if mine.epoch == 0 { wear } else { mine.erased }.saturating_add(1);
        let (base, length) = self.place(index);
        if mine.epoch > 0 {
            self.retire(index)?;
        }
        self.flash
            .erase(base, base + length)
            .map_err(|_| SlotError::Flash)?;
        let mut header = [0u8; CELL as usize];
        header[..3].copy_from_slice(MAGIC);
        header[3] = b'2';
        header[4..8].copy_from_slice(&epoch.to_le_bytes());
        header[8..12].copy_from_slice(&erased.to_le_bytes());
        let crc = checksum(&[&header[..12]]);
        header[12..].copy_from_slice(&crc.to_le_bytes());
        let mut written = Err(SlotError::Flash);
        for copy in 0..COPIES as u32 {
            // One of them is enough, as for a cell.
            written = written.or(store(&mut self.flash, base + copy * CELL, &header));
        }
        written?;
        let fresh = Slot {
            epoch,
            erased,
            end: Layout::Two.header(),
            ..Slot::default()
        };
        self.put(index, fresh);
        if self.memory != Memory::default() {
            let version = self.memory.version;
            let newest = |cell: &Cell| {
                matches!(cell.kind, kind::MEMORY | kind::CONFIRMED) && cell.x == version
            };
            let there: usize = (0..SLOTS).map(|i| self.copies(i, newest)).sum();
            self.remember(index, kind::MEMORY, COPIES.saturating_sub(there).max(1))?;
        }
        self.restore(index)
    }

    /// Evens out the wear: where the slot that would be erased next is far more worn than one that holds a package, that package
    /// is moved. Whether the current one was, which whoever runs it has to start anew from where it is now.
    fn level(&mut self) -> Result<bool, SlotError> {
        let free = self.free().ok_or(SlotError::Nothing)?;
        let (current, previous) = (self.current(), self.previous());
        let cold = (0..SLOTS)
            .filter(|i| Some(*i) == current || Some(*i) == previous)
            .filter(|i| self.slot(*i).state == State::Confirmed)
            .min_by_key(|i| self.slot(*i).erased);
        match cold {
            Some(cold) if self.slot(cold).erased.saturating_add(WEAR) <= self.slot(free).erased => {
                self.relocate(cold, free, true)?;
                Ok(Some(cold) == current)
            }
            _ => Ok(false),
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
        // What a power cut tore may be written again, but by the same: no write sets a bit.
        let there = self.flash.mapped(at, bytes.len() as u32);
        if there.iter().zip(bytes).any(|(old, new)| old & new != *new) {
            return Err(SlotError::Flash);
        }
        let (head, tail) = bytes.split_at(bytes.len() & !3);
        store(&mut self.flash, at, head)?;
        if !tail.is_empty() {
            let mut word = [0xff; 4];
            for (to, from) in word.iter_mut().zip(tail) {
                *to = *from;
            }
            store(&mut self.flash, at + head.len() as u32, &word)?;
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
        self.mark(index, &Cell::new(kind::STAGED, 0, table, seal))
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
        let Slot { era, sequence, .. } = self.slot(index);
        self.memory.reach(era, sequence);
        if !self.elsewhere(index)
            && let Some(other) = self.other(index)
        {
            // A full journal there does not prevent the trial.
            let _ = self.remember(other, kind::MEMORY, 1);
        }
        self.mark(index, &Cell::new(kind::TRIAL, 0, era, sequence))
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
            self.memory.version = self.memory.version.saturating_add(1);
        }
        self.remember(index, kind::CONFIRMED, COPIES)?;
        self.read(index);
        // Keys are kept twice, as the sequence number is. It is no failure when there is nowhere to.
        if !self.elsewhere(index)
            && let Some(other) = self.other(index)
        {
            let _ = self.remember(other, kind::MEMORY, 1);
        }
        Ok(())
    }

    /// Returns from a package for good. Where flash cannot be written any more, it is left until the next reset.
    pub fn reject(&mut self, index: usize, reason: Reason) -> Result<(), SlotError> {
        let done = self.mark(index, &Cell::new(kind::BAD, 0, reason as u32, 0));
        if done.is_err()
            && let Some(slot) = self.slots.get_mut(index)
        {
            slot.state = State::Bad;
            slot.reason = reason;
        }
        done
    }

    /// Returns from the current package to the previous one, and from every copy of the current one that lies between.
    pub fn withdraw(&mut self, reason: Reason) -> Result<(), SlotError> {
        let current = self.current().ok_or(SlotError::Nothing)?;
        let (now, back) = (self.slot(current), self.previous());
        let floor = back.map_or(0, |index| self.slot(index).epoch);
        // The current one last: until then it is what runs.
        for index in 0..SLOTS {
            let slot = self.slot(index);
            let runs = matches!(slot.state, State::Trial | State::Confirmed);
            if index != current && runs && slot.epoch > floor && slot.same_module(&now) {
                self.reject(index, reason)?;
            }
        }
        self.reject(current, reason)
    }

    /// Removes the package in this slot and everything older.
    pub fn remove(&mut self, index: usize) -> Result<(), SlotError> {
        self.mark(index, &Cell::new(kind::REMOVED, 0, 0, 0))?;
        // The older ones by a mark of their own, so that losing this slot brings none of them back.
        self.mend();
        Ok(())
    }

    /// Moves the current package to a fresh slot, with an empty journal and room for states.
    fn renew(&mut self, trusted: bool) -> Result<(), SlotError> {
        let index = self.current().ok_or(SlotError::Nothing)?;
        // What is staged goes on trial next, in the slot that would be erased.
        let comes = self.receiving().or(self.staged());
        if comes.is_some() || self.slot(index).state != State::Confirmed {
            return Err(SlotError::Full);
        }
        self.afford(trusted)?;
        // Where the free slot is far more worn than that of the previous package, the two change places first.
        if !self.level()? {
            let free = self.free().ok_or(SlotError::Nothing)?;
            self.relocate(index, free, true)?;
        }
        Ok(())
    }

    /// Moves a confirmed package to a fresh slot without its branch table, which flash damaged, and without its state. The
    /// caller rebuilds the table and reports it with [`Slots::remade`].
    pub fn remake(&mut self, index: usize) -> Result<usize, SlotError> {
        if self.slot(index).state != State::Confirmed {
            return Err(SlotError::Nothing);
        }
        let free = self.free().ok_or(SlotError::Nothing)?;
        self.relocate(index, free, false)?;
        Ok(free)
    }

    /// The branch table of a package was made again, and takes so many bytes now.
    pub fn remade(&mut self, from: usize, index: usize, table: u32) -> Result<(), SlotError> {
        let slot = self.slot(index);
        if slot.table != table {
            self.mark(index, &Cell::new(kind::STAGED, 0, table, slot.seal))?;
        }
        if from == index {
            Ok(())
        } else {
            self.carry(from, index)
        }
    }

    /// Copies a confirmed package to a free slot with the newest value of each parameter and the newest state. It keeps its
    /// age; the last cell makes it count, and then the old one stops to. Between the two they are the same.
    fn relocate(&mut self, from: usize, to: usize, table: bool) -> Result<(), SlotError> {
        let old = self.slot(from);
        self.clear(to, old.epoch)?;
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&old.digest);
        let coming = Coming {
            era: old.era,
            sequence: old.sequence,
            envelope: old.envelope,
            size: old.size,
            digest,
        };
        self.head(to, kind::COPYING, &coming)?;
        let size = old.size.next_multiple_of(4);
        let length = if table { size + old.table } else { size };
        let bytes = self
            .flash
            .mapped(self.place(from).0 + PACKAGE, length.min(self.capacity()));
        let at = self.place(to).0 + PACKAGE;
        store(&mut self.flash, at, bytes)?;
        self.mark(to, &Cell::new(kind::STAGED, 0, old.table, old.seal))?;
        self.carry_parameters(from, to)?;
        if table {
            self.carry(from, to)?;
        }
        self.remember(to, kind::CONFIRMED, COPIES)?;
        self.read(to);
        self.mark(from, &Cell::new(kind::MOVED, 0, 0, 0))
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

    /// The journal of a slot.
    fn journal(&self, index: usize) -> Range {
        let (base, _) = self.place(index);
        let layout = self.slot(index).layout;
        Range {
            from: base + layout.header(),
            to: base + PACKAGE,
            layout,
        }
    }

    /// Cells that are free in a journal beyond those that only decisions about packages may use: a trial, a confirmation with
    /// one more key, the memory for a slot that is cleared, a withdrawal and a move.
    fn room(&self, index: usize) -> u32 {
        let slot = self.slot(index);
        let (_, content) = self.memory.cell(0, slot.layout);
        let memory = 1 + slot.layout.cells(content.len() + 36);
        let reserve = (COPIES * (3 + memory) + memory) as u32 * CELL;
        (PACKAGE.saturating_sub(slot.end).saturating_sub(reserve)) / CELL
    }

    /// How many cells like this a journal has.
    fn copies(&self, index: usize, like: impl Fn(&Cell) -> bool) -> usize {
        let mut count = 0;
        if self.slot(index).epoch > 0 {
            self.journal(index).read(&self.flash, |cell, _| {
                count += usize::from(like(cell));
            });
        }
        count
    }

    /// Writes a cell that decides something.
    fn mark(&mut self, index: usize, cell: &Cell) -> Result<(), SlotError> {
        self.repeat(index, cell, COPIES)
    }

    /// Writes a cell so many times; once is enough for it to count.
    fn repeat(&mut self, index: usize, cell: &Cell, times: usize) -> Result<(), SlotError> {
        let written = self.copy_out(index, cell, &[], times);
        self.read(index);
        written
    }

    /// Writes a cell with its content so many times. Each copy has a place of its own, and one is enough: where a bit of the erased
    /// flash flipped, or does not take what is written, the others count.
    fn copy_out(
        &mut self,
        index: usize,
        cell: &Cell,
        content: &[u8],
        times: usize,
    ) -> Result<(), SlotError> {
        let mut written = self.extend(index, cell, content);
        for _ in 1..times {
            let again = self.extend(index, cell, content);
            written = written.or_else(|first| again.map_err(|_| first));
        }
        written
    }

    /// Writes the carried memory into a journal so many times, as a cell of this kind.
    fn remember(&mut self, index: usize, kind: u8, times: usize) -> Result<(), SlotError> {
        let layout = self.slot(index).layout;
        if layout == Layout::One && self.memory.era > 0 {
            return Err(SlotError::Full);
        }
        let (cell, content) = self.memory.cell(kind, layout);
        let written = self.copy_out(index, &cell, &content, times);
        if written.is_ok()
            && let Some(slot) = self.slots.get_mut(index)
        {
            slot.memory = self.memory.version;
        }
        written
    }

    /// Writes a cell, and the content that its checksum covers too.
    fn extend(&mut self, index: usize, cell: &Cell, content: &[u8]) -> Result<(), SlotError> {
        if self.unknown.is_some() {
            return Err(SlotError::Layout);
        }
        let journal = self.journal(index);
        let (base, _) = self.place(index);
        let mut end = base + self.slot(index).end;
        let written = journal.write(&mut self.flash, &mut end, cell, content);
        // Whatever comes of it, these cells are used.
        if let Some(slot) = self.slots.get_mut(index) {
            slot.end = end - base;
        }
        written
    }

    /// Reads the headers of a slot: one that is whole counts.
    fn header(&mut self, index: usize) -> Option<Slot> {
        let (base, length) = self.place(index);
        let bytes = self.flash.mapped(base, length.min(CELL * COPIES as u32));
        let (headers, _) = bytes.as_chunks::<16>();
        for (place, header) in headers.iter().enumerate() {
            let (body, crc) = header.split_at(12);
            let whole = checksum(&[body]).to_le_bytes() == crc && body.starts_with(MAGIC);
            let (&[_, _, _, digit], words) = body.split_first_chunk::<4>()?;
            let layout = match (digit, place) {
                (b'1', 0) => Layout::One,
                (b'2', _) => Layout::Two,
                // A later one says its layout as often, and a bit of the first copy may have flipped.
                (later, _) if whole && later != b'1' => {
                    self.unknown = Some(later);
                    continue;
                }
                _ => continue,
            };
            let (words, _) = words.as_chunks::<4>();
            if let ([epoch, erased], true) = (words, whole) {
                return Some(Slot {
                    epoch: u32::from_le_bytes(*epoch),
                    erased: u32::from_le_bytes(*erased),
                    layout,
                    ..Slot::default()
                });
            }
        }
        None
    }

    /// Reads a slot's header and journal.
    fn read(&mut self, index: usize) {
        let Some(mut slot) = self.header(index) else {
            self.put(index, Slot::default());
            return;
        };
        self.put(index, slot);
        let (layout, mut memory) = (slot.layout, None::<Memory>);
        let end = self.journal(index).read(&self.flash, |cell, content| {
            let state = match cell.kind {
                // A copy counts once it is confirmed.
                kind::RECEIVING | kind::COPYING => {
                    slot.envelope = cell.small;
                    slot.size = cell.x;
                    slot.sequence = cell.y;
                    let mut more = [0; 12];
                    content.copy(&mut more);
                    if let Some((era, digest)) = more.split_first_chunk() {
                        slot.era = u32::from_le_bytes(*era);
                        slot.digest.copy_from_slice(digest);
                    }
                    if cell.kind == kind::RECEIVING {
                        State::Receiving
                    } else {
                        State::Empty
                    }
                }
                kind::STAGED => {
                    slot.table = cell.x;
                    slot.seal = cell.y;
                    if slot.state == State::Receiving {
                        State::Staged
                    } else {
                        State::Empty
                    }
                }
                kind::TRIAL => {
                    slot.era = cell.x;
                    slot.sequence = cell.y;
                    State::Trial
                }
                kind::CONFIRMED => State::Confirmed,
                kind::BAD => {
                    slot.reason = Reason::of(cell.x);
                    State::Bad
                }
                kind::REMOVED => State::Removed,
                _ => State::Empty,
            };
            slot.state = slot.state.max(state);
            slot.moved |= cell.kind == kind::MOVED;
            slot.tried |= matches!(cell.kind, kind::TRIAL | kind::CONFIRMED);
            if matches!(cell.kind, kind::CONFIRMED | kind::MEMORY)
                && memory.as_ref().is_none_or(|m| cell.x >= m.version)
            {
                memory = Some(Memory::of(cell, content, layout));
            }
        });
        slot.end = end - self.place(index).0;
        if slot.moved {
            slot.state = State::Empty;
        }
        if let Some(memory) = memory {
            slot.memory = memory.version;
            if memory.version > self.memory.version {
                let reached = self.memory.reached();
                self.memory = memory;
                if reached > self.memory.reached() {
                    (self.memory.era, self.memory.highest) = reached;
                }
            }
        }
        self.put(index, slot);
    }
}
