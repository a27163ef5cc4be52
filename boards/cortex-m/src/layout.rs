//! What lies where in flash, counted from its beginning: as in the STM32F407, whose first four sectors have 16 KiB each.

/// The provisioning record: at the end of sector 0, behind the vector table.
pub const PROVISION: u32 = 0x3c00;
/// The slots begin in sector 1, and take one sector each.
pub const SLOTS: u32 = 0x4000;
/// Bytes of a slot.
pub const SLOT: u32 = 0x4000;
/// Where the slots end.
pub const END: u32 = SLOTS + 3 * SLOT;
