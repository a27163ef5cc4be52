//! The deepest chain of calls.
use super::scratch::{Forward, NONE};
use super::validator::Validator;
use crate::decode::skip;
use crate::opcode::op;
use crate::reader::{Load, Reader};
use crate::sidetable::{ALIGNMENT, Record};

impl Validator<'_> {
    /// Finds the worst stack over all chains of calls, each body read once. Leaves 0 where it is not known: recursion,
    /// indirect calls, or more functions than the scratch space holds.
    pub(super) fn walk(&mut self) {
        let count = self.out.records.count;
        if self.indirect || count as usize > self.forward.len() {
            return;
        }
        for slot in self.forward.iter_mut().take(count as usize) {
            *slot = Visit::default().into();
        }
        let (mut stack, mut depth) = (0, 0);
        for root in 0..count {
            let Some(mut visit) = self.visit(root) else {
                return;
            };
            if visit.position == Visit::DONE {
                continue;
            }
            visit.caller = NONE;
            self.set_visit(root, visit);
            let mut f = root;
            loop {
                let record: Record = self.entry(self.out.records.entry::<6>(f));
                let Some(mut own) = self.visit(f) else { return };
                let from = if own.position == 0 {
                    record.code
                } else {
                    own.position
                };
                let mut r = Reader::new(self.bytes, from as usize, record.end as usize);
                let Ok(callee) = self.next_callee(&mut r) else {
                    return;
                };
                if let Some(callee) = callee {
                    let Some(mut below) = self.visit(callee) else {
                        return;
                    };
                    own.position = (r.at as u32).max(1);
                    if below.position == Visit::DONE {
                        own.bytes = own.bytes.max(below.bytes);
                        own.depth = own.depth.max(below.depth);
                        self.set_visit(f, own);
                    } else if below.position != 0 || callee == f {
                        return;
                    } else {
                        self.set_visit(f, own);
                        below.caller = f;
                        self.set_visit(callee, below);
                        f = callee;
                    }
                    continue;
                }
                own.bytes = own.bytes.saturating_add(record.room.bytes() + ALIGNMENT);
                own.depth += 1;
                own.position = Visit::DONE;
                self.set_visit(f, own);
                stack = stack.max(own.bytes);
                depth = depth.max(own.depth);
                if own.caller == NONE {
                    break;
                }
                let Some(mut caller) = self.visit(own.caller) else {
                    return;
                };
                caller.bytes = caller.bytes.max(own.bytes);
                caller.depth = caller.depth.max(own.depth);
                self.set_visit(own.caller, caller);
                f = own.caller;
            }
        }
        self.out.stack = stack;
        self.out.depth = depth;
    }

    /// The next function of the module's own that is called from here on.
    fn next_callee(&self, r: &mut Reader<'_>) -> Load<Option<u32>> {
        while !r.done() {
            let byte = r.byte()?;
            if byte != op::CALL {
                skip(r, byte)?;
            } else if let Some(callee) = r.u32()?.checked_sub(self.imported[0]) {
                return Ok(Some(callee));
            }
        }
        Ok(None)
    }

    fn visit(&self, function: u32) -> Option<Visit> {
        self.forward
            .get(function as usize)
            .copied()
            .map(Visit::from)
    }

    fn set_visit(&mut self, function: u32, visit: Visit) {
        if let Some(slot) = self.forward.get_mut(function as usize) {
            *slot = visit.into();
        }
    }
}

/// What the walk over the calls knows of a function. It lies where pending branches were.
#[derive(Clone, Copy, Default)]
struct Visit {
    /// The worst stack of what was found so far, in bytes.
    bytes: u32,
    /// How far its code was read: 0 not at all.
    position: u32,
    /// The longest chain of calls from it on.
    depth: u32,
    /// From which function the walk came here.
    caller: u32,
}

impl Visit {
    /// The position of a function whose `bytes` and `depth` are all of it.
    const DONE: u32 = u32::MAX;
}

impl From<Forward> for Visit {
    fn from(slot: Forward) -> Self {
        Self {
            bytes: slot.entry,
            position: slot.code,
            depth: slot.moves,
            caller: slot.next,
        }
    }
}

impl From<Visit> for Forward {
    fn from(visit: Visit) -> Self {
        Self {
            entry: visit.bytes,
            code: visit.position,
            moves: visit.depth,
            next: visit.caller,
        }
    }
}
