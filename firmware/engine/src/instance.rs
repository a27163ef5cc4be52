//! A module with its state: all of it in one region of RAM that the embedder hands in.
use crate::{FuncType, Module, Options, Place, Trap, TrapKind, Value};

/// How a slice of fuel ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Run<'a> {
    /// Finished; see [`Instance::results`].
    Done,
    /// The fuel is used up: run again with more, or give up.
    OutOfFuel,
    /// A host call: read [`Instance::arguments`], then [`Instance::resume`] or [`Instance::abort`].
    Host(Host<'a>),
    /// It trapped.
    Trap(Trap),
}

/// A call to something outside the instance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Host<'a> {
    /// The imported function with this index was called.
    Import(u32, FuncType<'a>),
    /// A function reference that is not this instance's was called indirectly with this type. The embedder compares
    /// types and answers a mismatch with `abort(TrapKind::IndirectCallType)`.
    Foreign(u32, FuncType<'a>),
}

/// Why an instance could not be made or a call not be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceError {
    /// The region is shorter than [`crate::Footprint::total`] or not aligned to 8 bytes.
    Region,
    /// No such function, or the values are not of its parameter types.
    Arguments,
    /// The instance is in the middle of a run (or in none, where one is needed).
    State,
}

/// An instance. A new one must be [`Instance::run`] until [`Run::Done`] once: that sets up globals, tables and memory from their
/// segments and calls the start function, all metered. Before that run the embedder supplies what is imported:
/// [`Instance::set_global`], [`Instance::memory_grow`] + [`Instance::memory_mut`], [`Instance::table_grow`] + [`Instance::table_set`]. Instances that share a memory, table
/// or global do so by the embedder copying it over while neither runs.
#[derive(Debug)]
pub struct Instance<'m, 'r> {
    module: Module<'m>,
    region: &'r mut [u8],
}

impl<'m, 'r> Instance<'m, 'r> {
    /// Makes an instance in this region (aligned to 8), the rest of which stays untouched.
    pub fn new(
        module: Module<'m>,
        region: &'r mut [u8],
        options: &Options,
    ) -> Result<Self, InstanceError> {
        let _ = options;
        Ok(Self { module, region })
    }

    /// The module.
    pub fn module(&self) -> Module<'m> {
        self.module
    }

    /// Begins a call; [`Instance::run`] executes it. A call left unfinished is forgotten only after [`Instance::cancel`].
    pub fn call(&mut self, function: u32, arguments: &[Value]) -> Result<(), InstanceError> {
        todo!("{function} {arguments:?}")
    }

    /// Executes until the end, a host call, a trap or the end of the fuel, and takes what it used from `fuel`
    /// (saturating: a straight-line segment is never cut in two).
    pub fn run(&mut self, fuel: &mut u64) -> Run<'m> {
        todo!("{fuel}")
    }

    /// The fuel used since the instance was made, exactly.
    pub fn fuel_used(&self) -> u64 {
        todo!()
    }

    /// The arguments of the pending host call.
    pub fn arguments(&self) -> impl ExactSizeIterator<Item = Value> + '_ {
        core::iter::empty()
    }

    /// Answers the pending host call; then run on.
    pub fn resume(&mut self, results: &[Value]) -> Result<(), InstanceError> {
        todo!("{results:?}")
    }

    /// Answers the pending host call with a trap.
    pub fn abort(&mut self, kind: TrapKind) -> Result<Trap, InstanceError> {
        todo!("{kind:?}")
    }

    /// Gives up a run that was suspended. An instance whose initial run did not finish can only be read.
    pub fn cancel(&mut self) {}

    /// The results of the last call, once it is done.
    pub fn results(&self) -> impl ExactSizeIterator<Item = Value> + '_ {
        core::iter::empty()
    }

    /// The calls that were active when the last run stopped, innermost first.
    pub fn backtrace(&self) -> impl Iterator<Item = Place> + '_ {
        core::iter::empty()
    }

    /// The linear memory as it is now (empty without one).
    pub fn memory(&self) -> &[u8] {
        self.region
    }

    /// The linear memory as it is now, to write to.
    pub fn memory_mut(&mut self) -> &mut [u8] {
        self.region
    }

    /// Grows the linear memory to this many pages in all; `false` beyond what is granted.
    pub fn memory_grow(&mut self, pages: u32) -> bool {
        todo!("{pages}")
    }

    /// The value of a global.
    pub fn global(&self, index: u32) -> Option<Value> {
        todo!("{index}")
    }

    /// Sets a global (also an immutable one: the embedder decides what is imported); `false` for a wrong index or type.
    pub fn set_global(&mut self, index: u32, value: Value) -> bool {
        todo!("{index} {value:?}")
    }

    /// The number of entries of a table.
    pub fn table_size(&self, table: u32) -> Option<u32> {
        todo!("{table}")
    }

    /// Grows a table to this many entries in all, the new ones null; `false` beyond what is granted.
    pub fn table_grow(&mut self, table: u32, entries: u32) -> bool {
        todo!("{table} {entries}")
    }

    /// An entry of a table.
    pub fn table_get(&self, table: u32, index: u32) -> Option<Value> {
        todo!("{table} {index}")
    }

    /// Sets an entry of a table; `false` for a wrong index or type.
    pub fn table_set(&mut self, table: u32, index: u32, value: Value) -> bool {
        todo!("{table} {index} {value:?}")
    }
}
