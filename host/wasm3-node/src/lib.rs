//! wasm3 as an addon for Node.js: the second opinion on a module's results. It has no fuel, and a host call cannot be
//! suspended; what the host would answer is therefore set beforehand, and what the module published is read afterwards.
#![allow(
    missing_docs,
    reason = "the interface is described where it is used, in host/lib/engine.ts"
)]
use napi::bindgen_prelude::{BigInt, Buffer, Either, Error, Result, Status};
use napi_derive::napi;
use std::sync::{Arc, Mutex};
use wasm3x::{Engine, FuncType, Instance, Linker, Module, Store, Val, ValType};

type Number = Either<f64, BigInt>;

fn trouble(error: impl ToString) -> Error {
    Error::new(Status::GenericFailure, error.to_string())
}

/// A host call that was made, with its arguments.
#[napi(object)]
pub struct CallFact {
    pub import: String,
    pub arguments: Vec<Number>,
}

/// What an import is: name, types, and the answer it gives.
#[napi(object)]
pub struct ImportAnswer {
    pub module: String,
    pub name: String,
    pub parameters: Vec<String>,
    pub results: Vec<String>,
    /// The answer by the first argument; the first one where there are fewer.
    pub answers: Vec<Number>,
}

type Answers = Arc<Mutex<Vec<Vec<Number>>>>;

#[napi]
pub struct Wasm3Instance {
    store: Store<()>,
    instance: Instance,
    calls: Arc<Mutex<Vec<CallFact>>>,
    answers: Answers,
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

fn value(ty: ValType, number: &Number) -> Val {
    let (float, int) = match number {
        Either::A(v) => (*v, *v as i64),
        Either::B(v) => (v.get_i64().0 as f64, v.get_i64().0),
    };
    match ty {
        ValType::I32 => Val::I32(int as i32),
        ValType::I64 => Val::I64(int),
        ValType::F32 => Val::F32(float as f32),
        _ => Val::F64(float),
    }
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

fn copy(number: &Number) -> Number {
    match number {
        Either::A(v) => Either::A(*v),
        Either::B(v) => Either::B(BigInt::from(v.get_i64().0)),
    }
}

#[napi]
impl Wasm3Instance {
    #[napi(constructor)]
    pub fn new(bytes: Buffer, imports: Vec<ImportAnswer>) -> Result<Self> {
        let engine = Engine::default();
        let mut store = Store::new(&engine, ());
        let module = Module::new(&engine, bytes.as_ref()).map_err(trouble)?;
        let mut linker = Linker::<()>::new(&engine);
        let calls: Arc<Mutex<Vec<CallFact>>> = Arc::default();
        let answers: Answers = Arc::new(Mutex::new(
            imports
                .iter()
                .map(|i| i.answers.iter().map(copy).collect())
                .collect(),
        ));
        for (index, import) in imports.iter().enumerate() {
            let parameters = import
                .parameters
                .iter()
                .map(|n| kind(n))
                .collect::<Result<Vec<_>>>()?;
            let results = import
                .results
                .iter()
                .map(|n| kind(n))
                .collect::<Result<Vec<_>>>()?;
            let ty = FuncType::new(parameters, results.clone());
            let (calls, answers, name) = (calls.clone(), answers.clone(), import.name.clone());
            linker
                .func_new(
                    &import.module,
                    &import.name,
                    ty,
                    move |_caller, arguments: &[Val], out: &mut [Val]| {
                        let numbers: Vec<Number> = arguments.iter().map(number).collect();
                        let first = match numbers.first() {
                            Some(Either::A(v)) => *v as usize,
                            _ => 0,
                        };
                        if let (Some(out), Some(ty)) = (out.first_mut(), results.first())
                            && let Ok(answers) = answers.lock()
                            && let Some(given) = answers.get(index)
                            && let Some(answer) = given.get(first).or(given.first())
                        {
                            *out = value(*ty, answer);
                        }
                        if let Ok(mut calls) = calls.lock() {
                            calls.push(CallFact {
                                import: name.clone(),
                                arguments: numbers,
                            });
                        }
                        Ok(())
                    },
                )
                .map_err(trouble)?;
        }
        let instance = linker
            .instantiate_and_start(&mut store, &module)
            .map_err(trouble)?;
        Ok(Self {
            store,
            instance,
            calls,
            answers,
        })
    }

    /// Sets what an import answers, by its first argument.
    #[napi]
    pub fn answer(&mut self, import: u32, answers: Vec<Number>) {
        if let Ok(mut all) = self.answers.lock()
            && let Some(slot) = all.get_mut(import as usize)
        {
            *slot = answers;
        }
    }

    #[napi]
    pub fn call(&mut self, export: String, arguments: Vec<Number>) -> Result<Vec<Number>> {
        let function = self
            .instance
            .get_func(&self.store, &export)
            .ok_or_else(|| trouble(format!("no function is exported as {export:?}")))?;
        let ty = function.ty(&self.store).map_err(trouble)?;
        if ty.params().len() != arguments.len() {
            return Err(trouble(format!(
                "{} values are wanted, {} given",
                ty.params().len(),
                arguments.len()
            )));
        }
        let values: Vec<Val> = ty
            .params()
            .iter()
            .zip(&arguments)
            .map(|(t, n)| value(*t, n))
            .collect();
        let mut results: Vec<Val> = ty
            .results()
            .iter()
            .filter_map(|t| Val::default_for_ty(*t))
            .collect();
        function
            .call(&mut self.store, &values, &mut results)
            .map_err(trouble)?;
        Ok(results.iter().map(number).collect())
    }

    /// Bytes of the linear memory.
    #[napi]
    pub fn memory_size(&mut self) -> u32 {
        self.instance
            .get_memory(&self.store)
            .map_or(0, |memory| memory.data(&self.store).len() as u32)
    }

    /// The host calls since this was last asked.
    #[napi]
    pub fn calls(&mut self) -> Vec<CallFact> {
        self.calls
            .lock()
            .map(|mut calls| std::mem::take(&mut *calls))
            .unwrap_or_default()
    }

    /// A copy of a piece of the linear memory.
    #[napi]
    pub fn read(&mut self, at: u32, length: u32) -> Result<Buffer> {
        let memory = self
            .instance
            .get_memory(&self.store)
            .ok_or_else(|| trouble("there is no memory"))?;
        let data = memory.data(&self.store);
        (at as usize)
            .checked_add(length as usize)
            .and_then(|end| data.get(at as usize..end))
            .map(Buffer::from)
            .ok_or_else(|| trouble("outside the linear memory"))
    }

    #[napi]
    pub fn write(&mut self, at: u32, bytes: Buffer) -> Result<()> {
        let memory = self
            .instance
            .get_memory(&self.store)
            .ok_or_else(|| trouble("there is no memory"))?;
        let data = memory.data_mut(&mut self.store);
        (at as usize)
            .checked_add(bytes.len())
            .and_then(|end| data.get_mut(at as usize..end))
            .map(|to| to.copy_from_slice(&bytes))
            .ok_or_else(|| trouble("outside the linear memory"))
    }
}
