//! A WebAssembly engine for 128 KiB of RAM: validates a module, says beforehand what it needs, and runs it in place.
//!
//! ```text
//! bytes ──validate──▶ Summary + branch table ──Module::new──▶ Module ──Instance::new──▶ Instance ──run(fuel)──▶ Run
//!                     (written through Emit)                  .footprint(&Options)      (one RAM region)
//! ```
//!
//! The engine promises: no panic for any bytes; no access outside the region handed in; never a byte more than
//! [`Module::footprint`] said; the same results and the same fuel on every target. It does no I/O, allocates nothing,
//! calls nothing back and does not recurse: a host call and the end of the fuel are both returned to the caller.
#![no_std]

mod call;
#[cfg(feature = "checked")]
mod checked;
mod decode;
mod disassembly;
mod emit;
mod footprint;
mod instance;
mod interpret;
mod load;
mod module;
pub mod numeric;
pub mod opcode;
mod reader;
mod sidetable;
mod state;
mod store;
#[cfg(fast_loop)]
mod thumb;
pub mod tier;
mod trap;
mod types;
mod validate;
mod value;

pub use disassembly::{Instruction, instruction};
pub use emit::{Emit, TableFull};
pub use footprint::{Footprint, Options};
pub use instance::{Aside, Host, Instance, InstanceError, Run};
pub use load::{Fault, LoadError};
pub use module::{Body, Custom, Export, External, Import, Module};
pub use opcode::{Fuel, Immediates, Opcode};
pub use sidetable::Summary;
pub use trap::{Place, Trap, TrapKind};
pub use types::{FuncType, GlobalType, Limits, MemoryType, TableType};
pub use validate::{PageSizes, Scratch, validate};
pub use value::{ValType, Value};
