//! Blocks and branches (WebAssembly 2.0 §3.3.8): what is open, what a label carries, and the branches to it in the table.
use super::scratch::{Block, Forward, NONE};
use super::validator::{ANY, I32, Validator};
use crate::load::Fault;
use crate::opcode::op;
use crate::reader::{Load, Reader};
use crate::sidetable::{Branch, TypeEntry, Types};
use crate::value::ValType;

impl Validator<'_> {
    pub(super) fn block(&self, label: u32) -> Load<Block> {
        match self
            .depth
            .checked_sub(1)
            .and_then(|top| top.checked_sub(label))
        {
            Some(index) => Ok(self
                .blocks
                .get(index as usize)
                .copied()
                .unwrap_or(Block::NONE)),
            None => self.err(&Fault::Invalid("unknown label")),
        }
    }

    pub(super) fn block_mut(&mut self, label: u32) -> Option<&mut Block> {
        let index = self.depth.checked_sub(1 + label)?;
        self.blocks.get_mut(index as usize)
    }

    /// The type of a block. A single value type points at its own byte in the code.
    pub(super) fn block_parts(&mut self, ty: i32, opcode: u8) -> Load<TypeEntry> {
        let results = |results| {
            Ok(TypeEntry {
                params: Types::default(),
                results,
            })
        };
        if opcode == op::END {
            return results(self.results);
        }
        match ty {
            -64 => Ok(TypeEntry::default()),
            // The offset of the byte, negated (see `enter`).
            ..0 => results(Types {
                at: ty.unsigned_abs() - 1000,
                count: 1,
            }),
            _ => self.type_parts(ty as u32),
        }
    }

    pub(super) fn enter(&mut self, s: &mut Reader<'_>, opcode: u8) -> Load<()> {
        let at = s.at as u32;
        let ty = match s.s33()? {
            -64 => -64,
            ty @ 0.. if u32::try_from(ty).is_ok_and(|t| t < self.out.types.count) => ty as i32,
            0.. => return self.err(&Fault::Invalid("unknown type")),
            _ => {
                if s.at as u32 != at + 1 || ValType::from_byte(self.byte_at(at)).is_none() {
                    return self.err(&Fault::Malformed("malformed block type"));
                }
                -((at + 1000) as i32)
            }
        };
        let TypeEntry { params, .. } = self.block_parts(ty, opcode)?;
        self.expect_all(params)?;
        let head = (s.at as u32, self.out.table_bytes);
        self.open(Block {
            opcode,
            ty,
            head,
            height: self.operands,
            ..Block::NONE
        })?;
        self.push_all(params)
    }

    pub(super) fn open(&mut self, block: Block) -> Load<()> {
        match self.blocks.get_mut(self.depth as usize) {
            Some(slot) => *slot = block,
            None => return self.err(&Fault::Unsupported("blocks nested too deeply")),
        }
        self.depth += 1;
        Ok(())
    }

    pub(super) fn unreachable(&mut self) {
        let operands = self.block(0).map_or(0, |b| b.height);
        self.operands = operands;
        if let Some(block) = self.block_mut(0) {
            block.unreachable = true;
        }
    }

    /// Types a branch to this label carries.
    pub(super) fn label(&mut self, label: u32) -> Load<Types> {
        let block = self.block(label)?;
        let TypeEntry { params, results } = self.block_parts(block.ty, block.opcode)?;
        Ok(if block.opcode == op::LOOP {
            params
        } else {
            results
        })
    }

    /// Writes the entry of a branch from `code` to `target`, in the code and in the table.
    pub(super) fn put_branch(&mut self, from: Forward, target: (u32, u32)) -> Load<()> {
        let (code, table) = target;
        let branch = Branch::new(
            code.wrapping_sub(from.code),
            table.wrapping_sub(from.entry),
            from.moves,
        );
        self.put_entry(from.entry, branch)
    }

    /// Takes note of a branch whose target comes later.
    pub(super) fn pend(&mut self, branch: Forward) -> Load<u32> {
        let index = if self.free != NONE {
            self.free
        } else {
            self.fresh
        };
        let Some(slot) = self.forward.get_mut(index as usize) else {
            return self.err(&Fault::Unsupported("too many pending branches"));
        };
        if self.free != NONE {
            self.free = slot.next;
        } else {
            self.fresh += 1;
        }
        *slot = branch;
        Ok(index)
    }

    /// Takes the place of the present instruction's branch in the table.
    pub(super) fn place_branch(&mut self) -> Forward {
        let entry = self.out.table_bytes;
        self.out.table_bytes += Branch::BYTES;
        Forward {
            entry,
            code: self.here + 1,
            ..Forward::NONE
        }
    }

    /// Emits a branch to a label; the operands it carries lie on the stack.
    pub(super) fn branch(&mut self, label: u32, carried: u32) -> Load<()> {
        let block = self.block(label)?;
        let place = self.place_branch();
        // A branch out of the function is its return, which finds the results itself.
        let dropped = if label + 1 == self.depth {
            0
        } else {
            self.operands
                .saturating_sub(block.height)
                .saturating_sub(carried)
        };
        if dropped > 0xffff {
            return self.err(&Fault::Unsupported("too many operands"));
        }
        let branch = Forward {
            moves: Branch::moved(carried, dropped),
            next: block.pending,
            ..place
        };
        if block.opcode == op::LOOP {
            return self.put_branch(branch, block.head);
        }
        let index = self.pend(branch)?;
        if let Some(block) = self.block_mut(label) {
            block.pending = index;
        }
        Ok(())
    }

    /// Writes the pending branches from this one on, now that their target is known.
    pub(super) fn resolve(&mut self, mut index: u32, target: (u32, u32)) -> Load<()> {
        while let Some(&branch) = self.forward.get(index as usize) {
            self.put_branch(branch, target)?;
            if let Some(slot) = self.forward.get_mut(index as usize) {
                slot.next = self.free;
            }
            self.free = index;
            index = branch.next;
        }
        Ok(())
    }

    /// `if`: like a block, with a branch to its `else`.
    #[inline(always)]
    pub(super) fn enter_if(&mut self, s: &mut Reader<'_>) -> Load<()> {
        self.expect(I32)?;
        let branch = self.place_branch();
        let index = self.pend(branch)?;
        self.enter(s, op::IF)?;
        if let Some(block) = self.block_mut(0) {
            block.otherwise = index;
        }
        Ok(())
    }

    #[inline(always)]
    pub(super) fn br(&mut self, s: &mut Reader<'_>) -> Load<()> {
        let label = s.u32()?;
        let types = self.label(label)?;
        self.expect_all(types)?;
        self.push_all(types)?;
        self.branch(label, types.count)?;
        self.unreachable();
        Ok(())
    }

    #[inline(always)]
    pub(super) fn br_if(&mut self, s: &mut Reader<'_>) -> Load<()> {
        let label = s.u32()?;
        self.expect(I32)?;
        let types = self.label(label)?;
        self.expect_all(types)?;
        self.push_all(types)?;
        self.branch(label, types.count)
    }

    #[inline(always)]
    pub(super) fn call(&mut self, s: &mut Reader<'_>) -> Load<()> {
        let f = s.u32()?;
        let TypeEntry { params, results } = self.signature(f)?;
        self.expect_all(params)?;
        self.push_all(results)
    }

    #[inline(always)]
    pub(super) fn call_indirect(&mut self, s: &mut Reader<'_>) -> Load<()> {
        let ty = s.u32()?;
        let table = s.u32()?;
        if self.table_element(table)? != ValType::FuncRef as u8 {
            return self.err(&Fault::Invalid("type mismatch"));
        }
        self.indirect = true;
        let TypeEntry { params, results } = self.type_parts(ty)?;
        self.expect(I32)?;
        self.expect_all(params)?;
        self.push_all(results)
    }

    /// `else`: the end of the first part, and the beginning of the second.
    #[inline(always)]
    pub(super) fn otherwise(&mut self, s: &mut Reader<'_>) -> Load<()> {
        let block = self.block(0)?;
        if block.opcode != op::IF {
            return self.err(&Fault::Malformed("else without if"));
        }
        let TypeEntry { params, results } = self.block_parts(block.ty, block.opcode)?;
        self.expect_all(results)?;
        if self.operands != block.height {
            return self.err(&Fault::Invalid("type mismatch"));
        }
        let branch = Forward {
            next: block.pending,
            ..self.place_branch()
        };
        let index = self.pend(branch)?;
        self.resolve(block.otherwise, (s.at as u32, self.out.table_bytes))?;
        if let Some(b) = self.block_mut(0) {
            *b = Block {
                opcode: op::ELSE,
                unreachable: false,
                pending: index,
                otherwise: NONE,
                ..block
            };
        }
        self.push_all(params)
    }

    /// `end`: the end of a block, or of the function.
    #[inline(always)]
    pub(super) fn end(&mut self, s: &mut Reader<'_>) -> Load<()> {
        let block = self.block(0)?;
        let TypeEntry { params, results } = self.block_parts(block.ty, block.opcode)?;
        self.expect_all(results)?;
        if self.operands != block.height {
            return self.err(&Fault::Invalid("type mismatch"));
        }
        if block.opcode == op::IF {
            self.carry(params.count)?;
            let same = params.count == results.count
                && (0..params.count)
                    .all(|i| self.byte_at(params.at + i) == self.byte_at(results.at + i));
            if !same {
                return self.err(&Fault::Invalid("type mismatch"));
            }
        }
        let at = if self.depth == 1 {
            self.here
        } else {
            s.at as u32
        };
        let target = (at, self.out.table_bytes);
        self.resolve(block.pending, target)?;
        self.resolve(block.otherwise, target)?;
        self.depth -= 1;
        if self.depth > 0 {
            self.push_all(results)?;
        }
        Ok(())
    }

    /// `br_table`.
    #[inline(always)]
    pub(super) fn br_table(&mut self, s: &mut Reader<'_>) -> Load<()> {
        self.expect(I32)?;
        let n = s.u32()?;
        let labels = *s;
        // The default comes last and fixes the number of operands.
        for _ in 0..n {
            s.u32()?;
        }
        let default = s.u32()?;
        let arity = self.label(default)?.count;
        let mut r = labels;
        for _ in 0..=n {
            let label = r.u32()?;
            let types = self.label(label)?;
            if types.count != arity {
                return self.err(&Fault::Invalid("type mismatch"));
            }
            // Check against the operands without changing them: those of unreachable code fit anything.
            self.carry(arity)?;
            let block = self.block(0)?;
            for i in 0..arity {
                let want = self.byte_at(types.at + arity - 1 - i);
                let got = if self.operands.saturating_sub(i) > block.height {
                    let at = (self.declared + self.locals + self.operands - 1 - i) as usize;
                    self.stack.get(at).copied().unwrap_or(ANY)
                } else if block.unreachable {
                    ANY
                } else {
                    return self.err(&Fault::Invalid("type mismatch"));
                };
                if got != ANY && got != want {
                    return self.err(&Fault::Invalid("type mismatch"));
                }
            }
            self.branch(label, arity)?;
        }
        self.unreachable();
        Ok(())
    }
}
