//! The node's security contexts as they lie in flash: those it was provisioned with, and what was changed since.
//!
//! ```text
//! context │ secret │ ID of the peer │ ID of the node │ flags                                              │
//! bytes     16       1                1                1: rights (4 bits), replaces (3 bits), pending (1 bit)
//! ```
//!
//! A context has a place, 0 to 7. The provisioning record holds those that a node begins with, one after the other. What is changed
//! afterwards is a record of [`Slots::keep`] under the number of the place: 19 bytes, or the single byte 0 for a place that was
//! emptied. Such a record counts for more than what was provisioned, until the node is provisioned anew: record 8 says by the
//! checksum of the provisioning record which one the others belong to, and how far the sequence numbers of each place are reserved.
//!
//! A pending context replaces another one, which goes when the pending one was first used and not before: whoever loses the new
//! secret on its way still has the old one.
use crate::package::Provision;
use crate::slot::{Flash, SlotError, Slots};
use wasmote_oscore::{CONTEXTS, Id, Material};

/// Bytes of a context.
pub const KEY: usize = 19;
/// The record with generation and limits.
const LIMITS: u8 = 8;
/// Its bytes: a checksum, and three bytes for each place.
const LIMITS_LENGTH: usize = 4 + 3 * CONTEXTS;
/// Sequence numbers that a limit counts by.
pub const UNIT: u64 = 256;
const PENDING: u8 = 0x80;

/// How far the sequence numbers of each place are reserved, in [`UNIT`]s.
pub type Limits = [u32; CONTEXTS];

/// A context. There is no `Debug`: keys belong in no log.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key {
    pub(crate) secret: [u8; 16],
    /// The ID that the peer sends with.
    pub peer: u8,
    /// The ID that the node sends with.
    pub node: u8,
    /// What its holder may do: [`crate::contract::Right`].
    pub rights: u8,
    /// The place of the context that goes when this one was used; `None` when it stands by itself.
    pub replaces: Option<u8>,
}

impl Key {
    /// Reads a context; `None` where these bytes are none: another length, no rights, the same ID at both ends.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (secret, rest) = bytes.split_first_chunk::<16>()?;
        let [peer, node, flags] = *rest.first_chunk::<3>()?;
        let rights = flags & 0x0f;
        let good = bytes.len() == KEY && rights != 0 && peer != node;
        good.then_some(Self {
            secret: *secret,
            peer,
            node,
            rights,
            replaces: (flags & PENDING != 0).then_some(flags >> 4 & 7),
        })
    }

    /// Whether two have the same keys.
    pub fn same_secret(&self, other: &Self) -> bool {
        self.secret == other.secret
    }

    /// As it lies in flash.
    pub fn bytes(&self) -> [u8; KEY] {
        let mut bytes = [0; KEY];
        let replaces = self.replaces.map_or(0, |place| PENDING | place << 4);
        let rest = [self.peer, self.node, self.rights | replaces];
        let all = self.secret.iter().chain(&rest);
        for (to, from) in bytes.iter_mut().zip(all) {
            *to = *from;
        }
        bytes
    }

    /// What keys are derived from.
    pub fn material(&self) -> Option<Material<'_>> {
        Some(Material {
            secret: &self.secret,
            salt: &[],
            id_context: None,
            sender: Id::new(&[self.node])?,
            recipient: Id::new(&[self.peer])?,
        })
    }
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
            limits: [0; CONTEXTS],
        };
        let given = provision.contexts.as_chunks::<KEY>().0;
        for (place, bytes) in keyring.all.iter_mut().zip(given) {
            *place = Key::read(bytes);
        }
        let Some(limits) = limits(slots, provision) else {
            return keyring;
        };
        keyring.limits = limits;
        for (number, place) in keyring.all.iter_mut().enumerate() {
            let mut bytes = [0; KEY];
            if let Some(length) = slots.kept(number as u8, &mut bytes) {
                *place = bytes.get(..length).and_then(Key::read);
            }
        }
        keyring
    }

    /// A keyring without contexts.
    pub const fn empty() -> Self {
        Self {
            all: [None; CONTEXTS],
            limits: [0; CONTEXTS],
        }
    }
}

/// The limits that lie in flash; `None` where they belong to another provisioning record, or there are none.
fn limits<F: Flash>(slots: &Slots<F>, provision: &Provision) -> Option<Limits> {
    let mut bytes = [0; LIMITS_LENGTH];
    let length = slots.kept(LIMITS, &mut bytes)?;
    let (generation, rest) = bytes.get(..length)?.split_first_chunk::<4>()?;
    let mut limits = [0; CONTEXTS];
    for (limit, [low, middle, high]) in limits.iter_mut().zip(rest.as_chunks::<3>().0) {
        *limit = u32::from_le_bytes([*low, *middle, *high, 0]);
    }
    (u32::from_le_bytes(*generation) == provision.generation).then_some(limits)
}

/// Reserves sequence numbers. What belongs to an earlier provisioning record is forgotten first.
pub(crate) fn reserve<F: Flash>(
    slots: &mut Slots<F>,
    provision: &Provision,
    wanted: &Limits,
) -> Result<(), SlotError> {
    if limits(slots, provision).is_none() {
        // While record 8 names another one, none of these counts: power may be cut in between.
        for place in 0..CONTEXTS {
            slots.keep(place as u8, &[])?;
        }
    }
    let mut bytes = [0; LIMITS_LENGTH];
    let (generation, rest) = bytes.split_at_mut(4);
    generation.copy_from_slice(&provision.generation.to_le_bytes());
    for (to, limit) in rest.as_chunks_mut::<3>().0.iter_mut().zip(wanted) {
        let [low, middle, high, _] = limit.to_le_bytes();
        *to = [low, middle, high];
    }
    slots.keep(LIMITS, &bytes)
}

/// Puts a context in a place, or empties it.
pub(crate) fn change<F: Flash>(
    slots: &mut Slots<F>,
    provision: &Provision,
    place: u8,
    key: Option<&Key>,
) -> Result<(), SlotError> {
    if limits(slots, provision).is_none() {
        reserve(slots, provision, &[0; CONTEXTS])?;
    }
    let Some(key) = key else {
        return slots.keep(place, &[0]);
    };
    let mut bytes = [0; KEY];
    let old = slots
        .kept(place, &mut bytes)
        .and_then(|length| Key::read(bytes.get(..length)?));
    slots.keep(place, &key.bytes())?;
    // With another secret the numbers begin anew. Where power is cut before that, some are skipped.
    if old.is_none_or(|old| !old.same_secret(key))
        && let Some(mut limits) = limits(slots, provision)
        && let Some(limit) = limits
            .get_mut(usize::from(place))
            .filter(|limit| **limit > 0)
    {
        *limit = 0;
        let _ = reserve(slots, provision, &limits);
    }
    Ok(())
}
