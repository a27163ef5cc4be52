//! The engine of the node as an addon for Node.js: the same validation, footprint, results and fuel.
#![allow(
    missing_docs,
    reason = "the interface is described where it is used, in host/lib/engine.ts"
)]
pub mod compiled;

use napi::bindgen_prelude::{BigInt, Buffer, Either, Error, Result, Status};
use napi_derive::napi;
use wasmote_engine::{
    External, Host, Instance, InstanceError, Module, Options, PageSizes, Place, Run, Scratch,
    Summary, Trap, TrapKind, ValType, Value, validate,
};

/// A number as JavaScript has it: an i64 is a BigInt.
type Number = Either<f64, BigInt>;

#[napi(object)]
pub struct ImportFact {
    pub module: String,
    pub name: String,
    pub kind: String,
    pub parameters: Vec<String>,
    pub results: Vec<String>,
}

#[napi(object)]
pub struct ExportFact {
    pub name: String,
    pub kind: String,
    pub parameters: Vec<String>,
    pub results: Vec<String>,
}

#[napi(object)]
pub struct FootprintFact {
    pub memory: f64,
    pub globals: f64,
    pub tables: f64,
    pub stack: f64,
    pub total: f64,
    pub depth: Option<u32>,
}

#[napi(object)]
pub struct ModuleFact {
    pub imports: Vec<ImportFact>,
    pub exports: Vec<ExportFact>,
    pub footprint: FootprintFact,
    /// Bytes of the branch table.
    pub table: u32,
}

#[napi(object)]
pub struct PlaceFact {
    pub function: u32,
    pub offset: u32,
    /// The instruction there, in the text format; none while segments are initialised.
    pub instruction: Option<String>,
}

#[napi(object)]
pub struct RunFact {
    /// "done", "fuel", "host" or "trap".
    pub state: String,
    pub values: Vec<Number>,
    /// Of a host call, which import.
    pub import: Option<u32>,
    /// Of a trap.
    pub trap: Option<String>,
    pub backtrace: Vec<PlaceFact>,
}

fn name(ty: ValType) -> String {
    match ty {
        ValType::I32 => "i32",
        ValType::I64 => "i64",
        ValType::F32 => "f32",
        ValType::F64 => "f64",
        ValType::FuncRef => "funcref",
        ValType::ExternRef => "externref",
    }
    .into()
}

fn names(types: impl Iterator<Item = ValType>) -> Vec<String> {
    types.map(name).collect()
}

fn describe(item: &External<'_>) -> (String, Vec<String>, Vec<String>) {
    match item {
        External::Func(_, ty) => ("function".into(), names(ty.params()), names(ty.results())),
        External::Table(..) => ("table".into(), vec![], vec![]),
        External::Memory(..) => ("memory".into(), vec![], vec![]),
        External::Global(_, ty) => ("global".into(), vec![name(ty.value)], vec![]),
    }
}

fn trouble(text: impl Into<String>) -> Error {
    Error::new(Status::InvalidArg, text.into())
}

fn reason(error: InstanceError) -> &'static str {
    match error {
        InstanceError::Region => "its region is too short",
        InstanceError::Functions => "there are no numbers for its functions",
        InstanceError::Arguments => "the values are not of its types",
        InstanceError::State => {
            "the instance is in another state: not set up yet, or in the middle of a run"
        }
    }
}

type Room = Box<Scratch<{ 64 * 1024 }, 1024, 8192>>;

/// What a module and the region of an instance may take here: beyond every node, and far below what would harm Node.
const MODULE_BYTES: usize = 16 << 20;
const REGION_BYTES: u64 = 256 << 20;

/// What is granted to an instance beyond its own needs.
#[napi(object)]
#[derive(Clone, Copy, Default)]
pub struct Grants {
    /// Bytes of stack where the depth of calls is not known; 4096 when not given.
    pub stack: Option<u32>,
    /// Pages its memory may grow to.
    pub pages: Option<u32>,
    /// Entries each table may grow to.
    pub entries: Option<u32>,
}

impl Grants {
    fn options(grants: Option<Self>) -> Options {
        let grants = grants.unwrap_or_default();
        Options {
            stack: grants.stack.unwrap_or(4096),
            memory_pages: grants.pages,
            table_entries: grants.entries,
            function_base: 0,
        }
    }
}

/// Validates, with four words of table for each byte of the module: a branch takes three, and has a byte or more.
fn load(bytes: &[u8]) -> Result<(Vec<u32>, Summary)> {
    if bytes.len() > MODULE_BYTES {
        return Err(trouble(format!(
            "unsupported at byte 0: a module has at most {MODULE_BYTES} bytes here"
        )));
    }
    let mut scratch: Room = Box::default();
    let mut table = vec![0u32; 256 + bytes.len() * 4];
    let summary = validate(bytes, table.as_mut_slice(), &mut scratch, PageSizes::Any)
        .map_err(|error| trouble(error.to_string()))?;
    table.truncate(summary.table_bytes() as usize / 4);
    Ok((table, summary))
}

fn module<'a>(bytes: &'a [u8], table: &'a [u32], summary: &Summary) -> Result<Module<'a>> {
    Module::new(bytes, table, summary).ok_or_else(|| trouble("the table is not what was emitted"))
}

#[napi(js_name = "inspect")]
pub fn inspect(bytes: Buffer, grants: Option<Grants>) -> Result<ModuleFact> {
    let (table, summary) = load(&bytes)?;
    let module = module(&bytes, &table, &summary)?;
    let footprint = module.footprint(&Grants::options(grants));
    Ok(ModuleFact {
        imports: module
            .imports()
            .map(|import| {
                let (kind, parameters, results) = describe(&import.item);
                ImportFact {
                    module: import.module.into(),
                    name: import.name.into(),
                    kind,
                    parameters,
                    results,
                }
            })
            .collect(),
        exports: module
            .exports()
            .map(|export| {
                let (kind, parameters, results) = describe(&export.item);
                ExportFact {
                    name: export.name.into(),
                    kind,
                    parameters,
                    results,
                }
            })
            .collect(),
        footprint: FootprintFact {
            memory: footprint.memory as f64,
            globals: f64::from(footprint.globals),
            tables: f64::from(footprint.tables),
            stack: f64::from(footprint.stack),
            total: footprint.total as f64,
            depth: footprint.depth,
        },
        table: summary.table_bytes(),
    })
}

/// What a node has against a module.
#[napi(object)]
pub struct RefusalFact {
    pub what: String,
    /// The byte at which it was found.
    pub offset: Option<u32>,
}

/// Why every node would refuse a module: its validator with the room that it has, its names, its imports and exports.
#[napi]
pub fn refusal(bytes: Buffer) -> Option<RefusalFact> {
    if bytes.len() > MODULE_BYTES {
        return Some(RefusalFact {
            what: format!("a module has at most {MODULE_BYTES} bytes here"),
            offset: None,
        });
    }
    let bytes = Box::into_raw(Box::<[u8]>::from(bytes.as_ref()));
    let table = Box::into_raw(vec![0u32; 256 + bytes.len() * 4].into_boxed_slice());
    // SAFETY: both were just leaked, and are freed below, once nothing borrows them.
    let found = unsafe { judge(&*bytes, &mut *table) };
    // SAFETY: as above.
    unsafe {
        drop(Box::from_raw(bytes));
        drop(Box::from_raw(table));
    }
    found
}

fn judge(bytes: &'static [u8], table: &'static mut [u32]) -> Option<RefusalFact> {
    let plain = |what: &str| RefusalFact {
        what: what.into(),
        offset: None,
    };
    let mut room: Box<wasmote_node::Room> = Box::default();
    let summary = match validate(bytes, table, &mut room, PageSizes::Any) {
        Ok(summary) => summary,
        Err(error) => {
            return Some(RefusalFact {
                what: error.to_string(),
                offset: Some(error.offset),
            });
        }
    };
    let table = table.get(..summary.table_bytes() as usize / 4)?;
    let module = Module::new(bytes, table, &summary)?;
    match wasmote_node::module::Facts::read(&module) {
        Ok(facts) if facts.contract != wasmote_node::contract::VERSION => {
            return Some(plain("made for another version of the contract"));
        }
        Ok(_) => {}
        Err(what) => return Some(plain(what)),
    }
    wasmote_node::module::link(&module).err().map(plain)
}

/// An instance with everything it stands on.
#[napi]
pub struct EngineInstance {
    /// Taken only when dropped.
    instance: Option<Instance<'static, 'static>>,
    bytes: *mut [u8],
    table: *mut [u32],
    region: *mut [u64],
    /// The import whose call is pending.
    pending: Option<u32>,
}

impl Drop for EngineInstance {
    fn drop(&mut self) {
        self.instance = None;
        // SAFETY: the three were leaked by `new`, and what borrowed them has just ended.
        unsafe {
            drop(Box::from_raw(self.bytes));
            drop(Box::from_raw(self.table));
            drop(Box::from_raw(self.region));
        }
    }
}

#[napi]
impl EngineInstance {
    /// Validates and instantiates; the first `run` sets up and calls the start function.
    #[napi(constructor)]
    pub fn new(bytes: Buffer, grants: Option<Grants>) -> Result<Self> {
        let (table, summary) = load(&bytes)?;
        let bytes = Box::into_raw(Box::<[u8]>::from(bytes.as_ref()));
        let table = Box::into_raw(table.into_boxed_slice());
        // SAFETY: both were just leaked, and are freed only once nothing borrows them.
        let made = module(unsafe { &*bytes }, unsafe { &*table }, &summary).and_then(|module| {
            let options = Grants::options(grants);
            let total = module.footprint(&options).total;
            if total > REGION_BYTES {
                return Err(trouble(format!(
                    "it needs a region of {total} bytes, and gets at most {REGION_BYTES} here"
                )));
            }
            let words = (total / 8) as usize;
            let region = Box::into_raw(vec![0u64; words].into_boxed_slice());
            // SAFETY: as above; the same memory as bytes.
            let view = unsafe { core::slice::from_raw_parts_mut(region.cast::<u8>(), words * 8) };
            match Instance::new(module, view, &options) {
                Ok(instance) => Ok((instance, region)),
                Err(error) => {
                    // SAFETY: just leaked, and nothing took it.
                    drop(unsafe { Box::from_raw(region) });
                    Err(trouble(reason(error)))
                }
            }
        });
        match made {
            Ok((instance, region)) => Ok(Self {
                instance: Some(instance),
                bytes,
                table,
                region,
                pending: None,
            }),
            Err(error) => {
                // SAFETY: leaked above, and what borrowed them has ended.
                unsafe {
                    drop(Box::from_raw(bytes));
                    drop(Box::from_raw(table));
                }
                Err(error)
            }
        }
    }

    fn instance(&mut self) -> Result<&mut Instance<'static, 'static>> {
        self.instance
            .as_mut()
            .ok_or_else(|| trouble("the instance has ended"))
    }

    #[napi]
    pub fn call(&mut self, export: String, arguments: Vec<Number>) -> Result<()> {
        let instance = self.instance()?;
        let Some(External::Func(index, ty)) =
            instance.module().export(&export).map(|export| export.item)
        else {
            return Err(trouble(format!("no function is exported as {export:?}")));
        };
        let module = instance.module();
        if index < module.imported_functions() {
            return Err(trouble(format!("{export} is a function of the host's")));
        }
        let values = values(&module, ty.params(), arguments)?;
        instance
            .call(index, &values)
            .map_err(|error| trouble(format!("{export} cannot be called: {}", reason(error))))
    }

    /// Runs with this much fuel.
    #[napi]
    pub fn run(&mut self, fuel: f64) -> Result<RunFact> {
        let instance = self.instance()?;
        let mut fuel = fuel as u64;
        let run = instance.run(&mut fuel);
        let pending = match run {
            Run::Host(Host::Import(import, _)) => Some(import),
            _ => None,
        };
        let fact = match run {
            Run::Done => ended("done", instance.results().map(number).collect()),
            Run::OutOfFuel => RunFact {
                backtrace: places(instance.backtrace(), instance.module().bytes()),
                ..ended("fuel", vec![])
            },
            Run::Host(Host::Import(import, _)) => RunFact {
                import: Some(import),
                ..ended("host", instance.arguments().map(number).collect())
            },
            // Every function reference is one of the module's own: see `values`.
            Run::Host(Host::Foreign(..)) => return Err(trouble("a foreign function was called")),
            Run::Trap(trap) => trapped(
                &trap,
                instance.backtrace().collect(),
                instance.module().bytes(),
            ),
        };
        self.pending = pending;
        Ok(fact)
    }

    #[napi]
    pub fn resume(&mut self, results: Vec<Number>) -> Result<()> {
        let pending = self.pending.take();
        let instance = self.instance()?;
        let ty = pending.and_then(|import| instance.module().func_type(import));
        let ty = ty.ok_or_else(|| trouble("no host call is pending"))?;
        let values = values(&instance.module(), ty.results(), results)?;
        instance
            .resume(&values)
            .map_err(|error| trouble(reason(error)))
    }

    /// Answers the pending host call with a trap.
    #[napi]
    pub fn abort(&mut self) -> Result<RunFact> {
        let instance = self.instance()?;
        let places = instance.backtrace().collect();
        let trap = instance
            .abort(TrapKind::Host)
            .map_err(|error| trouble(reason(error)))?;
        Ok(trapped(&trap, places, instance.module().bytes()))
    }

    /// Gives up a run that ran out of fuel.
    #[napi]
    pub fn cancel(&mut self) -> Result<()> {
        self.instance()?.cancel();
        Ok(())
    }

    #[napi]
    pub fn fuel_used(&mut self) -> Result<f64> {
        Ok(self.instance()?.fuel_used() as f64)
    }

    /// A copy of a piece of the linear memory.
    #[napi]
    pub fn read(&mut self, at: u32, length: u32) -> Result<Buffer> {
        let memory = self.instance()?.memory();
        (at as usize)
            .checked_add(length as usize)
            .and_then(|end| memory.get(at as usize..end))
            .map(Buffer::from)
            .ok_or_else(|| trouble("outside the linear memory"))
    }

    #[napi]
    pub fn write(&mut self, at: u32, bytes: Buffer) -> Result<()> {
        let memory = self.instance()?.memory_mut();
        (at as usize)
            .checked_add(bytes.len())
            .and_then(|end| memory.get_mut(at as usize..end))
            .map(|to| to.copy_from_slice(&bytes))
            .ok_or_else(|| trouble("outside the linear memory"))
    }

    /// Bytes of the linear memory.
    #[napi]
    pub fn memory_size(&mut self) -> Result<u32> {
        Ok(self.instance()?.memory().len() as u32)
    }
}

fn ended(state: &str, values: Vec<Number>) -> RunFact {
    RunFact {
        state: state.into(),
        values,
        import: None,
        trap: None,
        backtrace: vec![],
    }
}

fn trapped(trap: &Trap, backtrace: Vec<Place>, module: &[u8]) -> RunFact {
    // A trap while segments are initialised is in no function's code, and so in no backtrace.
    let backtrace = if backtrace.is_empty() {
        vec![trap.place]
    } else {
        backtrace
    };
    RunFact {
        trap: Some(trap.kind.message().into()),
        backtrace: places(backtrace.into_iter(), module),
        ..ended("trap", vec![])
    }
}

fn places(backtrace: impl Iterator<Item = Place>, module: &[u8]) -> Vec<PlaceFact> {
    backtrace
        .map(|place| PlaceFact {
            function: place.function,
            offset: place.offset,
            instruction: (place.function != u32::MAX)
                .then(|| wasmote_engine::instruction(module, place.offset))
                .flatten()
                .map(|instruction| instruction.to_string()),
        })
        .collect()
}

fn number(value: Value) -> Number {
    match value {
        Value::I32(v) => Either::A(f64::from(v)),
        Value::I64(v) => Either::B(BigInt::from(v)),
        Value::F32(v) => Either::A(f64::from(v)),
        Value::F64(v) => Either::A(v),
        Value::FuncRef(v) | Value::ExternRef(v) => Either::A(v.map_or(-1.0, f64::from)),
    }
}

fn reference(number: f64) -> Option<u32> {
    (number >= 0.0 && number < f64::from(u32::MAX)).then_some(number as u32)
}

fn values(
    module: &Module<'_>,
    types: impl ExactSizeIterator<Item = ValType>,
    given: Vec<Number>,
) -> Result<Vec<Value>> {
    if types.len() != given.len() {
        return Err(trouble(format!(
            "{} values are wanted, {} given",
            types.len(),
            given.len()
        )));
    }
    types
        .zip(given)
        .map(|(ty, v)| {
            Ok(match (ty, v) {
                // ToInt32 of ECMAScript: modulo 2^32, what is no number is 0.
                (ValType::I32, Either::A(v)) => {
                    Value::I32((v.trunc().rem_euclid(4_294_967_296.0) as u32).cast_signed())
                }
                (ValType::I64, Either::B(v)) => Value::I64(v.get_i64().0),
                (ValType::F32, Either::A(v)) => Value::F32(v as f32),
                (ValType::F64, Either::A(v)) => Value::F64(v),
                // As results have them: a number, or -1 for null.
                (ValType::ExternRef, Either::A(v)) => Value::ExternRef(reference(v)),
                (ValType::FuncRef, Either::A(v)) => {
                    let function = reference(v);
                    if function.is_some_and(|index| index >= module.functions()) {
                        return Err(trouble("there is no such function in the module"));
                    }
                    Value::FuncRef(function)
                }
                _ => return Err(trouble("a value is not of the type that is wanted")),
            })
        })
        .collect()
}
