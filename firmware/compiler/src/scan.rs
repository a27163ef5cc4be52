//! The first pass over a function: which of its locals live in registers.
//!
//! A use counts more the more loops are around it. A local in a register is stored and fetched again around every call, so it has
//! to be used more often than that.
use crate::bytes::Bytes;
use crate::entry::ty;
use crate::hoist::hoist;
use crate::limits::{LOCALS, Made, Refusal};
use crate::registers::{FLOAT_PINS, PINS};
use crate::work::{Home, Local, Work};
use wasmote_engine::opcode::op;
use wasmote_engine::{Body, ValType};

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
    (work.kept_count, work.use_count, work.round_count) = (0, 0, 0);
    let count = usize::from(body.record.locals);
    let slot = if body.record.room.is_wide() { 8 } else { 4 };
    let mut r = Bytes {
        bytes,
        at: body.record.code as usize,
    };
    // A bit for each open block: a loop.
    let (mut blocks, mut loops, mut calls) = (0_u128, 0_u32, 0_u16);
    // Where the innermost loop begins, if nothing was called in it so far.
    let mut round = None;
    while r.at < body.record.end as usize {
        let byte = r.byte();
        match byte {
            op::BLOCK | op::LOOP | op::IF => {
                let is_loop = byte == op::LOOP;
                blocks = blocks << 1 | u128::from(is_loop);
                loops += u32::from(is_loop);
                r.skip(byte);
                if is_loop {
                    round = Some(r.at);
                }
            }
            op::END => {
                if blocks & 1 == 1
                    && let Some(from) = round.take()
                {
                    let weights = (weight(loops), weight(loops - 1));
                    hoist(work, bytes, &body.record, (from, r.at - 1), weights);
                }
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
                round = None;
                r.skip(byte);
            }
            _ => r.skip(byte),
        }
    }
    let least = calls.saturating_mul(2);
    let all = count + usize::from(work.kept_count);
    let mut choose = |wanted: &dyn Fn(u8) -> bool, home: Home| {
        let locals = work.locals.iter_mut().take(all).enumerate();
        let best = locals
            .filter(|(index, l)| {
                // A local's slot is to be in reach of a load; what is kept has none, and is not fetched after calls.
                let good = if *index < count {
                    *index < 1024 / slot && l.score > least
                } else {
                    l.score > 0
                };
                good && wanted(l.ty) && l.home == Home::Frame
            })
            .max_by_key(|(_, l)| l.score);
        if let Some((_, local)) = best {
            local.home = home;
        }
    };
    for pin in PINS {
        choose(&|ty| ty != ty::F32 && !ty::is_wide(ty), Home::Reg(pin));
    }
    for pin in FLOAT_PINS..32 {
        choose(&|ty| ty == ty::F32, Home::Float(pin));
    }
    Ok(())
}
