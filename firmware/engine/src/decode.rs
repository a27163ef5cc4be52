//! What validation and execution both decode from the binary format (WebAssembly 2.0 §5): types, limits, and how long an
//! instruction is.
use crate::load::Fault;
use crate::opcode::{Immediates, op, rule};
use crate::reader::{Load, Reader};
use crate::value::ValType;

/// The byte of a value type.
pub(crate) fn value_type(s: &mut Reader<'_>) -> Load<u8> {
    let byte = s.byte()?;
    if ValType::from_byte(byte).is_none() {
        s.at -= 1;
        return s.fail(&Fault::Malformed("malformed value type"));
    }
    Ok(byte)
}

/// The byte of a reference type.
pub(crate) fn reference_type(s: &mut Reader<'_>) -> Load<u8> {
    let byte = s.byte()?;
    if byte != ValType::FuncRef as u8 && byte != ValType::ExternRef as u8 {
        s.at -= 1;
        return s.fail(&Fault::Malformed("malformed reference type"));
    }
    Ok(byte)
}

/// The value type of a global, and whether it is mutable.
pub(crate) fn global_type(s: &mut Reader<'_>) -> Load<(u8, bool)> {
    let ty = value_type(s)?;
    let mutable = s.byte()?;
    if mutable > 1 {
        s.at -= 1;
        return s.fail(&Fault::Malformed("malformed mutability"));
    }
    Ok((ty, mutable == 1))
}

/// Limits as they lie in the module.
pub(crate) struct RawLimits {
    /// Bits [`HAS_MAX`] and [`HAS_PAGE_SIZE`].
    pub(crate) flags: u8,
    pub(crate) min: u32,
    pub(crate) max: u32,
    pub(crate) page_log2: u32,
}

/// The limits have a maximum.
pub(crate) const HAS_MAX: u8 = 1;
/// The limits are a memory's with a page size of its own (custom-page-sizes proposal).
pub(crate) const HAS_PAGE_SIZE: u8 = 8;

/// Limits of a table or a memory.
pub(crate) fn limits(s: &mut Reader<'_>) -> Load<RawLimits> {
    let flags = s.byte()?;
    if flags & !(HAS_MAX | HAS_PAGE_SIZE) != 0 {
        s.at -= 1;
        return s.fail(match flags {
            0..=15 => &Fault::Malformed("malformed limits flags"),
            16..=127 => &Fault::Malformed("integer too large"),
            _ => &Fault::Malformed("integer representation too long"),
        });
    }
    if flags & HAS_PAGE_SIZE != 0 {
        // With a page size the proposal has limits of 64 bits, so that too much is invalid and not malformed.
        let (min, max) = (s.u64()?, if flags & HAS_MAX != 0 { s.u64()? } else { 0 });
        let Ok(min) = u32::try_from(min.max(max)).and(u32::try_from(min)) else {
            s.at -= 1;
            return s.fail(&Fault::Invalid("memory size must be at most"));
        };
        let page_log2 = s.u32()?;
        if page_log2 >= 64 {
            s.at -= 1;
            return s.fail(&Fault::Malformed("invalid custom page size"));
        }
        return Ok(RawLimits {
            flags,
            min,
            max: if flags & HAS_MAX != 0 {
                max as u32
            } else {
                u32::MAX
            },
            page_log2,
        });
    }
    let min = s.u32()?;
    let max = if flags & HAS_MAX != 0 {
        s.u32()?
    } else {
        u32::MAX
    };
    Ok(RawLimits {
        flags,
        min,
        max,
        page_log2: 16,
    })
}

/// Skips the immediates of a validated instruction whose first byte was read.
pub fn skip(r: &mut Reader<'_>, byte: u8) -> Load<()> {
    let number = if byte == op::PREFIX { r.u32()? } else { 0 };
    let immediates = rule(byte, number).map_or(Immediates::None, |rule| rule.immediates);
    let (numbers, bytes) = match immediates {
        Immediates::None => (0, 0),
        Immediates::Block
        | Immediates::Label
        | Immediates::Index
        | Immediates::I32
        | Immediates::I64 => (1, 0),
        Immediates::Indices | Immediates::Memory(_) => (2, 0),
        Immediates::Labels => (r.u32()?.saturating_add(1), 0),
        Immediates::Types => (0, r.u32()?),
        Immediates::Zero | Immediates::RefType => (0, 1),
        Immediates::SegmentZero => (1, 1),
        Immediates::ZeroZero => (0, 2),
        Immediates::F32 => (0, 4),
        Immediates::F64 => (0, 8),
    };
    for _ in 0..numbers {
        while r.byte()? & 0x80 != 0 {}
    }
    r.take(bytes).map(drop)
}
