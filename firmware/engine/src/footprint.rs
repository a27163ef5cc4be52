//! What a module needs in RAM, known before it runs.
use crate::module::Module;
use crate::types::Limits;

/// What the embedder grants and chooses for an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The most pages a memory may grow to, besides its own maximum. `None`: no growth beyond the initial size.
    pub memory_pages: Option<u32>,
    /// The most entries a table may grow to, besides its own maximum. `None`: no growth beyond the initial size.
    pub table_entries: Option<u32>,
    /// Bytes for value stack and call frames where the call graph has recursion or indirect calls.
    pub stack: u32,
    /// Function references of this instance are `function_base + index`, below 2^32 - 1; all others are foreign.
    pub function_base: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            memory_pages: None,
            table_entries: None,
            stack: 4096,
            function_base: 0,
        }
    }
}

/// The bytes of the region an instance needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Linear memory at its granted maximum.
    pub memory: u64,
    /// Globals, and the marks of dropped segments.
    pub globals: u32,
    /// Tables at their granted maximum, with their sizes.
    pub tables: u32,
    /// Value stack and call frames.
    pub stack: u32,
    /// All of it: the length of the region, a multiple of 8.
    pub total: u64,
    /// The deepest chain of calls, counted in functions; `None` with recursion or indirect calls.
    pub depth: Option<u32>,
}

/// Where everything lies in the region, by byte offsets. Globals (8 bytes each) come first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Layout {
    /// A bit for each element segment, then each data segment: dropped.
    pub dropped: u32,
    /// Three words for each table: offset of the entries, size, granted maximum; the entries follow.
    pub tables: u32,
    /// Value stack and call frames, from here up and from `stack_end` down.
    pub stack: u32,
    /// See `stack`.
    pub stack_end: u32,
    /// The linear memory.
    pub memory: u64,
    /// Granted maximum in pages.
    pub memory_pages: u32,
    /// The length of the region.
    pub end: u64,
}

/// The entries granted to a table.
pub(crate) fn granted_entries(limits: Limits, options: &Options) -> u32 {
    let most = limits
        .max
        .unwrap_or(u32::MAX)
        .min(options.table_entries.unwrap_or(0));
    most.max(limits.min)
}

/// The layout of an instance. Sums are in 64 bits, so that an absurd module is seen to need an absurd region.
pub(crate) fn layout(module: &Module<'_>, options: &Options) -> Layout {
    let s = &module.summary;
    let dropped = u64::from(s.globals.count) * 8;
    let tables = dropped + u64::from((s.elements.count + s.datas.count).div_ceil(32)) * 4;
    let mut stack = tables + u64::from(s.tables.count) * 12;
    for table in 0..s.tables.count {
        if let Some(ty) = module.table_type(table) {
            stack += u64::from(granted_entries(ty.limits, options)) * 4;
        }
    }
    let stack = stack.next_multiple_of(8);
    let need = match s.records.count {
        0 => 0,
        _ if s.depth == 0 => u64::from(options.stack),
        _ => u64::from(s.stack),
    };
    let stack_end = stack + need.next_multiple_of(8);
    let (pages, bytes) = s.memory.map_or((0, 0), |memory| {
        // Below 4 GiB, so that an address of the last byte fits 32 bits with room to spare.
        let fits = (0xffff_0000u64 >> memory.page_log2) as u32;
        let most = memory
            .limits
            .max
            .unwrap_or(u32::MAX)
            .min(options.memory_pages.unwrap_or(0))
            .min(fits);
        let pages = most.max(memory.limits.min);
        (pages, u64::from(pages) << memory.page_log2)
    });
    let clip = |v: u64| u32::try_from(v).unwrap_or(u32::MAX);
    // What does not fit 31 bits cannot be a region of this engine's, apart from the memory.
    let absurd = if stack_end > 1 << 31 { 1 << 62 } else { 0 };
    Layout {
        dropped: clip(dropped),
        tables: clip(tables),
        stack: clip(stack),
        stack_end: clip(stack_end),
        memory: stack_end,
        memory_pages: pages,
        end: (stack_end + bytes).next_multiple_of(8) + absurd,
    }
}

impl Module<'_> {
    /// What an instance with these options needs: never less, whatever it is called with. It comes from the same layout that an
    /// instance uses.
    pub fn footprint(&self, options: &Options) -> Footprint {
        let l = layout(self, options);
        Footprint {
            memory: l.end.saturating_sub(l.memory),
            globals: l.tables,
            tables: l.stack - l.tables,
            stack: l.stack_end - l.stack,
            total: l.end,
            depth: (self.summary.depth != 0 || self.summary.records.count == 0)
                .then_some(self.summary.depth),
        }
    }
}
