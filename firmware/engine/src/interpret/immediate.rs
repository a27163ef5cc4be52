//! Immediates, read without checks: validation saw that they are whole.
use crate::opcode::more;

/// A LEB128 number: its bits, how many, and where it ends.
///
/// # Safety
/// `p` is the first byte of a complete LEB128 number.
#[cold]
#[inline(never)]
pub(super) unsafe fn number(mut p: *const u8) -> (u64, u32, *const u8) {
    let mut value = 0;
    let mut shift = 0;
    loop {
        // SAFETY: the number is complete, by the caller's promise.
        let byte = unsafe { *p };
        // SAFETY: one past a byte of the module.
        p = unsafe { p.add(1) };
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 || shift > 63 {
            return (value, shift, p);
        }
    }
}

/// The offset in a memory of `length` bytes of an access to `size` bytes at `at`, and where the code goes on behind its
/// immediates: nowhere if the memory has not all of these bytes.
///
/// # Safety
/// `pc` is the first byte of the immediates.
#[inline(never)]
pub(super) unsafe fn place(pc: *const u8, at: u32, size: u32, length: usize) -> (u32, *const u8) {
    // SAFETY: by the caller's promise: the alignment, and the offset behind it.
    let (offset, _, next) = unsafe { number(number(pc).2) };
    let first = u64::from(at) + offset;
    if first + u64::from(size) > length as u64 {
        (0, core::ptr::null())
    } else {
        (first as u32, next)
    }
}

/// The value of a signed LEB128 number of one byte.
#[inline(always)]
pub(super) fn small(byte: u8) -> u32 {
    (((byte << 1) as i8) >> 1) as u32
}

/// The lowest `bits` bits as a signed number.
pub(super) fn sign_extend(v: u64, bits: u32) -> u64 {
    let unused = 64u32.saturating_sub(bits);
    ((v << unused) as i64 >> unused) as u64
}

/// How many operands a bulk instruction takes, and whether it has two indices; by its number behind the prefix.
pub(super) fn shape(number: u8) -> (usize, bool) {
    let operands = match number {
        more::DATA_DROP | more::ELEM_DROP | more::TABLE_SIZE => 0,
        more::TABLE_GROW => 2,
        _ => 3,
    };
    let two = matches!(
        number,
        more::MEMORY_INIT | more::MEMORY_COPY | more::TABLE_INIT | more::TABLE_COPY
    );
    (operands, two)
}
