//! The code of a function: its locals, its instructions one by one, and the record of what was found.
use super::scratch::{Block, NONE};
use super::validator::{ANY, F64, I64, Validator};
use crate::decode::value_type;
use crate::load::Fault;
use crate::opcode::op;
use crate::reader::{Load, Reader};
use crate::sidetable::{FRAME_RECORD, Record, Room, TypeEntry};

/// Parameters and locals of a function: as many as the JavaScript API's limit for implementations.
const MOST_LOCALS: u64 = 50_000;

impl Validator<'_> {
    pub(super) fn body(&mut self, s: &mut Reader<'_>, index: u32) -> Load<()> {
        self.here = s.at as u32;
        let size = s.u32()?;
        let end = s.at.saturating_add(size as usize);
        if end > s.end {
            return s.fail(&Fault::Malformed("unexpected end"));
        }
        let section = core::mem::replace(&mut s.end, end);
        let TypeEntry { params, results } = self.signature(self.imported[0] + index)?;
        self.locals = 0;
        self.operands = 0;
        self.wide = false;
        self.long = false;
        self.push_all(params)?;
        self.carry(results.count)?;
        for i in 0..results.count {
            let ty = self.byte_at(results.at + i);
            self.wide |= ty == I64 || ty == F64;
        }
        let mut total = u64::from(params.count);
        for _ in 0..s.u32()? {
            self.here = s.at as u32;
            let n = s.u32()?;
            total += u64::from(n);
            if total > u64::from(u32::MAX) {
                return self.err(&Fault::Malformed("too many locals"));
            }
            let ty = value_type(s)?;
            // Beyond what is taken here the counts are still added up: too many are malformed, not only unsupported.
            if total <= MOST_LOCALS {
                self.declare_locals(ty, n)?;
            }
        }
        if total > MOST_LOCALS {
            return self.err(&Fault::Unsupported("more than 50000 locals"));
        }
        self.locals = self.operands;
        self.operands = 0;
        self.deepest = 0;
        self.depth = 0;
        self.free = NONE;
        self.fresh = 0;
        self.results = results;
        let code = s.at as u32;
        let table = self.out.table_bytes;
        self.open(Block {
            opcode: op::END,
            ..Block::NONE
        })?;
        while self.depth > 0 {
            self.here = s.at as u32;
            if s.done() {
                return self.err(&Fault::Malformed("unexpected end"));
            }
            self.instruction(s)?;
            self.long |= self.lengthy(s.at as u32);
        }
        if !s.done() {
            return s.fail(&Fault::Malformed("section size mismatch"));
        }
        s.end = section;
        let slots = self.locals + 1 + self.deepest.max(results.count);
        if slots > 0xffff {
            return self.err(&Fault::Unsupported("frame too large"));
        }
        let size = if self.wide { 8 } else { 4 };
        let record = Record {
            code,
            end: s.at as u32,
            branch: table,
            params: params.count as u16,
            locals: self.locals as u16,
            slots: slots as u16,
            results: results.count as u16,
            room: Room::new(slots * size + FRAME_RECORD, self.wide, self.long),
        };
        self.put_entry(self.out.records.entry::<6>(index), record)
    }

    /// Whether the present instruction, which ends at `end`, makes its function [`Record::is_long`].
    pub(super) fn lengthy(&self, end: u32) -> bool {
        let byte = self.byte_at(self.here);
        match byte {
            op::BLOCK | op::LOOP | op::IF | op::BR | op::BR_IF => end > self.here + 2,
            op::LOCAL_GET..=op::GLOBAL_SET => end > self.here + 2,
            op::SELECT_T => end > self.here + 3,
            op::I32_LOAD..=op::I64_STORE32 => self.byte_at(self.here + 1) & 0x80 != 0,
            _ => false,
        }
    }

    pub(super) fn local(&self, index: u32) -> Load<u8> {
        if index >= self.locals {
            return self.err(&Fault::Invalid("unknown local"));
        }
        Ok(self
            .stack
            .get((self.declared + index) as usize)
            .copied()
            .unwrap_or(ANY))
    }

    /// Many locals of a type, which cost a module a few bytes: written at once, and counted as what that takes.
    fn declare_locals(&mut self, ty: u8, count: u32) -> Load<()> {
        self.carry(count / 8)?;
        self.wide |= count > 0 && (ty == I64 || ty == F64);
        let at = (self.declared + self.operands) as usize;
        match self.stack.get_mut(at..at + count as usize) {
            Some(slots) => slots.fill(ty),
            None => return self.err(&Fault::Unsupported("too many operands")),
        }
        self.operands += count;
        Ok(())
    }
}
