//! Every kernel of assembly/bench in Rust, over one kind of [`Real`]: the same operations in the same order.
use super::{Real, sqrt};
use alloc::boxed::Box;

#[macro_use]
mod support;
pub use support::Kernel;
use support::{digest, digest_reals, fraction};

mod ackermann;
mod adi;
mod atax;
mod bicg;
mod cholesky;
mod correlation;
mod covariance;
mod crc;
mod definite;
mod deriche;
mod dispatch;
mod doitgen;
mod durbin;
#[path = "fdtd-2d.rs"]
mod fdtd_2d;
mod fib;
#[path = "floyd-warshall.rs"]
mod floyd_warshall;
mod gemm;
mod gemver;
mod gesummv;
mod gramschmidt;
#[path = "heat-3d.rs"]
mod heat_3d;
#[path = "jacobi-1d.rs"]
mod jacobi_1d;
#[path = "jacobi-2d.rs"]
mod jacobi_2d;
mod list;
mod lu;
mod ludcmp;
mod matrix;
#[path = "2mm.rs"]
mod mm2;
#[path = "3mm.rs"]
mod mm3;
mod mvt;
mod nussinov;
#[path = "seidel-2d.rs"]
mod seidel_2d;
mod sieve;
mod state;
mod symm;
mod syr2k;
mod syrk;
mod tak;
mod trisolv;
mod trmm;

/// A kernel's name, and how to make it.
pub type Named = (&'static str, fn() -> Box<dyn Kernel>);

/// All of them.
pub const KERNELS: [Named; 39] = [
    ("2mm", || Box::new(mm2::Arrays::ZEROS)),
    ("3mm", || Box::new(mm3::Arrays::ZEROS)),
    ("ackermann", || Box::new(ackermann::Arrays::ZEROS)),
    ("adi", || Box::new(adi::Arrays::ZEROS)),
    ("atax", || Box::new(atax::Arrays::ZEROS)),
    ("bicg", || Box::new(bicg::Arrays::ZEROS)),
    ("cholesky", || Box::new(cholesky::Arrays::ZEROS)),
    ("correlation", || Box::new(correlation::Arrays::ZEROS)),
    ("covariance", || Box::new(covariance::Arrays::ZEROS)),
    ("crc", || Box::new(crc::Arrays::ZEROS)),
    ("deriche", || Box::new(deriche::Arrays::ZEROS)),
    ("dispatch", || Box::new(dispatch::Arrays::ZEROS)),
    ("doitgen", || Box::new(doitgen::Arrays::ZEROS)),
    ("durbin", || Box::new(durbin::Arrays::ZEROS)),
    ("fdtd-2d", || Box::new(fdtd_2d::Arrays::ZEROS)),
    ("fib", || Box::new(fib::Arrays::ZEROS)),
    ("floyd-warshall", || Box::new(floyd_warshall::Arrays::ZEROS)),
    ("gemm", || Box::new(gemm::Arrays::ZEROS)),
    ("gemver", || Box::new(gemver::Arrays::ZEROS)),
    ("gesummv", || Box::new(gesummv::Arrays::ZEROS)),
    ("gramschmidt", || Box::new(gramschmidt::Arrays::ZEROS)),
    ("heat-3d", || Box::new(heat_3d::Arrays::ZEROS)),
    ("jacobi-1d", || Box::new(jacobi_1d::Arrays::ZEROS)),
    ("jacobi-2d", || Box::new(jacobi_2d::Arrays::ZEROS)),
    ("list", || Box::new(list::Arrays::ZEROS)),
    ("lu", || Box::new(lu::Arrays::ZEROS)),
    ("ludcmp", || Box::new(ludcmp::Arrays::ZEROS)),
    ("matrix", || Box::new(matrix::Arrays::ZEROS)),
    ("mvt", || Box::new(mvt::Arrays::ZEROS)),
    ("nussinov", || Box::new(nussinov::Arrays::ZEROS)),
    ("seidel-2d", || Box::new(seidel_2d::Arrays::ZEROS)),
    ("sieve", || Box::new(sieve::Arrays::ZEROS)),
    ("state", || Box::new(state::Arrays::ZEROS)),
    ("symm", || Box::new(symm::Arrays::ZEROS)),
    ("syr2k", || Box::new(syr2k::Arrays::ZEROS)),
    ("syrk", || Box::new(syrk::Arrays::ZEROS)),
    ("tak", || Box::new(tak::Arrays::ZEROS)),
    ("trisolv", || Box::new(trisolv::Arrays::ZEROS)),
    ("trmm", || Box::new(trmm::Arrays::ZEROS)),
];
