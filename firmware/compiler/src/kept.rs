//! The use of what is computed in front of loops (hoist.rs).
use crate::entry::{Entry, Kind, ty};
use crate::function::Fun;
use crate::limits::Made;
use crate::work::{Home, Kept, Local};

impl Fun<'_, '_> {
    /// Where the present instruction is the first of an expression that was computed in front of the loop: passes over it, and
    /// has its value as an operand. Where it has a hole, passes over what is in front of that, and over the rest when that is
    /// filled.
    pub(crate) fn used(&mut self) -> Made<bool> {
        if self.at == self.until
            && let Some(kept) = self.filling.take()
        {
            self.until = usize::MAX;
            self.filled(kept)?;
            return Ok(true);
        }
        let at = self.at - self.record.code as usize;
        while let Some(next) = self.uses.get(self.next_use) {
            if usize::from(next.start) >= at {
                break;
            }
            self.next_use += 1;
        }
        let Some(next) = self.uses.get(self.next_use) else {
            return Ok(false);
        };
        let index = u32::from(self.record.locals) + u32::from(next.kept);
        let Local { ty, home, .. } = self.local(index);
        if usize::from(next.start) != at || home == Home::Frame {
            return Ok(false);
        }
        let kept = self.kept.get(usize::from(next.kept)).copied();
        let kept = kept.unwrap_or(Kept::NONE);
        if kept.filled > 0 {
            self.filling = Some(next.kept.into());
            self.at += usize::from(kept.hole);
            self.until = self.at + usize::from(kept.filled);
            // What is in the hole may begin here too.
            self.next_use += 1;
            return Ok(true);
        }
        self.at += usize::from(kept.length);
        self.push(Entry::local(ty, index))?;
        Ok(true)
    }

    /// The sum of what was computed in front of the loop and of what fills its hole, which is the topmost operand.
    fn filled(&mut self, index: usize) -> Made<()> {
        let Some(kept) = self.kept.get(index) else {
            return Ok(());
        };
        self.at += usize::from(kept.length - kept.hole - kept.filled);
        let home = self
            .local(u32::from(self.record.locals) + index as u32)
            .home;
        let (Home::Reg(pin), taken) = (home, self.pop()) else {
            return Ok(());
        };
        let (reg, shift, value) = match self.as_sum(taken) {
            Some(sum) => sum,
            None => (self.int(taken)?, 0, 0),
        };
        let to = self.result(&[reg])?;
        self.asm.add_shifted(to, pin, reg, shift + kept.shift);
        self.push_with(to, value << kept.shift)
    }

    /// Computes one of them into its register; nothing but its operands is in r0 to r3 and s0 to s14.
    fn compute(&mut self, kept: usize) -> Made<()> {
        let Local { home, .. } = self.local(u32::from(self.record.locals) + kept as u32);
        let Some(place) = self.kept.get(kept).filter(|_| home != Home::Frame) else {
            return Ok(());
        };
        let (at, here) = (self.at, self.here);
        self.at = self.record.code as usize + usize::from(place.start);
        let end = self.at + usize::from(place.length);
        // Nothing looks beyond what is in front of the hole either.
        self.until = if place.filled > 0 {
            self.at + usize::from(place.hole)
        } else {
            end
        };
        while self.at < end {
            if self.at == self.until {
                self.push(Entry::constant(ty::I32, 0))?;
                self.at += usize::from(place.filled);
                self.until = end;
                continue;
            }
            self.here = self.at;
            let byte = self.byte();
            self.instruction(byte)?;
        }
        let taken = self.pop();
        match home {
            Home::Reg(pin) => self.int_into(taken, pin),
            Home::Float(pin) => self.float_into(taken, pin),
            Home::Frame => {}
        }
        self.release(taken);
        (self.at, self.here, self.until) = (at, here, usize::MAX);
        Ok(())
    }

    /// What is computed in front of the loop that begins behind this place in the function's code, a bit each.
    fn kept_for(&self, at: u16) -> u16 {
        let round = self.rounds.iter().find(|r| r.at == at);
        round.map_or(0, |round| round.kept)
    }

    /// Whether anything is.
    pub(crate) fn keeps(&self, at: u16) -> bool {
        self.kept_for(at) != 0
    }

    /// Computes it.
    pub(crate) fn compute_for_loop(&mut self, at: u16) -> Made<()> {
        let kept = self.kept_for(at);
        for index in 0..self.kept.len() {
            if kept >> index & 1 == 1 {
                self.compute(index)?;
            }
        }
        Ok(())
    }

    /// A loop ends: what was computed in front of it goes to its slot where it is an operand still.
    pub(crate) fn flush_kept(&mut self) {
        for index in 0..self.height {
            let entry = self.entry(index);
            if entry.kind == Kind::Local && entry.value() >= u32::from(self.record.locals) {
                self.spill(index);
            }
        }
    }
}
