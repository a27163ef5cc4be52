//! The node's security contexts as they lie in flash: those it was provisioned with, and what was changed since.
//!
//! ```text
//! context │ secret │ ID of the peer │ ID of the node │ flags                                              │
//! bytes     16       1                1                1: rights (4 bits), replaces (3 bits), pending (1 bit)
//! ```
//!
//! So they come, and so they were always kept; what also has a salt, an ID of another length or somebody who came to it by a key
//! exchange is longer:
//!
//! ```text
//! context │ secret │ ID of the peer │ flags    │ initiator        │ salt │ ID of the node │
//! bytes     16       1                1: above   1: 0 nobody, or 1…  8      0 to 7
//! ```
//!
//! A context has a place, 0 to 7. The provisioning record holds those that a node begins with, one after the other. What is changed
//! afterwards is a record of [`Slots::keep`] under the number of the place, or the single byte 0 for a place that was
//! emptied. Such a record counts for more than what was provisioned, until the node is provisioned anew: record 8 says by the
//! checksum of the provisioning record which one the others belong to, how far the sequence numbers of each place are reserved, and
//! whose key is not taken any more for an exchange of keys.
//!
//! A pending context replaces another one, which goes when the pending one was first used and not before: whoever loses the new
//! secret on its way still has the old one.
use crate::package::{INITIATORS, Provision};
use crate::slot::{Flash, RECORD, SlotError, Slots};
use wasmote_oscore::{CONTEXTS, Id, Material};

/// Bytes of a context as it is provisioned or put in.
pub const KEY: usize = 19;
/// Bytes of a longer one before the ID of the node, and at most.
const LONG: usize = 27;
/// See `LONG`.
pub const LONGEST: usize = LONG + 7;
const _: () = assert!(LONGEST <= RECORD);
/// The record with generation, limits and whose keys are withdrawn.
const LIMITS: u8 = 8;
/// Its bytes: a checksum, and three for each place, of which the highest bit says that the initiator of this number is withdrawn.
const LIMITS_LENGTH: usize = 4 + 3 * CONTEXTS;
const WITHDRAWN: u32 = 1 << 23;
/// The highest limit.
pub const END: u32 = WITHDRAWN - 1;
const _: () = assert!(INITIATORS <= CONTEXTS);
/// Sequence numbers that a limit counts by.
pub const UNIT: u64 = 256;
const PENDING: u8 = 0x80;

/// What is reserved and withdrawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// How far the sequence numbers of each place are reserved, in [`UNIT`]s.
    pub numbers: [u32; CONTEXTS],
    /// Whose keys are not taken any more: a bit for each initiator of the provisioning record.
    pub withdrawn: u8,
}

/// A context. There is no `Debug`: keys belong in no log.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key {
    pub(crate) secret: [u8; 16],
    /// The salt; eight zeros are the same as none (RFC 2104: keys are filled up with zeros).
    pub(crate) salt: [u8; 8],
    /// The ID that the peer sends with.
    pub peer: u8,
    /// The ID that the node sends with.
    pub node: Id,
    /// What its holder may do: [`crate::contract::Right`].
    pub rights: u8,
    /// The place of the context that goes when this one was used; `None` when it stands by itself.
    pub replaces: Option<u8>,
    /// Which initiator of the provisioning record it belongs to.
    pub initiator: Option<u8>,
}

impl Key {
    /// Reads a context as it comes; `None` where these bytes are none: another length, no rights, the same ID at both ends.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (secret, rest) = bytes.split_first_chunk::<16>()?;
        let [peer, node, flags] = *<&[u8; 3]>::try_from(rest).ok()?;
        let key = Self {
            secret: *secret,
            salt: [0; 8],
            peer,
            node: Id::new(&[node])?,
            rights: flags & 0x0f,
            replaces: replaces(flags),
            initiator: None,
        };
        key.sound()
    }

    /// Reads one as it is kept.
    pub fn read_kept(bytes: &[u8]) -> Option<Self> {
        if bytes.len() <= KEY {
            return Self::read(bytes);
        }
        let (secret, rest) = bytes.split_first_chunk::<16>()?;
        let ([peer, flags, initiator], rest) = rest.split_first_chunk::<3>()?;
        let (salt, node) = rest.split_first_chunk::<8>()?;
        let key = Self {
            secret: *secret,
            salt: *salt,
            peer: *peer,
            node: Id::new(node)?,
            rights: flags & 0x0f,
            replaces: replaces(*flags),
            initiator: initiator.checked_sub(1),
        };
        let known = key
            .initiator
            .is_none_or(|one| usize::from(one) < INITIATORS);
        key.sound().filter(|_| known)
    }

    fn sound(self) -> Option<Self> {
        (self.rights != 0 && self.node.bytes() != [self.peer]).then_some(self)
    }

    /// Whether two have the same keys.
    pub fn same_secret(&self, other: &Self) -> bool {
        self.secret == other.secret && self.salt == other.salt
    }

    /// Whether it takes more flash than one that was put in: [`LONGEST`] bytes at most.
    pub fn is_long(&self) -> bool {
        self.salt != [0; 8] || self.initiator.is_some() || self.node.bytes().len() != 1
    }

    /// As it lies in flash.
    pub fn bytes(&self) -> heapless::Vec<u8, LONGEST> {
        let mut bytes = heapless::Vec::new();
        let flags = self.rights | self.replaces.map_or(0, |place| PENDING | place << 4);
        let initiator = self.initiator.map_or(0, |initiator| initiator + 1);
        let node = self.node.bytes();
        let parts: [&[u8]; 4] = if self.is_long() {
            [
                &self.secret,
                &[self.peer, flags, initiator],
                &self.salt,
                node,
            ]
        } else {
            [&self.secret, &[self.peer], node, &[flags]]
        };
        for part in parts {
            // It has room for the longest.
            let _ = bytes.extend_from_slice(part);
        }
        bytes
    }

    /// What keys are derived from.
    pub fn material(&self) -> Option<Material<'_>> {
        Some(Material {
            secret: &self.secret,
            salt: &self.salt,
            id_context: None,
            sender: self.node,
            recipient: Id::new(&[self.peer])?,
        })
    }
}

/// The place of the context that goes, in the flags of a pending one.
fn replaces(flags: u8) -> Option<u8> {
    (flags & PENDING != 0).then_some(flags >> 4 & 7)
}

/// All contexts, as a node finds them when it starts.
pub struct Keyring {
    pub(crate) all: [Option<Key>; CONTEXTS],
    pub(crate) limits: Limits,
}

impl Keyring {
    /// Reads what is there.
    pub fn load<F: Flash>(slots: &Slots<F>, provision: &Provision) -> Self {
        let mut keyring = Self {
            all: [None; CONTEXTS],
            limits: Limits::default(),
        };
        let given = provision.contexts.as_chunks::<KEY>().0;
        for (place, bytes) in keyring.all.iter_mut().zip(given) {
            *place = Key::read(bytes);
        }
        for (number, initiator) in (0..).zip(&provision.initiators) {
            let own = initiator.place.map(usize::from);
            if let Some(Some(key)) = own.and_then(|own| keyring.all.get_mut(own)) {
                key.initiator = Some(number);
            }
        }
        let Some(limits) = limits(slots, provision) else {
            return keyring;
        };
        keyring.limits = limits;
        for (number, place) in keyring.all.iter_mut().enumerate() {
            let mut bytes = [0; LONGEST];
            if let Some(length) = slots.kept(number as u8, &mut bytes) {
                *place = bytes.get(..length).and_then(Key::read_kept);
            }
        }
        keyring
    }

    /// A keyring without contexts.
    pub const fn empty() -> Self {
        Self {
            all: [None; CONTEXTS],
            limits: Limits {
                numbers: [0; CONTEXTS],
                withdrawn: 0,
            },
        }
    }
}

/// The limits that lie in flash; `None` where they belong to another provisioning record, or there are none.
fn limits<F: Flash>(slots: &Slots<F>, provision: &Provision) -> Option<Limits> {
    let mut bytes = [0; LIMITS_LENGTH];
    let length = slots.kept(LIMITS, &mut bytes)?;
    let (generation, rest) = bytes.get(..length)?.split_first_chunk::<4>()?;
    let mut limits = Limits::default();
    let words = rest.as_chunks::<3>().0.iter().enumerate();
    for (limit, (place, [low, middle, high])) in limits.numbers.iter_mut().zip(words) {
        let word = u32::from_le_bytes([*low, *middle, *high, 0]);
        *limit = word & END;
        limits.withdrawn |= u8::from(word & WITHDRAWN != 0) << place;
    }
    (u32::from_le_bytes(*generation) == provision.generation).then_some(limits)
}

/// Reserves sequence numbers. What belongs to an earlier provisioning record is forgotten first.
pub(crate) fn reserve<F: Flash>(
    slots: &mut Slots<F>,
    provision: &Provision,
    wanted: &Limits,
) -> Result<(), SlotError> {
    let present = limits(slots, provision);
    if present.is_none() {
        // While record 8 names another one, none of these counts: power may be cut in between.
        for place in 0..CONTEXTS {
            slots.keep(place as u8, &[])?;
        }
    }
    // Nobody comes back by what somebody did not know yet.
    let withdrawn = wanted.withdrawn | present.map_or(0, |present| present.withdrawn);
    let mut bytes = [0; LIMITS_LENGTH];
    let (generation, rest) = bytes.split_at_mut(4);
    generation.copy_from_slice(&provision.generation.to_le_bytes());
    let words = rest.as_chunks_mut::<3>().0.iter_mut();
    for (place, (to, limit)) in words.zip(&wanted.numbers).enumerate() {
        let mark = if withdrawn >> place & 1 != 0 {
            WITHDRAWN
        } else {
            0
        };
        let [low, middle, high, _] = ((*limit).min(END) | mark).to_le_bytes();
        *to = [low, middle, high];
    }
    slots.keep(LIMITS, &bytes)
}

/// Takes a context out of its place; `withdraw`: whoever came to it by a key exchange comes to no other.
pub(crate) fn empty<F: Flash>(
    slots: &mut Slots<F>,
    provision: &Provision,
    place: u8,
    withdraw: Option<u8>,
) -> Result<(), SlotError> {
    let mut present = match limits(slots, provision) {
        Some(present) => present,
        None => {
            reserve(slots, provision, &Limits::default())?;
            Limits::default()
        }
    };
    // First whose key it is: where power is cut before the place is empty, he has what he had, and no more.
    if let Some(initiator) = withdraw.filter(|one| usize::from(*one) < INITIATORS) {
        present.withdrawn |= 1 << initiator;
        reserve(slots, provision, &present)?;
    }
    slots.keep(place, &[0])
}

/// Puts a context in a place.
pub(crate) fn put<F: Flash>(
    slots: &mut Slots<F>,
    provision: &Provision,
    place: u8,
    key: &Key,
) -> Result<(), SlotError> {
    if limits(slots, provision).is_none() {
        reserve(slots, provision, &Limits::default())?;
    }
    let mut bytes = [0; LONGEST];
    let old = slots
        .kept(place, &mut bytes)
        .and_then(|length| Key::read_kept(bytes.get(..length)?));
    slots.keep(place, &key.bytes())?;
    // With another secret the numbers begin anew. Where power is cut before that, some are skipped.
    if old.is_none_or(|old| !old.same_secret(key))
        && let Some(mut limits) = limits(slots, provision)
        && let Some(limit) = limits
            .numbers
            .get_mut(usize::from(place))
            .filter(|limit| **limit > 0)
    {
        *limit = 0;
        let _ = reserve(slots, provision, &limits);
    }
    Ok(())
}
