//! The first pass over a function: which of its locals live in registers.
//!
//! A use counts more the more loops are around it. A local in a register is stored and fetched again around every call, so it has
//! to be used more often than that.
use crate::entry::ty;
use crate::function::{FLOAT_PINS, PINS};
use crate::limits::{LOCALS, Made, Refusal};
use crate::work::{Home, Local, Work};
use wasmote_engine::opcode::{op, rule};
use wasmote_engine::{Body, Immediates, ValType};

/// Reads a validated module's bytes.
pub(crate) struct Bytes<'m> {
    pub(crate) bytes: &'m [u8],
    pub(crate) at: usize,
}

impl Bytes<'_> {
    pub(crate) fn byte(&mut self) -> u8 {
        let byte = self.bytes.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        byte
    }

    /// A number of the format, its sign extended from its last bit if it is signed.
    fn number(&mut self, signed: bool) -> u64 {
        let (mut value, mut shift) = (0_u64, 0);
        loop {
            let byte = self.byte();
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 || shift > 63 {
                let sign = signed && byte & 0x40 != 0 && shift < 64;
                return if sign {
                    value | u64::MAX << shift
                } else {
                    value
                };
            }
        }
    }

    pub(crate) fn u32(&mut self) -> u32 {
        self.number(false) as u32
    }

    pub(crate) fn s64(&mut self) -> u64 {
        self.number(true)
    }

    /// Passes over what follows an opcode.
    pub(crate) fn skip(&mut self, byte: u8) {
        let number = if byte == op::PREFIX { self.u32() } else { 0 };
        let immediates = rule(byte, number).map_or(Immediates::None, |rule| rule.immediates);
        let (numbers, bytes) = match immediates {
            Immediates::None => (0, 0),
            Immediates::Block
            | Immediates::Label
            | Immediates::Index
            | Immediates::I32
            | Immediates::I64 => (1, 0),
            Immediates::Indices | Immediates::Memory(_) => (2, 0),
            Immediates::Labels => (self.u32().saturating_add(1), 0),
            Immediates::Types => (0, self.u32()),
            Immediates::Zero | Immediates::RefType => (0, 1),
            Immediates::SegmentZero => (1, 1),
            Immediates::ZeroZero => (0, 2),
            Immediates::F32 => (0, 4),
            Immediates::F64 => (0, 8),
        };
        for _ in 0..numbers {
            self.s64();
        }
        self.at += bytes as usize;
    }
}

/// The types of a function's locals.
fn types(body: &Body<'_>, locals: &mut [Local]) -> Made<()> {
    let count = usize::from(body.record.locals);
    if count > LOCALS {
        return Err(Refusal::Locals);
    }
    let declared = body
        .locals()
        .flat_map(|(count, ty)| core::iter::repeat_n(ty, count as usize));
    let all: &mut dyn Iterator<Item = ValType> = &mut body.ty.params().chain(declared);
    for (local, ty) in locals.iter_mut().take(count).zip(all) {
        *local = Local {
            ty: ty as u8,
            ..Local::NONE
        };
    }
    Ok(())
}

/// How much a use within so many loops counts.
fn weight(loops: u32) -> u16 {
    6_u16.pow(loops.min(4))
}

/// Decides where the locals of a function live.
pub(crate) fn scan(bytes: &[u8], body: &Body<'_>, work: &mut Work) -> Made<()> {
    types(body, &mut work.locals)?;
    let count = usize::from(body.record.locals);
    let slot = if body.record.room.is_wide() { 8 } else { 4 };
    let mut r = Bytes {
        bytes,
        at: body.record.code as usize,
    };
    // A bit for each open block: a loop.
    let (mut blocks, mut loops, mut calls) = (0_u128, 0_u32, 0_u16);
    while r.at < body.record.end as usize {
        let byte = r.byte();
        match byte {
            op::BLOCK | op::LOOP | op::IF => {
                let is_loop = byte == op::LOOP;
                blocks = blocks << 1 | u128::from(is_loop);
                loops += u32::from(is_loop);
                r.skip(byte);
            }
            op::END => {
                loops -= (blocks & 1) as u32;
                blocks >>= 1;
            }
            op::LOCAL_GET | op::LOCAL_SET | op::LOCAL_TEE => {
                let index = r.u32() as usize;
                if let Some(local) = work.locals.get_mut(index) {
                    local.score = local.score.saturating_add(weight(loops));
                    local.set |= byte != op::LOCAL_GET;
                }
            }
            op::CALL | op::CALL_INDIRECT => {
                calls = calls.saturating_add(weight(loops));
                r.skip(byte);
            }
            _ => r.skip(byte),
        }
    }
    let least = calls.saturating_mul(2);
    let mut choose = |wanted: &dyn Fn(u8) -> bool, home: Home, within: usize| {
        let best = work
            .locals
            .iter_mut()
            .take(count.min(within / slot))
            .filter(|l| wanted(l.ty) && l.home == Home::Frame && l.score > least)
            .max_by_key(|l| l.score);
        if let Some(local) = best {
            local.home = home;
        }
    };
    for pin in PINS {
        choose(
            &|ty| ty != ty::F32 && !ty::is_wide(ty),
            Home::Reg(pin),
            1024,
        );
    }
    for pin in FLOAT_PINS..32 {
        choose(&|ty| ty == ty::F32, Home::Float(pin), 1024);
    }
    Ok(())
}
