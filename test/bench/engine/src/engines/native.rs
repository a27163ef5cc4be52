//! The kernels in Rust, compiled for the chip: what the others are compared with.
use super::{Engine, Job};
use crate::{double, single};
use alloc::boxed::Box;

enum Native {
    Single(Box<dyn single::kernels::Kernel>),
    Double(Box<dyn double::kernels::Kernel>),
}

pub(super) fn load(job: Job) -> Result<Box<dyn Engine>, &'static str> {
    let unknown = "there is no such kernel";
    Ok(Box::new(if job.double {
        let found = double::kernels::KERNELS
            .iter()
            .find(|(name, _)| *name == job.name);
        Native::Double(found.ok_or(unknown)?.1())
    } else {
        let found = single::kernels::KERNELS
            .iter()
            .find(|(name, _)| *name == job.name);
        Native::Single(found.ok_or(unknown)?.1())
    }))
}

macro_rules! call {
    ($kernel:expr, $export:expr) => {
        match $export {
            "setup" => Ok({
                $kernel.setup();
                None
            }),
            "run" => Ok({
                $kernel.run();
                None
            }),
            "checksum" => Ok(Some($kernel.checksum())),
            _ => Err("there is no such export"),
        }
    };
}

impl Engine for Native {
    fn call(&mut self, export: &str) -> Result<Option<i32>, &'static str> {
        match self {
            Native::Single(kernel) => call!(kernel, export),
            Native::Double(kernel) => call!(kernel, export),
        }
    }
}
