//! The first pass over a function: which of its locals live in registers.
//!
//! A use counts more the more loops are around it. A local in a register is stored and fetched again around every call, so it has
//! to be used more often than that.
use crate::bytes::Bytes;
use crate::entry::ty;
use crate::hoist::hoist;
use crate::limits::{BODY, LOCALS, Made, Refusal};
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

/// Decides where the locals of a function live, and what is computed in front of its loops.
pub(crate) fn scan(bytes: &[u8], body: &Body<'_>, work: &mut Work) -> Made<()> {
    let (start, end) = (body.record.code as usize, body.record.end as usize);
    if end - start > BODY as usize {
        return Err(Refusal::Length);
    }
    let bytes = bytes.get(start..end).unwrap_or(&[]);
    // Where no register is left for an expression with a hole, fewer have one.
    for holes in [2, 1, 0] {
        if scan_with(bytes, body, work, holes)? {
            break;
        }
    }
    Ok(())
}

/// The same, with what a large number saves where it is kept with a hole, or without holes; whether all expressions with one have a
/// register.
fn scan_with(bytes: &[u8], body: &Body<'_>, work: &mut Work, holes: u8) -> Made<bool> {
    types(body, &mut work.locals)?;
    (work.kept_count, work.use_count, work.round_count) = (0, 0, 0);
    let count = usize::from(body.record.locals);
    let slot = if body.record.room.is_wide() { 8 } else { 4 };
    let mut r = Bytes { bytes, at: 0 };
    // A bit for each open block: a loop.
    let (mut blocks, mut loops, mut calls) = (0_u128, 0_u32, 0_u16);
    // Where the innermost loop begins, if nothing was called in it so far.
    let mut round = None;
    while r.at < bytes.len() {
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
                    let piece = (from, r.at - 1);
                    hoist(work, bytes, body.record.locals, piece, weights, holes);
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
    // A local's slot is to be in reach of a load; what is kept has none, and is not fetched after calls.
    let good = |index: usize, l: &Local| {
        let good = index >= count || index < 1024 / slot && l.score > least;
        good && l.score > 0 && l.home == Home::Frame
    };
    for pin in PINS {
        let mut others = 0;
        while let Some(index) = best(work, all, |index, l| {
            let free = others == 0 || index >= count && work.together(index - count) & others == 0;
            free && l.ty != ty::F32 && !ty::is_wide(l.ty) && good(index, l)
        }) {
            settle(work, index, Home::Reg(pin));
            // What is kept in one loop leaves the register to what is kept in another.
            let Some(kept) = index.checked_sub(count) else {
                break;
            };
            others |= 1 << kept;
        }
    }
    for pin in FLOAT_PINS..32 {
        if let Some(index) = best(work, all, |index, l| l.ty == ty::F32 && good(index, l)) {
            settle(work, index, Home::Float(pin));
        }
    }
    let homes = work.locals.get(count..all).unwrap_or(&[]).iter();
    Ok(work
        .kept
        .iter()
        .zip(homes)
        .all(|(kept, local)| kept.filled == 0 || local.home != Home::Frame))
}

/// The local, or what is kept, that is used most of those that are wanted.
fn best(work: &Work, all: usize, wanted: impl Fn(usize, &Local) -> bool) -> Option<usize> {
    let locals = work.locals.iter().take(all).enumerate();
    let wanted = locals.filter(|(index, local)| wanted(*index, local));
    wanted
        .max_by_key(|(_, local)| local.score)
        .map(|(index, _)| index)
}

fn settle(work: &mut Work, index: usize, home: Home) {
    if let Some(local) = work.locals.get_mut(index) {
        local.home = home;
    }
}
