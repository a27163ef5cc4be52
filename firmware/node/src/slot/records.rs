//! The door for other parts that must remember something over a reset.
//!
//! | | whose | where | until | read back |
//! | --- | --- | --- | --- | --- |
//! | [`Slots::keep`] | the node's: keys of peers, numbers that must not come twice | a journal, three times | it is replaced; every package, removal and erasure leaves it | [`Slots::kept`] |
//! | [`Slots::save`] | the running package's: what a filter has learnt | behind its branch table | its slot is erased; it moves with the package | [`Slots::saved`] |
//!
//! **Power.** Either is one cell with a checksum: after a cut it is the old value or the new one, never a mixture. A node's record is
//! in another slot before the one that holds it is erased.
//!
//! **Bits.** A node's record survives any two bits that flip. A state has one copy: where a bit of it flips, the one before is
//! given back, or none.
//!
//! **Wear.** What is unchanged is not written. A record of up to 4 bytes takes 48 bytes of a journal, else 48 more for each 15
//! behind the fourth; a journal has room for about thirty of the short ones, then the current package moves to a fresh slot,
//! which is one erasure and begins its module anew. So take numbers ahead: with one record for 256 numbers an erasure comes
//! every 7,000 or so. A state takes 16 bytes and 16 for each 15 of its own; about 12 KiB are free behind a small package, which is
//! 120 states of 64 bytes to an erasure. Erasures for states come out of the daily budget, those for the node's records do not:
//! whoever calls [`Slots::keep`] has found his peer to be trusted.
//!
//! **When full.** [`SlotError::Full`] while the package is on trial or another is being received and no journal has room: try
//! again when that is over. [`SlotError::Worn`] for a state: nothing is lost but what would have been saved.
use super::journal::{CELL, COPIES, Cell, Layout, Range};
use super::{Flash, PACKAGE, SlotError, Slots, kind};

/// Numbers that a record of the node may have: below this. 0 to 7 are for peers' security contexts, 8 to 15 for how far their
/// numbers are taken, then `TIER`.
pub const RECORDS: u8 = 17;
/// The record of the operator's choice: a single byte, 1, if packages are interpreted; empty if they are compiled.
pub(crate) const TIER: u8 = 16;
/// The longest record of the node, in bytes.
pub const RECORD: usize = 64;
/// The most that one copy of all records may take, in cells: 20 for contexts (see `server/guard.rs`), 3 for their numbers, one for
/// `TIER`.
const ALL: usize = 24;
/// The most that one copy of the records of all contexts may take.
pub(crate) const CONTEXT_CELLS: usize = ALL - 4;
/// The longest state of a module, in bytes.
pub const STATE: usize = 1024;
/// Bytes of a record in its first cell.
const FIRST: usize = 4;

/// A record as a journal has it.
#[derive(Clone, Debug, Default)]
struct Record {
    /// Rises with each change.
    version: u32,
    bytes: heapless::Vec<u8, RECORD>,
}

impl Record {
    /// Cells of one copy.
    fn cells(&self) -> usize {
        1 + Layout::Two.cells(self.bytes.len().saturating_sub(FIRST))
    }
}

impl<F: Flash> Slots<F> {
    /// Keeps a record of the node under a number below [`RECORDS`]; an empty one is forgotten. Changes nothing where it is
    /// unchanged. For how long and at what price, see the head of this file.
    pub fn keep(&mut self, number: u8, bytes: &[u8]) -> Result<(), SlotError> {
        self.place_record(number, bytes, true)
    }

    /// As [`Slots::keep`], for whoever asks: an erasure comes out of the daily budget ([`SlotError::Worn`]).
    pub(crate) fn keep_for_anybody(&mut self, number: u8, bytes: &[u8]) -> Result<(), SlotError> {
        self.place_record(number, bytes, false)
    }

    fn place_record(&mut self, number: u8, bytes: &[u8], trusted: bool) -> Result<(), SlotError> {
        let old = self.record(number, None);
        let mut new = Record {
            version: old.as_ref().map_or(0, |r| r.version).saturating_add(1),
            bytes: heapless::Vec::new(),
        };
        if number >= RECORDS || new.bytes.extend_from_slice(bytes).is_err() {
            return Err(SlotError::TooLarge);
        }
        if old.map_or(bytes.is_empty(), |old| old.bytes == bytes) {
            return Ok(());
        }
        let others = (0..RECORDS).filter(|n| *n != number);
        let others = others.filter_map(|n| self.record(n, None));
        if others.map(|r| r.cells()).sum::<usize>() + new.cells() > ALL {
            return Err(SlotError::Full);
        }
        let index = match self.roomy(COPIES * new.cells()) {
            Some(index) => index,
            None => self.fresh(trusted)?,
        };
        self.inscribe(index, number, &new, COPIES)
    }

    /// Copies the record with this number, and says how long it is; `None` if there is none or it is longer than `to`.
    pub fn kept(&self, number: u8, to: &mut [u8]) -> Option<usize> {
        let record = self.record(number, None).filter(|r| !r.bytes.is_empty())?;
        to.get_mut(..record.bytes.len())?
            .copy_from_slice(&record.bytes);
        Some(record.bytes.len())
    }

    /// Keeps a state of the running package, of at most [`STATE`] bytes, with a tag that says what it is. Moves the package
    /// if there is no room, which begins its module anew: compare [`Slots::current`] before and after.
    pub fn save(&mut self, tag: u32, bytes: &[u8]) -> Result<(), SlotError> {
        let mut index = self.current().ok_or(SlotError::Nothing)?;
        let length = CELL * (1 + Layout::Two.cells(bytes.len()) as u32);
        let tail = self.tail(index);
        if bytes.len() > STATE || 2 * length > tail.to.saturating_sub(tail.from) {
            return Err(SlotError::TooLarge);
        }
        let (last, end) = self.state(index);
        if last.is_some_and(|(t, b)| t == tag && b == bytes) {
            return Ok(());
        }
        let old = self.slot(index).layout == Layout::One;
        let mut end = if old || end + length > tail.to {
            self.renew(false)?;
            index = self.current().ok_or(SlotError::Nothing)?;
            self.state(index).1
        } else {
            end
        };
        let cell = Cell::new(kind::STATE, bytes.len() as u16, tag, 0);
        let tail = self.tail(index);
        tail.write(&mut self.flash, &mut end, &cell, bytes)
    }

    /// Copies the newest state of the package in a slot, and gives its tag and length; `None` if there is none or it is
    /// longer than `to`.
    pub fn saved(&self, index: usize, to: &mut [u8]) -> Option<(u32, usize)> {
        let (tag, bytes) = self.state(index).0?;
        to.get_mut(..bytes.len())?.copy_from_slice(&bytes);
        Some((tag, bytes.len()))
    }

    /// The free space behind a package and its table.
    fn tail(&self, index: usize) -> Range {
        let (base, length) = self.place(index);
        let slot = self.slot(index);
        let used = slot.size.next_multiple_of(4).saturating_add(slot.table);
        let from = used.saturating_add(PACKAGE).next_multiple_of(CELL);
        Range {
            from: base + from.min(length),
            to: base + length,
            layout: Layout::Two,
        }
    }

    /// The newest state of a package, and where the next is written.
    #[allow(clippy::type_complexity, reason = "the tag and the bytes")]
    fn state(&self, index: usize) -> (Option<(u32, heapless::Vec<u8, STATE>)>, u32) {
        let mut newest = None;
        let tail = self.tail(index);
        let mut end = tail.from;
        if self.slot(index).seal != 0 {
            end = tail.read(&self.flash, |cell, content| {
                let mut bytes = heapless::Vec::new();
                if cell.kind == kind::STATE
                    && bytes.resize(usize::from(cell.small), 0).is_ok()
                    && content.copy(&mut bytes) == bytes.len()
                {
                    newest = Some((cell.x, bytes));
                }
            });
        }
        (newest, end)
    }

    /// The newest version of a record, in any slot but one.
    fn record(&self, number: u8, but: Option<usize>) -> Option<Record> {
        let mut newest: Option<Record> = None;
        for index in (0..super::SLOTS).filter(|i| Some(*i) != but) {
            if self.slot(index).epoch == 0 {
                continue;
            }
            self.journal(index).read(&self.flash, |cell, content| {
                let [its, length] = cell.small.to_le_bytes();
                let newer = newest.as_ref().is_none_or(|r| cell.x > r.version);
                if cell.kind != kind::RECORD || its != number || !newer {
                    return;
                }
                let mut bytes = heapless::Vec::new();
                let _ = bytes.extend_from_slice(&cell.y.to_le_bytes());
                let mut more = [0; RECORD];
                let count = content.copy(&mut more);
                let _ = bytes.extend_from_slice(more.get(..count).unwrap_or(&[]));
                bytes.truncate(usize::from(length));
                newest = Some(Record {
                    version: cell.x,
                    bytes,
                });
            });
        }
        newest
    }

    /// Writes a record into a journal so many times.
    fn inscribe(
        &mut self,
        index: usize,
        number: u8,
        record: &Record,
        times: usize,
    ) -> Result<(), SlotError> {
        let (first, more) = record.bytes.split_at(record.bytes.len().min(FIRST));
        let mut head = [0; FIRST];
        for (to, from) in head.iter_mut().zip(first) {
            *to = *from;
        }
        let small = u16::from_le_bytes([number, record.bytes.len() as u8]);
        let cell = Cell::new(
            kind::RECORD,
            small,
            record.version,
            u32::from_le_bytes(head),
        );
        self.copy_out(index, &cell, more, times)
    }

    /// Makes the copies that are missing of the newest version of each record, where a journal has room for them: one that power cut
    /// short, or a flipped bit left with fewer, would not survive two bits.
    pub(super) fn mend_records(&mut self) {
        let mut found = [(0u32, 0usize); RECORDS as usize];
        for index in (0..super::SLOTS).filter(|i| self.slot(*i).epoch > 0) {
            self.journal(index).read(&self.flash, |cell, _| {
                let [number, _] = cell.small.to_le_bytes();
                let place = found.get_mut(usize::from(number));
                if let Some(place) = place.filter(|_| cell.kind == kind::RECORD) {
                    if cell.x > place.0 {
                        *place = (cell.x, 0);
                    }
                    place.1 += usize::from(cell.x == place.0);
                }
            });
        }
        for (number, (_, copies)) in (0..).zip(found) {
            let missing = COPIES.saturating_sub(copies);
            if copies > 0
                && missing > 0
                && let Some(record) = self.record(number, None)
                && let Some(index) = self.roomy(missing * record.cells())
            {
                // What cannot be written stays as it is.
                let _ = self.inscribe(index, number, &record, missing);
            }
        }
    }

    /// A slot whose journal has room for so many cells: the current one's first.
    fn roomy(&self, cells: usize) -> Option<usize> {
        let fits = |i: &usize| {
            let slot = self.slot(*i);
            slot.epoch > 0 && slot.layout == Layout::Two && self.room(*i) as usize >= cells
        };
        self.current().filter(fits).or_else(|| {
            let others = (0..super::SLOTS).filter(fits);
            others.max_by_key(|i| self.slot(*i).epoch)
        })
    }

    /// A slot with a fresh journal.
    fn fresh(&mut self, trusted: bool) -> Result<usize, SlotError> {
        if self.receiving().is_some() {
            return Err(SlotError::Full);
        }
        if self.current().is_some() {
            self.renew(trusted)?;
            return self.current().ok_or(SlotError::Nothing);
        }
        self.afford(trusted)?;
        let index = self.free().ok_or(SlotError::Nothing)?;
        let epoch = self.next_epoch();
        self.clear(index, epoch)?;
        Ok(index)
    }

    /// Before a slot is erased: what only it stores is copied to another that has a journal.
    pub(super) fn rescue(&mut self, index: usize) -> Result<(), SlotError> {
        for number in 0..RECORDS {
            let Some(newest) = self.record(number, None) else {
                continue;
            };
            let there = self.record(number, Some(index));
            if there.is_some_and(|r| r.version == newest.version) {
                continue;
            }
            let others = (0..super::SLOTS).filter(|i| {
                let slot = self.slot(*i);
                *i != index && slot.epoch > 0 && slot.layout == Layout::Two
            });
            if let Some(other) = others.max_by_key(|i| self.room(*i)) {
                self.inscribe(other, number, &newest, 1)?;
            }
        }
        Ok(())
    }

    /// After a slot was erased: copies that are missing are made in it.
    pub(super) fn restore(&mut self, index: usize) -> Result<(), SlotError> {
        for number in 0..RECORDS {
            let Some(newest) = self.record(number, None) else {
                continue;
            };
            let same = |cell: &Cell| {
                cell.kind == kind::RECORD
                    && cell.small.to_le_bytes()[0] == number
                    && cell.x == newest.version
            };
            let there: usize = (0..super::SLOTS).map(|i| self.copies(i, same)).sum();
            self.inscribe(index, number, &newest, COPIES.saturating_sub(there).max(1))?;
        }
        Ok(())
    }

    /// Takes the newest state along to another slot.
    pub(super) fn carry(&mut self, from: usize, to: usize) -> Result<(), SlotError> {
        let Some((tag, bytes)) = self.state(from).0 else {
            return Ok(());
        };
        let cell = Cell::new(kind::STATE, bytes.len() as u16, tag, 0);
        let tail = self.tail(to);
        let mut end = tail.from;
        tail.write(&mut self.flash, &mut end, &cell, &bytes)
    }
}
