//! Instances, what they share, and calls between them.
use crate::script::{CALLS, Command, Outcome, Settings, Status};
use crate::sweep::Sweep;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use wasmote_engine::{
    Aside, External, Fault, Host, Import, Instance, Limits, LoadError, Module, Options, PageSizes,
    Run, Scratch, Summary, Trap, TrapKind, Value, tier::Tier, validate,
};

/// Bits of a function reference that are the function's index; the others are the instance.
const INDEX_BITS: u32 = 16;
/// What lies behind every region, and must still lie there after every run.
const PATTERN: u64 = 0xa5a5_5a5a_c3c3_3c3c;
/// Words of it.
const GUARD: usize = 8;
/// What working memory is filled with before anything is compiled in it.
#[cfg(target_arch = "arm")]
const PAINT: u8 = 0xa5;

pub(crate) struct Store {
    /// Room for the largest modules of the test suite.
    scratch: Box<Scratch<{ 64 * 1024 }, 1024, 16_384>>,
    #[cfg(target_arch = "arm")]
    work: Vec<u8>,
    settings: Settings,
    items: Vec<Option<Item>>,
    names: Vec<(String, usize)>,
    registered: Vec<(String, usize)>,
    newest: Option<usize>,
    memories: Vec<Shared>,
    tables: Vec<Shared>,
    globals: Vec<Shared>,
}

/// Something that several instances may hold a copy of.
#[derive(Clone, Copy)]
struct Shared {
    /// The instance whose copy is the valid one, and the index there.
    holder: (usize, u32),
    /// The most it may grow to.
    max: Option<u32>,
}

struct Item {
    instance: Instance<'static, 'static>,
    module: Module<'static>,
    /// Where each function really is.
    functions: Vec<(usize, u32)>,
    memory: Option<usize>,
    tables: Vec<usize>,
    globals: Vec<usize>,
    imports: bool,
    /// For each call that is under way, the one it interrupts.
    asides: Vec<Option<Aside>>,
    /// The words behind the region.
    guard: &'static [u64],
}

impl Item {
    /// Ends a call: takes up what it interrupted. `false` where that is not what was set aside last.
    fn back(&mut self) -> bool {
        match self.asides.pop() {
            Some(Some(aside)) => self.instance.take_up(aside),
            _ => true,
        }
    }
}

/// Why a call came to no result.
enum End {
    Trap(Trap),
    Fuel,
    Fault(&'static str),
}

impl Store {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            scratch: Box::default(),
            #[cfg(target_arch = "arm")]
            work: vec![0; size_of::<wasmote_compiler::Work>() + 8 + 2 * GUARD],
            settings,
            items: Vec::new(),
            names: Vec::new(),
            registered: Vec::new(),
            newest: None,
            memories: Vec::new(),
            tables: Vec::new(),
            globals: Vec::new(),
        }
    }

    pub(crate) fn command(&mut self, command: &Command) -> Outcome {
        match command {
            Command::Validate(bytes) => match self.load(bytes) {
                Ok(_) => Outcome::new(Status::Ok, ""),
                Err(outcome) => outcome,
            },
            Command::Instantiate(name, bytes) => self.instantiate(name, bytes),
            Command::Register(name, instance) => match self.named(instance) {
                Some(index) => {
                    self.registered.push((name.clone(), index));
                    Outcome::new(Status::Ok, "")
                }
                None => Outcome::fault("no such instance"),
            },
            Command::Invoke(instance, export, arguments) => {
                let Some(index) = self.named(instance) else {
                    return Outcome::fault("no such instance");
                };
                let Some((owner, function)) = self.item(index).and_then(|item| {
                    item.module
                        .export_function(export)
                        .and_then(|f| item.functions.get(f as usize).copied())
                }) else {
                    return Outcome::fault("no such function");
                };
                let before = self.fuel(owner);
                let ended = self.call(owner, function, arguments);
                self.ended(ended, owner, before)
            }
            Command::Get(instance, export) => self.get(instance, export),
            Command::Memory(instance) => self.hash(instance),
            Command::Sweep(bytes, exports, every, most) => {
                self.sweep(bytes, exports, *every, *most)
            }
            #[cfg(target_arch = "arm")]
            Command::Flip(bytes, exports, seed, count) => match self.validated(bytes) {
                Ok((table, summary)) => {
                    crate::flip::flip((bytes, &table, &summary), exports, *seed, *count)
                }
                Err(outcome) => outcome,
            },
            #[cfg(not(target_arch = "arm"))]
            Command::Flip(..) => Outcome::fault("nothing executes code here"),
        }
    }

    fn item(&self, index: usize) -> Option<&Item> {
        self.items.get(index)?.as_ref()
    }

    fn item_mut(&mut self, index: usize) -> Option<&mut Item> {
        self.items.get_mut(index)?.as_mut()
    }

    fn named(&self, name: &str) -> Option<usize> {
        if name.is_empty() {
            return self.newest;
        }
        let found = self.names.iter().rev().find(|(n, _)| n == name);
        found.map(|(_, index)| *index)
    }

    /// Fuel used by an instance since it was made.
    fn fuel(&self, index: usize) -> u64 {
        self.item(index).map_or(0, |item| item.instance.fuel_used())
    }

    /// The outcome of a call of an instance that had used `before` until then.
    fn ended(&self, ended: Result<Vec<Value>, End>, index: usize, before: u64) -> Outcome {
        let mut outcome = match ended {
            Ok(values) => Outcome {
                values,
                ..Outcome::new(Status::Ok, "")
            },
            Err(End::Trap(trap)) => Outcome {
                place: (trap.place.offset, trap.place.function),
                backtrace: self.item(index).map_or_else(Vec::new, |item| {
                    let calls = item.instance.backtrace().take(CALLS);
                    calls.map(|call| (call.offset, call.function)).collect()
                }),
                ..Outcome::new(Status::Trap, trap.kind.message())
            },
            Err(End::Fuel) => Outcome::new(Status::Fuel, "out of fuel"),
            Err(End::Fault(text)) => Outcome::fault(text),
        };
        outcome.fuel = self.fuel(index).wrapping_sub(before);
        let whole = self
            .items
            .iter()
            .flatten()
            .all(|item| item.guard.iter().all(|word| *word == PATTERN));
        if !whole {
            return Outcome::fault("an instance wrote beyond its footprint");
        }
        outcome
    }

    fn get(&self, instance: &str, export: &str) -> Outcome {
        let value = self.named(instance).and_then(|index| {
            let item = self.item(index)?;
            let External::Global(global, _) = item.module.export(export)?.item else {
                return None;
            };
            let shared = self.globals.get(*item.globals.get(global as usize)?)?;
            self.item(shared.holder.0)?.instance.global(shared.holder.1)
        });
        match value {
            Some(value) => Outcome {
                values: vec![value],
                ..Outcome::new(Status::Ok, "")
            },
            None => Outcome::fault("no such global"),
        }
    }

    fn hash(&self, instance: &str) -> Outcome {
        let memory = self.named(instance).and_then(|index| {
            let shared = self.memories.get(self.item(index)?.memory?)?;
            Some(self.item(shared.holder.0)?.instance.memory())
        });
        let memory = memory.unwrap_or(&[]);
        let hash = memory.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
        });
        Outcome {
            values: vec![
                Value::I64(memory.len() as i64),
                Value::I64(hash.cast_signed()),
            ],
            ..Outcome::new(Status::Ok, "")
        }
    }

    /// Validates; the table.
    fn validated(&mut self, bytes: &[u8]) -> Result<(Vec<u32>, Summary), Outcome> {
        let sizes = if self.settings.strict {
            PageSizes::Strict
        } else {
            PageSizes::Any
        };
        let mut table: Vec<u32> = vec![0; 64 + bytes.len() * 4];
        let summary = validate(bytes, table.as_mut_slice(), &mut self.scratch, sizes);
        let summary = summary.map_err(|LoadError { fault, offset }| {
            let (status, text) = match fault {
                Fault::Malformed(text) => (Status::Malformed, text),
                Fault::Invalid(text) => (Status::Invalid, text),
                Fault::Unsupported(text) => (Status::Unsupported, text),
            };
            Outcome {
                place: (offset, 0),
                ..Outcome::new(status, text)
            }
        })?;
        table.truncate(summary.table_bytes() as usize / 4);
        Ok((table, summary))
    }

    /// Validates; the module and its table stay for as long as the process does.
    fn load(&mut self, bytes: &[u8]) -> Result<Module<'static>, Outcome> {
        let (table, summary) = self.validated(bytes)?;
        let bytes = Box::leak(Box::<[u8]>::from(bytes));
        let table = Box::leak(table.into_boxed_slice());
        Module::new(bytes, table, &summary)
            .ok_or_else(|| Outcome::fault("the table is not the one that was emitted"))
    }

    fn instantiate(&mut self, name: &str, bytes: &[u8]) -> Outcome {
        let module = match self.load(bytes) {
            Ok(module) => module,
            Err(outcome) => return outcome,
        };
        self.forget();
        let index = self.items.len();
        let unlinkable = |text| Outcome::new(Status::Unlinkable, text);
        let mut functions = Vec::new();
        let (mut memory, mut tables, mut globals) = (None, Vec::new(), Vec::new());
        for import in module.imports() {
            let Some((owner, item)) = self.exported(&import) else {
                return unlinkable("unknown import");
            };
            let fits = match (import.item, item) {
                (External::Func(_, wanted), External::Func(at, given)) => {
                    owner.functions.get(at as usize).is_some_and(|real| {
                        functions.push(*real);
                        wanted == given
                    })
                }
                (External::Memory(_, wanted), External::Memory(..)) => {
                    memory = owner.memory;
                    let given = owner
                        .module
                        .memory_type()
                        .filter(|g| g.page_log2 == wanted.page_log2);
                    let shared = owner.memory.and_then(|id| self.memories.get(id));
                    given.zip(shared).is_some_and(|(_, shared)| {
                        let size = self
                            .item(shared.holder.0)
                            .map_or(0, |item| item.instance.memory().len() >> wanted.page_log2);
                        within(wanted.limits, size as u32, shared.max)
                    })
                }
                (External::Table(_, wanted), External::Table(at, given)) => {
                    let id = owner.tables.get(at as usize).copied().unwrap_or(0);
                    tables.push(id);
                    self.tables.get(id).is_some_and(|shared| {
                        let size = self
                            .item(shared.holder.0)
                            .and_then(|item| item.instance.table_size(shared.holder.1));
                        given.element == wanted.element
                            && within(wanted.limits, size.unwrap_or(0), shared.max)
                    })
                }
                (External::Global(_, wanted), External::Global(at, given)) => {
                    globals.extend(owner.globals.get(at as usize));
                    wanted == given
                }
                _ => false,
            };
            if !fits {
                return unlinkable("incompatible import type");
            }
        }
        let imported = (
            memory.is_some(),
            tables.len() as u32,
            globals.len() as u32,
            functions.len() as u32,
        );
        let limit = |limit: u32, max: Option<u32>| limit.min(max.unwrap_or(u32::MAX));
        let max = memory
            .and_then(|id| self.memories.get(id))
            .map_or(Some(u32::MAX), |m| m.max);
        let now = memory
            .and_then(|id| self.memories.get(id))
            .and_then(|shared| {
                let bytes = self.item(shared.holder.0)?.instance.memory().len();
                Some((bytes >> module.memory_type()?.page_log2) as u32)
            });
        let least = tables
            .iter()
            .filter_map(|id| self.tables.get(*id)?.max)
            .min();
        let pages = module.memory_type().map_or(0, |ty| {
            ((u64::from(self.settings.pages) << 16) >> ty.page_log2) as u32
        });
        let options = Options {
            memory_pages: Some(limit(pages, max).max(now.unwrap_or(0))),
            table_entries: Some(limit(self.settings.entries, least)),
            stack: self.settings.stack,
            function_base: (index as u32) << INDEX_BITS,
        };
        let words = (module.footprint(&options).total / 8) as usize;
        let mut region: Vec<u64> = Vec::new();
        if words > 1 << 31 || region.try_reserve_exact(words + GUARD).is_err() {
            return Outcome::new(Status::Unsupported, "no room for its footprint");
        }
        region.resize(words + GUARD, 0);
        let (region, guard) = Vec::leak(region).split_at_mut(words);
        guard.fill(PATTERN);
        let bytes = region.len() * 8;
        // SAFETY: any bytes of the region may be seen as bytes; it is handed to the instance for good.
        let region =
            unsafe { core::slice::from_raw_parts_mut(region.as_mut_ptr().cast::<u8>(), bytes) };
        let Ok(mut instance) = Instance::new(module, region, &options) else {
            return Outcome::fault("the footprint is not enough");
        };
        let tier = match self.compile(&module, &options) {
            Ok(tier) => {
                let _ = instance.set_tier(Some(tier));
                "compiled"
            }
            Err(why) => why,
        };

        for function in imported.3..module.functions() {
            functions.push((index, function));
        }
        self.share(index, &module, (&mut memory, &mut tables, &mut globals));
        self.items.push(Some(Item {
            instance,
            module,
            functions,
            memory,
            tables,
            globals,
            imports: imported != (false, 0, 0, 0),
            asides: vec![None],
            guard,
        }));
        let ended = self.run(vec![index]);
        let mut outcome = self.ended(ended, index, 0);
        if outcome.status == Status::Ok {
            outcome.text = tier.into();
            self.newest = Some(index);
            if !name.is_empty() {
                self.names.push((name.into(), index));
            }
        }
        outcome
    }

    /// Adds what an instance has of its own to what it imports, so that others can import it.
    fn share(
        &mut self,
        index: usize,
        module: &Module<'static>,
        (memory, tables, globals): (&mut Option<usize>, &mut Vec<usize>, &mut Vec<usize>),
    ) {
        if let (None, Some(ty)) = (*memory, module.memory_type()) {
            *memory = Some(self.memories.len());
            self.memories.push(Shared {
                holder: (index, 0),
                max: ty.limits.max,
            });
        }
        for table in tables.len() as u32.. {
            let Some(ty) = module.table_type(table) else {
                break;
            };
            tables.push(self.tables.len());
            self.tables.push(Shared {
                holder: (index, table),
                max: ty.limits.max,
            });
        }
        for global in globals.len() as u32.. {
            if module.global_type(global).is_none() {
                break;
            }
            globals.push(self.globals.len());
            self.globals.push(Shared {
                holder: (index, global),
                max: None,
            });
        }
    }

    /// Sweeps the fuel of a module that imports nothing.
    fn sweep(&mut self, bytes: &[u8], exports: &[String], every: u32, most: u64) -> Outcome {
        let module = match self.load(bytes) {
            Ok(module) => module,
            Err(outcome) => return outcome,
        };
        let options = Options {
            stack: self.settings.stack,
            ..Options::default()
        };
        let (tier, told) = match self.compile(&module, &options) {
            Ok(tier) => (Some(tier), "compiled"),
            Err(why) => (None, why),
        };
        let mut region = vec![0_u64; (module.footprint(&options).total / 8) as usize];
        // SAFETY: any bytes of the words may be seen as bytes.
        let (_, region, _) = unsafe { region.align_to_mut::<u8>() };
        let sweep = Sweep {
            module,
            options,
            tier,
            exports,
            every,
            most,
        };
        sweep.run(region, told)
    }

    /// Compiles, if the script asks for it, or says why not. Code stays for as long as the process does.
    #[cfg(target_arch = "arm")]
    fn compile(
        &mut self,
        module: &Module<'static>,
        options: &Options,
    ) -> Result<&'static dyn Tier, &'static str> {
        use wasmote_compiler::{
            Native, Options as Choice, Refusal, Work, compile, marks, measure, verify,
        };
        if !self.settings.compiled {
            return Err("");
        }
        let choice = Choice::of(module, options);
        // Painted, and lent where it ends between what is not lent: all that compiling changes is what it says.
        self.work.fill(PAINT);
        let lent = self.work.get_mut(GUARD..).unwrap_or(&mut []);
        let first = GUARD + lent.as_ptr().align_offset(align_of::<Work>());
        let work = Work::within(lent).ok_or("no room to compile in")?;
        let length = measure(module, choice, work).map_err(Refusal::message)?;
        let mut words: Vec<u32> = Vec::new();
        if words.try_reserve_exact(length as usize / 4).is_err() {
            return Err("no room for the code");
        }
        words.resize(length as usize / 4, 0xdede_dede);
        let words = Vec::leak(words);
        // SAFETY: any bytes of the words may be seen as bytes.
        let arena = unsafe {
            core::slice::from_raw_parts_mut(words.as_mut_ptr().cast::<u8>(), length as usize)
        };
        let code = compile(module, choice, work, arena).map_err(Refusal::message)?;
        if code.bytes().len() != length as usize {
            return Err("another length than was measured");
        }
        let size = size_of::<Work>();
        let mut changed = (0..).zip(&self.work).filter(|(_, byte)| **byte != PAINT);
        let from = changed.next().map_or(0, |(at, _)| at);
        let peak = changed.last().map_or(0, |(at, _)| at + 1_usize - first);
        if from < first || peak > size || peak + 8 < size {
            return Err("another working memory than is said");
        }
        let mut room = vec![0; marks(length)];
        if verify(code.bytes(), module, &mut room).is_err() {
            return Err(Refusal::Unverified.message());
        }
        // SAFETY: compiled for this module, with room to grow if it has it, and never changed.
        Ok(Box::leak(Box::new(unsafe { Native::new(code) })))
    }

    #[cfg(not(target_arch = "arm"))]
    fn compile(
        &mut self,
        _: &Module<'static>,
        _: &Options,
    ) -> Result<&'static dyn Tier, &'static str> {
        Err("")
    }

    /// Drops the newest instance when nothing can refer to it any more: no name, and no import it could have given
    /// references of its own to.
    fn forget(&mut self) {
        let Some(index) = self.newest else { return };
        let named = self
            .names
            .iter()
            .chain(&self.registered)
            .any(|(_, i)| *i == index);
        if !named
            && self.item(index).is_some_and(|item| !item.imports)
            && let Some(slot) = self.items.get_mut(index)
            && let Some(item) = slot.take()
        {
            let region = item.instance.into_region();
            let words = region.len() / 8 + GUARD;
            // SAFETY: `instantiate` leaked a vector of exactly these words, region and guard, and both end here.
            drop(unsafe { Vec::from_raw_parts(region.as_mut_ptr().cast::<u64>(), words, words) });
            self.newest = None;
        }
    }

    fn exported(&self, import: &Import<'_>) -> Option<(&Item, External<'static>)> {
        let found = self
            .registered
            .iter()
            .rev()
            .find(|(n, _)| n == import.module);
        let item = self.item(found?.1)?;
        let export = item.module.export(import.name)?;
        Some((item, export.item))
    }

    fn call(
        &mut self,
        owner: usize,
        function: u32,
        arguments: &[Value],
    ) -> Result<Vec<Value>, End> {
        self.begin(owner, function, arguments)?;
        self.run(vec![owner])
    }

    fn begin(&mut self, owner: usize, function: u32, arguments: &[Value]) -> Result<(), End> {
        let item = self
            .item_mut(owner)
            .ok_or(End::Fault("a reference to a dropped instance"))?;
        // A call back into an instance that waits for the answer to its own.
        let aside = item.instance.set_aside();
        item.asides.push(aside);
        item.instance
            .call(function, arguments)
            .map_err(|_| End::Fault("the call could not be started"))
    }

    /// Runs the last of a chain of calls between instances until the first of it has ended.
    fn run(&mut self, mut chain: Vec<usize>) -> Result<Vec<Value>, End> {
        let mut given = 0u64;
        let end = loop {
            let Some(&current) = chain.last() else {
                break End::Fault("an empty chain");
            };
            self.refresh(current);
            let slice = self.settings.slice;
            let Some(item) = self.item_mut(current) else {
                break End::Fault("a dropped instance");
            };
            let mut fuel = slice;
            match item.instance.run(&mut fuel) {
                Run::Done => {
                    let results: Vec<Value> = item.instance.results().collect();
                    if !item.back() {
                        break End::Fault("calls ended in another order");
                    }
                    chain.pop();
                    let Some(&caller) = chain.last() else {
                        return Ok(results);
                    };
                    let resumed = self
                        .item_mut(caller)
                        .map(|item| item.instance.resume(&results));
                    if resumed != Some(Ok(())) {
                        break End::Fault("the results do not fit the caller");
                    }
                }
                Run::OutOfFuel => {
                    given += slice;
                    if given >= self.settings.fuel {
                        break End::Fuel;
                    }
                }
                Run::Host(host) => {
                    let arguments: Vec<Value> = item.instance.arguments().collect();
                    let target = match host {
                        Host::Import(function, _) => item.functions.get(function as usize).copied(),
                        Host::Foreign(reference, wanted) => {
                            let (owner, index) = (
                                (reference >> INDEX_BITS) as usize,
                                reference & ((1 << INDEX_BITS) - 1),
                            );
                            let given = self.item(owner).and_then(|i| i.module.func_type(index));
                            if given != Some(wanted)
                                && let Some(item) = self.item_mut(current)
                                && let Ok(trap) = item.instance.abort(TrapKind::IndirectCallType)
                            {
                                break End::Trap(trap);
                            }
                            self.item(owner)
                                .and_then(|i| i.functions.get(index as usize).copied())
                        }
                    };
                    let Some((owner, function)) = target else {
                        break End::Fault("a call of nothing");
                    };
                    chain.push(owner);
                    if let Err(end) = self.begin(owner, function, &arguments) {
                        break end;
                    }
                }
                Run::Trap(trap) => break End::Trap(trap),
            }
        };
        for index in chain.into_iter().rev() {
            if let Some(item) = self.item_mut(index) {
                item.instance.cancel();
                if !item.back() {
                    return Err(End::Fault("calls ended in another order"));
                }
            }
        }
        Err(end)
    }

    /// Brings an instance's copies of what it shares up to date, and makes them the valid ones.
    fn refresh(&mut self, index: usize) {
        let Some(mut item) = self.items.get_mut(index).and_then(Option::take) else {
            return;
        };
        let stale = |all: &mut Vec<Shared>, id: usize, local: u32| {
            let shared = all.get_mut(id)?;
            let from = shared.holder;
            shared.holder = (index, local);
            (from != (index, local)).then_some(from)
        };
        if let Some(id) = item.memory
            && let Some((from, _)) = stale(&mut self.memories, id, 0)
            && let Some(Some(other)) = self.items.get(from)
            && let Some(ty) = item.module.memory_type()
        {
            let bytes = other.instance.memory();
            item.instance
                .memory_grow((bytes.len() >> ty.page_log2) as u32);
            if let Some(to) = item.instance.memory_mut().get_mut(..bytes.len()) {
                to.copy_from_slice(bytes);
            }
        }
        for (local, id) in item.tables.iter().enumerate() {
            if let Some((from, at)) = stale(&mut self.tables, *id, local as u32) {
                let own = from == index;
                let other = self.items.get(from).and_then(Option::as_ref);
                let other = if own { Some(&item) } else { other };
                let entries: Vec<Value> = other
                    .map(|other| {
                        (0..)
                            .map_while(|i| other.instance.table_get(at, i))
                            .collect()
                    })
                    .unwrap_or_default();
                item.instance.table_grow(local as u32, entries.len() as u32);
                for (entry, value) in entries.into_iter().enumerate() {
                    item.instance.table_set(local as u32, entry as u32, value);
                }
            }
        }
        for (local, id) in item.globals.iter().enumerate() {
            if let Some((from, at)) = stale(&mut self.globals, *id, local as u32) {
                let own = from == index;
                let other = self.items.get(from).and_then(Option::as_ref);
                let other = if own { Some(&item) } else { other };
                if let Some(value) = other.and_then(|other| other.instance.global(at)) {
                    item.instance.set_global(local as u32, value);
                }
            }
        }
        if let Some(slot) = self.items.get_mut(index) {
            *slot = Some(item);
        }
    }
}

/// Whether a memory or table of this size and maximum fits what an import asks for.
fn within(wanted: Limits, size: u32, max: Option<u32>) -> bool {
    size >= wanted.min
        && wanted
            .max
            .is_none_or(|most| max.is_some_and(|max| max <= most))
}
