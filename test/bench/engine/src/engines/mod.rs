//! What is compared: one file for each engine, behind one trait.
use alloc::boxed::Box;

#[cfg(feature = "native")]
pub mod native;
#[cfg(feature = "wasm3")]
pub mod wasm3;
#[cfg(feature = "wasmi")]
pub mod wasmi;
#[cfg(feature = "wasmote")]
pub mod wasmote;

/// One kernel, as it comes with the script.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// What the native twin goes by.
    pub name: &'static str,
    /// Whether its numbers are f64.
    pub double: bool,
    /// Whether an engine that can do without is to count fuel.
    pub fuel: bool,
    /// The module, at an address that holds 64-bit words.
    pub module: &'static [u8],
}

/// What an engine knows beside the results.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    /// RAM it said beforehand that it would need, in bytes; 0 if it cannot say.
    pub predicted: u32,
    /// RAM of that which was written to; beyond it nothing was.
    pub peak: u32,
    /// Bytes in flash beside the module.
    pub flash: u32,
    /// RAM that loading alone takes, and that is free again afterwards.
    pub scratch: u32,
    /// Fuel used so far.
    pub fuel: u64,
}

/// A kernel that is loaded and can be called.
pub trait Engine {
    /// Calls an export without parameters. The result, if it has one.
    fn call(&mut self, export: &str) -> Result<Option<i32>, &'static str>;
    /// See [`Facts`].
    fn facts(&self) -> Facts {
        Facts::default()
    }
}

/// Validates, compiles and instantiates, so that nothing of it is left for the first call.
#[allow(
    unreachable_code,
    unused_variables,
    reason = "an image has one engine or none"
)]
pub fn load(job: Job) -> Result<Box<dyn Engine>, &'static str> {
    #[cfg(feature = "native")]
    return native::load(job);
    #[cfg(feature = "wasmote")]
    return wasmote::load(job);
    #[cfg(feature = "wasmi")]
    return wasmi::load(job);
    #[cfg(feature = "wasm3")]
    return wasm3::load(job);
    Err("no engine")
}
