//! wasmi 2, translating all functions when it loads; with fuel only where it is asked for, since that costs it time.
use super::{Engine, Job};
use alloc::boxed::Box;
use wasmi::{CompilationMode, Config, Instance, Linker, Module, Store, Val};

struct Wasmi {
    store: Store<()>,
    instance: Instance,
}

pub(super) fn load(job: Job) -> Result<Box<dyn Engine>, &'static str> {
    let mut config = Config::default();
    config
        .compilation_mode(CompilationMode::Eager)
        .consume_fuel(job.fuel);
    let engine = wasmi::Engine::new(&config);
    let module = Module::new(&engine, job.module).map_err(|_| "not valid")?;
    let mut store = Store::new(&engine, ());
    if job.fuel {
        store.set_fuel(u64::MAX).map_err(|_| "no fuel")?;
    }
    let instance = Linker::<()>::new(&engine)
        .instantiate_and_start(&mut store, &module)
        .map_err(|_| "no instance")?;
    Ok(Box::new(Wasmi { store, instance }))
}

impl Engine for Wasmi {
    fn call(&mut self, export: &str) -> Result<Option<i32>, &'static str> {
        let function = self.instance.get_func(&self.store, export);
        let function = function.ok_or("there is no such export")?;
        let count = function.ty(&self.store).results().len();
        let mut results = [Val::I32(0)];
        let results = results.get_mut(..count).ok_or("too many results")?;
        function
            .call(&mut self.store, &[], results)
            .map_err(|_| "it trapped")?;
        Ok(results.first().and_then(Val::i32))
    }
}
