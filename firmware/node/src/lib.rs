//! A node: what is the same on every board. Two halves that never hold each other up: [`Server`] answers CoAP, [`Runner`]
//! runs the module in slices of fuel and works on the flash. Between them are the queues of [`Mail`].
//!
//! A board supplies its facts ([`Board`]), flash ([`slot::Flash`]), the time, samples, pins ([`Io`]) and datagrams:
//!
//! ```text
//! datagrams ──▶ Server::receive ─┐                ┌─▶ Runner::step ──▶ pins
//! samples ────▶ Server::sample ──┼─ Mail (queues) ─┤        │
//! time ───────▶ Server::poll ◀───┘                └─ flash ◀┘
//! ```
#![no_std]

pub mod contract;
mod document;
pub mod link;
mod mail;
pub mod module;
pub mod package;
mod runner;
mod server;
pub mod slot;

pub use mail::{App, Event, Mail, RunnerMail, ServerMail, Stats};
pub use package::Provision;
pub use runner::{Io, Limits, Room, Runner, Step, TRIAL_RUNS};
pub use server::{Board, Gauges, Sensor, Server};
