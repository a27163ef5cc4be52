//! A node: what is the same on every board. Two halves that never hold each other up: [`Server`] answers CoAP, [`Runner`]
//! runs the module in slices of fuel and works on the flash. What they keep, and the queues between them, is [`Memory`].
//!
//! A board supplies its facts ([`Board`]), flash ([`slot::Flash`]), the time, samples, pins ([`Io`]) and datagrams:
//!
//! ```text
//! datagrams ──▶ Server::receive ─┐                ┌─▶ Runner::step ──▶ pins
//! samples ────▶ Server::sample ──┼── Memory ──────┤        │
//! time ───────▶ Server::poll ◀───┘                └─ flash ◀┘
//! ```
#![no_std]
#![forbid(unsafe_code)]

mod board;
pub mod contract;
mod decimal;
mod document;
mod history;
pub mod keyring;
pub mod link;
mod log;
mod mail;
mod memory;
pub mod module;
mod moments;
mod number;
pub mod package;
mod registration;
mod runner;
mod server;
pub mod shape;
pub mod slot;
pub mod text;
mod turns;

pub use board::{Board, Fault, Gauges, Limits, Sensor};
pub use keyring::Keyring;
pub use mail::{App, Event, Stats};
pub use memory::{Memory, RunnerMemory, ServerMemory};
pub use package::Provision;
pub use registration::{Directory, LIFETIME, News, Registration};
pub use runner::{Io, Phase, Room, Runner, Step, TRIAL_RUNS};
pub use server::Server;
pub use wasmote_compiler::Arena;
