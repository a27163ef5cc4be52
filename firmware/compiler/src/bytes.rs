//! Reads a validated module, whose numbers are whole and whose instructions are known.
use wasmote_engine::Immediates;
use wasmote_engine::opcode::{op, rule};

/// Reads a validated module's bytes.
pub(crate) struct Bytes<'m> {
    pub(crate) bytes: &'m [u8],
    pub(crate) at: usize,
}

impl Bytes<'_> {
    pub(crate) fn byte(&mut self) -> u8 {
        let byte = self.bytes.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        byte
    }

    /// A number of the format, its sign extended from its last bit if it is signed.
    fn number(&mut self, signed: bool) -> u64 {
        // Most of them are one byte.
        if let Some(&byte) = self.bytes.get(self.at)
            && byte < 0x80
        {
            self.at += 1;
            let sign = if signed { byte << 1 } else { 0 };
            return i64::from(sign.cast_signed() >> 7).cast_unsigned() << 7 | u64::from(byte);
        }
        let (mut value, mut shift) = (0_u64, 0);
        loop {
            let byte = self.byte();
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 || shift > 63 {
                let sign = signed && byte & 0x40 != 0 && shift < 64;
                return if sign {
                    value | u64::MAX << shift
                } else {
                    value
                };
            }
        }
    }

    pub(crate) fn u32(&mut self) -> u32 {
        self.number(false) as u32
    }

    pub(crate) fn s64(&mut self) -> u64 {
        self.number(true)
    }

    /// Passes over what follows an opcode.
    pub(crate) fn skip(&mut self, byte: u8) {
        let number = if byte == op::PREFIX { self.u32() } else { 0 };
        let immediates = rule(byte, number).map_or(Immediates::None, |rule| rule.immediates);
        let (numbers, bytes) = match immediates {
            Immediates::None => (0, 0),
            Immediates::Block
            | Immediates::Label
            | Immediates::Index
            | Immediates::I32
            | Immediates::I64 => (1, 0),
            Immediates::Indices | Immediates::Memory(_) => (2, 0),
            Immediates::Labels => (self.u32().saturating_add(1), 0),
            Immediates::Types => (0, self.u32()),
            Immediates::Zero | Immediates::RefType => (0, 1),
            Immediates::SegmentZero => (1, 1),
            Immediates::ZeroZero => (0, 2),
            Immediates::F32 => (0, 4),
            Immediates::F64 => (0, 8),
        };
        for _ in 0..numbers {
            while self.byte() >= 0x80 {}
        }
        self.at += bytes as usize;
    }
}
