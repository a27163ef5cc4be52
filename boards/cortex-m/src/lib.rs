//! What the boards with a Cortex-M have in common: time that does not run out, the server's share of the CPU, the stack, floats,
//! the ranger, sensors' names and places in flash; and, for emulators, flash in a file and a console.
//!
//! What needs no chip is tested on any computer: [`clock`], [`share`] and [`layout`].
#![no_std]

pub mod clock;
pub mod layout;
pub mod ranger;
pub mod sensors;
pub mod share;

#[cfg(target_arch = "arm")]
pub mod floats;
#[cfg(all(target_arch = "arm", feature = "semihosting"))]
pub mod semihosting;
#[cfg(target_arch = "arm")]
pub mod stack;
#[cfg(target_arch = "arm")]
pub mod time;
