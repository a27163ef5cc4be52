//! What a module needs in RAM, known before it runs.

/// What the embedder grants and chooses for an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The most pages a memory may grow to, besides its own maximum. `None`: no growth beyond the initial size.
    pub memory_pages: Option<u32>,
    /// The most entries a table may grow to, besides its own maximum. `None`: no growth beyond the initial size.
    pub table_entries: Option<u32>,
    /// Bytes for value stack and call frames where the call graph has recursion or indirect calls.
    pub stack: u32,
    /// Function references of this instance are `function_base + index`; all others are foreign.
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
