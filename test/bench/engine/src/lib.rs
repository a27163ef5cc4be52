//! The benchmark `engine`: kernels in Rust, and the engines that run the same kernels as modules, behind one trait.
//!
//! What is here runs on the laptop too; src/main.rs is the image for the chip. An image that runs modules has no kernels.
#![no_std]
extern crate alloc;

pub mod engines;

/// The kernels on single-precision numbers, which the Cortex-M4F computes in hardware.
#[expect(
    clippy::duplicate_mod,
    reason = "the same kernels over another kind of number"
)]
#[cfg(any(feature = "native", not(feature = "chip")))]
#[path = ""]
pub mod single {
    pub(crate) type Real = f32;

    // A function by itself, since Rust lets no inline assembler have a register of a unit without double precision.
    #[cfg(target_arch = "arm")]
    core::arch::global_asm!(
        ".fpu fpv4-sp-d16",
        ".section .text.bench_sqrt,\"ax\",%progbits",
        ".global bench_sqrt",
        ".type bench_sqrt,%function",
        ".thumb_func",
        "bench_sqrt:",
        "vsqrt.f32 s0, s0",
        "bx lr",
    );

    #[cfg(target_arch = "arm")]
    unsafe extern "C" {
        #[link_name = "bench_sqrt"]
        pub(crate) safe fn sqrt(x: f32) -> f32;
    }

    #[cfg(not(target_arch = "arm"))]
    pub(crate) fn sqrt(x: f32) -> f32 {
        libm::sqrtf(x)
    }

    #[path = "kernels/mod.rs"]
    pub mod kernels;
}

/// The kernels on double-precision numbers, as PolyBench has them.
#[expect(
    clippy::duplicate_mod,
    reason = "the same kernels over another kind of number"
)]
#[cfg(any(feature = "native", not(feature = "chip")))]
#[path = ""]
pub mod double {
    use libm::sqrt;

    pub(crate) type Real = f64;

    #[path = "kernels/mod.rs"]
    pub mod kernels;
}

#[cfg(not(feature = "chip"))]
pub mod examples;
