//! The journal: cells of 16 bytes in a range of flash, each written once between two erasures and each with a checksum.
//!
//! ```text
//! cell    │ kind │ more │ small │ x │ y │ CRC-32 of the 12 bytes before it and of the content │
//! bytes      1      1      2     4   4    4
//! content │ CONTENT │ 15 bytes │ CONTENT │ 15 bytes │ … `more` of these behind their cell
//! ```
//!
//! A power cut leaves a cell that counts or one that does not, so each change of state is one cell. Because flash also loses
//! bits with the years, a cell that decides something is written [`COPIES`] times: two bits, wherever they flip, leave one
//! copy, and no two bits make one cell of another (the checksum's Hamming distance is 6 at this length).
//!
//! Content begins with a byte that no cell begins with. Where a cell is torn or damaged its content is walked like cells, and
//! must not be able to pose as any: it may be a module's.
use super::{Flash, SlotError};

/// Bytes of a cell.
pub(super) const CELL: u32 = 16;
/// How often a cell is written that decides something.
pub(super) const COPIES: usize = 3;
/// The first byte of each cell of content: four bits from every kind.
const CONTENT: u8 = 0xf0;
/// Bytes of content in a cell.
const SHARE: usize = CELL as usize - 1;
/// The longest content: `more` has eight bits.
pub(super) const LONGEST: usize = 255 * SHARE;

/// How a slot and its journal are laid out. The header says it, so that a later firmware can read what an earlier one wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Layout {
    /// The first: one header, and content without marks. Is read and written on, but new slots are never of it.
    One,
    /// One header three times, and content in marked cells.
    #[default]
    Two,
}

impl Layout {
    /// Bytes of a slot's header.
    pub(super) fn header(self) -> u32 {
        match self {
            Self::One => CELL,
            Self::Two => CELL * COPIES as u32,
        }
    }

    /// Cells that so many bytes of content take.
    pub(super) fn cells(self, bytes: usize) -> usize {
        match self {
            Self::One => bytes.div_ceil(CELL as usize),
            Self::Two => bytes.div_ceil(SHARE),
        }
    }
}

/// A cell, without its content and checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) kind: u8,
    /// Cells of content behind this one.
    pub(super) more: u8,
    pub(super) small: u16,
    pub(super) x: u32,
    pub(super) y: u32,
}

impl Cell {
    pub(super) fn new(kind: u8, small: u16, x: u32, y: u32) -> Self {
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

/// What stands behind a cell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Content<'c> {
    bytes: &'c [u8],
    layout: Layout,
}

impl Content<'_> {
    /// Copies as much of it as there is and fits, and says how much that was.
    pub(super) fn copy(&self, to: &mut [u8]) -> usize {
        let bytes = self.bytes.chunks(CELL as usize).flat_map(|cell| {
            let skip = usize::from(self.layout == Layout::Two);
            cell.get(skip..).unwrap_or(&[])
        });
        to.iter_mut()
            .zip(bytes)
            .map(|(to, from)| *to = *from)
            .count()
    }
}

/// A range of flash that cells are written to, one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) layout: Layout,
}

impl Range {
    /// Goes through the good cells, and returns where the next one may be written.
    pub(super) fn read<F: Flash>(
        &self,
        flash: &F,
        mut each: impl FnMut(&Cell, Content<'_>),
    ) -> u32 {
        let bytes = flash.mapped(self.from, self.to.saturating_sub(self.from));
        let word = |at: usize| -> u32 {
            let bytes = bytes.get(at..at + 4).and_then(|b| b.try_into().ok());
            u32::from_le_bytes(bytes.unwrap_or([0xff; 4]))
        };
        let mut at = 0;
        while let Some(own) = bytes.get(at..at + CELL as usize) {
            if own.iter().all(|b| *b == 0xff) {
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
            let content = bytes.get(at..at + usize::from(cell.more) * CELL as usize);
            let content = content.unwrap_or(&[]);
            // A torn cell is passed over, and so is what was written of its content: none of it looks like a cell.
            if cell.kind != CONTENT
                && checksum(&[own.get(..12).unwrap_or(&[]), content]) == word(at - 4)
            {
                let layout = self.layout;
                each(
                    &cell,
                    Content {
                        bytes: content,
                        layout,
                    },
                );
                at += content.len();
            }
        }
        self.from + at as u32
    }

    /// Writes a cell with its content at `end`, which moves on whatever comes of it.
    pub(super) fn write<F: Flash>(
        &self,
        flash: &mut F,
        end: &mut u32,
        cell: &Cell,
        content: &[u8],
    ) -> Result<(), SlotError> {
        let cells = self.layout.cells(content.len());
        let length = CELL * (1 + cells as u32);
        if *end < self.from || *end + length > self.to || content.len() > LONGEST {
            return Err(SlotError::Full);
        }
        let share = match self.layout {
            Layout::One => CELL as usize,
            Layout::Two => SHARE,
        };
        let marked = |part: &[u8]| {
            let mut bytes = [0xffu8; CELL as usize];
            let skip = CELL as usize - share;
            if skip > 0 {
                bytes[0] = CONTENT;
            }
            for (to, from) in bytes.iter_mut().skip(skip).zip(part) {
                *to = *from;
            }
            bytes
        };
        let mut bytes = [0u8; CELL as usize];
        bytes[0] = cell.kind;
        bytes[1] = cells as u8;
        bytes[2..4].copy_from_slice(&cell.small.to_le_bytes());
        bytes[4..8].copy_from_slice(&cell.x.to_le_bytes());
        bytes[8..12].copy_from_slice(&cell.y.to_le_bytes());
        let mut digest = CRC.digest();
        digest.update(&bytes[..12]);
        for part in content.chunks(share) {
            digest.update(&marked(part));
        }
        bytes[12..].copy_from_slice(&digest.finalize().to_le_bytes());
        let mut at = *end;
        *end += length;
        let mut written = store(flash, at, &bytes);
        for part in content.chunks(share) {
            at += CELL;
            // Also where one before it failed: an erased cell would be taken for the end of all.
            written = written.and(store(flash, at, &marked(part)));
        }
        written
    }
}

/// Writes whole words, and looks whether they are there.
pub(super) fn store<F: Flash>(flash: &mut F, at: u32, bytes: &[u8]) -> Result<(), SlotError> {
    if bytes.is_empty() {
        return Ok(());
    }
    let written = flash.write(at, bytes).is_ok();
    if written && flash.mapped(at, bytes.len() as u32) == bytes {
        Ok(())
    } else {
        Err(SlotError::Flash)
    }
}

const CRC: crc::Crc<u32, crc::NoTable> = crc::Crc::<u32, crc::NoTable>::new(&crc::CRC_32_ISO_HDLC);

/// CRC-32/ISO-HDLC of these bytes one after the other.
pub fn checksum(parts: &[&[u8]]) -> u32 {
    let mut digest = CRC.digest();
    for part in parts {
        digest.update(part);
    }
    digest.finalize()
}
