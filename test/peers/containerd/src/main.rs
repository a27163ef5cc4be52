//! A shim by which containerd runs WASI commands: runwasi's library, with wasmtime as its engine. runwasi has a shim like it, which is not
//! published in a registry; this one has what our pods need: arguments, environment, standard streams, an exit code.
use anyhow::{Context as _, Result, anyhow};
use containerd_shim_wasm::sandbox::Sandbox;
use containerd_shim_wasm::sandbox::context::RuntimeContext;
use containerd_shim_wasm::shim::{Cli, Shim, Version, version};
use wasmtime::{Engine, Linker, Module, Store};
use wasmtime_wasi::p1::{WasiP1Ctx, add_to_linker_async};
use wasmtime_wasi::{I32Exit, WasiCtxBuilder};

struct Wasmtime;

impl Shim for Wasmtime {
    type Sandbox = Pod;

    fn name() -> &'static str {
        "wasmtime"
    }

    fn version() -> Version {
        version!()
    }
}

#[derive(Default)]
struct Pod;

impl Sandbox for Pod {
    async fn run_wasi(&self, context: &impl RuntimeContext) -> Result<i32> {
        let entry = context.entrypoint();
        let engine = Engine::default();
        let module = Module::new(&engine, entry.source.as_bytes()?).map_err(told)?;
        let mut wasi = WasiCtxBuilder::new();
        wasi.args(context.args()).inherit_stdio();
        for variable in context.envs() {
            let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
            wasi.env(name, value);
        }
        let mut store = Store::new(&engine, wasi.build_p1());
        let mut linker: Linker<WasiP1Ctx> = Linker::new(&engine);
        add_to_linker_async(&mut linker, |wasi| wasi).map_err(told)?;
        let instance = linker
            .instantiate_async(&mut store, &module)
            .await
            .map_err(told)?;
        let start = instance
            .get_func(&mut store, &entry.func)
            .with_context(|| format!("the module has no function {}", entry.func))?;
        match start.call_async(&mut store, &[], &mut []).await {
            Ok(()) => Ok(0),
            Err(error) => match error.downcast_ref::<I32Exit>() {
                Some(exit) => Ok(exit.0),
                None => Err(told(error)),
            },
        }
    }
}

/// wasmtime's errors are of a type of its own.
fn told(error: wasmtime::Error) -> anyhow::Error {
    anyhow!("{error:?}")
}

fn main() {
    Wasmtime::run(None);
}
