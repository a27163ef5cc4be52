//! What the loop keeps in memory though the compiler would keep it in a register.

/// A variable that is read and written in memory each time. What only branches and calls touch lies in such ones: the chip has
/// too few registers for it beside those of the loop, and left to itself the compiler would rather spill those.
pub(super) struct Kept<T>(T);

impl<T: Copy> Kept<T> {
    pub(super) fn new(value: T) -> Self {
        Self(value)
    }

    #[inline(always)]
    pub(super) fn get(&self) -> T {
        // SAFETY: a reference to an initialised value.
        unsafe { (&raw const self.0).read_volatile() }
    }

    #[inline(always)]
    pub(super) fn set(&mut self, value: T) {
        // SAFETY: as above, and exclusive.
        unsafe { (&raw mut self.0).write_volatile(value) }
    }
}
