//! What a board reports: its facts, its sensors, its own measurements.
use crate::contract::key;
use core::sync::atomic::AtomicU32;

/// A sensor of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sensor {
    /// Its name.
    pub name: &'static str,
    /// Unit of its values (RFC 8428 §12.1, RFC 8798).
    pub unit: &'static str,
}

/// Why a sensor gives no value, or none that could be meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing came back of what it sent out, or nothing that it could tell from noise.
    NoEcho,
    /// What it says was cut short or damaged on the way.
    Damaged,
    /// What it says is whole, but of another kind of sensor.
    Model,
    /// It says nothing: a cut wire, or no power.
    Silent,
}

/// How many kinds of faults there are.
pub(crate) const FAULTS: usize = 4;

impl Fault {
    pub(crate) const ALL: [Self; FAULTS] = [Self::NoEcho, Self::Damaged, Self::Model, Self::Silent];

    /// For people, and as the state of a sensor.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoEcho => "no echo",
            Self::Damaged => "damaged",
            Self::Model => "wrong model",
            Self::Silent => "silent",
        }
    }

    /// As the name of a counter.
    pub(crate) fn counter(self) -> &'static str {
        match self {
            Self::NoEcho => key::NO_ECHO,
            Self::Damaged => key::DAMAGED,
            Self::Model => key::WRONG_MODEL,
            Self::Silent => key::SILENT,
        }
    }
}

/// What a node grants to modules.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The class of boards, as packages name it.
    pub class: &'static str,
    /// Fuel of a run: one call of a handler.
    pub fuel: u32,
    /// The sensors of the node.
    pub sensors: &'static [Sensor],
}

/// What a board says of itself.
#[derive(Clone, Debug)]
pub struct Board {
    /// Its name.
    pub name: &'static str,
    /// The class of boards that packages name.
    pub class: &'static str,
    /// Version of the firmware.
    pub version: &'static str,
    /// Where its clock comes from, and how fast it is in hertz.
    pub clock: &'static str,
    /// See `clock`.
    pub hertz: u32,
    /// Why it was reset.
    pub reset: &'static str,
    /// What it looked for and did not find.
    pub missing: heapless::Vec<&'static str, 10>,
    /// Whether its flash can be read out through a debug port; `None` where that is not known.
    pub readout: Option<bool>,
    /// Its sensors.
    pub sensors: &'static [Sensor],
    /// RAM for modules, in bytes.
    pub memory: u32,
    /// The largest package with its table, in bytes.
    pub package: u32,
    /// Fuel of a run.
    pub fuel: u32,
}

/// What a board measures of itself while it runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gauges {
    /// Bytes of the stack, and of those that were never used.
    pub stack_size: u32,
    /// See `stack_size`.
    pub stack_free: u32,
    /// Thousandths of the last second in which the CPU slept.
    pub idle: u16,
    /// Bytes that the link lost.
    pub link_lost: u32,
    /// Frames of the link that were damaged.
    pub link_damaged: u32,
    /// Datagrams that the link could not send.
    pub link_unsent: u32,
    /// The node's address where it has a network, and whether it came from a server (`dhcp`) or was taken without one (`fixed`).
    pub address: Option<core::net::Ipv4Addr>,
    /// See `address`.
    pub origin: &'static str,
    /// The board's tasks, and the most cycles that each has taken from its start to its end.
    pub tasks: &'static [(&'static str, AtomicU32)],
}
