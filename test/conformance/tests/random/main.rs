//! The engine on random and damaged modules.
mod chip;
mod common;
mod differential;
mod mutants;
mod slices;
