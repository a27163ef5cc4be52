//! What the ranger says, told to the server: the same on every board that has one on a serial line.
use crate::sensors::LEVEL;
use wasmote_node::{Fault, Server};
use wasmote_sensors::level::SILENCE;
use wasmote_sensors::{Level, Reading};

/// Beside a byte of the ranger's line: the line lost or damaged one.
pub const DAMAGED: u16 = 0x100;

/// The ranger.
#[derive(Debug, Default)]
pub struct Ranger {
    line: Level,
    /// Whether its silence was told.
    silent: bool,
}

impl Ranger {
    /// Nothing has been heard.
    pub const fn new() -> Self {
        Self {
            line: Level::new(),
            silent: false,
        }
    }

    /// Takes a byte of its line, or [`DAMAGED`].
    pub fn listen<E: Copy + Eq + core::hash::Hash>(
        &mut self,
        now: u64,
        heard: u16,
        server: &mut Server<E>,
        out: &mut impl FnMut(E, &[u8]),
    ) {
        let reading = if heard & DAMAGED != 0 {
            self.line.lost()
        } else {
            self.line.push(now, heard as u8)
        };
        match reading {
            Some(Reading::Millimetres(distance)) => {
                self.silent = false;
                server.distance(now, LEVEL, f32::from(distance), out);
            }
            Some(Reading::NoEcho) => server.fault(now, LEVEL, Fault::NoEcho, out),
            Some(Reading::Damaged) => server.fault(now, LEVEL, Fault::Damaged, out),
            Some(Reading::Model) => server.fault(now, LEVEL, Fault::Model, out),
            None => {}
        }
    }

    /// Tells when it falls silent, and when it speaks again. To be called a few times a second.
    pub fn watch<E: Copy + Eq + core::hash::Hash>(
        &mut self,
        now: u64,
        server: &mut Server<E>,
        out: &mut impl FnMut(E, &[u8]),
    ) {
        let silent = self.line.is_silent(now);
        server.missing(now, "level", silent);
        // At the start it has its time to be heard.
        if silent && now >= SILENCE && !core::mem::replace(&mut self.silent, true) {
            server.fault(now, LEVEL, Fault::Silent, out);
        }
    }
}
