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
//! docs/engine.md has the memory map of a region and the rules of fuel.
//!
//! ```
//! use wasmote_engine::*;
//!
//! // (func (export "f") (param i32) (result i32) local.get 0 i32.const 1 i32.add)
//! let bytes = [
//!     0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 6, 1, 0x60, 1, 0x7f, 1, 0x7f, 3, 2, 1, 0, 7, 5, 1, 1, 0x66, 0, 0, 10, 9, 1, 7, 0,
//!     0x20, 0, 0x41, 1, 0x6a, 0x0b,
//! ];
//! let mut table = [0; 16];
//! let mut scratch = Scratch::<64, 8, 8>::new();
//! let summary = validate(&bytes, &mut table[..], &mut scratch, PageSizes::Any)?;
//! let module = Module::new(&bytes, &table, &summary).expect("nothing changed since");
//!
//! #[repr(align(8))]
//! struct Region([u8; 64]);
//! let mut region = Region([0; 64]);
//! let options = Options::default();
//! assert!(module.footprint(&options).total <= 64);
//! let mut instance = Instance::new(module, &mut region.0, &options).expect("it fits");
//! let mut fuel = 1000;
//! assert_eq!(instance.run(&mut fuel), Run::Done);
//!
//! let function = module.export_function("f").expect("it is exported");
//! instance.call(function, &[Value::I32(41)]).expect("its parameters");
//! assert_eq!(instance.run(&mut fuel), Run::Done);
//! assert!(instance.results().eq([Value::I32(42)]));
//! // A unit for each of the six bytes of code.
//! assert_eq!(fuel, 994);
//! # Ok::<(), LoadError>(())
//! ```
#![no_std]
#![deny(unsafe_code)]

mod call;
#[cfg(feature = "checked")]
mod checked;
mod decode;
mod disassembly;
mod emit;
mod footprint;
#[allow(unsafe_code, reason = "the region it was lent is held as a pointer")]
mod instance;
#[allow(unsafe_code, reason = "the loop trusts what validation proved")]
mod interpret;
mod load;
mod module;
pub mod numeric;
pub mod opcode;
mod reader;
mod sidetable;
#[allow(
    unsafe_code,
    reason = "reads and writes of the region, at offsets that the layout gave"
)]
mod state;
#[allow(unsafe_code, reason = "bytes of the linear memory, after their bounds")]
mod store;
#[cfg(fast_loop)]
#[allow(unsafe_code, reason = "the fast loop, in assembly")]
mod thumb;
#[allow(unsafe_code, reason = "the contract of what executes")]
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
