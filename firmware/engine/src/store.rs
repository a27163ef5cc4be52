//! The store of an instance (WebAssembly 2.0 §4.2): its memory, tables, segments and references, and the instructions that
//! work on more than one entry or byte of them. What these cost by their length is charged here, for every tier.
use crate::module::Module;
use crate::opcode::{more, op};
use crate::reader::Reader;
use crate::state::State;
use crate::trap::TrapKind;

/// The flags of a segment in the module (WebAssembly 2.0 §5.5.12, §5.5.14).
struct Segment;

impl Segment {
    /// It is not copied when the instance is made. An element segment with [`Self::INDEX`] too is only declared.
    const PASSIVE: u32 = 1;
    /// An active one names its table or memory.
    const INDEX: u32 = 2;
    /// Elements are expressions and not indices of functions.
    const EXPRESSIONS: u32 = 4;
}

/// A data segment.
pub(crate) struct Data<'a> {
    /// Where it lies in the module.
    pub(crate) place: u32,
    /// The offset that an active one goes to.
    pub(crate) active: Option<u32>,
    pub(crate) bytes: &'a [u8],
}

/// An element segment.
pub(crate) struct Elements<'a> {
    /// Where it lies in the module.
    pub(crate) place: u32,
    /// The table and the offset that an active one goes to.
    pub(crate) active: Option<(u32, u32)>,
    /// It is there only so that its functions may be referred to.
    pub(crate) declared: bool,
    expressions: bool,
    pub(crate) count: u32,
    /// Its elements in the module.
    items: Reader<'a>,
}

impl State {
    /// Where table `table` keeps its entries, and how many there are.
    pub fn table(&self, table: u32) -> (u32, u32) {
        let at = self.layout.tables + table * 12;
        (self.read32(at), self.read32(at + 4))
    }

    /// The entry of a table: a reference, or 0 for null.
    pub fn table_entry(&self, table: u32, index: u32) -> Option<u32> {
        let (at, size) = self.table(table);
        (index < size).then(|| self.read32(at + index * 4))
    }

    /// Sets the entry of a table; `false` when there is none with this index.
    pub fn set_table_entry(&mut self, table: u32, index: u32, v: u32) -> bool {
        let (at, size) = self.table(table);
        if index < size {
            self.write32(at + index * 4, v);
        }
        index < size
    }

    /// Grows a table by so many entries: the size before, or `None` beyond what is granted.
    pub(crate) fn grow_table(&mut self, table: u32, by: u32, v: u32) -> Option<u32> {
        let header = self.layout.tables + table * 12;
        let (at, size) = self.table(table);
        let new = size.checked_add(by)?;
        if new > self.read32(header + 8) {
            return None;
        }
        for i in size..new {
            self.write32(at + i * 4, v);
        }
        self.write32(header + 4, new);
        Some(size)
    }

    /// Makes a table of so many null entries.
    pub(crate) fn init_table(&mut self, table: u32, at: u32, entries: u32, max: u32) {
        let header = self.layout.tables + table * 12;
        self.write32(header, at);
        self.write32(header + 4, entries);
        self.write32(header + 8, max);
        for i in 0..entries {
            self.write32(at + i * 4, 0);
        }
    }

    /// Grows the linear memory by so many pages: the size before, or `None` beyond what is granted. `memory.grow` costs the bytes it
    /// adds, which the tier charges.
    pub fn grow_memory(&mut self, module: &Module<'_>, by: u32) -> Option<u32> {
        let memory = module.memory_type()?;
        let old = (self.memory >> memory.page_log2) as u32;
        let new = old.checked_add(by)?;
        if new > self.layout.memory_pages {
            return None;
        }
        let bytes = (u64::from(new) << memory.page_log2) as usize;
        // SAFETY: the layout reserved `memory_pages` pages from `layout.memory` on, and `new` is not more.
        unsafe {
            self.base
                .add(self.layout.memory as usize + self.memory)
                .write_bytes(0, bytes - self.memory)
        };
        self.memory = bytes;
        Some(old)
    }

    /// Whether a segment was dropped: an element segment by its index, a data segment behind those.
    fn dropped(&self, segment: u32) -> bool {
        self.read32(self.layout.dropped + segment / 32 * 4) >> (segment % 32) & 1 == 1
    }

    /// Drops a segment.
    pub(crate) fn drop_segment(&mut self, segment: u32) {
        let at = self.layout.dropped + segment / 32 * 4;
        self.write32(at, self.read32(at) | 1 << (segment % 32));
    }

    /// The value of a constant expression, as the bits of a slot; leaves the reader behind it.
    pub(crate) fn constant(&self, r: &mut Reader<'_>) -> u64 {
        let mut value = 0;
        while let Ok(byte) = r.byte() {
            let next = match byte {
                op::I32_CONST => r.s32().map(|v| u64::from(v.cast_unsigned())),
                op::I64_CONST => r.s64().map(i64::cast_unsigned),
                op::F32_CONST => r
                    .take(4)
                    .map(|b| b.iter().rev().fold(0, |v, b| v << 8 | u64::from(*b))),
                op::F64_CONST => r
                    .take(8)
                    .map(|b| b.iter().rev().fold(0, |v, b| v << 8 | u64::from(*b))),
                op::REF_NULL => r.byte().map(|_| 0),
                op::REF_FUNC => r.u32().map(|f| u64::from(self.reference(f))),
                op::GLOBAL_GET => r.u32().map(|g| self.slot(g * 8, true)),
                _ => break,
            };
            value = next.unwrap_or(0);
        }
        value
    }

    /// The reference to the instance's function with this index.
    pub fn reference(&self, function: u32) -> u32 {
        // No larger than 2^32 - 1: see `InstanceError::Functions`.
        self.function_base.wrapping_add(function).wrapping_add(1)
    }

    /// A data segment: where it lies in the module, to what offset an active one goes, and its bytes.
    pub(crate) fn data<'a>(&self, module: &Module<'a>, segment: u32) -> Data<'a> {
        let place = module.entry(module.summary.datas.entry::<1>(segment));
        let mut r = module.reader(place);
        let flags = r.u32().unwrap_or(Segment::PASSIVE);
        if flags & Segment::INDEX != 0 {
            let _ = r.u32();
        }
        let active = (flags & Segment::PASSIVE == 0).then(|| self.constant(&mut r) as u32);
        let count = r.u32().unwrap_or(0);
        Data {
            place,
            active,
            bytes: r.take(count).unwrap_or(&[]),
        }
    }

    /// Copies a data segment into memory.
    pub(crate) fn memory_init(
        &mut self,
        module: &Module<'_>,
        segment: u32,
        to: u32,
        from: u32,
        n: u32,
    ) -> Result<(), TrapKind> {
        let mut bytes = self.data(module, segment).bytes;
        if self.dropped(module.summary.elements.count + segment) {
            bytes = &[];
        }
        let source = bytes
            .get(from as usize..(from as usize).saturating_add(n as usize))
            .ok_or(TrapKind::MemoryOutOfBounds)?;
        let target = self.bytes(to, n).ok_or(TrapKind::MemoryOutOfBounds)?;
        self.fuel -= n as isize;
        // SAFETY: `target` was checked to hold `n` bytes of linear memory, which does not overlap the module.
        unsafe { core::ptr::copy_nonoverlapping(source.as_ptr(), target, source.len()) };
        Ok(())
    }

    /// A pointer to `n` bytes of linear memory.
    fn bytes(&mut self, at: u32, n: u32) -> Option<*mut u8> {
        if u64::from(at) + u64::from(n) > self.memory as u64 {
            return None;
        }
        // SAFETY: inside the linear memory (or one past its end, for nothing).
        Some(unsafe { self.base.add(self.layout.memory as usize + at as usize) })
    }

    /// An element segment.
    pub(crate) fn elements<'a>(&self, module: &Module<'a>, segment: u32) -> Elements<'a> {
        let place = module.entry(module.summary.elements.entry::<1>(segment));
        let mut r = module.reader(place);
        let flags = r.u32().unwrap_or(0);
        let mut active = None;
        if flags & Segment::PASSIVE == 0 {
            let table = if flags & Segment::INDEX != 0 {
                r.u32().unwrap_or(0)
            } else {
                0
            };
            active = Some((table, self.constant(&mut r) as u32));
        }
        // Their kind or type, which is left out with neither flag.
        if flags & (Segment::PASSIVE | Segment::INDEX) != 0 {
            let _ = r.byte();
        }
        Elements {
            place,
            active,
            declared: flags & (Segment::PASSIVE | Segment::INDEX)
                == Segment::PASSIVE | Segment::INDEX,
            expressions: flags & Segment::EXPRESSIONS != 0,
            count: r.u32().unwrap_or(0),
            items: r,
        }
    }

    /// Copies an element segment into a table.
    pub(crate) fn table_init(
        &mut self,
        module: &Module<'_>,
        segment: u32,
        table: u32,
        to: u32,
        from: u32,
        n: u32,
    ) -> Result<(), TrapKind> {
        let Elements {
            mut items,
            expressions,
            count,
            ..
        } = self.elements(module, segment);
        let count = if self.dropped(segment) { 0 } else { count };
        let (_, size) = self.table(table);
        let outside = |at: u32, size: u32| at.checked_add(n).is_none_or(|end| end > size);
        if outside(from, count) || outside(to, size) {
            return Err(TrapKind::TableOutOfBounds);
        }
        // What is skipped is read too.
        self.fuel -= (from + n) as isize;
        for i in 0..from + n {
            let v = if expressions {
                self.constant(&mut items) as u32
            } else {
                self.reference(items.u32().unwrap_or(0))
            };
            if i >= from {
                self.set_table_entry(table, to + (i - from), v);
            }
        }
        Ok(())
    }

    /// Executes and charges the instruction with this number behind the prefix 0xfc, from `memory.init` on: its immediates, its
    /// operands in order, perhaps its result.
    pub fn bulk(
        &mut self,
        module: &Module<'_>,
        number: u8,
        x: u32,
        y: u32,
        [a, b, c]: [u32; 3],
    ) -> Result<Option<u32>, TrapKind> {
        match number {
            more::MEMORY_INIT => self.memory_init(module, x, a, b, c)?,
            more::DATA_DROP => self.drop_segment(module.summary.elements.count + x),
            more::MEMORY_COPY => {
                let (Some(to), Some(from)) = (self.bytes(a, c), self.bytes(b, c)) else {
                    return Err(TrapKind::MemoryOutOfBounds);
                };
                self.fuel -= c as isize;
                // SAFETY: both were checked to hold `c` bytes of linear memory; they may overlap.
                unsafe { core::ptr::copy(from, to, c as usize) };
            }
            more::MEMORY_FILL => {
                let to = self.bytes(a, c).ok_or(TrapKind::MemoryOutOfBounds)?;
                self.fuel -= c as isize;
                // SAFETY: checked to hold `c` bytes of linear memory.
                unsafe { to.write_bytes(b as u8, c as usize) };
            }
            more::TABLE_INIT => self.table_init(module, x, y, a, b, c)?,
            more::ELEM_DROP => self.drop_segment(x),
            more::TABLE_COPY => {
                let ((_, to), (_, from)) = (self.table(x), self.table(y));
                if a.checked_add(c).is_none_or(|e| e > to)
                    || b.checked_add(c).is_none_or(|e| e > from)
                {
                    return Err(TrapKind::TableOutOfBounds);
                }
                self.fuel -= c as isize;
                for i in 0..c {
                    let i = if a <= b { i } else { c - 1 - i };
                    if let Some(v) = self.table_entry(y, b + i) {
                        self.set_table_entry(x, a + i, v);
                    }
                }
            }
            more::TABLE_GROW => {
                let old = self.grow_table(x, b, a);
                if old.is_some() {
                    self.fuel -= b as isize;
                }
                return Ok(Some(old.unwrap_or(u32::MAX)));
            }
            more::TABLE_SIZE => return Ok(Some(self.table(x).1)),
            _ => {
                let (_, size) = self.table(x);
                if a.checked_add(c).is_none_or(|e| e > size) {
                    return Err(TrapKind::TableOutOfBounds);
                }
                self.fuel -= c as isize;
                for i in 0..c {
                    self.set_table_entry(x, a + i, b);
                }
            }
        }
        Ok(None)
    }
}
