//! The state of a validation: what was found so far, the operand stack, and access to the table.
use super::scratch::{Block, Forward};
use crate::emit::Emit;
use crate::load::Fault;
use crate::opcode::Effect;
use crate::reader::{Load, Reader, Refusal};
use crate::sidetable::{Entry, GlobalEntry, Summary, TableEntry, TypeEntry, Types};

/// The operand type of unreachable code.
pub(super) const ANY: u8 = 0;
pub(super) const I32: u8 = 0x7f;
pub(super) const I64: u8 = 0x7e;
pub(super) const F32: u8 = 0x7d;
pub(super) const F64: u8 = 0x7c;

pub(super) struct Validator<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) table: &'a mut dyn Emit,
    pub(super) strict: bool,
    pub(super) stack: &'a mut [u8],
    pub(super) blocks: &'a mut [Block],
    pub(super) forward: &'a mut [Forward],
    pub(super) out: Summary,
    /// Imports seen, by kind.
    pub(super) imported: [u32; 4],
    /// Bytes of `stack` that hold the bits of declared functions.
    pub(super) declared: u32,
    /// Locals of the function (they follow the bits), and operands (they follow the locals).
    pub(super) locals: u32,
    pub(super) operands: u32,
    pub(super) depth: u32,
    pub(super) free: u32,
    pub(super) fresh: u32,
    pub(super) deepest: u32,
    pub(super) wide: bool,
    pub(super) long: bool,
    pub(super) indirect: bool,
    pub(super) data_count: Option<u32>,
    /// Functions in the code section.
    pub(super) bodies: u32,
    /// Where the present instruction starts.
    pub(super) here: u32,
    /// The function's result types.
    pub(super) results: Types,
    /// How many types may still be carried (see `CARRIED_PER_BYTE`).
    pub(super) carried: u64,
}

impl Validator<'_> {
    #[inline(never)]
    pub(super) fn err<T>(&self, fault: &'static Fault) -> Load<T> {
        Err(Refusal::new(fault, self.here as usize))
    }

    #[inline(always)]
    fn put(&mut self, offset: u32, word: u32) -> Load<()> {
        if self.table.write(offset, word).is_err() {
            return self.err(&Fault::Unsupported("the branch table is full"));
        }
        self.out.table_digest.add(offset, word);
        Ok(())
    }

    /// Writes an entry of the table.
    #[inline(always)]
    pub(super) fn put_entry<const N: usize>(
        &mut self,
        offset: u32,
        entry: impl Entry<N>,
    ) -> Load<()> {
        self.put_words(offset, &entry.words())
    }

    #[inline(never)]
    fn put_words(&mut self, mut offset: u32, words: &[u32]) -> Load<()> {
        for word in words {
            self.put(offset, *word)?;
            offset += 4;
        }
        Ok(())
    }

    /// Reads an entry that was written before.
    #[inline(always)]
    pub(super) fn entry<const N: usize, E: Entry<N>>(&mut self, offset: u32) -> E {
        E::from_words(core::array::from_fn(|i| {
            self.table.read(offset + i as u32 * 4)
        }))
    }

    /// Takes note that so many types are carried.
    #[inline(never)]
    pub(super) fn carry(&mut self, types: u32) -> Load<()> {
        match self.carried.checked_sub(u64::from(types)) {
            Some(left) => {
                self.carried = left;
                Ok(())
            }
            None => self.err(&Fault::Unsupported("too many types carried for its size")),
        }
    }

    pub(super) fn global(&mut self, index: u32) -> Load<GlobalEntry> {
        if index >= self.out.globals.count {
            return self.err(&Fault::Invalid("unknown global"));
        }
        Ok(self.entry(self.out.globals.entry::<2>(index)))
    }

    #[inline(never)]
    pub(super) fn table_element(&mut self, index: u32) -> Load<u8> {
        if index >= self.out.tables.count {
            return self.err(&Fault::Invalid("unknown table"));
        }
        let table: TableEntry = self.entry(self.out.tables.entry::<3>(index));
        Ok(table.element)
    }

    pub(super) fn type_parts(&mut self, ty: u32) -> Load<TypeEntry> {
        if ty >= self.out.types.count {
            return self.err(&Fault::Invalid("unknown type"));
        }
        Ok(self.entry(self.out.types.entry::<3>(ty)))
    }

    pub(super) fn signature(&mut self, function: u32) -> Load<TypeEntry> {
        if function >= self.out.functions.count {
            return self.err(&Fault::Invalid("unknown function"));
        }
        let ty = self.entry(self.out.functions.entry::<1>(function));
        self.type_parts(ty)
    }

    pub(super) fn byte_at(&self, at: u32) -> u8 {
        self.bytes.get(at as usize).copied().unwrap_or(0)
    }

    pub(super) fn push(&mut self, ty: u8) -> Load<()> {
        self.wide |= ty == I64 || ty == F64;
        let at = (self.declared + self.locals + self.operands) as usize;
        match self.stack.get_mut(at) {
            Some(slot) => *slot = ty,
            None => return self.err(&Fault::Unsupported("too many operands")),
        }
        self.operands += 1;
        self.deepest = self.deepest.max(self.operands);
        Ok(())
    }

    pub(super) fn pop(&mut self) -> Load<u8> {
        let block = self.block(0)?;
        if self.operands <= block.height {
            return if block.unreachable {
                Ok(ANY)
            } else {
                self.err(&Fault::Invalid("type mismatch"))
            };
        }
        self.operands -= 1;
        let at = (self.declared + self.locals + self.operands) as usize;
        Ok(self.stack.get(at).copied().unwrap_or(ANY))
    }

    pub(super) fn expect(&mut self, ty: u8) -> Load<()> {
        let got = self.pop()?;
        if got == ty || got == ANY {
            Ok(())
        } else {
            self.err(&Fault::Invalid("type mismatch"))
        }
    }

    pub(super) fn expect_all(&mut self, Types { at, count }: Types) -> Load<()> {
        self.carry(count)?;
        for i in (0..count).rev() {
            self.expect(self.byte_at(at + i))?;
        }
        Ok(())
    }

    pub(super) fn push_all(&mut self, Types { at, count }: Types) -> Load<()> {
        self.carry(count)?;
        for i in 0..count {
            self.push(self.byte_at(at + i))?;
        }
        Ok(())
    }

    pub(super) fn need_memory(&self) -> Load<()> {
        if self.out.memory.is_none() {
            self.err(&Fault::Invalid("unknown memory"))
        } else {
            Ok(())
        }
    }

    pub(super) fn zero(&self, s: &mut Reader<'_>) -> Load<()> {
        if s.byte()? != 0 {
            s.at -= 1;
            return s.fail(&Fault::Malformed("zero byte expected"));
        }
        Ok(())
    }

    pub(super) fn effect(&mut self, effect: Effect) -> Load<()> {
        for ty in effect.operands() {
            self.expect(ty)?;
        }
        effect.result().map_or(Ok(()), |ty| self.push(ty))
    }
}
