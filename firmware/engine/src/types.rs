//! The types of a module (WebAssembly 2.0 §2.3): limits, memories, tables, globals, functions.
use crate::value::ValType;

/// Minimum and maximum of a memory (in pages) or a table (in entries).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The initial size.
    pub min: u32,
    /// The declared maximum.
    pub max: Option<u32>,
}

/// The type of a memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryType {
    /// Sizes in pages.
    pub limits: Limits,
    /// log2 of the page size in bytes.
    pub page_log2: u8,
}

/// The type of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableType {
    /// Type of the entries.
    pub element: ValType,
    /// Sizes in entries.
    pub limits: Limits,
}

/// The type of a global.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GlobalType {
    /// Type of the value.
    pub value: ValType,
    /// Whether it may be set.
    pub mutable: bool,
}

/// The type of a function, as it lies in the module.
#[derive(Clone, Copy, Debug)]
pub struct FuncType<'a> {
    pub(crate) params: &'a [u8],
    pub(crate) results: &'a [u8],
}

impl<'a> FuncType<'a> {
    /// Types of the parameters.
    pub fn params(self) -> impl ExactSizeIterator<Item = ValType> + 'a {
        self.params
            .iter()
            .map(|b| ValType::from_byte(*b).unwrap_or(ValType::I32))
    }

    /// Types of the parameters, as they lie in the module.
    pub fn param_bytes(self) -> &'a [u8] {
        self.params
    }

    /// Types of the results, as they lie in the module.
    pub fn result_bytes(self) -> &'a [u8] {
        self.results
    }

    /// Types of the results.
    pub fn results(self) -> impl ExactSizeIterator<Item = ValType> + 'a {
        self.results
            .iter()
            .map(|b| ValType::from_byte(*b).unwrap_or(ValType::I32))
    }
}

impl PartialEq for FuncType<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.params == other.params && self.results == other.results
    }
}
