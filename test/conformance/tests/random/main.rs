//! The engine on random and damaged modules.
mod chip;
mod corpus;
mod differential;
mod slices;
mod suite;
mod verified;
