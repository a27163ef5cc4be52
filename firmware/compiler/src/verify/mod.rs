//! Looks at compiled code before it runs, and shares nothing with what made it.
//!
//! Two passes over the bytes. The first finds where instructions start and where branches go. The second follows what registers
//! hold from one instruction to the next, and forgets it wherever a branch arrives. Code is good where
//!
//! * every instruction is one of those in `decode.rs`, and every branch goes to the start of one in the same function;
//! * calls go to a function's entry, to the four ways out, or to the function's own two routines that leave and come back;
//! * the linear memory is accessed where a comparison went before, in reach of it; frames, globals and the context within their
//!   bounds; and nothing else is accessed at all;
//! * the registers of memory and context are never written, fuel only by numbers that are added, the frame only where a
//!   function begins, with the end of the stack compared, and ends.
mod decode;
mod flow;

use decode::Does;
use wasmote_engine::{Module, ValType};

/// Why code does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where in the code, in bytes.
    pub at: u32,
    /// What is wrong there.
    pub what: &'static str,
}

type Checked<T> = Result<T, Fault>;

fn fault<T>(at: u32, what: &'static str) -> Checked<T> {
    Err(Fault { at, what })
}

/// A function while it is looked at.
struct Function {
    start: u32,
    end: u32,
    /// Where the engine enters.
    begin: u32,
    /// Bytes of its frame, and whether its slots have 64 bits.
    room: u32,
    wide: bool,
}

/// The code, and marks for each of its halfwords.
struct Text<'c> {
    code: &'c [u8],
    marks: &'c mut [u8],
    /// Where the functions' entries begin to be code: exit, trap, stack, indirect.
    ways: u32,
    functions: u32,
    /// Bytes of memory there are at least.
    least: u64,
}

/// Marks of a halfword.
const START: u8 = 1;
const BRANCHED: u8 = 2;
const CALLED: u8 = 4;

impl Text<'_> {
    fn half(&self, at: u32) -> Option<u16> {
        match self.code.get(at as usize..at as usize + 2) {
            Some(&[a, b]) => Some(u16::from_le_bytes([a, b])),
            _ => None,
        }
    }

    fn word(&self, at: u32) -> Option<u32> {
        Some(u32::from(self.half(at)?) | u32::from(self.half(at + 2)?) << 16)
    }

    /// The instruction here, and where the next one is.
    fn instruction(&self, at: u32) -> Checked<(Does, u32)> {
        let none = Fault {
            at,
            what: "no instruction that code may have",
        };
        let first = self.half(at).ok_or(none)?;
        let (does, length) = if decode::is_wide(first) {
            let second = self.half(at + 2).ok_or(none)?;
            (decode::wide(first, second), 4)
        } else {
            (decode::narrow(first), 2)
        };
        does.map(|does| (does, at + length)).ok_or(none)
    }

    fn mark(&mut self, at: u32, mark: u8) {
        // Two halfwords to a byte.
        if let Some(byte) = self.marks.get_mut(at as usize / 4) {
            *byte |= mark << ((at & 2) * 2);
        }
    }

    fn marked(&self, at: u32, mark: u8) -> bool {
        let byte = self.marks.get(at as usize / 4).copied().unwrap_or(0);
        byte >> ((at & 2) * 2) & mark != 0
    }

    /// Whether a function begins here.
    fn is_entry(&self, at: u32) -> bool {
        (0..self.functions).any(|own| self.place(own).is_some_and(|(place, _)| place == at))
    }

    /// Where a function lies and where the engine enters it.
    fn place(&self, own: u32) -> Option<(u32, u32)> {
        let word = self.word(4 + own * 4)?;
        let place = word & 0x00ff_fffc;
        Some((place, place + (word >> 24) * 2))
    }

    /// What a called routine of a function does: `Some(true)` where it leaves, `Some(false)` where it comes back.
    fn routine(&self, mut at: u32) -> Option<bool> {
        for _ in 0..64 {
            let (does, next) = self.instruction(at).ok()?;
            match does {
                Does::Loads(Some(15), 13, 12, 4) => return Some(true),
                Does::Leaves(14) => return Some(false),
                does if does.fetches() => at = next,
                _ => return None,
            }
        }
        None
    }

    /// Bytes that lie behind a call and are no code.
    fn behind(&self, to: u32) -> Option<u32> {
        if to == self.ways || to == self.ways + 12 {
            Some(6)
        } else if to == self.ways + 4 {
            Some(4)
        } else if self.is_entry(to) {
            Some(0)
        } else {
            self.routine(to).map(|leaves| if leaves { 6 } else { 0 })
        }
    }

    /// The first pass over a function: marks the starts of instructions, and where branches go.
    fn shape(&mut self, f: &Function) -> Checked<()> {
        let inside = |at: u32| f.start <= at && at < f.end && at.is_multiple_of(2);
        let mut at = f.start;
        // What the instruction before put into r12, if it was a number.
        let mut number = None;
        self.mark(f.begin, BRANCHED);
        while at < f.end {
            let (does, mut next) = self.instruction(at)?;
            self.mark(at, START);
            match does {
                Does::Number(12, n) => number = Some(n),
                Does::Branches(by, cond) => {
                    let to = at.wrapping_add_signed(by);
                    let stack = to == self.ways + 8 && cond == 8;
                    if !inside(to) && !stack {
                        return fault(at, "a branch out of the function");
                    }
                    // The way back from a second look at bounds is its own check's: see flow.rs.
                    if !(stack || cond == 9 && flow::looked_again(self, at, to)) {
                        self.mark(to, BRANCHED);
                    }
                }
                Does::Calls(by) => {
                    let to = at.wrapping_add_signed(by);
                    let Some(behind) = self.behind(to) else {
                        return fault(at, "a call of nothing");
                    };
                    if inside(to) && to != f.start {
                        self.mark(to, CALLED);
                    }
                    next += behind;
                }
                Does::Chooses(_) => {
                    let count = number.filter(|n| *n <= 0xffff);
                    let Some(count) = count else {
                        return fault(at, "a table without a length");
                    };
                    for index in 0..count {
                        let entry = self.half(next + index * 2).unwrap_or(0);
                        let to = next + u32::from(entry) * 2;
                        if !inside(to) {
                            return fault(at, "a branch out of the function");
                        }
                        self.mark(to, BRANCHED);
                    }
                    next += count * 2;
                }
                Does::Upper(12, _) => number = None,
                _ => {}
            }
            at = next;
        }
        if at == f.end {
            Ok(())
        } else {
            fault(at, "an instruction across the end")
        }
    }
}

/// Bytes of marks that [`verify`] works with, for so many of code.
pub const fn marks(length: u32) -> usize {
    length as usize / 4 + 1
}

/// Looks at the bytes of a module's code, with [`marks`] bytes to work with.
pub fn verify(bytes: &[u8], module: &Module<'_>, memory: &mut [u8]) -> Result<(), Fault> {
    let functions = module.functions() - module.imported_functions();
    let length = bytes.len() as u32;
    let Some(marked) = memory.get_mut(..marks(length)) else {
        return fault(0, "no room to look at the code");
    };
    marked.fill(0);
    let mut text = Text {
        code: bytes,
        marks: marked,
        ways: 4 + functions * 4,
        functions,
        least: module
            .memory_type()
            .map_or(0, |ty| u64::from(ty.limits.min) << ty.page_log2),
    };
    if text.word(0) != Some(length) {
        return fault(0, "another length than it says");
    }
    for (way, place) in [12, 16, 20, 32].into_iter().enumerate() {
        let at = text.ways + way as u32 * 4;
        let (does, next) = text.instruction(at)?;
        if does != Does::Loads(Some(15), 13, place, 4) || next != at + 4 {
            return fault(at, "no way out");
        }
    }
    let of = |text: &Text<'_>, own: u32| {
        let none = Fault {
            at: 4 + own * 4,
            what: "a function that is nowhere",
        };
        let (start, begin) = text.place(own).ok_or(none)?;
        let end = if own + 1 == functions {
            length
        } else {
            text.place(own + 1).ok_or(none)?.0
        };
        let first = own > 0 || start == text.ways + 16;
        let room = module.record(module.record_of(own)).room;
        // An indirect call reads the width here, and whoever calls from outside where the result is.
        let flags = text.word(4 + own * 4).ok_or(none)? & 3;
        let ty = module.func_type(module.imported_functions() + own);
        let float = ty.is_some_and(|ty| ty.results().eq([ValType::F32]));
        if flags != u32::from(room.is_wide()) * 2 + u32::from(float) {
            return fault(4 + own * 4, "a function of another kind");
        }
        if !first || start >= end || end > length || begin >= end || !start.is_multiple_of(4) {
            return Err(none);
        }
        Ok(Function {
            start,
            end,
            begin,
            room: room.bytes(),
            wide: room.is_wide(),
        })
    };
    for own in 0..functions {
        let function = of(&text, own)?;
        text.shape(&function)?;
    }
    let limits = flow::Limits {
        globals: (0..)
            .take_while(|g| module.global_type(*g).is_some())
            .count() as u32
            * 8,
        tables: (0..)
            .take_while(|t| module.table_type(*t).is_some())
            .count() as u32,
    };
    for own in 0..functions {
        let function = of(&text, own)?;
        flow::follow(&text, &function, &limits)?;
    }
    Ok(())
}
