//! A view of a validated module: nothing is copied, everything is read from the bytes and the table.
use crate::reader::Reader;
use crate::validate::{WIDE, limits, mix, record, sum_bytes, words};
use crate::{Footprint, Options, Summary, ValType, footprint};

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
    /// bit, what was validated: this is what the execution loop's trust rests on.
    pub fn new(bytes: &'a [u8], table: &'a [u32], summary: &Summary) -> Option<Self> {
        let table = table.get(..(summary.table_bytes / 4) as usize)?;
        let sum = table.iter().enumerate().fold(0u32, |sum, (i, word)| {
            sum.wrapping_add(mix(i as u32 * 4, u32::from_le(*word)))
        });
        (sum == summary.table_sum && sum_bytes(bytes) == summary.bytes_sum).then_some(Self {
            bytes,
            table,
            summary: *summary,
        })
    }

    /// The module's bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// A word of the table.
    pub(crate) fn word(&self, offset: u32) -> u32 {
        self.table
            .get((offset / 4) as usize)
            .map_or(0, |word| u32::from_le(*word))
    }

    pub(crate) fn reader(&self, at: u32) -> Reader<'a> {
        Reader::new(self.bytes, at as usize, self.bytes.len())
    }

    fn slice(&self, at: u32, count: u32) -> &'a [u8] {
        self.bytes
            .get(at as usize..(at + count) as usize)
            .unwrap_or(&[])
    }

    pub(crate) fn ty(&self, index: u32) -> FuncType<'a> {
        let at = self.summary.types.at + index * words::TYPE * 4;
        let counts = self.word(at + 8);
        FuncType {
            params: self.slice(self.word(at), counts & 0xffff),
            results: self.slice(self.word(at + 4), counts >> 16),
        }
    }

    /// Whether the function with this record has slots of 64 bits.
    pub(crate) fn is_wide(&self, function: u32) -> bool {
        self.word(function + record::ROOM as u32 * 4) & WIDE != 0
    }

    /// The number of imported functions.
    pub fn imported_functions(&self) -> u32 {
        self.summary.functions.count - self.summary.records.count
    }

    /// The number of functions, imports first.
    pub fn functions(&self) -> u32 {
        self.summary.functions.count
    }

    /// The type of the function with this index.
    pub fn func_type(&self, function: u32) -> Option<FuncType<'a>> {
        (function < self.summary.functions.count)
            .then(|| self.ty(self.word(self.summary.functions.at + function * 4)))
    }

    /// The type of the table with this index.
    pub fn table_type(&self, table: u32) -> Option<TableType> {
        if table >= self.summary.tables.count {
            return None;
        }
        let at = self.summary.tables.at + table * words::TABLE * 4;
        let word = self.word(at);
        let max = (word & 1 << 9 != 0).then(|| self.word(at + 8));
        let element = if word as u8 == 0x70 {
            ValType::FuncRef
        } else {
            ValType::ExternRef
        };
        Some(TableType {
            element,
            limits: Limits {
                min: self.word(at + 4),
                max,
            },
        })
    }

    /// The type of the memory.
    pub fn memory_type(&self) -> Option<MemoryType> {
        self.summary.memory
    }

    /// The type of the global with this index.
    pub fn global_type(&self, global: u32) -> Option<GlobalType> {
        if global >= self.summary.globals.count {
            return None;
        }
        let word = self.word(self.summary.globals.at + global * words::GLOBAL * 4);
        Some(GlobalType {
            value: ValType::from_byte(word as u8)?,
            mutable: word & 1 << 8 != 0,
        })
    }

    fn external(&self, kind: u8, index: u32) -> Option<External<'a>> {
        Some(match kind {
            0 => External::Func(index, self.func_type(index)?),
            1 => External::Table(index, self.table_type(index)?),
            2 => External::Memory(index, self.memory_type()?),
            _ => External::Global(index, self.global_type(index)?),
        })
    }

    fn listed(&self, at: u32) -> (Reader<'a>, u32) {
        let mut r = self.reader(at);
        let count = if at == 0 { 0 } else { r.u32().unwrap_or(0) };
        (r, count)
    }

    /// Its imports, in order.
    pub fn imports(&self) -> impl Iterator<Item = Import<'a>> + use<'a> {
        let module = *self;
        let (mut r, mut left) = self.listed(self.summary.imports_at);
        let mut seen = [0u32; 4];
        core::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let (from, name, kind) = (r.name().ok()?, r.name().ok()?, r.byte().ok()?);
            match kind {
                0 => drop(r.u32().ok()?),
                1 => {
                    r.byte().ok()?;
                    limits(&mut r).ok()?;
                }
                2 => {
                    limits(&mut r).ok()?;
                }
                _ => drop(r.take(2).ok()?),
            }
            let seen = seen.get_mut(kind as usize)?;
            let item = module.external(kind, *seen)?;
            *seen += 1;
            Some(Import {
                module: from,
                name,
                item,
            })
        })
    }

    /// Its exports, in order.
    pub fn exports(&self) -> impl Iterator<Item = Export<'a>> + use<'a> {
        let module = *self;
        let (mut r, mut left) = self.listed(self.summary.exports_at);
        core::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let (name, kind, index) = (r.name().ok()?, r.byte().ok()?, r.u32().ok()?);
            Some(Export {
                name,
                item: module.external(kind, index)?,
            })
        })
    }

    /// Its custom sections, in order.
    pub fn custom_sections(&self) -> impl Iterator<Item = Custom<'a>> + use<'a> {
        let mut r = self.reader(8);
        core::iter::from_fn(move || {
            loop {
                let (id, size) = (r.byte().ok()?, r.u32().ok()?);
                let data = r.take(size).ok()?;
                if id == 0 {
                    let mut s = Reader::new(data, 0, data.len());
                    let name = s.name().ok()?;
                    return Some(Custom {
                        name,
                        data: data.get(s.at..)?,
                    });
                }
            }
        })
    }

    /// The export with this name.
    pub fn export(&self, name: &str) -> Option<Export<'a>> {
        self.exports().find(|export| export.name == name)
    }

    /// The index of the exported function with this name.
    pub fn export_function(&self, name: &str) -> Option<u32> {
        match self.export(name)?.item {
            External::Func(index, _) => Some(index),
            _ => None,
        }
    }

    /// What an instance with these options needs: never less, whatever it is called with.
    pub fn footprint(&self, options: &Options) -> Footprint {
        footprint::of(self, options)
    }
}
