//! Arithmetic where Rust's own differs from WebAssembly's: floats with canonical NaNs, and conversions that trap.
use crate::TrapKind;

/// The canonical NaN instead of any other.
#[inline(always)]
pub(crate) fn canon32(v: f32) -> u32 {
    if v.is_nan() { 0x7fc0_0000 } else { v.to_bits() }
}

/// The canonical NaN instead of any other.
#[inline(always)]
pub(crate) fn canon64(v: f64) -> u64 {
    if v.is_nan() {
        0x7ff8_0000_0000_0000
    } else {
        v.to_bits()
    }
}

macro_rules! float {
    ($name:ident, $f:ty, $bits:ty, $canon:ident, $ceil:path, $floor:path, $trunc:path, $nearest:path, $sqrt:path) => {
        pub(crate) mod $name {
            use super::$canon;

            pub(crate) fn ceil(a: $f) -> $bits {
                $canon($ceil(a))
            }
            pub(crate) fn floor(a: $f) -> $bits {
                $canon($floor(a))
            }
            pub(crate) fn trunc(a: $f) -> $bits {
                $canon($trunc(a))
            }
            pub(crate) fn nearest(a: $f) -> $bits {
                $canon($nearest(a))
            }
            pub(crate) fn sqrt(a: $f) -> $bits {
                $canon($sqrt(a))
            }
            /// The lesser, -0 before +0, NaN if either is.
            pub(crate) fn min(a: $f, b: $f) -> $bits {
                if a.is_nan() || b.is_nan() {
                    $canon(<$f>::NAN)
                } else if a == b {
                    a.to_bits() | b.to_bits()
                } else if a < b {
                    a.to_bits()
                } else {
                    b.to_bits()
                }
            }
            /// The greater, +0 before -0, NaN if either is.
            pub(crate) fn max(a: $f, b: $f) -> $bits {
                if a.is_nan() || b.is_nan() {
                    $canon(<$f>::NAN)
                } else if a == b {
                    a.to_bits() & b.to_bits()
                } else if a > b {
                    a.to_bits()
                } else {
                    b.to_bits()
                }
            }
        }
    };
}

float!(
    single,
    f32,
    u32,
    canon32,
    libm::ceilf,
    libm::floorf,
    libm::truncf,
    libm::rintf,
    super::sqrt32
);
float!(
    double,
    f64,
    u64,
    canon64,
    libm::ceil,
    libm::floor,
    libm::trunc,
    libm::rint,
    libm::sqrt
);

fn sqrt32(a: f32) -> f32 {
    #[cfg(all(target_arch = "arm", target_feature = "vfp2"))]
    {
        let root;
        // SAFETY: one instruction on registers, without side effects.
        unsafe {
            core::arch::asm!("vsqrt.f32 {0}, {1}", lateout(sreg) root, in(sreg) a, options(pure, nomem, nostack))
        };
        root
    }
    #[cfg(not(all(target_arch = "arm", target_feature = "vfp2")))]
    libm::sqrtf(a)
}

macro_rules! truncate {
    ($($name:ident $from:ty => $to:ty, $low:expr, $high:expr;)*) => {$(
        /// Towards zero; traps on NaN and beyond the range (the bounds are exclusive, but for a `low` that is exact).
        pub(crate) fn $name(v: $from) -> Result<$to, TrapKind> {
            if v.is_nan() {
                Err(TrapKind::InvalidConversion)
            } else if $low(v) && v < $high {
                Ok(v as $to)
            } else {
                Err(TrapKind::IntegerOverflow)
            }
        }
    )*};
}

truncate! {
    i32_f32 f32 => i32, |v| v >= -2_147_483_648.0f32, 2_147_483_648.0f32;
    u32_f32 f32 => u32, |v| v > -1.0f32, 4_294_967_296.0f32;
    i32_f64 f64 => i32, |v| v > -2_147_483_649.0f64, 2_147_483_648.0f64;
    u32_f64 f64 => u32, |v| v > -1.0f64, 4_294_967_296.0f64;
    i64_f32 f32 => i64, |v| v >= -9_223_372_036_854_775_808.0f32, 9_223_372_036_854_775_808.0f32;
    u64_f32 f32 => u64, |v| v > -1.0f32, 18_446_744_073_709_551_616.0f32;
    i64_f64 f64 => i64, |v| v >= -9_223_372_036_854_775_808.0f64, 9_223_372_036_854_775_808.0f64;
    u64_f64 f64 => u64, |v| v > -1.0f64, 18_446_744_073_709_551_616.0f64;
}
