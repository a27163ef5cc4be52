//! The engine on random and damaged modules.
mod common;
mod differential;
mod mutants;
mod slices;
