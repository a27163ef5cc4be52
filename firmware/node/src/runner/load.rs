//! A package out of flash on its way to running: checked, parsed, linked and measured once.
use super::table::{Compare, Table};
use super::{Limits, Refused, Room};
use crate::contract::{Refusal, VERSION};
use crate::module::{self, Facts, Linked, NAMES};
use crate::package::{Envelope, Manifest};
use crate::slot::{Flash, Slots};
use sha2::{Digest, Sha256};
use wasmote_engine::{Emit, Fault, Module, Options, PageSizes, Summary, validate};

/// What the flash holds is not what was written to it.
pub(super) const TORN: Refused = (
    Refusal::Storage,
    "the flash holds something else than was written",
);

/// A package that can run on this node.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) slot: usize,
    pub(super) manifest: Manifest<'static>,
    pub(super) module: Module<'static>,
    pub(super) facts: Facts,
    pub(super) linked: Linked,
    /// Bytes of RAM that an instance takes.
    pub(super) ram: u32,
    /// Bytes of the branch table.
    pub(super) table: u32,
    /// For each of the node's sensors, the module's number of it.
    pub(super) wanted: [Option<u8>; NAMES],
    /// For each of the module's sensors, the node's number of it.
    pub(super) sensors: [Option<u8>; NAMES],
}

/// A package in a slot that was checked: its manifest was read and its module validated, once for all that follows.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) slot: usize,
    pub(super) manifest: Manifest<'static>,
    pub(super) summary: Summary,
    /// Whether its branch table was damaged, and made again.
    pub(super) remade: bool,
}

/// The envelope at the start of the package in a slot.
pub(super) fn envelope<F: Flash>(slots: &Slots<F>, slot: usize) -> Option<Envelope<'static>> {
    Envelope::parse(slots.package(slot)).ok().flatten()
}

/// Validates a module that has just arrived, and writes its branch table behind it.
pub(super) fn accept<F: Flash>(
    slots: &mut Slots<F>,
    slot: usize,
    scratch: &mut Room,
) -> Result<Summary, Refused> {
    let bytes = slots.module(slot);
    let (at, space) = slots.table_space(slot);
    // One validator for both kinds of table: a second one would be 10 KB of flash.
    let table: &mut dyn Emit = &mut Table {
        flash: slots.flash_mut(),
        at,
        space,
    };
    validate(bytes, table, scratch, PageSizes::Any).map_err(|error| {
        let (Fault::Unsupported(what) | Fault::Malformed(what) | Fault::Invalid(what)) =
            error.fault;
        (Refusal::Module, what)
    })
}

/// Checks a package that has been in flash for a while: what lies there is as little trusted as what comes over the air. Its
/// branch table can be derived, and is made again where it is damaged: in its place where that takes no erasure, else with
/// the package in another slot.
pub(super) fn recheck<F: Flash>(
    slots: &mut Slots<F>,
    slot: usize,
    scratch: &mut Room,
) -> Option<Checked> {
    let manifest = envelope(slots, slot)?.manifest;
    let bytes = slots.module(slot);
    let whole = slots.sealed(slot) && Sha256::digest(bytes).as_slice() == manifest.digest;
    if !whole {
        return None;
    }
    let (at, space) = slots.table_space(slot);
    let table: &mut dyn Emit = &mut Compare {
        flash: slots.flash(),
        at,
        space,
    };
    if let Ok(summary) = validate(bytes, table, scratch, PageSizes::Any) {
        return Some(Checked {
            slot,
            manifest,
            summary,
            remade: false,
        });
    }
    let (to, summary) = match accept(slots, slot, scratch) {
        Ok(summary) => (slot, summary),
        Err(_) => {
            let to = slots.remake(slot).ok()?;
            (to, accept(slots, to, scratch).ok()?)
        }
    };
    slots.remade(slot, to, summary.table_bytes()).ok()?;
    Some(Checked {
        slot: to,
        // Its texts lie in flash: in the new slot, if it moved.
        manifest: envelope(slots, to)?.manifest,
        summary,
        remade: true,
    })
}

/// Joins a validated package to a node with this much RAM for modules, or says why it cannot run here. A sensor that the
/// node does not have stays without a number: see [`Loaded::complete`].
pub(super) fn load<F: Flash>(
    slots: &Slots<F>,
    checked: &Checked,
    limits: &Limits,
    memory: u32,
) -> Result<Loaded, Refused> {
    let Checked { slot, summary, .. } = checked;
    let slot = *slot;
    let (at, _) = slots.table_space(slot);
    let words = slots.flash().words(at, summary.table_bytes() / 4);
    let module = Module::new(slots.module(slot), words, summary).ok_or(TORN)?;
    let facts = Facts::read(&module).map_err(|what| (Refusal::Module, what))?;
    if facts.contract != VERSION {
        return Err((
            Refusal::Contract,
            "made for another version of the contract",
        ));
    }
    let linked = module::link(&module).map_err(|what| (Refusal::Module, what))?;
    let ram = module.footprint(&Options::default()).total;
    if ram > u64::from(memory) {
        return Err((Refusal::Needs, "needs more RAM than the node has"));
    }
    let mut wanted = [None; NAMES];
    let mut sensors = [None; NAMES];
    for ((number, name), sensor) in facts.sensors().enumerate().zip(&mut sensors) {
        let found = limits.sensors.iter().position(|s| s.name == name);
        *sensor = found.map(|index| index as u8);
        if let Some(place) = found.and_then(|index| wanted.get_mut(index)) {
            *place = Some(number as u8);
        }
    }
    Ok(Loaded {
        slot,
        manifest: checked.manifest,
        module,
        facts,
        linked,
        ram: ram as u32,
        table: summary.table_bytes(),
        wanted,
        sensors,
    })
}

impl Loaded {
    /// Whether the node has every sensor that the module names.
    pub(super) fn complete(&self) -> bool {
        let named = usize::from(self.facts.sensor_count());
        self.sensors.iter().take(named).all(Option::is_some)
    }

    /// The node's number of the module's sensor with this number: `None` for a number that the module did not declare, and
    /// `Some(None)` for a sensor that the node does not have.
    pub(super) fn sensor(&self, number: u32) -> Option<Option<u8>> {
        let declared = number < u32::from(self.facts.sensor_count());
        declared.then(|| self.sensors.get(number as usize).copied().flatten())
    }
}
