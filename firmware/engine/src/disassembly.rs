//! An instruction as text, from the table of opcodes: what a trap or a listing shows. Names and immediates as in the text
//! format, with indices as numbers.
use crate::decode::skip;
use crate::opcode::{Immediates, Opcode, op};
use crate::reader::{Load, Reader};
use crate::value::ValType;
use core::fmt;

/// An instruction of a module, to be displayed.
#[derive(Clone, Copy)]
pub struct Instruction<'a> {
    /// Its opcode.
    pub opcode: Opcode,
    /// The bytes it takes.
    pub length: u32,
    immediates: Reader<'a>,
}

/// The instruction whose first byte is at this offset; `None` where none can be. That one begins there is for the caller to
/// know: the place of a trap is such an offset.
pub fn instruction(module: &[u8], offset: u32) -> Option<Instruction<'_>> {
    let mut r = Reader::new(module, offset as usize, module.len());
    let byte = r.byte().ok()?;
    let mut end = r;
    skip(&mut end, byte).ok()?;
    let number = if byte == op::PREFIX { r.u32().ok()? } else { 0 };
    Some(Instruction {
        opcode: Opcode::find(byte, number)?,
        length: u32::try_from(end.at).ok()? - offset,
        immediates: r,
    })
}

impl fmt::Debug for Instruction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Instruction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.opcode.name)?;
        // That they are whole was seen when this was made.
        self.rest(&mut self.immediates.clone(), f)
            .unwrap_or(Err(fmt::Error))
    }
}

impl Instruction<'_> {
    fn rest(&self, r: &mut Reader<'_>, f: &mut fmt::Formatter<'_>) -> Load<fmt::Result> {
        Ok(match self.opcode.immediates {
            Immediates::None | Immediates::Zero | Immediates::ZeroZero => Ok(()),
            Immediates::Block => match r.s33()? {
                -64 => Ok(()),
                ty @ 0.. => write!(f, " (type {ty})"),
                ty => write!(f, " (result {})", name((ty & 0x7f) as u8)),
            },
            Immediates::Label | Immediates::Index | Immediates::SegmentZero => {
                write!(f, " {}", r.u32()?)
            }
            Immediates::Labels => {
                for _ in 0..=r.u32()? {
                    if let Err(error) = write!(f, " {}", r.u32()?) {
                        return Ok(Err(error));
                    }
                }
                Ok(())
            }
            Immediates::Indices => {
                let (first, second) = (r.u32()?, r.u32()?);
                match self.opcode.name {
                    // In the text format the table comes first.
                    "call_indirect" => write!(f, " {second} (type {first})"),
                    "table.init" => write!(f, " {second} {first}"),
                    _ => write!(f, " {first} {second}"),
                }
            }
            Immediates::Types => {
                let count = r.u32()?;
                for byte in r.take(count)? {
                    if let Err(error) = write!(f, " (result {})", name(*byte)) {
                        return Ok(Err(error));
                    }
                }
                Ok(())
            }
            Immediates::Memory(natural) => {
                let (align, offset) = (r.u32()?, r.u32()?);
                let at = if offset == 0 {
                    Ok(())
                } else {
                    write!(f, " offset={offset}")
                };
                match (at, align == u32::from(natural)) {
                    (Ok(()), false) => write!(f, " align={}", 1u64 << (align & 31)),
                    (at, _) => at,
                }
            }
            Immediates::I32 => write!(f, " {}", r.s32()?),
            Immediates::I64 => write!(f, " {}", r.s64()?),
            Immediates::F32 => {
                let bits = little_endian(r.take(4)?) as u32;
                float(f, f64::from(f32::from_bits(bits)), u64::from(bits))
            }
            Immediates::F64 => {
                let bits = little_endian(r.take(8)?);
                float(f, f64::from_bits(bits), bits)
            }
            Immediates::RefType => write!(
                f,
                " {}",
                if r.byte()? == ValType::FuncRef as u8 {
                    "func"
                } else {
                    "extern"
                }
            ),
        })
    }
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |v, b| v << 8 | u64::from(*b))
}

/// A number, or the bits of what is none.
fn float(f: &mut fmt::Formatter<'_>, value: f64, bits: u64) -> fmt::Result {
    if value.is_nan() {
        write!(f, " nan of bits {bits:#x}")
    } else if value.is_infinite() {
        f.write_str(if value > 0.0 { " inf" } else { " -inf" })
    } else {
        write!(f, " {value}")
    }
}

fn name(byte: u8) -> &'static str {
    match ValType::from_byte(byte) {
        Some(ValType::I32) => "i32",
        Some(ValType::I64) => "i64",
        Some(ValType::F32) => "f32",
        Some(ValType::F64) => "f64",
        Some(ValType::FuncRef) => "funcref",
        Some(ValType::ExternRef) => "externref",
        None => "?",
    }
}
