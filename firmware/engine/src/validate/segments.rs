//! Segments, and the constant expressions in them and in globals (WebAssembly 2.0 §3.3.10, §3.4).
use super::validator::{F32, F64, I32, I64, Validator};
use crate::decode::{reference_type, skip};
use crate::load::Fault;
use crate::opcode::{op, plain};
use crate::reader::{Load, Reader};

impl Validator<'_> {
    pub(super) fn declare(&mut self, function: u32) {
        if let Some(byte) = self.stack.get_mut((function / 8) as usize) {
            *byte |= 1 << (function % 8);
        }
    }

    /// A constant expression of this type.
    pub(super) fn constant(&mut self, s: &mut Reader<'_>, ty: u8) -> Load<()> {
        let mut found = None;
        loop {
            self.here = s.at as u32;
            let got = match s.byte()? {
                op::END => break,
                op::I32_CONST => {
                    s.s32()?;
                    I32
                }
                op::I64_CONST => {
                    s.s64()?;
                    I64
                }
                op::F32_CONST => {
                    s.take(4)?;
                    F32
                }
                op::F64_CONST => {
                    s.take(8)?;
                    F64
                }
                op::REF_NULL => reference_type(s)?,
                op::REF_FUNC => {
                    let f = s.u32()?;
                    if f >= self.out.functions.count {
                        return self.err(&Fault::Invalid("unknown function"));
                    }
                    self.declare(f);
                    0x70
                }
                op::GLOBAL_GET => {
                    let index = s.u32()?;
                    if index >= self.imported[3] {
                        return self.err(&Fault::Invalid("unknown global"));
                    }
                    let global = self.global(index)?;
                    if global.mutable {
                        return self.err(&Fault::Invalid("constant expression required"));
                    }
                    global.value
                }
                byte if plain(byte).is_some() => {
                    return self.err(&Fault::Invalid("constant expression required"));
                }
                _ => return self.err(&Fault::Malformed("illegal opcode")),
            };
            if found.is_some() {
                return self.err(&Fault::Invalid("type mismatch"));
            }
            found = Some(got);
        }
        if found != Some(ty) {
            self.err(&Fault::Invalid("type mismatch"))
        } else {
            Ok(())
        }
    }

    pub(super) fn elements(&mut self, s: &mut Reader<'_>) -> Load<()> {
        for index in 0..s.u32()? {
            self.here = s.at as u32;
            self.put_entry(self.out.elements.entry::<1>(index), s.at as u32)?;
            let flags = s.u32()?;
            if flags > 7 {
                return self.err(&Fault::Malformed("malformed elements segment kind"));
            }
            let table = if flags & 1 == 0 {
                Some(if flags & 2 != 0 { s.u32()? } else { 0 })
            } else {
                None
            };
            if let Some(table) = table {
                self.table_element(table)?;
                self.constant(s, I32)?;
            }
            self.here = s.at as u32;
            let ty = if flags & 3 == 0 {
                0x70
            } else if flags & 4 == 0 {
                if s.byte()? != 0 {
                    return self.err(&Fault::Malformed("malformed element kind"));
                }
                0x70
            } else {
                reference_type(s)?
            };
            if let Some(table) = table
                && self.table_element(table)? != ty
            {
                return self.err(&Fault::Invalid("type mismatch"));
            }
            for _ in 0..s.u32()? {
                self.here = s.at as u32;
                if flags & 4 == 0 {
                    let f = s.u32()?;
                    self.signature(f)?;
                    self.declare(f);
                } else {
                    self.constant(s, ty)?;
                }
            }
            self.out.elements.count = index + 1;
        }
        Ok(())
    }

    pub(super) fn data(&mut self, s: &mut Reader<'_>) -> Load<()> {
        self.here = s.at as u32;
        let index = self.out.datas.count;
        self.put_entry(self.out.datas.entry::<1>(index), s.at as u32)?;
        let flags = s.u32()?;
        if flags > 2 {
            return self.err(&Fault::Malformed("malformed data segment kind"));
        }
        if flags != 1 {
            let memory = if flags == 2 { s.u32()? } else { 0 };
            if memory != 0 || self.out.memory.is_none() {
                return self.err(&Fault::Invalid("unknown memory"));
            }
            self.constant(s, I32)?;
        }
        let n = s.u32()?;
        s.take(n)?;
        self.out.datas.count += 1;
        Ok(())
    }

    pub(super) fn element_type(&mut self, segment: u32) -> Load<u8> {
        if segment >= self.out.elements.count {
            return self.err(&Fault::Invalid("unknown elem segment"));
        }
        let at: u32 = self.entry(self.out.elements.entry::<1>(segment));
        let mut r = Reader::new(self.bytes, at as usize, self.bytes.len());
        let flags = r.u32()?;
        if flags & 4 == 0 || flags & 3 == 0 {
            return Ok(0x70);
        }
        if flags & 1 == 0 {
            r.u32()?;
            // The offset of an active segment was validated: skip it.
            loop {
                let byte = r.byte()?;
                if byte == op::END {
                    break;
                }
                skip(&mut r, byte)?;
            }
        }
        r.byte()
    }
}
