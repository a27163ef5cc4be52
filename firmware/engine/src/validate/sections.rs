//! The sections (WebAssembly 2.0 §5.5) and the types, imports, tables, memories and globals in them.
use super::validator::Validator;
use crate::decode::{HAS_MAX, HAS_PAGE_SIZE, global_type, limits, reference_type, value_type};
use crate::load::Fault;
use crate::reader::{Load, Reader};
use crate::sidetable::{GlobalEntry, Space, TableEntry, TypeEntry, Types};
use crate::types::{Limits, MemoryType};

impl Validator<'_> {
    /// Counts the entries of all spaces, leniently: what is wrong is found by the real pass.
    fn count(&mut self) -> Load<()> {
        let mut r = Reader::new(self.bytes, 8, self.bytes.len());
        let mut counts = [0u32; 13];
        let mut imports = [0u32; 4];
        let mut seen = 0u32;
        while let (Ok(id), Ok(size)) = (r.byte(), r.u32()) {
            let end = r.at.saturating_add(size as usize);
            if id != 0 && id < 13 {
                // The real pass goes no further than a section that comes again, and until then has to find its room.
                if seen & 1 << id != 0 {
                    break;
                }
                seen |= 1 << id;
                let mut s = Reader::new(self.bytes, r.at, end);
                let count = s.u32().unwrap_or(0).min(size);
                if let Some(c) = counts.get_mut(id as usize) {
                    *c = count;
                }
                if id == 2 {
                    let _ = self.each_import(s, count, &mut imports);
                }
            }
            r.at = end;
        }
        let [
            _,
            types,
            _,
            functions,
            tables,
            _,
            globals,
            _,
            _,
            elements,
            _,
            datas,
            _,
        ] = counts;
        let mut at = 0u64;
        let mut space = |count: u32, words: u64| {
            let space = Space {
                at: at as u32,
                count,
            };
            at += u64::from(count) * words * 4;
            space
        };
        self.out.types = space(types, 3);
        self.out.functions = space(imports[0].saturating_add(functions), 1);
        self.out.records = space(functions, 6);
        self.out.globals = space(imports[3].saturating_add(globals), 2);
        self.out.tables = space(imports[1].saturating_add(tables), 3);
        self.out.elements = space(elements, 1);
        self.out.datas = space(datas, 1);
        if at > 1 << 28 {
            return self.err(&Fault::Unsupported("too many entries"));
        }
        self.out.table_bytes = at as u32;
        Ok(())
    }

    fn each_import(&self, mut r: Reader<'_>, count: u32, kinds: &mut [u32; 4]) -> Load<()> {
        for _ in 0..count {
            r.name()?;
            r.name()?;
            let kind = r.byte()?;
            match kind {
                0 => drop(r.u32()?),
                1 => {
                    r.byte()?;
                    limits(&mut r)?;
                }
                2 => {
                    limits(&mut r)?;
                }
                _ => {
                    r.byte()?;
                    r.byte()?;
                }
            }
            if let Some(k) = kinds.get_mut(kind as usize) {
                *k += 1;
            }
        }
        Ok(())
    }

    /// The whole module.
    pub(super) fn module(&mut self) -> Load<()> {
        let mut r = Reader::new(self.bytes, 0, self.bytes.len());
        self.magic(&mut r)?;
        self.count()?;
        let bits = self.out.functions.count.div_ceil(8);
        self.declared = bits;
        match self.stack.get_mut(..bits as usize) {
            Some(bits) => bits.fill(0),
            None => return self.err(&Fault::Unsupported("too many functions")),
        }
        // They are counted for real as sections come.
        self.out.types.count = 0;
        self.out.functions.count = 0;
        self.out.globals.count = 0;
        self.out.tables.count = 0;
        self.out.elements.count = 0;
        self.out.datas.count = 0;
        let mut last = 0;
        while !r.done() {
            let at = r.at;
            self.here = at as u32;
            let id = r.byte()?;
            let size = r.u32()?;
            let end = r.at.saturating_add(size as usize);
            if end > self.bytes.len() {
                return r.fail(&Fault::Malformed("length out of bounds"));
            }
            let mut s = Reader::new(self.bytes, r.at, end);
            let rank = match id {
                0 => {
                    s.name()?;
                    r.at = end;
                    continue;
                }
                1..=9 => id,
                12 => 10,
                10 => 11,
                11 => 12,
                _ => {
                    r.at = at;
                    return r.fail(&Fault::Malformed("malformed section id"));
                }
            };
            if rank <= last {
                r.at = at;
                return r.fail(&Fault::Malformed("unexpected content after last section"));
            }
            last = rank;
            self.section(id, &mut s)?;
            if !s.done() {
                return s.fail(&Fault::Malformed("section size mismatch"));
            }
            r.at = end;
        }
        self.here = self.bytes.len() as u32;
        if self.bodies != self.own_functions() {
            return self.err(&Fault::Malformed(
                "function and code section have inconsistent lengths",
            ));
        }
        if self.data_count.is_some_and(|c| c != self.out.datas.count) {
            return self.err(&Fault::Malformed(
                "data count and data section have inconsistent lengths",
            ));
        }
        debug_assert_eq!(self.bodies, self.out.records.count);
        self.walk();
        Ok(())
    }

    /// Magic number and version.
    #[inline(always)]
    fn magic(&self, r: &mut Reader<'_>) -> Load<()> {
        if r.take(4).ok() != Some(b"\0asm") {
            r.at = 0;
            return if self.bytes.len() < 4 {
                r.fail(&Fault::Malformed("unexpected end"))
            } else {
                r.fail(&Fault::Malformed("magic header not detected"))
            };
        }
        if r.take(4).ok() != Some(&[1, 0, 0, 0]) {
            r.at = 4;
            return if self.bytes.len() < 8 {
                r.fail(&Fault::Malformed("unexpected end"))
            } else {
                r.fail(&Fault::Malformed("unknown binary version"))
            };
        }
        Ok(())
    }

    /// Functions of the module's own, as far as they were declared.
    fn own_functions(&self) -> u32 {
        self.out.functions.count - self.imported[0]
    }

    /// The content of a section that is not a custom one.
    #[inline(always)]
    fn section(&mut self, id: u8, s: &mut Reader<'_>) -> Load<()> {
        match id {
            1 => self.types(s)?,
            2 => {
                self.out.imports_at = s.at as u32;
                self.imports(s)?;
            }
            3 => {
                for _ in 0..s.u32()? {
                    self.function(s)?;
                }
            }
            4 => {
                for _ in 0..s.u32()? {
                    self.table_type(s, false)?;
                }
            }
            5 => {
                for _ in 0..s.u32()? {
                    self.memory_type(s, false)?;
                }
            }
            6 => {
                for _ in 0..s.u32()? {
                    let (value, mutable) = global_type(s)?;
                    let init = s.at as u32;
                    self.constant(s, value)?;
                    self.put_global(GlobalEntry {
                        value,
                        mutable,
                        imported: false,
                        init,
                    })?;
                }
            }
            7 => self.exports(s)?,
            8 => {
                self.here = s.at as u32;
                let f = s.u32()?;
                let ty = self.signature(f)?;
                if ty.params.count != 0 || ty.results.count != 0 {
                    return self.err(&Fault::Invalid("start function"));
                }
                self.out.start = Some(f);
            }
            9 => self.elements(s)?,
            12 => self.data_count = Some(s.u32()?),
            10 => {
                self.out.code_at = s.at as u32;
                self.bodies = s.u32()?;
                if self.bodies != self.own_functions() {
                    return s.fail(&Fault::Malformed(
                        "function and code section have inconsistent lengths",
                    ));
                }
                for index in 0..self.bodies {
                    self.body(s, index)?;
                }
            }
            _ => {
                let n = s.u32()?;
                if self.data_count.is_some_and(|c| c != n) {
                    return s.fail(&Fault::Malformed(
                        "data count and data section have inconsistent lengths",
                    ));
                }
                for _ in 0..n {
                    self.data(s)?;
                }
            }
        }
        Ok(())
    }

    fn types(&mut self, s: &mut Reader<'_>) -> Load<()> {
        for index in 0..s.u32()? {
            self.here = s.at as u32;
            if s.byte()? != 0x60 {
                s.at -= 1;
                return s.fail(&Fault::Malformed("integer representation too long"));
            }
            let ty = TypeEntry {
                params: result_type(s)?,
                results: result_type(s)?,
            };
            self.put_entry(self.out.types.entry::<3>(index), ty)?;
            self.out.types.count = index + 1;
        }
        Ok(())
    }

    fn imports(&mut self, s: &mut Reader<'_>) -> Load<()> {
        for _ in 0..s.u32()? {
            s.name()?;
            s.name()?;
            self.here = s.at as u32;
            let kind = s.byte()?;
            match kind {
                0 => self.function(s)?,
                1 => self.table_type(s, true)?,
                2 => self.memory_type(s, true)?,
                3 => {
                    let (value, mutable) = global_type(s)?;
                    self.put_global(GlobalEntry {
                        value,
                        mutable,
                        imported: true,
                        init: 0,
                    })?;
                }
                _ => {
                    s.at -= 1;
                    return s.fail(&Fault::Malformed("malformed import kind"));
                }
            }
            if let Some(n) = self.imported.get_mut(kind as usize) {
                *n += 1;
            }
        }
        Ok(())
    }

    fn function(&mut self, s: &mut Reader<'_>) -> Load<()> {
        self.here = s.at as u32;
        let ty = s.u32()?;
        if ty >= self.out.types.count {
            return self.err(&Fault::Invalid("unknown type"));
        }
        self.put_entry(self.out.functions.entry::<1>(self.out.functions.count), ty)?;
        self.out.functions.count += 1;
        Ok(())
    }

    fn table_type(&mut self, s: &mut Reader<'_>, imported: bool) -> Load<()> {
        self.here = s.at as u32;
        let element = reference_type(s)?;
        let limits = limits(s)?;
        if limits.flags & HAS_PAGE_SIZE != 0 {
            return self.err(&Fault::Malformed("malformed limits flags"));
        }
        let max = (limits.flags & HAS_MAX != 0).then_some(limits.max);
        if max.is_some_and(|max| max < limits.min) {
            return self.err(&Fault::Invalid(
                "size minimum must not be greater than maximum",
            ));
        }
        let entry = TableEntry {
            element,
            imported,
            min: limits.min,
            max,
        };
        self.put_entry(self.out.tables.entry::<3>(self.out.tables.count), entry)?;
        self.out.tables.count += 1;
        Ok(())
    }

    fn memory_type(&mut self, s: &mut Reader<'_>, imported: bool) -> Load<()> {
        self.here = s.at as u32;
        let limits = limits(s)?;
        if self.out.memory.is_some() {
            return self.err(&Fault::Invalid("multiple memories"));
        }
        if limits.page_log2 > 16 || self.strict && limits.page_log2 != 0 && limits.page_log2 != 16 {
            return self.err(&Fault::Invalid("invalid custom page size"));
        }
        let most = 1u64 << (32 - limits.page_log2);
        let max = (limits.flags & HAS_MAX != 0).then_some(limits.max);
        if u64::from(limits.min) > most || max.is_some_and(|max| u64::from(max) > most) {
            return self.err(if limits.page_log2 == 16 {
                &Fault::Invalid("memory size must be at most 65536 pages (4GiB)")
            } else {
                &Fault::Invalid("memory size must be at most")
            });
        }
        if max.is_some_and(|max| max < limits.min) {
            return self.err(&Fault::Invalid(
                "size minimum must not be greater than maximum",
            ));
        }
        self.out.memory = Some(MemoryType {
            limits: Limits {
                min: limits.min,
                max,
            },
            page_log2: limits.page_log2 as u8,
        });
        self.out.memory_imported = imported;
        Ok(())
    }

    fn put_global(&mut self, global: GlobalEntry) -> Load<()> {
        self.put_entry(self.out.globals.entry::<2>(self.out.globals.count), global)?;
        self.out.globals.count += 1;
        Ok(())
    }
}

/// The parameters or the results of a function (WebAssembly 2.0 §5.3.5).
#[inline(never)]
fn result_type(s: &mut Reader<'_>) -> Load<Types> {
    let count = s.u32()?;
    let at = s.at as u32;
    for _ in 0..count {
        value_type(s)?;
    }
    if count > 1000 {
        return s.fail(&Fault::Unsupported("more than 1000 parameters or results"));
    }
    Ok(Types { at, count })
}
