//! wasm3 as an addon for Node.js: the second opinion on a module's results. It has no fuel; an import asks the host while the
//! module runs.
#![allow(
    missing_docs,
    reason = "the interface is described where it is used, in host/lib/engine.ts"
)]
use napi::Env;
use napi::bindgen_prelude::{
    BigInt, Buffer, Either, Error, FnArgs, FunctionRef, HandleScope, Result, Status,
};
use napi_derive::napi;
use std::cell::{Cell, RefCell, RefMut};
use std::ptr::NonNull;
use std::rc::Rc;
use wasm3x::{
    AsContextMut, Caller, Engine, FuncType, Instance, Linker, Memory, Module, Store,
    StoreContextMut, Val, ValType,
};

type Number = Either<f64, BigInt>;

fn trouble(error: impl ToString) -> Error {
    Error::new(Status::GenericFailure, error.to_string())
}

/// A function that a module imports.
#[napi(object)]
pub struct ImportFact {
    pub module: String,
    pub name: String,
    pub parameters: Vec<String>,
    pub results: Vec<String>,
}

/// The host: which import is called with what, and its results; nothing refuses the call, which traps.
type Ask = FunctionRef<FnArgs<(u32, Vec<Number>)>, Either<Vec<Number>, ()>>;

/// What an import gets hold of while a module runs.
struct Asking {
    env: Env,
    /// During a call: kept for longer, it would keep alive what keeps this alive.
    ask: RefCell<Option<Ask>>,
    lent: Lent,
    /// What the host threw, for the caller of the module.
    thrown: RefCell<Option<Error>>,
}

type Context = Rc<Asking>;

/// The way to the linear memory while the host is asked: the store is the running module's then.
type Lent = Cell<Option<NonNull<Caller<'static, Context>>>>;

/// Takes back what is lent, also from a panic.
struct Loan<'a>(&'a Lent);

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        self.0.set(None);
    }
}

struct Running {
    store: Store<Context>,
    instance: Instance,
}

#[napi]
pub struct Wasm3Instance {
    engine: Engine,
    module: Module,
    linker: Linker<Context>,
    asking: Context,
    running: RefCell<Option<Running>>,
}

fn kind(name: &str) -> Result<ValType> {
    Ok(match name {
        "i32" => ValType::I32,
        "i64" => ValType::I64,
        "f32" => ValType::F32,
        "f64" => ValType::F64,
        other => return Err(trouble(format!("wasm3 has no values of type {other}"))),
    })
}

fn value(ty: ValType, number: &Number) -> Option<Val> {
    Some(match (ty, number) {
        // ToInt32 of ECMAScript: modulo 2^32, what is no number is 0.
        (ValType::I32, Either::A(v)) => {
            Val::I32((v.trunc().rem_euclid(4_294_967_296.0) as u32).cast_signed())
        }
        (ValType::I64, Either::B(v)) => Val::I64(v.get_i64().0),
        (ValType::F32, Either::A(v)) => Val::F32(*v as f32),
        (ValType::F64, Either::A(v)) => Val::F64(*v),
        _ => return None,
    })
}

fn values(types: &[ValType], given: &[Number]) -> Result<Vec<Val>> {
    if types.len() != given.len() {
        return Err(trouble(format!(
            "{} values are wanted, {} given",
            types.len(),
            given.len()
        )));
    }
    types
        .iter()
        .zip(given)
        .map(|(ty, v)| value(*ty, v))
        .collect::<Option<_>>()
        .ok_or_else(|| trouble("a value is not of the type that is wanted"))
}

fn number(value: &Val) -> Number {
    if let Some(v) = value.i32() {
        Either::A(f64::from(v))
    } else if let Some(v) = value.i64() {
        Either::B(BigInt::from(v))
    } else if let Some(v) = value.f32() {
        Either::A(f64::from(v))
    } else {
        Either::A(value.f64().unwrap_or(f64::NAN))
    }
}

impl Asking {
    /// Asks the host: its results, nothing when it refuses, an error when it threw or answered with what is not a value.
    fn ask(&self, import: u32, arguments: Vec<Number>) -> Result<Option<Vec<Number>>> {
        let scope = HandleScope::create(&self.env)?;
        let ask = self.ask.borrow();
        let ask = ask.as_ref().ok_or_else(|| trouble("there is no host"))?;
        let function = ask.borrow_back(&self.env)?;
        // SAFETY: only numbers leave the scope. It is opened so that what one call makes does not stay until all have ended.
        let answer = unsafe {
            scope.close(function, |function| {
                function.call((import, arguments).into())
            })
        }?;
        Ok(match answer {
            Either::A(values) => Some(values),
            Either::B(()) => None,
        })
    }
}

/// What an import does.
fn import(
    mut caller: Caller<'_, Context>,
    index: u32,
    arguments: &[Val],
    results: &[ValType],
    out: &mut [Val],
) -> wasm3x::Result<()> {
    let asking = caller.data().clone();
    asking.lent.set(Some(NonNull::from(&mut caller).cast()));
    let loan = Loan(&asking.lent);
    let answer = asking
        .ask(index, arguments.iter().map(number).collect())
        .and_then(|answer| answer.map(|given| values(results, &given)).transpose());
    drop(loan);
    match answer {
        Ok(Some(given)) => {
            out.copy_from_slice(&given);
            Ok(())
        }
        Ok(None) => Err(wasm3x::Error::new("host function failed")),
        Err(error) => {
            *asking.thrown.borrow_mut() = Some(error);
            Err(wasm3x::Error::new("the host threw"))
        }
    }
}

#[napi]
impl Wasm3Instance {
    /// Takes a module; `start` sets it up.
    #[napi(constructor)]
    pub fn new(env: Env, bytes: Buffer, imports: Vec<ImportFact>) -> Result<Self> {
        let engine = Engine::default();
        let module = Module::new(&engine, bytes.as_ref()).map_err(trouble)?;
        let mut linker = Linker::new(&engine);
        for (index, fact) in (0..).zip(&imports) {
            let types = |names: &[String]| {
                names
                    .iter()
                    .map(|name| kind(name))
                    .collect::<Result<Vec<_>>>()
            };
            let results = types(&fact.results)?;
            let ty = FuncType::new(types(&fact.parameters)?, results.clone());
            linker
                .func_new(&fact.module, &fact.name, ty, move |caller, given, out| {
                    import(caller, index, given, &results, out)
                })
                .map_err(trouble)?;
        }
        Ok(Self {
            engine,
            module,
            linker,
            asking: Rc::new(Asking {
                env,
                ask: RefCell::default(),
                lent: Cell::default(),
                thrown: RefCell::default(),
            }),
            running: RefCell::default(),
        })
    }

    /// Runs the module, which asks the host. What it ended with is what the host threw, or what wasm3 says.
    fn run<T>(&self, ask: Ask, run: impl FnOnce() -> wasm3x::Result<T>) -> Result<T> {
        self.asking.ask.replace(Some(ask));
        let ended = run();
        self.asking.ask.take();
        let thrown = self.asking.thrown.take();
        ended.map_err(|error| thrown.unwrap_or_else(|| trouble(error)))
    }

    fn running(&self) -> Result<RefMut<'_, Option<Running>>> {
        let running = self.running.try_borrow_mut();
        running.map_err(|_| trouble("it is in the middle of a call"))
    }

    /// Sets up memory and tables, and calls the start function.
    #[napi]
    pub fn start(&self, ask: Ask) -> Result<()> {
        let mut running = self.running()?;
        let mut store = Store::new(&self.engine, self.asking.clone());
        let instance = self.run(ask, || {
            self.linker.instantiate_and_start(&mut store, &self.module)
        })?;
        *running = Some(Running { store, instance });
        Ok(())
    }

    #[napi]
    pub fn call(&self, export: String, arguments: Vec<Number>, ask: Ask) -> Result<Vec<Number>> {
        let mut running = self.running()?;
        let Running { store, instance } = running
            .as_mut()
            .ok_or_else(|| trouble("it has not been set up"))?;
        let function = instance
            .get_func(&*store, &export)
            .ok_or_else(|| trouble(format!("no function is exported as {export:?}")))?;
        let ty = function.ty(&*store).map_err(trouble)?;
        let values = values(ty.params(), &arguments)?;
        let mut results: Vec<Val> = ty
            .results()
            .iter()
            .filter_map(|t| Val::default_for_ty(*t))
            .collect();
        self.run(ask, || function.call(store, &values, &mut results))?;
        Ok(results.iter().map(number).collect())
    }

    /// Works on the linear memory, where there is one; also while the host is asked.
    fn memory<T>(&self, work: impl FnOnce(Memory, StoreContextMut<'_, Context>) -> T) -> Option<T> {
        if let Some(mut lent) = self.asking.lent.get() {
            // SAFETY: it is lent for as long as the host is asked, on this thread; what lent it does not touch it meanwhile.
            let caller = unsafe { lent.as_mut() };
            return Some(work(caller.get_memory()?, caller.as_context_mut()));
        }
        let mut running = self.running.try_borrow_mut().ok()?;
        let Running { store, instance } = running.as_mut()?;
        Some(work(instance.get_memory(&*store)?, store.as_context_mut()))
    }

    /// Bytes of the linear memory.
    #[napi]
    pub fn memory_size(&self) -> u32 {
        self.memory(|memory, context| memory.data_size(context) as u32)
            .unwrap_or(0)
    }

    /// A copy of a piece of the linear memory.
    #[napi]
    pub fn read(&self, at: u32, length: u32) -> Result<Buffer> {
        let outside = || trouble("outside the linear memory");
        let end = u64::from(at) + u64::from(length);
        if end > u64::from(self.memory_size()) {
            return Err(outside());
        }
        let mut bytes = vec![0; length as usize];
        self.memory(|memory, context| memory.read(context, at as usize, &mut bytes))
            .ok_or_else(outside)?
            .map_err(trouble)?;
        Ok(bytes.into())
    }

    #[napi]
    pub fn write(&self, at: u32, bytes: Buffer) -> Result<()> {
        self.memory(|memory, context| memory.write(context, at as usize, &bytes))
            .ok_or_else(|| trouble("there is no memory"))?
            .map_err(trouble)
    }
}
