//! A package that arrives in parts: checked as soon as its manifest is there, written to a slot, and at the end validated.
//! A machine that returns outcomes; what follows from them for the package that runs is the Runner's to do.
//!
//! ```text
//! parts ─▶ head ─▶ envelope whole? ─▶ check ─▶ slot prepared ─▶ written, hashed ─▶ last part ─▶ digest, validate ─▶ Whole
//! ```
use super::load::{self, Checked, Loaded, TORN};
use super::{Io, Limits, Phase, Refused, Room};
use crate::contract::{Refusal, VERSION, limits::SEQUENCE_JUMP};
use crate::module::NAMES;
use crate::package::{ENVELOPE, Envelope, Provision};
use crate::slot::{Coming, Flash, Reason, SlotError, Slots};
use sha2::{Digest, Sha256};

/// Uploads resume at a multiple of this many bytes.
pub(super) const PIECE: u32 = 64;

/// A part of a package.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'p> {
    /// Identifies the sender: the same for all parts of an upload.
    pub(super) transfer: u8,
    /// Of its first byte.
    pub(super) offset: u32,
    /// Whether another follows.
    pub(super) more: bool,
    pub(super) bytes: &'p [u8],
}

/// All that came of a package when its envelope was whole.
type Beginning = heapless::Vec<u8, { ENVELOPE + crate::mail::CHUNK }>;

/// Somebody else's turn.
pub(super) const OTHER: Refused = (Refusal::Busy, "another upload is under way");

/// What became of a part.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is no heap, and the caller takes it apart at once"
)]
pub(super) enum Outcome {
    /// Taken, but not enough to tell who signed the package.
    Unsigned,
    /// Taken, or known already; more is to come.
    Taken {
        /// What is received has changed for those who watch `/app`.
        begun: bool,
    },
    /// The part does not follow on what is here: the sender has to begin earlier.
    Gap,
    /// That was the last part: the package is good, and staged in its slot.
    Whole(Loaded),
}

/// What an installation works with.
pub(super) struct Bench<'r, F: Flash> {
    pub(super) slots: &'r mut Slots<F>,
    pub(super) provision: &'r Provision,
    pub(super) limits: &'r Limits,
    /// Bytes of RAM for modules.
    pub(super) memory: u32,
    pub(super) scratch: &'r mut Room,
}

/// An upload whose envelope was found good, and that has a slot.
#[derive(Debug)]
struct Upload {
    /// Whose blocks it takes; nobody's in particular after a reset.
    transfer: Option<u8>,
    slot: usize,
    /// Bytes of the package that were taken.
    position: u32,
    hash: Sha256,
    /// When it last came further, in milliseconds since the start.
    progress: u64,
}

/// The first bytes of an upload whose envelope is not whole yet.
#[derive(Debug)]
struct Head {
    transfer: u8,
    bytes: heapless::Vec<u8, ENVELOPE>,
}

/// Uploads whose envelopes are not whole yet and that are remembered at the same time. Most need no place here, as their first
/// block has all of it.
const HEADS: usize = 3;
/// An upload that comes no further for this long, in milliseconds, gives way to another of the same age.
const IDLE: u64 = 10_000;

/// The installation of a package.
#[derive(Debug, Default)]
pub(super) struct Install {
    /// The one that writes to flash.
    upload: Option<Upload>,
    /// Those that cannot yet show that somebody with a key made them; the newest last, and the oldest gives way. They hold up
    /// nobody.
    heads: heapless::Deque<Head, HEADS>,
}

impl From<SlotError> for Problem {
    fn from(error: SlotError) -> Self {
        Self(match error {
            SlotError::TooLarge => (Refusal::Needs, "larger than a slot"),
            SlotError::Full => (Refusal::Storage, "the journal is full"),
            SlotError::Flash => (Refusal::Storage, "the flash cannot be written"),
            SlotError::Nothing => (Refusal::Storage, "no slot is free"),
            SlotError::Worn => (Refusal::Busy, "the flash was erased often enough for today"),
            SlotError::Layout => (Refusal::Storage, "a later firmware wrote the slots"),
        })
    }
}

/// A refusal on its way out.
pub(super) struct Problem(pub(super) Refused);

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        Self(refused)
    }
}

impl Install {
    /// Bytes of the package in this slot that are here; `None` when another is being received, or none.
    pub(super) fn position(&self, slot: usize) -> Option<u32> {
        let upload = self.upload.as_ref()?;
        (upload.slot == slot).then_some(upload.position)
    }

    /// Bytes of the package that are in a slot.
    pub(super) fn stored(&self) -> Option<u32> {
        self.upload.as_ref().map(|upload| upload.position)
    }

    /// Forgets the upload; what is in the slot stays there.
    pub(super) fn forget(&mut self) {
        self.upload = None;
        self.heads.clear();
    }

    /// Takes a part of a package. Parts may come twice, overlap what is here, and be of any sizes. Whoever sends the newest
    /// package that a trusted key signed goes first; others are told to wait, and change nothing.
    pub(super) fn take<F: Flash>(
        &mut self,
        bench: &mut Bench<'_, F>,
        io: &mut impl Io,
        part: &Part<'_>,
    ) -> Result<Outcome, Problem> {
        let now = io.micros() / 1000;
        if part.more && !part.bytes.len().is_multiple_of(4) {
            return Err((Refusal::Malformed, "a block of odd length").into());
        }
        let begins = part.offset == 0 || self.heads.iter().any(|h| h.transfer == part.transfer);
        let stored = if begins {
            let Some(head) = self.begin(bench, io, part)? else {
                return Ok(Outcome::Unsigned);
            };
            self.store(bench, io, 0, part.more, &head)
        } else {
            if self.upload.is_none() {
                self.upload = resume(bench, io, part.offset);
            }
            let Some(upload) = &mut self.upload else {
                return Ok(Outcome::Gap);
            };
            if upload.transfer != Some(part.transfer) {
                if upload.transfer.is_some() && now < upload.progress + IDLE {
                    return Err(OTHER.into());
                }
                upload.transfer = Some(part.transfer);
            }
            self.store(bench, io, part.offset, part.more, part.bytes)
        };
        let Some(slot) = stored? else {
            return Ok(Outcome::Gap);
        };
        if part.more {
            // The answer says how far it has come; of /app itself nothing changes with each part.
            return Ok(Outcome::Taken { begun: begins });
        }
        let finished = self.finish(bench, io, slot);
        if finished.is_err() {
            let _ = bench.slots.reject(slot, Reason::Refused);
        }
        finished.map(Outcome::Whole)
    }

    /// Takes the first bytes of an upload; all that came of it, once the envelope is whole and its package has a slot.
    fn begin<F: Flash>(
        &mut self,
        bench: &mut Bench<'_, F>,
        io: &mut impl Io,
        part: &Part<'_>,
    ) -> Result<Option<Beginning>, Problem> {
        const MALFORMED: Refused = (Refusal::Malformed, "no COSE_Sign1 with a manifest");
        let mut head = Beginning::new();
        if let Some(old) = self.head(part.transfer)
            && part.offset > 0
        {
            let _ = head.extend_from_slice(&old.bytes);
        }
        // What is here already comes again when an answer was lost.
        let Some(known) = head.len().checked_sub(part.offset as usize) else {
            return Err(MALFORMED.into());
        };
        let _ = head.extend_from_slice(part.bytes.get(known..).unwrap_or(&[]));
        let envelope = match Envelope::parse(&head) {
            Ok(Some(envelope)) => envelope,
            Ok(None) if part.more => {
                let bytes = heapless::Vec::from_slice(&head).map_err(|_| MALFORMED)?;
                if self.heads.is_full() {
                    self.heads.pop_front();
                }
                let transfer = part.transfer;
                let _ = self.heads.push_back(Head { transfer, bytes });
                return Ok(None);
            }
            _ => return Err(MALFORMED.into()),
        };
        self.admit(bench, io, &envelope, &head, part)?;
        Ok(Some(head))
    }

    /// Takes the first bytes of an upload out of where they wait.
    fn head(&mut self, transfer: u8) -> Option<Head> {
        let mut found = None;
        for _ in 0..self.heads.len() {
            let head = self.heads.pop_front()?;
            if head.transfer == transfer {
                found = Some(head);
            } else {
                let _ = self.heads.push_back(head);
            }
        }
        found
    }

    /// A whole envelope: checks it, and finds a slot for its package. Nothing is erased before all of that is good, nor for the
    /// same envelope twice.
    fn admit<F: Flash>(
        &mut self,
        bench: &mut Bench<'_, F>,
        io: &mut impl Io,
        envelope: &Envelope<'_>,
        head: &[u8],
        part: &Part<'_>,
    ) -> Result<(), Problem> {
        let m = &envelope.manifest;
        let now = io.micros() / 1000;
        if let Some(upload) = &self.upload
            && upload.transfer.is_some_and(|t| t != part.transfer)
        {
            let there = bench.slots.slot(upload.slot);
            let newer = (m.era, m.sequence) > (there.era, there.sequence);
            if !newer && now < upload.progress + IDLE {
                return Err(OTHER.into());
            }
        }
        let signed = head.get(..envelope.length).unwrap_or(&[]);
        check(bench, io, envelope, signed)?;
        let size = envelope.length as u32 + m.size;
        fits(size, head.len() as u32, part.more)?;
        let transfer = Some(part.transfer);
        // What is there of it has to be what comes now: somebody may have sent another module behind the same envelope.
        let same = bench.slots.receiving().filter(|slot| {
            let there = bench.slots.package(*slot);
            let received = self.position(*slot);
            let received = received.unwrap_or_else(|| bench.slots.received(*slot, PIECE));
            let known = head.get(..received as usize).unwrap_or(head);
            there.len() == size as usize && there.starts_with(signed) && there.starts_with(known)
        });
        if let Some(slot) = same {
            let upload = self.upload.take().filter(|u| u.slot == slot);
            let upload = upload.unwrap_or_else(|| {
                let position = bench.slots.received(slot, PIECE);
                rehash(bench, io, slot, envelope.length, position)
            });
            self.upload = Some(Upload {
                transfer,
                progress: now,
                ..upload
            });
            return Ok(());
        }
        io.phase(Phase::Store);
        let slot = bench.slots.prepare(&Coming {
            era: m.era,
            sequence: m.sequence,
            envelope: envelope.length as u16,
            size,
            digest: m.digest,
        })?;
        io.phase(Phase::Receive);
        self.upload = Some(Upload {
            transfer,
            slot,
            position: 0,
            hash: Sha256::new(),
            progress: now,
        });
        Ok(())
    }

    /// Writes bytes to the slot of the upload, and returns the slot. `None` if they do not continue what is there, or differ from
    /// it: then the upload is void, and the sender has to begin again.
    fn store<F: Flash>(
        &mut self,
        bench: &mut Bench<'_, F>,
        io: &mut impl Io,
        offset: u32,
        more: bool,
        bytes: &[u8],
    ) -> Result<Option<usize>, Problem> {
        let Some(upload) = &mut self.upload else {
            return Ok(None);
        };
        let slot = upload.slot;
        let Some(known) = upload.position.checked_sub(offset) else {
            return Ok(None);
        };
        let end = offset.saturating_add(bytes.len() as u32);
        fits(bench.slots.slot(slot).size, end, more)?;
        let (old, new) = bytes.split_at(bytes.len().min(known as usize));
        let there = bench.slots.package(slot).get(offset as usize..);
        io.phase(Phase::Store);
        if !there.is_some_and(|there| there.starts_with(old)) {
            self.upload = None;
            let _ = bench.slots.reject(slot, Reason::Refused);
            return Ok(None);
        }
        if let Err(error) = bench.slots.write(slot, upload.position, new) {
            self.upload = None;
            let _ = bench.slots.reject(slot, Reason::Refused);
            return Err(error.into());
        }
        io.phase(Phase::Hash);
        let envelope = u32::from(bench.slots.slot(slot).envelope);
        let module = new.get(envelope.saturating_sub(upload.position) as usize..);
        upload.hash.update(module.unwrap_or(&[]));
        io.phase(Phase::Receive);
        if !new.is_empty() {
            upload.position = end;
            upload.progress = io.micros() / 1000;
        }
        Ok(Some(slot))
    }

    /// All bytes are there: digest, validation with the branch table, what the module needs.
    fn finish<F: Flash>(
        &mut self,
        bench: &mut Bench<'_, F>,
        io: &mut impl Io,
        slot: usize,
    ) -> Result<Loaded, Problem> {
        let upload = self.upload.take();
        let envelope = load::envelope(bench.slots, slot).ok_or(TORN)?;
        let manifest = envelope.manifest;
        io.phase(Phase::Hash);
        // What came was read back from flash as it was written: the digest is of both.
        let hash = upload.map(|u| u.hash.finalize());
        if hash.is_none_or(|h| h.as_slice() != manifest.digest) {
            return Err((Refusal::Digest, "the module is not the one in the manifest").into());
        }
        io.phase(Phase::Validate);
        let summary = load::accept(bench.slots, slot, bench.scratch)?;
        let checked = Checked {
            slot,
            manifest,
            summary,
            remade: false,
        };
        let loaded = load::load(bench.slots, &checked, bench.limits, bench.memory)?;
        if !loaded.complete() {
            return Err((Refusal::Needs, "names a sensor that the node does not have").into());
        }
        // Once more, and over what lies in flash: a disturbance that leaves out one instruction lets no forgery pass both
        // (`test/node/skip.test.ts`).
        signature(bench, io, &envelope)?;
        io.phase(Phase::Activate);
        bench.slots.stage(slot, loaded.table)?;
        Ok(loaded)
    }
}

/// Whether a package of this size may come so far with a part, behind which more follows or not.
fn fits(size: u32, end: u32, more: bool) -> Result<(), Refused> {
    if end > size {
        Err((Refusal::Digest, "longer than the manifest says"))
    } else if !more && end < size {
        Err((Refusal::Digest, "shorter than the manifest says"))
    } else {
        Ok(())
    }
}

/// After a reset: goes on with what is in the slot, when it would still be taken.
fn resume<F: Flash>(bench: &Bench<'_, F>, io: &mut impl Io, offset: u32) -> Option<Upload> {
    let slot = bench.slots.receiving()?;
    let package = bench.slots.package(slot);
    let envelope = Envelope::parse(package).ok().flatten()?;
    let signed = package.get(..envelope.length)?;
    let received = bench.slots.received(slot, PIECE);
    if offset > received || check(bench, io, &envelope, signed).is_err() {
        return None;
    }
    // From the end of what is there, whatever comes first: what lies behind is compared, as it cannot be written again.
    Some(rehash(bench, io, slot, envelope.length, received))
}

/// An upload that has come so far, by what is in the slot.
fn rehash<F: Flash>(
    bench: &Bench<'_, F>,
    io: &mut impl Io,
    slot: usize,
    envelope: usize,
    position: u32,
) -> Upload {
    io.phase(Phase::Hash);
    let begun = bench.slots.package(slot).get(envelope..position as usize);
    let mut hash = Sha256::new();
    hash.update(begun.unwrap_or(&[]));
    io.phase(Phase::Receive);
    Upload {
        transfer: None,
        slot,
        position,
        hash,
        progress: io.micros() / 1000,
    }
}

/// Whether a package may follow on what has been installed: a greater number of the same era, but not by so much that few numbers
/// are left, whoever was led to sign it; or the next era, which begins anew. Either only goes up, so nothing comes twice.
fn follows((era, sequence): (u32, u32), (now, highest): (u32, u32)) -> Result<(), Refused> {
    let base = if era == now {
        highest
    } else if era.checked_sub(now) == Some(1) {
        0
    } else if era < now {
        return Err((Refusal::Sequence, "of an era that is over"));
    } else {
        return Err((Refusal::Sequence, "of an era that is not the next"));
    };
    if sequence <= base {
        Err((Refusal::Sequence, "not newer than what has been installed"))
    } else if sequence - base > SEQUENCE_JUMP {
        Err((
            Refusal::Sequence,
            "too far above what has been installed: see its era",
        ))
    } else {
        Ok(())
    }
}

/// Checks everything that the manifest is enough for.
fn check<F: Flash>(
    bench: &Bench<'_, F>,
    io: &mut impl Io,
    envelope: &Envelope<'_>,
    signed: &[u8],
) -> Result<(), Refused> {
    let (m, memory) = (&envelope.manifest, bench.slots.memory());
    let keys = &bench.provision.keys;
    trusted(bench, envelope)?;
    if m.contract != VERSION {
        return Err((
            Refusal::Contract,
            "made for another version of the contract",
        ));
    }
    if m.class != bench.limits.class {
        return Err((Refusal::Class, "made for another class of boards"));
    }
    if !bench.provision.vendor.is_empty() && m.vendor != bench.provision.vendor {
        return Err((Refusal::Class, "made by another vendor"));
    }
    // What flash damaged may come again as it was.
    if !bench.slots.lost(m.era, m.sequence, signed) {
        follows((m.era, m.sequence), memory.reached())?;
    }
    let size = u64::from(m.size) + envelope.length as u64 + u64::from(m.needs.table) + 4;
    if size > u64::from(bench.slots.capacity()) {
        return Err((Refusal::Needs, "larger than a slot"));
    }
    if m.needs.ram > bench.memory {
        return Err((Refusal::Needs, "needs more RAM than the node has"));
    }
    if m.needs.fuel > bench.limits.fuel {
        return Err((
            Refusal::Needs,
            "needs more fuel for a run than the node grants",
        ));
    }
    if m.needs.sensors as usize > NAMES.min(bench.limits.sensors.len()) {
        return Err((Refusal::Needs, "needs more sensors than the node has"));
    }
    if m.needs.outputs as usize > NAMES {
        return Err((
            Refusal::Needs,
            "needs more outputs than a node gives a module",
        ));
    }
    let rotation = m.rotation();
    let Some(after) = memory.rotated(rotation, keys) else {
        return Err((Refusal::Needs, "the node has no room for another key"));
    };
    if rotation.drop.is_some() && after.trusted(keys).next().is_none() {
        return Err((Refusal::Needs, "would leave the node without a key"));
    }
    // Last, as it takes the longest.
    signature(bench, io, envelope)?;
    io.phase(Phase::Receive);
    Ok(())
}

/// The key of this node that an envelope names; `None` where a development node takes packages of anybody.
fn trusted<'b, F: Flash>(
    bench: &'b Bench<'_, F>,
    envelope: &Envelope<'_>,
) -> Result<Option<&'b [u8; 32]>, Refused> {
    let mut keys = bench.slots.memory().trusted(&bench.provision.keys);
    match keys.find(|(_, id)| *id == envelope.key) {
        Some((key, _)) => Ok(Some(key)),
        None if bench.provision.development => Ok(None),
        None => Err((Refusal::UnknownKey, "not signed with a key of this node")),
    }
}

/// Checks who signed an envelope.
fn signature<F: Flash>(
    bench: &Bench<'_, F>,
    io: &mut impl Io,
    envelope: &Envelope<'_>,
) -> Result<(), Refused> {
    io.phase(Phase::Verify);
    match trusted(bench, envelope)? {
        Some(key) if !envelope.verify(key) => Err((Refusal::Signature, "the signature is wrong")),
        _ => Ok(()),
    }
}
