//! Every kernel of assembly/bench in Rust, over one kind of [`Real`]: the same operations in the same order.
use super::{Real, sqrt};
use alloc::boxed::Box;

/// A kernel with its arrays, which start as zeros. `run` is what is timed.
pub trait Kernel {
    /// Fills the arrays.
    fn setup(&mut self);
    /// Does the work.
    fn run(&mut self);
    /// A digest of what came of it.
    fn checksum(&self) -> i32;
}

/// The arrays of a kernel, as zeros.
macro_rules! arrays {
    ($($name:ident: $ty:ty,)*) => {
        pub(super) struct Arrays { $($name: $ty,)* }

        impl Arrays {
            pub(super) const ZEROS: Self =
                // SAFETY: the fields are numbers and arrays of numbers, for which all bits zero are zeros.
                unsafe { core::mem::zeroed() };
        }
    };
}

/// a / b as a real number.
fn fraction(a: usize, b: usize) -> Real {
    a as Real / b as Real
}

/// FNV-1a over 32-bit words.
fn digest(words: impl Iterator<Item = u32>) -> i32 {
    let hash = words.fold(0x811c_9dc5_u32, |hash, word| {
        (hash ^ word).wrapping_mul(16_777_619)
    });
    hash.cast_signed()
}

/// The digest of an array of reals; an f64 is two words.
fn digest_reals(values: &[Real]) -> i32 {
    digest(values.iter().flat_map(|value| {
        let words = value.to_le_bytes();
        (0..size_of::<Real>() / 4).map(move |word| {
            let [a, b, c, d] = [0, 1, 2, 3].map(|byte| words[4 * word + byte]);
            u32::from_le_bytes([a, b, c, d])
        })
    }))
}

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
