//! The engine on random and damaged modules.
mod chip;
mod corpus;
mod differential;
mod edges;
mod fuel;
mod indirect;
mod rounding;
mod slices;
mod suite;
#[path = "../../src/target.rs"]
mod target;
mod verified;
