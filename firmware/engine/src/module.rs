//! A view of a validated module: nothing is copied, everything is read from the bytes and the table.
use crate::decode::limits;
use crate::reader::Reader;
use crate::sidetable::{Digest, Entry, GlobalEntry, Record, Summary, TableEntry, TypeEntry, Types};
use crate::types::{FuncType, GlobalType, Limits, MemoryType, TableType};
use crate::value::ValType;
use core::ops::Range;

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
    /// Puts a module and the table [`crate::validate()`] emitted for it together. `None` when either is not, bit for
    /// bit, what was validated: this is what the execution loop's trust rests on.
    pub fn new(bytes: &'a [u8], table: &'a [u32], summary: &Summary) -> Option<Self> {
        let table = table.get(..(summary.table_bytes / 4) as usize)?;
        let same = Digest::of_table(table) == summary.table_digest
            && Digest::of_bytes(bytes) == summary.bytes_digest;
        same.then_some(Self {
            bytes,
            table,
            summary: *summary,
        })
    }

    /// The module's bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The entry at this offset of the table.
    pub(crate) fn entry<const N: usize, E: Entry<N>>(&self, offset: u32) -> E {
        let words = self
            .table
            .get((offset / 4) as usize..)
            .and_then(<[u32]>::first_chunk::<N>);
        E::from_words(words.map_or([0; N], |words| *words))
    }

    /// The record of the module's own function at this offset of the table.
    pub fn record(&self, function: u32) -> Record {
        self.entry(function)
    }

    pub(crate) fn reader(&self, at: u32) -> Reader<'a> {
        Reader::new(self.bytes, at as usize, self.bytes.len())
    }

    fn slice(&self, types: Types) -> &'a [u8] {
        self.bytes
            .get(types.at as usize..(types.at + types.count) as usize)
            .unwrap_or(&[])
    }

    /// The function type with this index, which validation saw to exist.
    pub fn ty(&self, index: u32) -> FuncType<'a> {
        let ty: TypeEntry = self.entry(self.summary.types.entry::<3>(index));
        FuncType {
            params: self.slice(ty.params),
            results: self.slice(ty.results),
        }
    }

    /// The index of the type of the function with this index, which validation saw to exist.
    pub fn type_index(&self, function: u32) -> u32 {
        self.entry(self.summary.functions.entry::<1>(function))
    }

    /// Whether the function with this record has slots of 64 bits.
    pub(crate) fn is_wide(&self, function: u32) -> bool {
        self.record(function).room.is_wide()
    }

    /// The function with this record, counted behind the imported ones.
    pub(crate) fn own_index(&self, function: u32) -> u32 {
        (function - self.summary.records.at) / size_of::<Record>() as u32
    }

    /// Where the record of the module's own function with this index lies, counted behind the imported ones.
    pub fn record_of(&self, own: u32) -> u32 {
        self.summary.records.entry::<6>(own)
    }

    /// The number of imported functions.
    pub fn imported_functions(&self) -> u32 {
        self.summary.functions.count - self.summary.records.count
    }

    /// Where the types of the module's own functions lie, a word with an index for each, and their records: for a tier that looks up
    /// itself what an indirect call leads to.
    pub fn own_functions(&self) -> (*const u32, *const Record) {
        let at = |offset: u32| self.table.as_ptr().wrapping_byte_add(offset as usize);
        let types = self.summary.functions.entry::<1>(self.imported_functions());
        (at(types), at(self.summary.records.at).cast())
    }

    /// The number of functions, imports first.
    pub fn functions(&self) -> u32 {
        self.summary.functions.count
    }

    /// The type of the function with this index.
    pub fn func_type(&self, function: u32) -> Option<FuncType<'a>> {
        (function < self.summary.functions.count).then(|| self.ty(self.type_index(function)))
    }

    /// The type of the table with this index.
    pub fn table_type(&self, table: u32) -> Option<TableType> {
        if table >= self.summary.tables.count {
            return None;
        }
        let entry: TableEntry = self.entry(self.summary.tables.entry::<3>(table));
        let element = if entry.element == ValType::FuncRef as u8 {
            ValType::FuncRef
        } else {
            ValType::ExternRef
        };
        Some(TableType {
            element,
            limits: Limits {
                min: entry.min,
                max: entry.max,
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
        let entry: GlobalEntry = self.entry(self.summary.globals.entry::<2>(global));
        Some(GlobalType {
            value: ValType::from_byte(entry.value)?,
            mutable: entry.mutable,
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

    /// The functions of the module's own, in order, as they lie in the code section.
    pub fn bodies(&self) -> impl Iterator<Item = Body<'a>> + use<'a> {
        let module = *self;
        let (mut r, count) = self.listed(self.summary.code_at);
        (0..count).map_while(move |own| {
            let size = r.u32().ok()?;
            let locals = r;
            r.take(size).ok()?;
            let index = module.imported_functions() + own;
            Some(Body {
                index,
                ty: module.func_type(index)?,
                function: module.record_of(own),
                record: module.record(module.record_of(own)),
                locals,
            })
        })
    }
}

/// A function of a module's own.
#[derive(Clone, Copy)]
pub struct Body<'a> {
    /// Its index, imports first.
    pub index: u32,
    /// Its type.
    pub ty: FuncType<'a>,
    /// Where its record lies in the table.
    pub function: u32,
    /// What validation found.
    pub record: Record,
    locals: Reader<'a>,
}

impl Body<'_> {
    /// Its instructions, from the first one to behind the last `end`.
    pub fn code(&self) -> Range<u32> {
        self.record.code..self.record.end
    }

    /// The locals it declares (its parameters come before them): so many of a type, and so many of the next.
    pub fn locals(&self) -> impl Iterator<Item = (u32, ValType)> + '_ {
        let mut r = self.locals;
        let groups = r.u32().unwrap_or(0);
        (0..groups).map_while(move |_| {
            let count = r.u32().ok()?;
            Some((count, ValType::from_byte(r.byte().ok()?)?))
        })
    }
}
