//! What lies where in flash, counted from its beginning: as in the STM32F407, whose first four sectors have 16 KiB each.
pub use wasmote_node::contract::flash::{END, PROVISION, SLOT, SLOTS, START};
