//! The kernels in Rust, compiled for the chip: what the others are compared with. With the feature `gcc` their work is done in C.
use super::{Engine, Job};
use crate::{double, single};
use alloc::boxed::Box;

enum Arrays {
    Single(Box<dyn single::kernels::Kernel>),
    Double(Box<dyn double::kernels::Kernel>),
}

struct Native {
    arrays: Arrays,
    #[cfg(feature = "gcc")]
    twin: twins::Twin,
}

pub(super) fn load(job: Job) -> Result<Box<dyn Engine>, &'static str> {
    let unknown = "there is no such kernel";
    #[cfg(feature = "gcc")]
    let twin = twin(
        if job.double {
            &twins::DOUBLE
        } else {
            &twins::SINGLE
        },
        job.name,
    )?;
    let arrays = if job.double {
        let found = double::kernels::KERNELS
            .iter()
            .find(|(name, _)| *name == job.name);
        Arrays::Double(found.ok_or(unknown)?.1())
    } else {
        let found = single::kernels::KERNELS
            .iter()
            .find(|(name, _)| *name == job.name);
        Arrays::Single(found.ok_or(unknown)?.1())
    };
    Ok(Box::new(Native {
        arrays,
        #[cfg(feature = "gcc")]
        twin,
    }))
}

/// What the kernels do in C, by their names: see twins.c.
#[cfg(feature = "gcc")]
mod twins {
    use core::ffi::c_void;

    /// Does the work on the arrays at this address.
    pub(super) type Twin = unsafe extern "C" fn(*mut c_void);

    macro_rules! twins {
        ($all:ident $count:literal: $($kernel:literal $function:ident)*) => {
            unsafe extern "C" {
                $(fn $function(arrays: *mut c_void);)*
            }
            pub(super) static $all: [(&str, Twin); $count] = [$(($kernel, $function),)*];
        };
    }
    twins! { SINGLE 39:
        "2mm" twin_mm2_f32
        "3mm" twin_mm3_f32
        "adi" twin_adi_f32
        "atax" twin_atax_f32
        "bicg" twin_bicg_f32
        "cholesky" twin_cholesky_f32
        "correlation" twin_correlation_f32
        "covariance" twin_covariance_f32
        "deriche" twin_deriche_f32
        "doitgen" twin_doitgen_f32
        "durbin" twin_durbin_f32
        "fdtd-2d" twin_fdtd_2d_f32
        "gemm" twin_gemm_f32
        "gemver" twin_gemver_f32
        "gesummv" twin_gesummv_f32
        "gramschmidt" twin_gramschmidt_f32
        "heat-3d" twin_heat_3d_f32
        "jacobi-1d" twin_jacobi_1d_f32
        "jacobi-2d" twin_jacobi_2d_f32
        "lu" twin_lu_f32
        "ludcmp" twin_ludcmp_f32
        "mvt" twin_mvt_f32
        "seidel-2d" twin_seidel_2d_f32
        "symm" twin_symm_f32
        "syr2k" twin_syr2k_f32
        "syrk" twin_syrk_f32
        "trisolv" twin_trisolv_f32
        "trmm" twin_trmm_f32
        "floyd-warshall" twin_floyd_warshall_f32
        "nussinov" twin_nussinov_f32
        "list" twin_list_f32
        "matrix" twin_matrix_f32
        "state" twin_state_f32
        "crc" twin_crc_f32
        "fib" twin_fib_f32
        "tak" twin_tak_f32
        "ackermann" twin_ackermann_f32
        "dispatch" twin_dispatch_f32
        "sieve" twin_sieve_f32
    }
    twins! { DOUBLE 28:
        "2mm" twin_mm2_f64
        "3mm" twin_mm3_f64
        "adi" twin_adi_f64
        "atax" twin_atax_f64
        "bicg" twin_bicg_f64
        "cholesky" twin_cholesky_f64
        "correlation" twin_correlation_f64
        "covariance" twin_covariance_f64
        "deriche" twin_deriche_f64
        "doitgen" twin_doitgen_f64
        "durbin" twin_durbin_f64
        "fdtd-2d" twin_fdtd_2d_f64
        "gemm" twin_gemm_f64
        "gemver" twin_gemver_f64
        "gesummv" twin_gesummv_f64
        "gramschmidt" twin_gramschmidt_f64
        "heat-3d" twin_heat_3d_f64
        "jacobi-1d" twin_jacobi_1d_f64
        "jacobi-2d" twin_jacobi_2d_f64
        "lu" twin_lu_f64
        "ludcmp" twin_ludcmp_f64
        "mvt" twin_mvt_f64
        "seidel-2d" twin_seidel_2d_f64
        "symm" twin_symm_f64
        "syr2k" twin_syr2k_f64
        "syrk" twin_syrk_f64
        "trisolv" twin_trisolv_f64
        "trmm" twin_trmm_f64
    }

    #[unsafe(no_mangle)]
    extern "C" fn bench_sqrt_double(x: f64) -> f64 {
        libm::sqrt(x)
    }
}

#[cfg(feature = "gcc")]
fn twin(all: &[(&str, twins::Twin)], name: &str) -> Result<twins::Twin, &'static str> {
    let found = all.iter().find(|(of, _)| *of == name);
    found.map(|(_, twin)| *twin).ok_or("there is no such twin")
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
        #[cfg(feature = "gcc")]
        if export == "run" {
            let arrays = match &mut self.arrays {
                Arrays::Single(kernel) => (&raw mut **kernel).cast(),
                Arrays::Double(kernel) => (&raw mut **kernel).cast(),
            };
            // SAFETY: the twin of this kernel has the same arrays in the same order, and only they are changed.
            unsafe { (self.twin)(arrays) };
            return Ok(None);
        }
        match &mut self.arrays {
            Arrays::Single(kernel) => call!(kernel, export),
            Arrays::Double(kernel) => call!(kernel, export),
        }
    }
}
