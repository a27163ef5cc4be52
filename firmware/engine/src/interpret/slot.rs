//! Slots of locals and operands, narrow and wide.

/// What a slot holds: 32 or 64 bits.
pub(super) trait Slot: Copy + 'static {
    fn from32(v: u32) -> Self;
    fn low(self) -> u32;
    fn from64(v: u64) -> Self;
    fn whole(self) -> u64;
    /// A new value of 32 bits; what a wide slot has above them is never read.
    #[inline(always)]
    fn with(self, v: u32) -> Self {
        Self::from32(v)
    }
}

impl Slot for u32 {
    #[inline(always)]
    fn from32(v: u32) -> Self {
        v
    }
    #[inline(always)]
    fn low(self) -> u32 {
        self
    }
    #[inline(always)]
    fn from64(v: u64) -> Self {
        v as u32
    }
    #[inline(always)]
    fn whole(self) -> u64 {
        u64::from(self)
    }
}

impl Slot for u64 {
    #[inline(always)]
    fn from32(v: u32) -> Self {
        u64::from(v)
    }
    #[inline(always)]
    fn low(self) -> u32 {
        self as u32
    }
    #[inline(always)]
    fn from64(v: u64) -> Self {
        v
    }
    #[inline(always)]
    fn whole(self) -> u64 {
        self
    }
}

/// A slot that may be narrow: then `high` means nothing.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Pair {
    low: u32,
    high: u32,
}

impl Slot for Pair {
    #[inline(always)]
    fn from32(low: u32) -> Self {
        Self { low, high: 0 }
    }
    #[inline(always)]
    fn low(self) -> u32 {
        self.low
    }
    #[inline(always)]
    fn from64(v: u64) -> Self {
        Self {
            low: v as u32,
            high: (v >> 32) as u32,
        }
    }
    #[inline(always)]
    fn whole(self) -> u64 {
        u64::from(self.low) | u64::from(self.high) << 32
    }
    #[inline(always)]
    fn with(self, low: u32) -> Self {
        Self { low, ..self }
    }
}

/// How wide the slots of a function are, and with it where they lie.
pub(super) trait Width: Copy + 'static {
    /// What is read of a slot, which must have room for it: the frame records lie behind the last slot.
    type Slot: Slot;
    /// Whether there may be 64-bit values.
    const WIDE: bool;
    /// The bytes of a slot.
    fn size(self) -> usize;
    /// Writes a slot, and nothing behind it.
    ///
    /// # Safety
    /// `at` is a slot of this width.
    #[inline(always)]
    unsafe fn put(self, at: *mut u8, v: Self::Slot) {
        // SAFETY: by the caller's promise; slots are aligned to 4 bytes or to their size.
        unsafe { at.cast::<Self::Slot>().write(v) }
    }
}

/// Slots of 32 bits.
#[derive(Clone, Copy)]
pub(super) struct Narrow;

impl Width for Narrow {
    type Slot = u32;
    const WIDE: bool = false;
    #[inline(always)]
    fn size(self) -> usize {
        4
    }
}

/// Slots of 64 bits.
#[derive(Clone, Copy)]
pub(super) struct Wide;

impl Width for Wide {
    type Slot = u64;
    const WIDE: bool = true;
    #[inline(always)]
    fn size(self) -> usize {
        8
    }
}

/// Slots of a size that is known only when the loop runs, in bytes.
#[derive(Clone, Copy)]
pub(super) struct Either(pub(super) usize);

impl Width for Either {
    type Slot = Pair;
    const WIDE: bool = true;
    #[inline(always)]
    fn size(self) -> usize {
        self.0
    }
    #[inline(never)]
    unsafe fn put(self, at: *mut u8, v: Pair) {
        let at = at.cast::<u32>();
        // SAFETY: by the caller's promise: one word, and another if the slot has it.
        unsafe {
            at.write(v.low);
            if self.0 == 8 {
                at.add(1).write(v.high);
            }
        }
    }
}
