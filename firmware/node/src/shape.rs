//! Values that a module has in its memory beside plain numbers of the interface: a number of some type, or a small record.
use crate::contract::{limits, ty};
use crate::document::{Document, Value};
use minicbor::Decoder;
use minicbor::decode::Error;
use wasmote_coap::format;

/// What one value is, and what each field of a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// One byte: 0 or 1.
    Bool,
    /// 32 bits with a sign.
    I32,
    /// 32 bits without one.
    U32,
    /// 64 bits with a sign.
    I64,
    /// A single.
    F32,
    /// A double.
    F64,
}

impl Type {
    fn of(letter: &str) -> Option<Self> {
        Some(match letter {
            ty::BOOL => Self::Bool,
            ty::I32 => Self::I32,
            ty::U32 => Self::U32,
            ty::I64 => Self::I64,
            ty::F32 => Self::F32,
            ty::F64 => Self::F64,
            _ => return None,
        })
    }

    /// Bytes that it takes, and what its address is a multiple of.
    pub fn size(self) -> u32 {
        match self {
            Self::Bool => 1,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::F64 => 8,
        }
    }

    /// What lies there, little-endian; nothing where there are too few bytes.
    pub(crate) fn value(self, bytes: &[u8]) -> Option<Value<'static>> {
        Some(match self {
            Self::Bool => Value::Bool(*bytes.first()? != 0),
            Self::I32 => Value::Int(i32::from_le_bytes(*bytes.first_chunk()?).into()),
            Self::U32 => Value::Uint(u32::from_le_bytes(*bytes.first_chunk()?).into()),
            Self::I64 => Value::Int(i64::from_le_bytes(*bytes.first_chunk()?)),
            Self::F32 => Value::Float(f32::from_le_bytes(*bytes.first_chunk()?)),
            Self::F64 => Value::Double(f64::from_le_bytes(*bytes.first_chunk()?)),
        })
    }
}

/// A field of a record; a number is one without a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// What it is called.
    pub name: &'static str,
    /// What it is.
    pub ty: Type,
    /// Where it lies in the value.
    pub at: u32,
}

/// The type of a value: of a number, or of a record.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shape {
    /// Letters and names in turn, in CBOR, as they stand in the module.
    bytes: &'static [u8],
    /// How many they are.
    count: u8,
}

impl Shape {
    /// Reads what is left of an array of `count` entries, and checks it.
    pub(crate) fn read(d: &mut Decoder<'static>, count: u64) -> Result<Self, Error> {
        let start = d.position();
        for _ in 0..count.min(256) {
            d.str()?;
        }
        let shape = Self {
            bytes: d.input().get(start..d.position()).unwrap_or(&[]),
            count: u8::try_from(count).map_err(|_| Error::message("too many fields"))?,
        };
        let whole = shape.fields().count() == shape.len();
        let record = shape.count.is_multiple_of(2) && shape.len() <= limits::STATE_FIELDS as usize;
        if whole && shape.count > 0 && (shape.count == 1 || record) {
            Ok(shape)
        } else {
            Err(Error::message("type"))
        }
    }

    /// How many fields it has.
    fn len(self) -> usize {
        usize::from(self.count.div_ceil(2))
    }

    /// Whether it has fields with names.
    pub fn is_record(self) -> bool {
        self.count > 1
    }

    /// Its fields; a number is one without a name.
    pub fn fields(self) -> impl Iterator<Item = Field> {
        let mut d = Decoder::new(self.bytes);
        let mut end = 0;
        (0..self.len()).map_while(move |_| {
            let ty = Type::of(d.str().ok()?)?;
            let name = if self.is_record() { d.str().ok()? } else { "" };
            let named = crate::contract::text::NAME.takes(name) || !self.is_record();
            let at = u32::next_multiple_of(end, ty.size());
            end = at + ty.size();
            named.then_some(Field { name, ty, at })
        })
    }

    /// Writes a value that lies in these bytes: a number as itself, a record by its fields.
    pub(crate) fn put<'r>(self, d: &mut Document<'r, '_>, name: &'r str, form: u16, bytes: &[u8]) {
        let pack = matches!(form, format::SENML_JSON | format::SENML_CBOR);
        let value = |field: Field| {
            let bytes = bytes.get(field.at as usize..);
            bytes.and_then(|b| field.ty.value(b)).unwrap_or(Value::None)
        };
        if !self.is_record() {
            for field in self.fields() {
                d.only(name, value(field));
            }
            return;
        }
        // What all its fields are named after.
        match form {
            format::TEXT => {}
            _ if pack => d.map(name),
            _ => d.map("value"),
        }
        for field in self.fields() {
            d.put(field.name, value(field));
        }
        if form != format::TEXT {
            d.end();
        }
    }

    /// Bytes that a value takes.
    pub fn size(self) -> u32 {
        self.fields().last().map_or(0, |f| f.at + f.ty.size())
    }

    /// What tells this type from others, beside the name of the value.
    pub(crate) fn bytes(self) -> &'static [u8] {
        self.bytes
    }
}
