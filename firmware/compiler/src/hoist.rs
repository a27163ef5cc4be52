//! What an innermost loop computes anew in every round although nothing in it changes: addresses of rows, and numbers for floats.
//!
//! Such an expression cannot trap and lies in one piece in the module, since operands come right before what takes them. It is
//! computed in front of the loop, into a register, and so it is again wherever the registers of locals are fetched. Fuel is
//! charged as if it were computed each time. A loop that calls keeps nothing: registers do not live through calls.
//!
//! In `x + (i * 20 + k << 2)` only `k` changes: the rest, `x + (i * 20 << 2)`, is what the whole is where `k` is 0, and the whole is
//! the sum of that and `k << 2`, since sums and shifts of 32 bits wrap. So an expression that is kept may have a hole, which is 0 in
//! front of the loop; what stands in it is computed in each round, shifted and added.
use crate::bytes::Bytes;
use crate::entry::ty;
use crate::work::{Kept, Round, Use, Work};
use wasmote_engine::opcode::{op, rule};

/// Operands that are followed at once; what lies deeper is taken as unknown.
const DEPTH: usize = 16;
/// Numbers below this one are added where the memory is accessed, without an instruction.
const SMALL: u32 = 4000;

/// Registers that are always there for operands.
const REGISTERS: u8 = 4;

/// A piece of the function's bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Piece {
    start: u16,
    end: u16,
}

const EMPTY: Piece = Piece { start: 0, end: 0 };

/// An operand: the bytes that compute it, and the operations among them that change nothing in the loop.
#[derive(Clone, Copy)]
struct Node {
    at: Piece,
    ops: u16,
    ty: u8,
    /// Whether nothing in it changes.
    same: bool,
    /// What changes in it, if all else does not; empty where nothing or everything may.
    hole: Piece,
    /// What does not change and was added first, and its operations.
    added: Piece,
    added_ops: u16,
    /// By how much the hole is shifted, and whether nothing was added since.
    shift: u8,
    loose: bool,
    /// How often something that does not change was added.
    adds: u8,
    /// Registers for operands that it takes at most.
    needs: u8,
}

const UNKNOWN: Node = Node {
    at: EMPTY,
    ops: 0,
    ty: 0,
    same: false,
    hole: EMPTY,
    added: EMPTY,
    added_ops: 0,
    shift: 0,
    loose: false,
    adds: 0,
    needs: 1,
};

impl Node {
    /// An integer that changes, computed from locals and numbers.
    fn changing(start: u16, end: u16) -> Self {
        let at = Piece { start, end };
        Self {
            at,
            ty: ty::I32,
            hole: at,
            ..UNKNOWN
        }
    }

    fn changes(&self) -> bool {
        self.hole != EMPTY
    }
}

/// A loop while it is looked at.
struct Search<'w, 'm> {
    work: &'w mut Work,
    /// The function's code; positions are in it.
    bytes: &'m [u8],
    count: usize,
    /// Locals that are set within the loop, a bit each.
    set: [u32; 8],
    stack: [Node; DEPTH],
    height: usize,
    /// The expressions that are kept, a bit each.
    kept: u16,
    inside: u16,
    outside: u16,
    /// What it saves to keep a large number together with what changes; 0: nothing changes in what is kept.
    holes: u8,
}

/// Looks at an innermost loop, between these positions in the function's code, whose uses count `inside`; one round of the code
/// around it `outside`.
pub(crate) fn hoist(
    work: &mut Work,
    bytes: &[u8],
    locals: u16,
    (from, to): (usize, usize),
    (inside, outside): (u16, u16),
    holes: u8,
) {
    // What is kept has to be known where its loop begins.
    if usize::from(work.round_count) == work.rounds.len() {
        return;
    }
    let mut search = Search {
        work,
        bytes,
        count: locals.into(),
        set: [0; 8],
        stack: [UNKNOWN; DEPTH],
        height: 0,
        kept: 0,
        inside,
        outside,
        holes,
    };
    search.sets(from, to);
    search.follow(from, to);
    let round = Round {
        at: from as u16,
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

impl<'m> Search<'_, 'm> {
    fn read(&self, at: u16) -> Bytes<'m> {
        Bytes {
            bytes: self.bytes,
            at: at.into(),
        }
    }

    /// Finds the locals that are set.
    fn sets(&mut self, from: usize, to: usize) {
        let mut r = self.read(from as u16);
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

    /// An operand is taken by something that is not followed.
    fn take(&mut self) {
        let top = self.height.checked_sub(1);
        let known = top.and_then(|top| self.stack.get(top));
        if known.is_some_and(|node| node.same || node.changes()) {
            let node = self.pop();
            self.taken(&node);
        } else {
            self.height = top.unwrap_or(0);
        }
    }

    /// All operands are.
    fn all(&mut self) {
        while self.height > 0 {
            self.take();
        }
    }

    /// An operand is taken by what changes: if it does not change itself, or only in its hole, it is kept.
    fn taken(&mut self, node: &Node) {
        if !node.changes() {
            let alone = self.bytes.get(usize::from(node.at.start)) == Some(&op::F32_CONST);
            if node.same && (node.ops > 0 || alone) {
                self.keep(node);
            }
            return;
        }
        // What is added costs an instruction each time, and so does a shift that is not part of one.
        if node.adds + u8::from(node.loose) >= 2 {
            self.keep(node);
        } else if node.added_ops > 0 {
            self.keep(&Node {
                at: node.added,
                ops: node.added_ops,
                needs: node.needs,
                ty: ty::I32,
                same: true,
                ..UNKNOWN
            });
        }
    }

    fn keep(&mut self, node: &Node) {
        let room = usize::from(self.work.use_count) < self.work.uses.len();
        if node.at.end - node.at.start > 60 || node.needs > REGISTERS || !room {
            return;
        }
        let Some(kept) = self.place(node) else {
            return;
        };
        self.kept |= 1 << kept;
        let new = Use {
            start: node.at.start,
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
        if node.changes() {
            self.uncount(node.at.start, node.hole.start);
            self.uncount(node.hole.end, node.at.end);
        } else {
            self.uncount(node.at.start, node.at.end);
        }
    }

    /// The place of an expression among those that are kept; a new one if there is none like it.
    fn place(&mut self, node: &Node) -> Option<usize> {
        let of = |start: u16, length: u8| {
            let start = usize::from(start);
            self.bytes.get(start..start + usize::from(length))
        };
        let new = Kept {
            start: node.at.start,
            length: (node.at.end - node.at.start) as u8,
            hole: node.hole.start.saturating_sub(node.at.start) as u8,
            filled: (node.hole.end - node.hole.start) as u8,
            shift: node.shift,
        };
        let bytes = of(new.start, new.length)?;
        let count = usize::from(self.work.kept_count);
        let same = self.work.kept.iter().take(count).position(|kept| {
            (kept.hole, kept.filled) == (new.hole, new.filled)
                && of(kept.start, kept.length) == Some(bytes)
        });
        if same.is_some() {
            return same;
        }
        let kept = self.work.kept.get_mut(count)?;
        let local = self.work.locals.get_mut(self.count + count)?;
        *kept = new;
        *local = crate::work::Local {
            ty: node.ty,
            ..crate::work::Local::NONE
        };
        self.work.kept_count += 1;
        Some(count)
    }

    /// The locals in a piece of an expression are used in front of the loop, and not within it.
    fn uncount(&mut self, start: u16, end: u16) {
        let mut r = self.read(start);
        while r.at < usize::from(end) {
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

    fn leaf(&mut self, start: u16, end: u16, ty: u8, same: bool) {
        if ty == ty::I32 && !same {
            return self.push(Node::changing(start, end));
        }
        self.push(Node {
            at: Piece { start, end },
            ty,
            same: same && matches!(ty, ty::I32 | ty::F32),
            ..UNKNOWN
        });
    }

    /// Follows the operands of the loop's instructions.
    fn follow(&mut self, from: usize, to: usize) {
        let mut r = self.read(from as u16);
        while r.at < to {
            let start = r.at as u16;
            let byte = r.byte();
            let operands = r.at;
            let index = if byte == op::LOCAL_GET { r.u32() } else { 0 };
            r.at = operands;
            let number = if byte == op::PREFIX { r.u32() } else { 0 };
            r.at = operands;
            r.skip(byte);
            let end = r.at as u16;
            match byte {
                op::LOCAL_GET => {
                    let set = self.set.get(index as usize / 32);
                    let set = set.is_none_or(|word| word >> (index % 32) & 1 == 1);
                    let ty = self.work.locals.get(index as usize).map_or(0, |l| l.ty);
                    self.leaf(start, end, ty, !set);
                }
                op::I32_CONST => self.leaf(start, end, ty::I32, true),
                op::F32_CONST => self.leaf(start, end, ty::F32, true),
                op::I32_ADD..=op::I32_MUL | op::I32_AND..=op::I32_SHR_U => {
                    self.binary(byte, ty::I32, end);
                }
                op::F32_ADD..=op::F32_MUL => self.binary(byte, ty::F32, end),
                op::LOCAL_SET | op::DROP | op::GLOBAL_SET => {
                    let node = self.pop();
                    self.taken(&node);
                }
                op::LOCAL_TEE => {
                    let node = self.pop();
                    self.taken(&node);
                    self.push(UNKNOWN);
                }
                op::GLOBAL_GET => self.push(UNKNOWN),
                op::BLOCK..=op::RETURN | op::SELECT | op::SELECT_T | op::CALL_INDIRECT => {
                    self.all();
                }
                _ => match rule(byte, number) {
                    Some(rule) if rule.effect.operands().count() > 0 => {
                        for _ in rule.effect.operands() {
                            self.take();
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

    fn binary(&mut self, byte: u8, ty: u8, end: u16) {
        let (b, a) = (self.pop(), self.pop());
        let at = Piece {
            start: a.at.start,
            end,
        };
        let needs = a.needs.max(b.needs + 1);
        let adjacent = a.at != EMPTY && b.at != EMPTY && a.at.end == b.at.start;
        if a.same && b.same && adjacent {
            return self.push(Node {
                at,
                ops: a.ops + b.ops + 1,
                needs,
                ty,
                same: true,
                ..UNKNOWN
            });
        }
        let integers = ty == ty::I32 && adjacent && self.holes > 0;
        if integers && let Some(node) = self.with_hole(byte, &a, &b) {
            return self.push(Node { at, needs, ..node });
        }
        self.taken(&a);
        self.taken(&b);
        let known = |n: &Node| n.same || n.changes();
        self.push(if integers && known(&a) && known(&b) {
            Node {
                needs,
                ..Node::changing(at.start, end)
            }
        } else {
            UNKNOWN
        });
    }

    /// What changes only in a hole, when something that does not change is added, or it is shifted.
    fn with_hole(&self, byte: u8, a: &Node, b: &Node) -> Option<Node> {
        let (node, same) = match byte {
            op::I32_ADD | op::I32_SUB | op::I32_SHL if a.changes() && b.same => (a, b),
            op::I32_ADD if a.same && b.changes() => (b, a),
            _ => return None,
        };
        let mut r = self.read(same.at.start);
        let number = (r.byte() == op::I32_CONST && same.ops == 0).then(|| r.s64() as u32);
        let mut sum = Node {
            ops: node.ops + same.ops + 1,
            ..*node
        };
        if byte == op::I32_SHL {
            let amount = number.filter(|n| matches!(n, 1..=4) && node.shift == 0)?;
            (sum.shift, sum.loose) = (amount as u8, true);
        } else if number.is_none_or(|n| n.cast_signed().unsigned_abs() >= SMALL) {
            if node.adds == 0 {
                (sum.added, sum.added_ops) = (same.at, same.ops);
            }
            let adds = number.map_or(1, |_| self.holes);
            (sum.adds, sum.loose) = (node.adds + adds, false);
        }
        Some(sum)
    }
}
