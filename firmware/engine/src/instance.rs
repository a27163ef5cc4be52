//! A module with its state: all of it in one region of RAM that the embedder hands in.
use crate::decode::skip;
use crate::footprint::{Options, granted_entries, layout};
use crate::module::{External, Module};
use crate::sidetable::{FRAME_RECORD, GlobalEntry};
use crate::state::{Exit, NOBODY, State};
use crate::tier::{Chosen, Tier, execute};
use crate::trap::{Place, Trap, TrapKind};
use crate::types::FuncType;
use crate::value::{ValType, Value};
use core::marker::PhantomData;

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
    /// [`Options::function_base`] leaves too few numbers for the module's functions: the last would be null.
    Functions,
    /// No such function, or the values are not of its parameter types.
    Arguments,
    /// The instance is in the middle of a run (or in none, where one is needed).
    State,
}

/// An instance. A new one must be [`Instance::run`] until [`Run::Done`] once: that sets up globals, tables and memory from their
/// segments and calls the start function, all metered. Before that run the embedder supplies what is imported:
/// [`Instance::set_global`], [`Instance::memory_grow`] + [`Instance::memory_mut`], [`Instance::table_grow`] + [`Instance::table_set`]. Instances that share a memory, table
/// or global do so by the embedder copying it over while neither runs. An initial run that trapped leaves what it did
/// so far (WebAssembly 2.0 §4.5.4), and functions that others got hold of through a table may still be called.
#[derive(Debug)]
pub struct Instance<'m, 'r> {
    module: Module<'m>,
    tier: Chosen<'m>,
    state: State,
    phase: Phase,
    /// Type of the function that the embedder called, whose results lie on the stack after the call.
    ty: u32,
    host: Pending,
    used: u64,
    /// Fuel that calls took when they began, and that no run has paid yet. It is apart from the state's, whose 32 bits on the
    /// chip some ten thousand calls that are begun and cancelled would wrap.
    owed: u64,
    /// Where a call begins: value stack and frame records, above those of the calls set aside.
    bottom: (u32, u32),
    /// Length of the region.
    length: usize,
    region: PhantomData<&'r mut [u8]>,
}

/// A pending host call that was set aside.
#[derive(Debug)]
pub struct Aside {
    /// The instance it is of, by its region, and where calls begin there as long as this is what was set aside last.
    of: (usize, (u32, u32)),
    phase: Phase,
    ty: u32,
    host: Pending,
    bottom: (u32, u32),
    at: [u32; 7],
    wide: bool,
}

/// The pending host call, or the last one.
#[derive(Clone, Copy, Debug)]
struct Pending {
    foreign: bool,
    /// What was called: the imported function or the reference.
    what: u32,
    /// Its type, whose parameters lie on the stack.
    ty: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Setting up: globals, element segments, data segments, start function; the next of them.
    Setup(Setup),
    /// Setting up ended early: only to be read.
    Broken,
    /// Ready for a call; the last one has results, or not.
    Idle { results: bool },
    /// In the middle of a call, which is the start function's or the embedder's.
    Running { start: bool },
    /// Waiting for the answer to a host call.
    Waiting { start: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Setup {
    Globals,
    Elements(u32),
    Datas(u32),
    Start,
}

/// The most fuel the loop is given at once, so that its arithmetic fits 32 bits on every target.
const SLICE: u64 = 1 << 30;

// SAFETY: the pointer in `State` is the only one to a region borrowed mutably for 'r, as if it were held itself.
unsafe impl Send for Instance<'_, '_> {}

impl<'m, 'r> Instance<'m, 'r> {
    /// Makes an instance in this region (aligned to 8), the rest of which stays untouched.
    pub fn new(
        module: Module<'m>,
        region: &'r mut [u8],
        options: &Options,
    ) -> Result<Self, InstanceError> {
        if options
            .function_base
            .checked_add(module.functions())
            .is_none()
        {
            return Err(InstanceError::Functions);
        }
        let layout = layout(&module, options);
        let base = region.as_mut_ptr();
        if (region.len() as u64) < layout.end || base.align_offset(8) != 0 {
            return Err(InstanceError::Region);
        }
        // SAFETY: the region is at least `layout.end` bytes, and the stack ends before that.
        unsafe { base.write_bytes(0, layout.stack_end as usize) };
        let length = region.len();
        let mut state = State::new(base, layout, options.function_base);
        let mut at = layout.tables + module.summary.tables.count * 12;
        for table in 0..module.summary.tables.count {
            if let Some(ty) = module.table_type(table) {
                let max = granted_entries(ty.limits, options);
                state.init_table(table, at, ty.limits.min, max);
                at += max * 4;
            }
        }
        if let Some(memory) = module.memory_type()
            && state.grow_memory(&module, memory.limits.min).is_none()
        {
            return Err(InstanceError::Region);
        }
        Ok(Self {
            module,
            tier: Chosen::default(),
            state,
            phase: Phase::Setup(Setup::Globals),
            ty: 0,
            host: Pending {
                foreign: false,
                what: 0,
                ty: 0,
            },
            used: 0,
            owed: 0,
            bottom: (layout.stack, layout.stack_end),
            length,
            region: PhantomData,
        })
    }

    /// Has a tier execute what it can from here on, or none but the engine's own. `false` in the middle of a call, which
    /// another tier cannot go on with.
    #[must_use]
    pub fn set_tier(&mut self, tier: Option<&'m dyn Tier>) -> bool {
        let between = matches!(self.phase, Phase::Setup(_) | Phase::Idle { .. });
        if between {
            self.tier = Chosen(tier);
        }
        between
    }

    /// Sets the pending host call aside, so that its answer may be found by calling this instance again: that takes of
    /// the same stack what is left of it. `None` when no host call is pending.
    pub fn set_aside(&mut self) -> Option<Aside> {
        let Phase::Waiting { .. } = self.phase else {
            return None;
        };
        let s = &self.state;
        let above = (s.top.next_multiple_of(8), s.frames);
        let aside = Aside {
            of: (s.base.addr(), above),
            phase: self.phase,
            ty: self.ty,
            host: self.host,
            bottom: self.bottom,
            at: [
                s.code, s.branch, s.fp, s.top, s.frames, s.function, s.native,
            ],
            wide: s.wide,
        };
        self.bottom = above;
        self.phase = Phase::Idle { results: false };
        Some(aside)
    }

    /// Takes up again what this instance set aside last; a call that is under way is given up. `false` for anything else, and
    /// then nothing happens.
    #[must_use]
    pub fn take_up(&mut self, aside: Aside) -> bool {
        let s = &mut self.state;
        if aside.of != (s.base.addr(), self.bottom) {
            return false;
        }
        [
            s.code, s.branch, s.fp, s.top, s.frames, s.function, s.native,
        ] = aside.at;
        s.wide = aside.wide;
        self.phase = aside.phase;
        self.ty = aside.ty;
        self.host = aside.host;
        self.bottom = aside.bottom;
        true
    }

    /// Ends the instance and gives its region back, for the next one.
    pub fn into_region(self) -> &'r mut [u8] {
        // SAFETY: the pointer and the length are those of the region this instance was given for 'r, and it ends here.
        unsafe { core::slice::from_raw_parts_mut(self.state.base, self.length) }
    }

    /// The module.
    pub fn module(&self) -> Module<'m> {
        self.module
    }

    /// The same module lies somewhere else from now on: its bytes and table were copied. `false`, and nothing is changed, for
    /// another module, in the middle of a call, or while a tier executes it.
    #[must_use]
    pub fn moved(&mut self, module: Module<'m>) -> bool {
        let same = self.module.summary.bytes_digest == module.summary.bytes_digest
            && self.module.summary.table_digest == module.summary.table_digest;
        let moves = same && self.is_idle() && self.tier.0.is_none();
        if moves {
            self.module = module;
        }
        moves
    }

    /// Whether setting up is finished and no call is under way.
    pub fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Idle { .. })
    }

    /// Begins a call of a function of the module's own (not an imported one); [`Instance::run`] executes it.
    pub fn call(&mut self, function: u32, arguments: &[Value]) -> Result<(), InstanceError> {
        if !self.is_idle() {
            return Err(InstanceError::State);
        }
        let ty = self
            .module
            .func_type(function)
            .ok_or(InstanceError::Arguments)?;
        let own = function
            .checked_sub(self.module.imported_functions())
            .ok_or(InstanceError::Arguments)?;
        if ty.params.len() != arguments.len()
            || ty.params().zip(arguments).any(|(ty, v)| ty != v.ty())
        {
            return Err(InstanceError::Arguments);
        }
        // What it costs to enter is owed, and paid by the run that follows; it is used all the same.
        let before = self.state.fuel;
        self.begin(own, arguments, false);
        let cost = before - self.state.fuel;
        self.state.fuel = before;
        self.owed = self.owed.saturating_add_signed(cost as i64);
        self.used = self.used.wrapping_add_signed(cost as i64);
        Ok(())
    }

    /// Begins a call; the stack is known to be empty. A stack without room for it is found out by `run`.
    fn begin(&mut self, own: u32, arguments: &[Value], start: bool) {
        let s = &mut self.state;
        let callee = self.module.record_of(own);
        let wide = self.module.is_wide(callee);
        let size = if wide { 8 } else { 4 };
        let (values, frames) = self.bottom;
        s.frames = frames;
        s.fp = values;
        s.top = values;
        s.code = 0;
        s.native = 0;
        s.function = NOBODY;
        s.wide = wide;
        self.phase = Phase::Running { start };
        self.ty = self
            .module
            .type_index(own + self.module.imported_functions());
        let room = u64::from(s.top) + arguments.len() as u64 * size + u64::from(FRAME_RECORD)
            <= u64::from(s.frames);
        if room {
            for v in arguments {
                s.set_slot(s.top, wide, v.bits());
                s.top += size as u32;
            }
            if s.enter(&self.module, callee, wide).is_ok() {
                return;
            }
        }
        // Nothing was entered: the trap is reported by `run`, at the function's first instruction.
        s.function = callee;
        s.frames = frames;
        s.code = NOBODY;
    }

    /// Executes until the end, a host call, a trap or the end of the fuel, and takes what it used from `fuel`. A
    /// straight-line segment is never cut in two: what it took beyond the fuel is owed, and paid by the next run.
    pub fn run(&mut self, fuel: &mut u64) -> Run<'m> {
        let paid = self.owed.min(*fuel);
        self.owed -= paid;
        *fuel -= paid;
        if self.owed > 0 {
            return Run::OutOfFuel;
        }
        loop {
            let grant = (*fuel).min(SLICE);
            self.state.fuel += grant as isize;
            let before = self.state.fuel;
            let run = if before <= 0 {
                Some(Run::OutOfFuel)
            } else {
                self.slice()
            };
            self.used = self
                .used
                .wrapping_add_signed((before - self.state.fuel) as i64);
            let left = self.state.fuel.max(0);
            *fuel = (*fuel - grant) + left as u64;
            self.state.fuel -= left;
            match run {
                Some(Run::OutOfFuel) if *fuel > 0 => {}
                Some(run) => return run,
                None => {}
            }
        }
    }

    /// One slice of fuel; `None` when there is more to do.
    fn slice(&mut self) -> Option<Run<'m>> {
        match self.phase {
            Phase::Broken | Phase::Idle { .. } => return Some(Run::Done),
            Phase::Waiting { .. } => return Some(self.pending()),
            Phase::Setup(step) => return self.setup(step),
            Phase::Running { .. } => {}
        }
        if self.state.code == NOBODY {
            return Some(self.trapped(TrapKind::StackExhausted));
        }
        // SAFETY: the state was made by `enter` and the tiers themselves, for this module.
        let exit = unsafe { execute(self.tier, &mut self.state, &self.module) };
        let start = matches!(self.phase, Phase::Running { start: true });
        match exit {
            Exit::Done => {
                self.phase = Phase::Idle { results: !start };
                Some(Run::Done)
            }
            Exit::OutOfFuel => Some(Run::OutOfFuel),
            Exit::Import(function) => {
                self.phase = Phase::Waiting { start };
                self.host = self.import(function);
                Some(self.pending())
            }
            Exit::Foreign(reference, ty) => {
                self.phase = Phase::Waiting { start };
                self.host = Pending {
                    foreign: true,
                    what: reference,
                    ty,
                };
                Some(self.pending())
            }
            Exit::Trap(kind) => Some(self.trapped(kind)),
        }
    }

    fn import(&self, function: u32) -> Pending {
        Pending {
            foreign: false,
            what: function,
            ty: self.module.type_index(function),
        }
    }

    fn pending(&self) -> Run<'m> {
        let ty = self.module.ty(self.host.ty);
        Run::Host(if self.host.foreign {
            Host::Foreign(self.host.what, ty)
        } else {
            Host::Import(self.host.what, ty)
        })
    }

    fn trapped(&mut self, kind: TrapKind) -> Run<'m> {
        let place = Place {
            function: self.function_index(self.state.function),
            offset: self.trap_offset(),
        };
        self.phase = Phase::Idle { results: false };
        Run::Trap(Trap { kind, place })
    }

    /// Where the trapping instruction starts: the loop stops right behind its first byte.
    fn trap_offset(&self) -> u32 {
        if self.state.code == NOBODY {
            return self.module.record(self.state.function).code;
        }
        self.state.code.saturating_sub(1)
    }

    fn function_index(&self, callee: u32) -> u32 {
        if callee == NOBODY {
            return u32::MAX;
        }
        self.module.own_index(callee) + self.module.imported_functions()
    }

    /// One step of setting up.
    fn setup(&mut self, step: Setup) -> Option<Run<'m>> {
        let (module, s) = (self.module, &mut self.state);
        let summary = &module.summary;
        let next = match step {
            Setup::Globals => {
                for index in 0..summary.globals.count {
                    let global: GlobalEntry = module.entry(summary.globals.entry::<2>(index));
                    if !global.imported {
                        let v = s.constant(&mut module.reader(global.init));
                        s.set_slot(index * 8, true, v);
                    }
                }
                s.fuel -= summary.globals.count as isize;
                Setup::Elements(0)
            }
            Setup::Elements(index) if index < summary.elements.count => {
                let segment = s.elements(&module, index);
                if let Some((table, to)) = segment.active
                    && let Err(kind) = s.table_init(&module, index, table, to, 0, segment.count)
                {
                    return Some(self.setup_failed(kind, segment.place));
                }
                if segment.active.is_some() || segment.declared {
                    s.drop_segment(index);
                }
                s.fuel -= 1;
                Setup::Elements(index + 1)
            }
            Setup::Elements(_) => Setup::Datas(0),
            Setup::Datas(index) if index < summary.datas.count => {
                let segment = s.data(&module, index);
                if let Some(to) = segment.active {
                    let count = segment.bytes.len() as u32;
                    if let Err(kind) = s.memory_init(&module, index, to, 0, count) {
                        return Some(self.setup_failed(kind, segment.place));
                    }
                    s.drop_segment(summary.elements.count + index);
                }
                s.fuel -= 1;
                Setup::Datas(index + 1)
            }
            Setup::Datas(_) => Setup::Start,
            Setup::Start => {
                let Some(start) = summary.start else {
                    self.phase = Phase::Idle { results: false };
                    return Some(Run::Done);
                };
                match start.checked_sub(module.imported_functions()) {
                    Some(own) => self.begin(own, &[], true),
                    None => {
                        // An imported start function takes nothing and returns nothing: nothing of it is on the stack.
                        self.phase = Phase::Waiting { start: true };
                        self.host = self.import(start);
                        return Some(self.pending());
                    }
                }
                return None;
            }
        };
        self.phase = Phase::Setup(next);
        if self.state.fuel <= 0 {
            Some(Run::OutOfFuel)
        } else {
            None
        }
    }

    fn setup_failed(&mut self, kind: TrapKind, offset: u32) -> Run<'m> {
        self.phase = Phase::Idle { results: false };
        Run::Trap(Trap {
            kind,
            place: Place {
                function: u32::MAX,
                offset,
            },
        })
    }

    /// The fuel used since the instance was made, exactly, modulo 2^64.
    pub fn fuel_used(&self) -> u64 {
        self.used
    }

    fn slot_bytes(&self) -> u32 {
        if self.state.wide { 8 } else { 4 }
    }

    fn below(&self, types: &'m [u8]) -> impl ExactSizeIterator<Item = Value> + '_ {
        let size = self.slot_bytes();
        let first = self.state.top.saturating_sub(types.len() as u32 * size);
        types.iter().enumerate().map(move |(i, ty)| {
            let bits = self.state.slot(first + i as u32 * size, self.state.wide);
            Value::from_bits(ValType::from_byte(*ty).unwrap_or(ValType::I32), bits)
        })
    }

    /// The arguments of the pending host call.
    pub fn arguments(&self) -> impl ExactSizeIterator<Item = Value> + '_ {
        let waiting = matches!(self.phase, Phase::Waiting { .. });
        self.below(if waiting {
            self.module.ty(self.host.ty).params
        } else {
            &[]
        })
    }

    /// Answers the pending host call; then run on.
    pub fn resume(&mut self, results: &[Value]) -> Result<(), InstanceError> {
        let Phase::Waiting { start } = self.phase else {
            return Err(InstanceError::State);
        };
        let ty = self.module.ty(self.host.ty);
        if ty.results.len() != results.len()
            || ty.results().zip(results).any(|(ty, v)| ty != v.ty())
        {
            return Err(InstanceError::Arguments);
        }
        if self.state.function == NOBODY {
            self.phase = Phase::Idle { results: false };
            return Ok(());
        }
        let size = self.slot_bytes();
        self.state.top -= ty.params.len() as u32 * size;
        for v in results {
            self.state
                .set_slot(self.state.top, self.state.wide, v.bits());
            self.state.top += size;
        }
        self.phase = Phase::Running { start };
        Ok(())
    }

    /// Answers the pending host call with a trap.
    pub fn abort(&mut self, kind: TrapKind) -> Result<Trap, InstanceError> {
        if !matches!(self.phase, Phase::Waiting { .. }) {
            return Err(InstanceError::State);
        }
        let place = self.backtrace().next().unwrap_or(Place {
            function: u32::MAX,
            offset: 0,
        });
        let _ = self.trapped(kind);
        Ok(Trap { kind, place })
    }

    /// Gives up a run that was suspended. An instance whose initial run did not finish can only be read.
    pub fn cancel(&mut self) {
        self.phase = match self.phase {
            Phase::Idle { results } => Phase::Idle { results },
            Phase::Running { start: false } | Phase::Waiting { start: false } => {
                Phase::Idle { results: false }
            }
            _ => Phase::Broken,
        };
    }

    /// The results of the last call, once it is done.
    pub fn results(&self) -> impl ExactSizeIterator<Item = Value> + '_ {
        let done = self.phase == (Phase::Idle { results: true });
        self.below(if done {
            self.module.ty(self.ty).results
        } else {
            &[]
        })
    }

    /// The calls that were active when the last run was suspended or trapped, innermost first.
    pub fn backtrace(&self) -> impl Iterator<Item = Place> + '_ {
        let mut function = self.state.function;
        let mut offset = match self.phase {
            Phase::Waiting { .. } => self.call_site(self.state.code, function),
            _ => self.trap_offset(),
        };
        let mut frames = self.state.frames;
        core::iter::from_fn(move || {
            if function == NOBODY {
                return None;
            }
            let place = Place {
                function: self.function_index(function),
                offset,
            };
            if frames + FRAME_RECORD <= self.bottom.1 {
                let frame = self.tier.frame(&self.state, &self.module, frames);
                frames += FRAME_RECORD;
                offset = self.call_site(frame.code, frame.function);
                function = frame.function;
            } else {
                function = NOBODY;
            }
            Some(place)
        })
    }

    /// Where the call starts that returns to `code`. A record keeps only the way forward, and its bytes read backwards may be
    /// those of several instructions: so it is found from the start of the function.
    fn call_site(&self, code: u32, function: u32) -> u32 {
        if function == NOBODY {
            return 0;
        }
        let start = self.module.record(function).code;
        let mut r = self.module.reader(start);
        loop {
            let at = r.at;
            let whole = r.byte().and_then(|byte| skip(&mut r, byte));
            if whole.is_err() || r.at >= code as usize {
                return at as u32;
            }
        }
    }

    /// The last byte of the call at which the pending host call stands; 0 when it is no function's. Unlike [`Self::backtrace`], which
    /// looks for the call's first byte through all of its function, it costs the same wherever that is.
    pub fn called_at(&self) -> u32 {
        match self.phase {
            Phase::Waiting { .. } if self.state.function != NOBODY => {
                self.state.code.saturating_sub(1)
            }
            _ => 0,
        }
    }

    /// The linear memory as it is now (empty without one).
    pub fn memory(&self) -> &[u8] {
        // SAFETY: `State::memory` bytes from `layout.memory` on belong to the region, which the instance borrows.
        unsafe {
            core::slice::from_raw_parts(
                self.state.base.add(self.state.layout.memory as usize),
                self.state.memory,
            )
        }
    }

    /// The linear memory as it is now, to write to.
    pub fn memory_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `memory`, and the borrow is exclusive.
        unsafe {
            core::slice::from_raw_parts_mut(
                self.state.base.add(self.state.layout.memory as usize),
                self.state.memory,
            )
        }
    }

    /// Grows the linear memory to this many pages in all; `false` beyond what is granted.
    pub fn memory_grow(&mut self, pages: u32) -> bool {
        let Some(ty) = self.module.memory_type() else {
            return false;
        };
        let now = (self.state.memory >> ty.page_log2) as u32;
        pages
            .checked_sub(now)
            .is_some_and(|by| self.state.grow_memory(&self.module, by).is_some())
    }

    /// The value of a global.
    pub fn global(&self, index: u32) -> Option<Value> {
        let ty = self.module.global_type(index)?;
        Some(Value::from_bits(ty.value, self.state.slot(index * 8, true)))
    }

    /// The value of the exported global with this name.
    pub fn exported_global(&self, name: &str) -> Option<Value> {
        match self.module.export(name)?.item {
            External::Global(index, _) => self.global(index),
            _ => None,
        }
    }

    /// Sets a global (also an immutable one: the embedder decides what is imported); `false` for a wrong index or type.
    pub fn set_global(&mut self, index: u32, value: Value) -> bool {
        let fits = self
            .module
            .global_type(index)
            .is_some_and(|ty| ty.value == value.ty());
        if fits {
            self.state.set_slot(index * 8, true, value.bits());
        }
        fits
    }

    /// The number of entries of a table.
    pub fn table_size(&self, table: u32) -> Option<u32> {
        (table < self.module.summary.tables.count).then(|| self.state.table(table).1)
    }

    /// Grows a table to this many entries in all, the new ones null; `false` beyond what is granted.
    pub fn table_grow(&mut self, table: u32, entries: u32) -> bool {
        let by = self
            .table_size(table)
            .and_then(|size| entries.checked_sub(size));
        by.is_some_and(|by| self.state.grow_table(table, by, 0).is_some())
    }

    /// An entry of a table.
    pub fn table_get(&self, table: u32, index: u32) -> Option<Value> {
        let ty = self.module.table_type(table)?;
        Some(Value::from_bits(
            ty.element,
            u64::from(self.state.table_entry(table, index)?),
        ))
    }

    /// Sets an entry of a table; `false` for a wrong index or type.
    pub fn table_set(&mut self, table: u32, index: u32, value: Value) -> bool {
        self.module
            .table_type(table)
            .is_some_and(|ty| ty.element == value.ty())
            && self
                .state
                .set_table_entry(table, index, value.bits() as u32)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    extern crate std;
    use super::*;
    use crate::validate::{PageSizes, Scratch, validate};
    use std::vec;

    /// `(memory 1) (func (export "f") (local i32) …)`, which fills 64 KiB so many times as its parameter says.
    const FILLS: [u8; 55] = [
        0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, // magic and version
        1, 5, 1, 0x60, 1, 0x7f, 0, // a type
        3, 2, 1, 0, // a function
        5, 3, 1, 0, 1, // a memory of 64 KiB
        10, 29, 1, 27, 1, 1, 0x7f, // code, with a local
        0x03, 0x40, // loop
        0x41, 0, 0x41, 7, 0x41, 0x80, 0x80, 4, 0xfc, 11, 0, // memory.fill of 65,536
        0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, // one less, again unless 0
        0x0b, 0x0b, // end, end
    ];
    /// What one round costs (a branch that is taken: its opcode without the label), and all around them: a local that is zeroed,
    /// `loop` before, the label that the last `br_if` passes, two `end`s.
    const ROUND: u64 = 19 + 65_536;
    const AROUND: u64 = 1 + 2 + 1 + 2;

    fn with<T>(work: impl FnOnce(&mut Instance<'_, '_>) -> T) -> T {
        let mut table = vec![0u32; 64];
        let mut scratch = Scratch::<64, 8, 8>::new();
        let summary = validate(&FILLS, &mut table[..], &mut scratch, PageSizes::Any).unwrap();
        let module = Module::new(&FILLS, &table, &summary).unwrap();
        let options = Options::default();
        let mut region = vec![0u64; (module.footprint(&options).total / 8) as usize];
        // SAFETY: any bytes of the words may be seen as bytes.
        let (_, view, _) = unsafe { region.align_to_mut::<u8>() };
        let mut instance = Instance::new(module, view, &options).unwrap();
        assert_eq!(instance.run(&mut 1000), Run::Done);
        work(&mut instance)
    }

    fn rounds(instance: &mut Instance<'_, '_>, count: i32, fuel: &mut u64) {
        instance.call(0, &[Value::I32(count)]).unwrap();
        assert_eq!(instance.run(fuel), Run::Done);
    }

    #[test]
    fn more_fuel_than_a_slice_and_than_32_bits_is_counted() {
        with(|instance| {
            let before = instance.fuel_used();
            // Past 2^30, where a slice ends, and past 2^32.
            let count = 70_000;
            let mut fuel = u64::MAX;
            rounds(instance, count, &mut fuel);
            let used = count as u64 * ROUND + AROUND;
            assert!(used > 1 << 32);
            assert_eq!(u64::MAX - fuel, used);
            assert_eq!(instance.fuel_used() - before, used);
        });
    }

    #[test]
    fn the_total_wraps_at_64_bits() {
        with(|instance| {
            instance.used = u64::MAX - 10;
            let mut fuel = 1_000_000;
            rounds(instance, 1, &mut fuel);
            assert_eq!(fuel, 1_000_000 - ROUND - AROUND);
            assert_eq!(instance.fuel_used(), ROUND + AROUND - 11);
        });
    }

    #[test]
    fn calls_that_are_begun_and_cancelled_are_owed_without_end() {
        with(|instance| {
            for _ in 0..100 {
                instance.call(0, &[Value::I32(1)]).unwrap();
                instance.cancel();
            }
            // What a chip would owe after 2^32 of them: nothing of it is in the 32 bits of the state.
            assert_eq!((instance.owed, instance.state.fuel), (100, 0));
            instance.owed = 1 << 32;
            instance.call(0, &[Value::I32(1)]).unwrap();
            let mut fuel = 1 << 32;
            assert_eq!(instance.run(&mut fuel), Run::OutOfFuel);
            assert_eq!((fuel, instance.owed), (0, 1));
            fuel = ROUND + AROUND;
            assert_eq!(instance.run(&mut fuel), Run::Done);
            assert_eq!(fuel, 0);
            instance.owed = u64::MAX;
            instance.call(0, &[Value::I32(1)]).unwrap();
            assert_eq!(instance.owed, u64::MAX);
        });
    }
}
