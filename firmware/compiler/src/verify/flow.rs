//! The second pass: what registers hold, and whether each instruction may do what it does with that.
use super::decode::Does;
use super::{BRANCHED, CALLED, Checked, Function, START, Text, fault};

/// Functions that compiled code may have called, 4 bytes each.
const HELPERS: u32 = 45 * 4;
/// Bytes of a table's header.
const HEADER: u32 = 12;
/// Bytes above a frame that its operands, a call's arguments and what they are moved up by may take.
const ARGUMENTS: u32 = 4096;

pub(super) struct Limits {
    /// Bytes of globals.
    pub(super) globals: u32,
    /// How many tables there are.
    pub(super) tables: u32,
}

/// What a register holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Anything,
    Number(u32),
    /// A number below this one.
    Below(u64),
    /// A number that, shifted left, has these bytes behind it within the memory as it is: shift, first, behind the last.
    Within(u8, u32, u32),
    /// The memory's first byte and a number as above.
    MemoryBelow(u64),
    MemoryWithin(u32, u32),
    /// The length of the memory less a number, and whether it is known not to be less than that.
    Length(u32, bool),
    /// The newest frame record and so many bytes.
    Frames(i32),
    Globals,
    Helpers,
    Helper,
    /// The frame and so many bytes, or up to 7 less; the new frame, where a function begins.
    Frame(u32),
    New(u32),
    /// Where the function goes on that called this one.
    Return,
}
use Holds::{
    Anything, Below, Frame, Frames, Globals, Helper, Helpers, Length, MemoryBelow, MemoryWithin,
    New, Number, Return, Within,
};

/// What was compared last.
#[derive(Clone, Copy)]
enum Compared {
    Nothing,
    Register(u8, Holds),
    /// The length of the memory with a number, by subtraction into r12.
    Length,
}

/// A second look at bounds, one access after the other: `ldr r12, length; r12 -= reach`, or a number of which the memory has `reach`
/// bytes more at least; `lr = address; cmp lr, r12`, and `bhi` to a trap; the last one ends in `bls back; bl trap`.
#[derive(Clone, Copy)]
struct Look {
    reg: u8,
    shift: u8,
    /// What lies within the memory behind the register, shifted.
    from: u32,
    to: u32,
    back: u32,
}

/// Bytes that are accessed behind one address at most, so that what lies between two accesses within the memory does too.
const SPAN: u32 = 1 << 16;

fn second_look(text: &Text<'_>, start: u32) -> Option<Look> {
    let mut whole: Option<Look> = None;
    let mut at = start;
    for _ in 0..16 {
        let (look, last, next) = one_look(text, at)?;
        whole = Some(match whole {
            None => look,
            Some(before) if (before.reg, before.shift) == (look.reg, look.shift) => Look {
                from: before.from.min(look.from),
                to: before.to.max(look.to),
                ..look
            },
            Some(_) => return None,
        });
        if last {
            return whole.filter(|w| w.from == 0 || w.to <= SPAN);
        }
        at = next;
    }
    None
}

/// One access of a second look, whether it is the last one, and where the next one is.
fn one_look(text: &Text<'_>, start: u32) -> Option<(Look, bool, u32)> {
    let is_trap = |at: u32| matches!(text.instruction(at), Ok((Does::Calls(by), _)) if at.wrapping_add_signed(by) == text.ways + 4);
    let (does, mut at) = text.instruction(start).ok()?;
    let mut reach = 0;
    let known = match does {
        Does::Loads(Some(12), 13, 8, 4) => false,
        Does::Number(12, n) => {
            reach = u32::try_from(text.least.checked_sub(n.into())?).ok()?;
            true
        }
        _ => return None,
    };
    let (mut does, mut next) = text.instruction(at).ok()?;
    if known {
    } else if let Does::Adds(12, 12, n) = does {
        reach = 0_u32.wrapping_sub(n);
        (does, next) = text.instruction(next).ok()?;
    } else {
        let mut number = None;
        while let Does::Number(14, n) | Does::Upper(14, n) = does {
            number = match (does, number) {
                (Does::Number(..), _) => Some(n),
                (_, Some(old)) => Some(n << 16 | old & 0xffff),
                _ => return None,
            };
            at = next;
            (does, next) = text.instruction(at).ok()?;
        }
        if let Some(n) = number {
            if does != Does::Differs(12, 12, 14) {
                return None;
            }
            reach = n;
            (does, next) = text.instruction(next).ok()?;
        }
    }
    // The address: a register, in lr if anything is done to it.
    let (mut reg, mut shift, mut from) = (None, 0, 0);
    if let Does::Shifts(14, rm, n) = does {
        (reg, shift) = (Some(rm), n);
        (does, next) = text.instruction(next).ok()?;
    }
    if let Does::Adds(14, rn, n) = does
        && reg.is_none_or(|_| rn == 14)
    {
        reg = reg.or(Some(rn));
        from = n;
        (does, next) = text.instruction(next).ok()?;
    }
    let Does::Compares(compared, 12) = does else {
        return None;
    };
    let reg = match reg {
        Some(reg) if compared == 14 => reg,
        None => compared,
        _ => return None,
    };
    let (does, behind) = text.instruction(next).ok()?;
    let Does::Branches(by, cond) = does else {
        return None;
    };
    let to = next.wrapping_add_signed(by);
    let good = match cond {
        8 => is_trap(to),
        9 => is_trap(behind),
        _ => false,
    };
    let look = Look {
        reg,
        shift,
        from,
        to: from.checked_add(reach)?,
        back: to,
    };
    (good && !matches!(reg, 6 | 7 | 9 | 12..=15)).then_some((look, cond == 9, behind))
}

/// Whether the branch at `at` to `back` ends a second look, which the branch just before `back` leads to.
pub(super) fn looked_again(text: &Text<'_>, at: u32, back: u32) -> bool {
    [2, 4].into_iter().any(|length| {
        let before = back.wrapping_sub(length);
        let Ok((Does::Branches(by, 8), next)) = text.instruction(before) else {
            return false;
        };
        let start = before.wrapping_add_signed(by);
        let within = start < at && at - start <= 512;
        next == back && within && second_look(text, start).is_some_and(|look| look.back == back)
    })
}

struct Flow<'t, 'c> {
    text: &'t Text<'c>,
    function: &'t Function,
    limits: &'t Limits,
    holds: [Holds; 16],
    compared: Compared,
    /// Instructions that are conditional from here on.
    conditional: u8,
    /// The end of the stack was compared for this function's frame; its record was written.
    roomy: bool,
    recorded: bool,
    /// That record is the newest one.
    begun: bool,
    /// The newest record was just given up: the function ends here.
    given_up: bool,
    /// Only called routines begin here, and nothing but the frame was accessed since.
    routine: bool,
    /// The instruction before does not go on to this one.
    ended: bool,
    at: u32,
    /// Where locals are made zero, whose bounds were looked at.
    clearing: Option<u32>,
}

/// Follows a function from its first instruction to its last.
pub(super) fn follow(text: &Text<'_>, function: &Function, limits: &Limits) -> Checked<()> {
    let mut flow = Flow {
        text,
        function,
        limits,
        holds: [Anything; 16],
        compared: Compared::Nothing,
        conditional: 0,
        roomy: false,
        recorded: false,
        begun: false,
        given_up: false,
        routine: false,
        ended: false,
        at: function.start,
        clearing: None,
    };
    flow.holds[3] = New(0);
    flow.holds[14] = Return;
    while flow.at < function.end {
        let at = flow.at;
        let (called, branched) = (text.marked(at, CALLED), text.marked(at, BRANCHED));
        let (does, next) = text.instruction(at)?;
        // What fills up to a multiple of 4.
        let fills = flow.ended && next == function.end && text.half(at) == Some(0xbf00);
        if fills && !called && !branched {
            break;
        }
        if called || branched {
            flow.clears(at, does);
            flow.forget();
            flow.routine = called && !branched && flow.ended;
            if called && !flow.routine && text.routine(at).is_none_or(|leaves| !leaves) {
                return fault(at, "a routine that is not only called");
            }
        }
        flow.ended = false;
        flow.at = next;
        flow.instruction(at, does)?;
    }
    if flow.ended {
        Ok(())
    } else {
        fault(function.end, "code runs on beyond its end")
    }
}

impl Flow<'_, '_> {
    fn forget(&mut self) {
        self.holds = [Anything; 16];
        self.compared = Compared::Nothing;
    }

    /// The loop that makes locals zero: `str r0, [r1]; adds r1, 4; subs r2, 1; bne`, from a frame on, so many words.
    fn clears(&mut self, at: u32, does: Does) {
        if let (Frame(from), Number(words)) = (self.get(1), self.get(2)) {
            let end = u64::from(from) + u64::from(words) * 4;
            let within = words > 0 && end <= self.function.room.into();
            if does == Does::Stores(1, 0, 4) && within && self.is_loop(at) {
                self.clearing = Some(at);
            }
        }
    }

    fn get(&self, reg: u8) -> Holds {
        match reg {
            6 => MemoryBelow(1),
            7 => Frame(0),
            reg => self
                .holds
                .get(usize::from(reg))
                .copied()
                .unwrap_or(Anything),
        }
    }

    /// A register is written.
    fn set(&mut self, at: u32, reg: u8, holds: Holds) -> Checked<()> {
        let holds = if self.conditional > 0 {
            Anything
        } else {
            holds
        };
        match reg {
            6 | 13 | 15 => return fault(at, "a register that stays is written"),
            7 if holds == New(0) && self.recorded => {}
            7 => return fault(at, "a frame from nowhere"),
            9 => return fault(at, "fuel from nowhere"),
            _ => {}
        }
        if let Some(place) = self.holds.get_mut(usize::from(reg)) {
            *place = holds;
        }
        // What was compared is no more in it.
        if matches!(self.compared, Compared::Register(r, _) if r == reg) {
            self.compared = Compared::Nothing;
        }
        Ok(())
    }

    fn instruction(&mut self, at: u32, does: Does) -> Checked<()> {
        let routine = self.routine;
        self.routine &= does.fetches();
        let given_up = core::mem::take(&mut self.given_up);
        if given_up && does != Does::LoadsRecord(2) {
            return fault(at, "a function that goes on without its record");
        }
        match does {
            Does::Conditional(count) => {
                self.conditional = count;
                return Ok(());
            }
            Does::Computes(None) => {}
            Does::Computes(Some(rd)) => self.set(at, rd, Anything)?,
            Does::Multiplies(a, b) => {
                self.set(at, a, Anything)?;
                self.set(at, b, Anything)?;
            }
            Does::Number(rd, n) => self.set(at, rd, Number(n))?,
            Does::Upper(rd, n) => {
                let whole = match self.get(rd) {
                    Number(low) => Number(n << 16 | low & 0xffff),
                    _ => Anything,
                };
                self.set(at, rd, whole)?;
            }
            Does::Moves(rd, rm) => {
                let from = self.get(rm);
                self.set(at, rd, from)?;
            }
            Does::Adds(9, 9, _) if self.conditional == 0 => {}
            Does::Adds(rd, rn, n) => {
                let sum = self.sum(self.get(rn), Number(n));
                self.set(at, rd, sum)?;
            }
            Does::Clears(rd, rn, bits) => {
                let rounded = match self.get(rn) {
                    // A frame that is moved up: 7 more, and rounded down.
                    Frame(from) if bits == 7 && from >= 7 => Frame(from),
                    _ => Anything,
                };
                self.set(at, rd, rounded)?;
            }
            Does::Sums(rd, rn, rm) => {
                let sum = self.sum(self.get(rn), self.get(rm));
                self.set(at, rd, sum)?;
            }
            Does::SumsShifted(rd, rn, rm, n) => {
                let sum = match (self.get(rn), self.get(rm)) {
                    (MemoryBelow(1), Within(shift, from, to)) if rn == 6 && shift == n => {
                        MemoryWithin(from, to)
                    }
                    _ => Anything,
                };
                self.set(at, rd, sum)?;
            }
            Does::Shifts(rd, ..) => self.set(at, rd, Anything)?,
            Does::Differs(rd, rn, rm) => {
                let (a, b) = (self.get(rn), self.get(rm));
                if let (Length(0, _), Number(n)) = (a, b) {
                    self.set(at, rd, Length(n, false))?;
                    self.compared = Compared::Length;
                    return Ok(());
                }
                self.set(at, rd, Anything)?;
            }
            Does::ComparesNumber(rn, n) => {
                self.compared = Compared::Register(rn, Number(n));
                return self.past();
            }
            Does::Compares(rn, rm) => {
                self.compared = Compared::Register(rn, self.get(rm));
                return self.past();
            }
            Does::Branches(by, cond) => {
                if self.conditional > 0 {
                    return fault(at, "a branch within a condition");
                }
                return self.branches(at, at.wrapping_add_signed(by), cond);
            }
            Does::Chooses(reg) => {
                let Below(count) = self.get(reg) else {
                    return fault(at, "a table without bounds");
                };
                self.at += count as u32 * 2;
                self.ended = true;
            }
            Does::Calls(by) => self.calls(at, at.wrapping_add_signed(by))?,
            Does::CallsRegister(rm) => {
                if self.get(rm) != Helper {
                    return fault(at, "a call of nothing");
                }
                self.forget();
            }
            Does::Leaves(14) if routine => self.ended = true,
            Does::Leaves(_) => return fault(at, "a return to nowhere"),
            Does::Loads(rt, rn, offset, size) => {
                self.loads(at, rt, rn, offset, size)?;
            }
            Does::Stores(rn, offset, size) => {
                self.stores(at, rn, offset, size)?;
            }
            Does::StoresRecord(rn) => {
                let good = self.get(rn) == Frames(0) && self.roomy && !self.recorded;
                if !good || self.get(14) != Return || self.conditional > 0 {
                    return fault(at, "a record at no place for one");
                }
                self.recorded = true;
                self.set(at, rn, Frames(-12))?;
            }
            // The newest record: where a function begins and ends.
            Does::Keeps(2, 0) if self.conditional == 0 => match self.get(2) {
                Frames(-20) if self.recorded && !self.begun => self.begun = true,
                Frames(20) if self.begun => self.given_up = true,
                _ => return fault(at, "the context is written"),
            },
            Does::Keeps(..) => return fault(at, "the context is written"),
            Does::LoadsRecord(2) if given_up && self.conditional == 0 => self.ended = true,
            Does::LoadsRecord(_) => return fault(at, "a return to nowhere"),
            Does::LoadsAt(rt, rn, rm, size) => {
                self.memory(at, rn, rm, size)?;
                self.set(at, rt, Anything)?;
            }
            Does::StoresAt(rn, rm, size) => self.memory(at, rn, rm, size)?,
        }
        self.past()
    }

    /// One instruction of a condition is past.
    fn past(&mut self) -> Checked<()> {
        self.conditional = self.conditional.saturating_sub(1);
        Ok(())
    }

    fn sum(&self, a: Holds, b: Holds) -> Holds {
        match (a, b) {
            (Number(a), Number(b)) => Number(a.wrapping_add(b)),
            (Frame(a), Number(n)) if a.wrapping_add(n) <= ARGUMENTS * 2 => Frame(a.wrapping_add(n)),
            (New(a), Number(n)) | (Number(n), New(a)) => New(a.wrapping_add(n)),
            (Frames(a), Number(n)) => Frames(a.wrapping_add(n.cast_signed())),
            (Below(a), Number(n)) | (Number(n), Below(a)) if a + u64::from(n) <= 1 << 32 => {
                Below(a + u64::from(n))
            }
            (Within(0, from, to), Number(n)) | (Number(n), Within(0, from, to)) if n <= to => {
                Within(0, from.saturating_sub(n), to - n)
            }
            // r6 is the memory's first byte.
            (MemoryBelow(1), Below(n)) | (Below(n), MemoryBelow(1)) => MemoryBelow(n),
            (MemoryBelow(1), Within(0, from, to)) | (Within(0, from, to), MemoryBelow(1)) => {
                MemoryWithin(from, to)
            }
            (MemoryBelow(1), Number(n)) | (Number(n), MemoryBelow(1)) => {
                MemoryBelow(u64::from(n) + 1)
            }
            _ => Anything,
        }
    }

    fn branches(&mut self, at: u32, to: u32, cond: u8) -> Checked<()> {
        let text = self.text;
        if to == text.ways + 8 {
            // The stack's end: the new frame with its room above the newest record.
            let Compared::Register(reg, Frames(0)) = self.compared else {
                return fault(at, "no end of the stack is compared");
            };
            if self.get(reg) != New(self.function.room) || self.get(3) != New(0) {
                return fault(at, "another frame than the function's is compared");
            }
            self.roomy = true;
            return Ok(());
        }
        if !text.marked(to, START) {
            return fault(at, "a branch into an instruction");
        }
        if cond == 14 {
            self.ended = true;
            return Ok(());
        }
        let traps = matches!(text.instruction(to), Ok((Does::Calls(by), _)) if to.wrapping_add_signed(by) == text.ways + 4);
        match (self.compared, cond) {
            // Higher: elsewhere. What is here is not.
            (Compared::Register(reg, Number(n)), 8) => {
                let looked = second_look(text, to);
                let holds = match looked {
                    Some(look) if look.back == self.at && look.reg == reg => {
                        let last = u64::from(n)
                            .checked_shl(look.shift.into())
                            .filter(|_| look.shift < 16);
                        let exact = last.is_some_and(|v| v + u64::from(look.to) <= self.text.least);
                        if exact {
                            Within(look.shift, look.from, look.to)
                        } else {
                            Anything
                        }
                    }
                    Some(look) if look.back == self.at => Anything,
                    _ => Below(u64::from(n) + 1),
                };
                if looked.is_some_and(|look| look.back == self.at) {
                    // What the second look works in.
                    self.holds[12] = Anything;
                    self.holds[14] = Anything;
                }
                self.learn(reg, holds);
            }
            (Compared::Register(reg, Length(reach, true)), 8) if traps => {
                self.learn(reg, Within(0, 0, reach));
            }
            // Higher or the same.
            (Compared::Register(reg, Number(n)), 2) => self.learn(reg, Below(n.into())),
            (Compared::Length, 3) if traps => {
                for holds in &mut self.holds {
                    if let Length(_, known) = holds {
                        *known = true;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn learn(&mut self, reg: u8, holds: Holds) {
        if reg != 6
            && reg != 7
            && let Some(place) = self.holds.get_mut(usize::from(reg))
            && matches!(
                place,
                Anything | Below(_) | Within(..) | Number(_) | Length(..)
            )
        {
            *place = holds;
        }
    }

    fn calls(&mut self, at: u32, to: u32) -> Checked<()> {
        let text = self.text;
        let Some(behind) = text.behind(to) else {
            return fault(at, "a call of nothing");
        };
        let indirect = to == text.ways + 12;
        if indirect || text.is_entry(to) {
            if !matches!(self.get(3), Frame(_)) || !matches!(self.get(12), Number(_)) {
                return fault(at, "a call without a frame or a position");
            }
            // What looks the callee up relies on this: a table's header, and the caller's width.
            let is_table = |n: u32| n.is_multiple_of(HEADER) && n / HEADER < self.limits.tables;
            let known = matches!(self.get(2), Number(n) if is_table(n))
                && self.get(4) == Number(self.function.wide.into());
            if indirect && !known {
                return fault(at, "a call through no table");
            }
        } else if to == text.ways + 8 {
            return fault(at, "a call of nothing");
        }
        self.at += behind;
        self.forget();
        self.holds[3] = Anything;
        // A trap does not come back.
        self.ended = to == text.ways + 4;
        Ok(())
    }

    fn loads(&mut self, at: u32, rt: Option<u8>, rn: u8, offset: u32, size: u32) -> Checked<()> {
        let bad = |what| fault(at, what);
        let holds = match (rn, self.get(rn)) {
            (13, _) => match (offset, size, rt) {
                (0, 4, _) => Frames(0),
                (4, 4, _) => Globals,
                (8, 4, _) => Length(0, true),
                (24, 4, _) => Helpers,
                (12, 4, Some(15)) => {
                    self.ended = true;
                    return Ok(());
                }
                _ => return bad("what the context does not have"),
            },
            (_, Helpers) if size == 4 && offset.is_multiple_of(4) && offset < HELPERS => Helper,
            _ => {
                self.plain(at, rn, offset, size)?;
                Anything
            }
        };
        match rt {
            Some(rt) => self.set(at, rt, holds),
            None if holds == Anything => Ok(()),
            None => bad("a float from no place for one"),
        }
    }

    fn stores(&mut self, at: u32, rn: u8, offset: u32, size: u32) -> Checked<()> {
        match (rn, self.get(rn)) {
            (13, _) => fault(at, "the context is written"),
            (1, Anything) if self.clearing == Some(at) => Ok(()),
            _ => self.plain(at, rn, offset, size),
        }
    }

    /// Whether the loop of [`Flow::clears`] begins here.
    fn is_loop(&self, at: u32) -> bool {
        let step = |at: u32| self.text.instruction(at).ok();
        let Some((Does::Adds(1, 1, 4), a)) = step(at + 2) else {
            return false;
        };
        let Some((Does::Adds(2, 2, u32::MAX), b)) = step(a) else {
            return false;
        };
        matches!(step(b), Some((Does::Branches(by, 1), _)) if b.wrapping_add_signed(by) == at)
    }

    /// An access of the frame, a frame that is being made, the globals or the memory.
    fn plain(&self, at: u32, rn: u8, offset: u32, size: u32) -> Checked<()> {
        let end = u64::from(offset) + u64::from(size);
        let may = match self.get(rn) {
            Frame(from) if rn == 7 => u64::from(from) + end <= self.function.room.into(),
            Frame(from) => u64::from(from) + end <= u64::from(self.function.room + ARGUMENTS),
            Globals => end <= self.limits.globals.into(),
            MemoryBelow(below) => below - 1 + end <= self.text.least,
            MemoryWithin(from, to) => from <= offset && end <= to.into(),
            _ => false,
        };
        if may {
            Ok(())
        } else {
            fault(at, "an access that nothing bounds")
        }
    }

    /// An access of the memory at the sum of two registers.
    fn memory(&self, at: u32, rn: u8, rm: u8, size: u32) -> Checked<()> {
        let size = u64::from(size);
        let may = rn == 6
            && match self.get(rm) {
                Number(n) => u64::from(n) + size <= self.text.least,
                Below(below) => below > 0 && below - 1 + size <= self.text.least,
                Within(0, 0, to) => size <= to.into(),
                _ => false,
            };
        if may {
            Ok(())
        } else {
            fault(at, "an access that nothing bounds")
        }
    }
}
