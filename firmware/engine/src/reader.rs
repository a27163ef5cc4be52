//! Reads the binary format: bytes, LEB128 numbers, names, with the faults of the specification.
use crate::load::{Fault, LoadError};

/// What every step of loading returns.
pub type Load<T> = Result<T, Refusal>;

/// A [`LoadError`] in two words, so that what may fail returns in registers.
#[derive(Clone, Copy, Debug)]
pub struct Refusal {
    fault: &'static Fault,
    offset: u32,
}

impl Refusal {
    /// A refusal with this reason, at this byte of the module.
    pub fn new(fault: &'static Fault, offset: usize) -> Self {
        Self {
            fault,
            offset: offset as u32,
        }
    }
}

impl From<Refusal> for LoadError {
    fn from(Refusal { fault, offset }: Refusal) -> Self {
        Self {
            fault: *fault,
            offset,
        }
    }
}

/// A position in the module and the end of what may be read.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    /// The next byte.
    pub at: usize,
    /// Behind the last one.
    pub end: usize,
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from `at` up to `end` (cut to the length of `bytes`).
    pub fn new(bytes: &'a [u8], at: usize, end: usize) -> Self {
        Self {
            bytes,
            at,
            end: end.min(bytes.len()),
        }
    }

    /// Whether everything has been read.
    pub fn done(&self) -> bool {
        self.at >= self.end
    }

    /// An error found here.
    pub fn fail<T>(&self, fault: &'static Fault) -> Load<T> {
        Err(Refusal::new(fault, self.at))
    }

    /// The next byte.
    #[inline(never)]
    pub fn byte(&mut self) -> Load<u8> {
        if self.at < self.end
            && let Some(byte) = self.bytes.get(self.at)
        {
            self.at += 1;
            return Ok(*byte);
        }
        self.fail(&Fault::Malformed("unexpected end"))
    }

    /// The next so many bytes.
    #[inline(never)]
    pub fn take(&mut self, count: u32) -> Load<&'a [u8]> {
        let end = self.at.saturating_add(count as usize);
        if end <= self.end
            && let Some(bytes) = self.bytes.get(self.at..end)
        {
            self.at = end;
            return Ok(bytes);
        }
        self.fail(&Fault::Malformed("unexpected end"))
    }

    /// Signed or unsigned LEB128 of at most `bits` bits; the value is sign-extended when `signed`.
    #[inline(never)]
    fn leb(&mut self, bits: u32, signed: bool) -> Load<u64> {
        let mut value = 0u64;
        let mut shift = 0;
        loop {
            let byte = self.byte()?;
            let left = bits.saturating_sub(shift);
            value |= u64::from(byte & 0x7f) << shift;
            if left < 8 {
                if byte & 0x80 != 0 {
                    self.at -= 1;
                    return self.fail(&Fault::Malformed("integer representation too long"));
                }
                if left < 7 {
                    // The bits beyond the width must be copies of the sign (zero when unsigned).
                    let unused = (0x7fu8 << left) & 0x7f;
                    let sign = signed && byte >> (left - 1) & 1 == 1;
                    if byte & unused != if sign { unused } else { 0 } {
                        self.at -= 1;
                        return self.fail(&Fault::Malformed("integer too large"));
                    }
                }
            }
            shift += 7;
            if byte & 0x80 == 0 {
                if signed && byte & 0x40 != 0 && shift < 64 {
                    value |= u64::MAX << shift;
                }
                return Ok(value);
            }
        }
    }

    /// An unsigned number of 32 bits (WebAssembly 2.0 §5.2.2), as the others here.
    #[inline(never)]
    pub fn u32(&mut self) -> Load<u32> {
        self.leb(32, false).map(|v| v as u32)
    }

    /// An unsigned number of 64 bits.
    pub fn u64(&mut self) -> Load<u64> {
        self.leb(64, false)
    }

    /// A signed number of 32 bits.
    pub fn s32(&mut self) -> Load<i32> {
        self.leb(32, true).map(|v| v as i32)
    }

    /// A signed number of 33 bits: a block type.
    pub fn s33(&mut self) -> Load<i64> {
        self.leb(33, true).map(u64::cast_signed)
    }

    /// A signed number of 64 bits.
    pub fn s64(&mut self) -> Load<i64> {
        self.leb(64, true).map(u64::cast_signed)
    }

    /// A name: its length, and UTF-8.
    pub fn name(&mut self) -> Load<&'a str> {
        let length = self.u32()?;
        let start = self.at;
        let bytes = self.take(length)?;
        core::str::from_utf8(bytes)
            .map_err(|_| Refusal::new(&Fault::Malformed("malformed UTF-8 encoding"), start))
    }
}
