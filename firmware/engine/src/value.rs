//! Value types and values as the embedder sees them.

/// A value type (WebAssembly 2.0 without v128).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ValType {
    /// 32-bit integer.
    I32 = 0x7f,
    /// 64-bit integer.
    I64 = 0x7e,
    /// 32-bit float.
    F32 = 0x7d,
    /// 64-bit float.
    F64 = 0x7c,
    /// Reference to a function.
    FuncRef = 0x70,
    /// Reference to something of the embedder's.
    ExternRef = 0x6f,
}

impl ValType {
    /// The type with this byte in the binary format.
    pub fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0x7f => Self::I32,
            0x7e => Self::I64,
            0x7d => Self::F32,
            0x7c => Self::F64,
            0x70 => Self::FuncRef,
            0x6f => Self::ExternRef,
            _ => return None,
        })
    }

    /// Whether this is a reference type.
    pub fn is_reference(self) -> bool {
        matches!(self, Self::FuncRef | Self::ExternRef)
    }

    /// Whether a value of this type needs 64 bits.
    pub fn is_wide(self) -> bool {
        matches!(self, Self::I64 | Self::F64)
    }
}

/// A value with its type. A function reference is a number in the space of [`crate::Options::function_base`]; an
/// external reference is any number below 2^32 - 1 that the embedder chose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// 32-bit integer.
    I32(i32),
    /// 64-bit integer.
    I64(i64),
    /// 32-bit float (its bits are kept).
    F32(f32),
    /// 64-bit float (its bits are kept).
    F64(f64),
    /// Reference to a function; `None` is null.
    FuncRef(Option<u32>),
    /// Reference to something of the embedder's; `None` is null.
    ExternRef(Option<u32>),
}

impl Value {
    /// The type of this value.
    pub fn ty(self) -> ValType {
        match self {
            Self::I32(_) => ValType::I32,
            Self::I64(_) => ValType::I64,
            Self::F32(_) => ValType::F32,
            Self::F64(_) => ValType::F64,
            Self::FuncRef(_) => ValType::FuncRef,
            Self::ExternRef(_) => ValType::ExternRef,
        }
    }

    /// The bits a slot holds: a reference is its number plus one, null is zero.
    pub(crate) fn bits(self) -> u64 {
        match self {
            Self::I32(v) => u64::from(v.cast_unsigned()),
            Self::I64(v) => v.cast_unsigned(),
            Self::F32(v) => u64::from(v.to_bits()),
            Self::F64(v) => v.to_bits(),
            Self::FuncRef(v) | Self::ExternRef(v) => v.map_or(0, |v| u64::from(v.wrapping_add(1))),
        }
    }

    /// The value of this type in the bits of a slot.
    pub(crate) fn from_bits(ty: ValType, bits: u64) -> Self {
        let low = bits as u32;
        match ty {
            ValType::I32 => Self::I32(low.cast_signed()),
            ValType::I64 => Self::I64(bits.cast_signed()),
            ValType::F32 => Self::F32(f32::from_bits(low)),
            ValType::F64 => Self::F64(f64::from_bits(bits)),
            ValType::FuncRef => Self::FuncRef(low.checked_sub(1)),
            ValType::ExternRef => Self::ExternRef(low.checked_sub(1)),
        }
    }
}
