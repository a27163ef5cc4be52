//! What is known of a module while its functions are compiled.
use wasmote_engine::{self as engine, Module};

/// What the code depends on besides the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether the memory may grow beyond its initial size in the instances that the code is for.
    pub grows: bool,
}

impl Options {
    /// Those for instances of a module that are made with the engine's options.
    pub fn of(module: &Module<'_>, options: &engine::Options) -> Self {
        let grows = module.memory_type().is_some_and(|ty| {
            let most = ty.limits.max.unwrap_or(u32::MAX);
            most.min(options.memory_pages.unwrap_or(0)) > ty.limits.min
        });
        Self { grows }
    }
}

/// What is known of the module while its functions are compiled.
pub(crate) struct Facts<'m> {
    pub(crate) module: Module<'m>,
    /// Bytes of memory there are at least.
    pub(crate) least: u64,
    pub(crate) grows: bool,
    /// Where the code is that leaves: context in registers.rs.
    pub(crate) exit: u32,
    pub(crate) trap: u32,
    pub(crate) stack: u32,
    pub(crate) indirect: u32,
}

/// Places of functions in the entries, multiples of 4; that a function's slots are 64 bits wide, and that its only result is an f32.
pub(crate) const PLACE: u32 = 0x00ff_fffc;
pub(crate) const WIDE: u32 = 2;
pub(crate) const FLOAT: u32 = 1;

/// A function's entry in the table.
pub(crate) fn entry(table: &[u8], own: u32) -> u32 {
    let at = own as usize * 4;
    match table.get(at..at + 4) {
        Some(&[a, b, c, d]) => u32::from_le_bytes([a, b, c, d]),
        _ => 0,
    }
}

impl<'m> Facts<'m> {
    pub(crate) fn new(module: &Module<'m>, options: Options) -> Self {
        let own = module.functions() - module.imported_functions();
        let exit = 4 + own * 4;
        let least = module
            .memory_type()
            .map_or(0, |ty| u64::from(ty.limits.min) << ty.page_log2);
        Self {
            module: *module,
            least,
            grows: options.grows,
            exit,
            trap: exit + 4,
            stack: exit + 8,
            indirect: exit + 12,
        }
    }

    /// Where the first function lies.
    pub(crate) fn first(&self) -> u32 {
        self.exit + 16
    }
}
