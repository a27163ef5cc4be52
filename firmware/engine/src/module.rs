//! A view of a validated module: nothing is copied, everything is read from the bytes and the table.
use crate::{Footprint, Options, Summary, ValType};

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

/// What an import or export is, with its type; the index is in its own space (imports first).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum External<'a> {
    /// A function.
    Func(u32, FuncType<'a>),
    /// A table.
    Table(u32, TableType),
    /// A memory.
    Memory(u32, MemoryType),
    /// A global.
    Global(u32, GlobalType),
}

/// An import.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Import<'a> {
    /// Name of the module it comes from.
    pub module: &'a str,
    /// Its name there.
    pub name: &'a str,
    /// What it is.
    pub item: External<'a>,
}

/// An export.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Export<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it is.
    pub item: External<'a>,
}

/// A custom section.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Custom<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its content.
    pub data: &'a [u8],
}

/// A validated module with its table.
#[derive(Clone, Copy, Debug)]
pub struct Module<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) table: &'a [u32],
    pub(crate) summary: Summary,
}

impl<'a> Module<'a> {
    /// Puts a module and the table [`crate::validate`] emitted for it together. `None` when either is not, bit for
    /// bit, what was validated.
    pub fn new(bytes: &'a [u8], table: &'a [u32], summary: &Summary) -> Option<Self> {
        todo!("{bytes:?} {table:?} {summary:?}")
    }

    /// Its imports, in order.
    pub fn imports(&self) -> impl Iterator<Item = Import<'a>> + use<'a> {
        core::iter::empty()
    }

    /// Its exports, in order.
    pub fn exports(&self) -> impl Iterator<Item = Export<'a>> + use<'a> {
        core::iter::empty()
    }

    /// Its custom sections, in order.
    pub fn custom_sections(&self) -> impl Iterator<Item = Custom<'a>> + use<'a> {
        core::iter::empty()
    }

    /// The export with this name.
    pub fn export(&self, name: &str) -> Option<Export<'a>> {
        self.exports().find(|export| export.name == name)
    }

    /// The type of the function with this index.
    pub fn func_type(&self, function: u32) -> Option<FuncType<'a>> {
        todo!("{function}")
    }

    /// What an instance with these options needs.
    pub fn footprint(&self, options: &Options) -> Footprint {
        todo!("{options:?}")
    }
}
