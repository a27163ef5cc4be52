//! What the firmware of the Discovery board knows that needs no chip: sums about flash and memory, and the parts of its
//! drivers without registers. Tested on any computer; the registers themselves are in the firmware.
#![no_std]

pub mod circle;
pub mod phy;
pub mod ring;
pub mod sectors;
