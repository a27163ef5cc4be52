//! What an innermost loop computes anew in every round although nothing in it changes: addresses of rows, and numbers for floats.
//!
//! Such an expression cannot trap and lies in one piece in the module, since operands come right before what takes them. It is
//! computed in front of the loop, into a register, and so it is again wherever the registers of locals are fetched. Fuel is
//! charged as if it were computed each time. A loop that calls keeps nothing: registers do not live through calls.
use crate::bytes::Bytes;
use crate::entry::ty;
use crate::work::{Kept, Round, Use, Work};
use wasmote_engine::opcode::{op, rule};
use wasmote_engine::tier::Record;

/// Operands that are followed at once; what lies deeper is taken as unknown.
const DEPTH: usize = 16;

/// An operand: the bytes of the module that compute it, and the operations among them, if nothing in it changes in the loop.
#[derive(Clone, Copy)]
struct Node {
    start: usize,
    end: usize,
    ops: u16,
    ty: u8,
    same: bool,
}

const UNKNOWN: Node = Node {
    start: 0,
    end: 0,
    ops: 0,
    ty: 0,
    same: false,
};

/// A loop while it is looked at.
struct Search<'w, 'm> {
    work: &'w mut Work,
    bytes: &'m [u8],
    code: usize,
    count: usize,
    /// Locals that are set within the loop, a bit each.
    set: [u32; 8],
    stack: [Node; DEPTH],
    height: usize,
    /// The expressions that are kept, a bit each.
    kept: u16,
    inside: u16,
    outside: u16,
}

/// Looks at an innermost loop, between these positions, whose uses count `inside`; one round of the code around it `outside`.
pub(crate) fn hoist(
    work: &mut Work,
    bytes: &[u8],
    record: &Record,
    (from, to): (usize, usize),
    (inside, outside): (u16, u16),
) {
    let mut search = Search {
        work,
        bytes,
        code: record.code as usize,
        count: record.locals.into(),
        set: [0; 8],
        stack: [UNKNOWN; DEPTH],
        height: 0,
        kept: 0,
        inside,
        outside,
    };
    search.sets(from, to);
    search.follow(from, to);
    let round = Round {
        at: (from - search.code) as u16,
        kept: search.kept,
    };
    let work = search.work;
    if let Some(place) = work.rounds.get_mut(usize::from(work.round_count))
        && round.kept != 0
    {
        *place = round;
        work.round_count += 1;
    }
}

impl Search<'_, '_> {
    /// Finds the locals that are set.
    fn sets(&mut self, from: usize, to: usize) {
        let mut r = Bytes {
            bytes: self.bytes,
            at: from,
        };
        while r.at < to {
            let byte = r.byte();
            if matches!(byte, op::LOCAL_SET | op::LOCAL_TEE) {
                let index = r.u32();
                if let Some(word) = self.set.get_mut(index as usize / 32) {
                    *word |= 1 << (index % 32);
                }
            } else {
                r.skip(byte);
            }
        }
    }

    fn push(&mut self, node: Node) {
        if self.height == DEPTH {
            self.all();
        }
        if let Some(place) = self.stack.get_mut(self.height) {
            *place = node;
            self.height += 1;
        }
    }

    fn pop(&mut self) -> Node {
        let Some(below) = self.height.checked_sub(1) else {
            return UNKNOWN;
        };
        self.height = below;
        self.stack.get(below).copied().unwrap_or(UNKNOWN)
    }

    /// All operands are taken by something that is not followed.
    fn all(&mut self) {
        while self.height > 0 {
            let node = self.pop();
            self.taken(node);
        }
    }

    /// An operand is taken by what changes: if it does not change itself, it is kept.
    fn taken(&mut self, node: Node) {
        let alone = self.bytes.get(node.start) == Some(&op::F32_CONST);
        let length = node.end - node.start;
        let room = usize::from(self.work.use_count) < self.work.uses.len();
        if !node.same || node.ops == 0 && !alone || length > 60 || !room {
            return;
        }
        let Some(kept) = self.place(&node) else {
            return;
        };
        self.kept |= 1 << kept;
        let new = Use {
            start: (node.start - self.code) as u16,
            kept: kept as u8,
        };
        let count = usize::from(self.work.use_count);
        let place = self.work.uses.iter().take(count);
        let place = place.take_while(|u| u.start < new.start).count();
        if let Some(rest) = self.work.uses.get_mut(place..=count) {
            rest.rotate_right(1);
            if let Some(first) = rest.first_mut() {
                *first = new;
            }
            self.work.use_count += 1;
        }
        let saved = (node.ops + 1).saturating_mul(self.inside);
        if let Some(local) = self.work.locals.get_mut(self.count + kept) {
            local.score = local.score.saturating_add(saved);
        }
        self.uncount(&node);
    }

    /// The place of an expression among those that are kept; a new one if there is none like it.
    fn place(&mut self, node: &Node) -> Option<usize> {
        let bytes = self.bytes.get(node.start..node.end)?;
        let count = usize::from(self.work.kept_count);
        let same = self.work.kept.iter().take(count).position(|kept| {
            let start = self.code + usize::from(kept.start);
            self.bytes.get(start..start + usize::from(kept.length)) == Some(bytes)
        });
        if same.is_some() {
            return same;
        }
        let kept = self.work.kept.get_mut(count)?;
        let local = self.work.locals.get_mut(self.count + count)?;
        *kept = Kept {
            start: (node.start - self.code) as u16,
            length: bytes.len() as u8,
        };
        *local = crate::work::Local {
            ty: node.ty,
            ..crate::work::Local::NONE
        };
        self.work.kept_count += 1;
        Some(count)
    }

    /// The locals in an expression are used in front of the loop, and not within it.
    fn uncount(&mut self, node: &Node) {
        let mut r = Bytes {
            bytes: self.bytes,
            at: node.start,
        };
        while r.at < node.end {
            let byte = r.byte();
            if byte == op::LOCAL_GET {
                let index = r.u32() as usize;
                if let Some(local) = self.work.locals.get_mut(index) {
                    let score = local.score.saturating_sub(self.inside);
                    local.score = score.saturating_add(self.outside);
                }
            } else {
                r.skip(byte);
            }
        }
    }

    fn leaf(&mut self, start: usize, end: usize, ty: u8, same: bool) {
        self.push(Node {
            start,
            end,
            ops: 0,
            ty,
            same: same && matches!(ty, ty::I32 | ty::F32),
        });
    }

    /// Follows the operands of the loop's instructions.
    fn follow(&mut self, from: usize, to: usize) {
        let mut r = Bytes {
            bytes: self.bytes,
            at: from,
        };
        while r.at < to {
            let start = r.at;
            let byte = r.byte();
            let operands = r.at;
            let index = if byte == op::LOCAL_GET { r.u32() } else { 0 };
            r.at = operands;
            let number = if byte == op::PREFIX { r.u32() } else { 0 };
            r.at = operands;
            r.skip(byte);
            match byte {
                op::LOCAL_GET => {
                    let set = self.set.get(index as usize / 32);
                    let set = set.is_none_or(|word| word >> (index % 32) & 1 == 1);
                    let ty = self.work.locals.get(index as usize).map_or(0, |l| l.ty);
                    self.leaf(start, r.at, ty, !set);
                }
                op::I32_CONST => self.leaf(start, r.at, ty::I32, true),
                op::F32_CONST => self.leaf(start, r.at, ty::F32, true),
                op::I32_ADD..=op::I32_MUL | op::I32_AND..=op::I32_SHR_U => {
                    self.binary(ty::I32, r.at);
                }
                op::F32_ADD..=op::F32_MUL => self.binary(ty::F32, r.at),
                op::LOCAL_SET | op::DROP | op::GLOBAL_SET => {
                    let node = self.pop();
                    self.taken(node);
                }
                op::LOCAL_TEE => {
                    let node = self.pop();
                    self.taken(node);
                    self.push(UNKNOWN);
                }
                op::GLOBAL_GET => self.push(UNKNOWN),
                op::BLOCK..=op::RETURN | op::SELECT | op::SELECT_T | op::CALL_INDIRECT => {
                    self.all();
                }
                _ => match rule(byte, number) {
                    Some(rule) if rule.effect.operands().count() > 0 => {
                        for _ in rule.effect.operands() {
                            let node = self.pop();
                            self.taken(node);
                        }
                        if rule.effect.result().is_some() {
                            self.push(UNKNOWN);
                        }
                    }
                    _ => self.all(),
                },
            }
        }
        self.all();
    }

    fn binary(&mut self, ty: u8, end: usize) {
        let (b, a) = (self.pop(), self.pop());
        if a.same && b.same && a.end == b.start {
            return self.push(Node {
                start: a.start,
                end,
                ops: a.ops + b.ops + 1,
                ty,
                same: true,
            });
        }
        self.taken(a);
        self.taken(b);
        self.push(UNKNOWN);
    }
}
