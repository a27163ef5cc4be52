//! Decoding and validation: one pass over the bytes, and one walk over the calls for the depth of the stack.
use crate::decode::{
    HAS_MAX, HAS_PAGE_SIZE, global_type, limits, reference_type, skip, value_type,
};
use crate::emit::{Emit, TableFull};
use crate::load::{Fault, LoadError};
use crate::opcode::{Effect, Immediates, more, op, plain, prefixed};
use crate::reader::{Load, Reader, Refusal};
use crate::sidetable::{
    ALIGNMENT, Branch, Digest, Entry, FRAME_RECORD, GlobalEntry, Record, Room, Space, Summary,
    TableEntry, TypeEntry, Types,
};
use crate::types::{Limits, MemoryType};
use crate::value::ValType;

/// Which page sizes a memory may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageSizes {
    /// Any power of two from 1 to 65,536.
    Any,
    /// 1 and 65,536, as the custom-page-sizes proposal allows today.
    Strict,
}

/// RAM for the time of validation: `STACK` bytes for locals and operands of a function (and a bit for each function),
/// `BLOCKS` nested blocks, `FORWARD` pending forward branches (also the functions whose depth is computed).
#[derive(Debug)]
pub struct Scratch<const STACK: usize, const BLOCKS: usize, const FORWARD: usize> {
    stack: [u8; STACK],
    blocks: [Block; BLOCKS],
    forward: [Forward; FORWARD],
}

impl<const STACK: usize, const BLOCKS: usize, const FORWARD: usize>
    Scratch<STACK, BLOCKS, FORWARD>
{
    /// Fresh scratch space.
    pub const fn new() -> Self {
        Self {
            stack: [0; STACK],
            blocks: [Block::NONE; BLOCKS],
            forward: [Forward::NONE; FORWARD],
        }
    }
}

impl<const S: usize, const B: usize, const F: usize> Default for Scratch<S, B, F> {
    fn default() -> Self {
        Self::new()
    }
}

const NONE: u32 = u32::MAX;
/// The operand type of unreachable code.
const ANY: u8 = 0;
const I32: u8 = 0x7f;
const I64: u8 = 0x7e;
const F32: u8 = 0x7d;
const F64: u8 = 0x7c;

#[derive(Clone, Copy, Debug)]
struct Block {
    opcode: u8,
    unreachable: bool,
    /// Operands below the block.
    height: u32,
    /// Type: negative as in the format, or the index of a function type.
    ty: i32,
    /// A loop's head: offset of the code and of the table.
    head: (u32, u32),
    /// First of the pending branches to the end, and the pending branch of an `if` to its `else`.
    pending: u32,
    otherwise: u32,
}

impl Block {
    const NONE: Self = Self {
        opcode: 0,
        unreachable: false,
        height: 0,
        ty: 0,
        head: (0, 0),
        pending: NONE,
        otherwise: NONE,
    };
}

/// A branch whose target is not known yet.
#[derive(Clone, Copy, Debug)]
struct Forward {
    entry: u32,
    code: u32,
    /// Operands it keeps and drops.
    kept: u16,
    dropped: u16,
    next: u32,
}

impl Forward {
    const NONE: Self = Self {
        entry: 0,
        code: 0,
        kept: 0,
        dropped: 0,
        next: NONE,
    };
}

/// Parameters and locals of a function: as many as the JavaScript API's limit for implementations.
const MOST_LOCALS: u64 = 50_000;

/// Types that blocks, branches, calls and functions carry are looked at one by one, and two bytes of code may carry a
/// thousand. So that validation takes time linear in the module's size, whatever the module: so many of them in all for
/// each byte, and so many for nothing. Eight parameters and eight results, call after call, are within that.
const CARRIED_PER_BYTE: u64 = 16;
const CARRIED_FREE: u64 = 65_536;

/// Validates a module whole and emits its table.
pub fn validate<E: Emit + ?Sized, const S: usize, const B: usize, const F: usize>(
    module: &[u8],
    table: &mut E,
    scratch: &mut Scratch<S, B, F>,
    pages: PageSizes,
) -> Result<Summary, LoadError> {
    let (stack, blocks, forward) = (
        &mut scratch.stack,
        &mut scratch.blocks,
        &mut scratch.forward,
    );
    Validator::run(module, &mut Through(table), (stack, blocks, forward), pages)
        .map_err(LoadError::from)
}

/// Any table as one that has a size, so that there is one validator for all of them: it takes 12 KiB of flash.
struct Through<'a, E: ?Sized>(&'a mut E);

impl<E: Emit + ?Sized> Emit for Through<'_, E> {
    fn write(&mut self, offset: u32, word: u32) -> Result<(), TableFull> {
        self.0.write(offset, word)
    }

    fn read(&mut self, offset: u32) -> u32 {
        self.0.read(offset)
    }
}

struct Validator<'a> {
    bytes: &'a [u8],
    table: &'a mut dyn Emit,
    strict: bool,
    stack: &'a mut [u8],
    blocks: &'a mut [Block],
    forward: &'a mut [Forward],
    out: Summary,
    /// Imports seen, by kind.
    imported: [u32; 4],
    /// Bytes of `stack` that hold the bits of declared functions.
    declared: u32,
    /// Locals of the function (they follow the bits), and operands (they follow the locals).
    locals: u32,
    operands: u32,
    depth: u32,
    free: u32,
    fresh: u32,
    deepest: u32,
    wide: bool,
    long: bool,
    indirect: bool,
    data_count: Option<u32>,
    /// Where the present instruction starts.
    here: u32,
    /// The function's result types.
    results: Types,
    /// How many types may still be carried (see [`CARRIED_PER_BYTE`]).
    carried: u64,
}

impl<'a> Validator<'a> {
    fn run(
        bytes: &'a [u8],
        table: &'a mut dyn Emit,
        (stack, blocks, forward): (&'a mut [u8], &'a mut [Block], &'a mut [Forward]),
        pages: PageSizes,
    ) -> Load<Summary> {
        if bytes.len() > 1 << 30 {
            return Err(Refusal::new(&Fault::Unsupported("module too large"), 0));
        }
        let mut v = Self {
            bytes,
            table,
            strict: pages == PageSizes::Strict,
            stack,
            blocks,
            forward,
            out: Summary {
                bytes_digest: Digest::of_bytes(bytes),
                ..Summary::default()
            },
            imported: [0; 4],
            declared: 0,
            locals: 0,
            operands: 0,
            depth: 0,
            free: NONE,
            fresh: 0,
            deepest: 0,
            wide: false,
            long: false,
            indirect: false,
            data_count: None,
            here: 0,
            results: Types::default(),
            carried: CARRIED_FREE + bytes.len() as u64 * CARRIED_PER_BYTE,
        };
        v.module()?;
        Ok(v.out)
    }

    #[inline(never)]
    fn err<T>(&self, fault: &'static Fault) -> Load<T> {
        Err(Refusal::new(fault, self.here as usize))
    }

    #[inline(never)]
    fn put(&mut self, offset: u32, word: u32) -> Load<()> {
        if self.table.write(offset, word).is_err() {
            return self.err(&Fault::Unsupported("the branch table is full"));
        }
        self.out.table_digest.add(offset, word);
        Ok(())
    }

    /// Writes an entry of the table.
    #[inline(always)]
    fn put_entry<const N: usize>(&mut self, offset: u32, entry: impl Entry<N>) -> Load<()> {
        for (i, word) in entry.words().into_iter().enumerate() {
            self.put(offset + i as u32 * 4, word)?;
        }
        Ok(())
    }

    /// Reads an entry that was written before.
    #[inline(always)]
    fn entry<const N: usize, E: Entry<N>>(&mut self, offset: u32) -> E {
        E::from_words(core::array::from_fn(|i| {
            self.table.read(offset + i as u32 * 4)
        }))
    }

    /// Takes note that so many types are carried.
    #[inline(never)]
    fn carry(&mut self, types: u32) -> Load<()> {
        match self.carried.checked_sub(u64::from(types)) {
            Some(left) => {
                self.carried = left;
                Ok(())
            }
            None => self.err(&Fault::Unsupported("too many types carried for its size")),
        }
    }

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

    fn module(&mut self) -> Load<()> {
        let mut r = Reader::new(self.bytes, 0, self.bytes.len());
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
        self.count()?;
        let bits = self.out.functions.count.div_ceil(8);
        self.declared = bits;
        match self.stack.get_mut(..bits as usize) {
            Some(bits) => bits.fill(0),
            None => return self.err(&Fault::Unsupported("too many functions")),
        }
        let functions_declared = self.out.records.count;
        // Spaces are counted for real as sections come.
        let (mut functions, mut bodies) = (0u32, 0u32);
        let counts = (
            self.out.types,
            self.out.functions,
            self.out.globals,
            self.out.tables,
            self.out.elements,
            self.out.datas,
        );
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
            match id {
                1 => self.types(&mut s, counts.0)?,
                2 => {
                    self.out.imports_at = s.at as u32;
                    self.imports(&mut s)?;
                }
                3 => {
                    let n = s.u32()?;
                    for _ in 0..n {
                        self.function(&mut s)?;
                    }
                    functions = n;
                }
                4 => {
                    let n = s.u32()?;
                    for _ in 0..n {
                        self.table_type(&mut s, false)?;
                    }
                }
                5 => {
                    let n = s.u32()?;
                    for _ in 0..n {
                        self.memory_type(&mut s, false)?;
                    }
                }
                6 => {
                    let n = s.u32()?;
                    for _ in 0..n {
                        let (value, mutable) = global_type(&mut s)?;
                        let init = s.at as u32;
                        self.constant(&mut s, value)?;
                        self.put_global(GlobalEntry {
                            value,
                            mutable,
                            imported: false,
                            init,
                        })?;
                    }
                }
                7 => self.exports(&mut s)?,
                8 => {
                    self.here = s.at as u32;
                    let f = s.u32()?;
                    let ty = self.signature(f)?;
                    if ty.params.count != 0 || ty.results.count != 0 {
                        return self.err(&Fault::Invalid("start function"));
                    }
                    self.out.start = Some(f);
                }
                9 => self.elements(&mut s)?,
                12 => self.data_count = Some(s.u32()?),
                10 => {
                    self.out.code_at = s.at as u32;
                    bodies = s.u32()?;
                    if bodies != functions {
                        return s.fail(&Fault::Malformed(
                            "function and code section have inconsistent lengths",
                        ));
                    }
                    for index in 0..bodies {
                        self.body(&mut s, index)?;
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
                        self.data(&mut s)?;
                    }
                }
            }
            if !s.done() {
                return s.fail(&Fault::Malformed("section size mismatch"));
            }
            r.at = end;
        }
        self.here = self.bytes.len() as u32;
        if functions != bodies {
            return self.err(&Fault::Malformed(
                "function and code section have inconsistent lengths",
            ));
        }
        if self.data_count.is_some_and(|c| c != self.out.datas.count) {
            return self.err(&Fault::Malformed(
                "data count and data section have inconsistent lengths",
            ));
        }
        debug_assert_eq!(functions, functions_declared);
        self.walk();
        Ok(())
    }

    fn types(&mut self, s: &mut Reader<'_>, space: Space) -> Load<()> {
        for index in 0..s.u32()? {
            self.here = s.at as u32;
            if s.byte()? != 0x60 {
                s.at -= 1;
                return s.fail(&Fault::Malformed("integer representation too long"));
            }
            let mut ty = TypeEntry::default();
            for part in [&mut ty.params, &mut ty.results] {
                let n = s.u32()?;
                *part = Types {
                    at: s.at as u32,
                    count: n,
                };
                for _ in 0..n {
                    value_type(s)?;
                }
                if n > 1000 {
                    return s.fail(&Fault::Unsupported("more than 1000 parameters or results"));
                }
            }
            self.put_entry(space.entry::<3>(index), ty)?;
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

    fn global(&mut self, index: u32) -> Load<GlobalEntry> {
        if index >= self.out.globals.count {
            return self.err(&Fault::Invalid("unknown global"));
        }
        Ok(self.entry(self.out.globals.entry::<2>(index)))
    }

    #[inline(never)]
    fn table_element(&mut self, index: u32) -> Load<u8> {
        if index >= self.out.tables.count {
            return self.err(&Fault::Invalid("unknown table"));
        }
        let table: TableEntry = self.entry(self.out.tables.entry::<3>(index));
        Ok(table.element)
    }

    fn type_parts(&mut self, ty: u32) -> Load<TypeEntry> {
        if ty >= self.out.types.count {
            return self.err(&Fault::Invalid("unknown type"));
        }
        Ok(self.entry(self.out.types.entry::<3>(ty)))
    }

    fn signature(&mut self, function: u32) -> Load<TypeEntry> {
        if function >= self.out.functions.count {
            return self.err(&Fault::Invalid("unknown function"));
        }
        let ty = self.entry(self.out.functions.entry::<1>(function));
        self.type_parts(ty)
    }

    fn byte_at(&self, at: u32) -> u8 {
        self.bytes.get(at as usize).copied().unwrap_or(0)
    }

    fn declare(&mut self, function: u32) {
        if let Some(byte) = self.stack.get_mut((function / 8) as usize) {
            *byte |= 1 << (function % 8);
        }
    }

    /// A constant expression of this type.
    fn constant(&mut self, s: &mut Reader<'_>, ty: u8) -> Load<()> {
        let mut found = None;
        loop {
            self.here = s.at as u32;
            let got = match s.byte()? {
                op::END => break,
                op::I32_CONST => {
                    s.s32()?;
                    I32
                }
                op::I64_CONST => {
                    s.s64()?;
                    I64
                }
                op::F32_CONST => {
                    s.take(4)?;
                    F32
                }
                op::F64_CONST => {
                    s.take(8)?;
                    F64
                }
                op::REF_NULL => reference_type(s)?,
                op::REF_FUNC => {
                    let f = s.u32()?;
                    if f >= self.out.functions.count {
                        return self.err(&Fault::Invalid("unknown function"));
                    }
                    self.declare(f);
                    0x70
                }
                op::GLOBAL_GET => {
                    let index = s.u32()?;
                    if index >= self.imported[3] {
                        return self.err(&Fault::Invalid("unknown global"));
                    }
                    let global = self.global(index)?;
                    if global.mutable {
                        return self.err(&Fault::Invalid("constant expression required"));
                    }
                    global.value
                }
                byte if plain(byte).is_some() => {
                    return self.err(&Fault::Invalid("constant expression required"));
                }
                _ => return self.err(&Fault::Malformed("illegal opcode")),
            };
            if found.is_some() {
                return self.err(&Fault::Invalid("type mismatch"));
            }
            found = Some(got);
        }
        if found != Some(ty) {
            self.err(&Fault::Invalid("type mismatch"))
        } else {
            Ok(())
        }
    }

    fn exports(&mut self, s: &mut Reader<'_>) -> Load<()> {
        self.out.exports_at = s.at as u32;
        let n = s.u32()?;
        for index in 0..n {
            let start = s.at as u32;
            s.name()?;
            self.here = start;
            match self.forward.get_mut(index as usize) {
                Some(slot) => slot.entry = start,
                None => return self.err(&Fault::Unsupported("too many exports")),
            }
            self.here = s.at as u32;
            let kind = s.byte()?;
            let item = s.u32()?;
            match kind {
                0 => {
                    self.signature(item)?;
                    self.declare(item);
                }
                1 => drop(self.table_element(item)?),
                2 if item == 0 && self.out.memory.is_some() => {}
                2 => return self.err(&Fault::Invalid("unknown memory")),
                3 => drop(self.global(item)?),
                _ => return self.err(&Fault::Malformed("malformed export kind")),
            }
        }
        match self.repeated(n) {
            Some(at) => {
                self.here = at;
                self.err(&Fault::Invalid("duplicate export name"))
            }
            None => Ok(()),
        }
    }

    /// The place of the first export whose name another before it has, among those noted in the scratch space: they are
    /// sorted (a heap sort: its worst case is its usual one), and compared with their neighbours.
    fn repeated(&mut self, count: u32) -> Option<u32> {
        let bytes = self.bytes;
        let key = |slot: &Forward| {
            let mut r = Reader::new(bytes, slot.entry as usize, bytes.len());
            (r.name().unwrap_or(""), slot.entry)
        };
        let heap = self.forward.get_mut(..count as usize)?;
        let sink = |heap: &mut [Forward], mut at: usize| {
            loop {
                let child = 2 * at + 1;
                let larger = match (heap.get(child), heap.get(child + 1)) {
                    (Some(left), Some(right)) if key(left) < key(right) => child + 1,
                    (Some(_), _) => child,
                    (None, _) => return,
                };
                let sunk = heap
                    .get(at)
                    .zip(heap.get(larger))
                    .is_none_or(|(parent, child)| key(parent) >= key(child));
                if sunk {
                    return;
                }
                heap.swap(at, larger);
                at = larger;
            }
        };
        for at in (0..heap.len() / 2).rev() {
            sink(heap, at);
        }
        for end in (1..heap.len()).rev() {
            heap.swap(0, end);
            if let Some(rest) = heap.get_mut(..end) {
                sink(rest, 0);
            }
        }
        heap.iter()
            .zip(heap.iter().skip(1))
            .filter(|(one, next)| key(one).0 == key(next).0)
            .map(|(_, next)| next.entry)
            .min()
    }

    fn elements(&mut self, s: &mut Reader<'_>) -> Load<()> {
        for index in 0..s.u32()? {
            self.here = s.at as u32;
            self.put_entry(self.out.elements.entry::<1>(index), s.at as u32)?;
            let flags = s.u32()?;
            if flags > 7 {
                return self.err(&Fault::Malformed("malformed elements segment kind"));
            }
            let table = if flags & 1 == 0 {
                Some(if flags & 2 != 0 { s.u32()? } else { 0 })
            } else {
                None
            };
            if let Some(table) = table {
                self.table_element(table)?;
                self.constant(s, I32)?;
            }
            self.here = s.at as u32;
            let ty = if flags & 3 == 0 {
                0x70
            } else if flags & 4 == 0 {
                if s.byte()? != 0 {
                    return self.err(&Fault::Malformed("malformed element kind"));
                }
                0x70
            } else {
                reference_type(s)?
            };
            if let Some(table) = table
                && self.table_element(table)? != ty
            {
                return self.err(&Fault::Invalid("type mismatch"));
            }
            for _ in 0..s.u32()? {
                self.here = s.at as u32;
                if flags & 4 == 0 {
                    let f = s.u32()?;
                    self.signature(f)?;
                    self.declare(f);
                } else {
                    self.constant(s, ty)?;
                }
            }
            self.out.elements.count = index + 1;
        }
        Ok(())
    }

    fn data(&mut self, s: &mut Reader<'_>) -> Load<()> {
        self.here = s.at as u32;
        let index = self.out.datas.count;
        self.put_entry(self.out.datas.entry::<1>(index), s.at as u32)?;
        let flags = s.u32()?;
        if flags > 2 {
            return self.err(&Fault::Malformed("malformed data segment kind"));
        }
        if flags != 1 {
            let memory = if flags == 2 { s.u32()? } else { 0 };
            if memory != 0 || self.out.memory.is_none() {
                return self.err(&Fault::Invalid("unknown memory"));
            }
            self.constant(s, I32)?;
        }
        let n = s.u32()?;
        s.take(n)?;
        self.out.datas.count += 1;
        Ok(())
    }

    // ---- function bodies ------------------------------------------------------------------------------------------

    fn push(&mut self, ty: u8) -> Load<()> {
        self.wide |= ty == I64 || ty == F64;
        let at = (self.declared + self.locals + self.operands) as usize;
        match self.stack.get_mut(at) {
            Some(slot) => *slot = ty,
            None => return self.err(&Fault::Unsupported("too many operands")),
        }
        self.operands += 1;
        self.deepest = self.deepest.max(self.operands);
        Ok(())
    }

    /// Many locals of a type, which cost a module a few bytes: written at once, and counted as what that takes.
    fn declare_locals(&mut self, ty: u8, count: u32) -> Load<()> {
        self.carry(count / 8)?;
        self.wide |= count > 0 && (ty == I64 || ty == F64);
        let at = (self.declared + self.operands) as usize;
        match self.stack.get_mut(at..at + count as usize) {
            Some(slots) => slots.fill(ty),
            None => return self.err(&Fault::Unsupported("too many operands")),
        }
        self.operands += count;
        Ok(())
    }

    fn pop(&mut self) -> Load<u8> {
        let block = self.block(0)?;
        if self.operands <= block.height {
            return if block.unreachable {
                Ok(ANY)
            } else {
                self.err(&Fault::Invalid("type mismatch"))
            };
        }
        self.operands -= 1;
        let at = (self.declared + self.locals + self.operands) as usize;
        Ok(self.stack.get(at).copied().unwrap_or(ANY))
    }

    fn expect(&mut self, ty: u8) -> Load<()> {
        let got = self.pop()?;
        if got == ty || got == ANY {
            Ok(())
        } else {
            self.err(&Fault::Invalid("type mismatch"))
        }
    }

    fn expect_all(&mut self, Types { at, count }: Types) -> Load<()> {
        self.carry(count)?;
        for i in (0..count).rev() {
            self.expect(self.byte_at(at + i))?;
        }
        Ok(())
    }

    fn push_all(&mut self, Types { at, count }: Types) -> Load<()> {
        self.carry(count)?;
        for i in 0..count {
            self.push(self.byte_at(at + i))?;
        }
        Ok(())
    }

    fn block(&self, label: u32) -> Load<Block> {
        match self
            .depth
            .checked_sub(1)
            .and_then(|top| top.checked_sub(label))
        {
            Some(index) => Ok(self
                .blocks
                .get(index as usize)
                .copied()
                .unwrap_or(Block::NONE)),
            None => self.err(&Fault::Invalid("unknown label")),
        }
    }

    fn block_mut(&mut self, label: u32) -> Option<&mut Block> {
        let index = self.depth.checked_sub(1 + label)?;
        self.blocks.get_mut(index as usize)
    }

    /// The type of a block. A single value type points at its own byte in the code.
    fn block_parts(&mut self, ty: i32, opcode: u8) -> Load<TypeEntry> {
        let results = |results| {
            Ok(TypeEntry {
                params: Types::default(),
                results,
            })
        };
        if opcode == op::END {
            return results(self.results);
        }
        match ty {
            -64 => Ok(TypeEntry::default()),
            // The offset of the byte, negated (see `enter`).
            ..0 => results(Types {
                at: ty.unsigned_abs() - 1000,
                count: 1,
            }),
            _ => self.type_parts(ty as u32),
        }
    }

    fn enter(&mut self, s: &mut Reader<'_>, opcode: u8) -> Load<()> {
        let at = s.at as u32;
        let ty = match s.s33()? {
            -64 => -64,
            ty @ 0.. if u32::try_from(ty).is_ok_and(|t| t < self.out.types.count) => ty as i32,
            0.. => return self.err(&Fault::Invalid("unknown type")),
            _ => {
                if s.at as u32 != at + 1 || ValType::from_byte(self.byte_at(at)).is_none() {
                    return self.err(&Fault::Malformed("malformed block type"));
                }
                -((at + 1000) as i32)
            }
        };
        let TypeEntry { params, .. } = self.block_parts(ty, opcode)?;
        self.expect_all(params)?;
        let head = (s.at as u32, self.out.table_bytes);
        self.open(Block {
            opcode,
            ty,
            head,
            height: self.operands,
            ..Block::NONE
        })?;
        self.push_all(params)
    }

    fn open(&mut self, block: Block) -> Load<()> {
        match self.blocks.get_mut(self.depth as usize) {
            Some(slot) => *slot = block,
            None => return self.err(&Fault::Unsupported("blocks nested too deeply")),
        }
        self.depth += 1;
        Ok(())
    }

    fn unreachable(&mut self) {
        let operands = self.block(0).map_or(0, |b| b.height);
        self.operands = operands;
        if let Some(block) = self.block_mut(0) {
            block.unreachable = true;
        }
    }

    /// Types a branch to this label carries.
    fn label(&mut self, label: u32) -> Load<Types> {
        let block = self.block(label)?;
        let TypeEntry { params, results } = self.block_parts(block.ty, block.opcode)?;
        Ok(if block.opcode == op::LOOP {
            params
        } else {
            results
        })
    }

    /// Writes the entry of a branch from `code` to `target`, in the code and in the table.
    fn put_branch(&mut self, from: Forward, target: (u32, u32)) -> Load<()> {
        let (code, table) = target;
        let branch = Branch::new(
            code.wrapping_sub(from.code),
            table.wrapping_sub(from.entry),
            from.kept,
            from.dropped,
        );
        self.put_entry(from.entry, branch)
    }

    /// Takes note of a branch whose target comes later.
    fn pend(&mut self, branch: Forward) -> Load<u32> {
        let index = if self.free != NONE {
            self.free
        } else {
            self.fresh
        };
        let Some(slot) = self.forward.get_mut(index as usize) else {
            return self.err(&Fault::Unsupported("too many pending branches"));
        };
        if self.free != NONE {
            self.free = slot.next;
        } else {
            self.fresh += 1;
        }
        *slot = branch;
        Ok(index)
    }

    /// Takes the place of the present instruction's branch in the table.
    fn place_branch(&mut self) -> Forward {
        let entry = self.out.table_bytes;
        self.out.table_bytes += Branch::BYTES;
        Forward {
            entry,
            code: self.here + 1,
            ..Forward::NONE
        }
    }

    /// Emits a branch to a label; the operands it carries lie on the stack.
    fn branch(&mut self, label: u32, carried: u32) -> Load<()> {
        let block = self.block(label)?;
        let place = self.place_branch();
        // A branch out of the function is its return, which finds the results itself.
        let dropped = if label + 1 == self.depth {
            0
        } else {
            self.operands
                .saturating_sub(block.height)
                .saturating_sub(carried)
        };
        let Ok(dropped) = u16::try_from(dropped) else {
            return self.err(&Fault::Unsupported("too many operands"));
        };
        let branch = Forward {
            kept: carried as u16,
            dropped,
            next: block.pending,
            ..place
        };
        if block.opcode == op::LOOP {
            return self.put_branch(branch, block.head);
        }
        let index = self.pend(branch)?;
        if let Some(block) = self.block_mut(label) {
            block.pending = index;
        }
        Ok(())
    }

    /// Writes the pending branches from this one on, now that their target is known.
    fn resolve(&mut self, mut index: u32, target: (u32, u32)) -> Load<()> {
        while let Some(&branch) = self.forward.get(index as usize) {
            self.put_branch(branch, target)?;
            if let Some(slot) = self.forward.get_mut(index as usize) {
                slot.next = self.free;
            }
            self.free = index;
            index = branch.next;
        }
        Ok(())
    }

    fn body(&mut self, s: &mut Reader<'_>, index: u32) -> Load<()> {
        self.here = s.at as u32;
        let size = s.u32()?;
        let end = s.at.saturating_add(size as usize);
        if end > s.end {
            return s.fail(&Fault::Malformed("unexpected end"));
        }
        let section = core::mem::replace(&mut s.end, end);
        let TypeEntry { params, results } = self.signature(self.imported[0] + index)?;
        self.locals = 0;
        self.operands = 0;
        self.wide = false;
        self.long = false;
        self.push_all(params)?;
        self.carry(results.count)?;
        for i in 0..results.count {
            let ty = self.byte_at(results.at + i);
            self.wide |= ty == I64 || ty == F64;
        }
        let mut total = u64::from(params.count);
        for _ in 0..s.u32()? {
            self.here = s.at as u32;
            let n = s.u32()?;
            total += u64::from(n);
            if total > u64::from(u32::MAX) {
                return self.err(&Fault::Malformed("too many locals"));
            }
            let ty = value_type(s)?;
            // Beyond what is taken here the counts are still added up: too many are malformed, not only unsupported.
            if total <= MOST_LOCALS {
                self.declare_locals(ty, n)?;
            }
        }
        if total > MOST_LOCALS {
            return self.err(&Fault::Unsupported("more than 50000 locals"));
        }
        self.locals = self.operands;
        self.operands = 0;
        self.deepest = 0;
        self.depth = 0;
        self.free = NONE;
        self.fresh = 0;
        self.results = results;
        let code = s.at as u32;
        let table = self.out.table_bytes;
        self.open(Block {
            opcode: op::END,
            ..Block::NONE
        })?;
        while self.depth > 0 {
            self.here = s.at as u32;
            if s.done() {
                return self.err(&Fault::Malformed("unexpected end"));
            }
            self.instruction(s)?;
            self.long |= self.lengthy(s.at as u32);
        }
        if !s.done() {
            return s.fail(&Fault::Malformed("section size mismatch"));
        }
        s.end = section;
        let slots = self.locals + 1 + self.deepest.max(results.count);
        if slots > 0xffff {
            return self.err(&Fault::Unsupported("frame too large"));
        }
        let size = if self.wide { 8 } else { 4 };
        let record = Record {
            code,
            end: s.at as u32,
            branch: table,
            params: params.count as u16,
            locals: self.locals as u16,
            slots: slots as u16,
            results: results.count as u16,
            room: Room::new(slots * size + FRAME_RECORD, self.wide, self.long),
        };
        self.put_entry(self.out.records.entry::<6>(index), record)
    }

    /// Whether the present instruction, which ends at `end`, makes its function [`Record::is_long`].
    fn lengthy(&self, end: u32) -> bool {
        let byte = self.byte_at(self.here);
        match byte {
            op::BLOCK | op::LOOP | op::IF | op::BR | op::BR_IF => end > self.here + 2,
            op::LOCAL_GET..=op::GLOBAL_SET => end > self.here + 2,
            op::SELECT_T => end > self.here + 3,
            op::I32_LOAD..=op::I64_STORE32 => self.byte_at(self.here + 1) & 0x80 != 0,
            _ => false,
        }
    }

    fn local(&self, index: u32) -> Load<u8> {
        if index >= self.locals {
            return self.err(&Fault::Invalid("unknown local"));
        }
        Ok(self
            .stack
            .get((self.declared + index) as usize)
            .copied()
            .unwrap_or(ANY))
    }

    fn need_memory(&self) -> Load<()> {
        if self.out.memory.is_none() {
            self.err(&Fault::Invalid("unknown memory"))
        } else {
            Ok(())
        }
    }

    fn zero(&self, s: &mut Reader<'_>) -> Load<()> {
        if s.byte()? != 0 {
            s.at -= 1;
            return s.fail(&Fault::Malformed("zero byte expected"));
        }
        Ok(())
    }

    fn effect(&mut self, effect: Effect) -> Load<()> {
        for ty in effect.operands() {
            self.expect(ty)?;
        }
        effect.result().map_or(Ok(()), |ty| self.push(ty))
    }

    fn instruction(&mut self, s: &mut Reader<'_>) -> Load<()> {
        let byte = s.byte()?;
        let Some(opcode) = plain(byte) else {
            return self.err(&Fault::Malformed("illegal opcode"));
        };
        match byte {
            op::UNREACHABLE => self.unreachable(),
            op::BLOCK | op::LOOP => self.enter(s, byte)?,
            op::IF => {
                self.expect(I32)?;
                let branch = self.place_branch();
                let index = self.pend(branch)?;
                self.enter(s, byte)?;
                if let Some(block) = self.block_mut(0) {
                    block.otherwise = index;
                }
            }
            op::ELSE => {
                let block = self.block(0)?;
                if block.opcode != op::IF {
                    return self.err(&Fault::Malformed("else without if"));
                }
                let TypeEntry { params, results } = self.block_parts(block.ty, block.opcode)?;
                self.expect_all(results)?;
                if self.operands != block.height {
                    return self.err(&Fault::Invalid("type mismatch"));
                }
                let branch = Forward {
                    next: block.pending,
                    ..self.place_branch()
                };
                let index = self.pend(branch)?;
                self.resolve(block.otherwise, (s.at as u32, self.out.table_bytes))?;
                if let Some(b) = self.block_mut(0) {
                    *b = Block {
                        opcode: op::ELSE,
                        unreachable: false,
                        pending: index,
                        otherwise: NONE,
                        ..block
                    };
                }
                self.push_all(params)?;
            }
            op::END => {
                let block = self.block(0)?;
                let TypeEntry { params, results } = self.block_parts(block.ty, block.opcode)?;
                self.expect_all(results)?;
                if self.operands != block.height {
                    return self.err(&Fault::Invalid("type mismatch"));
                }
                if block.opcode == op::IF {
                    self.carry(params.count)?;
                    let same = params.count == results.count
                        && (0..params.count)
                            .all(|i| self.byte_at(params.at + i) == self.byte_at(results.at + i));
                    if !same {
                        return self.err(&Fault::Invalid("type mismatch"));
                    }
                }
                let at = if self.depth == 1 {
                    self.here
                } else {
                    s.at as u32
                };
                let target = (at, self.out.table_bytes);
                self.resolve(block.pending, target)?;
                self.resolve(block.otherwise, target)?;
                self.depth -= 1;
                if self.depth > 0 {
                    self.push_all(results)?;
                }
            }
            op::BR => {
                let label = s.u32()?;
                let types = self.label(label)?;
                self.expect_all(types)?;
                self.push_all(types)?;
                self.branch(label, types.count)?;
                self.unreachable();
            }
            op::BR_IF => {
                let label = s.u32()?;
                self.expect(I32)?;
                let types = self.label(label)?;
                self.expect_all(types)?;
                self.push_all(types)?;
                self.branch(label, types.count)?;
            }
            op::BR_TABLE => {
                self.expect(I32)?;
                let n = s.u32()?;
                let labels = *s;
                // The default comes last and fixes the number of operands.
                for _ in 0..n {
                    s.u32()?;
                }
                let default = s.u32()?;
                let arity = self.label(default)?.count;
                let mut r = labels;
                for _ in 0..=n {
                    let label = r.u32()?;
                    let types = self.label(label)?;
                    if types.count != arity {
                        return self.err(&Fault::Invalid("type mismatch"));
                    }
                    // Check against the operands without changing them: those of unreachable code fit anything.
                    self.carry(arity)?;
                    let block = self.block(0)?;
                    for i in 0..arity {
                        let want = self.byte_at(types.at + arity - 1 - i);
                        let got = if self.operands.saturating_sub(i) > block.height {
                            let at = (self.declared + self.locals + self.operands - 1 - i) as usize;
                            self.stack.get(at).copied().unwrap_or(ANY)
                        } else if block.unreachable {
                            ANY
                        } else {
                            return self.err(&Fault::Invalid("type mismatch"));
                        };
                        if got != ANY && got != want {
                            return self.err(&Fault::Invalid("type mismatch"));
                        }
                    }
                    self.branch(label, arity)?;
                }
                self.unreachable();
            }
            op::RETURN => {
                self.expect_all(self.results)?;
                self.unreachable();
            }
            op::CALL => {
                let f = s.u32()?;
                let TypeEntry { params, results } = self.signature(f)?;
                self.expect_all(params)?;
                self.push_all(results)?;
            }
            op::CALL_INDIRECT => {
                let ty = s.u32()?;
                let table = s.u32()?;
                if self.table_element(table)? != 0x70 {
                    return self.err(&Fault::Invalid("type mismatch"));
                }
                self.indirect = true;
                let TypeEntry { params, results } = self.type_parts(ty)?;
                self.expect(I32)?;
                self.expect_all(params)?;
                self.push_all(results)?;
            }
            op::DROP => drop(self.pop()?),
            op::SELECT => {
                self.expect(I32)?;
                let (a, b) = (self.pop()?, self.pop()?);
                let numeric = |t: u8| t == ANY || t > 0x70;
                if !numeric(a) || !numeric(b) || a != b && a != ANY && b != ANY {
                    return self.err(&Fault::Invalid("type mismatch"));
                }
                self.push(if a == ANY { b } else { a })?;
            }
            op::SELECT_T => {
                if s.u32()? != 1 {
                    return self.err(&Fault::Invalid("invalid result arity"));
                }
                let ty = value_type(s)?;
                self.expect(I32)?;
                self.expect(ty)?;
                self.expect(ty)?;
                self.push(ty)?;
            }
            op::LOCAL_GET => {
                let index = s.u32()?;
                self.push(self.local(index)?)?;
            }
            op::LOCAL_SET => {
                let index = s.u32()?;
                self.expect(self.local(index)?)?;
            }
            op::LOCAL_TEE => {
                let index = s.u32()?;
                let ty = self.local(index)?;
                self.expect(ty)?;
                self.push(ty)?;
            }
            op::GLOBAL_GET => {
                let index = s.u32()?;
                let global = self.global(index)?;
                self.push(global.value)?;
            }
            op::GLOBAL_SET => {
                let index = s.u32()?;
                let global = self.global(index)?;
                if !global.mutable {
                    return self.err(&Fault::Invalid("global is immutable"));
                }
                self.expect(global.value)?;
            }
            op::TABLE_GET => {
                let index = s.u32()?;
                let ty = self.table_element(index)?;
                self.expect(I32)?;
                self.push(ty)?;
            }
            op::TABLE_SET => {
                let index = s.u32()?;
                let ty = self.table_element(index)?;
                self.expect(ty)?;
                self.expect(I32)?;
            }
            op::REF_NULL => {
                let ty = reference_type(s)?;
                self.push(ty)?;
            }
            op::REF_IS_NULL => {
                let ty = self.pop()?;
                if ty > 0x70 {
                    return self.err(&Fault::Invalid("type mismatch"));
                }
                self.push(I32)?;
            }
            op::REF_FUNC => {
                let f = s.u32()?;
                self.signature(f)?;
                let declared = self
                    .stack
                    .get((f / 8) as usize)
                    .is_some_and(|b| b >> (f % 8) & 1 == 1);
                if !declared {
                    return self.err(&Fault::Invalid("undeclared function reference"));
                }
                self.push(0x70)?;
            }
            op::PREFIX => return self.prefixed(s),
            _ => {
                match opcode.immediates {
                    Immediates::Memory(natural) => {
                        let align = s.u32()?;
                        s.u32()?;
                        if align >= 32 {
                            return self.err(&Fault::Malformed("malformed memop flags"));
                        }
                        self.need_memory()?;
                        if align > u32::from(natural) {
                            return self
                                .err(&Fault::Invalid("alignment must not be larger than natural"));
                        }
                    }
                    Immediates::Zero => {
                        self.zero(s)?;
                        self.need_memory()?;
                    }
                    Immediates::I32 => drop(s.s32()?),
                    Immediates::I64 => drop(s.s64()?),
                    Immediates::F32 => drop(s.take(4)?),
                    Immediates::F64 => drop(s.take(8)?),
                    _ => {}
                }
                self.effect(opcode.effect)?;
            }
        }
        Ok(())
    }

    fn prefixed(&mut self, s: &mut Reader<'_>) -> Load<()> {
        let number = s.u32()?;
        let Some(opcode) = u8::try_from(number).ok().and_then(prefixed) else {
            return self.err(&Fault::Malformed("illegal opcode"));
        };
        match number as u8 {
            more::MEMORY_INIT | more::DATA_DROP => {
                let index = s.u32()?;
                if opcode.immediates == Immediates::SegmentZero {
                    self.zero(s)?;
                    self.need_memory()?;
                }
                match self.data_count {
                    None => return self.err(&Fault::Malformed("data count section required")),
                    Some(count) if index >= count => {
                        return self.err(&Fault::Invalid("unknown data segment"));
                    }
                    Some(_) => {}
                }
            }
            more::MEMORY_COPY => {
                self.zero(s)?;
                self.zero(s)?;
                self.need_memory()?;
            }
            more::MEMORY_FILL => {
                self.zero(s)?;
                self.need_memory()?;
            }
            more::TABLE_INIT | more::ELEM_DROP => {
                let segment = s.u32()?;
                let table = if opcode.immediates == Immediates::Indices {
                    Some(s.u32()?)
                } else {
                    None
                };
                let element = match table {
                    Some(table) => Some(self.table_element(table)?),
                    None => None,
                };
                let ty = self.element_type(segment)?;
                if element.is_some_and(|e| e != ty) {
                    return self.err(&Fault::Invalid("type mismatch"));
                }
            }
            more::TABLE_COPY => {
                let (to, from) = (s.u32()?, s.u32()?);
                if self.table_element(to)? != self.table_element(from)? {
                    return self.err(&Fault::Invalid("type mismatch"));
                }
            }
            more::TABLE_GROW => {
                let index = s.u32()?;
                let ty = self.table_element(index)?;
                self.expect(I32)?;
                self.expect(ty)?;
                self.push(I32)?;
            }
            more::TABLE_SIZE => {
                let index = s.u32()?;
                self.table_element(index)?;
            }
            more::TABLE_FILL => {
                let index = s.u32()?;
                let ty = self.table_element(index)?;
                self.expect(I32)?;
                self.expect(ty)?;
                self.expect(I32)?;
            }
            _ => {}
        }
        self.effect(opcode.effect)
    }

    fn element_type(&mut self, segment: u32) -> Load<u8> {
        if segment >= self.out.elements.count {
            return self.err(&Fault::Invalid("unknown elem segment"));
        }
        let at: u32 = self.entry(self.out.elements.entry::<1>(segment));
        let mut r = Reader::new(self.bytes, at as usize, self.bytes.len());
        let flags = r.u32()?;
        if flags & 4 == 0 || flags & 3 == 0 {
            return Ok(0x70);
        }
        if flags & 1 == 0 {
            r.u32()?;
            // The offset of an active segment was validated: skip it.
            loop {
                let byte = r.byte()?;
                if byte == op::END {
                    break;
                }
                skip(&mut r, byte)?;
            }
        }
        r.byte()
    }

    // ---- the deepest chain of calls -------------------------------------------------------------------------------

    /// Finds the worst stack over all chains of calls, each body read once. Leaves 0 where it is not known: recursion,
    /// indirect calls, or more functions than the scratch space holds.
    fn walk(&mut self) {
        let count = self.out.records.count;
        if self.indirect || count as usize > self.forward.len() {
            return;
        }
        for slot in self.forward.iter_mut().take(count as usize) {
            *slot = Visit::default().into();
        }
        let (mut stack, mut depth) = (0, 0);
        for root in 0..count {
            let Some(mut visit) = self.visit(root) else {
                return;
            };
            if visit.position == Visit::DONE {
                continue;
            }
            visit.caller = NONE;
            self.set_visit(root, visit);
            let mut f = root;
            loop {
                let record: Record = self.entry(self.out.records.entry::<6>(f));
                let Some(mut own) = self.visit(f) else { return };
                let from = if own.position == 0 {
                    record.code
                } else {
                    own.position
                };
                let mut r = Reader::new(self.bytes, from as usize, record.end as usize);
                let Ok(callee) = self.next_callee(&mut r) else {
                    return;
                };
                if let Some(callee) = callee {
                    let Some(mut below) = self.visit(callee) else {
                        return;
                    };
                    own.position = (r.at as u32).max(1);
                    if below.position == Visit::DONE {
                        own.bytes = own.bytes.max(below.bytes);
                        own.depth = own.depth.max(below.depth);
                        self.set_visit(f, own);
                    } else if below.position != 0 || callee == f {
                        return;
                    } else {
                        self.set_visit(f, own);
                        below.caller = f;
                        self.set_visit(callee, below);
                        f = callee;
                    }
                    continue;
                }
                own.bytes = own.bytes.saturating_add(record.room.bytes() + ALIGNMENT);
                own.depth += 1;
                own.position = Visit::DONE;
                self.set_visit(f, own);
                stack = stack.max(own.bytes);
                depth = depth.max(own.depth);
                if own.caller == NONE {
                    break;
                }
                let Some(mut caller) = self.visit(own.caller) else {
                    return;
                };
                caller.bytes = caller.bytes.max(own.bytes);
                caller.depth = caller.depth.max(own.depth);
                self.set_visit(own.caller, caller);
                f = own.caller;
            }
        }
        self.out.stack = stack;
        self.out.depth = depth;
    }

    /// The next function of the module's own that is called from here on.
    fn next_callee(&self, r: &mut Reader<'_>) -> Load<Option<u32>> {
        while !r.done() {
            let byte = r.byte()?;
            if byte != op::CALL {
                skip(r, byte)?;
            } else if let Some(callee) = r.u32()?.checked_sub(self.imported[0]) {
                return Ok(Some(callee));
            }
        }
        Ok(None)
    }

    fn visit(&self, function: u32) -> Option<Visit> {
        self.forward
            .get(function as usize)
            .copied()
            .map(Visit::from)
    }

    fn set_visit(&mut self, function: u32, visit: Visit) {
        if let Some(slot) = self.forward.get_mut(function as usize) {
            *slot = visit.into();
        }
    }
}

/// What the walk over the calls knows of a function. It lies where pending branches were.
#[derive(Clone, Copy, Default)]
struct Visit {
    /// The worst stack of what was found so far, in bytes.
    bytes: u32,
    /// How far its code was read: 0 not at all.
    position: u32,
    /// The longest chain of calls from it on.
    depth: u32,
    /// From which function the walk came here.
    caller: u32,
}

impl Visit {
    /// The position of a function whose `bytes` and `depth` are all of it.
    const DONE: u32 = u32::MAX;
}

impl From<Forward> for Visit {
    fn from(slot: Forward) -> Self {
        Self {
            bytes: slot.entry,
            position: slot.code,
            depth: u32::from(slot.kept) | u32::from(slot.dropped) << 16,
            caller: slot.next,
        }
    }
}

impl From<Visit> for Forward {
    fn from(visit: Visit) -> Self {
        Self {
            entry: visit.bytes,
            code: visit.position,
            kept: visit.depth as u16,
            dropped: (visit.depth >> 16) as u16,
            next: visit.caller,
        }
    }
}
