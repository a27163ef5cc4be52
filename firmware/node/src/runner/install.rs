//! A package that arrives in parts: checked as soon as its manifest is there, written to a slot, and at the end validated.
//! A machine that returns outcomes; what follows from them for the package that runs is the Runner's to do.
//!
//! ```text
//! part 0 ─▶ head ─▶ envelope whole? ─▶ check ─▶ slot prepared ─▶ written, hashed ─▶ last part ─▶ digest, validate ─▶ Whole
//! ```
use super::load::{self, Loaded, TORN};
use super::{Io, Limits, Phase, Refused, Room};
use crate::contract::{Refusal, VERSION};
use crate::module::NAMES;
use crate::package::{ENVELOPE, Envelope, Provision};
use crate::slot::{Coming, Flash, Reason, SlotError, Slots};
use sha2::{Digest, Sha256};

/// Uploads resume at a multiple of this many bytes.
pub(super) const PIECE: u32 = 64;

/// What became of a part.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is no heap, and the caller takes it apart at once"
)]
pub(super) enum Outcome {
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

/// An upload that has begun.
#[derive(Debug)]
struct Upload {
    /// What arrived before the envelope was whole.
    head: heapless::Vec<u8, { ENVELOPE + crate::mail::CHUNK }>,
    slot: Option<usize>,
    /// Bytes of the package that were taken.
    position: u32,
    hash: Sha256,
}

/// The installation of a package.
#[derive(Debug, Default)]
pub(super) struct Install {
    upload: Option<Upload>,
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
        (upload.slot == Some(slot)).then_some(upload.position)
    }

    /// Bytes of the package that are in a slot.
    pub(super) fn stored(&self) -> Option<u32> {
        let upload = self.upload.as_ref()?;
        upload.slot.and(Some(upload.position))
    }

    /// Forgets the upload; what is in the slot stays there.
    pub(super) fn forget(&mut self) {
        self.upload = None;
    }

    /// Takes a part of a package. Parts may come twice, overlap what is here, and be of any sizes.
    pub(super) fn take<F: Flash>(
        &mut self,
        bench: &mut Bench<'_, F>,
        io: &mut impl Io,
        offset: u32,
        more: bool,
        bytes: &[u8],
    ) -> Result<Outcome, Problem> {
        if offset == 0 {
            self.upload = Some(Upload {
                head: heapless::Vec::new(),
                slot: None,
                position: 0,
                hash: Sha256::new(),
            });
        } else if self.upload.is_none() {
            self.upload = resume(bench, io, offset);
        }
        let Some(upload) = &mut self.upload else {
            return Ok(Outcome::Gap);
        };
        // What is here already comes again when an answer was lost, and when an upload resumes with larger blocks.
        let known = upload.position.checked_sub(offset);
        let Some(bytes) = known.and_then(|known| bytes.get(known as usize..)) else {
            return Ok(if known.is_some() && more {
                Outcome::Taken { begun: false }
            } else {
                Outcome::Gap
            });
        };
        if more && !bytes.len().is_multiple_of(4) {
            return Err((Refusal::Malformed, "a block of odd length").into());
        }
        let begun = upload.slot.is_none();
        let slot = match upload.slot {
            Some(slot) => {
                upload.store(bench, io, slot, bytes)?;
                slot
            }
            None => match upload.begin(bench, io, more, bytes)? {
                Some(slot) => slot,
                None => return Ok(Outcome::Taken { begun: false }),
            },
        };
        if more {
            // The answer says how far it has come; of /app itself nothing changes with each part.
            return Ok(Outcome::Taken { begun });
        }
        let finished = self.finish(bench, io, slot);
        self.upload = None;
        if finished.is_err() {
            let _ = bench.slots.reject(slot, Reason::Refused);
        }
        finished.map(Outcome::Whole)
    }

    /// All bytes are there: digest, validation with the branch table, what the module needs.
    fn finish<F: Flash>(
        &mut self,
        bench: &mut Bench<'_, F>,
        io: &mut impl Io,
        slot: usize,
    ) -> Result<Loaded, Problem> {
        let upload = self.upload.take();
        let size = bench.slots.slot(slot).size;
        if upload.as_ref().is_none_or(|u| u.position != size) {
            return Err((Refusal::Digest, "shorter than the manifest says").into());
        }
        let Ok(Some(envelope)) = Envelope::parse(bench.slots.package(slot)) else {
            return Err(TORN.into());
        };
        io.phase(Phase::Hash);
        // What came was read back from flash as it was written: the digest is of both.
        let hash = upload.map(|u| u.hash.finalize());
        if hash.is_none_or(|h| h.as_slice() != envelope.manifest.digest) {
            return Err((Refusal::Digest, "the module is not the one in the manifest").into());
        }
        io.phase(Phase::Validate);
        let summary = load::accept(bench.slots, slot, bench.scratch)?;
        let loaded = load::load(bench.slots, slot, &summary, bench.limits, bench.memory)?;
        if !loaded.complete() {
            return Err((Refusal::Needs, "names a sensor that the node does not have").into());
        }
        io.phase(Phase::Activate);
        bench.slots.stage(slot, summary.table_bytes())?;
        Ok(loaded)
    }
}

impl Upload {
    /// Takes bytes before there is a slot; `Some` once the envelope is whole and its package has one.
    fn begin<F: Flash>(
        &mut self,
        bench: &mut Bench<'_, F>,
        io: &mut impl Io,
        more: bool,
        bytes: &[u8],
    ) -> Result<Option<usize>, Problem> {
        self.position = self.position.saturating_add(bytes.len() as u32);
        let full = self.head.extend_from_slice(bytes).is_err();
        let head = self.head.clone();
        let envelope = match Envelope::parse(&head) {
            Ok(Some(envelope)) => envelope,
            Ok(None) if more && !full => return Ok(None),
            _ => return Err((Refusal::Malformed, "no COSE_Sign1 with a manifest").into()),
        };
        check(bench, io, &envelope)?;
        let size = envelope.length as u32 + envelope.manifest.size;
        if self.position > size {
            return Err((Refusal::Digest, "longer than the manifest says").into());
        }
        io.phase(Phase::Store);
        bench.slots.level()?;
        let slot = bench.slots.prepare(&Coming {
            era: 0,
            sequence: envelope.manifest.sequence,
            envelope: envelope.length as u16,
            size,
            digest: envelope.manifest.digest,
        })?;
        bench.slots.write(slot, 0, &head)?;
        io.phase(Phase::Hash);
        self.hash.update(head.get(envelope.length..).unwrap_or(&[]));
        self.slot = Some(slot);
        self.head.clear();
        io.phase(Phase::Receive);
        Ok(Some(slot))
    }

    /// Writes bytes to the slot.
    fn store<F: Flash>(
        &mut self,
        bench: &mut Bench<'_, F>,
        io: &mut impl Io,
        slot: usize,
        bytes: &[u8],
    ) -> Result<(), Problem> {
        let offset = self.position;
        let end = offset.saturating_add(bytes.len() as u32);
        if end > bench.slots.slot(slot).size {
            return Err((Refusal::Digest, "longer than the manifest says").into());
        }
        io.phase(Phase::Store);
        bench.slots.write(slot, offset, bytes)?;
        io.phase(Phase::Hash);
        let envelope = u32::from(bench.slots.slot(slot).envelope);
        let module = bytes.get(envelope.saturating_sub(offset) as usize..);
        self.hash.update(module.unwrap_or(&[]));
        io.phase(Phase::Receive);
        self.position = end;
        Ok(())
    }
}

/// After a reset: goes on with what is in the slot, when it would still be taken.
fn resume<F: Flash>(bench: &Bench<'_, F>, io: &mut impl Io, offset: u32) -> Option<Upload> {
    let slot = bench.slots.receiving()?;
    let package = bench.slots.package(slot);
    let begun = package.get(..offset as usize)?;
    let envelope = Envelope::parse(package).ok().flatten()?;
    if offset > bench.slots.received(slot, PIECE) || check(bench, io, &envelope).is_err() {
        return None;
    }
    io.phase(Phase::Hash);
    let mut hash = Sha256::new();
    hash.update(begun.get(envelope.length..).unwrap_or(&[]));
    io.phase(Phase::Receive);
    Some(Upload {
        head: heapless::Vec::new(),
        slot: Some(slot),
        position: offset,
        hash,
    })
}

/// Everything that can be refused from the manifest alone.
fn check<F: Flash>(
    bench: &Bench<'_, F>,
    io: &mut impl Io,
    envelope: &Envelope<'_>,
) -> Result<(), Refused> {
    let (m, memory) = (&envelope.manifest, bench.slots.memory());
    let keys = &bench.provision.keys;
    let key = memory.trusted(keys).find(|(_, id)| *id == envelope.key);
    if key.is_none() && !bench.provision.development {
        return Err((Refusal::UnknownKey, "not signed with a key of this node"));
    }
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
    if m.sequence <= memory.highest {
        return Err((Refusal::Sequence, "not newer than what has been installed"));
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
    io.phase(Phase::Verify);
    let good = key.is_none_or(|(key, _)| envelope.verify(key));
    io.phase(Phase::Receive);
    if good {
        Ok(())
    } else {
        Err((Refusal::Signature, "the signature is wrong"))
    }
}
