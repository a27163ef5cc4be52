//! What no erasure may forget: how far the sequence numbers have come, and which keys packages added and dropped.
use super::KEYS;
use super::journal::{Cell, Content, Layout};
use sha2::{Digest, Sha256};

/// The identifier of a public key: the first 8 bytes of its SHA-256.
pub fn key_id(key: &[u8; 32]) -> [u8; 8] {
    let mut id = [0; 8];
    for (to, from) in id.iter_mut().zip(Sha256::digest(key)) {
        *to = from;
    }
    id
}

/// The keys that a package changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// Trusted from its confirmation on.
    pub add: Option<[u8; 32]>,
    /// Trusted no longer.
    pub drop: Option<[u8; 8]>,
}

/// What is carried from slot to slot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Rises with each change; 0 while there is nothing to remember.
    pub(super) version: u32,
    /// Of the sequence numbers: see PACKAGE.md.
    pub era: u32,
    /// The highest sequence number of this era that was ever activated.
    pub highest: u32,
    /// Keys that packages added.
    pub added: heapless::Vec<[u8; 32], KEYS>,
    /// Identifiers of keys that packages dropped.
    pub dropped: heapless::Vec<[u8; 8], KEYS>,
}

/// Bytes of the era, all keys and all identifiers.
const CONTENT: usize = 4 + KEYS * 40;
/// In `small`: the content begins with an era.
const ERA: u16 = 1 << 8;

impl Memory {
    /// Adds and drops keys; `None` if there is no room. A dropped key that was added is forgotten, and only one that came
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

    /// What a node will remember once a package that changes keys is confirmed; `None` if there is no room.
    pub fn rotated(&self, rotation: Rotation, provisioned: &[[u8; 32]]) -> Option<Self> {
        let mut memory = self.clone();
        memory.rotate(rotation, provisioned)?;
        Some(memory)
    }

    /// How far sequence numbers have come: an era that is over counts for more than any number.
    pub fn reached(&self) -> (u32, u32) {
        (self.era, self.highest)
    }

    /// Takes a sequence number as used; whether that is news.
    pub(super) fn reach(&mut self, era: u32, sequence: u32) -> bool {
        let more = (era, sequence) > self.reached();
        if more {
            (self.era, self.highest) = (era, sequence);
            self.version = self.version.saturating_add(1);
        }
        more
    }

    /// As a cell of this kind, with its content.
    pub(super) fn cell(&self, kind: u8, layout: Layout) -> (Cell, heapless::Vec<u8, CONTENT>) {
        let mut content = heapless::Vec::new();
        let (added, dropped) = (self.added.len() as u16, self.dropped.len() as u16);
        let small = match layout {
            Layout::One => added | dropped << 8,
            Layout::Two => added | dropped << 4 | if self.era > 0 { ERA } else { 0 },
        };
        if self.era > 0 && layout == Layout::Two {
            let _ = content.extend_from_slice(&self.era.to_le_bytes());
        }
        for key in &self.added {
            let _ = content.extend_from_slice(key);
        }
        for id in &self.dropped {
            let _ = content.extend_from_slice(id);
        }
        (Cell::new(kind, small, self.version, self.highest), content)
    }

    /// Decodes such a cell.
    pub(super) fn of(cell: &Cell, content: Content<'_>, layout: Layout) -> Self {
        let mut memory = Self {
            version: cell.x,
            highest: cell.y,
            ..Self::default()
        };
        let mut bytes = [0; CONTENT];
        let length = content.copy(&mut bytes);
        let mut rest = bytes.get(..length).unwrap_or(&[]);
        let (added, dropped) = match layout {
            Layout::One => (cell.small & 0xff, cell.small >> 8),
            Layout::Two => (cell.small & 0xf, cell.small >> 4 & 0xf),
        };
        if layout == Layout::Two
            && cell.small & ERA != 0
            && let Some((era, behind)) = rest.split_first_chunk()
        {
            memory.era = u32::from_le_bytes(*era);
            rest = behind;
        }
        let (keys, ids) = rest
            .split_at_checked(usize::from(added) * 32)
            .unwrap_or((rest, &[]));
        for key in keys.as_chunks::<32>().0 {
            let _ = memory.added.push(*key);
        }
        for id in ids.as_chunks::<8>().0.iter().take(usize::from(dropped)) {
            let _ = memory.dropped.push(*id);
        }
        memory
    }
}
