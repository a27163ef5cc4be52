//! Instructions but for control: what they read behind their opcode, take from the stack and put there.
use super::validator::{ANY, I32, Validator};
use crate::decode::{reference_type, value_type};
use crate::load::Fault;
use crate::opcode::{Immediates, Rule, more, op, plain, prefixed};
use crate::reader::{Load, Reader};

impl Validator<'_> {
    /// The next instruction.
    pub(super) fn instruction(&mut self, s: &mut Reader<'_>) -> Load<()> {
        let byte = s.byte()?;
        let Some(rule) = plain(byte) else {
            return self.err(&Fault::Malformed("illegal opcode"));
        };
        match byte {
            op::UNREACHABLE => {
                self.unreachable();
                Ok(())
            }
            op::BLOCK | op::LOOP => self.enter(s, byte),
            op::IF => self.enter_if(s),
            op::ELSE => self.otherwise(s),
            op::END => self.end(s),
            op::BR => self.br(s),
            op::BR_IF => self.br_if(s),
            op::BR_TABLE => self.br_table(s),
            op::RETURN => {
                self.expect_all(self.results)?;
                self.unreachable();
                Ok(())
            }
            op::CALL => self.call(s),
            op::CALL_INDIRECT => self.call_indirect(s),
            op::DROP => self.pop().map(drop),
            op::SELECT => self.select(),
            op::SELECT_T => self.select_t(s),
            op::LOCAL_GET => self.local_get(s),
            op::LOCAL_SET => self.local_set(s),
            op::LOCAL_TEE => self.local_tee(s),
            op::GLOBAL_GET => self.global_get(s),
            op::GLOBAL_SET => self.global_set(s),
            op::TABLE_GET => self.table_get(s),
            op::TABLE_SET => self.table_set(s),
            op::REF_NULL => self.ref_null(s),
            op::REF_IS_NULL => self.ref_is_null(),
            op::REF_FUNC => self.ref_func(s),
            op::PREFIX => self.prefixed(s),
            _ => self.regular(s, rule),
        }
    }

    #[inline(always)]
    fn select(&mut self) -> Load<()> {
        self.expect(I32)?;
        let (a, b) = (self.pop()?, self.pop()?);
        let numeric = |t: u8| t == ANY || t > 0x70;
        if !numeric(a) || !numeric(b) || a != b && a != ANY && b != ANY {
            return self.err(&Fault::Invalid("type mismatch"));
        }
        self.push(if a == ANY { b } else { a })
    }

    #[inline(always)]
    fn select_t(&mut self, s: &mut Reader<'_>) -> Load<()> {
        if s.u32()? != 1 {
            return self.err(&Fault::Invalid("invalid result arity"));
        }
        let ty = value_type(s)?;
        self.expect(I32)?;
        self.expect(ty)?;
        self.expect(ty)?;
        self.push(ty)
    }

    #[inline(always)]
    fn local_get(&mut self, s: &mut Reader<'_>) -> Load<()> {
        let index = s.u32()?;
        self.push(self.local(index)?)
    }

    #[inline(always)]
    fn local_set(&mut self, s: &mut Reader<'_>) -> Load<()> {
        let index = s.u32()?;
        self.expect(self.local(index)?)
    }

    #[inline(always)]
    fn local_tee(&mut self, s: &mut Reader<'_>) -> Load<()> {
        let index = s.u32()?;
        let ty = self.local(index)?;
        self.expect(ty)?;
        self.push(ty)
    }

    #[inline(always)]
    fn global_get(&mut self, s: &mut Reader<'_>) -> Load<()> {
        let index = s.u32()?;
        let global = self.global(index)?;
        self.push(global.value)
    }

    #[inline(always)]
    fn global_set(&mut self, s: &mut Reader<'_>) -> Load<()> {
        let index = s.u32()?;
        let global = self.global(index)?;
        if !global.mutable {
            return self.err(&Fault::Invalid("global is immutable"));
        }
        self.expect(global.value)
    }

    #[inline(always)]
    fn table_get(&mut self, s: &mut Reader<'_>) -> Load<()> {
        let index = s.u32()?;
        let ty = self.table_element(index)?;
        self.expect(I32)?;
        self.push(ty)
    }

    #[inline(always)]
    fn table_set(&mut self, s: &mut Reader<'_>) -> Load<()> {
        let index = s.u32()?;
        let ty = self.table_element(index)?;
        self.expect(ty)?;
        self.expect(I32)
    }

    #[inline(always)]
    fn ref_null(&mut self, s: &mut Reader<'_>) -> Load<()> {
        let ty = reference_type(s)?;
        self.push(ty)
    }

    #[inline(always)]
    fn ref_is_null(&mut self) -> Load<()> {
        let ty = self.pop()?;
        if ty > 0x70 {
            return self.err(&Fault::Invalid("type mismatch"));
        }
        self.push(I32)
    }

    #[inline(always)]
    fn ref_func(&mut self, s: &mut Reader<'_>) -> Load<()> {
        let f = s.u32()?;
        self.signature(f)?;
        let declared = self
            .stack
            .get((f / 8) as usize)
            .is_some_and(|b| b >> (f % 8) & 1 == 1);
        if !declared {
            return self.err(&Fault::Invalid("undeclared function reference"));
        }
        self.push(0x70)
    }

    /// What the table of opcodes says all of: memory accesses, constants, arithmetic.
    #[inline(always)]
    fn regular(&mut self, s: &mut Reader<'_>, rule: Rule) -> Load<()> {
        match rule.immediates {
            Immediates::Memory(natural) => {
                let align = s.u32()?;
                s.u32()?;
                if align >= 32 {
                    return self.err(&Fault::Malformed("malformed memop flags"));
                }
                self.need_memory()?;
                if align > u32::from(natural) {
                    return self.err(&Fault::Invalid("alignment must not be larger than natural"));
                }
            }
            Immediates::Zero => {
                self.zero(s)?;
                self.need_memory()?;
            }
            Immediates::I32 => drop(s.s32()?),
            Immediates::I64 => drop(s.s64()?),
            Immediates::F32 => drop(s.take(4)?),
            Immediates::F64 => drop(s.take(8)?),
            _ => {}
        }
        self.effect(rule.effect)
    }

    fn prefixed(&mut self, s: &mut Reader<'_>) -> Load<()> {
        let number = s.u32()?;
        let Some(opcode) = u8::try_from(number).ok().and_then(prefixed) else {
            return self.err(&Fault::Malformed("illegal opcode"));
        };
        match number as u8 {
            more::MEMORY_INIT | more::DATA_DROP => {
                let index = s.u32()?;
                if opcode.immediates == Immediates::SegmentZero {
                    self.zero(s)?;
                    self.need_memory()?;
                }
                match self.data_count {
                    None => return self.err(&Fault::Malformed("data count section required")),
                    Some(count) if index >= count => {
                        return self.err(&Fault::Invalid("unknown data segment"));
                    }
                    Some(_) => {}
                }
            }
            more::MEMORY_COPY => {
                self.zero(s)?;
                self.zero(s)?;
                self.need_memory()?;
            }
            more::MEMORY_FILL => {
                self.zero(s)?;
                self.need_memory()?;
            }
            more::TABLE_INIT | more::ELEM_DROP => {
                let segment = s.u32()?;
                let table = if opcode.immediates == Immediates::Indices {
                    Some(s.u32()?)
                } else {
                    None
                };
                let element = match table {
                    Some(table) => Some(self.table_element(table)?),
                    None => None,
                };
                let ty = self.element_type(segment)?;
                if element.is_some_and(|e| e != ty) {
                    return self.err(&Fault::Invalid("type mismatch"));
                }
            }
            more::TABLE_COPY => {
                let (to, from) = (s.u32()?, s.u32()?);
                if self.table_element(to)? != self.table_element(from)? {
                    return self.err(&Fault::Invalid("type mismatch"));
                }
            }
            more::TABLE_GROW => {
                let index = s.u32()?;
                let ty = self.table_element(index)?;
                self.expect(I32)?;
                self.expect(ty)?;
                self.push(I32)?;
            }
            more::TABLE_SIZE => {
                let index = s.u32()?;
                self.table_element(index)?;
            }
            more::TABLE_FILL => {
                let index = s.u32()?;
                let ty = self.table_element(index)?;
                self.expect(I32)?;
                self.expect(ty)?;
                self.expect(I32)?;
            }
            _ => {}
        }
        self.effect(opcode.effect)
    }
}
