//! What the ranger says, told to the server: the same on every board that has one on a serial line.
use crate::sensors::LEVEL;
use wasmote_node::Server;
use wasmote_sensors::{Level, Reading};

/// Beside a byte of the ranger's line: the line lost or damaged one.
pub const DAMAGED: u16 = 0x100;

/// The ranger.
#[derive(Debug, Default)]
pub struct Ranger(Level);

impl Ranger {
    /// Nothing has been heard.
    pub const fn new() -> Self {
        Self(Level::new())
    }

    /// Takes a byte of its line, or [`DAMAGED`].
    pub fn listen<E: Copy + Eq>(
        &mut self,
        now: u64,
        heard: u16,
        server: &mut Server<E>,
        out: &mut impl FnMut(E, &[u8]),
    ) {
        let reading = if heard & DAMAGED != 0 {
            self.0.lost()
        } else {
            self.0.push(now, heard as u8)
        };
        match reading {
            Some(Reading::Millimetres(distance)) => {
                server.sample(now, LEVEL, f32::from(distance), out);
            }
            Some(Reading::NoEcho | Reading::Damaged | Reading::Model) | None => {}
        }
    }

    /// Tells when it falls silent, and when it speaks again. To be called a few times a second.
    pub fn watch<E: Copy + Eq>(&mut self, now: u64, server: &mut Server<E>) {
        server.missing(now, "level", self.0.is_silent(now));
    }
}
