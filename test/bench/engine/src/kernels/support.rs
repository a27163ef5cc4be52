//! What the kernels have in common.
use super::Real;

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
        // The twins in C have the same arrays in the same order.
        #[cfg_attr(feature = "gcc", repr(C))]
        pub(super) struct Arrays { $($name: $ty,)* }

        impl Arrays {
            pub(super) const ZEROS: Self =
                // SAFETY: the fields are numbers and arrays of numbers, for which all bits zero are zeros.
                unsafe { core::mem::zeroed() };
        }
    };
}

/// a / b as a real number.
pub(crate) fn fraction(a: usize, b: usize) -> Real {
    a as Real / b as Real
}

/// FNV-1a over 32-bit words.
pub(crate) fn digest(words: impl Iterator<Item = u32>) -> i32 {
    let hash = words.fold(0x811c_9dc5_u32, |hash, word| {
        (hash ^ word).wrapping_mul(16_777_619)
    });
    hash.cast_signed()
}

/// The digest of an array of reals; an f64 is two words.
pub(crate) fn digest_reals(values: &[Real]) -> i32 {
    digest(values.iter().flat_map(|value| {
        let words = value.to_le_bytes();
        (0..size_of::<Real>() / 4).map(move |word| {
            let [a, b, c, d] = [0, 1, 2, 3].map(|byte| words[4 * word + byte]);
            u32::from_le_bytes([a, b, c, d])
        })
    }))
}
